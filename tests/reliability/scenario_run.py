"""One run of a scenario under a plan: its counted calls, when it is over, and its outcome."""

import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from awsim.runtime import Environment, package
from chalicelib.engine.addresses import RecordKey, is_audit
from tests.reliability.plans import ALL_ON_TIME, FunctionCrash, RunOutcome, RunPlan
from tests.reliability.scenarios import Scenario
from tests.scenarios.scene import HOUR, Scene

FUNCTION = "ami-promoter-us-east-1-"
"""The prefix of the functions' names."""
LIMIT = 2 * HOUR
"""The most virtual seconds of a run."""
TIMED_OUT = f"not within {LIMIT} virtual seconds"
MOST_CALLS = 2500
"""A run has some hundred calls; one with this many repeats itself without end."""
MOST_FAILED = 3
"""No invocation fails that no plan ordered to; after so many the run is stopped."""
OVERDUE = 15 * 60
"""Seconds after which somebody must have looked at what is due, also if the look was killed twice."""
SOON = 12 * HOUR
"""What is due later than in so many seconds is no work of the run: a pointer looks once a day."""
AFTERMATH = 240
"""Seconds for which a run is watched after its end: Lambda's second retry comes two minutes later."""


class TimedOut(Exception):
    """What the scenario waits for does not happen."""


class ScenarioRun:
    """A scene with a scenario; its functions' calls are counted from the end of its preparation on."""

    def __init__(self, scene: Scene, scenario: Scenario, mutated: Path | None = None) -> None:
        """``mutated``: the directory of a package that the functions run instead of the built one."""
        self.scene = scene
        self._mutated = mutated
        self.at_rest: Callable[[], None] = lambda: None
        """Called whenever no function is running."""
        self._scenario = scenario
        self._plan = RunPlan()
        self._began = scene.world.now
        self._ended = self._rested = 0.0
        self._crashes: list[tuple[Any, FunctionCrash]] = []
        scenario.prepare(scene)
        self._come_to_rest()
        self._began = scene.world.now
        if mutated is not None:
            install(scene, mutated)
        self._before = len(scene.world.injections.made)

    def _come_to_rest(self) -> None:
        """Let the runs end that the preparation caused: a new targets file wakes the worker."""
        limit = timedelta(seconds=AFTERMATH)
        if not self.scene.world.kernel.run(until=lambda: not self._busy() and not self._wakes(), limit=limit):
            raise RuntimeError("the preparation does not come to rest")

    @property
    def calls(self) -> list[tuple[str, str]]:
        """(function, operation) of every call since the scenario began."""
        made = self.scene.world.injections.made[self._before :]
        return [(function.removeprefix(FUNCTION), operation) for function, operation in made]

    @property
    def number(self) -> int:
        """How many calls there were."""
        return len(self.scene.world.injections.made) - self._before

    def begin_plan(self, plan: RunPlan) -> None:
        """Let a plan's injections begin: its crashes count from the scenario's start."""
        injections = self.scene.world.injections
        self._plan = plan
        if plan.seed is not None:
            self.scene.world.kernel.random.seed(plan.seed)
        for crash in plan.crashes:
            planned = injections.crash(crash.function, crash.operation, crash.number - self.number, crash.when)
            self._crashes.append((planned, crash))
        if plan.messages != ALL_ON_TIME:
            plan.messages.begin(injections)

    def run_until(self, what: Callable[[], object]) -> None:
        """Let virtual time run until a condition holds. Raises TimedOut or AssertionError."""

        def asked() -> bool:
            if not self._busy():
                self.at_rest()
            if self.scene.watch.problems:
                raise AssertionError("an invariant is broken")
            if self.number > MOST_CALLS:
                raise AssertionError(f"does not end: {self.number} calls")
            if len(self.scene.failed_invocations()) > MOST_FAILED:
                raise AssertionError("its functions fail again and again")
            return bool(what())

        if not self.scene.world.kernel.run(until=asked, limit=timedelta(seconds=LIMIT)):
            raise TimedOut

    def play(self) -> RunOutcome:
        """Run the scenario to its end, and return the outcome."""
        problems: list[str] = []
        seconds, calls = 0.0, 0
        try:
            self.at_rest()
            if self._mutated:
                self._start()
            self._scenario.act(self)
            self.run_until(self._over)
            seconds, calls = self._rested, self.number
            self._aftermath((self.scene.world.now - self._began).total_seconds())
            problems += [*self._scenario.problems(self.scene), *self.scene.broken_invariants()]
        except TimedOut:
            problems += [TIMED_OUT, *self._unfinished(), *self.scene.broken_invariants()]
        except AssertionError as failure:
            problems += [str(failure), *self.scene.watch.problems[:5], *self.scene.errors()]
        except Exception:  # noqa: BLE001 - an error of the simulator is reported with its run
            problems.append(traceback.format_exc())
        happened = dict(self.scene.world.injections.happened)
        story = self.scene.describe() if problems else ""
        return RunOutcome(self._plan, tuple(problems), self._killed(), seconds, self._ended, calls, happened, story)

    def _start(self) -> None:
        """Import a function's package. Raises AssertionError if that fails: no function would do anything."""
        function = next(iter(self.scene.world.lambda_.functions.values()))
        environment = Environment(function.package, function.handler, {}, self.scene.world.now)
        try:
            with environment.surroundings():
                environment.handler()
        except Exception as error:
            raise AssertionError(f"the package does not start: {error!r}") from error

    def _unfinished(self) -> list[str]:
        """What is wrong in a run that has no end: what was never begun, is due, or open and should be closed."""
        scene = self.scene
        late = scene.world.now.timestamp() - OVERDUE
        problems = [] if scene.record(f"promotion#{scene.image}")["state"] else ["nobody has looked at the tagged AMI"]
        problems += [f"nobody looks at what is due: {i['pk']}" for i in scene.items() if i.get("due_at", late) < late]
        if scene.world.ec2.state.images.get(scene.image).state != "available":
            open_ = sorted({*scene.world.shares_open()} - scene.preexisting)
            problems += [f"open, and nobody is entitled: {share}" for share in open_]
        return problems

    def _aftermath(self, seconds: float) -> None:
        """Later events must change nothing: retries, late events, more sweeps."""
        messages = self._plan.messages
        if messages.late:
            self._wait_without_schedules(self._began + timedelta(seconds=messages.late))
            self.scene.wait(seconds)
        self.scene.wait(AFTERMATH + messages.spread)
        self.run_until(self._over)

    def _wait_without_schedules(self, until: datetime) -> None:
        """Let a long time pass without schedules: nothing is due, so a thousand sweeps would do nothing."""
        events = self.scene.client("events")
        names = [rule["Name"] for rule in events.list_rules()["Rules"] if "ScheduleExpression" in rule]
        for name in names:
            events.disable_rule(Name=name)
        self.scene.wait((until - self.scene.world.now).total_seconds())
        for name in names:
            events.enable_rule(Name=name)

    def _busy(self) -> bool:
        return any(function.running for function in self.scene.world.lambda_.functions.values())

    def _over(self) -> bool:
        """Whether nothing is left to do: no function runs, no wake is under way, no record is due.

        A grant audit, which waits ten minutes whatever is lost, is played, and does not count for the run's seconds.
        """
        scene = self.scene
        if self._busy() or scene.record(f"promotion#{scene.image}")["state"] != "over":
            return False
        self._ended = self._ended or (scene.world.now - self._began).total_seconds()
        soon = scene.world.now.timestamp() + SOON
        due = [RecordKey.of(item) for item in scene.items() if item.get("due_at", soon) < soon]
        if not all(map(is_audit, due)):
            self._rested = 0.0
        if self._wakes() or not all(map(is_audit, due)):
            return False
        self._rested = self._rested or (scene.world.now - self._began).total_seconds()
        return not due

    def _wakes(self) -> bool:
        """Whether a wake is under way."""
        queues = self.scene.world.sqs.queues.values()
        return any(queue.groups for queue in queues if queue.fifo and "-dead" not in queue.name)

    def _killed(self) -> tuple[str, ...]:
        died = []
        for planned, crash in self._crashes:
            for ident in planned.invocations:
                (one,) = [i for i in self.scene.world.lambda_.invocations if i.id == ident]
                function = one.function.rpartition(FUNCTION)[2]
                died.append(f"{function} {one.error.rpartition(' ')[2]} {crash.when}")
        return tuple(died)


def install(scene: Scene, directory: Path) -> None:
    """Let every function run another package from now on, in cold environments."""
    for function in scene.world.lambda_.functions.values():
        function.package = package(directory)
        function.idle.clear()
