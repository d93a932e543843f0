"""EC2's limit of twenty concurrent copies into an account: fully used, never exceeded, no share open while it waits.

Fifty AMIs of twenty snapshots queue in tests/service/test_limits.py, in memory.
"""

import heapq
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.scenarios.failures import assert_untouched, refuse
from tests.scenarios.scene import DEV, TEST

pytestmark = pytest.mark.thorough

AT_ONCE = 20
NEAR = 1.15
"""Relative to the least virtual time, which starts with the longest copies; the service cannot know those. From the
first copy to the end of the last it was 1.08.
"""


def least_seconds(durations: Iterable[float]) -> float:
    """The least time for these copies, twenty at once: the longest first, each as soon as a slot is free."""
    free = [0.0] * AT_ONCE
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def test_ten_amis_of_three_snapshots_at_once_into_one_account(scene):
    """All thirty copies complete near the least time that the quota allows; the second target is not delayed."""
    images = [scene.seed(f"three-{n}", volumes=(1, 1, 1), key=None) for n in range(10)]
    open_amis: list[int] = []
    owner = {s["Ebs"]["SnapshotId"]: i for i in images for s in devices(scene, i)}

    def look(call):
        """Count open AMIs before the first closing: the next AMI opens while closings are still collected."""
        if call.operation == "CopySnapshot" and (scene.world.now - began).total_seconds() < 400:
            shared = {owner[p.resource] for p in scene.world.ec2.foreign_permissions() if p.holder == DEV}
            open_amis.append(len(shared))

    scene.world.gateway.after.append(look)
    scene.world.ec2.pace.copy, scene.world.ec2.pace.copy_per_gib = 600, 0
    began = scene.world.now
    for n, image in enumerate(images):
        scene.tag("dev" if n == 0 else DEV, image)
    for image in images:
        scene.run_until_over(image)

    states = Counter(scene.delivery_state(DEV, image) for image in images)
    assert states == {"delivered": 10}, scene.describe()
    assert [n["event"] for n in scene.notices() if n["event"] == "delivery.failed"] == []
    assert scene.watch.peak[DEV] == AT_ONCE
    assert max(open_amis) <= AT_ONCE // 3 + 1, "an AMI is open whose copies wait in the queue"
    copies = [s for s in scene.world.ec2.state.snapshots.of(DEV) if s.origin]
    assert len(copies) == 30
    took = max((s.origin.ends - began).total_seconds() for s in copies)
    least = least_seconds((s.origin.ends - s.started).total_seconds() for s in copies)
    assert took <= NEAR * least, f"{took} s where {least} s would do"
    assert_untouched(scene, TEST, images[0], within=600 * 1.2 + 60)
    assert [call for call in scene.world.calls if call.error == "ResourceLimitExceeded"] == []
    scene.assert_invariants()


@pytest.mark.parametrize("code", ["ResourceLimitExceeded", "PendingSnapshotLimitExceeded"])
def test_too_many_snapshots_under_way_in_a_target_are_waited_for(scene, code):
    """Copies of others, or snapshots that others take there, delay the delivery and fail nothing."""
    met = refuse(scene, "CopySnapshot", DEV, code, seconds=400)

    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    assert met
    scene.assert_invariants()


def devices(scene, image):
    (shown,) = scene.client("ec2").describe_images(ImageIds=[image])["Images"]
    return shown["BlockDeviceMappings"]
