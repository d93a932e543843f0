"""The state machine of a promotion: what a tag may start, stop and never start."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import pace
from chalicelib.core.errors import IllegalEvent
from chalicelib.core.faults import Fault
from chalicelib.core.promotion import machine as m
from chalicelib.core.promotion.model import Child, Promotion, State

NOW = 1_800_000_000
FAULT = Fault("code", "where", "what.", "cure.")
DEV, PROD = "222222222222/us-east-1", "444444444444/us-east-1"
RUNNING_CHILD = Child("d1", "222222222222", "us-east-1", 1, "running")
ENDED_CHILD = replace(RUNNING_CHILD, state="delivered")


def a_promotion(state: State = State.REQUESTED, **changes: object) -> Promotion:
    """A promotion of one AMI to one target, in a state."""
    fresh = m.started("ami-0a", "111111111111", "us-east-1", NOW)
    value = None if state in (State.REQUESTED, State.RESOLVING) else "dev"
    places = () if value is None else (DEV,)
    return replace(fresh, state=state, value=value, places=places, plan="plan", **changes)  # type: ignore[arg-type]


EVENTS: tuple[m.Event, ...] = (
    m.TagSeen("dev", "available", "golden"),
    m.TagSeen("prod", "available", "golden"),
    m.TagSeen("dev", "pending", "golden"),
    m.TagSeen(None, "available", "golden"),
    m.TagSeen(None, None),
    m.TagSeen("dev", "available", "golden", ours=True),
    m.Examined("dev", (DEV,), "plan", "digest", (), retry=True),
    m.Examined("dev", (DEV,), "plan", "digest", (), retry=False),
    m.Examined("dev", (), "", "digest", (FAULT,), retry=False),
    m.Expanded(1),
    m.OthersCancelled(),
    m.Counted((RUNNING_CHILD,)),
    m.Counted(()),
    m.RefusedTold(),
    m.SummaryTold(),
    m.Hindered(FAULT),
    m.Paused(),
    m.DeadlinePassed(),
)


@pytest.mark.parametrize(
    ("state", "event"), list(product(State, EVENTS)), ids=lambda x: getattr(x, "value", None) or type(x).__name__
)
def test_every_pair_of_state_and_event_follows_the_table(state, event):
    """An event leads where the table says, or is illegal; it never leads anywhere else, and never raises otherwise."""
    row = m.TRANSITIONS[state]
    if type(event) not in row:
        with pytest.raises(IllegalEvent):
            m.absorb(a_promotion(state), event, NOW)
        return

    assert m.absorb(a_promotion(state), event, NOW).state in row[type(event)]


def test_each_kind_of_event_is_in_the_table_and_among_the_examples():
    """A new event must be given its rows, and an example here."""
    kinds = set(get_args(m.Event))

    assert {kind for row in m.TRANSITIONS.values() for kind in row} == kinds
    assert {type(event) for event in EVENTS} == kinds


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([0, 1, 40, 4000])), max_size=40))
def test_until_it_is_over_somebody_looks_again_and_finds_something_to_do(steps):
    """Whatever happens: a promotion that is not over has a due date, and then something is outstanding."""
    promotion, now = a_promotion(), NOW
    for pick, wait in steps:
        legal = [event for event in EVENTS if type(event) in m.TRANSITIONS[promotion.state]]
        promotion = m.absorb(promotion, legal[pick % len(legal)], now)
        now += wait
        if promotion.state is not State.OVER:
            assert promotion.due_at is not None
            when = max(promotion.due_at, now)
            assert m.outstanding(promotion, when) or m.heard(promotion, when)


def with_tag_event(promotion: Promotion, version: int = 1) -> Promotion:
    """The promotion with a tag event that nobody has heard yet."""
    return replace(promotion, hints={"tag": f"{version:012d}"})


def test_a_tag_leads_by_examination_to_deliveries():
    """Requested -> resolving -> expanding -> running, asking for one thing at a time."""
    promotion = with_tag_event(a_promotion())
    assert m.outstanding(promotion, NOW) == (m.LookAtTag(),)
    promotion = m.absorb(promotion, m.TagSeen("dev", "available", "golden"), NOW)
    assert m.outstanding(promotion, NOW) == (m.Examine("dev"),)
    promotion = m.absorb(promotion, m.Examined("dev", (DEV,), "plan", "digest", (), retry=True), NOW)
    assert m.outstanding(promotion, NOW) == (m.Expand("plan", 0),)
    promotion = m.absorb(promotion, m.Expanded(1), NOW)

    assert (promotion.state, promotion.value, promotion.episode) == (State.RUNNING, "dev", 1)


def test_an_image_of_our_own_never_triggers():
    """It bears our delivery tag: the promotion is over before anything is examined."""
    promotion = m.absorb(a_promotion(), m.TagSeen("dev", "available", "golden", ours=True), NOW)

    assert promotion.state is State.OVER
    assert m.outstanding(promotion, NOW + 10**6) == ()


def test_an_image_that_the_hub_does_not_own_is_left_alone_after_two_looks():
    """One look that does not show it may be stale."""
    once = m.absorb(a_promotion(), m.TagSeen(None, None), NOW)
    assert once.state is State.REQUESTED
    assert m.outstanding(once, NOW + pace.ABSENCE) == (m.LookAtTag(),)

    assert m.absorb(once, m.TagSeen(None, None), NOW + pace.ABSENCE).state is State.OVER


def test_a_pending_image_is_waited_for_and_its_event_shortens_the_wait():
    """Tagged while pending: polled, and looked at at once when EC2 says available."""
    waiting = m.absorb(with_tag_event(a_promotion()), m.TagSeen("dev", "pending", "golden"), NOW)
    assert m.outstanding(waiting, NOW) == ()
    assert m.outstanding(waiting, NOW + 60) == (m.LookAtTag(),)

    told = replace(waiting, hints={**waiting.hints, "image": "event"})
    assert m.outstanding(told, NOW) == (m.LookAtTag(),)


def test_a_repeated_tag_on_a_running_promotion_starts_nothing():
    """The same value again: it is looked whether a delivery failed, and what runs goes on."""
    running = with_tag_event(a_promotion(State.RUNNING), 2)
    looked = m.absorb(running, m.TagSeen("dev", "available", "golden"), NOW)
    assert m.outstanding(looked, NOW) == (m.Examine("dev"),)

    after = m.absorb(looked, m.Examined("dev", (DEV,), "plan", "digest", (), retry=False), NOW)
    assert (after.state, after.episode, after.cancelling) == (State.RUNNING, 0, False)
    assert after.hint("tag") is None


def test_a_value_with_a_fault_changes_nothing_and_is_told_once():
    """What runs goes on with its targets; the notice lists the faults; the same value again is not told again."""
    running = a_promotion(State.RUNNING)
    looked = m.absorb(with_tag_event(running, 2), m.TagSeen("dve", "available", "golden"), NOW)
    faulty = m.absorb(looked, m.Examined("dve", (), "", "digest", (FAULT,), retry=False), NOW)
    assert m.outstanding(faulty, NOW) == (m.TellRefused((FAULT,)),)

    told = m.absorb(faulty, m.RefusedTold(), NOW)
    assert (told.state, told.value, told.places) == (State.RUNNING, "dev", (DEV,))
    assert (told.faults, told.refused_value) == ((FAULT,), "dve")

    nudged = replace(told, hints={**told.hints, "seen": "minute"})
    looked = m.absorb(nudged, m.TagSeen("dve", "available", "golden"), NOW)
    again = m.absorb(looked, m.Examined("dve", (), "", "digest", (FAULT,), retry=False), NOW)
    assert not any(isinstance(command, m.TellRefused) for command in m.outstanding(again, NOW))

    looked = m.absorb(with_tag_event(told, 3), m.TagSeen("dve", "available", "golden"), NOW)
    anew = m.absorb(looked, m.Examined("dve", (), "", "digest", (FAULT,), retry=False), NOW)
    assert m.outstanding(anew, NOW) == (m.TellRefused((FAULT,)),)


def test_an_extended_value_adds_targets_and_cancels_none():
    """New targets join in a new episode."""
    looked = m.absorb(with_tag_event(a_promotion(State.RUNNING), 2), m.TagSeen("dev prod", "available", "golden"), NOW)
    after = m.absorb(looked, m.Examined("dev prod", (DEV, PROD), "plan", "digest", (), retry=True), NOW)

    assert (after.state, after.episode, after.cancelling) == (State.EXPANDING, 1, False)


def test_a_narrowed_value_cancels_what_was_dropped():
    """Running deliveries of targets that the value no longer names are asked to end."""
    running = replace(a_promotion(State.RUNNING), places=(DEV, PROD))
    looked = m.absorb(with_tag_event(running, 2), m.TagSeen("prod", "available", "golden"), NOW)
    after = m.absorb(looked, m.Examined("prod", (PROD,), "plan", "digest", (), retry=False), NOW)

    assert m.outstanding(after, NOW) == (m.CancelOthers(frozenset({PROD})),)


def test_a_removed_tag_cancels_all_but_only_after_two_looks():
    """Absence in an eventually consistent read is weak evidence."""
    once = m.absorb(with_tag_event(a_promotion(State.RUNNING), 2), m.TagSeen(None, "available", "golden"), NOW)
    assert not once.cancelling
    assert m.outstanding(once, NOW + pace.ABSENCE) == (m.LookAtTag(),)

    twice = m.absorb(once, m.TagSeen(None, "available", "golden"), NOW + pace.ABSENCE)
    assert m.outstanding(twice, NOW + pace.ABSENCE) == (m.CancelOthers(frozenset()),)


def test_a_tag_that_shows_again_was_never_gone():
    """The stale look is forgotten."""
    once = m.absorb(with_tag_event(a_promotion(State.RUNNING), 2), m.TagSeen(None, "available", "golden"), NOW)
    back = m.absorb(once, m.TagSeen("dev", "available", "golden"), NOW + pace.ABSENCE)

    assert (back.absent_since, back.cancelling, back.value) == (0, False, "dev")


def test_a_source_that_vanishes_does_not_stop_what_runs():
    """A running promotion goes on with what is already known."""
    once = m.absorb(a_promotion(State.RUNNING), m.TagSeen(None, None), NOW)
    twice = m.absorb(once, m.TagSeen(None, None), NOW + pace.ABSENCE)

    assert (twice.state, twice.cancelling, twice.value) == (State.RUNNING, False, "dev")


def test_tagged_again_when_over_is_examined_for_those_that_failed():
    """The same value on a new event: worth a look, because failed deliveries are tried again."""
    over = with_tag_event(a_promotion(State.OVER), 5)
    looked = m.absorb(over, m.TagSeen("dev", "available", "golden"), NOW)
    assert m.outstanding(looked, NOW) == (m.Examine("dev"),)

    nothing_failed = m.absorb(looked, m.Examined("dev", (DEV,), "plan", "digest", (), retry=False), NOW)
    assert nothing_failed.state is State.RUNNING
    some_failed = m.absorb(looked, m.Examined("dev", (DEV,), "plan", "digest", (), retry=True), NOW)
    assert (some_failed.state, some_failed.episode) == (State.EXPANDING, 1)


@pytest.mark.parametrize(("tagged", "looked"), [(NOW - 60, False), (NOW, False), (NOW + 1, True)])
def test_an_event_of_before_the_tag_was_read_is_no_new_one(tagged, looked):
    """Discovery found the tag, its targets failed, and a day later comes the tag's own event: nothing starts anew."""
    reading = m.absorb(a_promotion(), m.TagSeen("dev", "available", "golden"), NOW)
    over = replace(reading, state=State.OVER, value="dev", candidate=None, hints={"tag": m.tag_hint(5, tagged)})
    after = m.absorb(over, m.TagSeen("dev", "available", "golden"), NOW + 86_400)

    assert (after.state is State.RESOLVING) == looked


def test_a_late_event_of_before_the_baseline_moves_it():
    """It was tagged on a fresh hub, and discovery's first look overtook the event's wake: the tag counts."""
    baseline = replace(
        m.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW), hints={"tag": m.tag_hint(2, NOW - 60)}
    )

    assert m.absorb(baseline, m.TagSeen("dev", "available", "golden"), NOW + 60).state is State.RESOLVING


@pytest.mark.parametrize("state", [State.RUNNING, State.OVER])
def test_a_removed_tag_that_is_known_is_not_looked_for_again(state):
    """Two invocations at once see it gone: what one has believed is no first look for the other."""
    known = replace(a_promotion(state), value=None, places=())
    after = m.absorb(known, m.TagSeen(None, "available", "golden"), NOW)

    assert after.absent_since == 0


def test_a_nudge_of_discovery_with_the_same_value_starts_nothing():
    """Only a tag event reopens an episode with the same value."""
    over = replace(a_promotion(State.OVER), hints={"seen": "minute:dev"})
    after = m.absorb(over, m.TagSeen("dev", "available", "golden"), NOW)

    assert after.state is State.OVER


def test_the_baseline_moves_only_by_a_new_event():
    """What was tagged before the service first looked is not promoted by being looked at."""
    baseline = m.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW)

    assert m.outstanding(baseline, NOW + 10**9) == ()
    assert m.outstanding(with_tag_event(baseline), NOW) == (m.LookAtTag(),)


def test_a_thousand_targets_are_written_in_chunks_with_a_cursor():
    """No command writes more than a chunk, and the cursor says where to go on."""
    places = tuple(f"{n:012d}/us-east-1" for n in range(1000))
    promotion = replace(a_promotion(State.EXPANDING), places=places, cursor=0)
    chunks = []
    while promotion.state is State.EXPANDING:
        (command,) = m.outstanding(promotion, NOW)
        chunks.append(command.chunk)
        promotion = m.absorb(promotion, m.Expanded(m.CHUNK), NOW)

    assert chunks == list(range(1000 // m.CHUNK))


def test_running_counts_when_the_last_delivery_rings_and_polls_otherwise():
    """The marks are read at the ring; without one, after a growing while, and then the tag is looked at as well."""
    running = m.absorb(a_promotion(State.RUNNING), m.Counted((RUNNING_CHILD,)), NOW)
    assert m.outstanding(running, NOW) == ()
    assert m.outstanding(replace(running, hints={"ended": "d1:1"}), NOW) == (m.Count(),)

    for _ in range(3):
        running = m.absorb(running, m.Counted((RUNNING_CHILD,)), NOW)
    assert m.outstanding(running, NOW + pace.HOUR) == (m.LookAtTag(), m.Count())


def test_a_tag_put_back_before_the_cancelled_ones_ended_starts_them_anew():
    """The value in force names a target whose delivery was cancelled meanwhile: a new episode, not a silent gap."""
    running = a_promotion(State.RUNNING, episode=1)
    after = m.absorb(running, m.Counted((replace(ENDED_CHILD, state="cancelled"),)), NOW)
    assert (after.state, after.episode) == (State.EXPANDING, 2)

    dropped = replace(running, places=(PROD,))
    assert m.absorb(dropped, m.Counted((replace(ENDED_CHILD, state="cancelled"),)), NOW).state is State.RUNNING


def test_two_looks_within_a_second_are_one():
    """A tag removed and put back makes two events; both reads may be stale, so time must pass between them."""
    once = m.absorb(with_tag_event(a_promotion(State.RUNNING), 2), m.TagSeen(None, "available", "golden"), NOW)
    again = m.absorb(with_tag_event(once, 3), m.TagSeen(None, "available", "golden"), NOW + 1)

    assert not again.cancelling
    assert again.next_try == NOW + pace.ABSENCE


def test_a_refusal_is_waited_out_whatever_rings():
    """A throttled look is not repeated by every event that comes meanwhile."""
    hindered = m.absorb(with_tag_event(a_promotion(State.RUNNING), 2), m.Hindered(FAULT), NOW)

    assert m.outstanding(hindered, NOW + 4) == ()
    assert m.outstanding(hindered, NOW + 5) == (m.LookAtTag(),)
    assert hindered.due_at == NOW + 5


def test_what_was_failing_when_it_was_tagged_again_starts_anew_when_it_has_failed():
    """The tag came while it was still tidying up; nobody has to tag a third time."""
    expanding = replace(a_promotion(State.EXPANDING), episode=2)
    running = m.absorb(expanding, m.Expanded(1, ("d1",)), NOW)
    failed = replace(ENDED_CHILD, state="failed")
    assert m.absorb(running, m.Counted((failed,)), NOW).state is State.EXPANDING

    unasked = replace(running, reopen=())
    assert m.absorb(unasked, m.Counted((failed,)), NOW).state is State.RUNNING


def test_a_cancellation_that_waits_is_not_forgotten_by_a_new_value():
    """A B, then B, then B C before anything was cancelled: A must still be told."""
    pending = replace(a_promotion(State.RUNNING), places=(PROD,), cancelling=True)
    looked = m.absorb(with_tag_event(pending, 3), m.TagSeen("prod dev", "available", "golden"), NOW)
    after = m.absorb(looked, m.Examined("prod dev", (PROD, DEV), "plan", "digest", (), retry=True), NOW)

    assert after.cancelling


def test_an_image_that_stays_pending_for_a_day_is_told():
    """No promotion ends in silence."""
    waiting = m.absorb(with_tag_event(a_promotion()), m.TagSeen("dev", "pending", "golden"), NOW)
    late = NOW + m.PENDING_DEADLINE
    assert m.heard(waiting, late) == (m.DeadlinePassed(),)

    over = m.absorb(waiting, m.DeadlinePassed(), late)
    (command,) = m.outstanding(over, late)
    assert command.faults[0].code == "source-never-available"
    assert m.absorb(over, m.RefusedTold(), late).state is State.RUNNING


def test_a_pause_may_last_for_ever_without_a_deadline():
    """What was to begin is asked again every quarter of an hour, and does not fail as an operator took his time."""
    looked = m.absorb(with_tag_event(a_promotion()), m.TagSeen("dev", "available", "golden"), NOW)
    for quarter in range(200):
        now = NOW + quarter * 900
        assert m.heard(looked, now) == ()
        looked = m.absorb(looked, m.Paused(), now)
        assert m.outstanding(looked, now + 899) == ()
        assert m.outstanding(looked, now + 900) == (m.Examine("dev"),)
