"""What a history says about calls: those made, and those without a recorded answer."""

import json
from dataclasses import fields, is_dataclass

import pytest

from ami_promoter.promotions import timeline_data, timeline_text
from chalicelib.delivery.machine import TRANSITIONS as OF_DELIVERIES
from chalicelib.promotion.machine import TRANSITIONS as OF_PROMOTIONS
from chalicelib.sharing.share import ShareStep

MADE = 'CopyStarted {"source": "snap-1", "copy": "snap-9"}'
AT = 1767603600


def entries(*items):
    """Read a delivery's history; each item is a list of lines."""
    stored = [{"at": AT + number, "state": "copying", "what": what} for number, what in enumerate(items)]
    return timeline_data.record_entries(stored, "delivery", "ami-1", "222222222222", "us-east-1")


def called(one):
    """(call, request id, error, snapshot or name) of each call of a step."""
    return [(call["call"], call["request_id"], call["error"], one["what"][call["of"]]) for call in one["calls"]]


def test_a_call_belongs_to_what_came_of_it():
    """An answered intent needs no line."""
    intended, answered = entries(
        ["intent CopySnapshot snap-1"],
        [MADE, "call CopySnapshot r-1", "SlotsAsked {}", "call CopySnapshot r-2 Throttled"],
    )

    assert (intended["what"], intended["calls"]) == ([], [])
    expected = [("CopySnapshot", "r-1", "", MADE), ("CopySnapshot", "r-2", "Throttled", "SlotsAsked {}")]
    assert called(answered) == expected


def test_an_intent_that_nothing_answers_says_that_the_id_is_not_known():
    """Another snapshot's call is no answer to it, and the next intent is a separate one."""
    first, _, second, answered = entries(
        ["intent CopySnapshot snap-1"],
        ['CopyStarted {"source": "snap-2"}', "call CopySnapshot r-2"],
        ["intent CopySnapshot snap-1"],
        [MADE, "call CopySnapshot r-3"],
    )

    said = "CopySnapshot snap-1 was intended, and no answer is recorded: it is not known whether the call was made"
    assert called(first) == [("CopySnapshot", None, "", said)]
    assert (second["calls"], called(answered)) == ([], [("CopySnapshot", "r-3", "", MADE)])


def test_an_intent_whose_call_was_not_made_is_no_mystery():
    """The history says that time ran out before the call."""
    steps = entries(["intent RegisterImage"], ["Refused {}", "not called RegisterImage"])

    assert [one["calls"] for one in steps] == [[], []]
    assert steps[1]["what"] == ["Refused {}"]


@pytest.mark.parametrize("caused", [{}, {"event": "e1", "changed_at": str(AT)}], ids=["a look", "a tag event"])
def test_a_look_at_the_tag_that_changes_no_state_is_left_out(caused):
    """The changes of the tag are listed before the steps; with --all each look is a line."""
    seen = f"TagSeen {json.dumps({'value': 'dev', 'image_state': 'available', **caused})}"
    steps = entries([seen], [seen], [seen])

    for everything, shown in ((False, 1), (True, 3)):
        lines = list(timeline_text.show(steps, [], "ami-1", everything=everything, wide=False))
        assert lines[2].row_count == shown


def test_shares_of_one_name_have_each_their_own_steps():
    """Steps after the first share was archived belong to the second."""
    steps = [
        ShareStep(at, "open", ("opening was tried", f"call CreateGrant r-{at}")) for at in (1767603700, 1767603600)
    ]
    items = [
        {"pk": "resource#key#k#1", "sk": "share#d", "state": "open", "body": '{"opened_at": 1767603700}'},
        {"pk": "resource#key#k#1", "sk": "closed#d#1767603650", "at": 1767603650, "state": "closed", "body": "{}"},
    ]

    old, new = timeline_data.shares_of(items, steps)

    assert [one["steps"][0]["calls"][0]["request_id"] for one in (old, new)] == ["r-1767603600", "r-1767603700"]
    assert (old["open"], new["open"]) == (False, True)


def test_damaged_items_are_shown_as_far_as_they_can_be_read():
    """No content of the table makes the command fail; a time that is not known is a dash."""
    assert entries("no list", ["call", "call  x y z w"])[1]["calls"] == []
    (one,) = timeline_data.shares_of([{"pk": "resource#snapshot#x", "sk": "closed#d#", "body": "no json"}], [])
    assert (one["resource"], one["opened_at"], one["seconds"], one["steps"]) == ("snapshot#x", "-", None, [])
    assert timeline_data.tag_look('TagSeen {"val') == {}


def test_a_line_has_the_calls_of_its_own_event():
    """Each request id stands beside what its call has done."""
    steps = entries([MADE, "call CopySnapshot r-1", "SlotsAsked {}", "call CopySnapshot r-2 Throttled"])

    table = list(timeline_text.show(steps, [], "ami-1", everything=True, wide=False))[2]
    made, asked = (str(one) for one in table.columns[2].cells)

    assert ("r-1" in made, "r-2" in made) == (True, False)
    assert ("r-1" in asked, "r-2" in asked) == (False, True)


def test_a_step_that_says_nothing_is_left_out():
    """With --all it is a line, as what stands between workers is; what made a call is a line anyway."""
    compared = ['Compared {"value": "dev"}']
    steps = entries([MADE], [], compared, ["SlotsAsked {}"], ["SlotsAsked {}", "call SendMessage r-1"])

    for everything, shown in ((False, 3), (True, 5)):
        lines = list(timeline_text.show(steps, [], "ami-1", everything=everything, wide=False))
        assert lines[2].row_count == shown


def test_a_history_says_why_a_source_was_refused():
    """By the code of its fault; an examination without faults is left out."""
    refused = 'Examined {"faults": "(Fault(code=\'source-paravirtual\', where=\'x\'),)", "unfit": "True"}'
    steps = entries(["RefusedNotified {}"], [refused], ['Examined {"source": "golden"}'])

    table = list(timeline_text.show(steps, [], "ami-1", everything=False, wide=False))[2]

    said = "source examined: faults source-paravirtual, it cannot be promoted"
    assert [str(one) for one in table.columns[2].cells] == ["notice of the faults sent", said]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ('TagSeen {"value": "None"}', "no tag seen"),
        ('TagSeen {"value": "dev"}', "tag seen: value dev"),
        ('TagSeen {"value": "dev", "image_na', "tag seen: value dev"),
        ('Refused {"step": "Look", "fault": "a\\q", "x', "refused: step Look"),
        ('Compared {"value": "None"}', "compared with its deliveries"),
        ('Compared {"value": "dev", "missing": "True"}', "compared with its deliveries: value dev, some must begin"),
        ('Compared {"waves": "{\'dev/600/0/5c51\': WaveProgress(opens_at=0)}"}', "compared with its deliveries"),
        ('Sliced {"after": "begin:d1", "inputs": "9c1f"}', "deliveries begun"),
        ('CancelAsked {"why": "Withdrawn by jane.", "starting_point": "1"}', "asked to end: Withdrawn by jane."),
        ("Refused {\"fault\": \"Fault(code='no-role', where='x')\"}", "refused: fault no-role"),
        ("CopiesFound {\"copies\": \"{'snap-1': 'pending'}\"}", "looked in the target: copies snap-1: pending"),
        ('SnapshotsDeleted {"left": "(\'snap-1\',)"}', "snapshots deleted: still there snap-1"),
    ],
)
def test_an_event_is_shown_in_plain_words(event, said):
    """Without what says nothing to a person."""
    assert timeline_text.words(event) == said


def test_a_principal_is_named_in_full():
    """The short form of its ARN would not say whose role or session it was; other ids are shortened."""
    key = "arn:aws:kms:us-east-1:111111111111:key/5f238c1b-4cbd-417f-8510-4b24095f2731"
    who = "arn:aws:iam::111111111111:role/platform/operator-of-the-night"

    said = timeline_text.words(f'CancelAsked {{"by": "{who}", "key_arn": "{key}"}}')

    assert (who in said, key in said) == (True, False)


def test_the_history_of_an_account_names_each_ami():
    """Deliveries of several AMIs to one target are tables of their own."""
    step = {"at": AT, "state": "copying", "what": ["SharesSeen {}"]}
    steps = [
        one
        for ami in ("ami-1", "ami-2")
        for one in timeline_data.record_entries([step], "delivery", ami, "222222222222", "us-east-1")
    ]

    lines = [one for one in timeline_text.show(steps, [], "", everything=True, wide=False) if isinstance(one, str)]

    assert [one for one in lines if one] == [f"222222222222 us-east-1, {ami}:" for ami in ("ami-1", "ami-2")]


def test_no_member_of_an_event_is_shown_by_its_name_in_the_code():
    """Each has plain words, or says nothing to a person: found by the underscore that only code has."""
    events = {event for table in (OF_DELIVERIES, OF_PROMOTIONS) for row in table.values() for event in row}
    members = {member.name for event in events if is_dataclass(event) for member in fields(event)}

    shown = {name: timeline_text.words(f'TagSeen {{"{name}": "True"}}') for name in members}

    assert {name for name, said in shown.items() if "_" in said} == set()
