"""The copy: every snapshot once, tagged, under the target's key, within EC2's limit of concurrent copies."""

import pytest

from awsim.services import sts
from awsim.services.ec2.seeds import blank, ephemeral, no_device, volume
from tests.scenarios.scene import DEV, HUB, REGION, targets_file


def devices(image):
    """Device name -> its mapping."""
    return {mapping["DeviceName"]: mapping for mapping in image["BlockDeviceMappings"]}


def test_mappings_without_a_snapshot_are_kept(scene):
    """Ephemeral, no-device and blank volumes are kept, and so are volume settings."""
    fast = {"VolumeType": "io2", "Iops": 4000, "DeleteOnTermination": False}
    image = scene.seed(
        "all-kinds",
        volumes=[
            8,
            volume("/dev/sdb", 100, **fast),
            blank("/dev/sdc", 50),
            ephemeral("/dev/sdd"),
            no_device("/dev/sde"),
        ],
    )
    scene.promote("", image)

    source = devices(scene.client("ec2").describe_images(ImageIds=[image])["Images"][0])
    made = devices(scene.image_in(DEV))
    assert made.keys() == source.keys()
    for name, mapping in source.items():
        for side in (mapping, made[name]):
            side.get("Ebs", {}).pop("SnapshotId", None)
        assert made[name] == mapping
    scene.assert_invariants()


def test_copies_and_ami_are_tagged_and_described(scene):
    """Copies have the source's tags and the service's, without the trigger tag; each copy names its source."""
    scene.client("ec2").create_tags(Resources=[scene.snapshots[0]], Tags=[{"Key": "volume", "Value": "root"}])
    scene.promote("")

    image = scene.image_in(DEV)
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    nonces = {attempt["source"]: attempt["nonce"] for attempt in scene.delivery_record(DEV)["attempts"]}
    assert tags.pop("ami-promoter:attempt") == nonces[""]
    ours = {
        "ami-promoter:hub": HUB,
        "ami-promoter:promotion": scene.image,
        "ami-promoter:delivery": scene.delivery(DEV)["id"],
    }
    assert tags == {"Name": "golden", "team": "platform", "ami-promoter:source-image": scene.image, **ours}
    assert image["Name"] == f"golden-2026-01-{scene.image}"
    assert (image["OwnerId"], image["State"], image["Public"]) == (DEV, "available", False)
    for snapshot in scene.snapshots_in(DEV):
        found = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
        assert ours.items() <= found.items()
        assert (snapshot["OwnerId"], snapshot["KmsKeyId"]) == (DEV, scene.stage.targets[DEV].outputs["KeyArn"])
        assert found["ami-promoter:source-snapshot"] in scene.snapshots
        assert found["ami-promoter:attempt"] == nonces[found["ami-promoter:source-snapshot"]]
    scene.assert_invariants()


def test_accounts_with_many_amis_of_their_own(scene):
    """A hub and a target with more AMIs and snapshots than a page lists receive and give as any other."""
    for account in (HUB, DEV):
        for number in range(1100):
            scene.world.ec2.seed_image(account, REGION, name=f"other-{number}")
    assert scene.promoted("") == {DEV: "delivered"}
    scene.assert_invariants()


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.parametrize("packed", [0.09, 0.12], ids=["as reported", "worse than reported"])
@pytest.mark.thorough_but("as reported-image")
def test_more_snapshots_than_a_session_policy_can_name(scene, method, packed):
    """Twenty volumes, while one narrowed session names four. STS's packed size refuses none of the policies.

    If STS packs worse than expected, the answer to its refusal is a wider policy.
    """
    scene.world.sts.packed_per_character = packed
    scene.apply(targets_file(copy_method=method))
    image = scene.seed("twenty", volumes=[1] * 20)
    assert scene.promoted("", image) == {DEV: "delivered"}
    assert len(scene.snapshots_in(DEV)) == 20
    refused = {call.error for call in scene.world.calls if call.operation == "AssumeRole" and call.error}
    assert refused <= ({"PackedPolicyTooLarge"} if packed > sts.Sts.packed_per_character else set())
    scene.assert_invariants()
