"""All refusals and all kinds of damage, for any duration; the normal run draws a few of each by a seed."""

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from awsim.world import World
from demo import stage
from tests.scenarios import damage, test_poison, test_refusals
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import Scene, as_administrator

Kinds = Mapping[str, Any]

PARTS: tuple[tuple[Callable[[Scene, Kinds], None], Kinds], ...] = (
    (test_refusals.wrong_from_the_beginning, test_refusals.BEFORE),
    (test_refusals.wrong_midway, test_refusals.MIDWAY),
    (test_poison.damage_deliveries, damage.UNREADABLE_DELIVERY),
    (test_poison.damage_shares, damage.SHARES),
    (test_poison.damage_index, damage.HARMLESS),
)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Play all parts in turn, each in its own simulator; a started part is finished.

    Return how many troubles were played, and the failures.
    """
    rng, end = random.Random(seed), time.monotonic() + seconds
    cases, failures = 0, []
    parts = rng.sample(PARTS, len(PARTS))
    while time.monotonic() < end:
        play, kinds = parts[0]
        parts = parts[1:] + parts[:1]
        where = test_refusals.targets(kinds) if play.__module__ == test_refusals.__name__ else stage.TARGETS
        try:
            in_a_world(lambda scene, play=play, kinds=kinds: play(scene, kinds), rng.randrange(2**31), where)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the finding
            failures.append(f"seed {seed}, {play.__name__}: {failure!r:.2000}")
        cases += len(kinds)
    return cases, failures


def in_a_world(play: Callable[[Scene], None], seed: int, targets: Mapping[str, str]) -> None:
    """Play in a simulator of its own, with the hub and these targets deployed."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory, World(seed) as world:
        as_administrator(patch, Path(directory), world)
        play(Scene(world, Path(directory), ROOT, targets))
