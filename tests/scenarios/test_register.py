"""Registering: the copy equals the image in every field, or it is removed."""

import base64

import pytest

from tests.scenarios.scene import DEV, HUB

UEFI_DATA = base64.b64encode(b"AMZNUEFI" + bytes(range(64))).decode()
MODERN = {"BootMode": "uefi", "TpmSupport": "v2.0", "ImdsSupport": "v2.0", "Architecture": "arm64"}
PREFERRED = {"BootMode": "uefi-preferred", "Description": "It's golden: 100%"}
LEGACY = {"BootMode": "legacy-bios", "EnaSupport": False, "SriovNetSupport": "simple"}
DIFFERS = {
    "ImageId",
    "OwnerId",
    "Name",
    "ImageLocation",
    "CreationDate",
    "Tags",
    "BlockDeviceMappings",
    "DeprecationTime",
    "DeregistrationProtection",
    "State",
    "UsageOperation",
    "PlatformDetails",
}
"""Members that differ in a copy, or that other tests compare."""


@pytest.mark.parametrize(
    ("attributes", "uefi_data"),
    [(MODERN, UEFI_DATA), (PREFERRED, UEFI_DATA), (LEGACY, None)],
    ids=["modern", "preferred", "legacy"],
)
@pytest.mark.thorough_but("modern")
def test_every_attribute_arrives(scene, attributes, uefi_data):
    """Architecture, boot mode, TPM, IMDS, ENA, SR-IOV, description: DescribeImages shows no difference."""
    image = scene.seed("with-attributes", volumes=[8, 20], uefi_data=uefi_data, **attributes)
    scene.promote("", image)

    (source,) = scene.client("ec2").describe_images(ImageIds=[image])["Images"]
    made = scene.image_in(DEV)
    for name in (source.keys() | made.keys()) - DIFFERS:
        assert (made.get(name) or None) == (source.get(name) or None), name  # without ENA it may be absent or false
    shown = scene.client("ec2", DEV).describe_image_attribute(ImageId=made["ImageId"], Attribute="uefiData")
    assert shown["UefiData"].get("Value") == uefi_data
    scene.assert_invariants()


def test_the_deprecation_date_is_carried_over(scene):
    """The copy is deprecated when its source is."""
    scene.client("ec2").enable_image_deprecation(ImageId=scene.image, DeprecateAt="2027-03-01T12:00:00Z")
    scene.promote("")

    assert scene.image_in(DEV)["DeprecationTime"] == "2027-03-01T12:00:00.000Z"
    scene.assert_invariants()


def test_the_source_may_be_gone_by_the_time_it_is_registered(scene):
    """The source AMI is deregistered while its snapshots are copied: the service has read it before."""
    scene.begin_copies(seconds=120)
    scene.client("ec2", HUB).deregister_image(ImageId=scene.image)
    scene.assert_arrives(DEV)
