"""Events and wakes in any order, number and time, on the packaged functions: the same end, if later."""

from random import Random

import pytest

from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS, each, ended
from tests.reliability.plans import (
    A_DAY_LATE,
    BOTH_TWICE,
    EARLY,
    NO_EVENTS,
    NO_WAKES,
    NOTHING_COMES,
    SHARE_WORKER_TWICE,
    SHUFFLED,
    THREE_TIMES,
    WORKER_TWICE,
    RunPlan,
)
from tests.reliability.sampling import storms
from tests.reliability.scenarios import AT_ONCE, CANCELLED, DELIVERED, FAILED
from tests.reliability.soak import STORMY, play

pytestmark = pytest.mark.thorough

SWEPT = 16 * 60
"""Seconds in which the sweep and discovery alone end each scenario: five minutes to find it, then looks, of which those
after a removal fall on whole minutes."""
SWEPT_AND_CANCELLED = 17 * 60 + 30
"""The same where a removal of the tag ends running copies: their shares close two minutes after it was found, and four
more pass until the last look."""
STORMS = 4


@each(DELIVERED, CANCELLED, FAILED)
def test_every_event_is_lost(machine, scenario):
    """Discovery finds the tag and its removal, looks find the rest."""
    ended(machine, scenario, NO_EVENTS, SWEPT, "events lost")


@each(DELIVERED, CANCELLED, FAILED)
def test_every_event_and_every_wake_but_the_sweeps_is_lost(machine, scenario):
    """The sweep alone is enough."""
    seconds = SWEPT_AND_CANCELLED if scenario is CANCELLED else SWEPT
    ended(machine, scenario, NOTHING_COMES, seconds, "events lost", "messages lost")


def test_every_wake_but_the_sweeps_is_lost(machine):
    """A record that should have been woken is due within a minute."""
    ended(machine, DELIVERED, NO_WAKES, SWEPT, "messages lost")


@each(DELIVERED, CANCELLED, FAILED)
def test_every_event_comes_three_times(machine, scenario):
    """Some arrive after the end: one AMI, one outcome, one notice."""
    ended(machine, scenario, THREE_TIMES, SWEPT, "events repeated")


@each(DELIVERED, CANCELLED, FAILED)
def test_events_come_out_of_order(machine, scenario):
    """Each up to ten minutes late: tag and removal, ends of copies and of the AMI, in any order."""
    ended(machine, scenario, SHUFFLED, SWEPT)


def test_events_come_before_the_call_that_caused_them_has_returned(machine):
    """A copy is completed before its id is on record: its event still wakes the delivery, without a wait for a look."""
    (outcome,) = machine.play(AT_ONCE.name, [RunPlan(messages=EARLY, seed=SEEDS[0])])
    assert not outcome.problems, str(outcome)
    assert outcome.ended <= AT_ONCE_SECONDS


@each(DELIVERED, FAILED)
def test_events_come_a_day_late(machine, scenario):
    """All has ended by then, and its events start nothing."""
    ended(machine, scenario, A_DAY_LATE, SWEPT)


TWICE = {
    "delivered-worker": (DELIVERED, WORKER_TWICE),
    "delivered-share-worker": (DELIVERED, SHARE_WORKER_TWICE),
    "cancelled-both": (CANCELLED, BOTH_TWICE),
    "failed-both": (FAILED, BOTH_TWICE),
}


@pytest.mark.parametrize(("scenario", "messages"), TWICE.values(), ids=TWICE)
def test_each_message_is_given_to_two_invocations_at_once(machine, scenario, messages):
    """The same step twice at the same moment, alternating at calls: one copy of each snapshot, one AMI."""
    ended(machine, scenario, messages, SWEPT, "messages given out twice", seeds=SEEDS)


def test_storms(machine):
    """A seeded mixture of all injections with kills; the soak plays others."""
    for name, outcome in play(machine, storms(STORMY, Random(SEEDS[0]), STORMS)):
        assert not outcome.problems, f"{name}: {outcome}"
