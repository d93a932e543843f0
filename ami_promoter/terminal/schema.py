"""Words in which a verb says what its ``--json`` prints: JSON Schema (draft 2020-12), with a description each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def text(says: str) -> Schema:
    """A string."""
    return {"type": "string", "description": says}


def number(says: str) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": says}


def amount(says: str) -> Schema:
    """A number, possibly with decimals."""
    return {"type": "number", "description": says}


def flag(says: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": says}


def time(says: str) -> Schema:
    """A moment, or a dash."""
    return text(f"{says} (ISO 8601 in UTC; `-`: not known)")


def perhaps(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def several(says: str, of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "description": says, "items": of}


def mapping(says: str, of: Schema) -> Schema:
    """An object with names that are not known beforehand."""
    return {"type": "object", "description": says, "additionalProperties": of}


def thing(says: str = "", /, **members: Schema) -> Schema:
    """An object that has all these members and no others."""
    return {
        "type": "object",
        "description": says,
        "properties": members,
        "required": sorted(members),
        "additionalProperties": False,
    }


def some_of(schema: Schema, *absent: str) -> Schema:
    """The same object, where these members may be left out."""
    return {**schema, "required": [name for name in schema["required"] if name not in absent]}


FAULT = thing(
    "one thing that is wrong",
    code=text("a stable name"),
    where=text("the place"),
    what=text("what is wrong"),
    cure=text("what to do"),
)
FAULTS = several("what is wrong", FAULT)
FAILURE = thing(
    "printed instead of a verb's own document where it could not do its work",
    faults=FAULTS,
    exit_status=number("the exit status"),
)
HUB = {
    "account": text("the hub's account"),
    "region": text("the hub's Region"),
    "table": text("the service's table of records"),
}
