"""Checks of what DescribeSnapshots shows, of DeleteSnapshot, and of volumes."""

from collections.abc import Callable

from awsim.services.ec2 import access, pages, snapshots, state, volumes
from awsim.world import World
from tests.awsim.ec2_words import (
    DEV,
    HERE,
    HOURS,
    HUB,
    a_snapshot,
    an_image,
    copy,
    ec2,
    new_key,
    share,
    shown_image,
    shown_snapshot,
    snapshot_of,
)
from tests.awsim.platform_words import refused, wait


def foreign_is_invisible(world: World) -> None:
    """Another account sees neither snapshot nor image until the snapshot is shared."""
    image = an_image(world)
    snapshot = snapshot_of(world, image)

    refused("InvalidAMIID.NotFound", lambda: shown_image(world, image, DEV))
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"] == []
    share(world, snapshot)
    assert shown_snapshot(world, snapshot, DEV)["OwnerId"] == HUB


def only_the_owner_changes(world: World) -> None:
    """The other account can use a shared snapshot, but not share or delete it."""
    snapshot = a_snapshot(world)
    share(world, snapshot)

    other = ec2(world, DEV)
    permission = {"Add": [{"UserId": DEV}]}
    refused(
        "AuthFailure", lambda: other.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=permission)
    )
    refused("AuthFailure", lambda: other.delete_snapshot(SnapshotId=snapshot))


def inaccessible_left_out(world: World) -> None:
    """A foreign id is left out of the answer; one that does not exist, or is malformed, is refused."""
    foreign = a_snapshot(world)
    own = copy_of(world)

    other = ec2(world, DEV)
    try:
        found = other.describe_snapshots(SnapshotIds=[foreign, own])["Snapshots"]
    except other.exceptions.ClientError as error:
        raise AssertionError("refused instead of left out") from error
    assert [snapshot["SnapshotId"] for snapshot in found] == [own]
    refused("InvalidSnapshot.NotFound", lambda: other.describe_snapshots(SnapshotIds=["snap-00000000000000000"]))
    refused("InvalidSnapshotID.Malformed", lambda: other.describe_snapshots(SnapshotIds=["snap-1"]))


def copy_of(world: World) -> str:
    """Make a snapshot in another account: a copy of a shared one."""
    source = a_snapshot(world)
    share(world, source)
    return copy(world, source)


def scoped(world: World) -> None:
    """OwnerIds and RestorableByUserIds narrow the answer, and so do filters."""
    mine = copy_of(world)

    client = ec2(world, DEV)
    everything = {s["SnapshotId"] for s in client.describe_snapshots()["Snapshots"]}
    owned = [s["SnapshotId"] for s in client.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    theirs = client.describe_snapshots(OwnerIds=[HUB], RestorableByUserIds=["self"])["Snapshots"]

    assert len(everything) == 2
    assert owned == [mine]
    assert len(theirs) == 1
    by_status = [{"Name": "status", "Values": ["completed"]}]
    assert client.describe_snapshots(OwnerIds=["self"], Filters=by_status)["Snapshots"] == []
    wrong = [{"Name": "no-such-filter", "Values": ["x"]}]
    refused("InvalidParameterValue", lambda: client.describe_snapshots(Filters=wrong))


def paged(world: World) -> None:
    """MaxResults bounds a page, and the pages together have everything once."""
    wanted = {a_snapshot(world) for _ in range(12)}

    client = ec2(world)
    first = client.describe_snapshots(OwnerIds=["self"], MaxResults=5)
    assert len(first["Snapshots"]) == 5
    assert first["NextToken"]
    pages_of = client.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5})
    listed = [snapshot["SnapshotId"] for page in pages_of for snapshot in page["Snapshots"]]
    assert sorted(listed) == sorted(wanted)
    refused("InvalidParameterValue", lambda: client.describe_snapshots(MaxResults=4))
    some = sorted(wanted)[:1]
    refused("InvalidParameterCombination", lambda: client.describe_snapshots(SnapshotIds=some, MaxResults=5))


def no_order(world: World) -> None:
    """Neither images nor their mappings are in the order of their creation."""
    made = [an_image(world, f"image-{n}", volumes=[8, 9, 10, 11, 12, 13, 14]) for n in range(8)]

    found = ec2(world).describe_images(Owners=["self"])["Images"]
    mappings = found[0]["BlockDeviceMappings"]
    assert sorted(image["ImageId"] for image in found) == sorted(made)
    assert [image["ImageId"] for image in found] != made
    assert [m["DeviceName"] for m in mappings] != sorted(m["DeviceName"] for m in mappings)


def stale(world: World) -> None:
    """A read may show an earlier state; the test chooses which operation is late."""
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


def in_use(world: World) -> None:
    """A registered image's snapshot cannot be deleted; after DeregisterImage it can."""
    image = an_image(world)
    snapshot = snapshot_of(world, image)

    refused("InvalidSnapshot.InUse", lambda: ec2(world).delete_snapshot(SnapshotId=snapshot))
    ec2(world).deregister_image(ImageId=image)
    ec2(world).delete_snapshot(SnapshotId=snapshot)
    refused("InvalidSnapshot.NotFound", lambda: shown_snapshot(world, snapshot))


def deleted_late(world: World) -> None:
    """A copy deleted while pending stays, and holds its slot, until it would have ended."""
    mine = copy_of(world)
    ec2(world, DEV).delete_snapshot(SnapshotId=mine)

    found = ec2(world, DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [snapshot["State"] for snapshot in found] == ["pending"]
    wait(world, HOURS)
    assert ec2(world, DEV).describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def volume_key_late(world: World) -> None:
    """CreateVolume accepts an invalid key, and the volume is in error. A valid one makes an encrypted snapshot."""
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


CHECKS: dict[str, Callable[[World], None]] = {
    access.PRIVATE.name: foreign_is_invisible,
    access.OWNER_ONLY.name: only_the_owner_changes,
    snapshots.FEWER.name: inaccessible_left_out,
    snapshots.SCOPED.name: scoped,
    snapshots.IN_USE.name: in_use,
    snapshots.DELETED_LATE.name: deleted_late,
    pages.PAGES.name: paged,
    pages.NO_ORDER.name: no_order,
    state.STALE.name: stale,
    volumes.VOLUME_KEY.name: volume_key_late,
}
