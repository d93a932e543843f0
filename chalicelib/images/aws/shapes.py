"""Turns EC2's shapes into the service's types: tags, descriptions, and a copy's time."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chalicelib.engine.aws import sdk
from chalicelib.engine.aws.refusals import GONE, as_refusal, code_of
from chalicelib.engine.errors import Refusal, StaleCursor

FILTER_VALUES = 200
"""EC2 takes at most 200 values in a filter [EC2 user guide, list and filter resources]."""

IN_A_PAGE = 1000
"""The most that EC2 lists in a page of AMIs or snapshots [botocore, ec2, their shapes]."""

STALE = ("InvalidNextToken", "InvalidPaginationToken")
"""Error codes for a page token that EC2 does not know any more [EC2 API reference, error codes]."""
WRONG_VALUE = "InvalidParameterValue"
"""The code that was recorded for it; the message then names the token [aws-facts 4, VERIFIED]."""


def described(text: str | None) -> dict[str, str]:
    """Return the argument with a description; an empty description is left out."""
    return {"Description": text} if text else {}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Turn a mapping into AWS's list of tags."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def every(ec2: Any, what: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all that EC2 lists, page by page. ``what``: instances, snapshots, images or volumes; ``asked``: not by ids.

    EC2 refuses ids beside a page's size; without a size it answers only when it has collected everything.
    """
    for page in pages(ec2, what, **asked):
        for reservation in page.get("Reservations", ()):
            yield from reservation["Instances"]
        yield from page.get(what.capitalize(), ())


def pages(ec2: Any, what: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
    """Yield EC2's answers to that."""
    yield from ec2.get_paginator(f"describe_{what}").paginate(**asked, MaxResults=IN_A_PAGE)


def by_id(ec2: Any, what: str, ids: Collection[str], **asked: Any) -> Sequence[Mapping[str, Any]]:
    """Return those of these snapshots or images (``what``) that EC2 has, however many others there are.

    EC2 cuts pages before it filters, so a filter takes a call for each page of the account. Of ids EC2 refuses all if
    it does not have one, and names that [radkawar/stackd, volume_controls_snapshot_ids.json]; then the others are asked
    for, or each half if it names none. Of a family's AMIs dozens may be gone for good: for these a filter takes fewer
    calls than one for each.
    """
    left, name = sorted(ids), {"snapshots": "SnapshotIds", "images": "ImageIds"}[what]
    for _ in range(len(left) if what == "snapshots" else 2):
        if not left:
            return ()
        try:
            answer = getattr(ec2, f"describe_{what}")(**{name: left}, **asked)
        except sdk.ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise
            named = _WORD.findall(error.response["Error"].get("Message", ""))
            gone = {*left} if len(left) == 1 else {*left} & {*named}
            if not gone:
                half = len(left) // 2
                return [*by_id(ec2, what, left[:half], **asked), *by_id(ec2, what, left[half:], **asked)]
            left = [one for one in left if one not in gone]
        else:
            found: Sequence[Mapping[str, Any]] = answer[what.capitalize()]
            return found
    filters = [*asked.pop("Filters", ()), {"Name": "image-id", "Values": left}]
    return list(every(ec2, what, Filters=filters, **asked)) if left else ()


_WORD = re.compile(r"[\w-]+")


@contextmanager
def as_page(step: str, where: str, token: str) -> Iterator[None]:
    """Turn an error of listing a page into a Refusal: StaleCursor if EC2 no longer knows its ``token``."""
    try:
        with as_refusal(step, where):
            yield
    except Refusal as refusal:
        code = code_of(refusal)
        if token and (code in STALE or (code == WRONG_VALUE and "token" in refusal.fault.what.lower())):
            raise StaleCursor(refusal.kind, refusal.fault) from refusal
        raise


def snapshots_of(image: Mapping[str, Any]) -> frozenset[str]:
    """Return the snapshots of an AMI's block devices."""
    devices = (device.get("Ebs", {}) for device in image.get("BlockDeviceMappings", ()))
    return frozenset(str(one["SnapshotId"]) for one in devices if "SnapshotId" in one)


def within_time(copy: Callable[..., Any], parameter: str, seconds: int) -> Any:
    """Copy within a time, if one is set; if AWS refuses that time, copy without it.

    AWS does so if the account's throughput for time-based copies is used up [aws-facts, time-based copies; the error
    code is not documented]. A refused copy was not made, so the call can be repeated once.
    """
    if seconds:
        try:
            return copy(**{parameter: seconds // 60})
        except sdk.ClientError as error:
            if not _OF_TIME.search(error.response["Error"].get("Message", "")):
                raise
    return copy()


_OF_TIME = re.compile("throughput|completion ?duration|time-based", re.IGNORECASE)
