"""By way of the hub: what a delivery reads of the hub's own copy, at each of its states."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.delivery import machine
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import ENDED, Attempt, CopyState, Delivery, DeliveryState
from chalicelib.delivery.phase import DeliveryEvent
from chalicelib.delivery.phases.checking import HubCopySeen, TargetUnfit
from chalicelib.delivery.proof import SeenCopy
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.delivery.worker import hub_copies
from chalicelib.engine.addresses import delivery_id
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.schedule import MINUTE
from chalicelib.targets.applied_file import Directory, Target
from tests.delivery.examples import HUB, NOW, REGION, TARGET_KEY, a_delivery, seen, with_copies
from tests.service.cloud import refusal
from tests.service.gate import PortTrouble, ProcessKilled
from tests.service.hub import Hub
from tests.service.organization import A, B, OrganizationHub
from tests.service.shared_ami import AMI, HOUR, tagged
from tests.service.slow import SlowGate, SlowHub
from tests.stores import in_memory

DONE = CopyState.COMPLETED
MADE_BY = delivery_id(HUB, "ami-0a", HUB, REGION)
"""The delivery of the hub's own copy."""
RIGHT = seen("snap-0a", "completed"), seen("snap-0b", "completed")
COPIED = HubCopySeen((("snap-0a", "snap-0ac"), ("snap-0b", "snap-0bc")), TARGET_KEY)


def look(made: Delivery, shown: Sequence[SeenCopy] | None, waiting: Delivery | None = None) -> DeliveryEvent:
    """What a delivery that waits reads where this is the hub's own, and EC2 shows these snapshots of it.

    None: EC2 must not be asked.
    """
    stores = in_memory()
    waiting = waiting or a_delivery(by_way_of=HUB, promotion_episode=made.promotion_episode)
    stores.records.create(DELIVERIES.encode(replace(made, id=MADE_BY)), NOW)
    there: Any = None if shown is None else SimpleNamespace(find=lambda _, budget: shown)
    return hub_copies.look(stores.records, there, waiting, Budget(lambda: 30))


@pytest.mark.parametrize("state", DeliveryState)
def test_it_is_copied_from_as_soon_as_nothing_can_take_it_away(state):
    """The hub's delivery wakes those that wait while it publishes; they read it at once, and must already see it."""
    made = replace(with_copies(a_delivery(DeliveryState.COPYING), DONE, DONE), state=state, key_arn=TARGET_KEY)
    made = replace(
        made,
        entered=dict.fromkeys(DeliveryState, NOW),
        ending=state if state in ENDED - {DeliveryState.DELIVERED} else None,
    )
    looked = look(made, None)

    failed = {DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.WITHDRAWN}
    if state in failed:
        assert isinstance(looked, TargetUnfit)
    else:
        there = state in (DeliveryState.PUBLISHING, DeliveryState.DELIVERED)
        waits = HubCopySeen(waits=state is DeliveryState.AWAITING_APPROVAL, began=NOW)
        assert looked == (COPIED if there else waits)


@pytest.mark.parametrize("known", [True, False], ids=["it made another", "no answer was heard"])
def test_a_snapshot_there_with_the_nonce_of_an_attempt_that_made_another_is_not_copied_from(known):
    """The hub's AMI in that Region was there already: its record does not list the copies, so the look lists them."""
    made = replace(a_delivery(DeliveryState.DELIVERED).with_image(id="ami-0b"), copies=(), key_arn=TARGET_KEY)
    ids = {"snap-0a": "snap-0ac", "snap-0b": "snap-0gone"} if known else {}
    made = replace(made, attempts=tuple(replace(one, id=ids.get(one.source, "")) for one in made.attempts))
    waiting = a_delivery(by_way_of=HUB)
    for now in range(NOW, NOW + 10 * MINUTE, MINUTE):
        if machine.looks(waiting, now):
            waiting = machine.evolve(waiting, look(made, RIGHT, waiting), now)

    assert [fault.code for fault in waiting.faults] == (["hub-copy-incomplete"] if known else [])
    assert bool(waiting.hub_copy.snapshots) is not known
    assert all("copy the AMI in the hub" in fault.cure for fault in waiting.faults), "a new tag would not do"
    assert all(f"The hub's own AMI ami-0b in {REGION} does not" in fault.what for fault in waiting.faults)


def test_a_copy_there_under_an_earlier_key_is_not_copied_from():
    """EC2 refused to delete it. The targets may use the present key alone."""
    made = replace(a_delivery(DeliveryState.DELIVERED), copies=(), key_arn=TARGET_KEY)
    earlier = Attempt("before", "snap-0a", NOW - HOUR, "snap-0before", 1)
    made = replace(made, attempts=(earlier, *(replace(one, id=f"{one.source}c") for one in made.attempts)))
    extra = seen("snap-0a", "completed", id="snap-0before", key_arn="arn:another", nonce="before")
    for shown in ((*RIGHT, extra), (extra, *RIGHT)):
        assert look(made, shown) == COPIED


def test_a_look_that_does_not_show_the_whole_copy_yet_fails_nothing():
    """EC2 lists late what is new: only looks of two minutes that agree count."""
    made = replace(a_delivery(DeliveryState.DELIVERED), copies=(), key_arn=TARGET_KEY)
    waiting = a_delivery(by_way_of=HUB)
    for at, shown in ((0, ()), (1, RIGHT[:1]), (119, RIGHT[1:]), (130, RIGHT)):
        assert waiting.state is DeliveryState.REQUESTED
        assert machine.looks(waiting, NOW + at)
        waiting = machine.evolve(waiting, look(made, shown, waiting), NOW + at)
        assert waiting.next_try <= NOW + at + MINUTE

    assert waiting.hub_copy.snapshots == {"snap-0a": "snap-0ac", "snap-0b": "snap-0bc"}
    assert waiting.clear_since is None


@pytest.mark.thorough
def test_a_thousand_that_wait_for_it_neither_hold_it_up_nor_are_left_waiting():
    """On a slow AWS, each invocation killed after one slice: the hub's copy is delivered, and all others continue."""
    gate = SlowGate(one_slice=frozenset({"worker"}))
    hub = SlowHub(
        accounts=[f"{200_000_000_000 + n}" for n in range(1000)], gate=gate, watchful=False, most_invocations=10**5
    )
    hub.gate.watch = lambda *_: None  # the invariants do not know copies in the hub's other Region
    # What these deliveries do next does not matter here.
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.THROTTLED)
    made = replace(
        with_copies(a_delivery(DeliveryState.PUBLISHING), DONE, DONE),
        id=MADE_BY,
        key_arn=TARGET_KEY,
        target=Target(HUB, REGION),
    )
    waiting = [
        a_delivery(id=f"{n:020}", target=Target(account, REGION, by_way_of=HUB), tries=4, next_try=NOW + 900)
        for n, account in enumerate(hub.accounts)
    ]
    for one, due_at in [(made, NOW), *((one, NOW + 900) for one in waiting)]:
        place = (one.target.account, one.target.region)
        hub.stores.tracked.add(one.ami, TrackedDelivery(one.id, *place, one.episode, "running"))
        hub.stores.records.create(replace(DELIVERIES.encode(one), due_at=due_at), NOW)

    def gone_on() -> int:
        bodies = [hub.stores.records.records[one.key].body for one in waiting]
        return sum(bool(body.get("hub_copy", {}).get("snapshots")) for body in bodies)

    assert hub.at(NOW + 600).stores.seen(made.key).state == "delivered"
    assert gone_on() < 1000, "not all can be woken at once"
    hub.run(until=NOW + 45 * 60)
    assert gone_on() == 1000


def failing(times: int) -> PortTrouble:
    """The hub's own key is refused this many times."""
    denied = refusal(RefusalKind.DENIED, "of the hub's own key")
    return PortTrouble("target.keys", "describe", denied, times, only=lambda one: one.target.account == HUB)


def by_way_of_the_hub(*accounts: str, **given: Any) -> Hub:
    """A hub whose AMI was just tagged for accounts that copy from the hub's own copy."""
    listed = {one: (Target(one, REGION, by_way_of=HUB),) for one in accounts} | {HUB: (Target(HUB, REGION),)}
    return tagged(" ".join(accounts), (HUB, *accounts), file=Directory({}, listed), **given).unwatched()


def because_of_the_hub(hub: Hub) -> int:
    """How many deliveries failed because the hub's own copy had."""
    return sum(fault.startswith("hub-copy-failed") for fault in hub.faults())


def test_a_retry_of_one_account_tries_the_hubs_copy_again_that_it_waits_for():
    """Otherwise the account would wait two days for a copy that nobody makes."""
    hub = by_way_of_the_hub(A, B, troubles=[failing(2)])
    assert because_of_the_hub(hub.wait(HOUR)) == 2
    hub.retry(AMI, A)
    assert set(hub.wait(HOUR).outcomes().values()) == {"failed"}
    assert because_of_the_hub(hub) == 3
    assert not hub.gate.troubles[0].times


def test_the_hubs_copy_begins_before_the_account_that_waits_for_it():
    """A run is killed when it has written the account's delivery; the account's id sorts before the hub's."""
    first = "100000000001"
    hub = by_way_of_the_hub(first, troubles=[failing(1)])
    assert set(hub.wait(HOUR).outcomes().values()) == {"failed"}
    real, left = hub.stores.records.save, [ProcessKilled()]

    def dying(stored, write, *more, **goes_on):
        saved = real(stored, write, *more, **goes_on)
        if left and write.key == hub.delivery_key(AMI, first):
            raise left.pop()
        return saved

    hub.stores.records.save = dying
    hub.retry(AMI, first)
    hub.wait(HOUR)
    assert not left
    assert hub.stores.records.read(hub.delivery_key(AMI, HUB)).body["episode"] == 2


def test_who_joins_later_does_not_wait_for_a_copy_of_the_hubs_that_failed():
    """It is tried again for the account that an OU brings; for those that failed before it is not."""
    it = OrganizationHub(B)
    it.hub.unwatched()
    it.hub.gate.troubles.append(failing(2))
    by_unit = {"default": (Target("", REGION, by_way_of=HUB),)}
    it.cloud.directory = replace(it.cloud.directory, accounts={HUB: (Target(HUB, REGION),)}, by_unit=by_unit)
    it.look(2)
    it.tag()
    assert it.outcomes == {B: "failed"}
    it.organization.accounts[A] = "ACTIVE"
    it.look(24)

    assert it.outcomes == {A: "failed", B: "failed"}
    assert because_of_the_hub(it.hub) == 2
    assert not it.hub.gate.troubles[0].times


def test_a_target_waits_as_long_as_the_hubs_copy_waits_for_its_approval():
    """Its own deadline, here two hours, begins with the approval, which comes after five."""
    hub = by_way_of_the_hub(A)
    hub.cloud.change_targets(A, queue_deadline=HOUR, copy_deadline=HOUR)
    hub.cloud.change_targets(HUB, approval="required")
    assert hub.wait(5 * HOUR).outcomes() == {(AMI, HUB): "awaiting-approval", (AMI, A): "requested"}
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.THROTTLED)  # so that it does not end by itself
    hub.approve(AMI)
    assert hub.wait(HOUR + 1800).outcomes()[AMI, A] == "requested"
    assert hub.wait(1.5 * HOUR).outcomes()[AMI, A] == "failed"
    assert [one for one in hub.faults() if one.startswith("deadline-requested")]


def test_the_hubs_copy_begins_again_when_the_file_asks_for_no_approval_any_more():
    """An approver could not approve it then; and the target that waits for it goes on waiting, and does not fail."""
    hub = by_way_of_the_hub(A)
    hub.cloud.change_targets(HUB, approval="required")
    assert hub.wait(HOUR).outcomes() == {(AMI, HUB): "awaiting-approval", (AMI, A): "requested"}
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.THROTTLED)  # so that it does not end by itself
    hub.cloud.change_targets(HUB, approval="none")

    assert hub.wait(HOUR).outcomes() == {(AMI, HUB): "requested", (AMI, A): "requested"}
