"""Events and wakes in any order, number and time, on the packaged functions, in every mode: the same end, if later."""

from random import Random

import pytest

from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS, each, ended
from tests.reliability.modes import (
    BETWEEN,
    BY_POLICY_FAILED,
    COPY_IMAGE,
    COPY_IMAGE_CANCELLED,
    DEREGISTERED,
    DISABLED,
    MODES,
    NAMED,
    NARROWED,
    RESTORED,
    TESTED,
    UNNAMED,
    WAVES,
)
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

PLAIN = (DELIVERED, CANCELLED, FAILED)
SWEPT = 16 * 60
"""Seconds in which the sweep and discovery alone end a plain copy: five minutes to find it, then looks, of which those
after a removal fall on whole minutes."""
SWEPT_AND_CANCELLED = 17 * 60 + 30
"""The same where a removal of the tag ends running copies: their shares close two minutes after it was found, and four
more pass until the last look."""
SEVERAL_TIMES = 30 * 60
"""Seconds in which the sweep and discovery alone find and finish what two acts of people cause, as in most modes."""
WAVE_AFTER_WAVE = 50 * 60
"""The same for three deliveries, one after the other: the promotion looks at the end of one, and the next one at its
wave, each within a quarter of an hour. With 24 seeds it took 29 to 47 minutes.
"""


def in_time(scenario):
    """Seconds in which a scenario ends, whatever becomes of its events."""
    return SWEPT if scenario in PLAIN else SEVERAL_TIMES


@each(*PLAIN)
def test_every_event_is_lost(machine, scenario):
    """Discovery finds the tag and its removal, looks find the rest."""
    ended(machine, scenario, NO_EVENTS, SWEPT, "events lost")


@each(*PLAIN, DEREGISTERED, NARROWED, COPY_IMAGE, BETWEEN, WAVES, NAMED, RESTORED, TESTED)
def test_every_event_and_every_wake_but_the_sweeps_is_lost(machine, scenario):
    """Also events of an AMI that was deregistered, and of one that CopyImage made: the sweep alone is enough."""
    longer = {CANCELLED: SWEPT_AND_CANCELLED, WAVES: WAVE_AFTER_WAVE}
    seconds = longer.get(scenario, in_time(scenario))
    ended(machine, scenario, NOTHING_COMES, seconds, "events lost", "messages lost")


def test_every_wake_but_the_sweeps_is_lost(machine):
    """A record that should have been woken is due within a minute."""
    ended(machine, DELIVERED, NO_WAKES, SWEPT, "messages lost")


@each(*PLAIN, DISABLED, COPY_IMAGE, UNNAMED, RESTORED)
def test_every_event_comes_three_times(machine, scenario):
    """Also an AMI's states in hub and target, some of them after the end: one AMI, one outcome, one notice."""
    ended(machine, scenario, THREE_TIMES, in_time(scenario), "events repeated")


@each(*PLAIN, DEREGISTERED, NARROWED, COPY_IMAGE, COPY_IMAGE_CANCELLED)
def test_events_come_out_of_order(machine, scenario):
    """Each up to ten minutes late: tag and removal, ends of copies and of the AMI, available and deregistered."""
    ended(machine, scenario, SHUFFLED, in_time(scenario))


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
IN_MODES = (NARROWED, BY_POLICY_FAILED, COPY_IMAGE, COPY_IMAGE_CANCELLED, WAVES, NAMED, RESTORED, TESTED)
TWICE |= {one.name: (one, BOTH_TWICE) for one in IN_MODES}


@pytest.mark.parametrize(("scenario", "messages"), TWICE.values(), ids=TWICE)
def test_each_message_is_given_to_two_invocations_at_once(machine, scenario, messages):
    """The same step twice at the same moment, alternating at calls: one statement, one grant, one copy, one AMI."""
    seeds = SEEDS if scenario in PLAIN else SEEDS[:1]
    ended(machine, scenario, messages, in_time(scenario), "messages given out twice", seeds=seeds)


@pytest.mark.parametrize(("names", "count"), [(STORMY, 4), (sorted(MODES), 2)], ids=["plain", "modes"])
def test_storms(machine, names, count):
    """A seeded mixture of all injections with kills; the soak plays others."""
    for name, outcome in play(machine, storms(names, Random(SEEDS[0]), count)):
        assert not outcome.problems, f"{name}: {outcome}"
