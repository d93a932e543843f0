"""Exposure from the ledger's records: an interval is never shorter than the time in which a permission existed."""

import pytest

from ami_promoter.report_page.exposure import Exposure, exposures
from ami_promoter.report_page.model import spans
from ami_promoter.report_page.parts import most_open
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.sharing.share import Share, ShareState
from tests.ami_promoter.report_page.many import record, sorted_by_kind, step

PK, ACCOUNT = "resource#snapshot#snap-1", "222222222222"


def found(*records):
    """The (state, start, end, sure) of the intervals computed from these records."""
    return [(one.state, one.start, one.end, one.sure) for one in of(*records)]


def of(*records):
    return exposures(sorted_by_kind(records))


def share(state, **members):
    made = Share(PK, ACCOUNT, ACCOUNT, state=state, **members)
    own = {"state": state.value, "account": ACCOUNT, "version": 1}
    own |= {name: getattr(made, name) for name in ("preexisting", "intended_at", "grant_id")}
    return record(PK, f"share#{ACCOUNT}", made, **own)


def archive(at, **members):
    made = Share(PK, ACCOUNT, ACCOUNT, state=ShareState.ARCHIVED, **members)
    return record(PK, f"closed#{ACCOUNT}#{at:010d}", made, account=ACCOUNT, at=at, preexisting=made.preexisting)


def steps(*of):
    """Build the history entries of a share."""
    for version, (at, state) in enumerate(of):
        yield step(PK, f"share#{ACCOUNT}#{at:010d}#", version, at, state)


OPENED = {"intended_at": 10, "opened_at": 11}
GONE = {"removed_at": 50, "closed_at": 200}


@pytest.mark.parametrize(
    ("records", "intervals"),
    [
        ([share(ShareState.WANTED)], []),
        ([share(ShareState.REFUSED)], []),
        ([share(ShareState.OPENING, intended_at=10)], [("opening", 10, None, False)]),
        ([share(ShareState.OPEN, **OPENED)], [("open", 11, None, True)]),
        ([share(ShareState.CLOSING, **OPENED)], [("closing", 11, None, True)]),
        ([share(ShareState.CLOSING, **OPENED, removed_at=50)], [("closing", 11, None, True)]),
        ([share(ShareState.CLOSED, **OPENED, **GONE)], [("closed", 11, 50, True)]),
        ([share(ShareState.REFUSED, intended_at=10, closed_at=60)], [("closed", 10, 60, False)]),
        ([archive(210, **OPENED, **GONE)], [("closed", 11, 50, True)]),
        ([archive(210, **OPENED, closed_at=60)], [("closed", 11, 60, True)]),
        ([archive(210)], []),
        ([share(ShareState.WANTED, intended_at=10)], []),
        ([share(ShareState.CLOSED, closed_at=60)], []),
        ([archive(210, opened_at=11, closed_at=60, preexisting=True)], [("left open", 11, None, True)]),
        ([record(PK, f"share#{ACCOUNT}", state="open", body="{")], [("unreadable", None, None, False)]),
        ([record(PK, f"share#{ACCOUNT}", state="ajar", body="[]")], [("unreadable", None, None, False)]),
    ],
)
def test_what_each_state_says(records, intervals):
    """An intent may have taken effect; a closing or damaged share may be open."""
    assert found(*records) == intervals


def test_two_times_of_one_account():
    """Each has a row; the open one comes first."""
    now = share(ShareState.OPEN, intended_at=300, opened_at=301)

    assert found(archive(210, **OPENED, **GONE), now) == [("open", 301, None, True), ("closed", 11, 50, True)]


def test_the_history_of_a_share_is_no_second_time():
    """The archive has the exact end; it was closed before the looks that agreed."""
    happened = steps((10, "opening"), (11, "open"), (50, "closing"), (200, "closed"))

    assert found(archive(210, **OPENED, **GONE), *happened) == [("closed", 11, 50, True)]


def test_a_permission_that_was_added_again_has_been_open_since_the_first_time():
    """The item has the second opening only; it is unknown whether the permission was gone in between."""
    again = share(ShareState.OPEN, intended_at=90, opened_at=91)
    happened = steps((10, "opening"), (11, "open"), (50, "closing"), (90, "opening"), (91, "open"))

    assert found(again, *happened) == [("open", 11, None, True)]


def test_a_time_that_only_the_history_knows():
    """The same item was closed and opened again before it was archived, or another was written over its archive."""
    again = share(ShareState.OPEN, intended_at=300, opened_at=301)
    first = ((10, "opening"), (11, "open"), (50, "closing"), (200, "closed"))
    expected = [("open", 301, None, True), ("closed", 11, 200, False)]

    assert found(again, *steps(*first, (300, "opening"), (301, "open"))) == expected
    assert found(*steps((10, "opening"), (60, "refused"))) == []
    later = steps((300, "opening"), (301, "open"), (400, "closed"))
    assert found(archive(210, **OPENED, **GONE), *later) == [("closed", 301, 400, False), ("closed", 11, 50, True)]


def test_a_permission_whose_entry_was_lost_may_be_open():
    """By its history it was opened, or was to be, and nothing says that it was closed."""
    assert found(*steps((10, "opening"), (11, "open"))) == [("unreadable", 11, None, False)]
    assert found(*steps((10, "opening"))) == [("unreadable", 10, None, False)]


def test_an_answer_that_came_long_after_the_intent_may_not_be_the_first():
    """A run was killed around its call, and another repeated it an hour later: open since the intent, perhaps."""
    late = {"intended_at": 10, "opened_at": 3600}
    assert found(share(ShareState.OPEN, **late)) == [("open", 10, None, False)]
    assert found(archive(9000, **late, removed_at=8000)) == [("closed", 10, 8000, False)]
    assert found(*steps((10, "opening"), (3600, "open"), (8000, "closing"), (8200, "closed"))) == [
        ("closed", 10, 8200, False)
    ]


def test_a_key_policys_statement_is_of_its_account():
    """Also if only the history has it: the statement's name is longer there."""
    policy = "resource#policy#arn:aws:kms:us-east-1:111111111111:key/k"
    happened = [
        step(policy, f"share#{ACCOUNT}-copies#{at:010d}#", at, at, state)
        for at, state in ((10, "opening"), (11, "open"), (50, "closing"), (60, "closed"))
    ]
    assert [one.account for one in of(*happened)] == [ACCOUNT]


def test_a_unit_whose_permission_only_the_history_has_is_named_in_full():
    """Its name is its ARN, in which dashes separate nothing."""
    unit = "arn:aws:organizations::111111111111:ou/o-a1b2/ou-c3d4-e5f6"
    happened = [step("resource#image#ami-1", f"share#{unit}#0000000011#", 1, 11, "open")]

    assert [(one.account, one.amis) for one in of(*happened)] == [(unit, ("ami-1",))]


def test_an_open_permission_says_what_ends_it():
    """Also where that is not known."""
    left = archive(210, opened_at=11, closed_at=60, preexisting=True)
    damaged = record(PK, f"share#{ACCOUNT}", state="open", body="{")
    lost = step(PK, f"share#{ACCOUNT}#0000000011#", 1, 11, "open")
    released, closing = share(ShareState.OPEN, **OPENED), share(ShareState.CLOSING, **OPENED)

    assert [of(one)[0].closes for one in (left, damaged, lost, released, closing)] == [
        "existed before the service, stays",
        "not known: its record is damaged",
        "not known: its record is lost",
        "when no longer needed",
        "when two reads show it closed",
    ]


def test_a_grant_that_closes_says_for_which_ami_it_was_open():
    """No delivery holds it any more, but its name begins with the one for which it was made."""
    delivery = "0123456789abcdef0123"
    key, name = f"resource#key#arn:aws:kms:us-east-1:111111111111:key/k#{ACCOUNT}", f"{delivery}-AmiCopyRole"
    closing = Share(key, name, ACCOUNT, state=ShareState.CLOSING, **OPENED)
    records = [
        record(
            "promotion#ami-1", f"delivery#{delivery}", TrackedDelivery(delivery, ACCOUNT, "us-east-1", 1, "running")
        ),
        record(key, f"share#{name}", closing, state="closing", account=ACCOUNT),
    ]

    assert [one.amis for one in of(*records)] == [("ami-1",)]
    assert [one.account for one in of(step(key, f"share#{name}#0000000011#", 1, 11, "open"))] == [ACCOUNT]


def test_a_grant_on_a_targets_own_key_exposes_nothing():
    """The page does not list it."""
    key = f"resource#role#arn:aws:kms:us-east-1:{ACCOUNT}:key/k#{ACCOUNT}"
    made = Share(key, "role", ACCOUNT, state=ShareState.OPEN, opened_at=11)

    assert found(record(key, "share#role", made, state="open", account=ACCOUNT)) == []
    assert found(step(key, "share#role#0000000011#", 1, 11, "open")) == []


def test_how_many_were_open_at_once():
    """The most in each column, also for shorter times."""

    def one(start, end):
        return Exposure("snapshot", "snap-1", ACCOUNT, "", "closed", start, end)

    assert most_open([one(0, 50), one(10, 12), one(40, None), one(None, 5)], 0, 100, 4) == [2, 2, 2, 1]
    assert most_open([], 0, 100, 4) == [0, 0, 0, 0]


def test_a_timeline_is_of_the_last_episode():
    """A retry starts a new timeline; steps in the same state are one span; an ended state has no length."""
    first = [(0, "requested"), (1, "awaiting-role"), (600, "tidying"), (601, "failed")]
    second = [(700, "requested"), (701, "copying"), (730, "copying"), (800, "delivered")]
    expected = [("requested", 700, 701), ("copying", 701, 800), ("delivered", 800, 800)]

    assert [(one.state, one.start, one.end) for one in spans([*first, *second])] == expected
    assert [one.end for one in spans(first[:2])] == [1, None]
    assert spans([]) == []
