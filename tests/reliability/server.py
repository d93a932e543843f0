"""The process in which runs branch: ``python -m tests.reliability.server ROOT``, one job a line, one answer a line.

It is a separate process because only a process with one thread can be forked, and pytest's has more. It sets the
simulator up once; each job is a fork of it. Jobs: {"walk": scenario} and {"play": scenario, "plans": [...]}, both with
"package", a directory that the functions run instead of the built package, or "", and a "number" that the answers
repeat.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from awsim.world import World
from demo import stage
from tests.reliability.branches import explore, in_child, wait_for_threads, walk
from tests.reliability.modes import MODES
from tests.reliability.plans import RunPlan
from tests.reliability.scenario_run import ScenarioRun
from tests.reliability.scenarios import SCENARIOS
from tests.scenarios.platform import rule_of
from tests.scenarios.scene import REGION, TEST, Scene

SCHEDULED = 360
"""Seconds after which the schedules start again, on a whole minute, for any number of calls of the deployment."""
BEGINNING = SCHEDULED + 280
"""Seconds after the hub's deployment: the baseline exists, and the next discovery falls into the scenario."""


class Server:
    """Answers jobs from one unchanged simulator: each job has a copy of it."""

    def __init__(self, scene: Scene, answers: TextIO) -> None:
        self._scene = scene
        self._answers = answers
        self._number = 0
        self._walks: dict[tuple[str, str], dict[str, Any]] = {}

    def answer(self, job: Mapping[str, Any]) -> None:
        self._number = job["number"]
        scenario, package = job.get("walk") or job["play"], job["package"]
        if "walk" in job:
            self._say(self._walked(scenario, package))
            return
        plans = [RunPlan.read(plan) for plan in job["plans"]]
        early = all(plan.first == 1 for plan in plans)
        branches = [0] if early else self._walked(scenario, package)["branches"]
        in_child(lambda: explore(self._scenario_run(scenario, package), branches, plans, self._tell))

    def _walked(self, scenario: str, package: str) -> dict[str, Any]:
        if (scenario, package) not in self._walks:
            self._walks[scenario, package] = in_child(lambda: walk(self._scenario_run(scenario, package)).plain())
        return self._walks[scenario, package]

    def _tell(self, place: int, outcome: str) -> None:
        self._say({"place": place, "outcome": json.loads(outcome)})

    def _scenario_run(self, scenario: str, package: str) -> ScenarioRun:
        return ScenarioRun(self._scene, {**SCENARIOS, **MODES}[scenario], Path(package) if package else None)

    def _say(self, answer: Mapping[str, Any]) -> None:
        print(json.dumps({**answer, "number": self._number}), file=self._answers, flush=True)


def main() -> None:
    """Set the scene, then answer jobs until there are no more."""
    root = Path(sys.argv[1]).resolve()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output must not be taken for an answer
    with tempfile.TemporaryDirectory(prefix="reliability-") as directory, World() as world:
        os.environ["AWS_ACCESS_KEY_ID"] = world.accounts.root(stage.HUB).access_key
        os.environ["AWS_SECRET_ACCESS_KEY"] = "sandbox"
        os.environ["AWS_DEFAULT_REGION"] = REGION
        scene = Scene(world, Path(directory), root)
        scene.promote(TEST, scene.seed("another", volumes=stage.SIZES))  # so that environments are warm
        scene.wait(SCHEDULED - (world.now - world.start).total_seconds() - 1)
        rules = {rule_of(scene, function): minutes for function, minutes in (("sweep", 1), ("discover", 5))}
        scene.wait(SCHEDULED - (world.now - world.start).total_seconds())
        for rule, minutes in rules.items():
            rate = f"rate({minutes} minute{'s' if minutes > 1 else ''})"
            scene.client("events").put_rule(Name=rule, ScheduleExpression=rate, State="ENABLED")
        scene.wait(BEGINNING - (world.now - world.start).total_seconds())
        wait_for_threads()
        server = Server(scene, answers)
        for line in sys.stdin:
            server.answer(json.loads(line))


if __name__ == "__main__":
    main()
