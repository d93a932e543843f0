"""The guardrails' template: parameters refused with a clear message, and policies within the size limits."""

import json

ARN = "arn:aws:iam::111111111111:role/image-builder"


def test_the_policies_only_deny(guardrails):
    """What is allowed elsewhere stays allowed."""
    policies = [it["Properties"] for it in guardrails["Resources"].values()]

    assert {it["Type"] for it in policies} == {"SERVICE_CONTROL_POLICY"}
    assert {statement["Effect"] for it in policies for statement in it["Content"]["Statement"]} == {"Deny"}


def test_the_policies_are_made_one_after_the_other(guardrails):
    """Organizations refuses a change while it makes another one: each policy refers to all before it that there are."""
    before = []
    for name, policy in guardrails["Resources"].items():
        assert policy.get("Metadata", {}).get("MadeAfter", []) == before
        condition = policy.get("Condition")
        before.append({"Fn::If": [condition, {"Ref": name}, ""]} if condition else {"Ref": name})


def test_each_policy_is_short_enough_with_twenty_principals_in_each_list(guardrails):
    """A service control policy has 5,120 characters at most, without spaces between texts [Organizations quotas]."""
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
        assert len(text) <= 5120, (policy["Properties"]["Name"], len(text))
