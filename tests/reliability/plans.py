"""What goes wrong in one run: deaths of functions at numbered calls, and what becomes of events, wakes and messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from awsim.injections import Injections
from demo import stage

When = Literal["before", "after"]
DAY = 86_400


@dataclass(frozen=True)
class FunctionCrash:
    """A function dies at call ``number`` of the run, counted over all functions from the scenario's first act.

    ``before``: the call has no effect. ``after``: it took effect, and nobody receives the answer. With ``function`` and
    ``operation`` only such calls are counted.
    """

    number: int
    when: When = "before"
    function: str = ""
    operation: str = ""


@dataclass(frozen=True)
class MessageFates:
    """What becomes of service events, wakes and messages; times in seconds, shares from 0 to 1."""

    lost: float = 0.0
    """Share of events that never come."""
    times: int = 1
    """So often comes each event."""
    spread: float = 0.0
    """Each comes a random while later, of up to so long: out of order."""
    late: float = 0.0
    """All come so much later."""
    early: float = 0.0
    """EC2's answers take so long that the events of a call come before it returned."""
    wakes_lost: bool = False
    """All wakes but the sweep's are lost."""
    twins: tuple[tuple[str, float], ...] = ()
    """(how a queue's name ends, share of its messages that two invocations get at once)."""

    def begin(self, injections: Injections) -> None:
        """Ask the world for it."""
        injections.drop_events(self.lost)
        injections.repeat_events(self.times)
        injections.shuffle_events(self.spread)
        injections.late_events(self.late)
        injections.early_events(self.early)
        if self.wakes_lost:
            injections.lose_messages(stage.WAKE_QUEUES, except_from="sweep")
        for queue, share in self.twins:
            injections.twin_messages(queue, share)


FAIR = MessageFates()
NO_EVENTS, NO_WAKES = MessageFates(lost=1.0), MessageFates(wakes_lost=True)
NOTHING_COMES = MessageFates(lost=1.0, wakes_lost=True)
THREE_TIMES, SHUFFLED = MessageFates(times=3, spread=600), MessageFates(spread=600)
EARLY, A_DAY_LATE = MessageFates(early=2), MessageFates(late=DAY)
_WORKER, _SHARE_WORKER = ("worker.fifo", 1.0), ("share-worker.fifo", 1.0)
WORKER_TWICE, SHARE_WORKER_TWICE, BOTH_TWICE = (
    MessageFates(twins=(_WORKER,)),
    MessageFates(twins=(_SHARE_WORKER,)),
    MessageFates(twins=(_WORKER, _SHARE_WORKER)),
)


@dataclass(frozen=True)
class RunPlan:
    """Everything that goes wrong in one run. ``seed`` decides what is left to chance; None: as without the plan."""

    crashes: tuple[FunctionCrash, ...] = ()
    weather: MessageFates = field(default=FAIR)
    seed: int | None = None

    @property
    def first(self) -> int:
        """Number of the first call that it may change."""
        named = any(crash.function or crash.operation for crash in self.crashes)
        if self.weather != FAIR or self.seed is not None or named or not self.crashes:
            return 1
        return min(crash.number for crash in self.crashes)

    def plain(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """Read it back."""
        weather = dict(plain["weather"])
        weather["twins"] = tuple((queue, share) for queue, share in weather["twins"])
        return cls(tuple(FunctionCrash(**crash) for crash in plain["crashes"]), MessageFates(**weather), plain["seed"])

    def __str__(self) -> str:
        named = [f"{c.when} {c.function} {c.operation or 'call'} {c.number}" for c in self.crashes]
        crashes = ", ".join(named)
        weather = {k: v for k, v in asdict(self.weather).items() if v != getattr(FAIR, k)}
        return f"crashes: {crashes or 'none'}; weather: {weather or 'fair'}; seed: {self.seed}"


@dataclass(frozen=True)
class RunOutcome:
    """What came of one run."""

    plan: RunPlan
    problems: tuple[str, ...]
    """What broke an invariant or the scenario's end; empty if nothing did."""
    struck: tuple[str, ...]
    """Each death that happened, as "function operation when"."""
    seconds: float
    """Virtual time until nothing was left to do."""
    ended: float
    """Virtual time until the promotion was over: its targets had what they get."""
    calls: int
    happened: Mapping[str, int]
    """How often which other fault struck (``Faults.happened``)."""
    story: str = ""
    """How things stood, if it failed."""

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """Read it back."""
        plan = RunPlan.read(plain["plan"])
        return cls(**{**plain, "plan": plan, "problems": tuple(plain["problems"]), "struck": tuple(plain["struck"])})

    def __str__(self) -> str:
        return "\n".join([str(self.plan), f"died: {self.struck}", *self.problems, self.story])


@dataclass(frozen=True)
class Point:
    """A call at which a function can die."""

    number: int
    function: str
    operation: str
