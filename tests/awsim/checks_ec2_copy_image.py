"""Checks of CopyImage: what it requires, what it copies and what not, and how it ends."""

from collections.abc import Callable
from typing import Any

from awsim.services.ec2 import image_copies
from awsim.world import World
from tests.awsim.ec2_words import (
    DEV,
    HERE,
    HOURS,
    HUB,
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
from tests.awsim.platform_words import refused, wait

Details = dict[str, Any]


def permit(world: World, image: str, account: str = DEV, verb: str = "Add") -> None:
    """Add or remove an account's launch permission for a hub image."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={verb: [{"UserId": account}]})


def shared_image(world: World, name: str = "golden", account: str = DEV, **details: Any) -> str:
    """Make a hub image that an account may launch and copy."""
    image = an_image(world, name, **details)
    permit(world, image, account)
    for mapping in shown_image(world, image)["BlockDeviceMappings"]:
        share(world, mapping["Ebs"]["SnapshotId"], account)
    return image


def copy_image(world: World, image: str, account: str = DEV, region: str = HERE, **details: Any) -> str:
    """Start a copy of a hub image and return its id."""
    name = f"copy-{len(world.ec2.state.images.all())}"
    asked = {"SourceRegion": HERE, "SourceImageId": image, "Name": name} | details
    return str(ec2(world, account, region).copy_image(**asked)["ImageId"])


def ended(world: World, image: str, state: str, account: str = DEV) -> Details:
    """Let a copy end, assert how, and return it as its owner sees it."""
    wait(world, HOURS)
    found = shown_image(world, image, account)
    assert found["State"] == state, found
    return found


def launch_permission(world: World) -> None:
    """A foreign image without a launch permission does not exist for CopyImage, though its snapshots are shared."""
    image = an_image(world)
    share(world, snapshot_of(world, image))

    refused("InvalidAMIID.NotFound", lambda: copy_image(world, image))
    permit(world, image, PROD)
    refused("InvalidAMIID.NotFound", lambda: copy_image(world, image))
    permit(world, image)
    ended(world, copy_image(world, image), "available")
    refused("InvalidAMIID.NotFound", lambda: copy_image(world, image, SourceRegion=WEST))


def storage(world: World) -> None:
    """Each snapshot must be shared too."""
    image = shared_image(world, volumes=[8, 9])
    unshare(world, snapshot_of(world, image, "/dev/sdb"))

    refused("InvalidRequest", lambda: copy_image(world, image))


def permitted_to_the_end(world: World) -> None:
    """A copy fails if its source is not launchable, deregistered or disabled at its end; its owner gets an event."""
    ends: list[Callable[[str], Any]] = [
        lambda image: permit(world, image, verb="Remove"),
        lambda image: ec2(world).deregister_image(ImageId=image),
        lambda image: ec2(world).disable_image(ImageId=image),
    ]
    for number, end in enumerate(ends):
        image = shared_image(world, f"golden-{number}")
        mine = copy_image(world, image)
        end(image)
        found = ended(world, mine, "failed")
        assert found["StateReason"]["Message"] == "Copy image failed with an internal error"


def fails_late(world: World) -> None:
    """An unusable key is accepted; the image then fails with a reason and an event. So does one with a lost share."""
    closed, open_ = new_key(world), new_key(world, users=(DEV,))
    sealed = shared_image(world, "sealed", key=closed)
    usable = shared_image(world, "usable", key=open_)
    target = new_key(world, DEV)
    no_source = copy_image(world, sealed, Encrypted=True, KmsKeyId=target)
    no_target = copy_image(world, usable, Encrypted=True, KmsKeyId=new_key(world, PROD))
    good = copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    cut = copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    assert shown_image(world, cut, DEV)["State"] == "pending"

    why = "AMI snapshot copy failed with error: Given key ID is not accessible"
    for image in (no_source, no_target):
        assert ended(world, image, "failed")["StateReason"]["Message"] == why
    ebs = ended(world, good, "available")["BlockDeviceMappings"][0]["Ebs"]
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]["KmsKeyId"] == target
    late = copy_image(world, usable, Encrypted=True, KmsKeyId=target)
    unshare(world, snapshot_of(world, usable))
    source_gone = "AMI snapshot copy failed with error: Source snapshot ID is not valid"
    assert ended(world, late, "failed")["StateReason"]["Message"] == source_gone
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
    assert reported(world, HUB, "EC2 AMI State Change") == []


def client_token(world: World) -> None:
    """A repeated call returns the same image, also one that failed or is gone; another call is refused."""
    image = shared_image(world)
    asked: Details = {"Name": "mine", "ClientToken": "once"}
    mine = copy_image(world, image, **asked)

    refused("IdempotentParameterMismatch", lambda: copy_image(world, image, Name="other", ClientToken="once"))
    again = ec2(world, DEV).copy_image
    try:
        twin = again(SourceRegion=HERE, SourceImageId=image, **asked)["ImageId"]
        permit(world, image, verb="Remove")
        ended(world, mine, "failed")
        late = again(SourceRegion=HERE, SourceImageId=image, **asked)["ImageId"]
    except ec2(world).exceptions.ClientError as error:
        raise AssertionError("was refused") from error
    assert twin == late == mine
    other = shared_image(world, "other")
    refused("InvalidAMIName.Duplicate", lambda: copy_image(world, other, Name="mine", ClientToken="twice"))


def identical(world: World) -> None:
    """The copy equals the source, also TPM with uefi-preferred, billing and UEFI data, and names its source."""
    attributes: Details = {
        "BootMode": "uefi-preferred",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "Platform": "windows",
        "PlatformDetails": "Windows",
        "UsageOperation": "RunInstances:0002",
        "Architecture": "x86_64",
    }
    image = shared_image(world, volumes=[8, 9], uefi_data="QUFB", **attributes)
    mine = copy_image(world, image, Name="mine", Description="new")
    found = ended(world, mine, "available")

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


def not_carried(world: World) -> None:
    """Launch permissions, protection and description are not copied."""
    image = shared_image(world, Description="d", DeregistrationProtection="enabled-without-cooldown")
    mine = copy_image(world, image)
    found = ended(world, mine, "available")

    shares = ec2(world, DEV).describe_image_attribute(ImageId=mine, Attribute="launchPermission")
    assert shares["LaunchPermissions"] == []
    assert "Description" not in found
    ec2(world, DEV).deregister_image(ImageId=mine)


def tags_stay(world: World) -> None:
    """The owner's tags do not cross accounts; the caller's own are copied on request; given ones go on all parts."""
    image = shared_image(world, tags={"promote": "dev"})
    ec2(world, DEV).create_tags(Resources=[image], Tags=[{"Key": "seen", "Value": "yes"}])
    given = [{"Key": "k", "Value": "v"}]
    specified = [{"ResourceType": kind, "Tags": given} for kind in ("image", "snapshot")]
    plain = ended(world, copy_image(world, image, TagSpecifications=specified), "available")
    asked = ended(world, copy_image(world, image, CopyImageTags=True), "available")
    owned = ended(world, copy_image(world, image, HUB, CopyImageTags=True), "available", HUB)

    assert plain["Tags"] == given
    snapshot = plain["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert ec2(world, DEV).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == given
    assert asked["Tags"] == [{"Key": "seen", "Value": "yes"}]
    assert owned["Tags"] == [{"Key": "promote", "Value": "dev"}]


def at_once(world: World) -> None:
    """The 301st concurrent copy is refused; copies of snapshots are counted separately."""
    image = shared_image(world)
    for _ in range(300):
        copy_image(world, image)

    refused("ResourceLimitExceeded", lambda: copy_image(world, image))
    copy_image(world, image, region=WEST)
    ec2(world, DEV).copy_snapshot(SourceRegion=HERE, SourceSnapshotId=snapshot_of(world, image))


def no_marketplace(world: World) -> None:
    """An image with Marketplace codes is copied with its product codes within its account only."""
    codes = [{"ProductCodeId": "code", "ProductCodeType": "marketplace"}]
    image = shared_image(world, ProductCodes=codes)

    assert ended(world, copy_image(world, image, HUB), "available", HUB)["ProductCodes"] == codes
    refused("InvalidRequest", lambda: copy_image(world, image))


def ebs_only(world: World) -> None:
    """An instance-store image is refused."""
    image = shared_image(world, RootDeviceType="instance-store")

    refused("UnsupportedOperation", lambda: copy_image(world, image))


def mappings_late(world: World) -> None:
    """A pending copy shows no snapshots."""
    mine = copy_image(world, shared_image(world))

    assert not shown_image(world, mine, DEV).get("BlockDeviceMappings")
    assert ended(world, mine, "available")["BlockDeviceMappings"]


CHECKS: dict[str, Callable[[World], None]] = {
    image_copies.LAUNCH_PERMISSION.name: launch_permission,
    image_copies.STORAGE.name: storage,
    image_copies.SHARED_TO_THE_END.name: permitted_to_the_end,
    image_copies.FAILS_LATE.name: fails_late,
    image_copies.TOKEN.name: client_token,
    image_copies.IDENTICAL.name: identical,
    image_copies.NOT_CARRIED.name: not_carried,
    image_copies.TAGS_STAY.name: tags_stay,
    image_copies.AT_ONCE.name: at_once,
    image_copies.NO_MARKETPLACE.name: no_marketplace,
    image_copies.EBS_ONLY.name: ebs_only,
    image_copies.MAPPINGS_LATE.name: mappings_late,
}
