"""What the hub's own AMI in another Region is made of, asked of the simulator's EC2."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from awsim.world import World
from chalicelib.images.aws.hub_images import HubSource

HUB, STRANGER = "111111111111", "999999999999"
HOME, ABROAD = "us-east-1", "eu-west-1"


class RootSessions:
    """Clients of the hub's root, in place of a function's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def own(self, service: str, *, region: str = "") -> Any:
        """A client in a Region, or in the hub's."""
        return self._world.client(service, HUB, region or HOME)


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

    source = HubSource(RootSessions(world), HUB, HOME, "promote")
    assert source.snapshots_of(ami, ABROAD) == wanted
    assert source.snapshots_of(ami, HOME) == frozenset()


def test_an_ami_of_somebody_else_proves_nothing(world):
    """It is shared with the hub, or gone."""
    ami = world.ec2.seed_image(STRANGER, ABROAD, name="copy", volumes=(8,))
    world.client("ec2", STRANGER, ABROAD).modify_image_attribute(
        ImageId=ami, LaunchPermission={"Add": [{"UserId": HUB}]}
    )

    source = HubSource(RootSessions(world), HUB, HOME, "promote")
    assert source.snapshots_of(ami, ABROAD) == frozenset()
    assert source.snapshots_of("ami-00000000000000000", ABROAD) == frozenset()
