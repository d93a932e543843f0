"""The soak's part with crashes and message injections: every single kill, with pairs and storms between them."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from random import Random

from tests.reliability.machine import CrashMachine
from tests.reliability.modes import MODES
from tests.reliability.plans import RunOutcome
from tests.reliability.sampling import Case, everywhere, pairs, storms
from tests.reliability.scenarios import AT_ONCE, CANCELLED, DELIVERED, FAILED

CRASHED = (DELIVERED.name, CANCELLED.name, FAILED.name)
STORMY = (DELIVERED.name, AT_ONCE.name, FAILED.name)
SOAKED = (*CRASHED, *MODES)
STORMED = (*STORMY, *MODES)
CHUNK = 60
"""Runs between two checks of the clock."""


def run(
    seconds: float, seed: int, tell: Callable[[str, RunOutcome], None] = lambda _name, _outcome: None, *, skip: int = 0
) -> tuple[int, list[str]]:
    """Play for this many seconds; return the number of runs, and the story of each failure.

    The single kills are about 11,000 runs, with a third as many pairs and storms in between; after those come further
    pairs and storms. ``skip``: how many runs have been played before.
    """
    until = time.monotonic() + seconds
    played, passed, stories = 0, 0, []
    with CrashMachine() as machine:
        for chunk in _chunks(machine, Random(seed)):
            if passed < skip:
                passed += len(chunk)
                continue
            if time.monotonic() >= until:
                break
            for name, outcome in play(machine, chunk):
                played += 1
                tell(name, outcome)
                if outcome.problems:
                    stories.append(f"{name}: {outcome}")
    return played, stories


def play(machine: CrashMachine, cases: Sequence[Case]) -> Iterator[tuple[str, RunOutcome]]:
    """Play cases, grouped by scenario."""
    ordered = sorted(cases, key=lambda case: (case[0], case[1].first))
    for name, group in groupby(ordered, key=lambda case: case[0]):
        for outcome in machine.play(name, [plan for _, plan in group]):
            yield name, outcome


def _chunks(machine: CrashMachine, random: Random) -> Iterator[list[Case]]:
    points = {name: machine.walk(name).points for name in SOAKED}
    cases = everywhere(points)
    random.shuffle(cases)
    for start in itertools.count(step=CHUNK):
        if start < len(cases):
            yield cases[start : start + CHUNK]
        if start >= len(cases) or start // CHUNK % 3 == 2:
            yield pairs(points, random, CHUNK // 2) + storms(STORMED, random, CHUNK // 2)
