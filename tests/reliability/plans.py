"""What goes wrong in one run: functions killed at numbered calls, and injections into events, wakes and messages."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from awsim.injections import Injections
from demo import stage

When = Literal["before", "after"]
DAY = 86_400


@dataclass(frozen=True)
class FunctionCrash:
    """A function is killed at call ``number`` of the run, counted over all functions from the scenario's first act.

    ``before``: the call has no effect. ``after``: it took effect, and its answer is lost. With ``function`` and
    ``operation`` only such calls are counted.
    """

    number: int
    when: When = "before"
    function: str = ""
    operation: str = ""


@dataclass(frozen=True)
class MessageInjections:
    """Injections into service events, wakes and messages; times in seconds, shares from 0 to 1."""

    lost: float = 0.0
    """Share of events that are lost."""
    times: int = 1
    """How often each event arrives."""
    spread: float = 0.0
    """Each event arrives up to this much later, at random: out of order."""
    late: float = 0.0
    """All events arrive this much later."""
    early: float = 0.0
    """EC2's answers take this long, so that events arrive before the call that caused them has returned."""
    wakes_lost: bool = False
    """All wakes except the sweep's are lost."""
    twins: tuple[tuple[str, float], ...] = ()
    """(end of a queue's name, share of its messages that two invocations receive at once)."""

    def begin(self, injections: Injections) -> None:
        """Order these injections from the simulator."""
        injections.drop_events(self.lost)
        injections.repeat_events(self.times)
        injections.shuffle_events(self.spread)
        injections.late_events(self.late)
        injections.early_events(self.early)
        if self.wakes_lost:
            injections.lose_messages(stage.WAKE_QUEUES, except_from="sweep")
        for queue, share in self.twins:
            injections.twin_messages(queue, share)


ALL_ON_TIME = MessageInjections()
NO_EVENTS, NO_WAKES = MessageInjections(lost=1.0), MessageInjections(wakes_lost=True)
NOTHING_COMES = MessageInjections(lost=1.0, wakes_lost=True)
THREE_TIMES, SHUFFLED = MessageInjections(times=3, spread=600), MessageInjections(spread=600)
EARLY, A_DAY_LATE = MessageInjections(early=2), MessageInjections(late=DAY)
_WORKER, _SHARE_WORKER = ("worker.fifo", 1.0), ("share-worker.fifo", 1.0)
WORKER_TWICE, SHARE_WORKER_TWICE, BOTH_TWICE = (
    MessageInjections(twins=(_WORKER,)),
    MessageInjections(twins=(_SHARE_WORKER,)),
    MessageInjections(twins=(_WORKER, _SHARE_WORKER)),
)


@dataclass(frozen=True)
class RunPlan:
    """Everything that goes wrong in one run. ``seed`` decides random choices; None: as without the plan."""

    crashes: tuple[FunctionCrash, ...] = ()
    messages: MessageInjections = field(default=ALL_ON_TIME)
    seed: int | None = None

    @property
    def first(self) -> int:
        """The number of the first call that the plan may change."""
        named = any(crash.function or crash.operation for crash in self.crashes)
        if self.messages != ALL_ON_TIME or self.seed is not None or named or not self.crashes:
            return 1
        return min(crash.number for crash in self.crashes)

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        messages = dict(plain["messages"])
        messages["twins"] = tuple((queue, share) for queue, share in messages["twins"])
        return cls(
            tuple(FunctionCrash(**crash) for crash in plain["crashes"]), MessageInjections(**messages), plain["seed"]
        )

    def __str__(self) -> str:
        named = [f"{c.when} {c.function} {c.operation or 'call'} {c.number}" for c in self.crashes]
        crashes = ", ".join(named)
        messages = {k: v for k, v in asdict(self.messages).items() if v != getattr(ALL_ON_TIME, k)}
        return f"crashes: {crashes or 'none'}; messages: {messages or 'on time'}; seed: {self.seed}"


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of one run."""

    plan: RunPlan
    problems: tuple[str, ...]
    """The violations of invariants or of the scenario's end; empty without any."""
    killed: tuple[str, ...]
    """Each kill that happened, as "function operation when"."""
    seconds: float
    """Virtual seconds until nothing was left to do but the audit of grants."""
    ended: float
    """Virtual seconds until the promotion was over."""
    calls: int
    happened: Mapping[str, int]
    """How often each other injection happened (``Injections.happened``)."""
    story: str = ""
    """The final state of a failed run."""

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        plan = RunPlan.read(plain["plan"])
        return cls(**{**plain, "plan": plan, "problems": tuple(plain["problems"]), "killed": tuple(plain["killed"])})

    def __str__(self) -> str:
        return "\n".join([str(self.plan), f"killed: {self.killed}", *self.problems, self.story])


@dataclass(frozen=True)
class Point:
    """A call at which a function can be killed."""

    number: int
    function: str
    operation: str
