"""The guardrails' template: parameters refused with a clear message, and policies within the size limits."""

import json
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

from awsim.services.organizations import LONGEST

IAM: dict[str, Any] = json.loads((files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text(encoding="utf-8"))
"""AWS's service authorization reference, as cfn-lint ships it."""
ARN = "arn:aws:iam::111111111111:role/image-builder"


def test_the_policies_only_deny(guardrails):
    """What is allowed elsewhere stays allowed."""
    policies = [it["Properties"] for it in guardrails["Resources"].values()]

    assert {it["Type"] for it in policies} == {"SERVICE_CONTROL_POLICY"}
    assert {statement["Effect"] for it in policies for statement in it["Content"]["Statement"]} == {"Deny"}


def test_what_iam_checks_without_a_resource_is_denied_on_everything(guardrails):
    """No ARN matches such a call. A wildcard may also stand for some that need no denial, or are denied elsewhere."""
    statements = [one for it in guardrails["Resources"].values() for one in it["Properties"]["Content"]["Statement"]]
    listed = [(one, [one["Action"]] if isinstance(one["Action"], str) else one["Action"]) for one in statements]
    everywhere = {action for one, actions in listed if one["Resource"] == "*" for action in actions}
    without_effect = set()
    for one, actions in listed:
        for action in actions:
            service, name = action.lower().split(":")
            found = {it for it in IAM[service]["Actions"] if fnmatchcase(it, name)}
            assert found, f"{action} does not exist"
            if one["Resource"] != "*":
                bare = {it for it in found if not IAM[service]["Actions"][it].get("Resources")}
                without_effect |= {f"{service}:{it}" for it in bare} - {it.lower() for it in everywhere}
    assert without_effect <= NOT_OF_THE_SERVICE, without_effect - NOT_OF_THE_SERVICE


NOT_OF_THE_SERVICE = {
    "iam:createaccountalias",
    "iam:deleteaccountalias",
    "iam:deleteaccountpasswordpolicy",
    "iam:deletecloudfrontpublickey",
    "iam:putaccountproperties",
    "iam:setstsregionalendpointstatus",
    "iam:setsecuritytokenservicepreferences",
    "iam:updateaccountemailaddress",
    "iam:updateaccountname",
    "iam:updateaccountpasswordpolicy",
    "iam:updatecloudfrontpublickey",
    "lambda:createcodesigningconfig",
    "lambda:createmicrovmimage",
}
"""What the wildcards match, too, and what changes nothing of the service."""


def test_the_policies_are_made_one_after_the_other(guardrails):
    """Organizations refuses a change while it makes another one: each policy refers to all before it that there are."""
    before = []
    for name, policy in guardrails["Resources"].items():
        assert policy.get("Metadata", {}).get("MadeAfter", []) == before
        condition = policy.get("Condition")
        before.append({"Fn::If": [condition, {"Ref": name}, ""]} if condition else {"Ref": name})


def test_each_policy_is_short_enough_with_twenty_principals_in_each_list(guardrails):
    """Organizations refuses a longer one; spaces between texts do not count."""
    twenty = [f"{ARN}-{number:02d}" for number in range(20)]

    def filled(node):
        if isinstance(node, list):
            return [filled(one) for one in node]
        if not isinstance(node, dict):
            return node
        ((name, value), *_) = node.items() or (("", ""),)
        if name == "Fn::If":
            return filled(value[1])
        if name == "Ref" and value.endswith("TagKey"):
            return "k" * 128
        if name in ("Ref", "Fn::Split"):
            return twenty
        return filled(value) if name == "Fn::Sub" else {key: filled(one) for key, one in node.items()}

    for policy in guardrails["Resources"].values():
        text = json.dumps(filled(policy["Properties"]["Content"]), separators=(",", ":"))
        assert len(text) <= LONGEST["service"], (policy["Properties"]["Name"], len(text))
