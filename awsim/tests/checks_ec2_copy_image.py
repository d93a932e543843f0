"""Checks of CopyImage: what it requires, what it copies and what not, and how it ends."""

from collections.abc import Callable
from typing import Any

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    HOURS,
    OPS,
    PROD,
    WEST,
    an_image,
    copies_reported,
    ec2,
    new_key,
    reported,
    share,
    shown_image,
    snapshot_of,
    unshare,
)
from platform_words import refused, wait

Details = dict[str, Any]


def _permit(world: World, image: str, account: str = DEV, verb: str = "Add") -> None:
    """Add or remove an account's launch permission for an image of OPS."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={verb: [{"UserId": account}]})


def _shared_image(world: World, name: str = "base", account: str = DEV, **details: Any) -> str:
    """Make an image of OPS that an account may launch and copy."""
    image = an_image(world, name, **details)
    _permit(world, image, account)
    for mapping in shown_image(world, image)["BlockDeviceMappings"]:
        share(world, mapping["Ebs"]["SnapshotId"], account)
    return image


def _copy_image(world: World, image: str, account: str = DEV, region: str = HERE, **details: Any) -> str:
    """Start a copy of an image of OPS and return its id."""
    name = f"copy-{len(world.ec2.state.images.all())}"
    asked = {"SourceRegion": HERE, "SourceImageId": image, "Name": name} | details
    return str(ec2(world, account, region).copy_image(**asked)["ImageId"])


def _ended(world: World, image: str, state: str, account: str = DEV) -> Details:
    """Let a copy end, assert how, and return it as its owner sees it."""
    wait(world, HOURS)
    found = shown_image(world, image, account)
    assert found["State"] == state, found
    return found


def ec2_copy_image_needs_launch_permission(world: World) -> None:
    image = an_image(world)
    share(world, snapshot_of(world, image))

    refused("InvalidAMIID.NotFound", _copy_image, world, image)
    _permit(world, image, PROD)
    refused("InvalidAMIID.NotFound", _copy_image, world, image)
    _permit(world, image)
    _ended(world, _copy_image(world, image), "available")
    refused("InvalidAMIID.NotFound", _copy_image, world, image, SourceRegion=WEST)


def ec2_copy_image_needs_snapshot_shares(world: World) -> None:
    image = _shared_image(world, volumes=[8, 9])
    unshare(world, snapshot_of(world, image, "/dev/sdb"))

    refused("InvalidRequest", _copy_image, world, image)


def ec2_copy_image_needs_launch_permission_to_the_end(world: World) -> None:
    ends: list[Callable[[str], Any]] = [
        lambda image: _permit(world, image, verb="Remove"),
        lambda image: ec2(world).deregister_image(ImageId=image),
        lambda image: ec2(world).disable_image(ImageId=image),
    ]
    for number, end in enumerate(ends):
        image = _shared_image(world, f"base-{number}")
        mine = _copy_image(world, image)
        end(image)
        found = _ended(world, mine, "failed")
        assert found["StateReason"]["Message"] == "Copy image failed with an internal error"


def ec2_copy_image_fails_late(world: World) -> None:
    closed, open_ = new_key(world), new_key(world, users=(DEV,))
    sealed = _shared_image(world, "sealed", key=closed)
    usable = _shared_image(world, "usable", key=open_)
    target = new_key(world, DEV)
    no_source = _copy_image(world, sealed, Encrypted=True, KmsKeyId=target)
    no_target = _copy_image(world, usable, Encrypted=True, KmsKeyId=new_key(world, PROD))
    good = _copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    cut = _copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    assert shown_image(world, cut, DEV)["State"] == "pending"

    why = "AMI snapshot copy failed with error: Given key ID is not accessible"
    for image in (no_source, no_target):
        assert _ended(world, image, "failed")["StateReason"]["Message"] == why
    ebs = _ended(world, good, "available")["BlockDeviceMappings"][0]["Ebs"]
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]["KmsKeyId"] == target
    late = _copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    unshare(world, snapshot_of(world, usable))
    source_gone = "AMI snapshot copy failed with error: Source snapshot ID is not valid"
    assert _ended(world, late, "failed")["StateReason"]["Message"] == source_gone
    details = [event["detail"] for event in reported(world, DEV, "EC2 AMI State Change")]
    states = {detail["ImageId"]: (detail["State"], detail["ErrorMessage"]) for detail in details}
    assert states == {
        no_source: ("failed", why),
        no_target: ("failed", why),
        good: ("available", ""),
        cut: ("available", ""),
        late: ("failed", source_gone),
    }
    assert len(copies_reported(world, DEV)) == 5
    assert reported(world, OPS, "EC2 AMI State Change") == []


def ec2_copy_image_client_token(world: World) -> None:
    image = _shared_image(world)
    asked: Details = {"Name": "mine", "ClientToken": "once"}
    mine = _copy_image(world, image, **asked)

    refused("IdempotentParameterMismatch", _copy_image, world, image, Name="other", ClientToken="once")
    again = ec2(world, DEV).copy_image
    try:
        twin = again(SourceRegion=HERE, SourceImageId=image, **asked)["ImageId"]
        _permit(world, image, verb="Remove")
        _ended(world, mine, "failed")
        late = again(SourceRegion=HERE, SourceImageId=image, **asked)["ImageId"]
    except ec2(world).exceptions.ClientError as error:
        raise AssertionError("was refused") from error
    assert twin == late == mine
    other = _shared_image(world, "other")
    refused("InvalidAMIName.Duplicate", _copy_image, world, other, Name="mine", ClientToken="twice")


def ec2_copy_image_identical(world: World) -> None:
    attributes: Details = {
        "BootMode": "uefi-preferred",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "Platform": "windows",
        "PlatformDetails": "Windows",
        "UsageOperation": "RunInstances:0002",
        "Architecture": "x86_64",
    }
    image = _shared_image(world, volumes=[8, 9], uefi_data="QUFB", **attributes)
    mine = _copy_image(world, image, Name="mine", Description="new")
    found = _ended(world, mine, "available")

    assert {name: found.get(name) for name in attributes} == attributes
    lineage = (found["Name"], found["Description"], found.get("SourceImageId"), found.get("SourceImageRegion"))
    assert lineage == ("mine", "new", image, HERE)
    data = ec2(world, DEV).describe_image_attribute(ImageId=mine, Attribute="uefiData")
    assert data["UefiData"] == {"Value": "QUFB"}

    def sizes(of: Details) -> dict[str, tuple[int, str]]:
        return {m["DeviceName"]: (m["Ebs"]["VolumeSize"], m["Ebs"]["VolumeType"]) for m in of["BlockDeviceMappings"]}

    assert sizes(found) == sizes(shown_image(world, image))
    mine_own = {m["Ebs"]["SnapshotId"] for m in found["BlockDeviceMappings"]}
    listed = ec2(world, DEV).describe_snapshots(SnapshotIds=sorted(mine_own))["Snapshots"]
    assert {(s["OwnerId"], s["VolumeId"]) for s in listed} == {(DEV, "vol-ffffffff")}


def ec2_copy_image_leaves_shares(world: World) -> None:
    image = _shared_image(world, Description="d", DeregistrationProtection="enabled-without-cooldown")
    mine = _copy_image(world, image)
    found = _ended(world, mine, "available")

    shares = ec2(world, DEV).describe_image_attribute(ImageId=mine, Attribute="launchPermission")
    assert shares["LaunchPermissions"] == []
    assert "Description" not in found
    ec2(world, DEV).deregister_image(ImageId=mine)


def ec2_copy_image_tags_of_others_stay(world: World) -> None:
    shared = {"Key": "ec2:SharedTag/os", "Value": "al2023"}
    image = _shared_image(world, tags={"stage": "dev", shared["Key"]: shared["Value"]})
    ec2(world, DEV).create_tags(Resources=[image], Tags=[{"Key": "seen", "Value": "yes"}])
    given = [{"Key": "k", "Value": "v"}]
    specified = [{"ResourceType": kind, "Tags": given} for kind in ("image", "snapshot")]
    plain = _ended(world, _copy_image(world, image, TagSpecifications=specified), "available")
    asked = _ended(world, _copy_image(world, image, CopyImageTags=True), "available")
    owned = _ended(world, _copy_image(world, image, OPS, CopyImageTags=True), "available", OPS)

    assert plain["Tags"] == given
    snapshot = plain["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == given
    assert sorted(asked["Tags"], key=str) == [shared, {"Key": "seen", "Value": "yes"}]
    assert sorted(owned["Tags"], key=str) == [shared, {"Key": "stage", "Value": "dev"}]


def ec2_image_copies_at_once(world: World) -> None:
    image = _shared_image(world)
    for _ in range(300):
        _copy_image(world, image)

    refused("ResourceLimitExceeded", _copy_image, world, image)
    _copy_image(world, image, region=WEST)
    ec2(world, DEV).copy_snapshot(SourceRegion=HERE, SourceSnapshotId=snapshot_of(world, image))


def ec2_copy_image_no_foreign_marketplace(world: World) -> None:
    codes = [{"ProductCodeId": "code", "ProductCodeType": "marketplace"}]
    image = _shared_image(world, ProductCodes=codes)

    assert _ended(world, _copy_image(world, image, OPS), "available", OPS)["ProductCodes"] == codes
    refused("InvalidRequest", _copy_image, world, image)


def ec2_copy_image_instance_store(world: World) -> None:
    image = _shared_image(world, RootDeviceType="instance-store")

    refused("UnsupportedOperation", _copy_image, world, image)


def ec2_copy_image_mappings_late(world: World) -> None:
    mine = _copy_image(world, _shared_image(world))

    assert not shown_image(world, mine, DEV).get("BlockDeviceMappings")
    assert _ended(world, mine, "available")["BlockDeviceMappings"]
