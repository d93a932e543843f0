"""What lists a target, asked of the simulator's EC2: a page's token is good for the place and the call it came from."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from awsim.world import World
from chalicelib.engine.errors import Refusal, StaleCursor
from chalicelib.images import register
from chalicelib.inventory.aws.inventory import AwsInventory

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


def test_a_token_that_ec2_does_not_know_begins_the_list_of_uses_again(inventory):
    """Also that of what names an AMI."""
    with pytest.raises(StaleCursor):
        inventory.uses(DEV, REGION, "ami-0123456789abcdef0", "a-token-of-yesterday")


def test_a_protection_that_was_lifted_protects_no_more_also_while_its_cooldown_lasts(world, inventory):
    """EC2 then shows until when it still refuses to deregister the AMI."""
    image = world.ec2.seed_image(DEV, REGION, name="golden", tags={register.HUB_TAG: HUB})
    ec2 = world.client("ec2", DEV, REGION)
    ec2.enable_image_deregistration_protection(ImageId=image, WithCooldown=True)
    assert [one.protected for one in inventory.page(DEV, REGION, "images", "").images] == [True]
    ec2.disable_image_deregistration_protection(ImageId=image)
    assert [one.protected for one in inventory.page(DEV, REGION, "images", "").images] == [False]


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
