"""Checks of what DescribeSnapshots shows, of DeleteSnapshot, and of volumes."""

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    HOURS,
    OPS,
    a_snapshot,
    an_image,
    copy,
    ec2,
    new_key,
    share,
    shown_snapshot,
    snapshot_of,
)
from platform_words import after, refused, wait


def ec2_foreign_is_invisible(world: World) -> None:
    image = an_image(world)
    snapshot = snapshot_of(world, image)

    assert ec2(world, DEV).describe_images(ImageIds=[image])["Images"] == []
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"] == []
    share(world, snapshot)
    assert shown_snapshot(world, snapshot, DEV)["OwnerId"] == OPS


def ec2_only_the_owner_changes(world: World) -> None:
    snapshot = a_snapshot(world, shared=True)

    other = ec2(world, DEV)
    permission = {"Add": [{"UserId": DEV}]}
    code, kind = "InvalidSnapshot.NotFound", "createVolumePermission"
    refused(code, other.modify_snapshot_attribute, SnapshotId=snapshot, CreateVolumePermission=permission)
    refused(code, other.describe_snapshot_attribute, SnapshotId=snapshot, Attribute=kind)
    refused("AuthFailure", other.delete_snapshot, SnapshotId=snapshot)


def ec2_inaccessible_snapshot_left_out(world: World) -> None:
    foreign = a_snapshot(world)
    own = _copy_of(world)

    other = ec2(world, DEV)
    try:
        found = other.describe_snapshots(SnapshotIds=[foreign, own])["Snapshots"]
    except other.exceptions.ClientError as error:
        raise AssertionError("refused instead of left out") from error
    assert [snapshot["SnapshotId"] for snapshot in found] == [own]
    refused("InvalidSnapshot.NotFound", other.describe_snapshots, SnapshotIds=["snap-00000000000000000"])
    for wrong in ("snap-1", f"snap-{'A' * 17}", "vol-0123456789abcdef0"):
        why = f"Value ({wrong}) for parameter snapshotId is invalid. Expected: 'snap-...'."
        refused("InvalidParameterValue", other.describe_snapshots, SnapshotIds=[wrong], saying=why)


def _copy_of(world: World) -> str:
    """Make a snapshot in another account: a copy of a shared one."""
    source = a_snapshot(world)
    share(world, source)
    return copy(world, source)


def ec2_describe_snapshots_scope(world: World) -> None:
    mine = _copy_of(world)

    client = ec2(world, DEV)
    everything = {s["SnapshotId"] for s in client.describe_snapshots()["Snapshots"]}
    owned = [s["SnapshotId"] for s in client.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    theirs = client.describe_snapshots(OwnerIds=[OPS], RestorableByUserIds=["self"])["Snapshots"]

    assert len(everything) == 2
    assert owned == [mine]
    assert len(theirs) == 1
    by_status = [{"Name": "status", "Values": ["completed"]}]
    assert client.describe_snapshots(OwnerIds=["self"], Filters=by_status)["Snapshots"] == []
    wrong = [{"Name": "no-such-filter", "Values": ["x"]}]
    refused("InvalidParameterValue", client.describe_snapshots, Filters=wrong)


def ec2_describe_pages(world: World) -> None:
    wanted = {a_snapshot(world) for _ in range(12)}

    client = ec2(world)
    first = client.describe_snapshots(OwnerIds=["self"], MaxResults=5)
    assert len(first["Snapshots"]) == 5
    assert first["NextToken"]
    pages_of = client.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5})
    listed = [snapshot["SnapshotId"] for page in pages_of for snapshot in page["Snapshots"]]
    assert sorted(listed) == sorted(wanted)
    words = "for parameter NextToken is invalid. The token is invalid."
    abroad = world.client("ec2", account="111111111111", region="eu-west-1")
    for call, token in (
        (client.describe_snapshots, "of nobody"),
        (client.describe_images, first["NextToken"]),
        (abroad.describe_snapshots, first["NextToken"]),
    ):
        refused("InvalidParameterValue", call, NextToken=token, saying=words)
    refused("InvalidParameterValue", client.describe_snapshots, MaxResults=4)
    some = sorted(wanted)[:1]
    refused("InvalidParameterCombination", client.describe_snapshots, SnapshotIds=some, MaxResults=5)
    refused("InvalidParameterValue", client.describe_images, MaxResults=1, saying="maxResults")
    words = "The parameter imageIdsSet cannot be used with the parameter maxResults"
    image = an_image(world)
    refused("InvalidParameterCombination", client.describe_images, ImageIds=[image], MaxResults=5, saying=words)


def ec2_filters_after_pages(world: World) -> None:
    wanted = sorted(a_snapshot(world) for _ in range(12))

    client = ec2(world)
    found = []
    for snapshot in wanted:
        by_id = [{"Name": "snapshot-id", "Values": [snapshot]}]
        pages_of = client.get_paginator("describe_snapshots").paginate(Filters=by_id, MaxResults=5)
        found.append([len(page["Snapshots"]) for page in pages_of])
    assert sorted(found) == [[0, 0, 1]] * 2 + [[0, 1, 0]] * 5 + [[1, 0, 0]] * 5


def ec2_unpaged_lists_fail(world: World) -> None:
    for n in range(1001):
        an_image(world, f"image-{n}", volumes=[])

    client = ec2(world)
    pages_of = client.get_paginator("describe_images").paginate(Owners=["self"], MaxResults=1000)
    assert [len(page["Images"]) for page in pages_of] == [1000, 1]
    by_name = [{"Name": "name", "Values": ["image-7"]}]
    refused("RequestLimitExceeded", client.describe_images, Owners=["self"], Filters=by_name)


def ec2_describe_order_not_fixed(world: World) -> None:
    made = [an_image(world, f"image-{n}", volumes=[8, 9, 10, 11, 12, 13, 14]) for n in range(8)]

    found = ec2(world).describe_images(Owners=["self"])["Images"]
    mappings = found[0]["BlockDeviceMappings"]
    assert sorted(image["ImageId"] for image in found) == sorted(made)
    assert [image["ImageId"] for image in found] != made
    assert [m["DeviceName"] for m in mappings] != sorted(m["DeviceName"] for m in mappings)


def ec2_reads_may_be_stale(world: World) -> None:
    wait(world, 100)
    snapshot = a_snapshot(world)
    wait(world, 10)
    share(world, snapshot)
    wait(world, 10)

    client = ec2(world)
    with world.ec2.stale(15, "DescribeSnapshotAttribute"):
        late = client.describe_snapshot_attribute(Attribute="createVolumePermission", SnapshotId=snapshot)
    fresh = client.describe_snapshot_attribute(Attribute="createVolumePermission", SnapshotId=snapshot)
    world.injections.stale_reads("DescribeSnapshotAttribute", seconds=15)
    injected = client.describe_snapshot_attribute(Attribute="createVolumePermission", SnapshotId=snapshot)

    assert late["CreateVolumePermissions"] == injected["CreateVolumePermissions"] == []
    assert fresh["CreateVolumePermissions"] == [{"UserId": DEV}]


def ec2_snapshot_in_use(world: World) -> None:
    image = an_image(world)
    snapshot = snapshot_of(world, image)

    refused("InvalidSnapshot.InUse", ec2(world).delete_snapshot, SnapshotId=snapshot)
    ec2(world).deregister_image(ImageId=image)
    ec2(world).delete_snapshot(SnapshotId=snapshot)
    refused("InvalidSnapshot.NotFound", shown_snapshot, world, snapshot)


def ec2_pending_snapshot_deleted_at_its_end(world: World) -> None:
    mine = _copy_of(world)
    ec2(world, DEV).delete_snapshot(SnapshotId=mine)

    found = ec2(world, DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [snapshot["State"] for snapshot in found] == ["pending"]
    assert ec2(after(world, HOURS), DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def ec2_volume_key_checked_late(world: World) -> None:
    key = new_key(world)
    asked = {"AvailabilityZone": f"{HERE}a", "Size": 8, "Encrypted": True}
    bad = ec2(world).create_volume(**asked, KmsKeyId="alias/none")["VolumeId"]
    good = ec2(world).create_volume(**asked, KmsKeyId=key)["VolumeId"]

    states = {v["VolumeId"]: v["State"] for v in ec2(world).describe_volumes(VolumeIds=[bad, good])["Volumes"]}
    assert states == {bad: "error", good: "available"}
    snapshot = ec2(world).create_snapshot(VolumeId=good)
    assert snapshot["State"] == "pending"
    wait(world, 120)
    found = shown_snapshot(world, snapshot["SnapshotId"])
    assert (found["State"], found["Progress"], found["KmsKeyId"]) == ("completed", "100%", key)
