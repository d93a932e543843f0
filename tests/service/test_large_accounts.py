"""Targets with so many snapshots or AMIs of others that a list takes long: EC2 has a page for every thousand."""

import pytest

from tests.service.cloud import CloudBehavior
from tests.service.scenes import all_delivered
from tests.service.shared_ami import DAY, HOUR, A, tagged
from tests.service.slow import SlowGate, SlowHub
from tests.service.slow_cases import AMI, LONGEST, MODES, all_ended

SNAPSHOTS, IMAGES = "DescribeSnapshots", "DescribeImages"
QUOTAS = {SNAPSHOTS: 100, IMAGES: 50}
"""Pages of the snapshots and AMIs that AWS lets a Region of an account have."""


def large(pages, mode="snapshots", **behavior):
    """An AMI is promoted to one target with so many pages, each of which takes half a second."""
    gate = SlowGate(least=0.5, most=0.5)
    hub = SlowHub([A], behavior=CloudBehavior(**behavior), gate=gate, watchful=False, target=MODES[mode])
    hub.cloud.pages = pages
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": True})
    hub.cloud.tag(AMI, "default")
    return hub


def test_the_snapshots_of_others_are_not_listed_while_copies_run():
    """The copies are looked at by their ids, however long they take."""
    hub = tagged(accounts=(A,), behavior=CloudBehavior(copying=(10 * HOUR,)))
    hub.wait(HOUR)
    listed = hub.cloud.lists[SNAPSHOTS]
    hub.wait(12 * HOUR)

    all_delivered(hub)
    assert hub.cloud.lists[SNAPSHOTS] == listed


@pytest.mark.parametrize("mode", ["snapshots", "image"])
def test_an_ami_arrives_in_an_account_with_as_many_snapshots_as_aws_allows(mode):
    """An invocation has time for 100 pages, and for 50 of AMIs before them."""
    hub = large(QUOTAS, mode)
    hub.wait(LONGEST)

    all_ended(hub, mode)
    assert not hub.gate.killed


@pytest.mark.parametrize("call", [SNAPSHOTS, IMAGES])
def test_where_a_list_takes_longer_than_a_function_has_the_delivery_fails_and_says_why(call):
    """No function is killed at that list, and nothing is opened."""
    hub = large({call: 1000})
    hub.wait(4 * DAY)

    assert set(hub.outcomes().values()) == {"failed"}
    assert any(fault.startswith(f"list-unfinished: {call}") for fault in hub.faults())
    assert not hub.cloud.permissions
    assert not hub.gate.killed


@pytest.mark.parametrize("mode", ["snapshots", "image"])
def test_where_an_account_grows_while_copies_run_the_shares_of_a_cancelled_delivery_close_all_the_same(mode):
    """Nobody can list what is there; the owner is notified of what may be left."""
    hub = large({}, mode, copying=(10 * HOUR,))
    hub.wait(HOUR)
    assert hub.cloud.permissions
    hub.cloud.pages = {SNAPSHOTS: 1000}
    hub.cloud.tag(AMI, None)
    hub.wait(HOUR // 4)
    if mode == "snapshots":
        assert all(copy.deleted for copy in hub.cloud.copies.values()), "their ids are on record"
        assert not hub.cloud.permissions
    hub.wait(HOUR)
    assert not hub.cloud.permissions
    hub.wait(2 * DAY)

    assert set(hub.outcomes().values()) == {"cancelled"}
    assert any(fault.startswith("list-unfinished") for fault in hub.faults())
    assert not hub.gate.killed


def test_copies_of_an_earlier_episode_that_are_gone_keep_no_share_open_where_a_list_does_not_end():
    """Their ids are on record for a day; EC2 has accepted the deletion of all that run."""
    hub = large({}, copying=(10 * HOUR,))
    hub.wait(HOUR)
    hub.cloud.tag(AMI, None)
    hub.wait(12 * HOUR)
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)
    assert hub.cloud.permissions

    hub.cloud.pages = {SNAPSHOTS: 1000}
    hub.cloud.tag(AMI, None)
    hub.wait(HOUR // 4)
    assert all(copy.deleted for copy in hub.cloud.copies.values())
    assert not hub.cloud.permissions
