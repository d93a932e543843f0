"""EventBridge's event patterns: whether an event matches. Pure.

Operators: exact values, prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists; ``$or``; nested
objects; arrays on either side. [EventBridge user guide, content filtering] What is refused, and that anything-but with
texts matches what is no text, is as recorded [localstack, tests/aws/services/events/event_pattern_templates].
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

Pattern = Mapping[str, Any]

COMPARE = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
OPERATORS = {"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists"}


class _Missing:
    """Stands for a field that the event does not have."""


MISSING = _Missing()


def matches(pattern: Pattern, event: Any) -> bool:
    """Whether every field of a pattern matches the event; of an array of objects one must match every field."""
    if isinstance(event, list):
        return any(matches(pattern, one) for one in event)
    fields = event if isinstance(event, Mapping) else {}
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(one, fields) for one in wanted):
                return False
        elif isinstance(wanted, Mapping):
            if not matches(wanted, fields.get(key, {})):
                return False
        elif not _leaf(wanted, fields.get(key, MISSING)):
            return False
    return True


def problem_of(pattern: Any, where: str = "the pattern") -> str | None:
    """Return what is wrong with a pattern, for InvalidEventPatternException; None if nothing is."""
    if not isinstance(pattern, Mapping):
        return f"{where} must be an object or an array"
    if not pattern:
        return f"{where} is empty: empty objects are not allowed"
    for key, wanted in pattern.items():
        place = f"{where}.{key}"
        if key == "$or" and isinstance(wanted, list):
            problem = next(filter(None, (problem_of(one, place) for one in wanted)), None)
        elif isinstance(wanted, Mapping):
            problem = problem_of(wanted, place)
        elif wanted == []:
            problem = f"{place}: empty arrays are not allowed"
        elif not isinstance(wanted, list):
            problem = f"{place} must be an object or an array, not {wanted!r}: write [{wanted!r}]"
        else:
            problem = next(filter(None, (_rule_problem(one, place) for one in wanted)), None)
        if problem:
            return problem
    return None


def _rule_problem(wanted: Any, where: str) -> str | None:
    if isinstance(wanted, list):
        return f"{where}: an array cannot hold an array"
    if not isinstance(wanted, Mapping):
        return None
    if len(wanted) != 1 or next(iter(wanted)) not in OPERATORS:
        return f"{where}: {sorted(wanted)} is no operator; known: {sorted(OPERATORS)}"
    ((name, argument),) = wanted.items()
    return None if _takes(name, argument) else f"{where}: {name} does not take {argument!r}"


def _takes(name: str, argument: Any) -> bool:
    """Whether an operator takes an argument."""
    if name == "exists":
        return isinstance(argument, bool)
    if name == "numeric":
        return isinstance(argument, list) and _comparison(argument)
    if name != "anything-but":
        folded = (
            isinstance(argument, Mapping) and name in ("prefix", "suffix") and [*argument] == ["equals-ignore-case"]
        )
        return _a_text(name, argument["equals-ignore-case"] if folded else argument)
    if not isinstance(argument, Mapping):
        return bool(_listed(argument)) and all(isinstance(one, str) or _is_number(one) for one in _listed(argument))
    return len(argument) == 1 and all(
        (inner in ("equals-ignore-case", "wildcard") or (inner in ("prefix", "suffix") and "" not in _listed(texts)))
        and bool(_listed(texts))
        and all(_a_text(inner, text) for text in _listed(texts))
        for inner, texts in argument.items()
    )


def _a_text(name: str, text: Any) -> bool:
    """Whether this is a text that an operator compares with; for a wildcard one with two side by side is none."""
    return isinstance(text, str) and not (name == "wildcard" and "**" in text)


def _comparison(argument: Sequence[Any]) -> bool:
    """Whether this is one comparison with a number, or a range: from below first."""
    signs, numbers = argument[::2], argument[1::2]
    if len(signs) != len(numbers) or not all(map(_is_number, numbers)):
        return False
    return (len(signs) == 1 and signs[0] in COMPARE) or (
        len(signs) == 2 and signs[0] in (">", ">=") and signs[1] in ("<", "<=") and numbers[0] < numbers[1]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _leaf(wanted: Sequence[Any], value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    if not values:
        values = [MISSING]
    return any(_one(rule, one) for rule in wanted for one in values)


def _one(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return _equal(rule, value)
    ((name, argument),) = rule.items()
    if name == "exists":
        present = value is not MISSING and not isinstance(value, Mapping)
        return present is bool(argument)
    if value is MISSING or isinstance(value, Mapping):
        return False
    if name == "anything-but":
        return _but(argument, value)
    if name == "numeric":
        return _numeric(argument, value)
    return isinstance(value, str) and _text(name, argument, value)


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return wanted == value
    return type(wanted) is type(value) and bool(wanted == value)


def _but(argument: Any, value: Any) -> bool:
    if isinstance(argument, Mapping):
        ((name, texts),) = argument.items()
        return not (isinstance(value, str) and any(_text(name, text, value) for text in _listed(texts)))
    return not any(_equal(one, value) for one in _listed(argument))


def _numeric(argument: Sequence[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(bool(COMPARE[sign](value, number)) for sign, number in pairs)


def _text(name: str, argument: Any, value: str) -> bool:
    if isinstance(argument, Mapping):  # {"prefix": {"equals-ignore-case": ...}}
        argument, value = str(argument["equals-ignore-case"]).lower(), value.lower()
    if name == "prefix":
        return value.startswith(argument)
    if name == "suffix":
        return value.endswith(argument)
    if name == "equals-ignore-case":
        return value.lower() == str(argument).lower()
    return re.fullmatch(".*".join(map(re.escape, argument.split("*"))), value, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def called(name: str, short: str) -> bool:
    """Whether ``short`` names a function or queue: by its whole name, or by what follows a Region in it."""
    return name == short or re.search(rf"-\d-{re.escape(short)}$", name) is not None
