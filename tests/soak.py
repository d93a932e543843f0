"""The long run: state machines with new seeds until time is over. `make soak MINUTES=30`.

Prints what was tried. Of a failure it prints the shrunk story, and how to play it again, and exits with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.service.story import Storied


@dataclass(frozen=True)
class Part:
    """One suite of the soak; ``load`` returns its machine, so that what one part needs is not loaded for others."""

    name: str
    says: str
    load: Callable[[], type[Storied]]
    cases: int = 20
    """In a round, after which another part has its turn."""
    steps: int = 30
    """In a case, at most."""


def _model() -> type[Storied]:
    from tests.service.model import Model  # noqa: PLC0415 - see Part

    return Model


PARTS = (Part("model", "core, store and ledger in memory, whatever befalls them", _model),)


def main(arguments: list[str]) -> int:
    """Run rounds until the time is over or something fails; return the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--seed", type=int, help="play this round again, and no other")
    parser.add_argument("--part", choices=[part.name for part in PARTS], action="append", help="only this one")
    asked = parser.parse_args(arguments)
    parts = [part for part in PARTS if asked.part is None or part.name in asked.part]
    seeds = random.Random().sample(range(10**9), 10**5) if asked.seed is None else [asked.seed]
    end = time.monotonic() + asked.minutes * 60
    failed = False
    for number, part in zip(seeds, itertools.cycle(parts), strict=False):
        if failed or time.monotonic() >= end:
            break
        failed = not play(part, number)
    for part in parts:
        machine = part.load()
        print(f"{part.name}: {machine.cases} cases, {machine.steps} steps ({part.says}).")  # noqa: T201
    return int(failed)


def play(part: Part, number: int) -> bool:
    """Play one round of a part; tell the story and return False if a law was broken."""
    machine = part.load()
    chosen = settings(
        max_examples=part.cases,
        stateful_step_count=part.steps,
        derandomize=False,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # hypothesis's own account of the steps
            run_state_machine_as_test(seed(number)(machine), settings=chosen)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if ".venv" not in frame.filename][-3:]
        lines = [
            f"{part.name}: a law was broken. The shortest story found:",
            *(f"  {sentence}" for sentence in machine.told),
            f"  {type(error).__name__}: {error}".split("\nFalsifying example", maxsplit=1)[0],
            *(f"  at {frame.filename}:{frame.lineno} ({frame.name})" for frame in where),
            f"Again: make soak SEED={number} PART={part.name}",
        ]
        print("\n".join(lines))  # noqa: T201
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
