"""The history lines that record calls."""

import pytest

from chalicelib.engine import calls
from chalicelib.engine.calls import MadeCall

ID = "0000001f-0000-4000-8000-00000000001f"


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (MadeCall("CopySnapshot", ID), f"call CopySnapshot {ID}"),
        (MadeCall("CopySnapshot", ID, "UnauthorizedOperation"), f"call CopySnapshot {ID} UnauthorizedOperation"),
        (MadeCall("CopyImage", "", calls.NO_ANSWER), "call CopyImage - NoAnswer"),
        (MadeCall("CopyImage"), "call CopyImage -"),
    ],
)
def test_a_call_is_a_line_and_is_read_from_it(call, line):
    """With its id, with a refusal, and without an answer."""
    assert str(call) == line
    assert MadeCall.read(line) == call


@pytest.mark.parametrize("line", ["", "call", "call a b c d", "opening was tried", 'CopyStarted {"call": "x"}'])
def test_other_lines_are_no_calls(line):
    """Events and sentences."""
    assert MadeCall.read(line) is None


def test_what_aws_says_cannot_forge_a_line():
    """Nor exceed the size of an item."""
    line = str(MadeCall("CopySnapshot", "a b\nc" * 100, "x y"))

    assert MadeCall.read(line) == MadeCall("CopySnapshot", ("abc" * 100)[: calls.LONGEST], "xy")


def test_intents_and_what_was_not_called():
    """The two kinds of line differ."""
    assert calls.intended(calls.intent("CopySnapshot snap-1")) == "CopySnapshot snap-1"
    assert calls.left_out(calls.not_made("CopySnapshot snap-1")) == "CopySnapshot snap-1"
    assert (calls.intended("not called X"), calls.left_out("intent X")) == ("", "")


@pytest.mark.parametrize(
    ("operation", "changes"),
    [("CopySnapshot", True), ("RevokeGrant", True), ("DescribeImages", False), ("GetKeyPolicy", False)],
)
def test_reads_and_changes_differ(operation, changes):
    """By AWS's naming of operations."""
    assert calls.changes(operation) == changes
