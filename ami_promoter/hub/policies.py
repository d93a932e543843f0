"""Evaluates a policy: whether it alone allows a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.sharing.policy_text import aws_principals, listed, statements

ALLOWED, MISSING, DENIED, UNCLEAR = "allowed", "missing", "denied", "unclear"


@dataclass(frozen=True, slots=True)
class Request:
    """An action by a caller, whose ARNs and account id are ``principals``, with the known context keys."""

    action: str
    principals: Sequence[str]
    context: Mapping[str, str]


def judge(document: Mapping[str, Any], request: Request) -> tuple[str, str]:
    """Return a verdict and the Sid that decides. A denial wins; a condition that cannot be evaluated is unclear."""
    held = [(one, _holds(one, request)) for one in statements(document)]
    for effect, holds, verdict in (
        ("Deny", True, DENIED),
        ("Deny", None, UNCLEAR),
        ("Allow", True, ALLOWED),
        ("Allow", None, UNCLEAR),
    ):
        for one, found in held:
            if one["Effect"] == effect and found is holds:
                return verdict, _sid(one)
    return MISSING, ""


def held_back(document: Mapping[str, Any], request: Request) -> str:
    """Return the first statement that would allow a request if its condition held, with the condition; "": none."""
    for one in statements(document):
        bare = {name: part for name, part in one.items() if name != "Condition"}
        if one["Effect"] == "Allow" and "Condition" in one and _holds(bare, request) and _holds(one, request) is False:
            asks = (
                f"{key} {operator} {', '.join(map(str, listed(wanted)))}"
                for operator, keys in one["Condition"].items()
                for key, wanted in keys.items()
                if _test(operator, request.context.get(key), listed(wanted)) is False
            )
            return f"{_sid(one)} allows it only where {' and '.join(asks)}"
    return ""


def is_about(statement: Mapping[str, Any], resource: str) -> bool:
    """Whether a statement of an identity policy names a resource."""
    if "NotResource" in statement:
        return not any(_like(resource, it) for it in listed(statement["NotResource"]))
    return any(_like(resource, it) for it in listed(statement.get("Resource", [])))


def _holds(statement: Mapping[str, Any], request: Request) -> bool | None:
    """Whether a statement applies; None if a condition cannot be evaluated."""
    if "NotPrincipal" in statement or "NotAction" in statement:
        return None
    named = any(it in ("*", *request.principals) for it in aws_principals(statement.get("Principal")))
    asked = any(_like(request.action.lower(), it.lower()) for it in listed(statement["Action"]))
    if not named or not asked:
        return False
    tests = [
        _test(operator, request.context.get(key), listed(wanted))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    ]
    if False in tests:
        return False
    return None if None in tests else True


def _test(operator: str, value: str | None, wanted: Sequence[Any]) -> bool | None:
    base = operator.removeprefix("ForAllValues:").removeprefix("ForAnyValue:")
    test = _TESTS.get(base.replace("Not", ""))
    if value is None or test is None:
        return None
    return test(value, [str(one) for one in wanted]) is not ("Not" in base)


def _matches(value: str, wanted: Sequence[str]) -> bool:
    return any(_like(value, one) for one in wanted)


_TESTS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "StringEquals": lambda value, wanted: value in wanted,
    "StringLike": _matches,
    "ArnEquals": _matches,
    "ArnLike": _matches,
    "Bool": lambda value, wanted: value.lower() in [one.lower() for one in wanted],
    "Null": lambda _value, wanted: "false" in [one.lower() for one in wanted],
}
"""By operator; with ``Not`` in its name it holds where the test does not."""


def _like(value: str, pattern: str) -> bool:
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _sid(statement: Mapping[str, Any]) -> str:
    return str(statement.get("Sid", "a statement without Sid"))
