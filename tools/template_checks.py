"""What cfn-lint lets pass in a translated template and AWS refuses, or worse, accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

_MATCHERS = {"prefix", "suffix", "exists", "anything-but", "numeric", "wildcard", "equals-ignore-case", "cidr"}


def problems(template: Mapping[str, Any]) -> list[str]:
    """List every fault of a CloudFormation template (after SAM), each with its place; empty if there is none."""
    found = [f"{where}: is null" for where, value in _walk(template) if value is None]
    found += _unresolved(template, "")
    numbers = {name for name, given in template.get("Parameters", {}).items() if given["Type"] == "Number"}
    for name, resource in template.get("Resources", {}).items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Events::Rule" and "EventPattern" in properties:
            found += _pattern(properties["EventPattern"], f"Resources.{name}.EventPattern")
        if resource["Type"] == "AWS::CloudWatch::Dashboard":
            found += _dashboard(properties.get("DashboardBody"), numbers, f"Resources.{name}.DashboardBody")
    return found


def _walk(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    yield where, value
    children = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _walk(child, f"{where}.{key}".lstrip("."))


def _pattern(pattern: Any, where: str) -> list[str]:
    """EventBridge compares only with lists: a bare string never matches, and PutRule refuses it."""
    if isinstance(pattern, list):
        return [] if pattern else [f"{where}: is an empty list and matches nothing"]
    if not isinstance(pattern, Mapping) or _MATCHERS & pattern.keys():
        return [f"{where}: {pattern!r} must be in a list, [{pattern!r}]"]
    return [fault for key, child in pattern.items() for fault in _pattern(child, f"{where}.{key}")]


def _dashboard(body: Any, numbers: AbstractSet[str], where: str) -> list[str]:
    """A body's text is put together by Fn::Sub; ``numbers`` are the parameters that may stand there without quotes."""
    text: Any = body.get("Fn::Sub") if isinstance(body, Mapping) else body
    text = text[0] if isinstance(text, list) else text
    try:
        json.loads(re.sub(r"\$\{([^}]*)\}", lambda found: "0" if found[1] in numbers else "x", text))
    except (TypeError, ValueError) as e:
        return [f"{where}: is not JSON: {e}"]
    return []


def _unresolved(value: Any, where: str) -> list[str]:
    """``${AWS::Region}`` outside Fn::Sub would reach IAM as it stands, and match nothing there.

    A StackSet's TemplateBody is a template of its own.
    """
    if isinstance(value, str):
        return [f"{where}: {value!r} is not inside Fn::Sub"] if re.search(r"\$\{[A-Z]", value) else []
    if isinstance(value, Mapping):
        rest = {key: child for key, child in value.items() if key not in ("Fn::Sub", "TemplateBody")}
        return [fault for key, child in rest.items() for fault in _unresolved(child, f"{where}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [fault for i, child in enumerate(value) for fault in _unresolved(child, f"{where}[{i}]")]
    return []
