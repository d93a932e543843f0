"""IAM's condition operators, also for multivalued context keys [IAM user guide]."""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from awsim.iam import match
from awsim.iam.match import Context

Test = Callable[[str, str, Context], bool]
"""(policy's value, request's value, context) -> whether they match."""

MULTIVALUED = frozenset({"aws:tagkeys"})
"""Keys that no operator without a quantifier matches, even if they have one value [aws-facts 3, VERIFIED].

``ec2:Add/userId`` is not one of them; of other keys that may have several values this is not known.
"""


def hold(block: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every condition of a statement's Condition block holds."""
    return all(
        _holds(name, key, [_text(value) for value in _listed(wanted)], context)
        for name, pairs in block.items()
        for key, wanted in pairs.items()
    )


def problem(block: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the form of a Condition block; None if nothing is."""
    for name, pairs in block.items():
        _, base, _ = _split(name)
        if base != "Null" and base not in TESTS and base not in NEGATED:
            return f"condition operator {name!r} does not exist"
        if not isinstance(pairs, dict):
            return f"condition {name!r} must hold an object of keys and values"
    return None


def _holds(name: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    quantifier, base, if_exists = _split(name)
    given = context.get(key.lower())
    if base == "Null":
        return any((value.lower() == "true") == (given is None) for value in wanted)
    negated = base in NEGATED
    if given is None:
        if if_exists:
            return True
        return negated if quantifier is None else quantifier == "ForAllValues"
    test = TESTS[NEGATED.get(base, base)]

    def agrees(value: str) -> bool:
        return any(test(one, value, context) for one in wanted) != negated

    values = [given] if isinstance(given, str) else list(given)
    if quantifier is None:
        several = len(set(values)) > 1 or key.lower() in MULTIVALUED
        return not several and all(agrees(value) for value in values)
    return (all if quantifier == "ForAllValues" else any)(agrees(value) for value in values)


def _split(name: str) -> tuple[str | None, str, bool]:
    quantifier, colon, rest = name.partition(":")
    if not colon or quantifier not in {"ForAllValues", "ForAnyValue"}:
        quantifier, rest = "", name
    base = rest.removesuffix("IfExists")
    return quantifier or None, base, base != rest


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _equals(wanted: str, given: str, context: Context) -> bool:
    return match.literal(wanted, context) == given


def _equals_fold(wanted: str, given: str, context: Context) -> bool:
    return (match.literal(wanted, context) or "").lower() == given.lower()


def _bool(wanted: str, given: str, _: Context) -> bool:
    return wanted.lower() == given.lower()


def _number(compare: Callable[[float, float], bool]) -> Test:
    def test(wanted: str, given: str, _: Context) -> bool:
        try:
            return compare(float(given), float(wanted))
        except ValueError:
            return False

    return test


def _date(compare: Callable[[datetime, datetime], bool]) -> Test:
    def test(wanted: str, given: str, _: Context) -> bool:
        try:
            return compare(_moment(given), _moment(wanted))
        except ValueError:
            return False

    return test


def _moment(text: str) -> datetime:
    if text.replace(".", "", 1).isdigit():
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _address(wanted: str, given: str, _: Context) -> bool:
    try:
        return ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


TESTS: dict[str, Test] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": _equals_fold,
    "StringLike": match.like,
    "ArnEquals": match.arn_like,
    "ArnLike": match.arn_like,
    "Bool": _bool,
    "IpAddress": _address,
    **{
        f"{kind}{name}": make(compare)
        for kind, make in (("Numeric", _number), ("Date", _date))
        for name, compare in (
            ("Equals", operator.eq),
            ("LessThan", operator.lt),
            ("LessThanEquals", operator.le),
            ("GreaterThan", operator.gt),
            ("GreaterThanEquals", operator.ge),
        )
    },
}

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}
"""Negated operator -> the operator that it negates. A missing key satisfies it."""
