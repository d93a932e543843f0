"""Reading an image from EC2, and storing it."""

import json

import pytest
from hypothesis import given

from chalicelib.engine import codec
from chalicelib.images.image import SourceImage, attributes_to_read, read_image, snapshots_to_copy, unknown_values
from tests.images.examples import an_image, describe_image, describe_snapshot, describe_volume, promotable
from tools.image_members import MEMBERS


@given(promotable())
def test_any_image_has_no_unknown_value_and_comes_back_from_its_record_as_it_was(described):
    """If its values are known; it survives encoding and decoding."""
    image = described.read()

    assert unknown_values(image) == ()
    assert codec.decode(SourceImage, json.loads(json.dumps(codec.encode(image)))) == image


def test_an_image_with_every_refused_part_comes_back_too():
    """Watermarks, product codes and the like survive, so that their faults can be shown later."""
    image = an_image(
        ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}],
        ImageWatermarks=[{"WatermarkKey": "111111111111:ok"}],
        InstanceTypeSpecification={"SupportedInstanceTypes": [{"InstanceType": "m5.large"}]},
    )

    assert codec.decode(SourceImage, json.loads(json.dumps(codec.encode(image)))) == image


WHERE = {"Image": "ami-0aaaaaaaaaaaaaaaa", "Snapshot": "snap-0a", "EbsBlockDevice": "ami-0aaaaaaaaaaaaaaaa /dev/xvda"}
"""Shape -> where a fault of its values is."""
VALUES = [
    (shape, name, value)
    for shape in WHERE
    for name, member in MEMBERS[shape].items()
    for value in member.values
    if name != "ProductCodes"
]


def with_value(shape, member, value):
    """An image with this value in a member of itself, its snapshot or its volume."""
    if shape == "Snapshot":
        return an_image([describe_snapshot("snap-0a", **{member: value})])
    if shape == "EbsBlockDevice":
        return an_image(BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a", **{member: value})])
    return an_image(**{member: value})


@pytest.mark.parametrize(("shape", "member", "value"), VALUES)
def test_each_known_value_is_known(shape, member, value):
    """Each listed value, also a refused one, is not called unknown."""
    assert unknown_values(with_value(shape, member, value)) == ()


@pytest.mark.parametrize(("shape", "member"), sorted({(shape, member) for shape, member, _ in VALUES}))
def test_an_unknown_value_is_a_fault(shape, member):
    """A value that is not listed is named with its place."""
    [fault] = unknown_values(with_value(shape, member, "novel"))

    assert (fault.code, fault.where) == ("source-value-unknown", WHERE[shape])
    assert fault.what.startswith(f"{shape}.{member} is 'novel'; this version knows ")


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({}, ()),
        ({"BootMode": "legacy-bios"}, ()),
        ({"BootMode": "uefi"}, ("uefiData",)),
        ({"BootMode": "uefi-preferred"}, ("uefiData",)),
        ({"TpmSupport": "v2.0"}, ("uefiData",)),
        ({"Architecture": "arm64"}, ("uefiData",)),
        ({"Architecture": "arm64_mac"}, ()),
    ],
)
def test_uefi_data_is_asked_for_only_where_there_can_be_some(members, wanted):
    """An image that boots by BIOS needs no call."""
    assert attributes_to_read(describe_image(**members)) == wanted


def test_an_attribute_that_was_not_read_is_not_taken_for_absent():
    """Without the call the reader raises, and does not return an image without UEFI data."""
    with pytest.raises(ValueError, match="attributes not read: uefiData"):
        read_image(describe_image(BootMode="uefi"), {}, [])


def test_uefi_data_is_kept():
    """The variable store comes from the attribute's answer."""
    described = describe_image(BootMode="uefi")

    assert read_image(described, {"uefiData": {"UefiData": {"Value": "QU1a"}}}, []).uefi_data == "QU1a"


def test_each_snapshot_is_copied_once_in_order_of_device():
    """Two mappings of one snapshot need one copy; EC2's order of mappings does not matter."""
    image = an_image(
        BlockDeviceMappings=[
            describe_volume("/dev/xvdd", "snap-0a"),
            {"DeviceName": "/dev/xvde", "VirtualName": "ephemeral0"},
            describe_volume("/dev/xvdc", None),
            describe_volume("/dev/xvdb", "snap-0b"),
            describe_volume("/dev/xvda", "snap-0a"),
            {"DeviceName": "/dev/xvdf", "NoDevice": ""},
        ]
    )

    assert snapshots_to_copy(image) == ("snap-0a", "snap-0b")
    expected = ["snapshot", "snapshot", "blank", "snapshot", "ephemeral", "no-device"]
    assert [device.kind for device in image.devices] == expected
