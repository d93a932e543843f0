"""What the hub's own AMI in another Region is made of, asked of the simulator's EC2."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from awsim.world import World
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images.aws import shapes
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


def test_the_hubs_own_copies_are_found_however_many_snapshots_it_has_there(world, monkeypatch):
    """The share worker has half a minute: a list by tag takes a call for each page. What has other tags is no copy."""
    monkeypatch.setattr(shapes, "IN_A_PAGE", 5)
    ec2 = world.client("ec2", HUB, ABROAD)

    def made(promotion: str) -> str:
        volume = ec2.create_volume(AvailabilityZone=f"{ABROAD}a", Size=1)["VolumeId"]
        tags = [{"Key": f"ami-promoter:{key}", "Value": it} for key, it in (("hub", HUB), ("promotion", promotion))]
        tagged = [{"ResourceType": "snapshot", "Tags": [*tags, {"Key": "ami-promoter:attempt", "Value": "nonce-1"}]}]
        return str(ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged)["SnapshotId"])

    *others, own = [made(ami) for ami in ("ami-0b",) * 11 + ("ami-0a",)]
    world.calls.clear()
    found = HubSource(RootSessions(world), HUB, REGION, "promote").copies("ami-0a", ABROAD, [own, *others[:2]])

    assert {one: copy.attempt for one, copy in found.items()} == {own: "nonce-1"}
    assert [call.operation for call in world.calls] == ["DescribeSnapshots"]


def test_an_examination_uses_the_look_at_the_tag_only_for_seconds(world):
    """One that is tried again later reads the AMI again: it may have changed meanwhile."""
    ami, ec2 = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,)), world.client("ec2", HUB, REGION)
    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    source.tag(ami)
    ec2.create_tags(Resources=[ami], Tags=[{"Key": "team", "Value": "images"}])
    world.kernel.run(limit=timedelta(minutes=5))

    image, _ = source.examine(ami)
    assert image.tags["team"] == "images"


def test_an_ami_that_somebody_else_shares_with_the_hub_is_examined_as_one_that_is_not_there(world):
    """The hub may have tagged it, but may not promote it."""
    ami = world.ec2.seed_image(STRANGER, REGION, name="theirs", volumes=(8,))
    theirs = world.client("ec2", STRANGER, REGION)
    theirs.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"UserId": HUB}]})

    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    assert not source.tag(ami).owned
    assert source.examine(ami) is None


def test_a_throttle_of_the_key_delays_the_examination_and_is_no_fault_of_the_key(world):
    """Only a key that may not be read is reported."""
    key = world.client("kms", HUB, REGION).create_key()["KeyMetadata"]["Arn"]
    ami = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,), key=key)
    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    world.injections.refuse("DescribeKey", "ThrottlingException", n=9)

    with pytest.raises(Refusal) as throttled:
        source.examine(ami)
    assert throttled.value.kind is RefusalKind.THROTTLED


def test_an_ami_whose_tag_has_just_gone_does_not_keep_the_others_from_discovery(world):
    """EC2's filter may still find it by the tag that its answer no longer has."""
    ami = world.ec2.seed_image(HUB, REGION, name="golden", tags={"promote": "dev"})

    world.gateway.before.append(lambda call: call.params.pop("Filters", None))  # of this world: clients outlive it
    world.ec2.seed_image(HUB, REGION, name="untagged")

    found = HubSource(RootSessions(world), HUB, REGION, "promote").tagged()
    assert [(one.ami, one.value) for one in found] == [(ami, "dev")]


def test_an_ami_among_many_is_examined_by_a_look_at_its_own_snapshots_alone(world):
    """EC2 filters after it has cut the pages: the snapshots of a hub with 100,000 others would take 100 calls."""
    key = world.client("kms", HUB, REGION).create_key()["KeyMetadata"]["Arn"]
    ami = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,), key=key)
    for number in range(1100):
        world.ec2.seed_image(HUB, REGION, name=f"other-{number}")
    source, calls = HubSource(RootSessions(world), HUB, REGION, "promote"), list[str]()
    world.gateway.before.append(lambda call: calls.append(call.operation))

    image, keys = source.examine(ami)
    assert ([one.key for one in image.snapshots], [*keys]) == ([key], [key])
    assert calls.count("DescribeSnapshots") == 1


def test_snapshots_that_are_gone_do_not_hide_the_others(world):
    """EC2 refuses a look at several that names one which somebody has deleted."""
    key = world.client("kms", HUB, REGION).create_key()["KeyMetadata"]["Arn"]
    ami = world.ec2.seed_image(HUB, REGION, name="golden", volumes=(8,), key=key)
    source = HubSource(RootSessions(world), HUB, REGION, "promote")
    there, gone = source.tag(ami).snapshots, {"snap-00000000000000001", "snap-00000000000000002"}

    assert source.keys(there | gone) == {key}
    assert source.keys(gone) == frozenset()


@pytest.mark.parametrize("code", ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"])
def test_an_ami_that_ec2_does_not_have_any_more_is_gone_whatever_the_message_says(world, code):
    """Else nothing of a deregistered AMI would be withdrawn."""
    ami = world.ec2.seed_image(HUB, REGION, name="golden", tags={"promote": "dev"})
    world.injections.refuse("DescribeImages", code)
    read = HubSource(RootSessions(world), HUB, REGION, "promote").tag(ami)

    assert (read.value, read.image_state) == (None, None)


def test_a_refused_look_at_an_ami_is_no_evidence_that_it_is_gone(world):
    """Else a throttle would withdraw it everywhere."""
    ami = world.ec2.seed_image(HUB, REGION, name="golden", tags={"promote": "dev"})
    world.injections.refuse("DescribeImages", "UnauthorizedOperation")
    with pytest.raises(Refusal):
        HubSource(RootSessions(world), HUB, REGION, "promote").tag(ami)
