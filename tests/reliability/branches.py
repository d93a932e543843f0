"""How one run branches into many: by forks of its process.

The server walks through a run without injections. While no function runs there is only one thread, so the process can
be forked: the child continues with its own injections, and the parent waits for its outcome and walks on. So a run with
a crash at call 200 does not repeat the 190 calls before it.
"""

import gc
import json
import os
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.reliability.plans import Point, RunOutcome, RunPlan
from tests.reliability.scenario_run import ScenarioRun

TASKS = Path("/proc/self/task")
"""The process's threads on Linux; elsewhere Python's own count is used."""


@dataclass(frozen=True)
class Walk:
    """A run without injections: its calls, and the number of calls made at each moment at which it can branch."""

    points: tuple[Point, ...]
    branches: tuple[int, ...]
    outcome: RunOutcome

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def walk(run: ScenarioRun) -> Walk:
    """Run a scenario without injections, and record where it can branch."""
    branches: list[int] = []

    def note() -> None:
        if not branches or branches[-1] != run.number:
            branches.append(run.number)

    run.at_rest = note
    outcome = run.play()
    points = tuple(Point(number, *call) for number, call in enumerate(run.calls[: outcome.calls], start=1))
    return Walk(points, tuple(branches), outcome)


def explore(
    run: ScenarioRun, branches: Sequence[int], plans: Sequence[RunPlan], tell: Callable[[int, str], None]
) -> None:
    """Play each plan in a branch of its own: the last one before the first call that the plan may change.

    ``tell`` receives the plan's place in ``plans`` and its outcome as JSON.
    """
    waiting: dict[int, list[int]] = defaultdict(list)
    for place, plan in enumerate(plans):
        waiting[max(number for number in branches if number < plan.first)].append(place)
    result_pipe: list[int] = []

    def split() -> None:
        for place in waiting.pop(run.number, ()):
            wait_for_threads()
            reading, writing = os.pipe()
            if os.fork() == 0:
                gc.disable()  # it takes a second
                result_pipe.append(writing)
                run.at_rest = lambda: None
                run.begin_plan(plans[place])
                return
            os.close(writing)
            with os.fdopen(reading) as pipe:
                said = pipe.read()
            os.wait()
            tell(place, said)
        if not waiting:
            raise AllBranchesPlayed

    run.at_rest = split
    try:
        outcome = run.play()
    except AllBranchesPlayed:
        return
    finally:
        if result_pipe and sys.exc_info()[0] is not None:
            traceback.print_exc()
            os._exit(1)
    if result_pipe:
        with os.fdopen(result_pipe[0], "w") as pipe:
            json.dump(outcome.plain(), pipe)
        os._exit(0)
    raise RuntimeError(f"the walk went another way than before: it never rested after {sorted(waiting)} calls")


class AllBranchesPlayed(BaseException):
    """All branches have been played."""


def in_child(what: Callable[[], Any]) -> Any:
    """Run a function in a fork of this process and return its result, through JSON."""
    wait_for_threads()
    reading, writing = os.pipe()
    if os.fork() == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                json.dump(what(), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - the child must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.wait()
    return json.loads(said)


def wait_for_threads() -> None:
    """Wait for threads that are about to end.

    Python joins a thread before the operating system has ended it. A lock that it still holds then, such as one of
    OpenSSL, would stay locked in a fork.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
    while TASKS.exists() and len(list(TASKS.iterdir())) > 1:
        os.sched_yield()
