"""What the hub's own AMI in another Region is made of, asked of the simulator's EC2."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from awsim.world import World
from chalicelib.images.aws.hub_images import HubSource
from tests.engine.hub_worker import HUB, REGION, RootSessions

STRANGER, ABROAD = "999999999999", "eu-west-1"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A simulator; a region of the environment must not count."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    with World() as world:
        yield world


@pytest.mark.parametrize("disabled", [False, True])
def test_an_own_ami_abroad_is_found_disabled_or_not(world, disabled):
    """A person may disable an accepted copy: its targets copy from it all the same."""
    ami = world.ec2.seed_image(HUB, ABROAD, name="copy", volumes=(8, 8))
    ec2 = world.client("ec2", HUB, ABROAD)
    wanted = {it["Ebs"]["SnapshotId"] for it in ec2.describe_images(ImageIds=[ami])["Images"][0]["BlockDeviceMappings"]}
    if disabled:
        ec2.disable_image(ImageId=ami)
        world.kernel.run(limit=timedelta(minutes=5))
        assert ec2.describe_images(ImageIds=[ami])["Images"] == []

    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    assert source.snapshots_of(ami, ABROAD) == wanted
    assert source.snapshots_of(ami, REGION) == frozenset()


def test_an_ami_of_somebody_else_proves_nothing(world):
    """It is shared with the hub, or gone."""
    ami = world.ec2.seed_image(STRANGER, ABROAD, name="copy", volumes=(8,))
    world.client("ec2", STRANGER, ABROAD).modify_image_attribute(
        ImageId=ami, LaunchPermission={"Add": [{"UserId": HUB}]}
    )

    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    assert source.snapshots_of(ami, ABROAD) == frozenset()
    assert source.snapshots_of("ami-00000000000000000", ABROAD) == frozenset()
