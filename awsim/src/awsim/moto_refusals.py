"""Refuses what DynamoDB refuses with ValidationException and moto takes.

The messages are recorded ones; their wording differs between Regions and operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from werkzeug.exceptions import HTTPException

from awsim.api import AwsError, Call
from awsim.moto_parts import ConditionExpressionParser
from awsim.rules import Rule, Rules, rule

SOURCE = "aws-facts, Added November 2026"
USED = rule(
    "dynamodb-names-and-values-are-used",
    f"A request's expressions use all its ExpressionAttributeNames and ExpressionAttributeValues. [{SOURCE}, VERIFIED]",
)
SHORT = rule(
    "dynamodb-expression-4096-bytes",
    f"An expression has at most 4,096 bytes, as it is sent. [{SOURCE}, VERIFIED]",
)
DISTINCT = rule("dynamodb-set-without-duplicates", f"A set has no element twice. [{SOURCE}, VERIFIED]")
WITHIN = rule(
    "dynamodb-start-within-the-query",
    f"A Query's ExclusiveStartKey meets its KeyConditionExpression. [{SOURCE}, VERIFIED]",
)
FILLED = rule(
    "dynamodb-start-without-empty-keys",
    f"No attribute of an ExclusiveStartKey is empty. [{SOURCE}, UNVERIFIED; of other keys VERIFIED]",
)
EMPTY = (
    "The provided starting key is invalid: One or more parameter values are not valid. "
    "The AttributeValue for a key attribute cannot contain an empty string value. Key: "
)
OUTSIDE = "The provided starting key is outside query boundaries based on provided conditions"
NOT_IN_RANGE = "The provided starting key does not match the range key predicate"
ENVELOPED = ("PutItem", "UpdateItem", "DeleteItem")
"""Operations whose messages say first how many errors there are."""


def check(call: Call, rules: Rules) -> None:
    """Raise AwsError for a call of DynamoDB that it refuses whatever is stored."""
    for broken, message in faults(call.params):
        if rules.on(broken):
            envelope = "1 validation error detected: " if call.operation in ENVELOPED else ""
            raise AwsError("ValidationException", envelope + message)


def faults(params: Mapping[str, Any]) -> Iterator[tuple[Rule, str]]:
    """Yield why DynamoDB refuses a call with these parameters: the rule, and its words."""
    yield from _duplicates(params)
    yield from _expressions(params)
    for item in params.get("TransactItems", []):
        for operation in item.values():
            yield from _expressions(operation)
    for read in params.get("RequestItems", {}).values():
        if isinstance(read, dict):
            yield from _expressions(read)
    if "ExclusiveStartKey" in params:
        yield from _start(params["ExclusiveStartKey"], params)


def _duplicates(value: Any, kind: str = "") -> Iterator[tuple[Rule, str]]:
    """Find sets with an element twice. ``kind``: the name under which the value stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _duplicates(inner, name)
    elif isinstance(value, list) and kind not in ("SS", "NS", "BS"):
        for inner in value:
            yield from _duplicates(inner)
    elif isinstance(value, list) and len(value) > len(set(map(Decimal, value) if kind == "NS" else value)):
        elements = f" [{', '.join(value)}]" if kind == "SS" else ""
        yield DISTINCT, f"One or more parameter values were invalid: Input collection{elements} contains duplicates."


def _expressions(part: Mapping[str, Any]) -> Iterator[tuple[Rule, str]]:
    texts = {name: text for name, text in part.items() if name.endswith("Expression")}
    for name, text in texts.items():
        size = len(text.encode())
        if size > 4096:
            said = f"Expression size has exceeded the maximum allowed size; expression size: {size}"
            yield SHORT, f"Invalid {name}: {said}"
    used = set(re.findall(r"[#:]\w+", " ".join(texts.values())))
    for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        unused = sorted(set(part.get(name, ())) - used)
        if unused and texts:
            yield USED, f"Value provided in {name} unused in expressions: keys: {{{', '.join(unused)}}}"
        elif unused:
            yield USED, f"{name} can only be specified when using expressions"


def _start(key: Mapping[str, Any], query: Mapping[str, Any]) -> Iterator[tuple[Rule, str]]:
    attributes = {}
    for name, typed in key.items():
        ((kind, value),) = typed.items()
        if not value:
            yield FILLED, f"{EMPTY}{name}"
        attributes[name] = SimpleNamespace(type=kind, cast_value=Decimal(value) if kind == "N" else value)
    text = query.get("KeyConditionExpression", "")
    given = [query.get(f"ExpressionAttribute{what}", {}) for what in ("Names", "Values")]
    try:
        condition: Any = ConditionExpressionParser(text, *given).parse()
        is_met = condition.expr(SimpleNamespace(attrs=attributes))
    except (HTTPException, KeyError, TypeError, ValueError):  # moto says what is wrong with the condition
        return
    if not is_met:
        yield WITHIN, NOT_IN_RANGE if getattr(condition, "OP", "") == "AND" else OUTSIDE
