"""The ledger's decisions: what opens, what closes, what stays, and what closes in any case."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import addresses, schedule
from chalicelib.engine.errors import IllegalEvent, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.sharing import grant_names, holders, machine, outstanding
from chalicelib.sharing.entitlement import SOURCE_GONE
from chalicelib.sharing.grant_names import grant_name
from chalicelib.sharing.machine import (
    GONE_NO_SOONER_THAN,
    LOOKS_APART,
    TRANSITIONS,
    Archived,
    ClosingIntended,
    FoundClosed,
    GivenUp,
    LookedAfter,
    OpeningIntended,
    PermissionRemoved,
    PutOff,
    SeenBefore,
    ShareClosed,
    ShareOpened,
    ShareRefused,
    evolve,
)
from chalicelib.sharing.share import Holding, Purpose, Share, ShareState
from chalicelib.sharing.store.ledger import least
from tests.fakes import copying, sharing

NOW, HOUR = 1_800_000_000, 3600
END = NOW + 25 * 3600
FAULT = Fault("code", "where", "what.", "cure.")
HOLDER = frozenset({copying("d1")})
LATER_HOLDER = frozenset({copying("d2")})


def a_share(state: ShareState = ShareState.WANTED, *, held: bool = True, **changes: object) -> Share:
    """One snapshot permission for one account."""
    base = Share("resource#snapshot#snap-0a", "222222222222", "222222222222", state=state, asked=1, last_closing_at=END)
    return replace(base, holdings=HOLDER if held else frozenset(), **changes)


shares = st.builds(
    a_share,
    st.sampled_from(ShareState),
    held=st.booleans(),
    preexisting=st.booleans(),
    next_try=st.integers(NOW - 5, NOW + 5),
    answered=st.integers(0, 1),
    last_closing_at=st.integers(NOW - 5, NOW + 5),
    closed_blind=st.booleans(),
)


@given(shares)
def test_a_share_opens_only_while_it_is_held_and_whatever_must_still_change_has_a_due_date(one):
    """Invariant 1 in the ledger: no share without a holding or past its end, and none to be opened and closed at once.

    An open share is due at its last closing time at the latest; a later opening or closing is due at its time.
    """
    assert not (outstanding.to_open([one], NOW) and outstanding.to_close([one], NOW))
    for opening in outstanding.to_open([one], NOW):
        assert opening.holdings
        assert opening.last_closing_at > NOW
    later = max(one.next_try, one.last_closing_at, NOW)
    if outstanding.to_open([one], later) or outstanding.to_close([one], later):
        assert outstanding.due_at([one], NOW) is not None


def test_a_share_closes_at_its_last_closing_time_though_held_and_its_holders_can_read_it():
    """A parked or damaged record must not keep a permission open."""
    overdue = a_share(ShareState.OPEN)
    assert outstanding.to_close([overdue], END) == [overdue]

    closed = evolve(evolve(overdue, ClosingIntended(), END), ShareClosed(), END)
    assert closed.closed_blind
    fault = holders.refusal(closed)
    assert fault is not None
    assert fault.code == "share-closed-at-its-end"
    assert not outstanding.to_open([closed], END)


def test_a_preexisting_permission_whose_closing_was_killed_is_closed_before_it_is_opened_for_who_came():
    """Opened at once it would count as the service's own, which the service then removes (invariant 2)."""
    closing = a_share(ShareState.CLOSING, preexisting=True)

    assert (outstanding.to_close([closing], NOW), outstanding.to_open([closing], NOW)) == ([closing], [])


def test_tries_of_an_opening_count_for_no_closing():
    """So many tries to close make an alarm, and on a target's own key a closing is given up."""
    opened = evolve(a_share(ShareState.OPENING, tries=9), ShareOpened(), NOW)

    assert (opened.state, opened.tries) == (ShareState.OPEN, 0)


def test_a_refused_share_is_tried_again_for_one_who_came_since_and_for_no_one_else():
    """Until the retry the old refusal is no answer to any holding; a released holding causes no retry."""
    refused = evolve(a_share(), ShareRefused(FAULT), NOW)
    assert not outstanding.to_open([refused], NOW)
    assert outstanding.due_at([refused], NOW) is None
    assert holders.refusal(refused) == FAULT

    later = replace(refused, holdings=HOLDER | LATER_HOLDER, asked=2)
    assert outstanding.to_open([later], NOW)
    assert holders.refusal(later) is None
    again = evolve(later, ShareRefused(FAULT), NOW)
    assert holders.refusal(again) == FAULT
    assert not outstanding.to_open([replace(again, holdings=LATER_HOLDER)], NOW)


def test_a_look_for_another_delivery_leaves_no_closing_to_wait_for():
    """`reconcile` keeps what it adds open for an hour; once a delivery has held it, its release closes it at once."""
    added = a_share(ShareState.OPEN, asked=0, opened_at=NOW, next_try=NOW + HOUR)
    held = replace(added, asked=1, holdings=frozenset({sharing("d1")}))
    looked = evolve(held, LookedAfter(showing=True), NOW + 600)

    released = replace(looked, holdings=frozenset())

    assert outstanding.to_close([released], NOW + 660) == [released]
    assert outstanding.due_at([released], NOW + 660) <= NOW + 660


@pytest.mark.parametrize(
    ("changes", "looked_at"),
    [
        ({}, True),
        ({"state": ShareState.CLOSING}, False),
        ({"asked": 1}, False),
        ({"opened_at": NOW - 299}, False),
        ({"preexisting": True}, False),
        ({"holdings": HOLDER | LATER_HOLDER}, False),
    ],
    ids=[
        "another delivery",
        "it closes",
        "nobody",
        "a grant may show late",
        "its owner's",
        "for copies",
    ],
)
def test_what_stands_is_looked_at_when_another_delivery_comes_to_hold_it(changes, looked_at):
    """Somebody may have removed it. A share for copies is open for hours, and what is another's is opened by nobody."""
    stands = {"asked": 2, "answered": 1, "opened_at": NOW - 300, "holdings": frozenset({sharing("d1"), sharing("d2")})}
    opened = replace(a_share(ShareState.OPEN), **{**stands, **changes})

    assert outstanding.to_look_at([opened], NOW) == ([opened] if looked_at else [])


def test_a_share_that_reconcile_recorded_as_open_and_then_finds_closed_opens_again_for_its_holder():
    """Its holding counts as answered, but only a share that was closed at its end waits for another holding."""
    closed = a_share(ShareState.CLOSED, answered=1)

    assert outstanding.to_open([closed], NOW) == [closed]
    assert outstanding.to_open([replace(closed, closed_blind=True)], NOW) == []


def test_a_nameless_permission_that_is_closing_opens_again_for_who_came():
    """It is added again at once, and not taken for preexisting. A refused, overdue or put off one closes first."""
    closing = a_share(ShareState.CLOSING, removed_at=NOW - 5, next_try=NOW + 55)
    assert outstanding.to_open([closing], NOW) == [closing]
    assert outstanding.to_close([closing], NOW) == []
    assert not evolve(closing, OpeningIntended(seen=False), NOW).preexisting

    for other in (
        {"closed_blind": True},
        {"fault": FAULT},
        {"last_closing_at": NOW},
        {"tries": 1},
    ):
        finishing = replace(closing, next_try=NOW, **other)
        assert outstanding.to_close([finishing], NOW) == [finishing]


def test_a_permission_that_one_look_shows_is_looked_at_again():
    """One stale answer must not make a share preexisting, which never closes."""
    assert machine.doubtful(a_share(), NOW)
    first = evolve(a_share(), SeenBefore(), NOW)
    assert not outstanding.to_open([first], NOW + 29)
    assert not machine.doubtful(first, NOW + 30)
    assert machine.doubtful(first, NOW + 86_400)


def test_a_grant_whose_id_was_never_received_is_not_believed_gone_for_five_minutes():
    """The grant is found by its name, and may show late."""
    unheard = replace(a_share(ShareState.CLOSING, intended_at=NOW), resource="resource#key#arn#1", grant_id="")

    assert machine.believable_from(unheard) == NOW + 300
    assert machine.believable_from(replace(unheard, grant_id="g")) == NOW + 30


def test_what_is_open_and_put_off_closes_at_once_when_nobody_holds_it():
    """It waits for the role's new name; `reconcile` lets a share without a holder wait for one."""
    open_one = a_share(ShareState.OPEN, held=False, answered=1, next_try=NOW)
    put_off = evolve(open_one, PutOff(), NOW)
    assert put_off.next_try > NOW
    assert outstanding.to_close([put_off], NOW) == [put_off]
    assert outstanding.due_at([put_off], NOW) == NOW
    assert outstanding.to_close([replace(open_one, next_try=NOW + 60)], NOW) == []


def test_an_ami_that_one_look_misses_is_looked_for_again_half_a_minute_later():
    """Not as soon as after a throttle: a look may be stale for a while (invariant 5)."""
    missed = evolve(a_share(), PutOff(replace(FAULT, code=SOURCE_GONE)), NOW)
    assert outstanding.to_open([missed], NOW + schedule.SECOND_LOOK_AFTER - 1) == []
    assert outstanding.to_open([missed], NOW + schedule.SECOND_LOOK_AFTER) == [missed]


def test_an_open_share_is_looked_at_every_hour():
    """So that its age is measured without any wake."""
    open_one = a_share(ShareState.OPEN, opened_at=NOW - 100)

    assert outstanding.due_at([open_one], NOW) == NOW + 3600
    assert outstanding.due_at([open_one], END - 10) == END
    assert holders.oldest_open([open_one], NOW) == 100
    assert holders.oldest_open([replace(open_one, preexisting=True)], NOW) is None


@pytest.mark.parametrize("purpose", Purpose)
def test_a_statement_that_is_to_name_another_role_is_tried_again_soon(purpose):
    """Where the file renames the role; after half an hour only if a delivery asks again."""
    holding = Holding("ami-0a", "222222222222", "us-east-1", "delivery", 1, purpose)
    statement = a_share(ShareState.OPEN, opened_at=NOW - 100, opened_to="old", grantee="new", next_try=NOW + 20)
    statement = replace(statement, resource=addresses.policy_resource("key").pk, holdings=frozenset({holding}))

    assert outstanding.due_at([statement], NOW) == NOW + 20
    assert outstanding.due_at([replace(statement, tries=outstanding.MOVES_SOON)], NOW) != NOW + 20


HUBS = addresses.role_resource("arn:aws:kms:us-east-1:111111111111:key/source", "222222222222").pk
OWN = addresses.role_resource("arn:aws:kms:us-east-1:222222222222:key/own", "222222222222").pk


@pytest.mark.parametrize(
    ("resource", "state", "why", "after", "accessible", "waits"),
    [
        (HUBS, ShareState.OPENING, RefusalKind.NOT_YET, schedule.NOT_YET_FOR, -NOW, True),
        (HUBS, ShareState.OPENING, RefusalKind.NOT_YET, schedule.NOT_YET_FOR + 1, -NOW, False),
        (HUBS, ShareState.OPENING, RefusalKind.NOT_YET, HOUR + schedule.NOT_YET_FOR, HOUR, True),
        (HUBS, ShareState.OPENING, RefusalKind.NOT_YET, HOUR + schedule.NOT_YET_FOR + 1, HOUR, False),
        (OWN, ShareState.OPENING, RefusalKind.ROLE, 24 * HOUR, -NOW, True),
        (HUBS, ShareState.OPENING, RefusalKind.DENIED, 0, HOUR, False),
        (HUBS, ShareState.WANTED, RefusalKind.NOT_YET, 0, HOUR, False),
        ("resource#snapshot#snap-0a", ShareState.OPENING, RefusalKind.NOT_YET, schedule.NOT_YET_FOR, -NOW, True),
        ("resource#snapshot#snap-0a", ShareState.OPENING, RefusalKind.NOT_YET, schedule.NOT_YET_FOR + 1, -NOW, False),
        ("resource#snapshot#snap-0a", ShareState.OPENING, RefusalKind.DENIED, 0, -NOW, False),
        ("resource#snapshot#snap-0a", ShareState.WANTED, RefusalKind.THROTTLED, 0, -NOW, True),
    ],
)
def test_an_opening_waits_for_what_may_become_true_late(resource, state, why, after, accessible, waits):
    """A missing role is waited for as long as the delivery waits; a snapshot, and access of a role, ten minutes."""
    one = replace(a_share(state, intended_at=NOW), resource=resource)

    assert machine.worth_waiting(one, why, NOW + after, NOW + accessible) is waits


@pytest.mark.parametrize(
    ("resource", "tries", "gone"),
    [(OWN, machine.GIVEN_UP_AFTER, True), (OWN, machine.GIVEN_UP_AFTER - 1, False), (HUBS, 10_000, False)],
)
def test_closing_is_given_up_on_a_targets_own_key_alone(resource, tries, gone):
    """A permission at the source is retried until it is closed."""
    closing = replace(a_share(ShareState.CLOSING, held=False, tries=tries), resource=resource)

    assert machine.gives_up(closing) is gone
    found = evolve(closing, GivenUp(FAULT), NOW)
    assert outstanding.to_archive([found], NOW) == [found]


def test_a_grants_name_is_one_that_kms_takes_and_says_whose_it_is():
    """Letters, digits and `:/_-` [aws-facts 3]; it contains the delivery's id unchanged, and the hub's Region."""
    role = a_share(share_name="autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_a.b@c", intended_at=NOW)
    name = grant_name(role, "us-east-1")

    assert re.fullmatch("[a-zA-Z0-9:/_-]{1,256}", name)
    assert grant_name(a_share(share_name="0a1b", intended_at=7), "us-east-1") == "ami-promoter:us-east-1:0a1b:7"
    assert grant_names.is_grant_of(name, "111111111111", "us-east-1")
    assert not grant_names.is_grant_of(name, "111111111111", "us-east-2")


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_state_has_a_row_and_only_what_is_archived_has_an_empty_one():
    """A share in the ledger can always change; an archived one cannot."""
    assert TRANSITIONS.keys() == set(ShareState)
    assert [state for state, row in TRANSITIONS.items() if not row] == [ShareState.ARCHIVED]


@pytest.mark.parametrize(("first", "second"), [(30, 120), (63, 123), (150, 210)], ids=["early", "in time", "late"])
def test_two_looks_a_minute_apart_and_two_minutes_after_the_removal_close_it(first, second):
    """The run of the sweep that is a minute after the first look has the second, and not the run after it.

    A first look that an event brings early makes the second no earlier.
    """
    looked = evolve(a_share(ShareState.CLOSING, removed_at=NOW), LookedAfter(showing=False), NOW + first)

    assert outstanding.due_at([looked], NOW + first) == NOW + second
    assert evolve(looked, LookedAfter(showing=False), NOW + second - 1).state is ShareState.CLOSING
    assert evolve(looked, LookedAfter(showing=False), NOW + second).state is ShareState.CLOSED


EVENTS = (
    PutOff(),
    PutOff(FAULT),
    SeenBefore(),
    OpeningIntended(),
    OpeningIntended(seen=True),
    ShareOpened(),
    ShareRefused(FAULT),
    ClosingIntended(),
    PermissionRemoved(),
    LookedAfter(showing=True),
    LookedAfter(showing=False),
    ShareClosed(),
    GivenUp(FAULT),
    FoundClosed(),
    Archived(),
)


@pytest.mark.parametrize("state", list(ShareState))
@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("gone_at", [None, NOW - LOOKS_APART])
def test_every_pair_of_state_and_event_follows_the_table(state, event, gone_at):
    """An event leads where the table says, or is illegal."""
    before = a_share(state, removed_at=NOW - GONE_NO_SOONER_THAN, gone_at=gone_at)
    if type(event) not in TRANSITIONS[state]:
        with pytest.raises(IllegalEvent, match=state.value):
            evolve(before, event, NOW)
        return

    assert evolve(before, event, NOW).state in TRANSITIONS[state][type(event)].leads_to


def test_each_kind_of_event_is_in_the_table_and_among_the_examples():
    """A new event needs its rows, and an example here."""
    assert {kind for row in TRANSITIONS.values() for kind in row} == {type(event) for event in EVENTS}


# --- holdings --------------------------------------------------------------------------------------------------------


def test_a_share_ends_with_the_last_of_its_holdings():
    """Copies end at the share's own last closing time (unknown: in the past), standing holdings at theirs, or never."""
    copies = a_share()
    assert holders.must_close_at(copies) == END
    assert holders.past_end(replace(copies, last_closing_at=0), 10)
    assert holders.must_close_at(replace(copies, holdings=HOLDER | {sharing("d2", until=END + 5)})) == END + 5
    assert holders.must_close_at(replace(copies, holdings=HOLDER | {sharing("d2")})) == 0
    assert holders.must_close_at(replace(copies, holdings=frozenset({sharing("d2", until=NOW)}))) == NOW


@pytest.mark.parametrize("changes", [{"held": False}, {"last_closing_at": NOW - 1}])
def test_an_opening_that_nobody_needs_closes_without_waiting_for_its_next_try(changes):
    """The next try is the opening's; an earlier call may have taken effect."""
    one = a_share(ShareState.OPENING, next_try=NOW + 320, **changes)

    assert outstanding.to_close([one], NOW) == [one]
    assert outstanding.due_at([one], NOW) <= NOW


def test_an_opening_that_is_needed_waits_for_its_next_try():
    """Or for its end, if that is earlier."""
    one = a_share(ShareState.OPENING, next_try=NOW + 320)

    assert (outstanding.to_close([one], NOW), outstanding.due_at([one], NOW)) == ([], NOW + 320)
    assert outstanding.due_at([replace(one, last_closing_at=NOW + 5)], NOW) == NOW + 5


def test_a_damaged_share_may_show_whatever_look_its_body_remembers():
    """Its state says that it was opened since: only a look after the next removal says that it is gone."""
    body = Share("resource#snapshot#snap-0a", "222222222222", "222222222222", state=ShareState.CLOSED, gone_at=NOW)
    item = {"pk": body.resource, "sk": body.key.sk, "state": "open", "intended_at": NOW}

    assert holders.may_show(least(item, "here", ValueError("its parts differ"), body))
