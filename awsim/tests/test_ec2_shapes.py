"""Every answer of the simulator's EC2 matches the SDK's model."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from awsim.services.ec2.service import OPERATIONS
from awsim.world import World
from ec2_words import HERE, OPS, shown_image
from platform_words import checks_of

MODEL = botocore.session.get_session().get_service_model("ec2")
TYPES = {"string": str, "boolean": bool, "integer": int, "long": int, "timestamp": datetime}
SPELT_OTHERWISE = {"Platform"}
"""Members with other real values than the model's: Platform is ``windows``, the model says ``Windows``."""


def mismatches(value: object, shape: Shape, where: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        assert isinstance(value, dict), where
        for name, member in value.items():
            if name not in shape.members:
                yield f"{where}.{name} is unknown"
            else:
                yield from mismatches(member, shape.members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(value, list), where
        for item in value:
            yield from mismatches(item, shape.member, where)
    elif type(value) is not TYPES[shape.type_name]:
        yield f"{where} is {value!r}, no {shape.type_name}"
    elif where.rpartition(".")[2] not in SPELT_OTHERWISE and value not in (getattr(shape, "enum", None) or [value]):
        yield f"{where} is {value!r}, none of {shape.enum}"


def test_every_answer_has_its_models_shape() -> None:
    """All answers in all checks of EC2 have known members of the right types, and every operation occurs."""
    answered, found = set(), set()
    for _, check in checks_of("checks_ec2_*.py"):
        with World() as world:
            check(world)
            for call in world.calls:
                if call.service == "ec2" and call.error is None:
                    answered.add(call.operation)
                    shape = MODEL.operation_model(call.operation).output_shape
                    found |= set(mismatches(dict(call.result), shape, call.operation) if shape else call.result)

    assert found == set()
    assert OPERATIONS.keys() - answered == {"DeleteVolume"}


def sample(shape: Shape) -> Any:
    """Build a value of a shape, with all its members."""
    if isinstance(shape, StructureShape):
        return {name: sample(member) for name, member in shape.members.items()}
    if isinstance(shape, ListShape):
        return [sample(shape.member)]
    if shape.type_name == "string":
        return shape.enum[0] if getattr(shape, "enum", None) else "text"
    return {"boolean": True, "integer": 7, "long": 7, "timestamp": datetime(2026, 1, 2, tzinfo=UTC)}[shape.type_name]


COMPUTED = {"ImageId", "OwnerId", "CreationDate", "Public", "Tags", "BlockDeviceMappings", "DeprecationTime", "State"}


@pytest.mark.parametrize("name", sorted(MODEL.shape_for("Image").members.keys() - COMPUTED))
def test_every_member_of_an_image_can_be_seeded_and_arrives(world: World, name: str) -> None:
    """A seeded image can have any member of the SDK's model, and DescribeImages shows it."""
    value = sample(MODEL.shape_for("Image").members[name])
    image = world.ec2.seed_image(OPS, HERE, **({"name": "base"} | {name: value}))

    assert shown_image(world, image)[name] == value
