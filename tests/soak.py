"""The soak: every suite of which the tests play samples, with new seeds, until the time is over. `make soak
MINUTES=30`.

Prints what it played. For a failure it prints the story and how to play it again, and exits with 1.
"""

import argparse
import contextlib
import importlib
import io
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

MODEL_CASES, MODEL_STEPS = 20, 30
"""Of the model: cases in a round, and the most steps in a case."""


@dataclass(frozen=True)
class SoakPart:
    """One suite. ``play(seconds, seed)`` returns how many cases it played, and the story of each failure."""

    name: str
    says: str
    play: Callable[[float, int], tuple[int, list[str]]]
    seconds: float
    """Seconds until the next part has its turn; a started case is finished."""


def _elsewhere(module: str) -> Callable[[float, int], tuple[int, list[str]]]:
    """Name a part's module, so that only this part loads its modules."""

    def play(seconds: float, number: int) -> tuple[int, list[str]]:
        run: Callable[[float, int], tuple[int, list[str]]] = importlib.import_module(module).run
        return run(seconds, number)

    return play


def _model(seconds: float, number: int) -> tuple[int, list[str]]:
    """Play rounds of the state machine, each with a seed of its own."""
    end, played = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        cases, stories = _model_round(number)
        played, number = played + cases, number + 1
        if stories:
            return played, stories
    return played, []


def _model_round(number: int) -> tuple[int, list[str]]:
    """Play one round of the state machine; for a broken invariant report the shortest story."""
    from tests.service.model import Model  # noqa: PLC0415 - see _elsewhere

    before = Model.cases
    chosen = settings(
        max_examples=MODEL_CASES,
        stateful_step_count=MODEL_STEPS,
        derandomize=False,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # hypothesis's own report of the steps
            run_state_machine_as_test(seed(number)(Model), settings=chosen)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if ".venv" not in frame.filename][-3:]
        reported = [
            *Model.reported,
            f"{type(error).__name__}: {error}".split("\nFalsifying example", maxsplit=1)[0],
            *(f"at {frame.filename}:{frame.lineno} ({frame.name})" for frame in where),
            f"(seed {number})",
        ]
        return Model.cases - before, ["\n  ".join(reported)]
    return Model.cases - before, []


class _Crashes:
    """Every single kill once, in an order that the first seed draws; each round continues where the last stopped."""

    def __init__(self) -> None:
        self._seed: int | None = None
        self._played = 0

    def __call__(self, seconds: float, number: int) -> tuple[int, list[str]]:
        from tests.reliability import soak  # noqa: PLC0415 - see _elsewhere

        self._seed = number if self._seed is None else self._seed
        played, stories = soak.run(seconds, self._seed, skip=self._played)
        self._played += played
        return played, stories


PARTS = (
    SoakPart("model", "the whole service in memory, whatever happens to it", _model, 60),
    SoakPart("crashes", "packaged functions that die at any call, in pairs, in any order of messages", _Crashes(), 300),
    SoakPart("troubles", "refusals and damaged records, packaged", _elsewhere("tests.scenarios.soak"), 30),
    SoakPart(
        "shares",
        "any part of a share's item in any wrong form, in DynamoDB",
        _elsewhere("tests.service.test_damaged_shares"),
        30,
    ),
    SoakPart(
        "permissions",
        "a permission or a condition less, packaged: the test that needs it fails",
        _elsewhere("tests.scenarios.without_permission"),
        60,
    ),
    SoakPart("waiting", "1,000 deliveries that wait for a slot", _elsewhere("tests.service.test_thousand"), 30),
    SoakPart("queue", "50 AMIs of 20 snapshots for one account", _elsewhere("tests.service.test_limits"), 30),
    SoakPart(
        "slow",
        "slow AWS, every function killed after every number of calls",
        _elsewhere("tests.service.slow_cases"),
        60,
    ),
    SoakPart(
        "outages", "each function off for hours from each state of each mode", _elsewhere("tests.service.outages"), 60
    ),
    SoakPart(
        "scale",
        "1,000 targets, 500 standing shares, 4,000 tagged AMIs on a slow AWS",
        _elsewhere("tests.service.scale"),
        60,
    ),
    SoakPart("growth", "what years of work cost, beside an empty hub", _elsewhere("tests.service.growth"), 60),
    SoakPart("events", "hostile events and tag values", _elsewhere("tests.entry.test_events_fuzz"), 20),
)


def main(arguments: list[str]) -> int:
    """Play rounds until the time is over, also after failures; return the exit status: 1 after a failure."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--seed", type=int, help="play the round of this seed, and no other")
    parser.add_argument("--part", choices=[part.name for part in PARTS], action="append", help="only this one")
    asked = parser.parse_args(arguments)
    parts = [part for part in PARTS if asked.part is None or part.name in asked.part]
    end = time.monotonic() + asked.minutes * 60
    cases: Counter[str] = Counter()
    failed = False
    for part, number in _rounds(parts, asked.seed):
        left = end - time.monotonic()
        if left <= 0:
            break
        played, stories = part.play(min(part.seconds, left), number)
        cases[part.name] += played
        for story in stories:
            failed = True
            said = f"{part.name}: an invariant was broken.\n  {story}\nAgain: make soak SEED={number} PART={part.name}"
            print(said, flush=True)  # noqa: T201
    for part in parts:
        print(f"{part.name}: {cases[part.name]:,} cases ({part.says}).")  # noqa: T201
    print("An invariant was broken: see above." if failed else "No invariant was broken.")  # noqa: T201
    return int(failed)


def _rounds(parts: list[SoakPart], only: int | None) -> Iterator[tuple[SoakPart, int]]:
    if only is not None:
        yield from ((part, only) for part in parts)
        return
    seeds = random.Random()
    while True:
        yield from ((part, seeds.randrange(10**9)) for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
