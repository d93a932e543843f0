"""Completion: the target's event is a reason to look; the worker reads the truth in EC2."""

from tests.scenarios.scene import DEV, STRANGER, TEST


def test_a_forged_completion_changes_nothing(scene):
    """For a pending copy, an unknown snapshot, a wrong account: nothing is registered or revoked too early."""
    scene.begin_copies(seconds=300)
    before = set(scene.world.shares_open())
    root = scene.snapshots[0]
    (copy, *_) = [s["SnapshotId"] for s in scene.snapshots_in(DEV)]
    for result in ("succeeded", "failed"):
        scene.emit_copied(root, copy, DEV, result)
        scene.emit_copied(root, "snap-0123456789abcdef0", DEV, result)
        scene.emit_copied("snap-0123456789abcdef0", copy, DEV, result)
        scene.emit_copied(root, copy, TEST, result)
        scene.emit_copied(root, copy, STRANGER, result)
    assert scene.after(30).delivery_state(DEV) == "copying"
    assert set(scene.world.shares_open()) == before
    assert scene.images_in(DEV) == []
    assert scene.outcome() == {DEV: "delivered"}
    assert len(scene.snapshots_in(DEV)) == 2
    scene.assert_invariants()


def test_malformed_events_are_left_alone(scene):
    """Events of the right kind with nonsense in them: no function fails, and nothing starts."""
    for detail in ({}, {"event": "copySnapshot"}, {"event": "copySnapshot", "source": 7, "snapshot_id": None}):
        scene.emit("EBS Snapshot Notification", "aws.ec2", "nonsense", detail, account=DEV)
    scene.emit("EC2 AMI State Change", "aws.ec2", "", {}, account=DEV)
    scene.emit("EC2 AMI State Change", "aws.ec2", "", {})
    for version in ("1", -1, 10**15, None, True):
        detail = {"changed-tag-keys": ["promote"], "service": "ec2", "resource-type": "image", "version": version}
        arn = f"arn:aws:ec2:us-east-1::image/{scene.image}"
        scene.emit("Tag Change on Resource", "aws.tag", arn, {**detail, "tags": {"promote": "dev"}})
    assert scene.after(60).nothing_happened()
    scene.assert_invariants()
