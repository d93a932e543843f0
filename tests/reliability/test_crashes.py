"""A function of the package may be killed at any AWS call, before the call's effect or after it."""

from collections import Counter
from random import Random

import pytest

from tests.reliability.ending import LATER, SEED
from tests.reliability.sampling import each_kind, kills, pairs
from tests.reliability.soak import CRASHED, play

pytestmark = pytest.mark.thorough

PAIRS = 8


@pytest.fixture(scope="module")
def plain_runs(machine):
    """Each scenario without injections."""
    return {name: machine.walk(name) for name in CRASHED}


def test_without_faults_every_scenario_comes_to_its_end(plain_runs):
    """The walked calls cover six of the functions: every one except those for the hub's own images and the monitor."""
    assert {name: walk.outcome.problems for name, walk in plain_runs.items()} == dict.fromkeys(CRASHED, ())
    functions = {point.function for walk in plain_runs.values() for point in walk.points}
    assert functions == {"worker", "share-worker", "sweep", "discover", "on-tag-change", "on-target-event"}


def test_a_death_at_each_kind_of_call_changes_nothing(machine, plain_runs):
    """For each function, operation and before or after: one AMI or none, no orphan, nothing open, nothing parked.

    A seed chooses one of the many such calls; the soak plays all.
    """
    points = {name: walk.points for name, walk in plain_runs.items()}
    cases = each_kind(points, Random(SEED))
    kinds = {(p.function, p.operation) for made in points.values() for p in made}
    died: Counter[str] = Counter()
    for name, outcome in play(machine, cases):
        assert not outcome.problems, f"{name}: {outcome}"
        assert outcome.seconds <= plain_runs[name].outcome.seconds + LATER, f"late: {name}: {outcome}"
        died.update(outcome.killed)
    assert died == Counter(
        f"{function} {operation} {when}" for function, operation in kinds for when in kills(operation)
    )


def test_two_deaths_in_one_run_change_nothing(machine, plain_runs):
    """The second kill comes during the recovery from the first, or later."""
    points = {name: walk.points for name, walk in plain_runs.items()}
    killed = 0
    for name, outcome in play(machine, pairs(points, Random(SEED), PAIRS)):
        assert not outcome.problems, f"{name}: {outcome}"
        assert outcome.seconds <= plain_runs[name].outcome.seconds + 2 * LATER, f"late: {name}: {outcome}"
        killed += len(outcome.killed)
    assert killed > PAIRS
