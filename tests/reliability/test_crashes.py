"""A function of the package may be killed at any AWS call, before the call's effect or after it, in every mode."""

from collections import Counter
from random import Random

import pytest

from tests.reliability import modes
from tests.reliability.ending import LATER, SEED
from tests.reliability.sampling import CHANGES, READING, each_kind, kills, pairs
from tests.reliability.soak import CRASHED, play

pytestmark = pytest.mark.thorough

FAMILIES = {
    "share": (
        (modes.WITHDRAWN, modes.DEREGISTERED, modes.DISABLED, modes.NARROWED),
        {"CreateGrant", "ModifyImageAttribute", "ModifySnapshotAttribute", "PutKeyPolicy", "RevokeGrant"},
    ),
    "policy": ((modes.BY_POLICY, modes.BY_POLICY_FAILED), {"CreateGrant", "PutKeyPolicy"}),
    "image": (
        (modes.COPY_IMAGE, modes.COPY_IMAGE_CANCELLED),
        {"CopyImage", "CreateTags", "DeleteSnapshot", "DeregisterImage", "ModifyImageAttribute"},
    ),
    "hub": ((modes.BETWEEN,), CHANGES),
    "pointer": (
        (modes.NAMED, modes.UNNAMED),
        {"AddTagsToResource", "DeleteParameter", "EnableImageDeprecation", "PutParameter"},
    ),
    "recall": ((modes.RECALLED, modes.RESTORED), CHANGES),
    "launch test": (
        (modes.TESTED, modes.TESTED_IN_VAIN),
        {"DeleteSnapshot", "DeregisterImage", "RunInstances", "TerminateInstances"},
    ),
}
"""Scenarios, and the calls with another effect there than in the families before them and in the plain copy."""
OPENING_AND_CLOSING = {"ModifyImageAttribute", "ModifySnapshotAttribute", "PutKeyPolicy", "CreateGrant", "RevokeGrant"}
MUCH_LATER = LATER + 60
"""Seconds by which one kill may delay the end if the second look after two minutes falls into a refusal's next try."""
PAIRS = 8


@pytest.fixture(scope="module")
def plain_runs(machine):
    """Each scenario without injections."""
    return {name: machine.walk(name) for name in (*CRASHED, *modes.MODES)}


def test_without_faults_every_scenario_comes_to_its_end(plain_runs):
    """Shared AMIs launch and others do not; what people had shared before is unchanged to the last byte.

    The calls of a plain copy cover six of the functions: all but those for the hub's own images and the monitor. Those
    of the modes include each way of opening and closing, and each that changes something is killed in some family.
    """
    assert {name: walk.outcome.problems for name, walk in plain_runs.items()} == dict.fromkeys(plain_runs, ())
    functions = {point.function for name in CRASHED for point in plain_runs[name].points}
    assert functions == {"worker", "share-worker", "sweep", "discover", "on-tag-change", "on-target-event"}
    made = {point.operation for name in modes.MODES for point in plain_runs[name].points}
    assert made >= {*OPENING_AND_CLOSING, "CopyImage", "CopySnapshot", "RegisterImage"}
    assert set().union(*(made & own for _, own in FAMILIES.values())) == made & CHANGES == CHANGES


def test_a_kill_at_each_kind_of_call_changes_nothing(machine, plain_runs):
    """Of a plain copy: one AMI or none, no orphan, nothing open, nothing parked, and nothing left to do soon after."""
    points = {name: plain_runs[name].points for name in CRASHED}
    for name, outcome in all_are_survived(machine, points):
        assert outcome.seconds <= plain_runs[name].outcome.seconds + LATER, f"late: {name}: {outcome}"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_kill_at_each_kind_of_call_that_changes_aws_changes_nothing(machine, plain_runs, family):
    """In a mode: the end is right, nothing is left open, and nothing of others is gone."""
    scenarios, own = FAMILIES[family]
    points = {one.name: [p for p in plain_runs[one.name].points if p.operation in own] for one in scenarios}
    all_end_in_time(machine, plain_runs, points)


def test_a_kill_at_each_kind_of_call_that_stops_or_opens_a_wave_changes_nothing(machine, plain_runs):
    """Of the worker, from a notice on until a delivery asks its target: the stop is notified, and a retry goes on."""
    chosen, counts = [], False
    for point in plain_runs[modes.WAVES.name].points:
        counts = point.operation == "Publish" or (counts and point.operation != "AssumeRole")
        if counts and point.function == "worker" and not point.operation.startswith(READING):
            chosen.append(point)
    all_end_in_time(machine, plain_runs, {modes.WAVES.name: chosen})


def all_end_in_time(machine, plain_runs, points):
    """Kill at each kind of these calls; the promotion is over not much later than without."""
    for name, outcome in all_are_survived(machine, points):
        assert outcome.ended <= plain_runs[name].outcome.ended + MUCH_LATER, f"late: {name}: {outcome}"


def all_are_survived(machine, points):
    """Kill before and after each kind of these calls; return each scenario's name and outcome.

    A seed chooses one of the many such calls; the soak plays all.
    """
    outcomes = list(play(machine, each_kind(points, Random(SEED))))
    kinds = {(p.function, p.operation) for made in points.values() for p in made}
    assert [f"{name}: {outcome}" for name, outcome in outcomes if outcome.problems] == []
    assert Counter(killed for _, outcome in outcomes for killed in outcome.killed) == Counter(
        f"{function} {operation} {when}" for function, operation in kinds for when in kills(operation)
    )
    return outcomes


def test_two_kills_in_one_run_change_nothing(machine, plain_runs):
    """The second kill comes during the recovery from the first, or later."""
    points = {name: plain_runs[name].points for name in CRASHED}
    killed = 0
    for name, outcome in play(machine, pairs(points, Random(SEED), PAIRS)):
        assert not outcome.problems, f"{name}: {outcome}"
        assert outcome.seconds <= plain_runs[name].outcome.seconds + 2 * LATER, f"late: {name}: {outcome}"
        killed += len(outcome.killed)
    assert killed > PAIRS
