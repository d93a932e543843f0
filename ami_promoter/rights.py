"""What each verb must be allowed in the account whose credentials it uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

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
