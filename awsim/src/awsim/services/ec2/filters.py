"""Filters of the Describe calls: known names, values with wildcards, tags.

One of a filter's values must match, and every filter must match; case counts; an unknown name is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from awsim.api import AwsError

Fields = Mapping[str, Callable[[Mapping[str, Any]], Iterable[str]]]
"""Filter name -> the values of a shown resource for it."""

MOST_VALUES = 200


def text(value: object) -> str:
    """Return a value as filters and the wire write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def member(name: str) -> Callable[[Mapping[str, Any]], Iterable[str]]:
    """Return a field that is one member of a shown resource."""
    return lambda shown: (text(shown[name]),) if shown.get(name) is not None else ()


def keep(shown: Iterable[dict[str, Any]], filters: Sequence[Mapping[str, Any]], fields: Fields) -> list[dict[str, Any]]:
    """Return the resources that match every filter."""
    if sum(len(entry.get("Values", ())) for entry in filters) > MOST_VALUES:
        why = f"The maximum number of filter values specified on a single call is {MOST_VALUES}"
        raise AwsError("FilterLimitExceeded", why)
    tests = [(_values_of(entry["Name"], fields), _pattern(entry)) for entry in filters]
    return [item for item in shown if all(any(pattern.fullmatch(v) for v in values(item)) for values, pattern in tests)]


def _values_of(name: str, fields: Fields) -> Callable[[Mapping[str, Any]], Iterable[str]]:
    if name == "tag-key":
        return lambda shown: [tag["Key"] for tag in shown.get("Tags", ())]
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda shown: [tag["Value"] for tag in shown.get("Tags", ()) if tag["Key"] == key]
    if name not in fields:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return fields[name]


def _pattern(entry: Mapping[str, Any]) -> re.Pattern[str]:
    values = entry.get("Values", ())
    if not values:
        raise AwsError("InvalidParameterValue", f"The filter '{entry['Name']}' has no values")
    return re.compile("|".join(_wild(str(value)) for value in values), re.DOTALL)


def _wild(value: str) -> str:
    """Return a filter value as a regular expression: * and ? are wildcards unless a backslash precedes them."""
    pieces = re.findall(r"\\.|.", value, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(piece, re.escape(piece.removeprefix("\\") or piece)) for piece in pieces)
