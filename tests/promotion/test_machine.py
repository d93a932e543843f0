"""The state machine of a promotion: what a tag starts, stops, and never starts."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine import schedule
from chalicelib.engine.errors import IllegalEvent
from chalicelib.engine.faults import MOST_FAULTS, Fault
from chalicelib.engine.wakes import TagEntry
from chalicelib.promotion import commands as do
from chalicelib.promotion import events as ev
from chalicelib.promotion import evolving, machine
from chalicelib.promotion.head import head
from chalicelib.promotion.machine import TRANSITIONS, evolve, outstanding
from chalicelib.promotion.model import (
    BEGIN,
    END,
    EXAMINE,
    NO_PASS,
    WAKE,
    Cursor,
    Promotion,
    PromotionState,
)

NOW = 1_800_000_000
LATER = NOW + schedule.SECOND_LOOK_AFTER
FAULT, OTHER = Fault("code", "where", "what.", "cure."), Fault("other", "where", "what.", "cure.")
TAG = ev.TagSeen("dev", "available", "golden")
UNTAGGED = ev.TagSeen(None, "available", "golden")
S = PromotionState


def a_promotion(state: PromotionState = S.REQUESTED, **changes: object) -> Promotion:
    """A promotion in a state; from ``comparing`` on its tag was seen, from ``adjusting`` on its value is in force."""
    fresh = evolving.started("ami-0a", "111111111111", "us-east-1", NOW)
    known: dict[str, object] = {}
    if state is not S.REQUESTED:
        known |= {"seen_value": "dev", "seen_since": NOW, "looked_at": NOW, "generation": 1}
    if state not in (S.REQUESTED, S.COMPARING):
        known |= {"value": "dev", "file": "digest", "inputs": "inputs", "valid_generation": 1}
    known |= {"cursor": EXAMINE} if state is S.ADJUSTING else {}
    known |= {"passed_generation": 1} if state in (S.RUNNING, S.OVER) else {}
    return replace(fresh, state=state, **(known | changes))


MISSED = {"seen_value": None} | dict.fromkeys(("seen_since", "looked_at"), NOW - schedule.SECOND_LOOK_AFTER)
"""Of a promotion whose last look, half a minute ago, was the first that missed the tag."""


def compared(value: str | None = "dev", inputs: str = "inputs", **how: object) -> ev.Compared:
    """The event of a comparison for a value that is understood."""
    return ev.Compared(value, inputs=inputs, file="digest", **how)


def refused(value: str, in_force: str | None = "dev", **how: object) -> ev.Compared:
    """The event of a comparison for a value that is refused."""
    return compared(in_force, f"refused {value}", refused=value, faults=(FAULT,), **how)


def answered(promotion: Promotion, event: ev.Event) -> ev.Event:
    """The event as the executor returns it for this record."""
    inbox = promotion.inbox
    match event:
        case ev.TagSeen():
            answers = {name: inbox[name] for name in machine.NEWS if name in inbox}
            return replace(event, answers=answers, starting_point=promotion.starting_point)
        case ev.Compared():
            answers = {name: inbox[name] for name in [machine.WITHDRAW] if name in inbox}
            return replace(
                event, answers=answers, starting_point=promotion.starting_point, pass_reached=promotion.pass_reached
            )
        case ev.Paused() | ev.NotExecuted(look=False):
            return replace(event, pass_reached=promotion.pass_reached)
        case ev.Examined():
            return replace(event, inputs=promotion.inputs, generation=promotion.generation)
        case ev.Sliced():
            return replace(event, inputs=promotion.inputs, after=promotion.cursor)
    return event


def play(promotion: Promotion, *events: ev.Event, now: int = NOW) -> Promotion:
    """The promotion after these events at one time, each the result of a command for the record as it was."""
    for event in events:
        promotion = evolve(promotion, answered(promotion, event), now)
    return promotion


def with_tag_event(promotion: Promotion, version: int = 1) -> Promotion:
    return replace(promotion, inbox={**promotion.inbox, "tag": f"{version:012d}"})


def sliced(cursor: Cursor = NO_PASS, **how: object) -> ev.Sliced:
    """The event of a slice; ``answered`` fills in from where it went on."""
    return ev.Sliced("", NO_PASS, cursor, **how)


EVENTS: tuple[ev.Event, ...] = (
    TAG,
    ev.TagSeen("prod", "available", "golden"),
    ev.TagSeen("dev", "pending", "golden"),
    ev.TagSeen("dev", "disabled", "golden"),
    UNTAGGED,
    ev.TagSeen(None, None),
    ev.TagSeen("dev", "available", "golden", own=True),
    compared(summarised=True),
    compared(running=True),
    compared(missing=True),
    compared(surplus=True),
    compared(surplus=True, unbelieved=True),
    compared(unbelieved=True),
    compared(surplus=True, missing=True, running=True),
    compared(inputs="others", missing=True),
    compared(faults=(OTHER,)),
    compared(None, "none", summarised=True),
    refused("dve"),
    ev.Examined(source="s"),
    ev.Examined((FAULT,), unfit=True),
    ev.Examined((FAULT,), unfit=True, partial=True),
    sliced(),
    sliced(standing=True, newest=1),
    sliced(replace(END, after="d1")),
    sliced(BEGIN),
    sliced(replace(BEGIN, after="d1")),
    ev.RefusedNotified("other"),
    compared(running=True, waves={"dev/0/0": WaveProgress(NOW)}),
    compared(running=True, awaited=True, waves={"dev/0/0": WaveProgress()}),
    ev.NotExecuted(FAULT),
    ev.NotExecuted(FAULT, look=True),
    ev.Paused(),
)


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("state", S)
def test_every_pair_of_state_and_event_follows_the_table(state, stale):
    """An event leads where the table says, or is illegal; it never leads elsewhere and raises nothing else."""
    row, before = TRANSITIONS[state], a_promotion(state)
    for event in EVENTS:
        result = event if stale else answered(before, event)
        try:
            after = evolve(before, result, NOW)
        except IllegalEvent:
            assert type(event) not in row, event
        else:
            assert type(event) in row, event
            assert after.state in row[type(event)].leads_to, event


def test_each_kind_of_event_is_in_the_table_and_among_the_examples():
    """A new event needs its rows, and an example here."""
    kinds = set(get_args(ev.Event))

    assert {kind for row in TRANSITIONS.values() for kind in row} == kinds
    assert {type(event) for event in EVENTS} == kinds


ENTRIES = [{}, {"tag": "000000000001"}, {"withdraw": "1"}, {"retry": "1:"}, {"retry": "2:222222222222"}]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 199),
            st.sampled_from([0, 1, 40, 4000, 90_000]),
            st.booleans(),
            st.sampled_from(ENTRIES),
        ),
        max_size=40,
    )
)
def test_until_it_is_over_somebody_looks_again_and_finds_something_to_do(steps):
    """In any history: a promotion that is not over, or has news, has a due time, and then a command is outstanding."""
    promotion, now = a_promotion(), NOW
    for number, (pick, wait, stale, entry) in enumerate(steps):
        promotion = replace(promotion, inbox={**promotion.inbox, **{name: f"{v}{number}" for name, v in entry.items()}})
        legal = [event for event in EVENTS if type(event) in TRANSITIONS[promotion.state]]
        event = legal[pick % len(legal)]
        promotion = evolve(promotion, event if stale else answered(promotion, event), now)
        now += wait
        if promotion.state is not S.OVER or machine.has_news(promotion):
            assert machine.due_at(promotion) is not None
            assert outstanding(promotion, max(machine.due_at(promotion), now))


# --- results that meet a record which has moved on -------------------------------------------------------------------


SHOWS_PROD = ev.TagSeen("prod", "available", "golden")


@pytest.mark.parametrize("event", [UNTAGGED, compared(surplus=True), compared(summarised=True), refused("dve")])
@pytest.mark.parametrize(
    "moved",
    [
        {"seen_value": "prod"},
        {"value": "prod"},
        {"generation": 2},
        {"retries": {"222222222222": 2}},
        {"gone_generation": 1},
        {"seen_value": None},
        {"refused_value": "dve"},
    ],
    ids=str,
)
def test_a_look_or_a_comparison_of_before_another_result_changes_nothing(event, moved):
    """Two invocations read the record; the second one's result meets what the first one has written."""
    before = a_promotion(S.RUNNING)
    after = replace(before, **moved)

    assert evolve(after, answered(before, event), LATER) == after


@pytest.mark.parametrize(
    "event",
    [
        ev.Examined(source="s"),
        ev.Examined((FAULT,), unfit=True),
        sliced(),
        ev.Paused(),
        ev.NotExecuted(FAULT),
        ev.NotExecuted(FAULT, later=True),
        compared(missing=True),
        compared(running=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("moved", [{"inputs": "others"}, {"cursor": END}, {"cursor": NO_PASS}], ids=str)
def test_a_result_for_other_inputs_or_of_another_cursor_changes_nothing(event, moved):
    """The record was compared again meanwhile, for another value, or as an operator withdrew an account."""
    before = a_promotion(S.ADJUSTING)
    after = replace(before, **moved)

    assert evolve(after, answered(before, event), NOW) == after


@pytest.mark.parametrize("name", machine.NEWS)
def test_an_entry_that_comes_after_a_look_asks_for_another(name):
    """Its result meets a record with one more entry, which nobody has read."""
    before = a_promotion(S.RUNNING, inbox={name: "1"})
    look = answered(before, TAG)
    after = evolve(replace(before, inbox={name: "2"}), look, NOW)

    assert after.unread(name) == "2"
    assert outstanding(after, NOW) == (do.LookAtTag(),)
    assert machine.due_at(after) <= NOW


# --- removals wait for nothing ---------------------------------------------------------------------------------------


NARROWED = compared("prod", "narrower", surplus=True)


def test_a_value_that_names_fewer_counts_after_two_looks():
    """The first look may be a stale one: nobody is asked to end before another shows the same."""
    narrowed = compared(unbelieved=True)
    once = play(with_tag_event(a_promotion(S.RUNNING), 2), SHOWS_PROD, narrowed)
    assert (once.value, outstanding(once, NOW), outstanding(once, LATER)) == ("dev", (), (do.LookAtTag(),))
    twice = play(once, SHOWS_PROD, NARROWED, now=LATER)

    assert outstanding(twice, LATER) == (do.Slice(END),)


@pytest.mark.parametrize(
    ("state", "trouble"),
    [(S.ADJUSTING, ev.Paused()), *((state, ev.NotExecuted(FAULT)) for state in (S.COMPARING, S.ADJUSTING, S.RUNNING))],
)
def test_a_tag_event_is_looked_at_while_additions_are_held_back(state, trouble):
    """The tag is narrowed again while new promotions are paused, or SNS fails: it is read at once."""
    kept_back = play(a_promotion(state), trouble)

    assert outstanding(with_tag_event(kept_back, 3), NOW) == (do.LookAtTag(),)


@pytest.mark.parametrize(
    "trouble", [ev.Paused(), ev.Examined((FAULT,), unfit=True, partial=True), ev.NotExecuted(FAULT, later=True)]
)
def test_a_withdrawal_is_compared_at_once_while_additions_are_held_back(trouble):
    """What the operator has withdrawn ends, whatever delays what is missing."""
    held = play(a_promotion(S.ADJUSTING), trouble)
    assert outstanding(held, NOW) == ()
    asked = replace(held, inbox={"withdraw": "1"})

    assert (outstanding(asked, NOW), machine.due_at(asked) <= NOW) == ((do.Compare(),), True)


def test_a_withdrawal_that_comes_after_a_comparison_asks_for_another():
    """An operator withdraws A, then B, and B's entry arrives between the read and the write."""
    before = a_promotion(S.RUNNING, inbox={"withdraw": "1"})
    first = answered(before, compared(inputs="without A", surplus=True))
    after = play(evolve(replace(before, inbox={"withdraw": "2"}), first, NOW), sliced())

    assert outstanding(after, NOW) == (do.Compare(),)


def test_a_file_that_names_fewer_is_compared_while_sns_refuses_the_notice_of_a_fault():
    """No removal waits for a notice, nor a notice for a comparison that is refused."""
    refuses = play(a_promotion(S.RUNNING), compared(running=True, faults=(OTHER,)))
    refuses = play(refuses, ev.NotExecuted(FAULT, later=True), now=NOW + 60)
    looked = play(replace(refuses, inbox={"file": "new"}), TAG, now=NOW + 61)
    assert outstanding(looked, NOW + 61) == (do.Compare(), do.NotifyRefused())

    found = compared(inputs="of the new file", surplus=True, faults=(OTHER,))
    assert outstanding(play(looked, found, now=NOW + 61), NOW + 61) == (do.Slice(END),)


@pytest.mark.parametrize("entry", [{}, {"tag": "000000000009"}, {"withdraw": "1"}])
def test_a_removal_that_is_refused_is_due_when_it_is_tried_again(entry):
    """News meanwhile makes it due no earlier: nothing could be done then. It waits for no look, which follows it."""
    part = replace(a_promotion(S.ADJUSTING, cursor=END), inbox=entry)
    refuses = play(part, ev.NotExecuted(FAULT, later=True))

    assert machine.due_at(refuses) == refuses.next_try > NOW
    assert outstanding(refuses, machine.due_at(refuses)) == (do.Slice(END), do.LookAtTag())
    in_vain = play(refuses, ev.NotExecuted(FAULT, look=True), now=machine.due_at(refuses))
    assert outstanding(in_vain, machine.due_at(refuses)) == (do.Slice(END),)


def test_other_inputs_start_the_removal_from_the_beginning():
    """They may remove accounts that the earlier slice has skipped."""
    part = play(a_promotion(S.ADJUSTING, cursor=END), sliced(replace(END, after="d0500")))
    looked = play(with_tag_event(part), SHOWS_PROD)
    assert outstanding(part, NOW) == (do.Slice(replace(END, after="d0500")),)

    assert outstanding(play(looked, NARROWED), NOW) == (do.Slice(END),)
    assert outstanding(play(part, NARROWED), NOW) == (do.Slice(END),), "also without a look"


def test_a_removal_that_a_look_interrupts_goes_on_at_once_though_the_inputs_are_the_same():
    """A new file that changes nothing for this AMI: some deliveries have not been asked to end yet."""
    part = play(a_promotion(S.ADJUSTING, cursor=END), sliced(replace(END, after="d0500")))
    looked = play(replace(part, inbox={"file": "1"}), TAG)
    assert outstanding(looked, NOW) == (do.Compare(),)

    assert outstanding(play(looked, compared(inputs=part.inputs, surplus=True)), NOW) == (do.Slice(END),)


@pytest.mark.parametrize("last", [END, BEGIN])
def test_a_pass_ends_with_the_waking_of_what_waits_for_a_wave_that_opens(last):
    """Also if news interrupts it, the source has faults, or a delivery does not end; then a comparison follows."""
    opens = {"waves": {"dev/0/0": WaveProgress(NOW)}}
    waking = play(a_promotion(S.ADJUSTING, cursor=last, **opens), sliced())
    assert outstanding(waking, NOW) == (do.Slice(WAKE),)
    assert outstanding(play(waking, sliced()), NOW) == (do.Compare(),)

    again = play(waking, sliced(replace(WAKE, after="a20")), compared(running=True, **opens))
    assert outstanding(again, NOW) == (do.Slice(WAKE),)
    unfit = play(a_promotion(S.ADJUSTING, **opens), ev.Examined((FAULT,), unfit=True))
    compares = play(unfit, ev.RefusedNotified(unfit.faulty), compared(running=True, missing=True, **opens))
    assert outstanding(compares, NOW) == (do.Slice(WAKE),)
    asked = play(a_promotion(S.RUNNING, tries=3), compared(running=True, surplus=True, **opens))
    assert outstanding(asked, NOW) == (do.Slice(WAKE),)
    ends = play(a_promotion(S.RUNNING), compared(inputs="of the new file", running=True, surplus=True, **opens))
    throttled = play(ends, *[ev.NotExecuted(FAULT, later=True)] * 4, sliced())
    assert outstanding(throttled, NOW) == (do.Slice(WAKE),)


def test_an_account_that_the_file_adds_while_what_waits_is_woken_waits_for_a_tag_event():
    """All that the last tag event has asked for has begun before: a wave opens, and nothing is missing."""
    opens = {"waves": {"dev/0/0": WaveProgress(NOW)}}
    tagged = play(with_tag_event(a_promotion(S.RUNNING)), TAG, compared(inputs="of the tag", running=True, **opens))
    assert outstanding(tagged, NOW) == (do.Slice(WAKE),)
    assert tagged.passed_generation == tagged.newest > 1


def test_a_record_keeps_some_of_a_thousand_faults():
    """All would not fit; people are notified again if any that the notice lists changes, or how many there are."""
    many = tuple(replace(FAULT, where=f"account {number}") for number in range(1000))
    found = play(a_promotion(S.COMPARING), compared(missing=True, faults=many))
    assert len(found.faults) == MOST_FAULTS
    assert found.faults[:-1] == many[: MOST_FAULTS - 1]
    assert "981 more faults" in str(found.faults[-1])

    notified = play(found, ev.RefusedNotified(found.faulty))
    assert not play(notified, compared(missing=True, faults=many)).unnotified
    assert play(notified, compared(missing=True, faults=many[:-1])).unnotified
    assert play(notified, compared(missing=True, faults=(*many[1:], FAULT))).unnotified


# --- the tag ---------------------------------------------------------------------------------------------------------


def test_an_image_that_the_hub_does_not_own_is_left_alone_after_two_looks():
    """One look that does not show it may be stale."""
    once = play(a_promotion(), ev.TagSeen(None, None))
    assert once.state is S.REQUESTED
    assert outstanding(once, LATER) == (do.LookAtTag(),)

    assert play(once, ev.TagSeen(None, None), now=LATER).state is S.OVER


def test_a_pending_image_is_waited_for_and_its_event_shortens_the_wait():
    """The service polls a pending AMI, and looks at once when EC2 reports it available."""
    waiting = play(with_tag_event(a_promotion()), ev.TagSeen("dev", "pending", "golden"))
    assert outstanding(waiting, NOW) == ()
    assert outstanding(waiting, NOW + 60) == (do.LookAtTag(),)

    reported = replace(waiting, inbox={**waiting.inbox, "image": "event"})
    assert outstanding(reported, NOW) == (do.LookAtTag(),)


def test_a_source_that_shows_again_while_copies_run_is_promoted_on():
    """What could not begin, or failed meanwhile, begins at once, and not after the copies that run."""
    missed = ev.TagSeen(None, None)
    gone = play(play(a_promotion(S.RUNNING), missed), missed, compared(inputs="gone", running=True), now=LATER)
    back = play(gone, TAG, now=LATER + 600)

    assert (back.state, back.is_gone, back.generation > back.passed_generation) == (S.COMPARING, False, True)


def test_a_source_that_shows_again_after_the_end_is_promoted_on():
    """It was restored after the last look, which had missed it: its tag is news, and ends no withdrawal of before."""
    missed = ev.TagSeen(None, None)
    running = a_promotion(S.RUNNING, in_force_since=NOW, withdrawals_from=NOW - 600)
    gone = play(play(running, missed), missed, now=LATER)
    over = play(gone, compared(inputs="gone", summarised=True), now=LATER)
    assert (over.state, over.value, over.why) == (S.OVER, None, "The hub does not own this AMI, or no longer does.")

    back = play(over, TAG, now=LATER + 600)
    assert (back.state, back.is_gone, back.withdrawals_count_from("dev")) == (S.COMPARING, False, NOW - 600)


@pytest.mark.parametrize("standing", [False, True])
def test_a_source_that_shows_again_without_its_tag_counts_as_untagged_after_two_looks(standing):
    """It was restored, and its tags may show late: that it was gone says nothing about its tag."""
    missed = ev.TagSeen(None, None)
    gone = play(a_promotion(S.RUNNING, standing=standing), missed)
    gone = play(gone, missed, compared(inputs="gone", running=True), now=LATER)
    once = play(gone, UNTAGGED, now=LATER + 600)
    assert (once.value, outstanding(once, LATER + 629)) == ("dev", ())
    assert outstanding(once, LATER + 630) == (do.LookAtTag(),)

    assert play(once, UNTAGGED, now=LATER + 630).value is None


@pytest.mark.parametrize("look", [UNTAGGED, ev.TagSeen(None, None), ev.TagSeen("dev", "disabled")])
def test_a_look_while_a_removal_is_compared_delays_it_no_further(look):
    """Another wake arrives after the second look: what two have shown is compared at once."""
    once = play(a_promotion(S.RUNNING, standing=True), look)
    twice = play(once, look, now=LATER)

    assert outstanding(play(twice, look, now=LATER + 1), LATER + 1) == (do.Compare(),)


@pytest.mark.parametrize(("tagged", "counts"), [(NOW - 60, False), (NOW, False), (NOW + 1, True)])
def test_an_event_of_before_the_tag_was_read_is_no_new_one(tagged, counts):
    """Discovery found the tag and its targets failed; the tag's own event, a day late, starts nothing again."""
    over = replace(play(a_promotion(), TAG), state=S.OVER, value="dev", inbox={"tag": str(TagEntry(5, tagged, "e-5"))})
    after = play(over, TAG, now=NOW + 86_400)

    assert (after.generation > over.generation) == counts
    assert (after.state is S.COMPARING) == counts


def test_a_tag_event_raises_the_generation_also_by_a_clock_that_is_behind():
    """Another worker's clock was a minute ahead, when it found the tag and an operator's retry."""
    before = a_promotion(S.OVER, generation=NOW + 60, retries={"222222222222": NOW + 61})
    after = play(with_tag_event(before, 2), TAG)

    assert after.generation == NOW + 62


def test_a_nudge_of_discovery_with_the_same_value_starts_nothing():
    """Only a tag event tries again what has failed for the same value."""
    over = replace(a_promotion(S.OVER), inbox={"seen": "minute:dev"})
    after = play(over, TAG)

    assert (after.state, after.generation) == (S.OVER, over.generation)


def test_the_baseline_has_nothing_to_withdraw():
    """What was tagged before the service's first look was given to nobody."""
    baseline = evolving.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW)

    assert outstanding(replace(baseline, inbox={"withdraw": "1"}), NOW) == ()


def test_of_an_ami_of_the_baseline_that_is_gone_status_says_so_and_discovery_rests():
    """It has its value still, so that its tag is no news when the AMI is restored."""
    baseline, missed = evolving.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW), ev.TagSeen(None, None)
    once = play(baseline, missed, now=NOW + 60)
    gone = play(once, missed, now=NOW + 120)
    heads = [head(one) for one in (baseline, once, gone)]

    assert [(one.known, one.waits) for one in heads] == [(("dev",), True), (("dev",), True), ((), False)]
    assert (gone.value, gone.why) == ("dev", "The hub does not own this AMI, or no longer does.")
    assert outstanding(gone, NOW + 10**9) == ()


def test_two_looks_within_a_second_are_one():
    """Removing and restoring a tag makes two events; both reads may be stale, so they need a distance in time."""
    once = play(with_tag_event(a_promotion(S.RUNNING), 2), UNTAGGED)
    again = play(with_tag_event(once, 3), UNTAGGED, now=NOW + 1)

    assert again.value == "dev"
    assert again.next_try == LATER


def test_a_value_with_a_fault_changes_nothing_and_is_notified_once():
    """Its targets continue; the notice lists the faults; only a new tag event causes another notice."""
    bad, dve = ev.TagSeen("dve", "available", "golden"), refused("dve", running=True)
    faulty = play(with_tag_event(a_promotion(S.RUNNING), 2), bad, dve)
    assert (faulty.faults, outstanding(faulty, NOW + 60)) == ((FAULT,), (do.NotifyRefused(),))

    notified = play(faulty, ev.RefusedNotified(faulty.faulty))
    assert (notified.state, notified.value, notified.refused_value) == (S.RUNNING, "dev", "dve")

    nudged = play(replace(notified, inbox={**notified.inbox, "seen": "minute"}), bad)
    assert outstanding(nudged, NOW) == (do.Compare(),)
    moved = play(replace(notified, inbox={**notified.inbox, "file": "new"}), bad, dve)
    assert not moved.unnotified
    anew = play(with_tag_event(notified, 3), bad, dve)
    assert outstanding(anew, NOW + 60) == (do.NotifyRefused(),)


@pytest.mark.parametrize("state", [S.COMPARING, S.ADJUSTING, S.RUNNING, S.OVER])
@pytest.mark.parametrize("gone", [ev.TagSeen("dev", "disabled"), ev.TagSeen(None, None), UNTAGGED])
def test_what_is_shared_ends_with_tag_and_image_in_every_state(state, gone):
    """Also while a new value is compared, or deliveries are being written."""
    once = play(with_tag_event(a_promotion(state, standing=True, value="dev"), 2), gone)
    twice = play(once, gone, now=LATER)

    assert outstanding(twice, LATER) == (do.Compare(),)
    assert twice.is_gone or twice.value is None
    ends = play(twice, compared(twice.value, "gone", surplus=True), now=LATER)
    assert outstanding(ends, LATER) == (do.Slice(END),)


def test_one_look_that_shows_a_shared_image_disabled_ends_nothing():
    """It may be late, and the AMI enabled by now: two looks must agree (invariant 5)."""
    known = a_promotion(S.RUNNING, standing=True, value="dev", seen_value="dev", seen_since=NOW - 3600)
    once = play(replace(known, looked_at=NOW - 60), ev.TagSeen("dev", "disabled"))
    assert not once.is_gone
    assert not play(once, TAG, now=LATER).is_gone
    assert play(once, ev.TagSeen("dev", "disabled"), now=LATER).is_gone


def test_a_tag_event_that_comes_after_the_first_look_counts():
    """A new hub took the AMI into its baseline before the tag's event arrived: it is promoted all the same."""
    baseline = replace(
        evolving.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW),
        inbox={"tag": str(TagEntry(2, NOW - 60, "e-2"))},
    )
    after = play(baseline, TAG, now=NOW + 60)

    assert (after.state, after.generation) == (S.COMPARING, NOW + 60)


@pytest.mark.parametrize("state", [S.RUNNING, S.OVER])
def test_a_removed_tag_that_is_known_is_not_looked_for_again(state):
    """Two concurrent invocations see it gone: the second does not start another wait."""
    known = a_promotion(state, value=None, image_name="golden", **(MISSED | {"looked_at": NOW}))

    assert play(known, UNTAGGED, now=NOW + 1) == replace(known, looked_at=NOW + 1)


# --- the pass, and the wait ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["running", "surplus"])
def test_running_compares_when_a_delivery_wakes_it_and_polls_otherwise(left):
    """The wake compares; without one a poll after growing waits does, and reads the tag. So for what is to end."""
    compares = compared(**{left: True})
    running = play(a_promotion(S.ADJUSTING, cursor=BEGIN), sliced(newest=1))
    assert outstanding(running, NOW) == ()
    assert machine.looks(running, NOW) == (do.Compare(),)
    assert play(running, compares) == running
    assert play(a_promotion(S.COMPARING, inputs=compares.inputs), compares).next_try == NOW + schedule.POLLS[0]

    for wait in schedule.POLLS[:2]:
        before, running = running, play(running, compares, now=running.next_try)
        assert running.next_try - before.next_try == wait
    running = play(running, compared(running=True), now=running.next_try)
    assert outstanding(running, NOW + schedule.HOUR) == (do.LookAtTag(), do.Compare())


def test_what_is_cancelled_whenever_it_begins_is_begun_again_more_and_more_slowly():
    """Somebody else cancels it for the same inputs, without end; a tag event begins it at once."""
    promotion, waits, now = a_promotion(S.RUNNING), [], NOW
    for _ in range(8):
        promotion = play(promotion, compared(missing=True), now=now)
        waits.append(promotion.next_try - now)
        now = promotion.next_try
        promotion = play(promotion, TAG, ev.Examined(source="s"), sliced(newest=1), now=now)

    assert waits == [0, *schedule.POLLS, schedule.POLLS[-1], schedule.POLLS[-1]]
    assert promotion.episode == len(waits)
    assert play(with_tag_event(promotion, 9), TAG, now=now).restarts == 0


@pytest.mark.parametrize("state", [S.COMPARING, S.RUNNING, S.OVER])
def test_a_refused_source_begins_nothing_until_something_changes(state):
    """Otherwise a promotion with a disabled key would examine it without end."""
    unfit = a_promotion(state, unfit_since=NOW, value="dev", inputs="inputs")
    assert play(unfit, compared(missing=True, summarised=True)).state is S.OVER

    assert outstanding(play(unfit, compared(inputs="others", missing=True)), NOW) == (do.Examine(),)


def test_a_refused_source_is_no_refused_value():
    """Nothing is wrong with the value, so nobody should look for a fault there."""
    unfit = a_promotion(S.OVER, unfit_since=NOW, value="dev", inputs="inputs", faults=(OTHER,))
    assert unfit.why == "The source was refused: 1 fault."
    assert replace(unfit, refused_value="dve").why == "The value 'dve' was refused: 1 fault."


def test_what_was_withdrawn_when_it_was_over_is_compared():
    """A file or membership change withdrew a shared AMI: if the value still names the account, it is shared again."""
    over = a_promotion(S.OVER, standing=True)
    assert machine.looks(over, NOW) == (do.Compare(),)
    assert machine.looks(replace(over, standing=False), NOW) == ()

    assert outstanding(play(over, compared(missing=True)), NOW) == (do.Examine(),)
    rests = play(over, compared(summarised=True, standing=True))
    assert (outstanding(rests, NOW), machine.due_at(rests)) == ((), None)


def test_what_was_withdrawn_is_compared_later_where_it_cannot_be_now():
    """The comparison fails for now: the promotion is over, and due again."""
    over = play(a_promotion(S.OVER, standing=True), ev.NotExecuted(FAULT))

    assert machine.due_at(over) == over.compare_after > NOW
    assert machine.looks(over, NOW) == outstanding(over, NOW) == ()
    assert outstanding(over, machine.due_at(over)) == (do.Compare(),)
    assert machine.due_at(play(over, compared(summarised=True, standing=True), now=machine.due_at(over))) is None


def test_a_refused_look_is_waited_out_whatever_wakes():
    """Events that arrive meanwhile do not repeat a throttled look."""
    put_off = play(with_tag_event(a_promotion(S.OVER), 2), ev.NotExecuted(FAULT, look=True))

    assert outstanding(put_off, NOW + 4) == ()
    assert outstanding(put_off, NOW + 5) == (do.LookAtTag(),)
    assert machine.due_at(put_off) == NOW + 5


def test_a_notice_of_a_refusal_waits_for_no_look_that_was_put_off():
    """The look was throttled for minutes; the notice is due before that."""
    fault = {"faults": (FAULT,), "tries": 6, "next_try": NOW + 60, "look_after": NOW + 320}
    waits = a_promotion(S.COMPARING, **fault)

    assert machine.due_at(waits) == NOW + 60
    assert do.NotifyRefused() in outstanding(waits, NOW + 60)


@pytest.mark.parametrize("look", [False, True])
def test_what_is_refused_is_tried_less_and_less_often(look):
    """An outage for all promotions is not made longer by their tries."""
    waiting, waits = with_tag_event(a_promotion(S.COMPARING)), list[int]()
    for _ in range(4):
        waiting = play(waiting, ev.NotExecuted(FAULT, look=look))
        waits.append((waiting.look_after if look else waiting.next_try) - NOW)
    assert waits == [5, 10, 20, 40]


@pytest.mark.parametrize("state", [S.REQUESTED, S.COMPARING, S.ADJUSTING])
def test_a_check_that_is_refused_for_a_day_is_notified_once_and_goes_on(state):
    """The deadline also needs many refusals in a row: one after a day away proves nothing."""
    waiting, late = a_promotion(state), NOW + evolving.PENDING_DEADLINE
    assert not play(waiting, ev.NotExecuted(FAULT), now=late).unnotified

    for _ in range(evolving.TRIES_BEFORE_DEADLINE + 1):
        waiting = play(waiting, ev.NotExecuted(FAULT), now=late)
    assert waiting.faults[0].code == "source-never-available"
    notified = play(waiting, ev.RefusedNotified(waiting.faulty), ev.NotExecuted(FAULT), now=late)
    assert not notified.unnotified
    assert machine.due_at(notified) is not None


def test_a_source_that_was_not_shown_whole_days_ago_has_seven_minutes_again():
    """Meanwhile an account was withdrawn; the next pass first asks its delivery to end."""
    partial, later = ev.Examined((FAULT,), unfit=True, partial=True), NOW + 3 * schedule.DAY
    looked = play(with_tag_event(a_promotion()), TAG, compared(missing=True), partial)
    over = play(looked, compared(inputs="withdrawn", summarised=True))
    ends = play(over, ev.TagSeen("prod", "available", "golden"), compared("prod", "more", surplus=True), now=later)

    assert play(ends, sliced(EXAMINE), partial, now=later).state is S.ADJUSTING


def test_after_a_day_of_refused_comparisons_a_source_that_had_failed_its_checks_is_examined_again():
    """The fault of that day took the place of its own, and says that the promotion begins by itself."""
    unfit = a_promotion(S.OVER, unfit_since=NOW, faults=(OTHER,))
    late = NOW + evolving.PENDING_DEADLINE
    compares = play(replace(unfit, notified=unfit.faulty, inbox={"file": "1:digest"}), TAG)
    for _ in range(evolving.TRIES_BEFORE_DEADLINE + 1):
        compares = play(compares, ev.NotExecuted(FAULT), now=late)
    late = compares.compare_after
    compares = play(
        compares, ev.RefusedNotified(compares.faulty), TAG, compared(missing=True, summarised=True), now=late
    )
    assert outstanding(compares, late) == (do.Examine(),)
    unfit = play(compares, ev.Examined((OTHER,), unfit=True), now=late)
    over = play(unfit, ev.RefusedNotified(unfit.faulty), compared(missing=True, summarised=True), now=late)
    assert (over.state, over.faults) == (S.OVER, (OTHER,))


def test_a_source_that_ec2_may_not_show_whole_yet_is_refused_after_seven_minutes():
    """DescribeSnapshots can lack a snapshot for a moment; a look that shows all of it continues at once."""
    looked = play(with_tag_event(a_promotion()), TAG, compared(missing=True))
    partial = ev.Examined((FAULT,), unfit=True, partial=True)
    for after in (0, 60, 180):
        looked = play(looked, TAG, now=NOW + after) if after else looked
        assert outstanding(looked, NOW + after) == (do.Examine(),)
        looked = play(looked, partial, now=NOW + after)
        assert outstanding(looked, NOW + after) == ()
    assert play(looked, ev.Examined(source="s"), now=NOW + 420).state is S.ADJUSTING
    given_up = play(looked, partial, now=NOW + 420)
    assert (given_up.faults, outstanding(given_up, NOW + 420)) == ((FAULT,), (do.NotifyRefused(),))


def test_a_source_that_ec2_may_not_show_whole_yet_has_seven_minutes_also_after_throttles():
    """Many AMIs are built and tagged at once: EC2 refuses the first looks, and the next one lacks a snapshot."""
    looked = play(with_tag_event(a_promotion()), TAG, compared(missing=True))
    looked = play(looked, *[ev.NotExecuted(FAULT, later=True)] * 5)
    for after in (0, 419):
        looked = play(looked, ev.Examined((FAULT,), unfit=True, partial=True), now=NOW + after)

    assert looked.faults == ()
    assert play(looked, ev.Examined(source="s"), now=NOW + 600).cursor == BEGIN


def test_a_pause_may_last_for_a_year_without_a_deadline():
    """The service asks again every quarter of an hour; the operator's pause fails no promotion."""
    looked = play(with_tag_event(a_promotion()), TAG, compared(missing=True))
    for quarter in range(200):
        now = NOW + quarter * 900
        looked = play(looked, ev.Paused(), now=now)
        assert outstanding(looked, now + 899) == ()
        assert outstanding(looked, now + 900) == (do.LookAtTag(),), "the event of its removal can be lost"
        looked = play(looked, TAG, now=now + 900)
        assert outstanding(looked, now + 900) == (do.Examine(),)
    for _ in range(12):  # an outage right after it is a short one
        looked = play(looked, ev.NotExecuted(FAULT, later=True), now=now + 900)
    assert not looked.unnotified


def test_the_last_delivery_ends_just_as_the_tag_is_gone():
    """One step learns both: what is left is asked to end, and the promotion ends after that."""
    running = a_promotion(S.RUNNING, tries=3, **MISSED)
    assert (*outstanding(running, NOW), *machine.looks(running, NOW)) == (do.LookAtTag(), do.Compare())

    stale = answered(running, compared(summarised=True))
    both = evolve(play(running, UNTAGGED), stale, NOW)
    assert (outstanding(both, NOW), machine.due_at(both)) == ((do.Compare(),), NOW)
    ends = play(both, compared(None, "none", surplus=True))
    assert outstanding(ends, NOW) == (do.Slice(END),)

    over = play(ends, sliced(), compared(None, "none", summarised=True))
    assert (over.state, machine.due_at(over)) == (S.OVER, None)


def test_the_last_delivery_ends_after_one_look_without_the_tag():
    """The promotion is over, and the second look comes no sooner than it may count."""
    over = play(a_promotion(S.RUNNING), UNTAGGED, compared(summarised=True))

    assert (over.state, machine.due_at(over), outstanding(over, NOW)) == (S.OVER, LATER, ())
    assert outstanding(over, LATER) == (do.LookAtTag(),)
    assert play(over, UNTAGGED, now=LATER).value is None


# --- withdrawals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("trouble", [{}, {"look_after": NOW + 999}, {"next_try": NOW + 999}])
def test_a_withdrawal_is_compared_before_anything_else_and_ends_deliveries(state, trouble):
    """Whatever delays looks and additions; a promotion that has not looked yet has given nobody anything."""
    asked = a_promotion(state, standing=True, inbox={"withdraw": "1"}, **trouble)
    assert machine.due_at(asked) is not None
    if state is S.REQUESTED:
        return
    assert (outstanding(asked, NOW), machine.due_at(asked) <= NOW) == ((do.Compare(),), True)
    without = compared(inputs="without", surplus=True, withdrawn={"222222222222": "operator"})
    for event in (without, replace(without, unbelieved=True)):
        read = play(asked, event)

        assert read.unread("withdraw") is None
        assert outstanding(read, NOW) == (do.Slice(END),)


def test_what_is_asked_to_end_again_in_two_slices_waits_as_long_as_in_one():
    """More than a hundred deliveries take several slices."""
    again = play(a_promotion(S.RUNNING, tries=4, inputs=compared().inputs), compared(running=True, surplus=True))
    one, two = play(again, sliced()), play(again, sliced(replace(again.cursor, after="d1")), sliced())

    assert one.next_try == two.next_try
