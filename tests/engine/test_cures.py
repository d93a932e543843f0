"""What cures say of a delivery that has failed, and of what was not begun yet."""

import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine.aws.refusals import KINDS, LAUNCH_CURES, THROTTLED, refusal
from chalicelib.engine.faults import Fault, retried, without_afterwards

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
CURES = re.findall(
    r"^\| `.* \| (.* (?:[Tt]hen|and) tag (?:[A-Za-z]+ ){0,2}again\.) \|$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE,
)
"""Those of all fault codes that end with a new tag."""


def test_a_failed_delivery_is_retried_by_the_command():
    """Its cure names the command in place of a new tag, and stays a sentence."""
    assert len(CURES) > 30
    shown = [one.cure for one in retried([Fault("code", "where", "What.", cure) for cure in CURES], "ami-1")]
    assert [one for one in shown if not re.search(r"[^,;.]; then `ami-promoter retry ami-1`\.$", one)] == []


def test_what_was_not_begun_needs_no_new_tag():
    """The cure of a check ends with what is to be repaired."""
    assert [one for cure in CURES if not re.search(r"[^,;.]\.$", one := without_afterwards(cure))] == []
    assert [one for cure in CURES if re.search(r"tag \S+ again\.$|then\W*$", one := without_afterwards(cure))] == []


@pytest.mark.parametrize("call", ["AssumeRole", "CopySnapshot", "RunInstances"])
@pytest.mark.parametrize("code", sorted(THROTTLED | KINDS.keys() | LAUNCH_CURES.keys()))
def test_a_refusals_cure_holds_when_the_service_has_given_up(code, call):
    """It stays with a delivery that has failed: then nothing tries again."""
    refused = refusal(ClientError({"Error": {"Code": code}}, call), call, "where", sts=call == "AssumeRole")
    assert refused.fault.cure
    assert "The service tries again" not in refused.fault.cure
