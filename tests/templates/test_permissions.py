"""Policies have known actions, as narrow as IAM allows, each statement with a reason, all documented."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

from awsim.iam import ec2_needs
from awsim.iam.policy import Ask, PolicyVerdict, identity
from tools import docs, permissions
from tools.permissions import Statement, reason, reasons, statements

IAM = json.loads((files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text(encoding="utf-8"))
ALL = list(statements())
DEV = "222222222222"
NARROW = [it for it in ALL if not it.all_actions_but]
"""The others deny everything but what they name."""


CALLED_BY_EC2 = "ListUse", "ssm:GetParameters"
"""AWS's own policy for DescribeImageReferences has it on `*`, for EC2 alone [aws-facts 8, VERIFIED]."""


def resource_types(action: str) -> dict[str, list[str]]:
    """The ARN formats of each resource type that IAM checks for the action; empty if there is none."""
    service, name = action.split(":")
    types = IAM[service]["Actions"][name.lower()].get("Resources", [])
    return {it: IAM[service]["Resources"][it]["ARNFormats"] for it in types}


def arns(resource: object) -> Iterator[str]:
    """Possible values of an ARN after CloudFormation's substitutions."""
    if isinstance(resource, dict) and "Fn::If" in resource:
        for choice in resource["Fn::If"][1:]:
            yield from arns(choice)
        return
    if isinstance(resource, dict):
        known = {"OrganizationReadRoleArn": "arn:aws:iam::123456789012:role/of-the-parameter"}
        key = "arn:aws:kms:eu-west-1:123456789012:key/of-the-parameter"
        resource = resource.get("Fn::Sub", known.get(resource.get("Ref", ""), key))
    text = str(resource).replace("${AWS::Partition}", "aws").replace("arn:*:", "arn:aws:")
    text = text.replace("${ParameterPrefix}", "/golden/")
    text = re.sub(r"\$\{(AWS::Region|HubRegion)\}", "eu-west-1", text)
    yield re.sub(r"\$\{(AWS::AccountId|HubAccountId|TargetAccounts)\}", "123456789012", text)


def fits(arn: str, form: str) -> bool:
    """Whether a policy's ARN, with wildcards, matches IAM's format of a resource type."""
    parts = {"${Partition}": "aws", "${Region}": r"[a-z0-9*-]+", "${Account}": r"([0-9]{12}|\*)"}
    for name, value in parts.items():
        form = form.replace(name, value)
    return re.fullmatch(form, arn) is not None


@pytest.mark.parametrize("statement", NARROW, ids=lambda it: f"{it.role}-{it.sid}")
def test_a_statement_is_as_narrow_as_iam_can_say_it(statement: Statement):
    """No wildcard in an action, only existing actions; "*" as resource only if IAM has no resource type."""
    for action in statement.actions:
        service, name = action.split(":")
        assert name.lower() in IAM[service]["Actions"], f"{action} does not exist"
        forms = [form for of_type in resource_types(action).values() for form in of_type]
        here = [arn for resource in statement.resources for arn in arns(resource)]
        if (statement.sid, action) == CALLED_BY_EC2:
            assert "aws:CalledVia" in str(statement.condition)
            continue
        assert (here == ["*"]) == (not forms), f"{action} on {here}: IAM knows {forms}"
        assert not forms or any(fits(arn, form) for arn in here for form in forms), f"{action} does not apply to {here}"


@pytest.mark.parametrize("statement", NARROW, ids=lambda it: f"{it.role}-{it.sid}")
def test_each_resource_is_one_that_an_action_of_the_statement_applies_to(statement: Statement):
    """No ARN is without effect, or has an account where that resource has none."""
    forms = [form for action in statement.actions for of_type in resource_types(action).values() for form in of_type]
    stray = [
        arn
        for it in statement.resources
        for arn in arns(it)
        if arn != "*" and not any(fits(arn, form) for form in forms)
    ]

    assert stray == []


def test_every_statement_has_a_reason_and_every_reason_a_statement():
    """No permission lacks a reason, and no reason lacks its permission."""
    known = reasons()
    unexplained = [(it.role, it.sid) for it in ALL if not reason(it, known)]
    said = {(role, sid) for role, those in known.items() for sid in those if role != permissions.EVERY}

    assert unexplained == []
    assert said - {(it.role, it.sid) for it in ALL} == set()
    assert known[permissions.EVERY].keys() <= {it.sid for it in ALL}


def test_who_revokes_reads_key_policies_and_reads_roles():
    """No function of the hub reads a role, and no role takes all permissions of an image away at once.

    Who opens and enters what is in tests/scenarios/test_reach.py.
    """
    may: dict[str, dict[str, str]] = {}
    for it in ALL:
        for action in it.actions if not it.denied else ():
            may.setdefault(action, {})[it.role] = str(it.resources)

    assert may["kms:RevokeGrant"].keys() == {"share-worker"}
    assert may["kms:GetKeyPolicy"] == {
        "worker": "({'Ref': 'PolicyKeyArns'},)",
        "share-worker": "({'Ref': 'PolicyKeyArns'},)",
        "drift-audit": "('arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*',)",
        "target role": "({'Fn::Sub': 'arn:${AWS::Partition}:kms:*:${AWS::AccountId}:key/*'},)",
    }
    assert not may.keys() & {"ec2:ResetImageAttribute", "ec2:ResetSnapshotAttribute"}
    reads = {"iam:GetRole": {"target role"}, "iam:GetRolePolicy": {"target role", "target launch role"}}
    assert {action: who.keys() for action, who in may.items() if action.startswith("iam:")} == reads


WRITES = {f"dynamodb:{name}" for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate")}
TABLE = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/ami-promoter-${AWS::Region}"


ANYTHING = {"": {"dynamodb:LeadingKeys": ["*"]}}
"""What a statement without a condition may write."""


def written_by(role: str) -> set[str]:
    """The patterns of partition keys that a function may write in the table of records."""
    return {
        pattern
        for it in ALL
        if it.role == role and TABLE in it.resources and WRITES & set(it.actions)
        for operator, patterns in (it.condition or ANYTHING).items()
        if operator != "Null"
        for pattern in patterns["dynamodb:LeadingKeys"]
    }


def test_each_kind_of_record_is_written_by_those_whose_business_it_is_and_none_was_forgotten():
    """The docs' table of records lists the kinds; every pattern belongs to one."""
    page = (docs.ROOT / "docs" / "reference" / "records.md").read_text(encoding="utf-8")
    table = page.partition("`ami-promoter-R`\n")[2].partition("\n## ")[0]
    cells = [row.split(" | ")[1] for row in table.splitlines() if row.startswith("| ") and "`" in row]
    kinds = {key for cell in cells for key in re.findall(r"`([a-z]+#?)", cell)}
    writers = {role: written_by(role) for role in {it.role for it in ALL}}

    assert {role for role in writers if writers[role]} == {"worker", "share-worker", "discover", "sweep"}
    assert {pattern.removesuffix("*") for patterns in writers.values() for pattern in patterns} == kinds
    assert writers["share-worker"] == {"resource#*", "discovery"}
    assert writers["sweep"] == {"sweep"}


def test_who_hears_events_may_wake_and_look_up_and_nothing_else():
    """Beside its log and dead-letter queue: a message to the worker, and a query of the records."""
    rights = {
        role: {action for it in ALL if it.role == role for action in it.actions if not action.startswith("logs:")}
        for role in ("on-tag-change", "on-image-state", "on-target-event")
    }

    assert rights == {
        "on-tag-change": {"sqs:SendMessage"},
        "on-image-state": {"sqs:SendMessage"},
        "on-target-event": {"sqs:SendMessage", "dynamodb:Query"},
    }


PERMISSION = {"ec2:attribute": "LaunchPermission"}


@pytest.mark.parametrize(
    ("kind", "context", "verdict"),
    [
        ("Snapshot", {"ec2:add/userid": DEV}, PolicyVerdict.ALLOW),
        ("Snapshot", {"ec2:remove/group": "all"}, PolicyVerdict.ALLOW),
        ("Snapshot", {"ec2:add/group": "all"}, PolicyVerdict.SILENT),
        ("Image", PERMISSION, PolicyVerdict.ALLOW),
        ("Image", {**PERMISSION, "ec2:add/group": "all"}, PolicyVerdict.SILENT),
        ("Image", {"ec2:attribute": "Description"}, PolicyVerdict.SILENT),
    ],
)
def test_no_snapshot_or_image_can_be_made_public(kind: str, context: dict[str, str], verdict: PolicyVerdict):
    """All that the roles allow refuses the group "all", and an image's other attributes; a snapshot's, EC2 does.

    Whether EC2 supplies the group for an image is not known; if so, IAM refuses before EC2's own block does.
    """
    ask = Ask(f"ec2:Modify{kind}Attribute", f"arn:aws:ec2:eu-west-1::{kind.lower()}/x-1", context)
    sharing = [
        {
            "Effect": "Allow",
            "Action": list(it.actions),
            "Resource": list(arns(it.resources[0])),
            "Condition": it.condition,
        }
        for it in NARROW
        if ask.action in it.actions and not it.denied
    ]

    assert identity({"Statement": sharing}, ask) is verdict


def test_no_condition_on_partition_keys_holds_where_the_call_names_none():
    """IAM takes ``ForAllValues`` for true where the key is missing, so each such condition also wants the key."""
    limited = [it for it in ALL for tests in it.condition.values() if "dynamodb:LeadingKeys" in tests]

    assert len(limited) >= 11
    for it in limited:
        for action in it.actions:
            for table in it.resources:
                arn = next(arns(table))
                allowed = {"Effect": "Allow", "Action": action, "Resource": arn, "Condition": it.condition}
                verdict = identity({"Statement": allowed}, Ask(action, arn))
                assert verdict is PolicyVerdict.SILENT, f"{it.role}, {it.sid}"


def test_the_simulator_knows_what_every_action_of_ec2_in_a_policy_needs():
    """Not one is allowed because nobody asked."""
    used = {action for it in ALL for action in it.actions if action.startswith("ec2:")}

    assert used - set(ec2_needs.TABLE) == set()
