"""Checks of what DescribeImages and DescribeImageAttribute show, and of the end of an image."""

from datetime import timedelta

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    OPS,
    WEST,
    an_image,
    ec2,
    new_key,
    reported,
    shown_image,
    shown_snapshot,
    snapshot_of,
)
from platform_words import after, refused, wait


def _launch(world: World, image: str, account: str = DEV) -> None:
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": account}]})


def ec2_deregistered_image_lingers(world: World) -> None:
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
    refused("InvalidAMIID.Unavailable", client.deregister_image, ImageId=image)
    wait(world, 2 * 3600)
    refused("InvalidAMIID.NotFound", client.describe_images, ImageIds=[image])
    refused("InvalidAMIID.NotFound", client.deregister_image, ImageId=image)


def ec2_describe_images_scope(world: World) -> None:
    mine = world.ec2.seed_image(DEV, HERE, name="mine")
    shared = an_image(world)
    an_image(world, "not shared")
    _launch(world, shared)

    client = ec2(world, DEV)
    everything = {image["ImageId"] for image in client.describe_images()["Images"]}
    owned = [image["ImageId"] for image in client.describe_images(Owners=["self"])["Images"]]
    theirs = [image["ImageId"] for image in client.describe_images(ExecutableUsers=["self"])["Images"]]
    assert everything == {mine, shared}
    assert owned == [mine]
    assert theirs == [shared]
    by_name = [{"Name": "name", "Values": ["bas*"]}]
    assert [i["ImageId"] for i in client.describe_images(Filters=by_name)["Images"]] == [shared]
    by_snapshot = [{"Name": "block-device-mapping.snapshot-id", "Values": [snapshot_of(world, shared)]}]
    assert [i["ImageId"] for i in ec2(world).describe_images(Filters=by_snapshot)["Images"]] == [shared]


def ec2_describe_images_unshared_empty(world: World) -> None:
    image = an_image(world)

    client = ec2(world, DEV)
    try:
        unshared = client.describe_images(ImageIds=[image])["Images"]
    except client.exceptions.ClientError as error:
        raise AssertionError("refused, though the image is there") from error
    assert unshared == []
    _launch(world, image)
    assert [found["ImageId"] for found in client.describe_images(ImageIds=[image])["Images"]] == [image]
    refused("InvalidAMIID.NotFound", ec2(world, DEV, WEST).describe_images, ImageIds=[image])


def ec2_deprecated_image_hidden(world: World) -> None:
    image = an_image(world)
    _launch(world, image)
    ec2(world).enable_image_deprecation(ImageId=image, DeprecateAt=world.now + timedelta(hours=1))
    assert len(ec2(world, DEV).describe_images()["Images"]) == 1
    assert ec2(after(world, 2 * 3600), DEV).describe_images()["Images"] == []
    assert len(ec2(world, DEV).describe_images(IncludeDeprecated=True)["Images"]) == 1
    assert len(ec2(world, DEV).describe_images(ImageIds=[image])["Images"]) == 1
    assert len(ec2(world).describe_images(Owners=["self"])["Images"]) == 1


def ec2_tags_of_others_invisible(world: World) -> None:
    image = an_image(world, tags={"stage": "dev"})
    labelled = an_image(world, tags={"stage": "dev", "ec2:SharedTag/os": "al2023"})
    _launch(world, image)
    _launch(world, labelled)

    assert "Tags" not in shown_image(world, image, DEV)
    assert shown_image(world, labelled, DEV)["Tags"] == [{"Key": "ec2:SharedTag/os", "Value": "al2023"}]
    ec2(world, DEV).create_tags(Resources=[image], Tags=[{"Key": "seen", "Value": "yes"}])
    assert shown_image(world, image, DEV)["Tags"] == [{"Key": "seen", "Value": "yes"}]
    assert shown_image(world, image)["Tags"] == [{"Key": "stage", "Value": "dev"}]


def ec2_describe_images_shows_encrypted(world: World) -> None:
    image = an_image(world, key=new_key(world))

    ebs = shown_image(world, image)["BlockDeviceMappings"][0]["Ebs"]
    assert ebs.get("Encrypted") is True
    assert "KmsKeyId" not in ebs


def ec2_image_attribute_no_mappings(world: World) -> None:
    image = an_image(world)
    client = ec2(world)

    refused("AuthFailure", client.describe_image_attribute, ImageId=image, Attribute="blockDeviceMapping")


def ec2_uefi_data_only_as_attribute(world: World) -> None:
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
    _launch(world, image)
    permissions = ec2(world).describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert permissions == [{"UserId": DEV}]
    refused("AuthFailure", ec2(world, DEV).describe_image_attribute, ImageId=image, Attribute="uefiData")


def ec2_modify_image_one_attribute(world: World) -> None:
    image, client = an_image(world), ec2(world)
    description, imds = {"Value": "new"}, {"Value": "v2.0"}

    refused(
        "InvalidParameterCombination",
        client.modify_image_attribute,
        ImageId=image,
        Description=description,
        ImdsSupport=imds,
    )
    client.modify_image_attribute(ImageId=image, Description=description)
    client.modify_image_attribute(ImageId=image, ImdsSupport=imds)
    found = shown_image(world, image)
    assert (found["Description"], found["ImdsSupport"]) == ("new", "v2.0")


def ec2_imds_support_irreversible(world: World) -> None:
    image = an_image(world, ImdsSupport="v2.0")
    client = ec2(world)

    refused("InvalidParameterValue", client.modify_image_attribute, ImageId=image, ImdsSupport={"Value": "v1.0"})


def ec2_deprecation_in_future(world: World) -> None:
    image, client = an_image(world), ec2(world)

    for away in (timedelta(seconds=-1), timedelta(days=-1), timedelta(days=4000)):
        at = world.now + away
        refused("InvalidParameterValue", client.enable_image_deprecation, ImageId=image, DeprecateAt=at)
    client.enable_image_deprecation(ImageId=image, DeprecateAt=world.start + timedelta(days=1, seconds=40))
    assert shown_image(world, image)["DeprecationTime"] == "2026-01-06T09:01:00.000Z"
    client.enable_image_deprecation(ImageId=image, DeprecateAt=world.now + timedelta(seconds=9))
    assert shown_image(world, image)["DeprecationTime"] == "2026-01-05T09:00:00.000Z"
    client.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in shown_image(world, image)


def ec2_deregistration_protection(world: World) -> None:
    image, client = an_image(world), ec2(world)
    protected = an_image(world, "protected", DeregistrationProtection="enabled-without-cooldown")

    refused("OperationNotPermitted", client.deregister_image, ImageId=protected)
    client.enable_image_deregistration_protection(ImageId=protected)
    client.disable_image_deregistration_protection(ImageId=protected)
    client.deregister_image(ImageId=protected)
    client.deregister_image(ImageId=image)


def ec2_deregistration_cooldown(world: World) -> None:
    image, client = an_image(world), ec2(world)
    client.enable_image_deregistration_protection(ImageId=image, WithCooldown=True)
    client.disable_image_deregistration_protection(ImageId=image)

    wait(world, 86_000)
    assert shown_image(world, image)["DeregistrationProtection"].startswith("disabled after ")
    client.disable_image_deregistration_protection(ImageId=image)
    refused("OperationNotPermitted", client.deregister_image, ImageId=image)
    wait(world, 400)
    assert shown_image(world, image)["DeregistrationProtection"] == "disabled"
    client.deregister_image(ImageId=image)


def ec2_deregister_deletes_snapshots(world: World) -> None:
    image = an_image(world, volumes=[8, 9])
    shared, own = snapshot_of(world, image), snapshot_of(world, image, "/dev/sdb")
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": shared}}
    ec2(world).register_image(Name="second", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping])

    answer = ec2(world).deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    results = {result["SnapshotId"]: result["ReturnCode"] for result in answer.get("DeleteSnapshotResults", [])}
    assert results == {shared: "skipped", own: "success"}
    assert shown_snapshot(world, shared)["OwnerId"] == OPS
    refused("InvalidSnapshot.NotFound", shown_snapshot, world, own)


def ec2_disable_image_removes_shares(world: World) -> None:
    image, client = an_image(world), ec2(world)
    _launch(world, image)
    for switch in (client.disable_image, client.disable_image, client.enable_image):
        switch(ImageId=image)

    assert world.ec2.foreign_permissions() == []
    assert ec2(world, DEV).describe_images(ImageIds=[image])["Images"] == []
    assert shown_image(world, image)["State"] == "available"
    details = [event["detail"] for event in reported(world, OPS, "EC2 AMI State Change")]
    assert sorted(detail["State"] for detail in details) == ["available", "disabled"]
