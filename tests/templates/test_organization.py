"""The management account's template: one role, which reads, for one function of one hub."""

import re
from pathlib import Path

from chalicelib.adapters.organizations import READS
from tools.template_checks import problems

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "organization.yaml"


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
