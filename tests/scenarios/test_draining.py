"""``ami-promoter admin drain`` on a running hub, until its stack may be deleted."""

import pytest

from tests.scenarios.scene import DEV, PROD


def drain(scene, *options):
    """Run ``ami-promoter admin drain --json``."""
    status, reported = scene.answer("admin", "drain", "--yes", *options)
    assert status in (0, 4), reported
    return status, reported


@pytest.fixture
def busy(scene):
    """An AMI that is being copied to a target."""
    scene.begin_copies(seconds=600)
    return scene


def test_copies_are_let_end_and_then_nothing_is_open(busy):
    """Running copies are delivered, deliveries that opened nothing are cancelled, and new tags start nothing."""
    status, report = drain(busy)
    assert (status, report["drained"]) == (4, False)
    second = busy.seed("tagged-while-paused", volumes=[1])
    busy.tag(PROD, second)
    busy.run_until_over()
    busy.wait(300)  # until two looks have missed what was closed

    status, report = drain(busy)

    assert (status, report["under_way"], report["open_shares"]) == (0, {}, [])
    assert busy.states() == {DEV: "delivered"}
    assert busy.images_in(PROD) == []
    busy.assert_invariants()


def test_copies_are_deleted_first_if_notified_so(busy):
    """No copy is waited for: each is deleted, its share closes, and its delivery is cancelled.

    The tag stays, so that resuming starts it again.
    """
    drain(busy, "--delete-copies")
    busy.run_until_state("cancelled")
    busy.wait(300)

    status, report = drain(busy, "--delete-copies")

    assert (status, report["drained"]) == (0, True)
    assert busy.states() == {DEV: "cancelled"}
    assert busy.snapshots_in(DEV) == []
    assert busy.reported() == {"delivery.cancelled": 1}
    busy.assert_invariants()

    assert busy.cli("admin", "resume")[0] == 0
    busy.run_until_over()
    busy.assert_delivered(DEV)
