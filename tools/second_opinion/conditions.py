"""Which resources and outputs a template has under given parameters: all but those whose condition does not hold.

Worked out apart from the emulator, to be held against what came up there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse


def resources(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return logical id -> type, for the parameters given and the others' defaults."""
    return {name: resource["Type"] for name, resource in _there(path, given, "Resources").items()}


def outputs(path: Path, given: Mapping[str, str]) -> set[str]:
    """Return the names of the outputs, for the same."""
    return set(_there(path, given, "Outputs"))


def _there(path: Path, given: Mapping[str, str], section: str) -> dict[str, Any]:
    template: Mapping[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))
    declared: Mapping[str, Any] = template.get("Parameters", {})
    values = {name: str(of.get("Default", "")) for name, of in declared.items()} | dict(given)
    lists = {name for name, of in declared.items() if of["Type"] == "CommaDelimitedList"}
    conditions: Mapping[str, Any] = template.get("Conditions", {})

    def value(node: Any) -> Any:
        match node:
            case {"Ref": name}:
                return values.get(name, name).split(",") if name in lists else values.get(name, name)
            case {"Fn::Join": [between, items]}:
                return str(between).join(map(str, value(items)))
            case {"Fn::Select": [index, items]}:
                return value(items)[int(index)]
            case list():
                return [value(item) for item in node]
            case _:
                return node

    def holds(node: Any) -> bool:
        match node:
            case {"Fn::Equals": [one, other]}:
                return bool(value(one) == value(other))
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::And": inner}:
                return all(map(holds, inner))
            case {"Fn::Or": inner}:
                return any(map(holds, inner))
            case {"Condition": name}:
                return holds(conditions[name])
            case _:
                raise ValueError(f"{path.name}: a condition of a form not known here: {node}")

    return {
        name: one
        for name, one in template[section].items()
        if "Condition" not in one or holds(conditions[one["Condition"]])
    }
