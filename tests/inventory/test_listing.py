"""What lists a target, asked of the simulator's EC2: a page's token is good for the place and the call it came from."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from awsim.world import World
from chalicelib.engine.errors import Refusal, StaleCursor
from chalicelib.images import register
from chalicelib.inventory.aws.inventory import AwsInventory
from chalicelib.targets.applied_file import Target

HUB, DEV, REGION = "111111111111", "222222222222", "us-east-1"


class RootOfTheTarget:
    """Clients of the target's root, in place of its role's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def role(self, _account: str) -> tuple[str, str]:
        """Every target is in the applied file."""
        return "AmiCopyRole", ""

    def client(self, service: str, _work: str, delivery: Any) -> Any:
        """A client there."""
        return self._world.client(service, delivery.target.account, delivery.target.region)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A simulator; a region of the environment must not count."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    with World() as world:
        yield world


@pytest.fixture
def inventory(world: World) -> AwsInventory:
    """A target in it."""
    return AwsInventory(RootOfTheTarget(world), HUB)


@pytest.mark.parametrize("part", ["images", "snapshots"])
def test_a_token_that_ec2_does_not_know_begins_the_list_again(inventory, part):
    """EC2 calls it an invalid value of a parameter, as of any other; the list is not refused for that."""
    with pytest.raises(StaleCursor):
        inventory.page(DEV, REGION, part, "a-token-of-yesterday")


@pytest.mark.parametrize("code", ["InvalidNextToken", "InvalidPaginationToken"])
def test_a_code_of_its_own_for_such_a_token_means_the_same(world, inventory, code):
    """EC2's documentation has these codes."""
    world.injections.refuse("DescribeImages", code, n=9)
    with pytest.raises(StaleCursor):
        inventory.page(DEV, REGION, "images", "a-token-of-yesterday")


def test_a_token_that_ec2_does_not_know_begins_the_list_of_uses_again(inventory):
    """Also that of what names an AMI."""
    with pytest.raises(StaleCursor):
        inventory.uses(DEV, REGION, "ami-0123456789abcdef0", "a-token-of-yesterday")


def test_another_wrong_value_than_the_token_does_not_begin_the_list_again(world, inventory):
    """It would be refused again, and the list without end."""
    world.injections.refuse("DescribeImages", "InvalidParameterValue", n=9)
    token = "a-token-of-yesterday"

    with pytest.raises(Refusal) as wrong:
        inventory.page(DEV, REGION, "images", token)
    assert not isinstance(wrong.value, StaleCursor)


class Denied(RootOfTheTarget):
    """The role there, to which these words deny its call."""

    def __init__(self, why: str) -> None:
        self._why = why

    def client(self, *_: Any) -> Any:
        """A client that is denied."""
        return self

    def describe_image_references(self, **_: Any) -> Any:
        """Refuse it."""
        error = {"Code": "UnauthorizedOperation", "Message": f"User: arn:aws:iam::{DEV}:role/R is not {self._why}"}
        raise ClientError({"Error": error}, "DescribeImageReferences")


@pytest.mark.parametrize(
    ("why", "cured_by_the_stack"),
    [
        ("authorized to perform this operation.", True),
        (
            "authorized to perform: ec2:DescribeImageReferences with an explicit deny in a service control policy",
            False,
        ),
    ],
)
def test_the_stack_cures_the_list_of_uses_only_where_the_role_lacks_the_right(why, cured_by_the_stack):
    """What the organization denies, no stack allows."""
    with pytest.raises(Refusal) as denied:
        AwsInventory(Denied(why), HUB).uses(DEV, REGION, "ami-0123456789abcdef0", "")

    assert ("AllowUseReport=true" in denied.value.fault.cure) is cured_by_the_stack


def test_the_volume_of_an_instance_is_no_leftover_of_its_own(world, inventory):
    """It ends with its instance. One that stays after it is listed."""
    image, ec2 = world.ec2.seed_image(DEV, REGION, name="golden", volumes=(8,)), world.client("ec2", DEV, REGION)
    ours = [{"Key": register.HUB_TAG, "Value": HUB}]
    tagged = [{"ResourceType": kind, "Tags": ours} for kind in ("instance", "volume")]
    made = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=tagged)[
        "Instances"
    ][0]["InstanceId"]
    world.kernel.run(limit=timedelta(minutes=5))
    assert ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": [register.HUB_TAG]}])["Volumes"]

    assert [one.id for one in inventory.instances(Target(DEV, REGION))] == [made]


def test_a_protection_that_was_lifted_protects_no_more_also_while_its_cooldown_lasts(world, inventory):
    """EC2 then shows until when it still refuses to deregister the AMI."""
    image = world.ec2.seed_image(DEV, REGION, name="golden", tags={register.HUB_TAG: HUB})
    ec2 = world.client("ec2", DEV, REGION)
    ec2.enable_image_deregistration_protection(ImageId=image, WithCooldown=True)
    assert [one.protected for one in inventory.page(DEV, REGION, "images", "").found] == [True]
    ec2.disable_image_deregistration_protection(ImageId=image)
    assert [one.protected for one in inventory.page(DEV, REGION, "images", "").found] == [False]


@pytest.mark.parametrize(
    ("code", "stays_because"), [("InvalidSnapshot.InUse", "an AMI uses it"), ("InvalidSnapshot.NotFound", "")]
)
def test_a_snapshot_that_came_into_use_or_went_since_it_was_read_is_no_refusal(world, inventory, code, stays_because):
    """Between the look at its AMIs and the deletion somebody registers one, or deletes the snapshot."""
    snapshot = own_snapshot(world)
    world.injections.refuse("DeleteSnapshot", code)

    assert inventory.remove(DEV, REGION, "d1", snapshot) == stays_because


def test_a_deletion_that_is_denied_is_a_refusal(world, inventory):
    """Else the operator reads that the snapshot is gone."""
    snapshot = own_snapshot(world)
    world.injections.refuse("DeleteSnapshot", "UnauthorizedOperation")

    with pytest.raises(Refusal):
        inventory.remove(DEV, REGION, "d1", snapshot)


def own_snapshot(world: World) -> str:
    """A snapshot with the service's tags that no AMI uses."""
    ec2 = world.client("ec2", DEV, REGION)
    image = world.ec2.seed_image(DEV, REGION, name="golden")
    snapshot: str = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ec2.deregister_image(ImageId=image)
    ours = {register.HUB_TAG: HUB, register.DELIVERY_TAG: "d1"}
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": key, "Value": value} for key, value in ours.items()])
    world.kernel.run(limit=timedelta(hours=1))
    return snapshot
