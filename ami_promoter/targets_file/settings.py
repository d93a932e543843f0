"""The settings of a target, by their table: ``$defs/settingKeys`` of targets.schema.json.

Each key has its JSON Schema and, for this project alone: ``row``, what the guide says of it; ``bounds`` and ``step`` of
a duration; and ``only``, the mode in which it has an effect. Its default and its Python type are in ``Target``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from typing import Any

from chalicelib.engine import codec
from chalicelib.targets.applied_file import Target

BUILT_IN: Mapping[str, Any] = {
    field.name: field.default_factory() if field.default_factory is not MISSING else field.default
    for field in fields(Target)
}
"""The defaults."""


@cache
def schema() -> Mapping[str, Any]:
    """The schema as it is shipped."""
    text = files("ami_promoter.targets_file").joinpath("targets.schema.json").read_text(encoding="utf-8")
    parsed: Mapping[str, Any] = codec.parsed_json(text)
    return parsed


def table() -> Mapping[str, Mapping[str, Any]]:
    """Return each key of a target's settings with its rule."""
    known: Mapping[str, Mapping[str, Any]] = schema()["$defs"]["settingKeys"]["properties"]
    return known


def only_in(mode: str) -> tuple[str, ...]:
    """Return the settings that have an effect in this mode only."""
    return tuple(name for name, rule in table().items() if rule.get("only") == mode)


def is_duration(name: str) -> bool:
    """Whether a setting is a length of time; a target has it in seconds."""
    return "bounds" in table().get(name, {})
