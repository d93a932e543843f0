"""The table of members has everything that the shipped SDK's model has."""

import copy
from typing import Any

import botocore.loaders
import pytest

from chalicelib.images.image import IMAGE_TEXTS
from tools.image_members import MEMBERS, Treatment

ROOTS = ("Image", "ImageAttribute", "Snapshot")
BEYOND_THE_MODEL = {("Image", "Platform"): {"windows"}}
"""Values that EC2 documents and its model does not list."""


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """EC2's API model as the shipped SDK has it."""
    return botocore.loaders.create_loader().load_service_model("ec2", "service-2")


def gaps(model: dict[str, Any]) -> list[str]:
    """Where the table and an EC2 model disagree, over all shapes of an image's answers."""
    shapes, found, waiting, seen = model["shapes"], [], list(ROOTS), set()
    while waiting:
        name = waiting.pop()
        shape = shapes[name]
        if name in seen:
            continue
        seen.add(name)
        if shape["type"] == "list":
            waiting.append(shape["member"]["shape"])
        if shape["type"] != "structure":
            continue
        waiting += [member["shape"] for member in shape["members"].values()]
        table = MEMBERS.get(name, {})
        found += [f"{name}.{member} is not in the table" for member in shape["members"].keys() - table.keys()]
        found += [f"{name}.{member} is not in the model" for member in table.keys() - shape["members"].keys()]
        for member, reference in shape["members"].items():
            enum = set(shapes[reference["shape"]].get("enum", ()))
            if member in table:
                found += _value_gaps(name, member, enum)
    found += [f"{name} is not in the model" for name in MEMBERS.keys() - seen]
    return sorted(found)


def _value_gaps(shape: str, member: str, enum: set[str]) -> list[str]:
    known = set(MEMBERS[shape][member].values) - BEYOND_THE_MODEL.get((shape, member), set())
    if not enum or (not known and (MEMBERS[shape][member].treatment is Treatment.DROPPED or shape == "ImageAttribute")):
        return []
    return [f"{shape}.{member}: value {value!r} differs" for value in known ^ enum]


def _copy(model: dict[str, Any], shape: str) -> dict[str, Any]:
    """The model with one shape that may be changed."""
    return {"shapes": {**model["shapes"], shape: copy.deepcopy(model["shapes"][shape])}}


def test_every_member_and_value_of_the_shipped_sdk_is_in_the_table(model):
    """The table and the SDK's model of DescribeImages, DescribeImageAttribute and DescribeSnapshots agree."""
    assert gaps(model) == []


@pytest.mark.parametrize("shape", sorted(MEMBERS))
def test_a_new_member_of_any_shape_is_noticed(model, shape):
    """The comparison names a new member at any level."""
    doctored = _copy(model, shape)
    doctored["shapes"][shape]["members"]["Novelty"] = {"shape": "String"}

    assert gaps(doctored) == [f"{shape}.Novelty is not in the table"]


def test_a_new_structure_is_noticed(model):
    """A new member with its own shape is named with all members of that shape."""
    doctored = _copy(model, "Image")
    doctored["shapes"]["Image"]["members"]["Novelty"] = {"shape": "NovelShape"}
    doctored["shapes"]["NovelShape"] = {"type": "structure", "members": {"Deep": {"shape": "String"}}}

    assert gaps(doctored) == ["Image.Novelty is not in the table", "NovelShape.Deep is not in the table"]


@pytest.mark.parametrize("enum", ["ArchitectureValues", "BootModeValues", "VolumeType", "StorageTier", "ImageState"])
def test_a_new_value_is_noticed(model, enum):
    """The comparison names a new value of a member that matters."""
    doctored = _copy(model, enum)
    doctored["shapes"][enum]["enum"].append("novel")

    assert any("'novel' differs" in gap for gap in gaps(doctored))


def test_a_member_that_has_gone_is_noticed(model):
    """The table has no member that the SDK has dropped."""
    doctored = _copy(model, "Image")
    del doctored["shapes"]["Image"]["members"]["BootMode"]

    assert gaps(doctored) == ["Image.BootMode is not in the model"]


def test_every_member_has_a_reason_and_refuses_only_values_it_knows():
    """A reason is a sentence; a refused value is a known one."""
    members = [member for shape in MEMBERS.values() for member in shape.values()]

    assert all(member.why.endswith(".") for member in members)
    assert all(set(member.refused) <= set(member.values) for member in members)


def test_every_text_that_is_read_is_in_the_table():
    """Members that the image stores as plain text have the SDK's names."""
    assert IMAGE_TEXTS.keys() <= MEMBERS["Image"].keys()
