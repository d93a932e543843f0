"""The state machine of a promotion: what a tag starts, stops, and never starts."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import IllegalEvent
from chalicelib.core.faults import Fault
from chalicelib.core.promotion import commands as do
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion import evolving, machine
from chalicelib.core.promotion.evolving import evolve
from chalicelib.core.promotion.machine import TRANSITIONS, outstanding
from chalicelib.core.promotion.model import Plan, Promotion, PromotionState, TrackedDelivery
from chalicelib.core.records import schedule

NOW = 1_800_000_000
FAULT, OTHER = Fault("code", "where", "what.", "cure."), Fault("other", "where", "what.", "cure.")
DEV, PROD = "222222222222/us-east-1", "444444444444/us-east-1"
CHILD = TrackedDelivery("d1", "222222222222", "us-east-1", 1, "running")
TAG = ev.TagSeen("dev", "available", "golden")


def a_promotion(state: PromotionState = PromotionState.REQUESTED, **changes: object) -> Promotion:
    """A promotion of one AMI to one target, in a state."""
    fresh = evolving.started("ami-0a", "111111111111", "us-east-1", NOW)
    given: dict[str, object] = {"planned": 1}
    if state not in (PromotionState.REQUESTED, PromotionState.RESOLVING):
        given |= {"value": "dev", "plan": "plan", "digest": "digest"}
    return replace(fresh, state=state, **(given | changes))


def resolved(value: str = "dev", plan: str = "plan", **how: object) -> ev.Resolved:
    """The event for a value that is understood."""
    return ev.Resolved(value, plan=plan, planned=1, places=plan, digest="digest", **how)


EVENTS: tuple[ev.Event, ...] = (
    TAG,
    ev.TagSeen("prod", "available", "golden"),
    ev.TagSeen("dev", "pending", "golden"),
    ev.TagSeen("dev", "disabled", "golden"),
    ev.TagSeen(None, "available", "golden"),
    ev.TagSeen(None, None),
    ev.TagSeen("dev", "available", "golden", own=True),
    ev.WithdrawalsRead(),
    ev.WithdrawalsRead({"222222222222": "operator"}),
    resolved(additions=True),
    resolved(plan="other", additions=True),
    resolved(plan="other", blocked=(OTHER,)),
    ev.Resolved("dev", (FAULT,)),
    ev.Examined(),
    ev.Examined((FAULT,)),
    ev.Examined((FAULT,), partial=True),
    ev.Expanded(1),
    ev.Expanded(0, standing=True),
    ev.OthersCancelled("d1"),
    ev.OthersCancelled(),
    ev.Counted(to_end=True),
    ev.Counted(wanted_again=True),
    ev.Counted(),
    ev.RefusedNotified(),
    ev.ApprovalAsked(),
    ev.ApprovalAsked("d1", "d1:0"),
    ev.SummaryNotified(),
    ev.Blocked(FAULT),
    ev.Blocked(FAULT, look=True),
    ev.Paused(),
)


@pytest.mark.parametrize(
    ("state", "event"),
    list(product(PromotionState, EVENTS)),
    ids=lambda x: getattr(x, "value", None) or type(x).__name__,
)
def test_every_pair_of_state_and_event_follows_the_table(state, event):
    """An event leads where the table says, or is illegal; it never leads elsewhere and raises nothing else."""
    row = TRANSITIONS[state]
    if type(event) not in row:
        with pytest.raises(IllegalEvent):
            evolve(a_promotion(state), event, NOW)
        return

    assert evolve(a_promotion(state), event, NOW).state in row[type(event)]


def test_each_kind_of_event_is_in_the_table_and_among_the_examples():
    """A new event needs its rows, and an example here."""
    kinds = set(get_args(ev.Event))

    assert {kind for row in TRANSITIONS.values() for kind in row} == kinds
    assert {type(event) for event in EVENTS} == kinds


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([0, 1, 40, 4000, 90_000])), max_size=40))
def test_until_it_is_over_somebody_looks_again_and_finds_something_to_do(steps):
    """In any history: a promotion that is not over has a due time, and then a command is outstanding."""
    promotion, now = a_promotion(), NOW
    for pick, wait in steps:
        legal = [event for event in EVENTS if type(event) in TRANSITIONS[promotion.state]]
        promotion = evolve(promotion, legal[pick % len(legal)], now)
        now += wait
        if promotion.state is not PromotionState.OVER:
            assert promotion.due_at is not None
            assert outstanding(promotion, max(promotion.due_at, now))


def with_tag_event(promotion: Promotion, version: int = 1) -> Promotion:
    return replace(promotion, inbox={"tag": f"{version:012d}"})


def play(promotion: Promotion, *events: ev.Event) -> Promotion:
    """The promotion after these events at one time."""
    for event in events:
        promotion = evolve(promotion, event, NOW)
    return promotion


def test_a_tag_leads_by_resolution_and_examination_to_deliveries():
    """Requested -> resolving -> expanding -> running, with one command at a time."""
    promotion = with_tag_event(a_promotion())
    assert outstanding(promotion, NOW) == (do.LookAtTag(),)
    promotion = play(promotion, TAG)
    assert outstanding(promotion, NOW) == (do.Resolve("dev"),)
    promotion = play(promotion, resolved(additions=True))
    assert outstanding(promotion, NOW) == (do.Examine(),)
    promotion = play(promotion, ev.Examined())
    assert outstanding(promotion, NOW) == (do.Expand("plan", 0),)
    promotion = play(promotion, ev.Expanded(1))

    assert (promotion.state, promotion.value, promotion.episode) == (PromotionState.RUNNING, "dev", 1)


# --- removals wait for nothing ---------------------------------------------------------------------------------------


NARROWED = resolved("prod", plan="narrower")


@pytest.mark.parametrize("additions", [True, False])
def test_deliveries_that_a_value_no_longer_names_are_cancelled_before_the_source_is_examined(additions):
    """A disabled key, or any other fault of the source, delays additions and no removal."""
    looked = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), ev.TagSeen("prod", "available", "golden"))
    after = play(looked, replace(NARROWED, additions=additions))

    assert outstanding(after, NOW) == (do.CancelOthers("narrower"),)
    assert after.value == "prod"


def test_a_value_that_names_fewer_is_believed_on_two_looks():
    """The first look may be a stale one: nobody is cancelled before another shows the same."""
    seen, narrowed, later = ev.TagSeen("prod", "available", "golden"), replace(NARROWED, removals=True), NOW + 30
    once = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), seen, narrowed)
    assert (once.value, outstanding(once, later)) == ("dev", (do.LookAtTag(),))
    twice = evolve(evolve(once, seen, later), narrowed, later)

    assert outstanding(twice, later) == (do.CancelOthers("narrower"),)


@pytest.mark.parametrize("trouble", [ev.Examined((FAULT,)), ev.Paused(), ev.Blocked(FAULT)])
def test_a_refused_or_paused_addition_leaves_the_narrowed_value_in_force(trouble):
    """The source fails its checks, new promotions are paused, or EC2 throttles: the removal stays in force."""
    looked = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), ev.TagSeen("prod", "available", "golden"))
    after = play(looked, replace(NARROWED, additions=True), ev.OthersCancelled(), trouble)

    assert (after.value, after.plan, after.cancelling) == ("prod", "narrower", False)


@pytest.mark.parametrize("state", [PromotionState.RESOLVING, PromotionState.EXPANDING, PromotionState.RUNNING])
@pytest.mark.parametrize("trouble", [ev.Paused(), ev.Blocked(FAULT)])
def test_a_tag_event_is_looked_at_while_additions_are_held_back(state, trouble):
    """The tag is narrowed again while new promotions are paused, or SNS fails: it is read at once."""
    if type(trouble) not in TRANSITIONS[state]:
        return
    candidate = (
        {"value": "dev", "plan": "plan", "candidate": "dev prod", "resolved": True}
        if state is PromotionState.RESOLVING
        else {}
    )
    kept_back = evolve(a_promotion(state, **candidate), trouble, NOW)

    assert outstanding(with_tag_event(kept_back, 3), NOW) == (do.LookAtTag(),)


def test_a_new_value_while_another_waits_takes_its_place():
    """While "a b" is paused the tag becomes "a": that is resolved next, with its removals."""
    paused = play(
        a_promotion(PromotionState.RESOLVING, candidate="a b", resolved=True, value="a b", plan="both"), ev.Paused()
    )
    looked = play(with_tag_event(paused, 3), ev.TagSeen("a", "available", "golden"))
    assert outstanding(looked, NOW) == (do.Resolve("a"),)

    assert outstanding(play(looked, resolved("a", plan="one")), NOW) == (do.CancelOthers("one"),)


def test_a_removal_is_a_slice_that_goes_on_where_it_stopped():
    """A thousand cancellations do not fit into one run."""
    part = play(a_promotion(PromotionState.RUNNING, cancelling=True), ev.OthersCancelled("d0500"))
    assert outstanding(part, NOW) == (do.CancelOthers("plan", after="d0500"),)

    assert outstanding(play(part, ev.OthersCancelled()), NOW) == (do.Count(),)


def test_a_new_plan_starts_the_removal_from_the_beginning():
    """The new plan may remove accounts that the earlier slice has skipped."""
    part = play(a_promotion(PromotionState.RUNNING, cancelling=True), ev.OthersCancelled("d0500"))
    looked = play(with_tag_event(replace(part, cancelling=False)), ev.TagSeen("prod", "available", "golden"))

    assert outstanding(play(looked, NARROWED), NOW) == (do.CancelOthers("narrower"),)


def test_a_fault_of_one_account_blocks_no_other():
    """Its settings conflict: the others are delivered, and one notice lists the fault."""
    looked = play(with_tag_event(a_promotion()), TAG)
    after = play(looked, resolved(additions=True, blocked=(OTHER,)), ev.Examined())
    assert after.state is PromotionState.EXPANDING
    assert outstanding(after, NOW) == (do.NotifyRefused((OTHER,)),)

    notified = play(after, ev.RefusedNotified())
    assert outstanding(notified, NOW) == (do.Expand("plan", 0),)
    again = replace(play(notified, ev.Expanded(1)), inbox={"generation": "new"})
    assert play(again, TAG, resolved(blocked=(OTHER,))).to_notify == ()


# --- the tag ---------------------------------------------------------------------------------------------------------


def test_an_image_that_the_service_made_never_triggers_and_says_so():
    """It has a delivery's tag: one notice, and no examination."""
    seen = ev.TagSeen("dev", "available", "golden", own=True)
    promotion = play(with_tag_event(a_promotion()), seen)
    (command,) = outstanding(promotion, NOW)
    assert [fault.code for fault in command.faults] == ["source-made-by-service"]

    over = play(promotion, ev.RefusedNotified(), ev.Counted(), ev.SummaryNotified())
    nudged = play(replace(over, inbox={**over.inbox, "seen": "1:dev"}), seen)
    assert (nudged.state, outstanding(nudged, NOW + 10**6)) == (PromotionState.OVER, ())


def test_an_image_that_the_hub_does_not_own_is_left_alone_after_two_looks():
    """One look that does not show it may be stale."""
    once = evolve(a_promotion(), ev.TagSeen(None, None), NOW)
    assert once.state is PromotionState.REQUESTED
    assert outstanding(once, NOW + schedule.SECOND_LOOK_AFTER) == (do.LookAtTag(),)

    assert evolve(once, ev.TagSeen(None, None), NOW + schedule.SECOND_LOOK_AFTER).state is PromotionState.OVER


def test_a_pending_image_is_waited_for_and_its_event_shortens_the_wait():
    """The service polls a pending AMI, and looks at once when EC2 reports it available."""
    waiting = evolve(with_tag_event(a_promotion()), ev.TagSeen("dev", "pending", "golden"), NOW)
    assert outstanding(waiting, NOW) == ()
    assert outstanding(waiting, NOW + 60) == (do.LookAtTag(),)

    reported = replace(waiting, inbox={**waiting.inbox, "image": "event"})
    assert outstanding(reported, NOW) == (do.LookAtTag(),)


def test_a_tag_that_shows_again_was_never_gone():
    """The next look replaces the stale one."""
    once = evolve(with_tag_event(a_promotion(PromotionState.RUNNING), 2), ev.TagSeen(None, "available", "golden"), NOW)
    back = evolve(once, ev.TagSeen("dev", "available", "golden"), NOW + schedule.SECOND_LOOK_AFTER)

    assert (back.absent_since, back.cancelling, back.value) == (0, False, "dev")


def test_a_source_that_vanishes_does_not_stop_what_runs():
    """A running promotion continues with what it has read before."""
    once = evolve(a_promotion(PromotionState.RUNNING), ev.TagSeen(None, None), NOW)
    twice = evolve(once, ev.TagSeen(None, None), NOW + schedule.SECOND_LOOK_AFTER)

    assert (twice.state, twice.cancelling, twice.value) == (PromotionState.RUNNING, False, "dev")


@pytest.mark.parametrize("state", [None, "available"], ids=["deregistered", "untagged"])
def test_what_is_over_comes_to_know_that_its_tag_is_gone(state):
    """On two looks; then it rests, and the same value is a new one."""
    once = evolve(a_promotion(PromotionState.OVER), ev.TagSeen(None, state), NOW)
    assert once.due_at == NOW + schedule.SECOND_LOOK_AFTER
    twice = evolve(once, ev.TagSeen(None, state), NOW + schedule.SECOND_LOOK_AFTER)
    assert (twice.state, twice.value, twice.due_at) == (PromotionState.OVER, None, None)

    assert evolve(twice, ev.TagSeen("dev", "available", "golden"), NOW + 600).state is PromotionState.RESOLVING


@pytest.mark.parametrize(("tagged", "looked"), [(NOW - 60, False), (NOW, False), (NOW + 1, True)])
def test_an_event_of_before_the_tag_was_read_is_no_new_one(tagged, looked):
    """Discovery found the tag and its targets failed; the tag's own event, a day late, starts nothing."""
    reading = evolve(a_promotion(), ev.TagSeen("dev", "available", "golden"), NOW)
    over = replace(
        reading,
        state=PromotionState.OVER,
        value="dev",
        candidate=None,
        inbox={"tag": evolving.tag_entry(5, tagged, "e-5")},
    )
    after = evolve(over, ev.TagSeen("dev", "available", "golden"), NOW + 86_400)

    assert (after.state is PromotionState.RESOLVING) == looked


def test_a_nudge_of_discovery_with_the_same_value_starts_nothing():
    """Only a tag event starts another episode for the same value."""
    over = replace(a_promotion(PromotionState.OVER), inbox={"seen": "minute:dev"})
    after = evolve(over, ev.TagSeen("dev", "available", "golden"), NOW)

    assert after.state is PromotionState.OVER


def test_the_baseline_moves_only_by_a_new_event():
    """Looks do not promote what was tagged before the service's first look."""
    baseline = evolving.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW)

    assert outstanding(baseline, NOW + 10**9) == ()
    assert outstanding(with_tag_event(baseline), NOW) == (do.LookAtTag(),)


def test_two_looks_within_a_second_are_one():
    """Removing and restoring a tag makes two events; both reads may be stale, so they need a distance in time."""
    once = evolve(with_tag_event(a_promotion(PromotionState.RUNNING), 2), ev.TagSeen(None, "available", "golden"), NOW)
    again = evolve(with_tag_event(once, 3), ev.TagSeen(None, "available", "golden"), NOW + 1)

    assert not again.cancelling
    assert again.next_try == NOW + schedule.SECOND_LOOK_AFTER


def test_a_repeated_tag_on_a_running_promotion_starts_nothing():
    """The service checks for failed deliveries of the same value, and running ones continue."""
    looked = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), TAG)
    assert outstanding(looked, NOW) == (do.Resolve("dev"),)

    after = play(looked, resolved())
    expected = (PromotionState.RUNNING, 0, False, None)
    assert (after.state, after.episode, after.cancelling, after.unread("tag")) == expected


def test_a_value_with_a_fault_changes_nothing_and_is_notified_once():
    """Its targets continue; the notice lists the faults; only a new tag event causes another notice."""
    bad, refused = ev.TagSeen("dve", "available", "golden"), ev.Resolved("dve", (FAULT,))
    faulty = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), bad, refused)
    assert outstanding(faulty, NOW) == (do.NotifyRefused((FAULT,)),)

    notified = play(faulty, ev.RefusedNotified())
    assert (notified.state, notified.value, notified.plan) == (PromotionState.RUNNING, "dev", "plan")
    assert (notified.refused_value, notified.cancelling) == ("dve", False)

    nudged = play(replace(notified, inbox={**notified.inbox, "seen": "minute"}), bad)
    assert outstanding(nudged, NOW) == (do.Count(),)
    moved = play(replace(notified, inbox={**notified.inbox, "generation": "new"}), bad, refused)
    assert outstanding(moved, NOW) == (do.Count(),)
    anew = play(with_tag_event(notified, 3), bad, refused)
    assert outstanding(anew, NOW) == (do.NotifyRefused((FAULT,)),)


def test_a_removed_tag_cancels_all_but_only_after_two_looks():
    """Absence in an eventually consistent read is weak evidence."""
    once = play(with_tag_event(a_promotion(PromotionState.RUNNING), 2), ev.TagSeen(None, "available", "golden"))
    assert not once.cancelling
    assert outstanding(once, NOW + schedule.SECOND_LOOK_AFTER) == (do.LookAtTag(),)

    twice = evolve(once, ev.TagSeen(None, "available", "golden"), NOW + schedule.SECOND_LOOK_AFTER)
    assert outstanding(twice, NOW + schedule.SECOND_LOOK_AFTER) == (do.CancelOthers(""),)


@pytest.mark.parametrize(
    "state", [PromotionState.RESOLVING, PromotionState.EXPANDING, PromotionState.RUNNING, PromotionState.OVER]
)
@pytest.mark.parametrize("gone", [ev.TagSeen("dev", "disabled"), ev.TagSeen(None, None), ev.TagSeen(None, "available")])
def test_what_is_shared_ends_with_tag_and_image_in_every_state(state, gone):
    """Also while a new value is examined, or deliveries are being written."""
    before = a_promotion(
        state,
        standing=True,
        value="dev",
        plan="plan",
        candidate="dev prod" if state is PromotionState.RESOLVING else None,
    )
    once = play(with_tag_event(before, 2), gone)
    twice = evolve(once, gone, NOW + schedule.SECOND_LOOK_AFTER)

    assert isinstance(outstanding(twice, NOW + schedule.SECOND_LOOK_AFTER)[0], do.CancelOthers)
    assert twice.candidate is None


def test_tagged_again_when_over_is_resolved_for_those_that_failed():
    """A new event for the same value: failed deliveries are retried."""
    looked = play(with_tag_event(a_promotion(PromotionState.OVER), 5), TAG)
    assert outstanding(looked, NOW) == (do.Resolve("dev"),)

    assert play(looked, resolved()).state is PromotionState.RUNNING
    some_failed = play(looked, resolved(additions=True), ev.Examined())
    assert (some_failed.state, some_failed.episode) == (PromotionState.EXPANDING, 1)


def test_a_tag_event_that_comes_after_the_first_look_counts():
    """A new hub took the AMI into its baseline before the tag's event arrived: it is promoted all the same."""
    baseline = replace(
        evolving.baseline("ami-0a", "111111111111", "us-east-1", "dev", NOW),
        inbox={"tag": evolving.tag_entry(2, NOW - 60, "e-2")},
    )

    assert evolve(baseline, TAG, NOW + 60).state is PromotionState.RESOLVING


@pytest.mark.parametrize("state", [PromotionState.RUNNING, PromotionState.OVER])
def test_a_removed_tag_that_is_known_is_not_looked_for_again(state):
    """Two concurrent invocations see it gone: the second does not start another wait."""
    known = a_promotion(state, value=None, plan="")

    assert play(known, ev.TagSeen(None, "available", "golden")).absent_since == 0


def test_a_thousand_targets_are_written_in_slices_with_a_cursor():
    """A slice takes as long as there is time; the cursor says where to continue."""
    promotion = a_promotion(PromotionState.EXPANDING, planned=1000)
    cursors = []
    while promotion.state is PromotionState.EXPANDING:
        (command,) = outstanding(promotion, NOW)
        cursors.append(command.cursor)
        promotion = play(promotion, ev.Expanded(70))

    assert cursors == list(range(0, 1000, 70))


def test_running_counts_when_the_last_delivery_wakes_it_and_polls_otherwise():
    """The wake counts the deliveries; without one a poll after growing waits counts them and reads the tag."""
    running = play(a_promotion(PromotionState.RUNNING), ev.Counted(to_end=True))
    assert outstanding(running, NOW) == ()
    assert machine.looks(running, NOW) == (do.Count(),)
    assert play(running, ev.Counted(to_end=True)) == running

    for _ in range(3):
        running = evolving.evolve(running, ev.Counted(to_end=True), running.next_try)
    assert outstanding(running, NOW + schedule.HOUR) == (do.LookAtTag(), do.Count())


def test_a_tag_put_back_before_the_cancelled_deliveries_ended_starts_them_again():
    """The value in force names a target whose delivery was cancelled: it is resolved and examined again."""
    running, cancelled = a_promotion(PromotionState.RUNNING, episode=1), replace(CHILD, state="cancelled")
    assert evolving.wanted_again(running, cancelled, Plan(frozenset({DEV})))
    assert not evolving.wanted_again(running, cancelled, Plan(frozenset({PROD}), blocked=frozenset({DEV})))

    again = play(running, ev.Counted(wanted_again=True))
    assert outstanding(again, NOW) == (do.Resolve("dev"),)
    assert play(again, resolved(additions=True), ev.Examined()).episode == 2


def test_a_refused_source_starts_no_cancelled_delivery_again():
    """Otherwise a promotion with a disabled key would examine it without end."""
    refused = a_promotion(PromotionState.RUNNING, source_refused=True)

    assert not evolving.wanted_again(refused, replace(CHILD, state="cancelled"), Plan(frozenset({DEV})))


def test_what_was_withdrawn_when_it_was_over_is_counted():
    """A file or membership change withdrew a shared AMI: if the value still names the account, it is shared again."""
    over = a_promotion(PromotionState.OVER, standing=True)
    assert machine.looks(over, NOW) == (do.Count(),)
    assert machine.looks(replace(over, standing=False), NOW) == ()

    again = play(over, ev.Counted(wanted_again=True))
    assert (again.state, again.candidate, again.refresh) == (PromotionState.RESOLVING, "dev", True)
    assert outstanding(play(over, ev.Counted()), NOW) == ()
    assert machine.due_at(over) is None


def test_what_was_withdrawn_is_counted_later_where_it_cannot_be_now():
    """The count fails for now: the promotion is over, and due again."""
    over = play(a_promotion(PromotionState.OVER, standing=True), ev.Blocked(FAULT))

    assert over.due_at == over.blocked_until > NOW
    assert machine.looks(over, NOW) == outstanding(over, NOW) == ()
    assert outstanding(over, over.due_at) == (do.Count(),)
    assert evolving.evolve(over, ev.Counted(), over.due_at).due_at is None


def test_a_delivery_that_was_failing_when_it_was_tagged_again_starts_again_when_it_has_failed():
    """The tag was written during the cleanup; it need not be written again."""
    running, failed = a_promotion(PromotionState.RUNNING, episode=2), replace(CHILD, state="failed")

    assert evolving.wanted_again(running, replace(failed, asked_again=2), Plan(frozenset({DEV})))
    assert not evolving.wanted_again(running, replace(failed, asked_again=1), Plan(frozenset({DEV})))
    assert not play(running, ev.Counted(wanted_again=True, asked_again=True)).refresh


def test_a_refused_look_is_waited_out_whatever_wakes():
    """Events that arrive meanwhile do not repeat a throttled look."""
    blocked = play(with_tag_event(a_promotion(PromotionState.OVER), 2), ev.Blocked(FAULT, look=True))

    assert outstanding(blocked, NOW + 4) == ()
    assert outstanding(blocked, NOW + 5) == (do.LookAtTag(),)
    assert blocked.due_at == NOW + 5


def test_a_removal_that_waits_is_not_forgotten_by_a_new_value():
    """The tag is "a b", "b" and "b c" before any cancellation: the delivery to "a" must still be cancelled."""
    pending = a_promotion(PromotionState.RUNNING, plan="b", cancelling=True)
    looked = play(with_tag_event(pending, 3), ev.TagSeen("b c", "available", "golden"))

    assert play(looked, resolved("b c", plan="b c", additions=True)).cancelling


def test_an_image_that_stays_pending_for_a_day_is_refused_by_a_look_that_shows_it():
    """The promotion ends with a notice; a day's outage of the service alone refuses nothing."""
    waiting = play(with_tag_event(a_promotion()), ev.TagSeen("dev", "pending", "golden"))
    late = NOW + evolving.PENDING_DEADLINE
    assert evolve(waiting, TAG, late).candidate == "dev"

    over = evolve(waiting, ev.TagSeen("dev", "pending", "golden"), late)
    (command,) = outstanding(over, late)
    assert command.faults[0].code == "source-never-available"
    assert evolve(over, ev.RefusedNotified(), late).state is PromotionState.RUNNING


def test_one_refusal_after_a_day_away_gives_nothing_up():
    """The deadline also needs many refusals in a row."""
    waiting = play(with_tag_event(a_promotion()), TAG)
    late = NOW + evolving.PENDING_DEADLINE
    assert evolve(waiting, ev.Blocked(FAULT), late).to_notify == ()

    for _ in range(evolving.TRIES_BEFORE_DEADLINE + 1):
        waiting = evolve(waiting, ev.Blocked(FAULT), late)
    assert waiting.to_notify[0].code == "source-never-available"


def test_a_source_that_ec2_may_not_show_whole_yet_is_refused_after_seven_minutes():
    """DescribeSnapshots can lack a snapshot for a moment; a look that shows all of it continues at once."""
    looked, partial = play(with_tag_event(a_promotion()), TAG, resolved(additions=True)), ev.Examined((FAULT,), True)
    for after in (0, 60, 180):
        assert outstanding(looked, NOW + after) == (do.Examine(),)
        looked = evolve(looked, partial, NOW + after)
        assert outstanding(looked, NOW + after) == ()
    assert evolve(looked, ev.Examined(), NOW + 420).state is PromotionState.EXPANDING
    assert outstanding(evolve(looked, partial, NOW + 420), NOW + 420) == (do.NotifyRefused((FAULT,)),)


def test_a_pause_may_last_for_a_year_without_a_deadline():
    """The service asks again every quarter of an hour; the operator's pause fails no promotion."""
    looked = play(with_tag_event(a_promotion()), TAG, resolved(additions=True))
    for quarter in range(200):
        now = NOW + quarter * 900
        looked = evolve(looked, ev.Paused(), now)
        assert outstanding(looked, now + 899) == ()
        assert outstanding(looked, now + 900) == (do.LookAtTag(),), "the event of its removal can be lost"
        looked = evolve(looked, TAG, now + 900)
        assert outstanding(looked, now + 900) == (do.Examine(),)


def test_what_was_refused_for_another_value_delays_no_removal():
    """The source could not be examined for the wider value; a narrower one is resolved at once."""
    wider = a_promotion(PromotionState.RESOLVING, candidate="dev prod", seen_value="dev prod", resolved=True)
    for _ in range(8):
        wider = evolve(wider, ev.Blocked(FAULT), NOW)
    assert outstanding(wider, NOW) == ()

    narrower = evolve(with_tag_event(wider), TAG, NOW)

    assert outstanding(narrower, NOW) == (do.Resolve("dev"),)


def test_the_last_delivery_ends_just_as_the_tag_is_gone():
    """One step learns both: it cancels what is left, and ends after that."""
    running = a_promotion(
        PromotionState.RUNNING, absent_since=NOW - schedule.SECOND_LOOK_AFTER, seen_since=NOW - 900, tries=3
    )
    assert (*outstanding(running, NOW), *machine.looks(running, NOW)) == (do.LookAtTag(), do.Count())

    both = play(running, ev.TagSeen(None, "available"), ev.SummaryNotified())
    (cancel,) = outstanding(both, NOW)
    assert isinstance(cancel, do.CancelOthers)
    assert machine.due_at(both) == NOW

    over = play(both, ev.OthersCancelled(), ev.SummaryNotified())
    assert (over.state, machine.due_at(over)) == (PromotionState.OVER, None)


WITHDRAWN = {"222222222222": "operator"}


@pytest.mark.parametrize("state", list(PromotionState))
@pytest.mark.parametrize("trouble", [{}, {"blocked_until": NOW + 999}, {"look_blocked_until": NOW + 999}])
def test_a_withdrawal_is_read_before_anything_else_and_ends_deliveries(state, trouble):
    """Whatever delays looks and additions; a promotion that has not started has nothing to cancel."""
    asked = a_promotion(state, standing=True, inbox={"withdraw": "1"}, **trouble)
    assert outstanding(asked, NOW) == (do.ReadWithdrawals(),)
    assert machine.due_at(asked) is not None
    read = evolve(asked, ev.WithdrawalsRead(WITHDRAWN), NOW)

    assert read.withdrawn == WITHDRAWN
    ends = state is not PromotionState.REQUESTED
    assert [type(one) for one in outstanding(read, NOW)] == [do.CancelOthers] * ends or not ends


@pytest.mark.parametrize(
    ("first", "then", "counts"), [("dev", "dev", True), ("dev", "prod", False), ("dev", None, False)]
)
def test_a_withdrawal_counts_until_another_value_was_in_force(first, then, counts):
    """In the end ``tagged_at`` is later than the withdrawal, or not."""
    one = replace(a_promotion(), state=PromotionState.RESOLVING, candidate=first, read_at=NOW)
    one = evolve(one, resolved(first), NOW)
    withdrawn_at = NOW + 10
    for value in (then, "dev"):
        at = one.in_force_since + 100
        one = evolve(one, ev.TagSeen(value, "available"), at)
        one = evolve(one, ev.TagSeen(value, "available"), at + schedule.SECOND_LOOK_AFTER)
        if one.candidate is not None:
            one = evolve(one, resolved(value), at + schedule.SECOND_LOOK_AFTER)

    assert (withdrawn_at >= one.tagged_at) is counts


@pytest.mark.parametrize(
    ("inbox", "tagged_at"),
    [
        ({"tag": f"000000000002@{NOW + 50}"}, NOW + 50),
        ({"tag": f"000000000002@{NOW + 999}"}, NOW + 60),
        ({"tag": "000000000002"}, 0),
        ({"written": str(NOW + 50)}, NOW + 50),
        ({"written": "x"}, 0),
        ({"retry": "1:222222222222"}, 0),
        ({"seen": "1:dev"}, 0),
    ],
)
def test_a_tag_event_is_remembered_by_its_time_and_a_retry_is_none(inbox, tagged_at):
    """A time in the future counts as now; an event without a time proves nothing."""
    seen = evolve(a_promotion(PromotionState.RUNNING, inbox=inbox), TAG, NOW + 60)

    assert seen.tagged_at == tagged_at


def test_a_withdrawal_ends_with_a_tag_that_is_removed_although_its_value_never_was_in_force():
    """The AMI was pending all the time; both events are lost."""
    waits = replace(a_promotion(PromotionState.RESOLVING), seen_value="dev", seen_since=NOW, absent_since=NOW + 10)
    removed = evolve(waits, ev.TagSeen(None, "pending"), NOW + 10 + schedule.SECOND_LOOK_AFTER)
    again = evolve(removed, TAG, NOW + 900)
    again = evolve(again, resolved(), NOW + 900)

    assert again.tagged_at == NOW + 10 + schedule.SECOND_LOOK_AFTER
