"""Reading an image from EC2, and storing it."""

import json

import pytest
from hypothesis import given

from chalicelib.engine import codec
from chalicelib.images.image import SourceImage, attributes_to_read, read_image, snapshots_to_copy, unknown_values
from chalicelib.images.members import MEMBERS
from tests.images.examples import an_image, describe_image, describe_snapshot, describe_volume, promotable


@given(promotable())
def test_an_image_comes_back_from_its_record_as_it_was(described):
    """Any image survives encoding and decoding."""
    image = described.read()

    assert codec.decode(SourceImage, json.loads(json.dumps(codec.encode(image)))) == image


def test_an_image_with_every_refused_part_comes_back_too():
    """Watermarks, product codes and the like survive, so that their faults can be shown later."""
    image = an_image(
        ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}],
        ImageWatermarks=[{"WatermarkKey": "111111111111:ok"}],
        InstanceTypeSpecification={"SupportedInstanceTypes": [{"InstanceType": "m5.large"}]},
    )

    assert codec.decode(SourceImage, json.loads(json.dumps(codec.encode(image)))) == image


@given(promotable())
def test_an_image_of_known_values_has_no_unknown_ones(described):
    """No value is reported as unknown."""
    assert unknown_values(described.read()) == ()


IMAGE_VALUES = [
    (name, value) for name, member in MEMBERS["Image"].items() for value in member.values if name != "ProductCodes"
]
SNAPSHOT_VALUES = [(name, value) for name, member in MEMBERS["Snapshot"].items() for value in member.values]


@pytest.mark.parametrize(("member", "value"), IMAGE_VALUES)
def test_each_known_value_of_an_image_is_known(member, value):
    """Each listed value, also a refused one, is not called unknown."""
    assert unknown_values(an_image(**{member: value})) == ()


@pytest.mark.parametrize("member", sorted({name for name, _ in IMAGE_VALUES}))
def test_an_unknown_value_of_an_image_is_a_fault(member):
    """A value that is not listed is named with its place."""
    [fault] = unknown_values(an_image(**{member: "novel"}))

    assert fault.code == "source-value-unknown"
    assert fault.what.startswith(f"Image.{member} is 'novel'; this version knows ")


@pytest.mark.parametrize(("member", "value"), SNAPSHOT_VALUES)
def test_each_known_value_of_a_snapshot_is_known(member, value):
    """Each listed value, also a refused one, is not called unknown."""
    assert unknown_values(an_image([describe_snapshot("snap-0a", **{member: value})])) == ()


@pytest.mark.parametrize("member", sorted({name for name, _ in SNAPSHOT_VALUES}))
def test_an_unknown_value_of_a_snapshot_is_a_fault(member):
    """A value that is not listed is named with its place."""
    [fault] = unknown_values(an_image([describe_snapshot("snap-0a", **{member: "novel"})]))

    assert fault.where == "snap-0a"
    assert f"Snapshot.{member} is 'novel'" in fault.what


@pytest.mark.parametrize("value", MEMBERS["EbsBlockDevice"]["VolumeType"].values)
def test_each_volume_type_is_known(value):
    """Every volume type of the SDK can be promoted."""
    assert (
        unknown_values(an_image(BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a", VolumeType=value)])) == ()
    )


def test_an_unknown_volume_type_is_a_fault():
    """The fault names the device."""
    [fault] = unknown_values(an_image(BlockDeviceMappings=[describe_volume("/dev/xvda", "snap-0a", VolumeType="gp9")]))

    assert fault.where == "ami-0aaaaaaaaaaaaaaaa /dev/xvda"


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
