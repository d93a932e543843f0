"""The management account's template: one role, which reads, for one function of one hub."""

import re
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from chalicelib.adapters.organizations import READS
from tools.template_checks import problems

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "organization.yaml"


@pytest.fixture(scope="module")
def organization() -> dict[str, Any]:
    """The template, short tags resolved."""
    return yaml_parse(TEMPLATE.read_text(encoding="utf-8"))


def test_only_discover_with_the_external_id_may_enter_and_only_read(organization):
    """No function that opens or copies may assume it, and it allows exactly the resolver's calls."""
    role = organization["Resources"]["Role"]["Properties"]
    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    allowed = {one for it in role["Policies"][0]["PolicyDocument"]["Statement"] for one in it["Action"]}

    assert statement["Condition"]["StringEquals"] == {
        "aws:PrincipalArn": {
            "Fn::Sub": "arn:${AWS::Partition}:iam::${HubAccountId}:role/ami-promoter-${HubRegion}-discover"
        },
        "sts:ExternalId": {"Ref": "ExternalId"},
    }
    assert allowed == set(READS)
    assert all(re.match("organizations:(Describe|List)", one) for one in allowed)
    assert problems(organization) == []


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("HubAccountId", "012345678901", ["", "12345678901"]),
        ("HubRegion", "eu-central-1", ["", "eu-central-1a"]),
        ("RoleName", "AmiOrganizationRead", ["", "a b", "path/Role"]),
        ("ExternalId", "3f2b-77", ["", "x", "with blank"]),
        ("PermissionsBoundary", "limits", ["/limits", "*"]),
    ],
)
def test_a_bad_parameter_is_refused_with_a_word_of_help(organization, parameter, good, bad):
    """Also an empty external id."""
    declared = organization["Parameters"][parameter]

    assert re.fullmatch(declared["AllowedPattern"], good)
    assert [value for value in bad if re.fullmatch(declared["AllowedPattern"], value)] == []
    assert declared["Description"]
    assert declared["ConstraintDescription"]
