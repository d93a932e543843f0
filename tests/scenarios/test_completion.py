"""Completion: the target's event is a reason to look; the worker reads the truth in EC2."""

from __future__ import annotations

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
    scene.wait(30)

    assert scene.delivery_state(DEV) == "copying"
    assert set(scene.world.shares_open()) == before
    assert scene.images_in(DEV) == []
    scene.run_until_over()
    assert scene.states() == {DEV: "delivered"}
    assert len(scene.snapshots_in(DEV)) == 2
    scene.assert_invariants()
