"""Asking before something changes."""

import io
import sys

import pytest

from ami_promoter.terminal.account_names import naming
from ami_promoter.terminal.output import emit
from ami_promoter.terminal.report import Exit, NotDone
from ami_promoter.verbs import VerbCaller

DEV = "222222222222"
CALLER = VerbCaller("us-east-1", "recall")


class AnsweredNo(io.StringIO):
    """A terminal at which somebody says no."""

    def isatty(self):
        return True


@pytest.fixture
def answered(monkeypatch):
    """Let a person answer."""
    monkeypatch.setattr(sys, "stdin", AnsweredNo("n\n"))


def test_a_person_who_sends_the_output_to_a_file_sees_the_question(answered, capsys):
    """What will happen, and the question, are no output: the command would wait unseen."""
    with pytest.raises(NotDone) as no:
        CALLER.confirm("This ends it", ["The delivery is cancelled."])

    out, err = capsys.readouterr()
    assert (no.value.report.faults[0].code, out) == ("not-confirmed", "")
    assert "The delivery is cancelled." in err
    assert "This ends it.\nContinue?" in err


def test_the_question_has_names_and_no_control_character(answered, capsys):
    """Like any other line."""
    with naming(lambda: {DEV: "dev\x1b[2J"}), pytest.raises(NotDone):
        CALLER.confirm(f"This withdraws {DEV} from it", [])

    assert f"This withdraws dev\\x1b[2J ({DEV}) from it.\nContinue?" in capsys.readouterr().err


def test_a_long_question_is_folded_between_words(answered, capsys, monkeypatch):
    """On a terminal of 80 columns, as the lines before it are."""
    monkeypatch.setenv("COLUMNS", "80")
    does = "This removes the tag promote of ami-0123456789abcdef0, and so ends its promotion"
    with pytest.raises(NotDone):
        CALLER.confirm(does, [])

    assert max(map(len, capsys.readouterr().err.splitlines())) <= 80


def test_who_stops_at_the_question_reads_that_nothing_was_changed(monkeypatch, capsys):
    """On a line of its own, with the exit status of an interrupted command."""
    monkeypatch.setattr(sys, "stdin", AnsweredNo(""))

    with pytest.raises(NotDone) as no:
        CALLER.confirm("This recalls it", [])

    assert no.value.report.status is Exit.INTERRUPTED
    assert emit(no.value.report, as_json=False, reads=False) is Exit.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[2:] == [
        "recall: it was stopped at the question.",
        "1 fault; nothing was changed.",
    ]


def test_a_closed_input_is_no_terminal(monkeypatch):
    """As with `<&-`: Python has no standard input then."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(NotDone, match="nobody can be asked"):
        CALLER.confirm("This ends it", [])
