"""The policy evaluator: documents, conditions, wildcards, variables."""

from typing import Any

import pytest

from awsim.api import AwsError
from awsim.iam import conditions, policy
from awsim.iam.match import arn_like, like, literal
from awsim.iam.policy import Ask, Kind, PolicyVerdict, Who

ACCOUNT = "111111111111"
CONTEXT = {
    "aws:principalaccount": ACCOUNT,
    "aws:principalarn": f"arn:aws:iam::{ACCOUNT}:role/worker",
    "aws:viaawsservice": "false",
    "aws:currenttime": "2026-01-05T09:00:00+00:00",
    "aws:sourceip": "10.1.2.3",
    "aws:requesttag/stage": "Dev",
    "aws:tagkeys": ["stage", "team"],
    "ec2:add/userid": ["222222222222", "333333333333"],
    "ec2:remove/userid": ["222222222222", "222222222222"],
    "s3:max-keys": "10",
}


def _says(*statements: dict[str, Any]) -> PolicyVerdict:
    whole = [{"Effect": "Allow", "Action": "*", "Resource": "*", **statement} for statement in statements]
    document = policy.parse({"Version": "2012-10-17", "Statement": whole})
    return policy.identity(document, Ask("ec2:CopySnapshot", "arn:aws:ec2:r::snapshot/s", CONTEXT))


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("ec2:CopySnapshot", True),
        ("EC2:copysnapshot", True),
        ("ec2:Copy*", True),
        ("ec2:Copy?napshot", True),
        ("*", True),
        ("ec2:CopyImage", False),
        ("ec2:Copy?", False),
        ("kms:*", False),
    ],
)
def test_actions_match_by_wildcard_and_without_regard_to_case(pattern: str, matches: bool) -> None:
    """Actions are matched case-insensitively; ``*`` is any text, ``?`` one character."""
    assert _says({"Action": pattern}) is (PolicyVerdict.ALLOW if matches else PolicyVerdict.SILENT)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("arn:aws:ec2:*::snapshot/*", True),
        ("arn:aws:ec2:r::snapshot/${*}", False),
        ("arn:aws:ec2:r:*:snapshot/s", True),
        ("arn:aws:ec2:r:111111111111:snapshot/s", False),
        ("arn:aws:ec2:*/s", False),
        ("arn:aws:ec2:r::SNAPSHOT/s", False),
    ],
)
def test_resources_match_part_by_part(pattern: str, matches: bool) -> None:
    """A wildcard in an ARN stays between its colons, and case counts."""
    assert _says({"Resource": pattern}) is (PolicyVerdict.ALLOW if matches else PolicyVerdict.SILENT)


def test_policy_variables_stand_for_what_the_request_says() -> None:
    """A variable is replaced literally; one without a value matches nothing, unless it has a default."""
    assert arn_like("arn:aws:iam::${aws:PrincipalAccount}:role/*", f"arn:aws:iam::{ACCOUNT}:role/x", CONTEXT)
    assert not arn_like("arn:aws:iam::${aws:PrincipalTag/none}:role/*", f"arn:aws:iam::{ACCOUNT}:role/x", CONTEXT)
    assert literal("${aws:PrincipalTag/none, 'x'}/${aws:PrincipalAccount}", CONTEXT) == f"x/{ACCOUNT}"
    assert like("a${*}b", "a*b", {})
    assert not like("a${*}b", "axb", {})
    assert not like("${aws:userid}", "anything", {"aws:userid": "any*"})


def test_deny_outweighs_allow_whatever_the_order() -> None:
    """One Deny that applies is enough."""
    assert _says({}, {"Effect": "Deny"}) is PolicyVerdict.DENY
    assert _says({"Effect": "Deny"}, {}) is PolicyVerdict.DENY
    assert _says({"Effect": "Deny", "Action": "kms:*"}, {}) is PolicyVerdict.ALLOW


def test_not_action_and_not_resource_exclude() -> None:
    """NotAction and NotResource match all except what they name."""

    def one(**parts: Any) -> PolicyVerdict:
        document = policy.parse({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **parts}})
        return policy.identity(document, Ask("ec2:CopySnapshot", "arn:aws:ec2:r::snapshot/s", {}))

    assert one(NotAction="iam:*", Resource="*") is PolicyVerdict.ALLOW
    assert one(NotAction=["ec2:*"], Resource="*") is PolicyVerdict.SILENT
    assert one(Action="*", NotResource="arn:aws:ec2:r::image/*") is PolicyVerdict.ALLOW
    assert one(Action="*", NotResource="arn:aws:ec2:r::snapshot/*") is PolicyVerdict.SILENT


@pytest.mark.parametrize(
    ("operator", "key", "value", "holds"),
    [
        ("StringEquals", "aws:RequestTag/stage", "Dev", True),
        ("StringEquals", "aws:RequestTag/stage", "dev", False),
        ("StringEqualsIgnoreCase", "aws:requesttag/STAGE", "dev", True),
        ("StringEquals", "aws:RequestTag/stage", ["Prod", "Dev"], True),
        ("StringEquals", "aws:RequestTag/none", "Dev", False),
        ("StringEqualsIfExists", "aws:RequestTag/none", "Dev", True),
        ("StringEqualsIfExists", "aws:RequestTag/stage", "Prod", False),
        ("StringNotEquals", "aws:RequestTag/stage", "Prod", True),
        ("StringNotEquals", "aws:RequestTag/stage", ["Prod", "Dev"], False),
        ("StringNotEquals", "aws:RequestTag/none", "Dev", True),
        ("StringNotEqualsIfExists", "aws:RequestTag/stage", "Dev", False),
        ("StringLike", "aws:RequestTag/stage", "D?v", True),
        ("StringLike", "aws:RequestTag/stage", "P*", False),
        ("StringNotLike", "aws:RequestTag/stage", "D*", False),
        ("StringEquals", "aws:PrincipalAccount", "${aws:PrincipalAccount}", True),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/worker", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/slow-worker", False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/slow-worker", True),
        ("Bool", "aws:ViaAWSService", "false", True),
        ("Bool", "aws:ViaAWSService", False, True),
        ("Bool", "aws:ViaAWSService", "true", False),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", "true", True),
        ("Null", "aws:RequestTag/none", "true", True),
        ("Null", "aws:RequestTag/stage", "true", False),
        ("Null", "aws:RequestTag/stage", "false", True),
        ("NumericLessThan", "s3:max-keys", "9", False),
        ("NumericLessThanEquals", "s3:max-keys", 10, True),
        ("NumericEquals", "s3:max-keys", "ten", False),
        ("NumericNotEquals", "s3:max-keys", "10", False),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01", False),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", True),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["stage", "team", "more"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["stage"], False),
        ("ForAllValues:StringEquals", "aws:None", ["stage"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["team", "more"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["more"], False),
        ("ForAnyValue:StringEquals", "aws:None", ["stage"], False),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["team"], True),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ["team"], False),
        ("ForAllValues:StringLike", "aws:TagKeys", ["s*", "t*"], True),
        ("StringEquals", "ec2:Add/userId", ["222222222222", "333333333333"], False),
        ("StringNotEquals", "ec2:Add/userId", "444444444444", False),
        ("StringEquals", "ec2:Remove/userId", "222222222222", True),
        ("StringNotEquals", "ec2:Remove/userId", "444444444444", True),
    ],
)
def test_condition_operators(operator: str, key: str, value: Any, holds: bool) -> None:
    """Each operator as in IAM's guide, with missing keys and several values."""
    assert conditions.hold({operator: {key: value}}, CONTEXT) is holds


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringLike"])
@pytest.mark.parametrize("key", ["stage", "other"])
def test_no_operator_without_a_quantifier_matches_the_keys_of_tags(operator: str, key: str) -> None:
    """Not even where the request has one tag."""
    assert not conditions.hold({operator: {"aws:TagKeys": key}}, {"aws:tagkeys": ["stage"]})


def test_all_conditions_of_a_statement_must_hold() -> None:
    """Operators and keys are combined by AND, the values of one key by OR."""
    right, wrong = {"aws:PrincipalAccount": ACCOUNT}, {"aws:PrincipalAccount": "222222222222"}

    assert _says({"Condition": {"StringEquals": right, "StringLike": right}}) is PolicyVerdict.ALLOW
    assert _says({"Condition": {"StringEquals": right, "StringLike": wrong}}) is PolicyVerdict.SILENT


@pytest.mark.parametrize(
    ("principal", "kind"),
    [
        ("*", Kind.ANYONE),
        ({"AWS": "*"}, Kind.ANYONE),
        ({"AWS": ACCOUNT}, Kind.ACCOUNT),
        ({"AWS": ["222222222222", f"arn:aws:iam::{ACCOUNT}:root"]}, Kind.ACCOUNT),
        ({"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/worker"]}, Kind.ROLE),
        ({"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s"}, Kind.SESSION),
        ({"AWS": "222222222222"}, None),
        ({"Service": "ec2.amazonaws.com"}, None),
    ],
)
def test_principals_are_named_in_many_ways(principal: Any, kind: Kind | None) -> None:
    """A resource policy names a session, a role, an account or anyone; the most specific match counts."""
    who = Who(f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s", f"arn:aws:iam::{ACCOUNT}:role/worker", ACCOUNT)

    assert who.named_by(principal) is kind


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ({"Effect": "allow", "Action": "*", "Resource": "*"}, "Effect"),
        ({"Effect": "Allow", "Resource": "*"}, "exactly one of Action"),
        ({"Effect": "Allow", "Action": "CopySnapshot", "Resource": "*"}, "service:Action"),
        ({"Effect": "Allow", "Action": "*"}, "exactly one of Resource"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Conditions": {}}, "Conditions"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringIs": {}}}, "StringIs"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}, "Principal"),
    ],
)
def test_malformed_documents_are_refused_with_the_place(statement: dict[str, Any], wrong: str) -> None:
    """A misspelt policy is refused on creation."""
    with pytest.raises(AwsError, match=f"statement Mine: .*{wrong}"):
        policy.parse({"Version": "2012-10-17", "Statement": [{"Sid": "Mine", **statement}]})
