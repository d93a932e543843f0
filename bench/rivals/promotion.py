"""The promotion that every rival gets, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bench.case import CALL_SECONDS, REGISTER_SECONDS, Case, copy_seconds

SEED = 14


@dataclass(frozen=True, slots=True)
class PlayedPromotion:
    """Durations of the copies, for each target and volume, in seconds."""

    durations: Sequence[Sequence[float]]

    @property
    def targets(self) -> int:
        """How many AMIs are to be made."""
        return len(self.durations)

    @property
    def volumes(self) -> int:
        """How many snapshots the AMI has."""
        return len(self.durations[0])


def promotion(case: Case) -> PlayedPromotion:
    """Draw a promotion of a case: durations as the simulator's, a fifth more or less."""
    random = Random(SEED)
    return PlayedPromotion([[copy_seconds(gib, random.random()) for gib in case.sizes] for _ in range(case.deliveries)])


@dataclass
class RivalOutcome:
    """What a rival took. Seconds are counted from its start."""

    name: str
    targets: int
    delivered: int = 0
    seconds: float = 0.0
    """Until the last delivery, had nothing stopped it."""
    functions: float = 0.0
    """Billed seconds of functions, had nothing stopped them."""
    machine: float = 0.0
    """Seconds in which somebody's machine or build runner has to stay up."""
    invocations: int = 0
    transitions: int = 0
    hub_calls: Counter[str] = field(default_factory=Counter)
    target_calls: Counter[str] = field(default_factory=Counter)
    left_open: bool = False
    """Whether shares and grants stay after it."""

    @property
    def calls(self) -> int:
        """AWS calls of all accounts."""
        return self.hub_calls.total() + self.target_calls.total()


@dataclass
class PlayedClock:
    """Time of one process that makes calls one after another."""

    now: float = 0.0

    def calls(self, counted: Counter[str], *names: str) -> None:
        """Make calls."""
        counted.update(names)
        self.now += CALL_SECONDS * len(names)

    def poll(self, counted: Counter[str], name: str, until: float, every: float) -> None:
        """Look, sleep and look again until something is over, and see it."""
        self.calls(counted, name)
        while self.now < until:
            self.now += every
            self.calls(counted, name)

    def register(self, counted: Counter[str]) -> None:
        """Register the AMI, and wait until it is available."""
        self.calls(counted, "RegisterImage")
        self.now += REGISTER_SECONDS
        self.calls(counted, "DescribeImages")
