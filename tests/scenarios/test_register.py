"""Registering: the copy equals the image in every field, or it is removed."""

import base64

import pytest

from tests.scenarios.scene import DEV

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
    """Architecture, boot mode, TPM, IMDS, ENA, SR-IOV, description, deprecation: DescribeImages shows no difference.

    The source is deregistered while its snapshots are copied: the service has read it before.
    """
    image = scene.seed("with-attributes", volumes=[8, 20], uefi_data=uefi_data, **attributes)
    ec2 = scene.client("ec2")
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt="2027-03-01T12:00:00Z")
    (source,) = ec2.describe_images(ImageIds=[image])["Images"]
    scene.world.ec2.pace.copy = 120
    scene.tag("", image)
    scene.run_until(lambda: len(scene.live_copies()) == 2)
    ec2.deregister_image(ImageId=image)
    scene.run_until_over(image)

    assert scene.states(image) == {DEV: "delivered"}
    made = scene.image_in(DEV)
    for name in (source.keys() | made.keys()) - DIFFERS:
        assert (made.get(name) or None) == (source.get(name) or None), name  # without ENA it may be absent or false
    shown = scene.client("ec2", DEV).describe_image_attribute(ImageId=made["ImageId"], Attribute="uefiData")
    assert shown["UefiData"].get("Value") == uefi_data
    scene.assert_invariants()
