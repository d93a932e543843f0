"""Checks of what DescribeImages and DescribeImageAttribute show, and of the end of an image."""

from collections.abc import Callable
from datetime import timedelta

from awsim.services.ec2 import image_attributes, images, retirement
from awsim.world import World
from tests.awsim.ec2_words import (
    DEV,
    HERE,
    HUB,
    an_image,
    ec2,
    new_key,
    reported,
    shown_image,
    shown_snapshot,
    snapshot_of,
)
from tests.awsim.platform_words import refused, wait


def launch(world: World, image: str, account: str = DEV) -> None:
    """Let an account launch an image of the hub."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": account}]})


def lingers(world: World) -> None:
    """A deregistered image is shown for a while, then not, then refused by id; its attributes fail at once."""
    image = an_image(world)
    ec2(world).deregister_image(ImageId=image)

    client = ec2(world)
    try:
        first = client.describe_images(ImageIds=[image])["Images"]
        wait(world, 120)
        second = client.describe_images(ImageIds=[image])["Images"]
    except client.exceptions.ClientError as error:
        raise AssertionError("refused at once") from error
    assert [found["State"] for found in first] == ["deregistered"]
    assert second == []
    wait(world, 2 * 3600)
    refused("InvalidAMIID.NotFound", lambda: client.describe_images(ImageIds=[image]))
    refused("InvalidAMIID.NotFound", lambda: client.deregister_image(ImageId=image))


def scoped(world: World) -> None:
    """Owners and ExecutableUsers filter; a shared image is among those that the caller may launch."""
    mine = world.ec2.seed_image(DEV, HERE, name="mine")
    shared = an_image(world)
    an_image(world, "not shared")
    launch(world, shared)

    client = ec2(world, DEV)
    everything = {image["ImageId"] for image in client.describe_images()["Images"]}
    owned = [image["ImageId"] for image in client.describe_images(Owners=["self"])["Images"]]
    theirs = [image["ImageId"] for image in client.describe_images(ExecutableUsers=["self"])["Images"]]
    assert everything == {mine, shared}
    assert owned == [mine]
    assert theirs == [shared]
    by_name = [{"Name": "name", "Values": ["gold*"]}]
    assert [i["ImageId"] for i in client.describe_images(Filters=by_name)["Images"]] == [shared]
    by_snapshot = [{"Name": "block-device-mapping.snapshot-id", "Values": [snapshot_of(world, shared)]}]
    assert [i["ImageId"] for i in ec2(world).describe_images(Filters=by_snapshot)["Images"]] == [shared]


def old_hidden(world: World) -> None:
    """A deprecated image is missing in others' lists, but not in its owner's, nor if it is named."""
    image = an_image(world)
    launch(world, image)
    ec2(world).enable_image_deprecation(ImageId=image, DeprecateAt=world.now + timedelta(hours=1))
    assert len(ec2(world, DEV).describe_images()["Images"]) == 1
    wait(world, 2 * 3600)

    assert ec2(world, DEV).describe_images()["Images"] == []
    assert len(ec2(world, DEV).describe_images(IncludeDeprecated=True)["Images"]) == 1
    assert len(ec2(world, DEV).describe_images(ImageIds=[image])["Images"]) == 1
    assert len(ec2(world).describe_images(Owners=["self"])["Images"]) == 1


def tags_private(world: World) -> None:
    """The other account does not see the image's tags, and may add its own."""
    image = an_image(world, tags={"promote": "dev"})
    launch(world, image)

    assert "Tags" not in shown_image(world, image, DEV)
    ec2(world, DEV).create_tags(Resources=[image], Tags=[{"Key": "seen", "Value": "yes"}])
    assert shown_image(world, image, DEV)["Tags"] == [{"Key": "seen", "Value": "yes"}]
    assert shown_image(world, image)["Tags"] == [{"Key": "promote", "Value": "dev"}]


def shows_encrypted(world: World) -> None:
    """Each EBS mapping shows whether it is encrypted, without the key."""
    image = an_image(world, key=new_key(world))

    ebs = shown_image(world, image)["BlockDeviceMappings"][0]["Ebs"]
    assert ebs.get("Encrypted") is True
    assert "KmsKeyId" not in ebs


def no_mappings(world: World) -> None:
    """The attribute blockDeviceMapping is refused."""
    image = an_image(world)
    client = ec2(world)

    refused("AuthFailure", lambda: client.describe_image_attribute(ImageId=image, Attribute="blockDeviceMapping"))


def uefi_apart(world: World) -> None:
    """UEFI data is an attribute of its own; the other attributes equal DescribeImages."""
    image = an_image(world, uefi_data="QUFB", BootMode="uefi", Description="d", ImdsSupport="v2.0", TpmSupport="v2.0")

    def attribute(name: str, member: str) -> object:
        found = ec2(world).describe_image_attribute(ImageId=image, Attribute=name)
        return found.get(member, {}).get("Value")

    assert "UefiData" not in shown_image(world, image)
    assert attribute("uefiData", "UefiData") == "QUFB"
    assert attribute("bootMode", "BootMode") == "uefi"
    assert attribute("description", "Description") == "d"
    assert attribute("imdsSupport", "ImdsSupport") == "v2.0"
    assert attribute("tpmSupport", "TpmSupport") == "v2.0"
    assert attribute("sriovNetSupport", "SriovNetSupport") == "simple"
    assert attribute("deregistrationProtection", "DeregistrationProtection") == "disabled"
    assert attribute("kernel", "KernelId") is None
    launch(world, image)
    permissions = ec2(world).describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert permissions == [{"UserId": DEV}]
    refused("AuthFailure", lambda: ec2(world, DEV).describe_image_attribute(ImageId=image, Attribute="uefiData"))


def one_attribute(world: World) -> None:
    """Description and IMDS support are set one by one."""
    image, client = an_image(world), ec2(world)
    description, imds = {"Value": "new"}, {"Value": "v2.0"}

    refused(
        "InvalidParameterCombination",
        lambda: client.modify_image_attribute(ImageId=image, Description=description, ImdsSupport=imds),
    )
    client.modify_image_attribute(ImageId=image, Description=description)
    client.modify_image_attribute(ImageId=image, ImdsSupport=imds)
    found = shown_image(world, image)
    assert (found["Description"], found["ImdsSupport"]) == ("new", "v2.0")


def imds_stays(world: World) -> None:
    """IMDS support cannot be set to anything but v2.0."""
    image = an_image(world, ImdsSupport="v2.0")
    client = ec2(world)

    refused(
        "InvalidParameterValue", lambda: client.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v1.0"})
    )


def deprecation_in_future(world: World) -> None:
    """A past time and one too far ahead are refused; the time is rounded to the minute, and can be removed."""
    image, client = an_image(world), ec2(world)

    for days in (-1, 4000):
        at = world.now + timedelta(days=days)
        refused("InvalidParameterValue", lambda at=at: client.enable_image_deprecation(ImageId=image, DeprecateAt=at))
    client.enable_image_deprecation(ImageId=image, DeprecateAt=world.start + timedelta(days=1, seconds=40))
    assert shown_image(world, image)["DeprecationTime"] == "2026-01-06T09:01:00.000Z"
    client.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in shown_image(world, image)


def protection(world: World) -> None:
    """A protected image cannot be deregistered; an unprotected one can."""
    image, client = an_image(world), ec2(world)
    protected = an_image(world, "protected", DeregistrationProtection="enabled-without-cooldown")

    refused("OperationNotPermitted", lambda: client.deregister_image(ImageId=protected))
    client.enable_image_deregistration_protection(ImageId=protected)
    client.disable_image_deregistration_protection(ImageId=protected)
    client.deregister_image(ImageId=protected)
    client.deregister_image(ImageId=image)


def deletes_snapshots(world: World) -> None:
    """On request an image's snapshots are deleted with it, except for those that another image uses."""
    image = an_image(world, volumes=[8, 9])
    shared, own = snapshot_of(world, image), snapshot_of(world, image, "/dev/sdb")
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": shared}}
    ec2(world).register_image(Name="second", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping])

    answer = ec2(world).deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    results = {result["SnapshotId"]: result["ReturnCode"] for result in answer.get("DeleteSnapshotResults", [])}
    assert results == {shared: "skipped", own: "success"}
    assert shown_snapshot(world, shared)["OwnerId"] == HUB
    refused("InvalidSnapshot.NotFound", lambda: shown_snapshot(world, own))


def disabling_unshares(world: World) -> None:
    """Disabling removes every launch permission, and enabling restores none; the owner gets one event for each."""
    image, client = an_image(world), ec2(world)
    launch(world, image)
    for switch in (client.disable_image, client.disable_image, client.enable_image):
        switch(ImageId=image)

    assert world.ec2.foreign_permissions() == []
    refused("InvalidAMIID.NotFound", lambda: shown_image(world, image, DEV))
    assert shown_image(world, image)["State"] == "available"
    details = [event["detail"] for event in reported(world, HUB, "EC2 AMI State Change")]
    assert sorted(detail["State"] for detail in details) == ["available", "disabled"]


CHECKS: dict[str, Callable[[World], None]] = {
    images.LINGERS.name: lingers,
    images.SCOPED.name: scoped,
    images.OLD_HIDDEN.name: old_hidden,
    images.TAGS_PRIVATE.name: tags_private,
    images.SHOWS_ENCRYPTED.name: shows_encrypted,
    image_attributes.NO_MAPPINGS.name: no_mappings,
    image_attributes.UEFI_APART.name: uefi_apart,
    image_attributes.ONE_ATTRIBUTE.name: one_attribute,
    image_attributes.IMDS_STAYS.name: imds_stays,
    retirement.UNSHARED.name: disabling_unshares,
    retirement.IN_FUTURE.name: deprecation_in_future,
    retirement.PROTECTED.name: protection,
    retirement.DELETES_SNAPSHOTS.name: deletes_snapshots,
}
