"""What the drift audit reads of the hub, asked of the simulator's EC2: lists page by page."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from awsim.world import World
from chalicelib.engine.errors import StaleCursor
from chalicelib.monitor.aws import hub_access
from chalicelib.monitor.aws.hub_access import AwsHubAccess
from chalicelib.monitor.drift import PassPart

HUB, REGION = "111111111111", "us-east-1"
A_PAGE = 5


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A simulator; a Region of the environment must not count, and a page is short."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setattr(hub_access, "IN_A_PAGE", A_PAGE)
    with World() as world:
        yield world


@pytest.fixture
def access(world: World) -> AwsHubAccess:
    """The hub in it."""
    sessions = SimpleNamespace(own=lambda service, **_how: world.client(service, HUB, REGION))
    return AwsHubAccess(sessions, "the hub")


def test_each_page_leads_to_the_next_and_has_the_keys_of_its_snapshots(world, access):
    """A run reads one page, and the next run continues with the token."""
    ec2 = world.client("ec2", HUB, REGION)
    key = world.client("kms", HUB, REGION).create_key()["KeyMetadata"]["Arn"]
    volumes = [ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True, KmsKeyId=key) for _ in range(7)]
    made = {ec2.create_snapshot(VolumeId=one["VolumeId"])["SnapshotId"] for one in volumes}

    first = access.page(PassPart.SNAPSHOTS, "")
    rest = access.page(PassPart.SNAPSHOTS, first.token)
    assert len(first.names) == A_PAGE
    assert {*first.names, *rest.names} == made
    assert (first.keys, rest.keys, rest.token) == ({key}, {key}, "")


@pytest.mark.parametrize("part", [PassPart.SNAPSHOTS, PassPart.IMAGES])
def test_a_token_that_ec2_no_longer_knows_begins_the_part_again(access, part):
    """The audit must not refuse to look for that."""
    with pytest.raises(StaleCursor):
        access.page(part, "a-token-of-yesterday")
