"""Seeded images, what is not modelled, and the simulator's state that the demo and the gateway read."""

import pytest

from awsim.services.ec2 import blank, ephemeral, no_device, volume
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
    reported,
    shown_image,
    shown_snapshot,
    snapshot_of,
)
from iam_words import session
from platform_words import after, refused, wait


def test_an_image_with_every_kind_of_mapping(world: World) -> None:
    """Encrypted, plain, shared, blank, ephemeral and absent devices are shown as seeded."""
    key, other = new_key(world), new_key(world)
    first = a_snapshot(world)
    image = an_image(
        world,
        key=key,
        volumes=[
            8,
            volume("/dev/sdf", 20, key=other, VolumeType="io2", Iops=400, DeleteOnTermination=False),
            volume("/dev/sdg", 10, key=None),
            volume("/dev/sdh", 8, snapshot=first),
            volume("/dev/sdi", 9, snapshot=first),
            blank("/dev/sdj", 5, Encrypted=True),
            ephemeral("/dev/sdk", 1),
            no_device("/dev/sdl"),
        ],
    )

    found = {m["DeviceName"]: m for m in shown_image(world, image)["BlockDeviceMappings"]}
    keys = {
        device: shown_snapshot(world, found[device]["Ebs"]["SnapshotId"]).get("KmsKeyId")
        for device in ("/dev/xvda", "/dev/sdf", "/dev/sdg")
    }
    assert keys == {"/dev/xvda": key, "/dev/sdf": other, "/dev/sdg": None}
    assert found["/dev/sdf"]["Ebs"]["Iops"] == 400
    assert found["/dev/sdh"]["Ebs"]["SnapshotId"] == found["/dev/sdi"]["Ebs"]["SnapshotId"] == first
    expected = {"VolumeSize": 5, "VolumeType": "gp2", "DeleteOnTermination": True, "Encrypted": True}
    assert found["/dev/sdj"]["Ebs"] == expected
    assert found["/dev/sdk"] == {"DeviceName": "/dev/sdk", "VirtualName": "ephemeral1"}
    assert found["/dev/sdl"] == {"DeviceName": "/dev/sdl", "NoDevice": ""}


def test_a_pending_image_becomes_available_and_says_so(world: World) -> None:
    """An image seeded as pending for a time becomes available; one without a time stays pending."""
    soon = an_image(world, available_after=60)
    never = an_image(world, "never", available_after=None)
    assert shown_image(world, soon)["State"] == "pending"
    assert shown_image(after(world, 61), soon)["State"] == "available"
    assert shown_image(world, never)["State"] == "pending"
    assert [e["detail"]["ImageId"] for e in reported(world, OPS, "EC2 AMI State Change")] == [soon]


def test_a_seeded_tag_is_a_baseline_unless_reported(world: World) -> None:
    """Seeding with tags makes no event; with ``tell`` it makes one."""
    an_image(world, tags={"stage": "dev"})
    image = an_image(world, "told", tags={"stage": "dev"}, tell=True)

    events = reported(world, OPS, "Tag Change on Resource")
    assert [e["resources"] for e in events] == [[f"arn:aws:ec2:{HERE}::image/{image}"]]


def test_an_instance_store_image_has_no_snapshot(world: World) -> None:
    """An image may have an instance store root, without any mapping."""
    image = an_image(world, volumes=[], RootDeviceType="instance-store")

    found = shown_image(world, image)
    assert found["RootDeviceType"] == "instance-store"
    assert "BlockDeviceMappings" not in found


def test_a_seeded_image_is_old_enough_for_stale_reads(world: World) -> None:
    """A read that shows an hour ago shows what was seeded."""
    image = an_image(world, tags={"stage": "dev"})
    with world.ec2.stale(3600):
        found = shown_image(world, image)

    assert found["Tags"] == [{"Key": "stage", "Value": "dev"}]


def test_a_member_that_no_image_has_is_an_error(world: World) -> None:
    """A misspelt attribute is refused."""
    with pytest.raises(TypeError, match="Bootmode"):
        an_image(world, Bootmode="uefi")
    with pytest.raises(ValueError, match="alias/none"):
        an_image(world, key="alias/none")


def test_what_is_not_modelled_is_refused(world: World) -> None:
    """Operations and parameters that AWS has and the simulator does not are refused, never ignored."""
    image = an_image(world)

    client = ec2(world)
    refused("UnsupportedOperation", client.create_store_image_task, ImageId=image, Bucket="bucket")
    two = {"ImageId": image, "MinCount": 1, "MaxCount": 2}
    refused("UnsupportedOperation", client.run_instances, **two)
    bigger = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 99}}]
    refused("UnsupportedOperation", client.run_instances, **two | {"MaxCount": 1}, BlockDeviceMappings=bigger)


def test_dry_run_changes_nothing(world: World) -> None:
    """DryRun answers DryRunOperation and makes no copy."""
    snapshot = a_snapshot(world)

    refused("DryRunOperation", copy, world, snapshot, OPS, DryRun=True)
    assert world.ec2.progress() == []


def test_the_same_seed_gives_the_same_ids() -> None:
    """Two simulators with one seed make the same ids; another seed makes others."""
    made = []
    for seed in (1, 1, 2):
        with World(seed=seed) as world:
            made.append(an_image(world))

    assert made[0] == made[1] != made[2]


def test_tags_of_a_resource(world: World) -> None:
    """Tags are readable in a resource's own Region only."""
    image = an_image(world, tags={"team": "images"})

    assert world.ec2.tags_of(image, HERE) == {"team": "images"}
    assert world.ec2.tags_of(image, "eu-west-1") == {}
    assert world.ec2.tags_of("snap-00000000000000000", HERE) == {}


def test_what_policies_may_ask(world: World) -> None:
    """ARNs of snapshots and images have no account, a volume has; policies test the owner of the first two."""
    image = an_image(world, tags={"team": "images"})
    snapshot = snapshot_of(world, image)
    disk = shown_snapshot(world, snapshot)["VolumeId"]

    found = {name: world.ec2.iam_facts(name, HERE) for name in (image, snapshot, disk)}
    assert {name: facts.arn for name, facts in found.items() if facts} == {
        image: f"arn:aws:ec2:{HERE}::image/{image}",
        snapshot: f"arn:aws:ec2:{HERE}::snapshot/{snapshot}",
        disk: f"arn:aws:ec2:{HERE}:{OPS}:volume/{disk}",
    }
    assert {facts.owner for facts in found.values() if facts} == {OPS}
    assert [name for name, facts in found.items() if facts and "ec2:Owner" in facts.conditions] == [image, snapshot]
    assert world.ec2.iam_facts("snap-00000000000000000", HERE) is None


def test_a_client_token_makes_one_volume(world: World) -> None:
    """CreateVolume has a client token, unlike CopySnapshot and RegisterImage: a repeat returns the same volume."""
    asked = {"AvailabilityZone": f"{HERE}a", "Size": 8, "ClientToken": "one"}
    first, second = (ec2(world).create_volume(**asked)["VolumeId"] for _ in range(2))

    assert first == second
    ec2(world).delete_volume(VolumeId=first)
    refused("InvalidVolume.NotFound", ec2(world).describe_volumes, VolumeIds=[first])


def test_deregistration_protection_is_switched(world: World) -> None:
    """Protection is shown, prevents DeregisterImage, and can be removed."""
    image, client = an_image(world), ec2(world)
    client.enable_image_deregistration_protection(ImageId=image)

    assert shown_image(world, image)["DeregistrationProtection"] == "enabled-without-cooldown"
    refused("OperationNotPermitted", client.deregister_image, ImageId=image)
    client.disable_image_deregistration_protection(ImageId=image)
    client.deregister_image(ImageId=image)


def test_a_copy_by_a_role_is_checked_with_its_own_policies(world: World) -> None:
    """A role that may copy but may not use the source's key gets a copy in error."""
    key = new_key(world, users=(DEV,))
    snapshot = a_snapshot(world, shared=True, key=key)
    target = new_key(world, DEV)
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": DEV}, "Action": "sts:AssumeRole"}]}
    may_copy = {"Effect": "Allow", "Action": ["ec2:CopySnapshot", "ec2:DescribeSnapshots"], "Resource": "*"}
    states = {}
    for name, keys in (("Half", [target]), ("Whole", [target, key])):
        may_use = {"Effect": "Allow", "Action": "kms:*", "Resource": keys}
        world.iam.put_role(DEV, name, trust, policies={"all": {"Statement": [may_copy, may_use]}})
        states[name] = _copied_as(world, f"arn:aws:iam::{DEV}:role/{name}", snapshot, target)

    assert states == {"Half": "error", "Whole": "completed"}


def _copied_as(world: World, role: str, snapshot: str, key: str) -> str:
    asked = {"SourceRegion": HERE, "SourceSnapshotId": snapshot, "Encrypted": True, "KmsKeyId": key}
    made = session(world, "ec2", role).copy_snapshot(**asked)["SnapshotId"]
    wait(world, 4 * 3600)
    return str(shown_snapshot(world, made, DEV)["State"])
