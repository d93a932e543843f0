"""``key-policy``: the statements that a customer managed key needs, and whether it has them."""

import json
from pathlib import Path

import boto3
import pytest
from samtranslator.yaml_helper import yaml_parse

from ami_promoter.hub import policies
from ami_promoter.hub.key_needs import hub_needs, launch_needs, target_needs

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/AmiCopyRole"
USE = [
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
]
EVERYTHING = ["kms:DescribeKey", *USE, "kms:CreateGrant"]
ROOT_DECIDES = {
    "Sid": "Root",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}


@pytest.fixture
def kms(aws):
    """KMS in the target's account."""
    return boto3.client("kms", region_name="us-east-1")


def a_key(kms, *statements, rotation=True, **given):
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    usual = {"KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"}
    arn = kms.create_key(Policy=policy, **{**usual, **given})["KeyMetadata"]["Arn"]
    if rotation and not given:
        kms.enable_key_rotation(KeyId=arn)
    return arn


def statements(printed):
    """The statements that the command prints to be added to a policy."""
    return json.loads(printed.out[printed.out.index("[") :])


def test_what_a_targets_key_must_allow(aws, run):
    """Three statements that name the role: through EC2 only, grants for AWS services only."""
    looks, uses, grants = statements(run("admin", "key-policy", "target"))
    for one in (looks, uses, grants):
        assert one["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert one["Condition"]["ArnEquals"] == {"aws:PrincipalArn": ROLE}
    assert looks["Action"] == ["kms:DescribeKey"]
    assert uses["Action"] == USE
    assert uses["Condition"]["StringLike"] == {"kms:ViaService": "ec2.*.amazonaws.com"}
    assert grants["Action"] == ["kms:CreateGrant"]
    assert grants["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_with_a_launch_test_the_launch_role_needs_the_key_too(aws, run):
    """Six statements, each with a name of its own."""
    found = statements(run("admin", "key-policy", "target", "--launch-test"))
    principals = [one["Condition"]["ArnEquals"]["aws:PrincipalArn"] for one in found]
    assert principals == [ROLE] * 3 + [f"{ROLE}-launch"] * 3
    assert len({one["Sid"] for one in found}) == 6


def test_with_service_linked_roles_the_grant_role_needs_the_key_too(aws, run):
    """It makes grants on the key, and looks for them; with a launch test no statement replaces another."""
    *copies, grants = statements(run("admin", "key-policy", "target", "--service-roles"))
    assert {one["Condition"]["ArnEquals"]["aws:PrincipalArn"] for one in copies} == {ROLE}
    assert grants["Condition"]["ArnEquals"]["aws:PrincipalArn"] == f"{ROLE}-grants"
    assert grants["Action"] == ["kms:CreateGrant", "kms:ListGrants"]

    both = statements(run("admin", "key-policy", "target", "--service-roles", "--launch-test"))
    assert len({one["Sid"] for one in both}) == 7


def test_what_a_key_of_the_hub_must_allow(aws, run):
    """`worker` reads, `share-worker` opens and closes; the function names contain the Region."""
    worker, share_worker = statements(run("admin", "key-policy", "hub"))
    assert worker["Condition"]["ArnEquals"]["aws:PrincipalArn"].endswith("role/ami-promoter-us-east-1-worker")
    assert share_worker["Condition"]["ArnEquals"]["aws:PrincipalArn"].endswith(
        "role/ami-promoter-us-east-1-share-worker"
    )
    assert share_worker["Action"] == ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]


def test_they_are_what_the_roles_may_do():
    """Key policy and role policy name the same actions: the role's in deploy/target.yaml and the hub's functions'."""
    template = yaml_parse((ROOT / "deploy" / "target.yaml").read_text())["Resources"]

    def on_keys(role: str, *ends: str) -> set[str]:
        return {
            action
            for one in template[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            if one.get("Sid", "").endswith(ends)
            for action in (one["Action"] if isinstance(one["Action"], list) else [one["Action"]])
        }

    copying = {action for need in target_needs("AmiCopyRole") for action in need.actions}
    assert copying == on_keys("Role", "OwnKeys", "KeysOfSnapshots")
    launching = {action for need in launch_needs("AmiCopyRole-launch") for action in need.actions}
    assert launching == on_keys("LaunchRole", "AtKeys", "KeysOfVolumes")
    for need in hub_needs("us-east-1"):
        function = need.role.removeprefix("ami-promoter-us-east-1-").replace("-", "_")
        policy = json.loads((ROOT / ".chalice" / "policies" / f"{function}.json").read_text())
        # Grants do not need what depends on a parameter (Fn::If, PolicyKeyArns).
        may = {action for one in policy["Statement"] for action in one.get("Action", ()) if "kms:" in action}
        assert set(need.actions) == may


def test_a_key_that_leaves_it_to_iam_is_fit(kms, run):
    """The default key policy is enough: then the role's own policy decides."""
    arn = a_key(kms, ROOT_DECIDES)

    out, err = run("admin", "key-policy", "target", arn)
    assert out.splitlines()[0] == f"{arn} is Enabled, rotation on."
    assert out.splitlines()[-1] == "As far as a key policy shows, the service can use it."
    assert err == ""


def test_the_printed_statements_are_enough(kms, run):
    """In a policy that names no other principal, they make the check pass."""
    administers = {**ROOT_DECIDES, "Action": ["kms:PutKeyPolicy", "kms:GetKeyPolicy"], "Sid": "Admin"}
    arn = a_key(kms, administers, *statements(run("admin", "key-policy", "target")))

    data = run("admin", "key-policy", "target", arn, "--json").data
    assert data["allowed"] == dict.fromkeys(EVERYTHING, "allowed")
    assert (data["rotation"], data["statements"]) == (True, [])


def test_what_lacks_is_named_with_the_statement_to_add(kms, run):
    """The command prints only that statement; each missing action is a fault."""
    looks, uses, _ = statements(run("admin", "key-policy", "target"))
    arn = a_key(kms, looks, uses)

    said = run("admin", "key-policy", "target", arn, exits=1)
    assert said.err.splitlines()[0] == (
        f"{arn}: no statement lets AmiCopyRole do kms:CreateGrant. Add the statement "
        "AmiPromoterLetsEbsUseTheKey; without KEY this command prints it."
    )
    assert [one["Sid"] for one in statements(said)] == ["AmiPromoterLetsEbsUseTheKey"]


DENIES = {**ROOT_DECIDES, "Sid": "NoGrants", "Effect": "Deny", "Action": "kms:CreateGrant"}
LIMITED = {**ROOT_DECIDES, "Sid": "FromHome", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
GONE = {**ROOT_DECIDES, "Sid": "Old", "Principal": {"AWS": "AROAEXAMPLEEXAMPLE"}}


@pytest.mark.parametrize(
    ("policy", "exits", "said"),
    [
        ([ROOT_DECIDES, DENIES], 1, "kms:CreateGrant is denied to AmiCopyRole (NoGrants)."),
        (
            [LIMITED],
            0,
            "whether kms:CreateGrant is allowed depends on a condition that cannot be judged here (FromHome).",
        ),
        # A bare id, with which the next change of the policy would fail.
        ([ROOT_DECIDES, GONE], 0, "Old names AROAEXAMPLEEXAMPLE, which exists no longer"),
    ],
)
def test_a_denial_wins_and_what_a_policy_alone_cannot_say_is_a_warning(kms, run, policy, exits, said):
    """With the statement that says so; a condition on an unknown value is neither met nor unmet."""
    arn = a_key(kms, *policy)

    assert f"{arn}: {said}" in run("admin", "key-policy", "target", arn, exits=exits).err


def test_rotation_that_is_off_is_a_warning(kms, run):
    """The warning has the command that turns it on."""
    arn = a_key(kms, ROOT_DECIDES, rotation=False)

    said = run("admin", "key-policy", "target", arn)

    assert said.lines[0] == f"{arn} is Enabled, rotation off."
    assert f"rotation is off. Turn it on: aws kms enable-key-rotation --key-id {arn}" in said.err


def test_a_key_that_is_disabled_or_of_the_wrong_kind(kms, run):
    """No policy helps; the command checks nothing else."""
    off = a_key(kms, ROOT_DECIDES)
    kms.disable_key(KeyId=off.rpartition("/")[2])
    rsa = a_key(kms, ROOT_DECIDES, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")

    said = run("admin", "key-policy", "target", off, exits=1)

    assert (
        f"{off}: it is in state Disabled. Enable it: `aws kms enable-key --region us-east-1 --key-id {off}`" in said.err
    )
    assert f"{rsa}: it is RSA_2048 for SIGN_VERIFY" in run("admin", "key-policy", "target", rsa, exits=1).err


def test_an_alias_will_do_and_a_missing_key_is_said(kms, run):
    """The command takes the same names for keys as the targets file."""
    kms.create_alias(AliasName="alias/ours", TargetKeyId=a_key(kms, ROOT_DECIDES))

    run("admin", "key-policy", "target", "alias/ours")
    err = run("admin", "key-policy", "target", "alias/none", exits=3).err
    assert f"account {ACCOUNT}, us-east-1: looking at the key alias/none failed" in err
    assert "There is no such key: check its name, the Region and the account." in err


REQUEST = policies.Request("kms:Decrypt", (ROLE, ACCOUNT), {"aws:PrincipalArn": ROLE, "kms:CallerAccount": ACCOUNT})


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ({}, policies.ALLOWED),
        ({"Principal": "*"}, policies.ALLOWED),
        ({"Principal": {"AWS": ["*"]}}, policies.ALLOWED),
        ({"Principal": {"AWS": ACCOUNT}}, policies.ALLOWED),
        ({"Principal": {"AWS": f"{ROLE}2"}}, policies.MISSING),
        ({"Principal": {"Service": "ec2.amazonaws.com"}}, policies.MISSING),
        ({"Action": "KMS:De*"}, policies.ALLOWED),
        ({"Action": ["kms:Encrypt", "kms:Describe*"]}, policies.MISSING),
        ({"Effect": "Deny"}, policies.DENIED),
        ({"Condition": {"StringEquals": {"kms:CallerAccount": [ACCOUNT, "1"]}}}, policies.ALLOWED),
        ({"Condition": {"StringNotEquals": {"kms:CallerAccount": ACCOUNT}}}, policies.MISSING),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/Ami*"}}}, policies.ALLOWED),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a"}}}, policies.UNCLEAR),
        ({"Condition": {"DateGreaterThan": {"aws:PrincipalArn": "x"}}}, policies.UNCLEAR),
        ({"NotAction": "kms:Encrypt"}, policies.UNCLEAR),
    ],
)
def test_reading_a_statement(statement, verdict):
    """Principals, wildcards and conditions as KMS evaluates them; nothing unknown is guessed."""
    whole = {"Sid": "It", "Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:*", "Resource": "*"}

    found, sid = policies.judge({"Statement": {**whole, **statement}}, REQUEST)

    assert found == verdict
    assert sid == ("" if verdict == policies.MISSING else "It")


def test_a_denial_that_may_apply_leaves_it_unclear():
    """An allowing statement does not hide it."""
    allows = {"Sid": "Yes", "Effect": "Allow", "Principal": "*", "Action": "kms:*"}
    denies = {**allows, "Sid": "Perhaps", "Effect": "Deny", "Condition": {"Bool": {"x:y": "true"}}}

    assert policies.judge({"Statement": [allows, denies]}, REQUEST) == (policies.UNCLEAR, "Perhaps")
