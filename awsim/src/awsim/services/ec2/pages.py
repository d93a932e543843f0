"""Order and pages of what Describe calls return."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters
from awsim.services.ec2.errors import wrong_combination, wrong_value
from awsim.services.ec2.state import Ec2State

T = TypeVar("T")

NO_ORDER = rule(
    "ec2-describe-order-not-fixed",
    "The order of what DescribeImages returns, nested lists included, is not fixed [aws-facts 5, VERIFIED]",
)
PAGES = rule(
    "ec2-describe-pages",
    "MaxResults bounds a page and NextToken leads to the next, in the same Region and operation alone; pages of "
    "snapshots and images hold 5 to 1000 [botocore ec2 model, DescribeSnapshots; lower bound and tokens aws-facts 4, "
    "VERIFIED for images, and for subnets and security groups]",
)
FILTERED_AFTER = rule(
    "ec2-filters-after-pages",
    "A call's filters apply to a page after it was cut: a page may be short, or empty and lead to another "
    "[aws-facts 4, VERIFIED]",
)
UNPAGED = rule(
    "ec2-unpaged-lists-fail",
    "A list without MaxResults comes as a whole, whatever its filters; one of more than 1000 may be throttled or time "
    "out [botocore ec2 model, DescribeSnapshots and DescribeImages; UNVERIFIED: from how many on; the simulator always "
    "throttles it]",
)
MOST = 1000


def shuffled(ec2: Ec2State, items: Sequence[T], name: Callable[[T], str]) -> list[T]:
    """Return items in an arbitrary order, the same each time."""
    if not ec2.on(NO_ORDER):
        return list(items)
    return sorted(items, key=lambda item: _place(ec2, name(item)))


def filtered(
    ec2: Ec2State,
    call: Call,
    items: Sequence[dict[str, Any]],
    name: Callable[[Mapping[str, Any]], str],
    fields: filters.Fields,
    least: int = 5,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return what the call's filters leave of the page that it asks for, and the token of the next page."""
    wanted = call.params.get("Filters", ())
    if not ec2.on(FILTERED_AFTER):
        return page(ec2, call, filters.keep(items, wanted, fields), name, least)
    part, token = page(ec2, call, items, name, least)
    return filters.keep(part, wanted, fields), token


def page(
    ec2: Ec2State, call: Call, items: Sequence[T], name: Callable[[T], str], least: int = 5
) -> tuple[list[T], str | None]:
    """Return the page that the call asks for, and the token of the next (None after the last)."""
    ordered = shuffled(ec2, items, name)
    size: int | None = call.params.get("MaxResults")
    token: str | None = call.params.get("NextToken")
    if size is None and len(ordered) > MOST and ec2.on(UNPAGED):
        raise AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
    if not ec2.on(PAGES):
        return ordered, None
    if size is not None and not least <= size <= MOST:
        raise wrong_value("maxResults", size, f"Expecting a value from {least} to {MOST}.")
    names = [name(item) for item in ordered]
    start = _start(ec2, call, token, names) if token else 0
    end = min(start + (size or len(ordered)), len(ordered))
    return ordered[start:end], _token(call, names[end - 1]) if end < len(ordered) else None


def no_pages_with(call: Call, name: str, said: str = "") -> None:
    """Refuse MaxResults beside a list of ids. ``said``: what AWS calls the list, where that is known."""
    if call.params.get(name) and call.params.get("MaxResults") is not None:
        raise wrong_combination(f"The parameter {said or name} cannot be used with the parameter maxResults")


def answer(key: str, items: list[Any], token: str | None) -> dict[str, Any]:
    """Return the response of a Describe call."""
    return {key: items} | ({"NextToken": token} if token else {})


def _place(ec2: Ec2State, name: str) -> str:
    return hashlib.sha256(f"{ec2.seed}/{name}".encode()).hexdigest()


def _token(call: Call, last: str) -> str:
    return base64.urlsafe_b64encode(f"{call.operation}/{call.region}/{last}".encode()).decode()


def _start(ec2: Ec2State, call: Call, token: str, names: Sequence[str]) -> int:
    try:
        operation, region, last = base64.urlsafe_b64decode(token).decode().split("/", maxsplit=2)
    except (ValueError, binascii.Error):
        operation, region, last = "", "", ""
    if (operation, region) != (call.operation, call.region):
        why = f"Value ( {token} ) for parameter NextToken is invalid. The token is invalid."
        raise AwsError("InvalidParameterValue", why)
    if last in names:
        return names.index(last) + 1
    return next((i for i, name in enumerate(names) if _place(ec2, name) > _place(ec2, last)), len(names))
