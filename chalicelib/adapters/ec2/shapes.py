"""Turns EC2's shapes into the service's types: tags, descriptions, and errors for what is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

GONE = (
    "InvalidSnapshot.NotFound",
    "InvalidAMIID.NotFound",
    "InvalidAMIID.Unavailable",
)


def described(text: str | None) -> dict[str, str]:
    """Return the argument that carries a description; EC2 is sent none rather than an empty one."""
    return {"Description": text} if text else {}


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return what AWS lists as a mapping."""
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write a mapping as AWS wants it."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def unless_gone(call: Callable[[], object]) -> None:
    """Remove something; that it is gone is no error."""
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            raise


def within_time(copy: Callable[..., Any], parameter: str, seconds: int) -> Any:
    """Copy within a time, if one is wanted; and without it where AWS refuses the copy for that time.

    It does so where the account's throughput for time-based copies is used up [aws-facts, time-based copies; by which
    code, nobody says]. A copy that was refused was not made, so the call may be made once more.
    """
    if seconds:
        try:
            return copy(**{parameter: seconds // 60})
        except ClientError as error:
            if not _OF_TIME.search(error.response["Error"].get("Message", "")):
                raise
    return copy()


_OF_TIME = re.compile("throughput|completion ?duration|time-based", re.IGNORECASE)
