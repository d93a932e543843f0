"""Who may approve, by what IAM says of the hub's account."""

import json
from pathlib import Path

import pytest

from ami_promoter.hub.approvers import judged

REGION, TABLE = "us-east-1", "arn:aws:dynamodb:us-east-1:111111111111:table/ami-promoter-us-east-1-config"
DEPLOY = Path(__file__).parents[3] / "deploy"
APPROVER, OPERATOR, TAGGER, READER = (
    json.loads((DEPLOY / f"cli-{name}.json").read_text()) for name in ("approver", "operator", "tagger", "read-only")
)
ADMIN = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
NOT_TAG = {"Statement": [{"Effect": "Deny", "Action": "ec2:CreateTags", "Resource": "*"}]}
PERSON, LAMBDA = {"AWS": "arn:aws:iam::111111111111:root"}, {"Service": "lambda.amazonaws.com"}


def a_role(name, *documents, principal=PERSON, attached=()):
    """Build what IAM shows of a role."""
    return {
        "RoleName": name,
        "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Principal": principal}]},
        "RolePolicyList": [{"PolicyName": "p", "PolicyDocument": document} for document in documents],
        "AttachedManagedPolicies": [{"PolicyName": "p", "PolicyArn": arn} for arn in attached],
    }


def with_mfa(document):
    """Return the policy under a condition on the session."""
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    return {
        "Statement": [{**one, "Condition": {**one.get("Condition", {}), **condition}} for one in document["Statement"]]
    }


@pytest.mark.parametrize(
    ("role", "able", "taggers"),
    [
        (a_role("Approver", APPROVER), ("role/Approver",), ()),
        (a_role("Approver", with_mfa(APPROVER)), ("role/Approver",), ()),
        (a_role("Both", APPROVER, TAGGER), ("role/Both",), ("role/Both",)),
        (a_role("Operates", APPROVER, OPERATOR), ("role/Operates",), ()),
        (a_role("Admin", ADMIN), ("role/Admin",), ("role/Admin",)),
        (a_role("Admin", ADMIN, NOT_TAG), ("role/Admin",), ()),
        (a_role("Admin", attached=["arn:aws:iam::aws:policy/AdministratorAccess"]), ("role/Admin",), ("role/Admin",)),
        (a_role("Operator", OPERATOR), (), ()),
        (a_role("Reader", READER), (), ()),
        (a_role("Function", ADMIN, principal=LAMBDA), (), ()),
        (a_role("Sso", APPROVER, principal={"Federated": "arn:aws:iam::1:saml-provider/x"}), ("role/Sso",), ()),
    ],
    ids=str,
)
def test_a_role_by_its_policies(role, able, taggers):
    """Inline and attached ones; a role that only AWS's services may assume is nobody."""
    version = {"IsDefaultVersion": True, "Document": ADMIN}
    managed = {"Arn": "arn:aws:iam::aws:policy/AdministratorAccess", "PolicyVersionList": [version]}

    found = judged([{"RoleDetailList": [role], "Policies": [managed]}], TABLE, REGION, "promote")

    assert (found.able, found.taggers) == (able, taggers)


def test_a_user_has_the_policies_of_its_groups():
    """The answer comes in pages: a user may stand before its group."""
    user = {"UserName": "ann", "GroupList": ["approvers"], "UserPolicyList": [], "AttachedManagedPolicies": []}
    group = {"GroupName": "approvers", "GroupPolicyList": [{"PolicyName": "p", "PolicyDocument": APPROVER}]}

    found = judged([{"UserDetailList": [user]}, {"GroupDetailList": [group]}], TABLE, REGION, "promote")

    assert (found.able, found.taggers) == (("user/ann",), ())
