"""The guardrails' template: parameters refused with a clear message, and policies within the size limits."""

import re
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tools.template_checks import problems

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "guardrails.yaml"
ARN = "arn:aws:iam::111111111111:role/image-builder"


@pytest.fixture(scope="module")
def guardrails() -> dict[str, Any]:
    """The template, short tags resolved."""
    return yaml_parse(TEMPLATE.read_text(encoding="utf-8"))


def test_the_policies_only_deny(guardrails):
    """What is allowed elsewhere stays allowed."""
    policies = [it["Properties"] for it in guardrails["Resources"].values()]

    assert problems(guardrails) == []
    assert {it["Type"] for it in policies} == {"SERVICE_CONTROL_POLICY"}
    assert {statement["Effect"] for it in policies for statement in it["Content"]["Statement"]} == {"Deny"}


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("HubAccountId", "012345678901", ["", "12345678901"]),
        ("TriggerTagKey", "promote", ["", "aws:promote"]),
        ("Taggers", ARN, ["", "image-builder", "arn:aws:sts::111111111111:assumed-role/a/b", "*", f"{ARN} "]),
        ("Exempt", "arn:aws:iam::*:role/service-role/AWSBackup*", ["*", "arn:aws:iam::1:role/x"]),
        ("ReserveIn", "ou-ab12-11111111", ["1111", "o-a1b2c3d4e5", "ou-ab12-11111111 "]),
        ("RoleName", "AmiCopyRole", ["", "a b", "path/Role", "*"]),
    ],
)
def test_a_bad_parameter_is_refused_with_a_word_of_help(guardrails, parameter, good, bad):
    """Also a pattern that would let every principal tag."""
    declared = guardrails["Parameters"][parameter]

    assert re.fullmatch(declared["AllowedPattern"], good)
    assert [value for value in bad if re.fullmatch(declared["AllowedPattern"], value)] == []
    assert declared["Description"]
    assert declared["ConstraintDescription"]
