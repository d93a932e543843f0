"""The IAM policies of people who use the command line, ``deploy/cli-*.json``: from the rights that each verb needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import reduce
from typing import Any

from ami_promoter.rights import (
    APPROVE,
    ASK_CLOUDTRAIL,
    CHECK_KEY,
    EXAMINE,
    FIND_DELIVERIES,
    NOTHING,
    READ,
    READ_ALL,
    READ_FINDINGS,
    SEE_WRITERS,
    TAG,
    UNTAG,
    WAKE,
    Rights,
)
from chalicelib.engine.addresses import OWN_APPROVALS

READ_ONLY = READ_ALL | FIND_DELIVERIES | READ_FINDINGS | EXAMINE | CHECK_KEY | ASK_CLOUDTRAIL
"""Every verb that changes nothing, but for `doctor`, `verify` and `where --use`, which ask the service to look into targets."""

TAGGER = READ_ONLY | TAG | UNTAG
"""Who promotes: writes and removes the trigger tag, and no item."""

APPROVER = READ_ONLY | APPROVE | WAKE
"""The approver; the right to tag must be another person's."""

_OPERATORS = ("departures", "pins", "switches", "targets", "targets#*", "withdrawals")
"""Partitions that an operator may write in the operators' table: all but the approvals."""

_INDEXES = ("account", "image")
_TABLES = {"records": "-?", "config": "-config", "members": "-members", "findings": "-findings"}
"""How the tables' names end. A Region's ends in a digit: by that the table of records differs from the others."""


def policy(every: Iterable[Rights]) -> dict[str, Any]:
    """Write an IAM policy that allows these, for hubs in whatever Region of the account."""
    needed = reduce(Rights.__or__, every, NOTHING)
    writes, config = needed.config - READ.config - SEE_WRITERS.config, _arn(_TABLES["config"])
    whole = replace(needed, config=needed.config - writes)
    tables = ((f"Table{name.capitalize()}", getattr(whole, name), _arn(suffix)) for name, suffix in _TABLES.items())
    statements = [
        *(_allow(sid, _dynamodb(actions), table) for sid, actions, table in tables),
        _partitions("WriteConfig", writes, config, _OPERATORS),
        _partitions("Approve", needed.approvals, config, (OWN_APPROVALS,)),
        _allow(
            "Indexes",
            _dynamodb(needed.indexes),
            [f"arn:*:dynamodb:*:*:table/ami-promoter-*-?/index/{name}" for name in _INDEXES],
        ),
        *_looks(needed.anything),
        _allow("LookAtKeys", needed.keys, "arn:*:kms:*:*:key/*"),
        _allow(
            "WriteTheTag",
            needed.tag,
            "arn:*:ec2:*::image/*",
            # ForAllValues holds where the key is missing, as in a DeleteTags that names no tag and so deletes all
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["promote"]}, "Null": {"aws:TagKeys": "false"}},
        ),
        _allow(
            "RemoveCopies",
            needed.copies,
            ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
            {"Null": {"aws:ResourceTag/ami-promoter:hub": "false"}},
        ),
        # a Region's name ends in a digit: so this is not the share worker's queue
        _allow("WakeTheWorker", needed.queue, "arn:*:sqs:*:*:ami-promoter-*-?-worker.fifo"),
    ]
    return {"Version": "2012-10-17", "Statement": [one for one in statements if one["Action"]]}


def _allow(
    sid: str, actions: Iterable[str], resources: str | Sequence[str], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _dynamodb(actions: Iterable[str]) -> list[str]:
    return [f"dynamodb:{action}" for action in actions]


_LOOKS = {
    "LookAtImages": ("arn:*:ec2:*::image/*", {"ec2:DescribeImageAttribute"}),
    "LookAtSnapshots": ("arn:*:ec2:*::snapshot/*", {"ec2:DescribeSnapshotAttribute"}),
    "LookAtBuses": ("arn:*:events:*:*:event-bus/ami-promoter-*", {"events:DescribeEventBus"}),
    "LookAtFunctions": ("arn:*:lambda:*:*:function:ami-promoter-*", {"lambda:GetFunctionConcurrency"}),
    "LookAtQueues": ("arn:*:sqs:*:*:ami-promoter-*", {"sqs:GetQueueAttributes", "sqs:GetQueueUrl"}),
    "LookAtStacks": ("arn:*:cloudformation:*:*:stack/*", {"cloudformation:DescribeStacks"}),  # so has the stack
    "LookAtTopics": ("arn:*:sns:*:*:*", {"sns:ListSubscriptionsByTopic"}),  # the alarms' topic has a name of yours
}
"""Reads that IAM can narrow to resources. Of the others it knows none [service authorization reference]."""


def _looks(actions: AbstractSet[str]) -> Iterable[dict[str, Any]]:
    """Allow reads, each on no more than its resources."""
    for sid, (resource, some) in _LOOKS.items():
        yield _allow(sid, actions & some, resource)
    rest = actions - {one for _, some in _LOOKS.values() for one in some}
    yield _allow("Look", rest, "*")


def _arn(suffix: str) -> str:
    return f"arn:*:dynamodb:*:*:table/ami-promoter-*{suffix}"


def _partitions(sid: str, actions: Iterable[str], table: str, names: Iterable[str]) -> dict[str, Any]:
    """Allow actions on items of these partitions alone."""
    # ForAllValues holds where the key is missing
    leading = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(names)}}
    return _allow(sid, _dynamodb(actions), table, {**leading, "Null": {"dynamodb:LeadingKeys": "false"}})
