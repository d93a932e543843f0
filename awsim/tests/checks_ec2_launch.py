"""Checks of launching: the launch permission, the keys, and the reason of an instance that cannot start."""

from typing import Any

from awsim.world import World
from ec2_words import DEV, HERE, OPS, WEST, an_image, ec2, new_key, share, snapshot_of
from iam_words import allow, put_role
from platform_words import refused, wait

NO_RIGHT = "Client.InternalError: Client error on launch"
BAD_KEY = "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"

AUTO_SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
LAUNCHING = [
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "ReEncryptTo",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "DescribeKey",
    "CreateGrant",
]
"""What Auto Scaling's guide grants its role [aws-facts 3]."""


def _run(world: World, image: str, account: str = DEV, **ebs: Any) -> dict[str, Any]:
    """Launch an image through the API, wait, and return the instance."""
    more: dict[str, Any] = {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": ebs}]} if ebs else {}
    client = ec2(world, account)
    begun = client.run_instances(ImageId=image, MinCount=1, MaxCount=1, **more)["Instances"][0]
    assert begun["State"]["Name"] == "pending"
    wait(world, 60)
    found = client.describe_instances(InstanceIds=[begun["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert isinstance(found, dict)
    return found


def _permit(world: World, image: str) -> None:
    """Let the other account launch an image of OPS."""
    ec2(world).modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": DEV}]})


def ec2_launch_needs_permission(world: World) -> None:
    image = an_image(world)

    refused("AuthFailure", _run, world, image)
    assert world.launch(DEV, HERE, image) == f"AuthFailure: Not authorized for images: [{image}]"
    _permit(world, image)
    assert _run(world, image)["State"]["Name"] == "running"
    assert world.launch(DEV, HERE, image) == ""
    refused("InvalidAMIID.NotFound", _run, world, "ami-00000000000000000")


def ec2_launch_needs_available_image(world: World) -> None:
    image = an_image(world)
    ec2(world).disable_image(ImageId=image)

    refused("InvalidAMIID.Unavailable", _run, world, image, OPS)
    ec2(world).enable_image(ImageId=image)
    assert _run(world, image, OPS)["State"]["Name"] == "running"


def ec2_launch_needs_source_key(world: World) -> None:
    closed, open_ = new_key(world), new_key(world, users=(DEV,))
    sealed, usable = an_image(world, "sealed", key=closed), an_image(world, "usable", key=open_)
    _permit(world, sealed)
    _permit(world, usable)
    put_role(world, "launcher", allow("ec2:RunInstances"), account=DEV)

    found = _run(world, sealed)
    expected = ("terminated", {"Code": "Client.InternalError", "Message": NO_RIGHT})
    assert (found["State"]["Name"], found.get("StateReason")) == expected
    assert _run(world, usable)["State"]["Name"] == "running"
    assert world.launch(DEV, HERE, usable, by="launcher") == NO_RIGHT
    put_role(world, "launcher", allow("ec2:RunInstances"), allow("kms:*", open_), account=DEV)
    assert world.launch(DEV, HERE, usable, by="launcher") == ""
    put_role(world, "launcher", allow("kms:*", open_), account=DEV)
    assert world.launch(DEV, HERE, usable, by="launcher").startswith("UnauthorizedOperation")
    _linked_role(world, usable, open_)


def _linked_role(world: World, image: str, key: str) -> None:
    """Auto Scaling's role launches a shared image only after its own account has granted it the key.

    It launches its own account's image under aws/ebs without a grant; one under a customer managed key needs one.
    """
    world.iam.put_service_linked_role(DEV)
    mine = new_key(world, DEV)
    own = world.ec2.seed_image(DEV, HERE, name="own", key=mine)
    default = world.ec2.seed_image(DEV, HERE, name="default", key="alias/aws/ebs")
    assert [world.launch(DEV, HERE, ami, by=AUTO_SCALING) for ami in (image, own, default)] == [NO_RIGHT, NO_RIGHT, ""]

    for arn in (key, mine):
        world.client("kms", DEV).create_grant(
            KeyId=arn, GranteePrincipal=f"arn:aws:iam::{DEV}:role/{AUTO_SCALING}", Operations=LAUNCHING
        )
    wait(world, 301)
    assert [world.launch(DEV, HERE, ami, by=AUTO_SCALING) for ami in (image, own)] == ["", ""]


def ec2_launch_needs_volume_key(world: World) -> None:
    image = an_image(world, key=new_key(world, users=(DEV,)))
    _permit(world, image)
    mine, others = new_key(world, DEV), new_key(world)

    assert _run(world, image, Encrypted=True, KmsKeyId=mine)["State"]["Name"] == "running"
    assert _run(world, image, Encrypted=True, KmsKeyId=others).get("StateReason", {}).get("Message") == NO_RIGHT
    assert _run(world, image, Encrypted=True, KmsKeyId="alias/none").get("StateReason", {}).get("Message") == NO_RIGHT
    refused("InvalidParameterCombination", _run, world, image, KmsKeyId=mine)


def ec2_launch_key_state(world: World) -> None:
    key = new_key(world, users=(DEV,))
    image = an_image(world, key=key)
    _permit(world, image)
    world.client("kms", OPS).disable_key(KeyId=key)

    assert _run(world, image)["StateReason"]["Code"] == "Client.InvalidKMSKey.InvalidState"
    assert world.launch(DEV, HERE, image) == BAD_KEY


def ec2_allowed_images_hide_foreign(world: World) -> None:
    shared, own = an_image(world), world.ec2.seed_image(DEV, HERE, name="own")
    _permit(world, shared)
    there = ec2(world, DEV)
    assert there.get_allowed_images_settings()["State"] == "disabled"
    there.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")

    refused("InvalidAMIID.NotFound", _run, world, shared)
    copy = {"SourceImageId": shared, "SourceRegion": HERE, "Name": "copied"}
    refused("InvalidAMIID.NotFound", there.copy_image, **copy)
    assert _run(world, own)["State"]["Name"] == "running"
    share(world, snapshot_of(world, shared))
    assert ec2(world, DEV, WEST).copy_image(**copy)["ImageId"]
    assert ec2(world, DEV, WEST).get_allowed_images_settings()["State"] == "disabled"
    there.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": [OPS]}])
    assert _run(world, shared)["State"]["Name"] == "running"
    assert there.get_allowed_images_settings()["ImageCriteria"] == [{"ImageProviders": [OPS]}]
    there.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[])
    there.disable_allowed_images_settings()
    assert _run(world, shared)["State"]["Name"] == "running"
    _other_settings(there)


def _other_settings(there: Any) -> None:
    """Other settings of a new account."""
    assert there.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert there.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert there.get_snapshot_block_public_access_state()["State"] == "unblocked"
    assert there.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing"
