"""The guardrails' template: parameters refused with a clear message, and policies within the size limits."""

from pathlib import Path

from tools.template_checks import problems

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "guardrails.yaml"
ARN = "arn:aws:iam::111111111111:role/image-builder"


def test_the_policies_only_deny(guardrails):
    """What is allowed elsewhere stays allowed."""
    policies = [it["Properties"] for it in guardrails["Resources"].values()]

    assert problems(guardrails) == []
    assert {it["Type"] for it in policies} == {"SERVICE_CONTROL_POLICY"}
    assert {statement["Effect"] for it in policies for statement in it["Content"]["Statement"]} == {"Deny"}
