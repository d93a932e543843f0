"""Revoking: on failure, cancel and deadline as on success; never under a copy that is wanted, and always in the end."""

import pytest

from demo import stage
from tests.scenarios import failures
from tests.scenarios.platform import pace
from tests.scenarios.scene import DEV, TEST

ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
SHORT = stage.TARGETS_FILE.replace("groups:", "  copy_deadline: 5m\ngroups:", 1)


def metric(scene, name):
    """Sum of a metric over all invocations."""
    entries = (entry for invocation in scene.world.lambda_.invocations for entry in invocation.metrics)
    return sum(value for entry in entries for value in entry.get(name, []))


def test_a_cancel_closes_the_share_though_its_copies_run_for_hours(scene):
    """EC2 accepts the deletion of a running copy, and does it when the copy ends: the share does not wait for that."""
    scene.begin_copies(seconds=2 * 3600)
    scene.untag()
    scene.run_until_state("stopping")
    assert scene.after(120).shared_with(scene.snapshots[0]) == set()
    assert [copy["State"] for copy in scene.snapshots_in(DEV)] == ["pending", "pending"]
    assert scene.states() == {DEV: "stopping"}

    assert scene.outcome() == {DEV: "cancelled"}
    assert scene.snapshots_in(DEV) == []
    scene.assert_invariants()


def test_a_cancel_closes_the_share_after_two_refused_deletions(scene):
    """The role lost its right to delete: a person removes the copies, and the share does not wait for them."""
    scene.watch.may_close_blind = True
    scene.begin_copies(seconds=3600)
    failures.deny(scene, DEV, "ec2:DeleteSnapshot")
    scene.untag()
    scene.run_until_state("stopping")
    assert scene.after(600).shared_with(scene.snapshots[0]) == set()

    assert scene.outcome() == {DEV: "cancelled"}
    assert sorted(scene.delivery(DEV)["leftovers"]) == sorted(copy["SnapshotId"] for copy in scene.snapshots_in(DEV))


def test_a_copy_that_never_ends_is_reported_and_its_share_closes_at_the_hard_end(scene):
    """Deadline and grace pass while the copy cannot be deleted: the share closes, and the leftovers are named."""
    scene.apply(SHORT)
    scene.watch.may_close_blind = True
    scene.world.ec2.pace.copy = 1_000_000
    scene.tag("")
    assert scene.outcome() == {DEV: "failed"}
    assert scene.world.shares_open() == []
    (reported,) = scene.notices("delivery.failed")
    assert set(reported["leftovers"]) == {snapshot["SnapshotId"] for snapshot in scene.snapshots_in(DEV)}
    scene.assert_invariants()


@pytest.mark.thorough
def test_a_role_that_vanishes_in_mid_copy_does_not_keep_the_permission_open(scene):
    """The copies cannot be read: the share worker closes at the last closing time, and reports that it closed blind.

    The delivery waits a day longer for a look; then it fails, and names what it made, which stays: it may be good.
    """
    scene.apply(SHORT)
    scene.watch.may_close_blind = True
    scene.world.ec2.pace.copy = 120
    scene.tag("dev")
    scene.run_until(lambda: len(scene.live_copies()) == 4)
    scene.world.iam.roles.drop(ROLE)
    scene.run_until(lambda: not scene.world.shares_open(), 2 * 3600)
    assert scene.states() == {DEV: "copying", TEST: "delivered"}
    pace(scene, "sweep", 15)
    pace(scene, "discover", 60)
    scene.run_until_over(seconds=26 * 3600)
    assert scene.after(90).states() == {DEV: "failed", TEST: "delivered"}
    assert scene.reported()["delivery.failed"] == 1
    left = {snapshot["SnapshotId"] for snapshot in scene.snapshots_in(DEV)}
    assert len(left) == 2
    assert set(scene.delivery(DEV)["leftovers"]) == left
    assert scene.dead_letters() == []
    assert scene.failed_invocations() == []


def test_withdrawing_an_account_whose_role_vanished_in_mid_copy_closes_within_minutes(scene):
    """Nobody need wait for the last closing time: EC2 refuses to delete the copies twice, and the share closes."""
    scene.apply(SHORT)
    scene.world.ec2.pace.copy = 7200
    scene.tag("")
    scene.run_until(lambda: len(scene.live_copies()) == 2)
    scene.world.iam.roles.drop(ROLE)
    began = scene.world.now
    assert scene.said("withdraw", "--yes", "--account", DEV)[0] == 0
    scene.run_until(lambda: not scene.world.shares_open(), 900)
    assert (scene.world.now - began).total_seconds() < 600


def test_the_ledger_closes_at_the_hard_end_although_the_delivery_is_stuck(scene):
    """An unreadable record of a delivery is parked; its shares close at their last closing time, as blind."""
    scene.apply(SHORT)
    scene.watch.may_close_blind = True
    scene.world.ec2.pace.copy = 1200
    scene.tag("")
    scene.run_until(lambda: len(scene.live_copies()) == 2)
    name = {"pk": {"S": f"delivery#{scene.delivery(DEV)['id']}"}, "sk": {"S": "record"}}
    scene.client("dynamodb").update_item(
        TableName="ami-promoter-us-east-1",
        Key=name,
        UpdateExpression="SET body = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{}"}},
    )
    scene.run_until(lambda: not scene.world.shares_open(), 2 * 3600)
    scene.wait(300)  # two minutes of looks

    assert metric(scene, "SharesClosedBlind") == 3
    assert metric(scene, "RecordsParked") == 1


def test_a_removal_that_ec2_forgets_is_repeated_until_it_is_gone(scene):
    """EC2 answers success and removes nothing: a share is closed only when reads no longer show it."""
    scene.world.ec2.state.deaf_removals = 4
    scene.promote("")
    scene.run_until(lambda: not scene.world.shares_open(), 900)

    scene.assert_delivered(DEV)


def test_what_is_released_when_registered_is_open_until_the_ami_is_there(scene):
    """The setting is for users who doubt that EBS is done with the source at `completed`."""
    scene.apply(stage.TARGETS_FILE.replace("groups:", "  release_when: registered\ngroups:", 1))
    scene.world.ec2.pace.register = 40
    open_when_registering = []

    def registering(call):
        if call.operation == "RegisterImage":
            open_when_registering.extend(scene.shared_with(snapshot) for snapshot in scene.snapshots)

    scene.world.gateway.before.append(registering)
    scene.tag("")
    scene.run_until(lambda: open_when_registering)
    scene.wait(20)
    assert open_when_registering == [{DEV}, {DEV}]
    assert [scene.shared_with(snapshot) for snapshot in scene.snapshots] == [{DEV}, {DEV}]
    scene.assert_arrives(DEV)


def test_shares_linger_for_as_long_as_they_are_notified_to(scene):
    """Ten minutes after the last copy they close."""
    scene.apply(stage.TARGETS_FILE.replace("groups:", "  linger: 10m\ngroups:", 1))
    scene.tag("")
    scene.run_until(lambda: scene.images_in(DEV))
    copied = scene.world.now
    assert scene.after(9 * 60).shared_with(scene.snapshots[0]) == {DEV}
    scene.run_until_over()

    assert (scene.world.now - copied).total_seconds() < 13 * 60
    scene.assert_delivered(DEV)
