"""The management account's template: one role, which reads, for four functions of one hub."""

import re

from chalicelib.targets.aws.organizations import READS

ASKS = ("discover", "share-worker", "access-monitor", "drift-audit")


def test_only_those_who_ask_for_members_may_enter_with_the_external_id_and_only_read(organization):
    """It allows exactly discovery's calls."""
    role = organization["Resources"]["Role"]["Properties"]
    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    allowed = {one for it in role["Policies"][0]["PolicyDocument"]["Statement"] for one in it["Action"]}

    assert statement["Condition"]["StringEquals"] == {
        "aws:PrincipalArn": [
            {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{HubAccountId}}:role/ami-promoter-${{HubRegion}}-{function}"}
            for function in ASKS
        ],
        "sts:ExternalId": {"Ref": "ExternalId"},
    }
    assert allowed == set(READS)
    assert all(re.match("organizations:(Describe|List)", one) for one in allowed)
