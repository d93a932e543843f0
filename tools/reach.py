"""What each function's stolen credentials reach: a table from the policies, for ``docs/reference/permissions.md``.

A test tries every "no" of it with the function's own credentials (tests/scenarios/test_reach.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.policies import Statement

YES, NO = "yes", "no"
"""What a cell says."""

PUT, CHANGE, DELETE = "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
"""UpdateItem makes an item, too, where there is none."""
WRITES = (PUT, CHANGE, DELETE, "dynamodb:BatchWriteItem")
RECORDS = "table/ami-promoter-${AWS::Region}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Something that an attacker may want, and the actions of which any one would do."""

    what: str
    actions: Sequence[str]
    ends: str = ""
    """How the resource's ARN ends, where not every one of the action counts."""
    key: str = ""
    """A partition key of the kind that it is about, in a table."""
    by: Sequence[Reach] = ()
    """Other rows of which any one would do, instead of actions."""


SHARE = Reach("share a snapshot of the hub", ("ec2:ModifySnapshotAttribute",))
LAUNCH = Reach("let others launch an AMI of the hub", ("ec2:ModifyImageAttribute",))
GRANT = Reach("grant the use of a key of the hub", ("kms:CreateGrant",))
POLICY = Reach("change a key's policy (`PolicyKeyArns`)", ("kms:PutKeyPolicy",))
FILE = Reach("write the applied file, the pause, withdrawals, recalls, rollbacks or approvals", WRITES, "-config")

ROWS = (
    # By opening, or by writing the file; not by writing members, as Organizations itself is asked about each
    # (tests/scenarios/test_chosen_receivers.py).
    Reach("choose a receiver", (), by=(SHARE, LAUNCH, GRANT, POLICY, FILE)),
    SHARE,
    LAUNCH,
    GRANT,
    Reach("revoke a grant on a key of the hub", ("kms:RevokeGrant",)),
    POLICY,
    Reach("use a key of the hub", ("kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom")),
    Reach("assume the copy role of a target", ("sts:AssumeRole",), "/${TargetRoleName}"),
    Reach("assume the grant role of a target", ("sts:AssumeRole",), "/${TargetRoleName}-grants"),
    Reach("assume the launch role of a target", ("sts:AssumeRole",), "/${TargetRoleName}-launch"),
    Reach("ask the organization about an account", ("organizations:DescribeAccount",)),
    Reach("list the organization", ("organizations:ListAccountsForParent",)),
    FILE,
    Reach("write the members of the OUs", WRITES, "-members", "members"),
    Reach("write of which version of the applied file people were notified", WRITES, "-members", "applied"),
    Reach("write what the access monitor has judged and notified", WRITES, "-findings", "notified#0"),
    Reach("write what the drift audit has notified", WRITES, "-findings", "drift#0"),
    Reach("write findings for `history`", WRITES, "-findings", "finding#ami-0"),
    Reach("write a promotion", WRITES, RECORDS, "promotion#ami-0"),
    Reach("write a delivery", (PUT, CHANGE), RECORDS, "delivery#0"),
    Reach("delete a delivery", (DELETE,), RECORDS, "delivery#0"),
    Reach("write shares into the ledger", (PUT, CHANGE), RECORDS, "resource#snapshot#snap-0"),
    Reach("delete shares from the ledger", (DELETE,), RECORDS, "resource#snapshot#snap-0"),
    Reach("write copy quotas", WRITES, RECORDS, "quota#0#R"),
    Reach("write which AMIs of a family a target has", WRITES, RECORDS, "pointer#0"),
    Reach("write inventories of targets", WRITES, RECORDS, "inventory#0#R"),
    Reach("write look-ups of copies and AMIs", WRITES, RECORDS, "copy#0#R#snap-0"),
    Reach("write how far the sweep has come", WRITES, RECORDS, "sweep"),
    Reach("read a delivery", ("dynamodb:Query", "dynamodb:GetItem"), RECORDS, "delivery#0"),
    Reach("wake `worker`", ("sqs:SendMessage",), "AWS::Region}-worker.fifo"),
    Reach("wake `share-worker`", ("sqs:SendMessage",), "AWS::Region}-share-worker.fifo"),
    Reach("send a notice", ("sns:Publish", "events:PutEvents"), "-notices"),
    Reach("publish on the security topic", ("sns:Publish",), "-security"),
    Reach("read images and their tags", ("ec2:DescribeImages",)),
    Reach(
        "tag, copy, make or delete an image or snapshot of the hub",
        (
            "ec2:CreateTags",
            "ec2:CopySnapshot",
            "ec2:CopyImage",
            "ec2:RegisterImage",
            "ec2:DeregisterImage",
            "ec2:DeleteSnapshot",
        ),
    ),
    Reach("change a role or a function", ("iam:PutRolePolicy", "iam:PassRole", "lambda:UpdateFunctionCode")),
)


def reach(row: Reach, function: str, every: Sequence[Statement]) -> str:
    """Return what a function's policy says of a row: YES or NO. Denials take away nothing that a row is about."""
    if row.by:
        return YES if any(reach(one, function, every) == YES for one in row.by) else NO
    return YES if any(it.role == function and not it.denied and _applies(row, it) for it in every) else NO


def table(functions: Sequence[str], every: Sequence[Statement]) -> str:
    """Write the table, a row for each thing and a column for each function."""
    lines = [["", *(f"`{it}`" for it in functions)], ["---"] * (len(functions) + 1)]
    lines += [[row.what, *(reach(row, function, every) for function in functions)] for row in ROWS]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _applies(row: Reach, statement: Statement) -> bool:
    matches = any(str(arn).endswith(row.ends) for arn in _arns(statement))
    return matches and bool(set(row.actions) & set(statement.actions)) and _is_of_its_keys(row, statement)


def _is_of_its_keys(row: Reach, statement: Statement) -> bool:
    """Whether the statement's condition on partition keys, if it has one, lets the row's through."""
    tests = ((operator, it) for operator, it in statement.condition.items() if operator != "Null")
    keys = [it["dynamodb:LeadingKeys"] for _, it in tests if "dynamodb:LeadingKeys" in it]
    return all(any(fnmatchcase(row.key, pattern) for pattern in patterns) for patterns in keys)


def _arns(statement: Statement) -> Iterator[str]:
    for resource in statement.resources:
        yield from resource["Fn::If"][1:] if isinstance(resource, dict) and "Fn::If" in resource else [str(resource)]
