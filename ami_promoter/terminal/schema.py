"""Functions that describe what a verb prints with ``--json``, as JSON Schema (draft 2020-12) with descriptions."""

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
    """A time, or a dash."""
    return text(f"{says} (ISO 8601 in UTC; `-`: not known)")


def perhaps(schema: Schema) -> Schema:
    """The same schema; the value can also be null."""
    return {**schema, "type": [schema["type"], "null"]}


def several(says: str, of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "description": says, "items": of}


def mapping(says: str, of: Schema) -> Schema:
    """An object whose member names depend on the data."""
    return {"type": "object", "description": says, "additionalProperties": of}


def counts(says: str) -> Schema:
    """An object: a state, or another word -> how many."""
    return mapping(says, number("how many"))


def thing(says: str = "", /, **members: Schema) -> Schema:
    """An object that has all these members and no others."""
    return {
        "type": "object",
        "description": says,
        "properties": members,
        "required": sorted(members),
        "additionalProperties": False,
    }


def partly(**members: Schema) -> Schema:
    """An object that has some of these members and no others."""
    return {**thing(**members), "required": []}


def described(says: str, schema: Schema) -> Schema:
    """The same schema with another description."""
    return {**schema, "description": says}


def some_of(schema: Schema, *absent: str) -> Schema:
    """The same object, where these members may be left out."""
    return {**schema, "required": [name for name in schema["required"] if name not in absent]}


PLACE = {"account": text("account id of the target"), "region": text("Region of the target")}
FAULT = thing(
    "a fault",
    code=text("the fault's code, which does not change between versions; `docs/reference/faults.md` lists the codes"),
    where=text("what the fault is about: an id, an account, ACCOUNT/REGION, or a line of the targets file"),
    what=text("what is wrong"),
    cure=text("what to do about it"),
)
FAULTS = several("the faults", FAULT)
FAILURE = thing(
    "what a verb prints when it could not do its work",
    faults=FAULTS,
    exit_status=number("the exit status: 1, 2, 3 or 130"),
)
HUB = {
    "account": text("the hub's account"),
    "region": text("the hub's Region"),
    "table": text("the name of the service's table of records"),
}
