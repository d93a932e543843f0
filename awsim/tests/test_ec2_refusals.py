"""What EC2 refuses for its form, and details of filters, pages and volumes."""

import pytest

from awsim.world import World
from ec2_words import (
    DEV,
    HERE,
    OPS,
    a_snapshot,
    an_image,
    copy,
    ec2,
    new_key,
    register,
    share,
    shown_image,
    shown_snapshot,
)
from platform_words import refused, wait


def names(world: World, value: str) -> list[str]:
    """Return the names of the images of OPS that match a filter by name."""
    found = ec2(world).describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [value]}])["Images"]
    return sorted(image["Name"] for image in found)


def test_filters_have_wildcards(world: World) -> None:
    """* and ? are wildcards unless a backslash precedes; case counts, and values are alternatives."""
    for name in ("base-1", "base-22", "Base-1", "ba.e-1"):
        an_image(world, name)

    assert names(world, "base-*") == ["base-1", "base-22"]
    assert names(world, "base-?") == ["base-1"]
    assert names(world, "ba.e-1") == ["ba.e-1"]
    assert names(world, r"base-\*") == []
    both = [{"Name": "name", "Values": ["base-1", "Base-1"]}, {"Name": "architecture", "Values": ["x86_64"]}]
    assert len(ec2(world).describe_images(Filters=both)["Images"]) == 2


def test_filters_that_cannot_be(world: World) -> None:
    """A filter without values is refused, and a call that has more than 200 in all its filters."""
    client = ec2(world)

    empty, many = [{"Name": "name", "Values": []}], [{"Name": "name", "Values": [str(n) for n in range(200)]}]
    refused("InvalidParameterValue", client.describe_images, Filters=empty)
    assert client.describe_images(Filters=many)["Images"] == []
    words = "The maximum number of filter values specified on a single call is 200"
    one_more = [*many, {"Name": "architecture", "Values": ["arm64"]}]
    refused("FilterLimitExceeded", client.describe_images, Filters=one_more, saying=words)


def test_a_token_belongs_to_its_operation(world: World) -> None:
    """An invented token, or another operation's, is refused; one whose image was deleted continues all the same."""
    images = {an_image(world, f"image-{n}") for n in range(8)}
    client = ec2(world)
    first = client.describe_images(Owners=["self"], MaxResults=5)
    token = first["NextToken"]

    refused("InvalidParameterValue", client.describe_images, NextToken="made up")
    refused("InvalidParameterValue", client.describe_snapshots, NextToken=token)
    client.deregister_image(ImageId=first["Images"][-1]["ImageId"])
    wait(world, 120)
    second = client.describe_images(Owners=["self"], MaxResults=5, NextToken=token)
    assert {image["ImageId"] for image in first["Images"] + second["Images"]} == images


@pytest.mark.parametrize(
    ("code", "operation", "asked"),
    [
        ("InvalidAMIID.Malformed", "describe_images", {"ImageIds": ["ami-xyz"]}),
        ("InvalidAMIID.NotFound", "describe_images", {"ImageIds": ["ami-00000000000000000"]}),
        ("InvalidUserID.Malformed", "describe_images", {"Owners": ["nobody"]}),
        ("InvalidUserID.Malformed", "describe_snapshots", {"OwnerIds": ["22"]}),
        ("InvalidID", "create_tags", {"Resources": ["thing-1"], "Tags": [{"Key": "k", "Value": "v"}]}),
        ("InvalidAMIID.NotFound", "deregister_image", {"ImageId": "ami-00000000000000000"}),
        ("InvalidSnapshot.NotFound", "delete_snapshot", {"SnapshotId": "snap-00000000000000000"}),
        ("InvalidParameterValue", "delete_snapshot", {"SnapshotId": "bad"}),
        ("InvalidParameterValue", "copy_snapshot", {"SourceSnapshotId": "bad", "SourceRegion": HERE}),
        ("InvalidVolume.NotFound", "create_snapshot", {"VolumeId": "vol-00000000000000000"}),
        ("InvalidZone.NotFound", "create_volume", {"AvailabilityZone": "eu-west-1a", "Size": 8}),
        ("MissingParameter", "create_volume", {"AvailabilityZone": f"{HERE}a"}),
        ("MissingParameter", "create_volume", {"Size": 8}),
        ("InvalidLaunchTemplateId.Malformed", "describe_launch_templates", {"LaunchTemplateIds": ["lt-1"]}),
        ("InvalidLaunchTemplateId.NotFound", "describe_launch_templates", {"LaunchTemplateIds": [f"lt-{'0' * 17}"]}),
        ("InvalidLaunchTemplateName.NotFoundException", "describe_launch_templates", {"LaunchTemplateNames": ["none"]}),
    ],
)
def test_ids_and_places_that_are_none(world: World, code: str, operation: str, asked: dict[str, object]) -> None:
    """Malformed and unknown ids, accounts and zones have their own error codes."""
    refused(code, getattr(ec2(world), operation), **asked)


def test_launch_templates_that_cannot_be(world: World) -> None:
    """Without data, with a member that is not modelled, with an unknown version, and named twice."""
    client, image, launch = ec2(world), an_image(world), {"MinCount": 1, "MaxCount": 1}
    name, data = {"LaunchTemplateName": "web"}, {"LaunchTemplateData": {"ImageId": image}}
    made = client.create_launch_template(**name, **data)["LaunchTemplate"]
    both = {**name, "LaunchTemplateId": made["LaunchTemplateId"]}
    more = {"LaunchTemplateName": "other", "LaunchTemplateData": {"ImageId": image, "KeyName": "k"}}

    refused("MissingParameter", client.create_launch_template_version, **name, LaunchTemplateData={})
    refused("UnsupportedOperation", client.create_launch_template, **more)
    refused("UnsupportedOperation", client.delete_launch_template, **name)
    refused("InvalidParameterCombination", client.run_instances, LaunchTemplate=both, **launch)
    version = {"LaunchTemplate": {**name, "Version": "2"}}
    refused("InvalidLaunchTemplateId.VersionNotFound", client.run_instances, **version, **launch)
    refused("UnsupportedOperation", client.run_instances, LaunchTemplate=name, UserData="x", **launch)
    refused("UnsupportedOperation", client.run_instances, ImageId="resolve:ssm:arn:aws:ssm:x", **launch)
    refused("MissingParameter", client.run_instances, **launch)
    assert client.describe_launch_templates(LaunchTemplateNames=["web"])["LaunchTemplates"] == [made]
    filters = [{"Name": "launch-template-name", "Values": ["we*"]}]
    assert client.describe_launch_templates(Filters=filters)["LaunchTemplates"] == [made]


def test_networks_that_cannot_be(world: World) -> None:
    """A launch names its network once, in one interface; what it names must exist."""
    subnet, usual = world.ec2.seed_subnet(OPS, HERE), {"ImageId": an_image(world), "MinCount": 1, "MaxCount": 1}
    one = {"DeviceIndex": 0, "SubnetId": subnet}
    run = ec2(world).run_instances

    for more in ({"SubnetId": subnet}, {"SecurityGroupIds": ["sg-00000000"]}):
        refused("InvalidParameterCombination", run, NetworkInterfaces=[one], **more, **usual)
    refused("InvalidParameterCombination", run, NetworkInterfaces=[{"SubnetId": subnet}], **usual)
    refused("UnsupportedOperation", run, NetworkInterfaces=[one, one], **usual)
    refused("UnsupportedOperation", run, NetworkInterfaces=[{**one, "InterfaceType": "efa"}], **usual)
    refused("InvalidSubnetID.NotFound", run, SubnetId="subnet-00000000", **usual)
    refused("InvalidGroup.NotFound", run, SubnetId=subnet, SecurityGroupIds=["sg-00000000"], **usual)
    refused("UnsupportedOperation", run, MetadataOptions={"HttpProtocolIpv6": "enabled"}, **usual)
    with pytest.raises(LookupError):
        world.ec2.seed_group("subnet-00000000", name="closed")


def test_tags_that_cannot_be(world: World) -> None:
    """A key of 129 characters, a value of 257 and a key given twice are refused."""
    image = an_image(world)

    for tags in (
        [{"Key": "k" * 129, "Value": "v"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}],
    ):
        refused("InvalidParameterValue", ec2(world).create_tags, Resources=[image], Tags=tags)


def test_a_volume_of_a_snapshot(world: World) -> None:
    """A volume has its snapshot's size and key; a smaller one is refused; a shared key must be usable."""
    key = new_key(world)
    snapshot = a_snapshot(world, key=key, volumes=[20])
    asked = {"AvailabilityZone": f"{HERE}a", "SnapshotId": snapshot}
    made = ec2(world).create_volume(**asked)

    assert (made["Size"], made["KmsKeyId"], made["Encrypted"]) == (20, key, True)
    refused("InvalidParameterValue", ec2(world).create_volume, **asked, Size=19)
    refused("InvalidSnapshot.NotFound", ec2(world, DEV).create_volume, **asked)
    share(world, snapshot)
    theirs = ec2(world, DEV).create_volume(**asked)["VolumeId"]
    assert ec2(world, DEV).describe_volumes(VolumeIds=[theirs])["Volumes"][0]["State"] == "error"
    refused("IncorrectState", ec2(world, DEV).create_snapshot, VolumeId=theirs)


def test_encryption_by_default(world: World) -> None:
    """With EBS encryption by default a copy of a plain snapshot is encrypted under the Region's default key."""
    key = new_key(world, DEV)
    world.ec2.state.encrypted_by_default[DEV, HERE] = key
    snapshot = a_snapshot(world, shared=True)

    assert shown_snapshot(world, copy(world, snapshot), DEV)["KmsKeyId"] == key


def test_an_arm_image_boots_by_uefi(world: World) -> None:
    """arm64 with legacy BIOS is refused; without a boot mode it is accepted."""
    snapshot = a_snapshot(world)

    refused("InvalidParameterCombination", register, world, snapshot, Architecture="arm64", BootMode="legacy-bios")
    assert shown_image(world, register(world, snapshot, Architecture="arm64"))["Architecture"] == "arm64"


def test_a_copy_from_a_region_that_does_not_exist(world: World) -> None:
    """It is refused at once, with a code of its own; a Region without the snapshot is not [aws-facts 2]."""
    source = {"SourceSnapshotId": a_snapshot(world), "SourceRegion": "not-a-region"}
    refused("InvalidRegion", ec2(world).copy_snapshot, **source, saying="not-a-region is not a valid region name.")
