"""Fault injections: crashes, lost and doubled events, lost messages, throttles, outages, stale reads.

Nothing is injected until a test asks for it; :meth:`Injections.calm` ends all injections. Chance comes from the
kernel's seeded generator, so the same seed gives the same run.

The gateway asks :meth:`Injections.before` when a call has arrived and :meth:`Injections.after` when it has taken
effect; EventBridge asks :meth:`Injections.arrivals` for each event, SQS :meth:`Injections.loses`, Lambda
:meth:`Injections.twin`, and services with eventually consistent reads :meth:`Injections.as_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NoReturn

from awsim.api import AwsError, Call
from awsim.kernel import Kernel, Killed
from awsim.patterns import called

THROTTLED = {
    "dynamodb": ("ThrottlingException", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "events": ("ThrottlingException", 400),
    "kms": ("ThrottlingException", 400),
    "lambda": ("TooManyRequestsException", 429),
    "sns": ("ThrottledException", 429),
    "sqs": ("RequestThrottled", 403),
    "ssm": ("ThrottlingException", 400),
    "sts": ("Throttling", 400),
}
"""Each service's throttling error: code and HTTP status."""

CALL_SECONDS = (0.02, 0.04)
"""How long an AWS call takes, in virtual seconds: from, to."""


@dataclass(slots=True)
class PlannedCrash:
    """A planned kill of ``function``'s invocation at the ``nth`` call of ``operation`` from now on.

    An empty name means any: with both empty, ``nth`` counts the calls of all functions.
    """

    function: str
    operation: str
    nth: int
    when: Literal["before", "after"]
    seen: int = 0
    call: str = ""
    """Request id of the call at which it kills, once that has arrived."""
    invocations: list[str] = field(default_factory=list)
    """Ids of the invocations that it killed."""

    @property
    def happened(self) -> bool:
        """Whether it has killed an invocation."""
        return bool(self.invocations)


@dataclass(slots=True)
class _Refusal:
    service: str
    operation: str
    account: str
    left: int
    until: datetime | None
    code: str
    status: int


class Injections:
    """The injections of one world."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.happened: Counter[str] = Counter()
        """How often each was injected: ``events lost``, ``events doubled``, ``events repeated``, ``messages lost``,
        ``messages given out twice``."""
        self.made: list[tuple[str, str]] = []
        """(function, operation) of each call of a function, refused ones included: crashes count these."""
        self.calm()

    def calm(self) -> None:
        """End all injections, planned ones too."""
        self.crashes: list[PlannedCrash] = []
        self._refusals: list[_Refusal] = []
        self._dropped = self._doubled = 0.0
        self._times = 1
        self._twins: dict[str, float] = {}
        self._spread = self._late = self._early = 0.0
        self._silent = False
        self._deaf: tuple[str, ...] = ()
        self._received = ""
        self._stale: dict[str, list[timedelta]] = {}

    # --- asked for by tests ---

    def crash(
        self, function: str, operation: str, nth: int = 1, when: Literal["before", "after"] = "before"
    ) -> PlannedCrash:
        """Kill an invocation at its ``nth`` call of ``operation`` from now on, counted over all its invocations.

        ``function`` is the name or its last part (``worker``). ``before``: the call takes no effect; ``after``: it
        takes effect, and the caller gets no answer. The killed invocation can make no other call.
        """
        self.crashes.append(PlannedCrash(function, operation, nth, when))
        return self.crashes[-1]

    def drop_events(self, share: float = 1.0) -> None:
        """Lose this share of the service events (those of ``aws.*``, but not scheduled ones, which AWS guarantees)."""
        self._dropped = share

    def double_events(self, share: float = 1.0) -> None:
        """Deliver this share of the service events twice, up to a minute apart."""
        self._doubled = share

    def repeat_events(self, times: int = 3) -> None:
        """Deliver every service event so many times, each repeat up to a minute after the first."""
        self._times = times

    def twin_messages(self, queue: str, share: float = 1.0) -> None:
        """Give this share of a queue's messages to two invocations at once; ``queue`` as for ``called``."""
        self._twins[queue] = share

    def shuffle_events(self, seconds: float = 60) -> None:
        """Deliver each service event after a random time of up to ``seconds``, so out of order."""
        self._spread = seconds

    def late_events(self, seconds: float) -> None:
        """Deliver service events this much later."""
        self._late = seconds

    def early_events(self, seconds: float = 2) -> None:
        """Delay the answer of each EC2 call that changes something, so that its events arrive before the answer."""
        self._early = seconds

    def lose_messages(self, queues: Sequence[str], except_from: str = "") -> None:
        """Lose every message to these queues (named as for ``called``), except those of the named function.

        Senders see success.
        """
        self._deaf, self._received = tuple(queues), except_from

    def throttle(self, operation: str, n: int = 1, service: str = "") -> None:
        """Throttle the next ``n`` calls of ``operation``."""
        self._refusals.append(_Refusal(service, operation, "", n, None, "", 0))

    def outage(self, service: str, seconds: float, account: str = "") -> None:
        """Refuse every call to a service for a while, as unavailable (HTTP 503)."""
        until = self._kernel.now + timedelta(seconds=seconds)
        self._refusals.append(_Refusal(service, "", account, 0, until, "ServiceUnavailable", 503))

    def refuse(self, operation: str, code: str, n: int = 1, account: str = "", status: int = 400) -> None:
        """Refuse the next ``n`` calls of ``operation`` with an error code."""
        self._refusals.append(_Refusal("", operation, account, n, None, code, status))

    def stale_reads(self, operation: str, n: int = 1, seconds: float = 60) -> None:
        """Answer the next ``n`` calls of a read with the state of some seconds ago."""
        self._stale.setdefault(operation, []).extend([timedelta(seconds=seconds)] * n)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Lose all service events within the context."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    # --- asked by the world ---

    def before(self, call: Call) -> None:
        """Handle the arrival of a call: let others run, then refuse it or kill its caller. Raises AwsError, Killed."""
        kernel = self._kernel
        kernel.elapse(kernel.random.uniform(*CALL_SECONDS))
        strand = kernel.current
        call.invocation = strand.invocation if strand else None
        if strand:
            self.made.append((strand.function, call.operation))
        self._die(call, "before")
        for refusal in self._refusals:
            if self._hits(refusal, call):
                refusal.left -= 1
                code, status = THROTTLED.get(call.service, ("ThrottlingException", 400))
                code, status = refusal.code or code, refusal.status or status
                raise AwsError(
                    code, f"{call.operation} is refused by an injection that this world was asked for", status
                )

    def after(self, call: Call) -> None:
        """Handle the effect of a call: kill its caller, or delay the answer. Raises Killed."""
        self._die(call, "after")
        if self._early and call.service == "ec2" and not call.operation.startswith("Describe"):
            self._kernel.elapse(self._early)

    def arrivals(self, source: str) -> list[float]:
        """Return for each arrival of an event of this source after how many seconds it is; empty: it is lost."""
        if not source.startswith("aws.") or source == "aws.events":
            return [self._kernel.random.uniform(0.1, 1.0)]
        random = self._kernel.random
        if self._silent or (self._dropped and random.random() < self._dropped):
            self.happened["events lost"] += 1
            return []
        times = [random.uniform(0.2, 1.5) + self._late]
        if self._doubled and random.random() < self._doubled:
            self.happened["events doubled"] += 1
            times.append(times[0] + random.uniform(0, 60))
        times += [times[0] + random.uniform(0, 60) for _ in range(1, self._times)]
        self.happened["events repeated"] += self._times - 1
        return [seconds + random.uniform(0, self._spread) for seconds in times]

    def loses(self, queue: str) -> bool:
        """Whether a message sent to a queue now is lost."""
        strand = self._kernel.current
        sender = strand.function if strand else ""
        lost = any(called(queue, name) for name in self._deaf) and not (
            self._received and called(sender, self._received)
        )
        self.happened["messages lost"] += lost
        return lost

    def twin(self, queue: str) -> bool:
        """Whether a queue gives a message to a second invocation as well."""
        random = self._kernel.random
        twin = any(called(queue, name) and random.random() < share for name, share in self._twins.items())
        self.happened["messages given out twice"] += twin
        return twin

    def as_of(self, call: Call) -> datetime:
        """Return the time whose state a read shows: now, unless the reads of this operation are stale."""
        lags = self._stale.get(call.operation)
        return self._kernel.now - (lags.pop(0) if lags else timedelta())

    def _hits(self, refusal: _Refusal, call: Call) -> bool:
        if refusal.until is None and refusal.left <= 0:
            return False
        if refusal.until is not None and self._kernel.now >= refusal.until:
            return False
        wanted = (refusal.service, refusal.operation, refusal.account)
        given = (call.service, call.operation, call.caller.account)
        return all(not w or w == g for w, g in zip(wanted, given, strict=True))

    def _die(self, call: Call, when: str) -> None:
        strand = self._kernel.current
        if strand is None:
            return
        for crash in self.crashes:
            if when == "before" and crash.call == "" and _meant(crash, call, strand.function):
                crash.seen += 1
                crash.call = call.request_id if crash.seen == crash.nth else ""
            if crash.when == when and crash.call == call.request_id:
                crash.invocations.append(strand.invocation)
                self._kill(f"crashed {when} {call.operation}")

    def _kill(self, why: str) -> NoReturn:
        strand = self._kernel.current
        assert strand is not None  # noqa: S101 - only strands are killed
        strand.kill(why)
        raise Killed(why)


def _meant(crash: PlannedCrash, call: Call, function: str) -> bool:
    return crash.operation in ("", call.operation) and (crash.function == "" or called(function, crash.function))
