"""Time-based copies in the simulator: AWS is asked for a time, and where it has no throughput left, for none."""

from demo import stage
from tests.scenarios.scene import DEV, HUB, targets_file

FILE = targets_file(complete_within="15m")
HUGE = 1_800
"""GiB that take 2,000 MiB a second, the whole quota, for 15 minutes."""


def test_copies_are_asked_for_within_the_time_of_the_targets_file(scene):
    """Each copy is time-based; the plan says what that costs at most."""
    scene.apply(FILE)
    status, plan, _ = scene.cli("plan", scene.image, "default")
    scene.promote("default")

    assert status == 0
    assert "for time-based copies" in plan
    asked = [copy.params.get("CompletionDurationMinutes") for copy in scene.calls("CopySnapshot")]
    assert asked == [15] * len(asked)
    assert {copy["TransferType"] for copy in scene.snapshots_in(DEV)} == {"time-based"}


def test_where_the_throughput_is_used_up_the_ami_arrives_all_the_same(scene):
    """Somebody else in the account copies a huge snapshot: the service's are copied without a time, and none twice."""
    scene.apply(FILE)
    scene.world.ec2.pace.copy_per_gib = 10
    other = scene.world.ec2.seed_image(
        HUB, scene.world.client("ec2", HUB, stage.REGION).meta.region_name, name="other", volumes=(HUGE,)
    )
    (snapshot,) = [one for one in scene.world.ec2.state.snapshots.all() if one.size == HUGE]
    scene.share_before(DEV, snapshot.id)
    ec2 = scene.client("ec2", DEV)
    ec2.copy_snapshot(SourceRegion=stage.REGION, SourceSnapshotId=snapshot.id, CompletionDurationMinutes=15)
    scene.promote("default")

    ours = [one for one in scene.snapshots_in(DEV) if one["VolumeSize"] != HUGE]
    assert scene.states() == {DEV: "delivered"}
    assert {one["TransferType"] for one in ours} == {"standard"}
    assert len(ours) == len(scene.snapshots), f"each once, and {other} is not ours"
