"""Kills and disorder in every mode: share mode, CopyImage, key policy, Auto Scaling, by way of the hub."""

from collections import Counter
from random import Random

import pytest

from tests.reliability.ending import LATER, SEED, each, ended
from tests.reliability.modes import (
    BETWEEN,
    BY_POLICY,
    BY_POLICY_FAILED,
    COPY_IMAGE,
    COPY_IMAGE_CANCELLED,
    DEREGISTERED,
    DISABLED,
    MODES,
    NAMED,
    NARROWED,
    RECALLED,
    RESTORED,
    TESTED,
    TESTED_IN_VAIN,
    UNNAMED,
    WAVES,
    WITHDRAWN,
)
from tests.reliability.plans import BOTH_TWICE, NOTHING_COMES, SHUFFLED, THREE_TIMES
from tests.reliability.sampling import CHANGES, READING, WHENS, each_kind, storms
from tests.reliability.soak import play

pytestmark = pytest.mark.thorough

FAMILIES = {
    "share": (
        (WITHDRAWN, DEREGISTERED, DISABLED, NARROWED),
        {"CreateGrant", "ModifyImageAttribute", "ModifySnapshotAttribute", "PutKeyPolicy", "RevokeGrant"},
    ),
    "policy": ((BY_POLICY, BY_POLICY_FAILED), {"CreateGrant", "PutKeyPolicy"}),
    "image": (
        (COPY_IMAGE, COPY_IMAGE_CANCELLED),
        {"CopyImage", "CreateTags", "DeleteSnapshot", "DeregisterImage", "ModifyImageAttribute"},
    ),
    "hub": ((BETWEEN,), CHANGES),
    "pointer": ((NAMED, UNNAMED), {"AddTagsToResource", "DeleteParameter", "EnableImageDeprecation", "PutParameter"}),
    "recall": ((RECALLED, RESTORED), CHANGES),
    "launch test": (
        (TESTED, TESTED_IN_VAIN),
        {"DeleteSnapshot", "DeregisterImage", "RunInstances", "TerminateInstances"},
    ),
}
"""Scenarios, and the calls with another effect there than in the families before them and in ``test_crashes``."""
OPENING_AND_CLOSING = {"ModifyImageAttribute", "ModifySnapshotAttribute", "PutKeyPolicy", "CreateGrant", "RevokeGrant"}
SEVERAL_TIMES = 30 * 60
"""Seconds in which the sweep and discovery alone find and finish what two acts of people cause."""
WAVE_AFTER_WAVE = 50 * 60
"""The same for three deliveries, one after the other: the promotion looks at the end of one, and the next one at its
wave, each within a quarter of an hour. With 24 seeds it took 29 to 47 minutes.
"""
MUCH_LATER = LATER + 60
"""Seconds by which one kill may delay the end if the second look after two minutes falls into a refusal's next try."""
STORMS = 2


@pytest.fixture(scope="module")
def plain_runs(machine):
    """Each scenario without injections."""
    return {name: machine.walk(name) for name in MODES}


def test_without_faults_every_mode_comes_to_its_end(plain_runs):
    """Shared AMIs launch and others do not; what people had shared before is unchanged to the last byte.

    The calls include each way of opening and closing, and each that changes something is killed in some family.
    """
    assert {name: walk.outcome.problems for name, walk in plain_runs.items()} == dict.fromkeys(MODES, ())
    made = {point.operation for walk in plain_runs.values() for point in walk.points}
    assert made >= {*OPENING_AND_CLOSING, "CopyImage", "CopySnapshot", "RegisterImage"}
    assert set().union(*(made & own for _, own in FAMILIES.values())) == made & CHANGES == CHANGES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_death_at_each_kind_of_call_that_changes_aws_changes_nothing(machine, plain_runs, family):
    """Before its effect and after it: the end is right, nothing is left open, and nothing of others is gone.

    A seed chooses one of the many such calls; the soak plays all, and those to the table and the queues.
    """
    scenarios, own = FAMILIES[family]
    points = {one.name: [p for p in plain_runs[one.name].points if p.operation in own] for one in scenarios}
    all_are_survived(machine, plain_runs, points)


def all_are_survived(machine, plain_runs, points):
    """Kill before and after each kind of these calls."""
    died: Counter[str] = Counter()
    for name, outcome in play(machine, each_kind(points, Random(SEED))):
        assert not outcome.problems, f"{name}: {outcome}"
        assert outcome.ended <= plain_runs[name].outcome.ended + MUCH_LATER, f"late: {name}: {outcome}"
        died.update(outcome.killed)
    kinds = {(p.function, p.operation) for made in points.values() for p in made}
    assert died == Counter(f"{function} {operation} {when}" for function, operation in kinds for when in WHENS)


def test_a_death_at_each_kind_of_call_that_stops_or_opens_a_wave_changes_nothing(machine, plain_runs):
    """Of the worker, from a notice on until a delivery asks its target: the stop is notified, and a retry goes on."""
    chosen, counts = [], False
    for point in plain_runs[WAVES.name].points:
        counts = point.operation == "Publish" or (counts and point.operation != "AssumeRole")
        if counts and point.function == "worker" and not point.operation.startswith(READING):
            chosen.append(point)
    all_are_survived(machine, plain_runs, {WAVES.name: chosen})


@each(DEREGISTERED, NARROWED, COPY_IMAGE, BETWEEN, WAVES, NAMED, RESTORED, TESTED)
def test_every_event_and_every_wake_but_the_sweeps_is_lost(machine, scenario):
    """Also events of an AMI that was deregistered, and of one that CopyImage made: the sweep alone is enough."""
    seconds = WAVE_AFTER_WAVE if scenario is WAVES else SEVERAL_TIMES
    ended(machine, scenario, NOTHING_COMES, seconds, "events lost", "messages lost")


@each(DISABLED, COPY_IMAGE, UNNAMED, RESTORED)
def test_every_event_comes_three_times(machine, scenario):
    """Also an AMI's states in hub and target, some of them after the end: one withdrawal, one notice."""
    ended(machine, scenario, THREE_TIMES, SEVERAL_TIMES, "events repeated")


@each(DEREGISTERED, NARROWED, COPY_IMAGE, COPY_IMAGE_CANCELLED)
def test_events_come_out_of_order(machine, scenario):
    """Available and deregistered, the wider and the narrower value, in any order."""
    ended(machine, scenario, SHUFFLED, SEVERAL_TIMES)


@each(NARROWED, BY_POLICY_FAILED, COPY_IMAGE, COPY_IMAGE_CANCELLED, WAVES, NAMED, RESTORED, TESTED)
def test_each_message_is_given_to_two_invocations_at_once(machine, scenario):
    """The same step twice at the same moment, alternating at calls: one statement, one grant, one copy."""
    ended(machine, scenario, BOTH_TWICE, SEVERAL_TIMES, "messages given out twice")


def test_storms(machine):
    """A seeded mixture of all injections with kills; the soak plays others."""
    for name, outcome in play(machine, storms(sorted(MODES), Random(SEED), STORMS)):
        assert not outcome.problems, f"{name}: {outcome}"
