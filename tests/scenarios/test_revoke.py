"""Revoking: on failure, cancel and deadline as on success; never under a copy that is wanted, and always in the end."""

from demo import stage
from tests.scenarios import failures
from tests.scenarios.scene import DEV

ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
SHORT = stage.TARGETS_FILE.replace("groups:", "  copy_deadline: 5m\ngroups:", 1)


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
