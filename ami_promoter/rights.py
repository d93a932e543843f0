"""What each verb must be allowed in the account whose credentials it uses."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields

_NONE = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Rights:
    """Actions by what they are on; those on tables without ``dynamodb:``."""

    records: AbstractSet[str] = _NONE
    config: AbstractSet[str] = _NONE
    members: AbstractSet[str] = _NONE
    findings: AbstractSet[str] = _NONE
    indexes: AbstractSet[str] = _NONE
    """On the indexes by account and by AMI of the table of records."""
    anything: AbstractSet[str] = _NONE
    """Reads of EC2, CloudTrail and of the hub's own parts; most know no resources."""
    keys: AbstractSet[str] = _NONE
    tag: AbstractSet[str] = _NONE
    """On images, for the trigger tag only."""
    queue: AbstractSet[str] = _NONE
    """On the worker's queue: without these, an answer takes up to a minute longer."""
    approvals: AbstractSet[str] = _NONE
    """On the caller's own partition of approvals in the operators' table."""
    copies: AbstractSet[str] = _NONE
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
_READ = {"BatchGetItem", "GetItem", "Query"}

NOTHING = Rights()
READ = Rights(records=_READ, config=_READ, members=_READ)
READ_ALL = READ | Rights(records={"Scan"})
"""For questions without an index: all promotions, or all that is under way, parked or open."""
READ_FINDINGS = Rights(findings={"Query"})
FIND_DELIVERIES = Rights(indexes={"Query"})
WAKE = Rights(queue={"sqs:GetQueueUrl", "sqs:SendMessage"})
LOOK_AGAIN = WAKE | Rights(records={"UpdateItem"})
FIND_AMI = Rights(anything={"ec2:DescribeImages"})
EXAMINE = Rights(
    anything={"ec2:DescribeImages", "ec2:DescribeImageAttribute", "ec2:DescribeSnapshots"},
    keys={"kms:DescribeKey"},
)
SWITCH = Rights(config={"UpdateItem"})
ASK_TARGETS = WAKE | Rights(records={"PutItem", "UpdateItem"})
SEE_OPEN = Rights(
    anything={
        "ec2:DescribeImages",
        "ec2:DescribeImageAttribute",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSnapshotAttribute",
    },
    keys={"kms:ListGrants"},
)
SEE_HEALTH = Rights(
    anything={
        "cloudformation:DescribeStacks",
        "cloudwatch:DescribeAlarmsForMetric",
        "ec2:GetImageBlockPublicAccessState",
        "events:DescribeEventBus",
        "events:ListRules",
        "lambda:GetAccountSettings",
        "lambda:GetFunctionConcurrency",
        "lambda:ListEventSourceMappings",
        "sns:ListSubscriptionsByTopic",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    }
)
_POLICY = {"GetResourcePolicy"}
SEE_WRITERS = Rights(records=_POLICY, config=_POLICY, members=_POLICY)
SEE_APPROVERS = Rights(anything={"iam:GetAccountAuthorizationDetails"})
"""Asked for only where a target needs an approval; without it `doctor` says that it could not see who may approve.

It reads all of the account's IAM, so none of the policies in deploy/ has it: give it to who is to see that."""
ASK_CLOUDTRAIL = Rights(anything={"cloudtrail:LookupEvents"})
REPAIR = ASK_CLOUDTRAIL | Rights(records={"DeleteItem", "PutItem", "UpdateItem"}, keys={"kms:GetKeyPolicy"})
APPLY = Rights(config={"BatchWriteItem", "PutItem"})
ACCEPT = Rights(config={"PutItem"})
CHECK_KEY = Rights(keys={"kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus"})
TAG = Rights(tag={"ec2:CreateTags"})
APPROVE = Rights(approvals={"BatchWriteItem"})
UNTAG = Rights(tag={"ec2:DeleteTags"})

CLEAN_UP = Rights(
    anything={
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
    },
    copies={
        "ec2:CreateTags",
        "ec2:DeleteSnapshot",
        "ec2:DeregisterImage",
        "ec2:DisableImageDeregistrationProtection",
    },
)
"""Of a target's administrator; none of the policies in deploy/ has it, as they are for the hub.

DescribeImageReferences asks for most of the others itself [aws-facts 8, VERIFIED]."""
