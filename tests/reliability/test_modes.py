"""Kills and disorder in every mode: share mode, CopyImage, key policy, Auto Scaling, by way of the hub."""

from collections import Counter
from random import Random

import pytest

from tests.reliability.ending import LATER, SEED, ended
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
    WITHDRAWN,
)
from tests.reliability.plans import BOTH_TWICE, NOTHING_COMES, SHUFFLED, THREE_TIMES
from tests.reliability.sampling import CHANGES, WHENS, each_change, storms
from tests.reliability.soak import play

FAMILIES = {
    "share": (WITHDRAWN, DEREGISTERED, DISABLED, NARROWED),
    "policy": (BY_POLICY, BY_POLICY_FAILED),
    "image": (COPY_IMAGE, COPY_IMAGE_CANCELLED),
    "hub": (BETWEEN,),
    "pointer": (NAMED, UNNAMED),
    "recall": (RECALLED, RESTORED),
    "launch test": (TESTED, TESTED_IN_VAIN),
}
OPENING_AND_CLOSING = {"ModifyImageAttribute", "ModifySnapshotAttribute", "PutKeyPolicy", "CreateGrant", "RevokeGrant"}
SEVERAL_TIMES = 30 * 60
"""Seconds in which the sweep and discovery alone find and finish what two acts of people cause."""
MUCH_LATER = LATER + 60
"""Seconds by which one kill may delay the end if the second look after two minutes falls into a refusal's next try."""
STORMS = 2


@pytest.fixture(scope="module")
def plain_runs(machine):
    """Each scenario without injections."""
    return {name: machine.walk(name) for name in MODES}


def test_without_faults_every_mode_comes_to_its_end(plain_runs):
    """Shared AMIs launch and others do not; what people had shared before is unchanged to the last byte.

    The calls include each way of opening and closing.
    """
    assert {name: walk.outcome.problems for name, walk in plain_runs.items()} == dict.fromkeys(MODES, ())
    made = {point.operation for walk in plain_runs.values() for point in walk.points}
    assert made >= {*OPENING_AND_CLOSING, "CopyImage", "CopySnapshot", "RegisterImage"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_death_at_each_kind_of_call_that_changes_aws_changes_nothing(machine, plain_runs, family):
    """Before its effect and after it: the end is right, nothing is left open, and nothing of others is gone.

    A seed chooses one of the many such calls; the soak plays all, and those to the table and the queues.
    """
    points = {scenario.name: plain_runs[scenario.name].points for scenario in FAMILIES[family]}
    died: Counter[str] = Counter()
    for name, outcome in play(machine, each_change(points, Random(SEED))):
        assert not outcome.problems, f"{name}: {outcome}"
        assert outcome.ended <= plain_runs[name].outcome.ended + MUCH_LATER, f"late: {name}: {outcome}"
        died.update(outcome.killed)
    kinds = {(p.function, p.operation) for made in points.values() for p in made if p.operation in CHANGES}
    assert died == Counter(f"{function} {operation} {when}" for function, operation in kinds for when in WHENS)


@pytest.mark.parametrize(
    "scenario",
    [DEREGISTERED, NARROWED, COPY_IMAGE, BETWEEN, NAMED, RESTORED, TESTED],
    ids=lambda scenario: scenario.name,
)
def test_every_event_and_every_wake_but_the_sweeps_is_lost(machine, scenario):
    """Also events of an AMI that was deregistered, and of one that CopyImage made: the sweep alone is enough."""
    ended(machine, scenario, NOTHING_COMES, SEVERAL_TIMES, "events lost", "messages lost")


@pytest.mark.parametrize("scenario", [DISABLED, COPY_IMAGE, UNNAMED, RESTORED], ids=lambda scenario: scenario.name)
def test_every_event_comes_three_times(machine, scenario):
    """Also an AMI's states in hub and target, some of them after the end: one withdrawal, one notice."""
    ended(machine, scenario, THREE_TIMES, SEVERAL_TIMES, "events repeated")


@pytest.mark.parametrize("scenario", [DEREGISTERED, NARROWED, COPY_IMAGE_CANCELLED], ids=lambda scenario: scenario.name)
def test_events_come_out_of_order(machine, scenario):
    """Available and deregistered, the wider and the narrower value, in any order."""
    ended(machine, scenario, SHUFFLED, SEVERAL_TIMES)


@pytest.mark.parametrize(
    "scenario", [NARROWED, BY_POLICY_FAILED, NAMED, RESTORED, TESTED], ids=lambda scenario: scenario.name
)
def test_each_message_is_given_to_two_invocations_at_once(machine, scenario):
    """The same step twice at the same moment, alternating at calls: one statement, one grant, one copy."""
    ended(machine, scenario, BOTH_TWICE, SEVERAL_TIMES, "messages given out twice")


def test_storms(machine):
    """A seeded mixture of all injections with kills; the soak plays others."""
    for name, outcome in play(machine, storms(sorted(MODES), Random(SEED), STORMS)):
        assert not outcome.problems, f"{name}: {outcome}"
