"""Which rights of a target's copy role a delivery needs."""

from pathlib import Path

import pytest

from ami_promoter.reconcile.doctor_target_checks import parameter_denied
from awsim import cfn
from chalicelib.delivery.template_rights import (
    PARAMETER,
    allowed,
    closed_keys,
    lacking,
    launch_types,
    needed,
    parameters,
    template_old,
)
from chalicelib.targets.applied_file import Target

ROOT = Path(__file__).resolve().parents[2]
NOT_OF_A_DELIVERY = {
    "ec2:DisableImageDeprecation",  # of the lift of a recall
    "ec2:DescribeImageAttribute",  # of the source, in share mode and by CopyImage
    "iam:GetRole",  # its refusal does not block; CreateGrant's refusal says what is missing
    "iam:GetRolePolicy",  # the question itself
    "kms:GenerateDataKey",
    # doctor's questions
    "ec2:GetAllowedImagesSettings",
    "ec2:GetEbsDefaultKmsKeyId",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:GetImageBlockPublicAccessState",
    "ec2:GetSnapshotBlockPublicAccessState",
    "events:DescribeRule",
    "events:ListTargetsByRule",
    "kms:GetKeyPolicy",
}
COPY = Target("222222222222", "eu-central-1", copy_method="auto")


def template():
    """The actions that the copy role of deploy/target.yaml allows."""
    (policy,) = cfn.read(ROOT / "deploy" / "target.yaml")["Resources"]["Role"]["Properties"]["Policies"]
    statements = [one for one in policy["PolicyDocument"]["Statement"] if "Fn::If" not in one]
    return allowed({"Statement": statements})


def test_each_right_of_the_template_is_one_that_a_delivery_needs_or_is_listed_here():
    """A right that is added to the template gets its line in `needed`, or here with the reason why not."""
    assert set(needed(COPY)) | NOT_OF_A_DELIVERY == set(template())
    assert set(needed(COPY)) & NOT_OF_A_DELIVERY == set()


@pytest.mark.parametrize(
    ("settings", "action"),
    [
        ({"copy_method": "image"}, "ec2:CopySnapshot"),
        ({"copy_method": "snapshots"}, "ec2:CopyImage"),
        ({"protect": False}, "ec2:EnableImageDeregistrationProtection"),
        ({"mode": "share"}, "ec2:CreateTags"),
    ],
)
def test_a_right_is_asked_for_only_where_the_settings_need_it(settings, action):
    """An older template stays good for a target that does not use what is new."""
    without = [one for one in template() if one != action]

    assert lacking(COPY, without) == (action,)
    assert lacking(Target(COPY.account, COPY.region, **{"copy_method": "auto", **settings}), without) == ()


def test_the_fault_names_role_rights_and_template():
    """And nothing is said about a role that lacks nothing."""
    (fault,) = template_old(COPY, ["ec2:*"])

    assert "AmiCopyRole there does not allow kms:CreateGrant, kms:Decrypt" in fault.what
    assert fault.where == "account 222222222222, eu-central-1"
    assert template_old(COPY, template()) == ()


@pytest.mark.parametrize(
    ("statement", "actions"),
    [
        ({"Effect": "Allow", "Action": "EC2:copy*"}, ("EC2:copy*",)),
        ({"Effect": "Allow", "NotAction": "iam:*"}, ("*",)),
        ({"Effect": "Deny", "Action": "*"}, ()),
    ],
)
def test_what_a_statement_allows(statement, actions):
    """One statement may stand without a list; wildcards and the letters' case are IAM's."""
    assert allowed({"Statement": statement}) == actions
    assert ("ec2:CopySnapshot" in lacking(COPY, actions)) == (not actions)


NAMED = Target("222222222222", "eu-central-1", ssm_parameter="/golden/{family}/current")
ARN = "arn:aws:ssm:*:222222222222:parameter"


@pytest.mark.parametrize(
    ("statements", "covered"),
    [
        ([{"Action": list(PARAMETER), "Resource": [f"{ARN}/golden/*", f"{ARN}//golden/*"]}], True),
        ([{"Action": "ssm:*", "Resource": "*"}], True),
        ([{"Action": one, "Resource": f"{ARN}/golden/*"} for one in PARAMETER], True),
        ([{"Action": one, "Resource": f"{ARN}/golden/*"} for one in PARAMETER[1:]], False),
        ([{"Action": list(PARAMETER), "Resource": f"{ARN}/golden/base/*"}], False),
        ([{"Action": list(PARAMETER), "Resource": "arn:aws:s3:::parameter/golden/*"}], False),
        ([{"Action": list(PARAMETER), "Resource": f"{ARN}/golden/*", "Effect": "Deny"}], False),
        ([], False),
    ],
)
def test_whether_the_role_may_write_the_parameter_of_a_target(statements, covered):
    """For every family that may come, with all that a pointer needs; or the fault names the parameter."""
    found = parameter_denied(NAMED, parameters({"Statement": [{"Effect": "Allow", **one} for one in statements]}))

    assert [one.code for one in found] == ([] if covered else ["parameter-not-allowed"])
    assert all("ParameterPrefix=/golden/" in one.cure for one in found)
    assert parameter_denied(COPY, ()) == ()


HUB_KEY = "arn:aws:kms:eu-central-1:111111111111:key/one"


@pytest.mark.parametrize(
    ("more", "closed"),
    [
        ([], ()),
        ([{"Effect": "Deny", "Action": "kms:CreateGrant", "NotResource": [HUB_KEY]}], ()),
        (
            [{"Effect": "Deny", "Action": "kms:CreateGrant", "NotResource": ["arn:aws:kms:*:222222222222:*"]}],
            (HUB_KEY,),
        ),
    ],
)
def test_what_a_launch_role_may_run_and_which_keys_it_may_use(more, closed):
    """As deploy/target.yaml writes it: types by a condition, keys of the hub by what a denial leaves out."""
    keys = {"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": "arn:aws:kms:*:111111111111:key/*"}
    types = {"StringEquals": {"ec2:InstanceType": ["t3.micro", "t4g.micro"]}}
    runs = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*", "Condition": types}
    document = {"Statement": [keys, runs, *more]}

    assert launch_types(document) == ("t3.micro", "t4g.micro")
    assert closed_keys(document, [HUB_KEY]) == closed
    assert closed_keys({"Statement": [runs]}, [HUB_KEY]) == (HUB_KEY,)
