"""The interface for tests and the soak: the calls of a scenario, and its outcomes under plans."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.reliability.plans import Point, RunOutcome, RunPlan

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PlainRun:
    """A run without injections."""

    points: tuple[Point, ...]
    outcome: RunOutcome


class CrashMachine:
    """A server with the built package, used as a context."""

    def __init__(self) -> None:
        self._jobs = 0
        hidden = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_REGION")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        environment |= {"PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.server", str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def walk(self, scenario: str) -> PlainRun:
        said = self._answer(self._ask({"walk": scenario, "package": ""}))
        points = tuple(Point(**point) for point in said["points"])
        return PlainRun(points, RunOutcome.read(said["outcome"]))

    def play(self, scenario: str, plans: Sequence[RunPlan], package: str = "") -> Iterator[RunOutcome]:
        """Run a scenario under each plan; outcomes are yielded as they arrive, not in the order of the plans."""
        number = self._ask({"play": scenario, "plans": [plan.plain() for plan in plans], "package": package})
        for _ in plans:
            yield RunOutcome.read(self._answer(number)["outcome"])

    def _ask(self, job: dict[str, Any]) -> int:
        """Send the server a job; return the number that its answers have."""
        assert self._process.stdin is not None
        self._jobs += 1
        self._process.stdin.write(json.dumps({**job, "number": self._jobs}) + "\n")
        self._process.stdin.flush()
        return self._jobs

    def _answer(self, number: int) -> dict[str, Any]:
        """Return the next answer to a job; answers to earlier jobs, which a failed test left unread, are skipped."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if answer["number"] == number:
                return answer
        raise RuntimeError("the server ended; what it said is among the errors above")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate()
