"""The checks: all faults of a source or a target are reported at once, before anything is opened."""

import pytest

from awsim.services.ec2.seeds import volume
from demo import stage
from tests.scenarios.scene import DEV, HUB, REGION, STRANGER, TEST, targets_file

MARKETPLACE = [{"ProductCodeId": "abcdefghijklmnopqrstuvwxy", "ProductCodeType": "marketplace"}]
RED_HAT = {"PlatformDetails": "Red Hat Enterprise Linux", "UsageOperation": "RunInstances:0010"}
NITRO_TPM = {"TpmSupport": "v2.0", "BootMode": "uefi-preferred"}


def a_key(scene):
    """Make another key in the hub."""
    return scene.client("kms").create_key()["KeyMetadata"]["Arn"]


def test_faults_of_the_source_are_refused_before_anything_is_opened(scene):
    """Each AMI is refused in one notice with place, cause and cure; nothing is opened or made.

    One notice has all faults of an AMI and its value, but not its billing, which decides the copy method for each
    target. A stranger's AMI, shared with the hub and tagged there, is refused, since only its owner can share it.
    """
    disabled = a_key(scene)
    images = {
        "source-snapshot-aws-ebs-key": scene.seed("under-aws-ebs", key="alias/aws/ebs"),
        "source-key-not-enabled": scene.seed("under-a-disabled-key", key=disabled),
        "source-product-code": scene.seed("from-the-marketplace", ProductCodes=MARKETPLACE),
        "source-billing-code": scene.seed("red-hat", **RED_HAT),
        "source-tpm-uefi-preferred": scene.seed("nitro-tpm", **NITRO_TPM),
        "source-snapshot-not-completed": scene.seed("half-done", volumes=[8, volume("/dev/sdb", 8, state="pending")]),
        "source-snapshot-error": scene.seed("broken", volumes=[8, volume("/dev/sdb", 8, state="error")]),
        "source-not-ebs-backed": scene.seed("old-style", volumes=[], RootDeviceType="instance-store"),
    }
    scene.client("kms").disable_key(KeyId=disabled)
    for image in images.values():
        scene.tag("", image)
    hopeless = scene.seed("hopeless", key="alias/aws/ebs", ProductCodes=MARKETPLACE, **RED_HAT)
    scene.tag("nobody", hopeless)
    foreign = scene.world.ec2.seed_image(STRANGER, REGION, name="not-ours")
    scene.client("ec2", STRANGER).modify_image_attribute(
        ImageId=foreign, Attribute="launchPermission", LaunchPermission={"Add": [{"UserId": HUB}]}
    )
    scene.preexisting = set(scene.world.shares_open())
    scene.tag("", foreign)
    scene.run_until(lambda: len(scene.notices("promotion.refused")) == len(images) + 2, 600)

    found = {name: scene.faults(image) for name, image in images.items()}
    reported = [fault for notice in scene.notices() for fault in notice["faults"]]
    assert [name for name, codes in found.items() if name.removesuffix("-error") not in " ".join(codes)] == []
    assert all(fault[member] for fault in reported for member in ("where", "what", "cure"))
    assert all("copy-image" in f["cure"] for f in reported if f["code"] == "source-snapshot-aws-ebs-key")
    assert scene.faults(hopeless) == {"unknown-group", "source-snapshot-aws-ebs-key", "source-product-code"}
    (not_ours,) = scene.notices("promotion.refused", foreign)
    assert ["does not belong to the hub" in fault["what"] for fault in not_ours["faults"]] == [True]
    assert set(scene.world.shares_open()) == scene.preexisting
    assert [scene.images_in(account) for account in stage.TARGETS.values()] == [[], [], []]
    assert scene.after(6 * 60).reported(images["source-product-code"]) == {"promotion.refused": 1}
    scene.assert_invariants()


def take_name(scene):
    """A stranger's AMI has the name."""
    scene.world.ec2.seed_image(DEV, REGION, name=f"golden-2026-01-{scene.image}")


def test_a_name_whose_ami_was_just_deregistered_is_no_longer_taken(scene):
    """A person does what the fault says, and tags again at once; EC2 still shows the AMI, as deregistered."""
    take_name(scene)
    assert scene.promoted(DEV) == {DEV: "failed"}
    [fault] = scene.delivery(DEV)["faults"]
    theirs = scene.image_in(DEV)["ImageId"]
    assert (fault["code"], theirs in fault["cure"]) == ("target-name-taken", True)
    ec2 = scene.client("ec2", DEV)
    ec2.deregister_image(ImageId=theirs)
    assert ec2.describe_images(ImageIds=[theirs])["Images"][0]["State"] == "deregistered"

    scene.tag(f"{DEV} {DEV}")
    scene.run_until_over(times=2)
    assert scene.states() == {DEV: "delivered"}
    scene.assert_invariants()


def tagged(scene, resources, number):
    """Give resources of the hub so many tags."""
    tags = [{"Key": f"tag-{one:02}", "Value": "x"} for one in range(number)]
    scene.client("ec2").create_tags(Resources=resources, Tags=tags)


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.thorough_but("image")
def test_a_snapshot_whose_tags_do_not_fit_in_a_target_fails_it_before_anything_is_opened(scene, method):
    """45 tags and the service's five fit; with one more of the targets file EC2 would refuse the copy's tags."""
    scene.apply(targets_file(accounts={DEV: {"tags": {"stage": "dev"}, "copy_method": method}}))
    tagged(scene, [scene.snapshots[-1]], 45)

    assert scene.promoted("dev") == {DEV: "failed", TEST: "delivered"}
    [fault] = scene.delivery(DEV)["faults"]
    assert (fault["code"], scene.snapshots[-1] in fault["what"]) == ("target-too-many-tags", True)
    assert scene.ever_opened() == {TEST}
    scene.assert_invariants()


def test_unencrypted_and_mixed_snapshots_are_encrypted_by_the_copy(scene):
    """A plain root and a volume under the hub's key: all copies are under the target's key."""
    other_key = a_key(scene)
    image = scene.seed(
        "mixed", volumes=[volume("/dev/xvda", 8, key=None), volume("/dev/sdb", 8), volume("/dev/sdc", 8, key=other_key)]
    )
    plain = scene.seed("plain", key=None)
    scene.tag("", image)
    scene.promote("", plain)
    scene.run_until_over(image)

    own_key = scene.stage.targets[DEV].outputs["KeyArn"]
    assert [snapshot["KmsKeyId"] for snapshot in scene.snapshots_in(DEV)] == [own_key] * 4
    assert all(device["Ebs"]["Encrypted"] for i in scene.images_in(DEV) for device in i["BlockDeviceMappings"])
    scene.assert_invariants()
