"""Terminal output: visible escapes, short ids, durations, events in plain words."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ami_promoter.promotions import timeline_text
from ami_promoter.terminal.output import Bar, Folded, linked, printable, short, show, table
from ami_promoter.terminal.report import moment, span
from chalicelib.delivery.proof import SeenCopy

ARN = "arn:aws:kms:us-east-1:111111111111:key/9a1c841d-1f7b-4fec-ba46-83f5f366bf0e"
COPIES = (
    SeenCopy("snap-1", "snap-2", "completed", 100),
    SeenCopy("snap-3", "snap-4", "error", 4, "Given key ID is not accessible"),
)


def printed(line, columns):
    """Print a line on a terminal with this many columns."""
    out = io.StringIO()
    show([line], Console(file=out, width=columns))
    return out.getvalue().splitlines()


@given(st.text())
def test_whatever_a_name_holds_is_visible(text):
    """The output has no control character, line end or sign that changes the writing direction."""
    assert printable(text).isprintable()


@given(st.text(max_size=300), st.integers(20, 200))
def test_a_line_is_folded_between_words(text, columns):
    """Only spaces are lost; only a word that is too long exceeds the line."""
    lines = printed(text, columns)

    assert "".join("".join(lines).split()) == "".join(printable(text).split())
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)


def test_an_indented_line_stays_indented():
    """Also after a fold."""
    assert printed(Folded("one two three", 4), 12) == ["    one two", "    three"]


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (
            f"Enable it with credentials of 1: `aws kms enable-key --key-id {ARN}`; then retry.",
            ["Enable it with credentials of 1:", f"`aws kms enable-key --key-id {ARN}`;", "then retry."],
        ),
        (
            "Look: aws logs tail --follow /aws/x ; and then wait.",
            ["Look: aws logs tail --follow /aws/x ;", "and then wait."],
        ),
        (
            "Run ami-promoter admin key-policy hub arn:aws:x --access policy and see what it prints.",
            ["Run", "ami-promoter admin key-policy hub arn:aws:x --access policy", "and see what it prints."],
        ),
    ],
)
def test_a_command_stays_whole(said, lines):
    """It is pasted as it stands: a terminal that is too narrow folds it without a line end."""
    assert printed(said, 40) == lines


def test_without_a_checkout_a_file_is_named_by_its_address():
    """A person who installed the command line alone has no docs/ and no deploy/."""
    said = "Deploy deploy/strict.json (docs/guide/deploy.md#for-a-bank); see /x/docs/y.md."

    assert linked(said, "https://x/") == (
        "Deploy https://x/deploy/strict.json (https://x/docs/guide/deploy.md#for-a-bank); see /x/docs/y.md."
    )
    assert linked(said, "") == said


@pytest.mark.parametrize(("percent", "bar"), [(0, "╌" * 10), (40, "━" * 4 + "╌" * 6), (100, "━" * 10)])
def test_an_empty_bar_looks_empty_without_color(percent, bar):
    """Its rest is drawn by another sign; on a wider terminal it is longer."""
    assert printed(table(("A",), [(Bar(percent),)]), 75)[1] == f"{bar} {percent:3}%"
    assert len(printed(table(("A",), [(Bar(percent),)]), 120)[1]) == 30 + 5


@pytest.mark.parametrize(
    ("ident", "shown"),
    [
        ("snap-0123456789abcdef0", "snap-01234567…"),
        ("ami-0123456789abcdef0", "ami-01234567…"),
        ("snap-1", "snap-1"),
        (ARN, "9a1c841d…"),
        ("alias/mine", "mine"),
    ],
)
def test_short_ids(ident, shown):
    """--wide prints them whole."""
    assert short(ident, wide=False) == shown
    assert short(ident, wide=True) == ident


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (7500, "2h 5m"), (100000, "1d 3h")],
)
def test_durations(seconds, shown):
    """The two largest units."""
    assert span(seconds) == shown


@pytest.mark.parametrize("epoch", [None, 0, -1, 10**12, "soon"])
def test_a_time_that_cannot_be(epoch):
    """It prints a dash."""
    assert moment(epoch) == "-"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("opening is intended", "opening is intended"),
        ("SharesOpened {}", "shares opened"),
        ('CopyStarted {"source": "snap-0123456789abcdef0", "copy": "None"}', "copy started: source snap-01234567…"),
        ('KeySeen {"arn": "' + ARN + '"}', "key seen: arn 9a1c841d…"),
        (
            "CopiesFound " + json.dumps({"copies": str(COPIES)}),
            (
                "looked in the target: copies snap-1 of snap-2: completed 100 %, "
                "snap-3 of snap-4: error Given key ID is not accessible"
            ),
        ),
        ('Odd {"cut off', 'odd: "cut off'),
        (
            "TargetUnfit {\"faults\": \"(Fault(code='target-key-missing', where='account 2', what='The key al\"}",
            "target unfit: faults target-key-missing",
        ),
        ('SharesSeen {"open": "True"}', "shares seen: open"),
        ('TagSeen {"value": "None", "image_name": "golden"}', "no tag seen: name golden"),
        ("Reopened by episode 2", "begun again by the promotion's episode 2"),
        (
            'CancelAsked {"expired": "False", "why": "Withdrawn by arn:aws:sts::1:assumed-role/Ops_1/ann."}',
            "asked to end: Withdrawn by arn:aws:sts::1:assumed-role/Ops_1/ann.",
        ),
        (
            'LeftoversSeen {"left": "(\'snap-1\',)", "refusal": "account 2: no.", "learnt": "(Attempt(x=1),)"}',
            "looked for what it had made there: still there snap-1, a removal was refused, account 2: no.",
        ),
        (
            "Compared {\"withdrawn\": \"{'222222222222': 'arn:aws:iam::1:user/ann'}\"}",
            "compared with its deliveries: withdrawn 222222222222: arn:aws:iam::1:user/ann",
        ),
        (
            (
                'Compared {"value": "dev", "refused": "None", "faults": "()", "inputs": "74ab", '
                '"digest": "9c1f", "surplus": "True", "missing": "True", "running": "False", "answers": "{}", '
                '"newest": "3", "starting_point": "0d1e"}'
            ),
            "compared with its deliveries: value dev, some must end, some must begin",
        ),
        (
            'Sliced {"inputs": "74ab", "after": "end:", "cursor": "end:0123", "standing": "False", "newest": "0"}',
            "deliveries asked to end",
        ),
        (
            'Sliced {"inputs": "74ab", "after": "begin:", "cursor": "", "standing": "True", "newest": "2"}',
            "deliveries begun: some are shared",
        ),
        (
            'Sliced {"inputs": "74ab", "after": "wake:222222222222/us-east-1", "cursor": ""}',
            "deliveries woken whose wave opens",
        ),
        ('Sliced {"inputs": "74ab", "after": "end-again:", "cursor": ""}', "deliveries asked to end again"),
        (
            'Examined {"faults": "(Fault(code=\'key-disabled\',)", "unfit": "True", "inputs": "9c"}',
            "source examined: faults key-disabled, it cannot be promoted",
        ),
        ('RefusedNotified {"faulty": "74ab"}', "notice of the faults sent"),
        (
            'NotExecuted {"fault": "ami-1: EC2 is slow. Wait.", "look": "True", "later": "False"}',
            "tried in vain: fault ami-1: EC2 is slow. Wait.",
        ),
        ("Paused {}", "waits for the end of the pause"),
        (
            (
                'TagSeen {"value": "dev", "image_state": "available", "event": "", "changed_at": "0", '
                '"answers": "{\'tag\': \'1\'}", "starting_point": "74ab"}'
            ),
            "tag seen: value dev",
        ),
        (
            'Compared {"value": "dev", "missing": "True", "inputs": "74',
            "compared with its deliveries: value dev, some must begin",
        ),
        ("SnapshotsDeleted {\"snapshots\": \"('snap-1', 'snap-2')\"}", "snapshots deleted: snapshots snap-1, snap-2"),
    ],
)
def test_events_in_plain_words(what, said):
    """Also an event from another version, or a truncated one."""
    assert timeline_text.words(what) == said


def test_a_column_that_folds_keeps_an_indented_id_whole():
    """A person copies a snapshot's id from the list of shares, to close one by hand."""
    row = ("  snap-0123456789abcdef0", "222222222222", "closing", "4h 51m", "when two reads show it closed")

    lines = printed(table(("  RESOURCE", "TO", "STATE", "FOR", "CLOSES"), [row], folds=("  RESOURCE", "CLOSES")), 80)
    assert lines[1].startswith("  snap-0123456789abcdef0  222222222222")
    assert max(map(len, lines)) <= 80


def test_a_column_that_folds_keeps_an_arn_whole():
    """A key's, to revoke a grant by hand: it is longer than any id, so the terminal folds the line."""
    row = (f"  key {ARN}", "222222222222", "when two reads show it closed")

    lines = printed(table(("  RESOURCE", "TO", "CLOSES"), [row], folds=("  RESOURCE", "CLOSES")), 80)
    assert any(ARN in line for line in lines)


def test_a_column_that_folds_keeps_an_id_whole_beside_a_long_one():
    """`status --wide` has the ARN of a key beside the target."""
    row = (
        "222222222222 us-east-1",
        "delivered",
        f"ami-0123456789abcdef0 arn:aws:kms:us-east-1:222222222222:key/{'0' * 36}",
    )

    lines = printed(table(("TARGET", "STATE", "AMI"), [row], folds=("TARGET",)), 100)

    assert lines[1].startswith("222222222222 ")


@pytest.mark.parametrize("columns", [1, 40, 60])
def test_a_narrow_terminal_cuts_no_id_no_heading_and_no_column(columns):
    """Half an id in the next command is an AMI that does not exist."""
    copy, source, target = "ami-0123456789abcdef0", "ami-0fedcba9876543210", "111111111111 ap-southeast-2"
    head, row = ("FAMILY", "TARGET", "AMI", "SOURCE", "MADE"), ("al2023-base", target, copy, source, "2026-01-05")

    first, *rows = printed(table(head, [row], folds=("SOURCE",)), columns)

    assert first.split() == list(head)
    assert {target, copy} <= set(rows[0].split("  "))
    assert source in "".join(line[first.index("SOURCE") : first.index("MADE")].strip() for line in rows)
