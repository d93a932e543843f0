"""A tag is set, changed, removed and restored, its events in any order; the last value decides the end."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.cloud import START, source_key
from tests.service.scenes import ACCOUNTS, scenes
from tests.service.shared_ami import AMI, outcomes, pass_time, tagged, untagged

FIRST, SECOND = ACCOUNTS[:2]
VALUES = {None: (), "true": ACCOUNTS[:2], FIRST: (FIRST,), SECOND: (SECOND,), f"{FIRST}+{SECOND}": (FIRST, SECOND)}
NOBODY = "nobody"


@pytest.mark.thorough
@given(
    scenes(most_snapshots=2),
    st.lists(
        st.tuples(st.sampled_from([0, 1, 20, 45, 400, 5000]), st.sampled_from([*VALUES, NOBODY])),
        min_size=1,
        max_size=5,
    ),
)
@settings(max_examples=100)
def test_the_last_value_decides_the_end(scene, changes):
    """Its targets have their AMI; of the others, those whose AMI was finished keep it, and the rest have nothing."""
    hub = replace(scene, accounts=2, amis=scene.amis[:1]).hub()
    (ami,) = hub.cloud.hub_images
    at = 0
    for wait, value in changes:
        at += wait
        hub.cloud.after(at, lambda value=value: hub.cloud.tag(ami, value))
    if scene.pending:
        hub.cloud.after(400, lambda: hub.cloud.set_state(ami, "available"))
    hub.run()

    hub.invariants.rest()
    last = changes[-1][1]
    ends = {account: hub.outcomes().get((ami, account)) for account in hub.accounts}
    owners = {image.account for image in hub.cloud.images.values()}
    assert owners == {account for account, end in ends.items() if end == "delivered"}, f"{ends}, but {owners}"
    assert set(ends.values()) <= {"delivered", "cancelled", None}, f"{ends}: {hub.faults()}"
    assert last == NOBODY or owners >= set(VALUES[last]), f"{last!r} leads to {ends}"
    if last == NOBODY:
        assert "promotion.refused" in {notice["event"] for notice in hub.cloud.notices}


def test_a_tag_event_counts_though_a_new_file_made_the_promotion_look_before_it_came():
    """The file gains an account and the tag is written again; discovery runs before the event has come."""
    hub = untagged((FIRST, SECOND), target={"mode": "share"})
    both = hub.cloud.directory
    hub.cloud.directory = replace(both, groups={"default": (FIRST,)})
    hub.cloud.tag(AMI, "default")
    assert hub.wait(3600).outcomes() == {(AMI, FIRST): "shared"}
    hub.cloud.directory = both
    hub._event_fates = itertools.cycle([(30,)])
    hub.cloud.tag(AMI, None)
    hub.cloud.now += 1
    hub.cloud.tag(AMI, "default")
    hub.cloud.now += 4
    hub.discover()
    assert hub.wait(3600).outcomes() == {(AMI, FIRST): "shared", (AMI, SECOND): "shared"}


def test_a_new_value_whose_event_is_lost_starts_all_that_failed_whatever_a_retry_before_it_named():
    """The operator's `retry --account` of one ended at a disabled key."""
    hub = tagged(f"{FIRST} {SECOND}", (FIRST, SECOND)).wait(3)
    file = hub.cloud.directory
    hub.cloud.directory = replace(file, groups={}, accounts={})
    assert set(hub.at(START + 3600).outcomes().values()) <= {"failed", "cancelled"}
    hub.cloud.directory = file
    hub.cloud.disabled.add(source_key(0))
    hub.retry(AMI, FIRST)
    hub.wait(3600)
    hub.cloud.disabled.clear()
    hub._event_fates = itertools.cycle([()])
    hub.cloud.tag(AMI, "default")
    assert set(hub.ended().values()) == {"delivered"}


def test_a_value_that_is_refused_interrupts_no_delivery_of_the_value_in_force_and_is_left_alone():
    """The pause keeps a wider value from being delivered; somebody writes `dve`, twice, and discovery sees that alone.

    After the pause what the value in force names is delivered, and nobody looks at the refused value again.
    """
    hub = tagged(FIRST, accounts=ACCOUNTS).wait(3600)
    hub.cloud.emit = lambda _event: None
    hub.cloud.tag(AMI, "dve")
    pass_time(hub, 900)
    hub.cloud.paused = True
    for value in (" ".join(ACCOUNTS), "dve"):
        hub.cloud.tag(AMI, value)
        pass_time(hub, 3600)
    assert hub.outcomes() == {(AMI, FIRST): "delivered"}
    hub.cloud.paused = False
    assert outcomes(hub, after=3600) == dict.fromkeys(((AMI, one) for one in ACCOUNTS), "delivered")
    assert "promotion.refused" in [notice["event"] for notice in hub.cloud.notices]
    looks = [one for one in hub.invocations if one.startswith("promotion#")]
    pass_time(hub, 3600)

    assert [one for one in hub.invocations if one.startswith("promotion#")] == looks
