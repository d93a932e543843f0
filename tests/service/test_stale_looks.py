"""One look at EC2 misses the tag or the AMI just as somebody has asked: what was asked is not lost."""

from collections.abc import Callable

import pytest

from chalicelib.delivery.ports import SeenImage
from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.schedule import SECOND_LOOK_AFTER
from chalicelib.images.ports import TagRead
from chalicelib.promotion import machine
from tests.service.cloud import START, CloudBehavior, target_key
from tests.service.gate import LostAnswer
from tests.service.hub import Hub
from tests.service.organization import A, B
from tests.service.shared_ami import AMI, HOUR, open_to, pass_time, record, shared, tagged

MISSES = {"no tag": TagRead(None, "available", AMI), "no AMI": TagRead(None, None)}
DISABLED = TagRead("default", "disabled", AMI)


def failed(**settings) -> Hub:
    """A hub whose delivery to A has failed at a disabled key, which is enabled now."""
    hub = tagged(**settings)
    hub.cloud.disabled.add(target_key(A))
    assert hub.wait(HOUR).outcomes()[AMI, A] == "failed"
    hub.cloud.disabled.clear()
    return hub


def ask(hub: Hub, name: str, entry: str) -> None:
    """Write an inbox entry, as the command line does."""
    hub.stores.records.make_due(addresses.promotion(AMI), hub.cloud.now, {name: entry})


def stale(hub: Hub, shown: TagRead) -> LostAnswer:
    """Let EC2 answer the next look at the tag with what was true elsewhere."""
    look = LostAnswer("source", "tag", says=shown)
    hub.gate.troubles.append(look)
    return look


def looks(hub: Hub) -> list[int]:
    """When the promotion looks at its tag, from now on."""
    times: list[int] = []
    real = hub.promotions.executor._look

    def look(promotion):
        times.append(hub.cloud.now)
        return real(promotion)

    hub.promotions.executor._look = look
    return times


def retried(hub: Hub) -> None:
    """An operator tries all targets again."""
    hub.retry(AMI)


def retried_at_both(hub: Hub) -> None:
    """An operator names them."""
    hub.retry(AMI, A, B)


def tagged_again(hub: Hub) -> None:
    """Somebody removes the tag, and writes it again at once; the event of the removal is lost."""
    hub.cloud.now += 1
    hub.cloud.tag(AMI, None, arrives=False)
    hub.cloud.tag(AMI, "default")


ASKED = [retried, retried_at_both, tagged_again]


LONG = CloudBehavior(copying=(5 * HOUR,))


@pytest.mark.parametrize("shown", MISSES.values(), ids=MISSES)
@pytest.mark.parametrize("asked", ASKED, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    ("given", "seconds", "state"),
    [({}, HOUR, "delivered"), ({"behavior": LONG}, 300, "copying")],
    ids=["over", "running"],
)
def test_what_failed_is_tried_again_although_the_first_look_misses_it(asked, shown, given, seconds, state):
    """The second look, half a minute later, is the one that counts.

    Also while another copy runs for hours: the promotion looks at its deliveries, and a poll of the tag would be long
    in coming.
    """
    hub = failed(**given)
    stale(hub, shown)
    asked(hub)
    hub.wait(seconds)

    assert hub.outcomes() == {(AMI, A): state, (AMI, B): state}


@pytest.mark.parametrize("shown", MISSES.values(), ids=MISSES)
@pytest.mark.parametrize("act", ["withdrawal", "recall"])
def test_what_was_taken_back_before_it_began_begins_with_the_lift_although_the_first_look_misses_it(act, shown):
    """Nothing had begun at B, or anywhere."""
    hub = tagged(watchful=False)
    if act == "recall":
        hub.recall(AMI)
    else:
        hub.withdraw(AMI, B)
    hub.wait(HOUR)
    assert (AMI, B) not in hub.outcomes()
    stale(hub, shown)
    if act == "recall":
        hub.lift_recall(AMI)
    else:
        hub.lift(AMI, B)
    hub.wait(HOUR)

    assert hub.outcomes() == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize("value", [None, B], ids=["no tag", "another value"])
def test_what_failed_is_left_alone_when_the_tag_is_removed_or_changed_although_the_look_still_shows_the_old_one(value):
    """The second look, half a minute later, shows what the event has said: nothing begins, and no notice follows."""
    hub = failed()
    notices = len(hub.cloud.notices)
    stale(hub, TagRead("default", "available", AMI))
    hub.cloud.now += 1
    hub.cloud.tag(AMI, value)
    hub.wait(180)
    assert record(hub).value == value, "it does not wait for discovery"
    hub.wait(HOUR)

    assert hub.outcomes() == {(AMI, A): "failed", (AMI, B): "delivered"}
    assert {one.account: one.episode for one in hub.stores.tracked.all(AMI)} == {A: 1, B: 1}
    assert len(hub.cloud.notices) == notices


def test_a_look_that_shows_the_value_before_ends_no_withdrawal():
    """Another value ends it when a second look shows that value, too."""
    both = f"{A} {B}"
    hub = tagged(target={"mode": "share"}).wait(HOUR)
    hub.cloud.tag(AMI, both)
    hub.wait(HOUR)
    hub.withdraw(AMI, B)
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "shared", (AMI, B): "withdrawn"}
    stale(hub, TagRead("default", "available", AMI))
    ask(hub, "image", "e-1")
    assert hub.wait(10 * HOUR).outcomes() == {(AMI, A): "shared", (AMI, B): "withdrawn"}
    assert open_to(hub) == {A}

    hub.cloud.tag(AMI, "default")
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "shared", (AMI, B): "shared"}


def test_a_tag_that_is_written_again_begins_what_failed_although_only_the_event_of_its_removal_comes():
    """Two looks show it."""
    hub = failed()
    hub.cloud.now += 1
    hub.cloud.tag(AMI, None)
    hub.cloud.emit = lambda _event: None
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)

    assert hub.outcomes() == {(AMI, A): "delivered", (AMI, B): "delivered"}


@pytest.mark.parametrize("asked", ASKED, ids=lambda one: one.__name__)
def test_what_was_shared_is_shared_again_although_the_first_look_shows_the_ami_disabled(asked):
    """It was disabled, so its shares closed; it is enabled again."""
    hub = tagged(target={"mode": "share"}).wait(HOUR)
    for state in ("disabled", "available"):
        hub.cloud.set_state(AMI, state)
        hub.wait(HOUR)
    assert set(hub.outcomes().values()) == {"withdrawn"}
    stale(hub, DISABLED)
    asked(hub)
    hub.wait(HOUR)

    assert set(hub.outcomes().values()) == {"shared"}


@pytest.mark.parametrize("shown", MISSES.values(), ids=MISSES)
def test_what_the_file_has_prolonged_stays_shared_although_the_look_after_an_outage_misses_the_tag(shown):
    """While EC2 does not answer, no look has missed the tag: the first one that does is one look."""
    hub = shared(until=START + 6 * HOUR)
    hub.cloud.change_targets(until=START + 100 * HOUR)
    pass_time(hub, 6 * HOUR - 300)
    hub.gate.refuse("source", "tag", why=RefusalKind.THROTTLED)
    outage = hub.gate.troubles[-1]
    pass_time(hub, HOUR)
    outage.times = 0
    look = stale(hub, shown)
    pass_time(hub, 2 * HOUR)

    assert look.times == 0
    assert open_to(hub) == {A, B}


GONE = {
    "AMI": lambda hub: hub.cloud.gone.add(AMI),
    "tag": lambda hub: hub.cloud.tag(AMI, None),
    "tag, known": lambda hub: (hub.cloud.tag(AMI, None), hub.wait(HOUR)),
}


SCENES = {
    "over": failed,
    "running": lambda: failed(behavior=LONG),
    "shared": lambda: tagged(target={"mode": "share"}).wait(HOUR),
}


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_what_is_really_gone_is_looked_for_twice(scene, gone):
    """Then the entry is handled, nothing begins, and in the end nothing is due."""
    hub = scene()
    hub.cloud.emit = lambda _event: None
    gone(hub)
    episodes = {one.account: one.episode for one in hub.stores.tracked.all(AMI)}
    times = looks(hub)
    retried(hub)
    hub.wait(120)
    assert len(times) == 2, times
    assert times[1] - times[0] >= SECOND_LOOK_AFTER
    assert record(hub).unread("retry") is None

    hub.wait(10 * HOUR)
    assert {one.account: one.episode for one in hub.stores.tracked.all(AMI)} == episodes
    assert machine.due_at(record(hub)) is None


def test_a_removal_that_comes_between_the_two_looks_waits_for_neither():
    """A value that names B no longer is read at once, and counts half a minute later; a withdrawal counts at once."""

    def ends(act: Callable[[Hub], None], *, missed: bool) -> int:
        hub = failed(behavior=LONG)
        began = hub.cloud.now
        if missed:
            stale(hub, MISSES["no AMI"])
            ask(hub, "seen", "1:default")
            hub.promotions.run(addresses.promotion(AMI), "stale", time_left=lambda: 30)
        hub.wait(5)
        act(hub)
        while hub.outcomes()[AMI, B] == "copying":
            hub.wait(1)
        return hub.cloud.now - began

    for act in (lambda hub: hub.cloud.tag(AMI, A), lambda hub: hub.withdraw(AMI, B)):
        assert ends(act, missed=True) == ends(act, missed=False)


def test_a_copy_whose_end_the_look_after_its_event_does_not_show_yet_is_looked_at_again_soon():
    """EC2 lists it once more as it was: its shares stay open for minutes, not for a quarter of an hour."""
    hub = tagged(accounts=(A,), behavior=CloudBehavior(copying=(600,)))
    hub.wait(300)
    (copy,) = hub.cloud.copies.values()
    as_it_was = hub.cloud.shown(A, copy.delivery)
    over = lambda *_: copy.state == "completed"  # noqa: E731
    hub.gate.troubles.append(look := LostAnswer("target.snapshots", "find", says=as_it_was, only=over))
    hub.wait(600)

    assert look.times == 0
    assert hub.outcomes() == {(AMI, A): "delivered"}


def test_an_ami_of_copy_image_that_the_look_after_its_event_does_not_show_yet_is_looked_at_again_soon():
    """After an hour its polls are a quarter of an hour apart; its shares close before the next one."""
    hub = tagged(accounts=(A,), target={"copy_method": "image"}, behavior=CloudBehavior(copying=(HOUR,)))
    hub.until_state(AMI, A, "verifying")
    (image,) = hub.cloud.images.values()
    as_it_was = SeenImage({**image.raw, "State": "pending"}, {})
    over = lambda *_: image.raw["State"] == "available"  # noqa: E731
    hub.gate.troubles.append(look := LostAnswer("target.images", "see", says=as_it_was, only=over))
    hub.until(lambda: look.times == 0)
    hub.wait(300)

    assert hub.outcomes() == {(AMI, A): "delivered"}
