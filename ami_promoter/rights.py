"""What each verb must be allowed in the account whose credentials it uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

from chalicelib.engine.addresses import OWN_APPROVALS

_NONE = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Rights:
    """Actions by what they are on; those on tables without ``dynamodb:``."""

    records: frozenset[str] = _NONE
    config: frozenset[str] = _NONE
    members: frozenset[str] = _NONE
    findings: frozenset[str] = _NONE
    indexes: frozenset[str] = _NONE
    """On the indexes by account and by AMI of the table of records."""
    anything: frozenset[str] = _NONE
    """Reads of EC2, CloudTrail and of the hub's own parts; most know no resources."""
    keys: frozenset[str] = _NONE
    tag: frozenset[str] = _NONE
    """On images, for the trigger tag only."""
    queue: frozenset[str] = _NONE
    """On the worker's queue: without these, an answer takes up to a minute longer."""
    approvals: frozenset[str] = _NONE
    """On the caller's own partition of approvals in the operators' table."""
    copies: frozenset[str] = _NONE
    """In a target: on the AMIs and snapshots there that the service made."""

    def __or__(self, other: Rights) -> Rights:
        """Both."""
        return Rights(*(getattr(self, name) | getattr(other, name) for name in NAMES))

    def rows(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Yield (on what, actions) for what has actions."""
        for name in NAMES:
            if actions := getattr(self, name):
                yield name, tuple(sorted(actions))


NAMES = tuple(one.name for one in fields(Rights))
_READ = frozenset({"BatchGetItem", "GetItem", "Query"})

NOTHING = Rights()
READ = Rights(records=_READ, config=_READ, members=_READ)
READ_ALL = READ | Rights(records=frozenset({"Scan"}))
"""For questions without an index: all promotions, or all that is under way, parked or open."""
READ_FINDINGS = Rights(findings=frozenset({"Query"}))
FIND_DELIVERIES = Rights(indexes=frozenset({"Query"}))
WAKE = Rights(queue=frozenset({"sqs:GetQueueUrl", "sqs:SendMessage"}))
LOOK_AGAIN = WAKE | Rights(records=frozenset({"UpdateItem"}))
FIND_AMI = Rights(anything=frozenset({"ec2:DescribeImages"}))
EXAMINE = Rights(
    anything=frozenset({"ec2:DescribeImages", "ec2:DescribeImageAttribute", "ec2:DescribeSnapshots"}),
    keys=frozenset({"kms:DescribeKey"}),
)
SWITCH = Rights(config=frozenset({"UpdateItem"}))
ASK_TARGETS = WAKE | Rights(records=frozenset({"PutItem", "UpdateItem"}))
SEE_OPEN = Rights(
    anything=frozenset(
        {"ec2:DescribeImages", "ec2:DescribeImageAttribute", "ec2:DescribeSnapshots", "ec2:DescribeSnapshotAttribute"}
    ),
    keys=frozenset({"kms:ListGrants"}),
)
SEE_HEALTH = Rights(
    anything=frozenset(
        {
            "cloudformation:DescribeStacks",
            "cloudwatch:DescribeAlarmsForMetric",
            "events:DescribeEventBus",
            "lambda:GetAccountSettings",
            "lambda:ListEventSourceMappings",
            "sns:ListSubscriptionsByTopic",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
        }
    )
)
_POLICY = frozenset({"GetResourcePolicy"})
SEE_WRITERS = Rights(records=_POLICY, config=_POLICY, members=_POLICY)
SEE_APPROVERS = Rights(anything=frozenset({"iam:GetAccountAuthorizationDetails"}))
"""Asked for only where a target needs an approval; without it `doctor` says that it could not see who may approve.

It reads all of the account's IAM, so none of the policies in deploy/ has it: give it to who is to see that."""
ASK_CLOUDTRAIL = Rights(anything=frozenset({"cloudtrail:LookupEvents"}))
REPAIR = ASK_CLOUDTRAIL | Rights(
    records=frozenset({"DeleteItem", "PutItem", "UpdateItem"}), keys=frozenset({"kms:GetKeyPolicy"})
)
APPLY = Rights(config=frozenset({"BatchWriteItem", "PutItem"}))
ACCEPT = Rights(config=frozenset({"PutItem"}))
CHECK_KEY = Rights(keys=frozenset({"kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus"}))
TAG = Rights(tag=frozenset({"ec2:CreateTags"}))
APPROVE = Rights(approvals=frozenset({"BatchWriteItem"}))
UNTAG = Rights(tag=frozenset({"ec2:DeleteTags"}))

CLEAN_UP = Rights(
    anything=frozenset(
        {
            "ec2:DescribeImages",
            "ec2:DescribeSnapshots",
            "ec2:DescribeImageReferences",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeLaunchTemplateVersions",
            "imagebuilder:GetContainerRecipe",
            "imagebuilder:ListContainerRecipes",
            "imagebuilder:ListImageRecipes",
            "ssm:DescribeParameters",
            "ssm:GetParameters",
        }
    ),
    copies=frozenset(
        {
            "ec2:CreateTags",
            "ec2:DeleteSnapshot",
            "ec2:DeregisterImage",
            "ec2:DisableImageDeregistrationProtection",
        }
    ),
)
"""Of a target's administrator; none of the policies in deploy/ has it, as they are for the hub.

DescribeImageReferences asks for the others itself [aws-facts 8, VERIFIED]."""

READ_ONLY = READ_ALL | FIND_DELIVERIES | READ_FINDINGS | EXAMINE | CHECK_KEY | ASK_CLOUDTRAIL
"""Every verb that changes nothing, but for `verify`, which asks the service to look into targets."""

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
    writes, config = needed.config - _READ - _POLICY, _arn(_TABLES["config"])
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
    "LookAtQueues": ("arn:*:sqs:*:*:ami-promoter-*", {"sqs:GetQueueAttributes", "sqs:GetQueueUrl"}),
    "LookAtStacks": ("arn:*:cloudformation:*:*:stack/*", {"cloudformation:DescribeStacks"}),  # so has the stack
    "LookAtTopics": ("arn:*:sns:*:*:*", {"sns:ListSubscriptionsByTopic"}),  # the alarms' topic has a name of yours
}
"""Reads that IAM can narrow to resources. Of the others it knows none [service authorization reference]."""


def _looks(actions: frozenset[str]) -> Iterable[dict[str, Any]]:
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
