"""The service in memory on a slow AWS: each call takes time, functions are killed at their limit or sooner; outages.

Invocations run side by side, as real ones do: each has its own start and duration. An invocation that starts meanwhile
sees what the first one did as if done at once. Two messages of one record are processed one after the other.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from chalicelib.sharing.share import ShareState
from tests.service.cloud import Cloud
from tests.service.gate import Gate, ProcessKilled
from tests.service.groups import WakeMessage
from tests.service.hub import Hub

CONFIG = json.loads((Path(__file__).parents[2] / ".chalice" / "config.json").read_text())["stages"]["hub"]
LIMIT = int(CONFIG["lambda_timeout"])
LIMITS = {"worker": int(CONFIG["lambda_functions"]["worker"]["lambda_timeout"])}
"""Seconds of an invocation; of the others ``LIMIT``."""
FUNCTIONS = ("worker", "share-worker", "sweep", "discover", "events")
KEPT_FOR = 6 * 3600
"""Seconds for which Lambda keeps an event for a function that cannot run [Lambda developer guide, MaximumEventAge]."""

STORES = frozenset({"records", "ledger", "tracked", "slots", "wakes"})
SLICES = {
    "worker": frozenset({"records save"}),
    "share-worker": frozenset({"ledger save", "records save"}),
    "sweep": frozenset({"records put"}),
    "discover": frozenset({"records note", "records create_all", "records put"}),
    "events": frozenset({"wakes send"}),
}
"""The write with which each function ends a slice of its work."""
INTENTS = (ShareState.OPENING, ShareState.CLOSING)
IN_A_ROUND = 80
"""Wakes that the sweep sends in parallel: eight batches of ten."""


def function_of(name: str) -> str:
    """Return the name of the function that runs an invocation of the hub."""
    first = name.split(" ", maxsplit=1)[0]
    if first in ("sweep", "discover"):
        return first
    if first == "event":
        return "events"
    return "share-worker" if first.startswith("resource#") else "worker"


@dataclass
class SlowGate(Gate):
    """Lets each call take time, and kills an invocation at its limit, after a slice, or after this many calls."""

    seed: int = 0
    least: float = 0.1
    most: float = 2.0
    """Seconds that a call takes at most."""
    one_slice: frozenset[str] = frozenset()
    """Functions that are killed right after the first write of their results, in every invocation."""
    killed_after: Mapping[str, int] = field(default_factory=dict)
    """Functions that are killed after this many calls, in every invocation."""
    kills_left: int = 10**9
    killed: Counter[str] = field(default_factory=Counter)
    """How many invocations were killed, by reason."""
    cloud: Cloud | None = None

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._function = ""
        self._began, self._spent, self._made, self._worked = 0, 0.0, 0, False

    def begin(self, function: str) -> None:
        assert self.cloud is not None
        self._function, self._began = function, self.cloud.now
        self._spent, self._made, self._worked = 0.0, 0, False

    def left(self) -> int:
        """Whole seconds that the invocation still has, without those for long lists."""
        return int(LIMIT - self._spent)

    def call(self, name: str, method: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Let time pass, make the call, and perhaps kill the invocation."""
        if self.cloud is None:  # the invocation's first read
            return super().call(name, method, real, args, kwargs)
        made = partial(super().call, name, method, real, args, kwargs)
        self._spend(self._cost(name, method, args), made)
        result = made()
        self._made += 1
        if self._function in self.one_slice and self._ends_a_slice(name, method, args):
            self._kill("slice")
        self._worked = self._worked or name not in STORES
        if self._made >= self.killed_after.get(self._function, 10**9):
            self._kill("calls")
        return result

    def wait_for_page(self) -> None:
        """Let the time pass that a page of a list takes."""
        self._spend(self._random.uniform(self.least, self.most))

    def _spend(self, seconds: float, last: Callable[[], object] = lambda: None) -> None:
        """Let time pass; if the invocation has no more, kill it. ``last``: what may have taken effect before."""
        self._spent += seconds
        if self._spent > LIMITS.get(self._function, LIMIT):
            if self._random.random() < 0.5:
                last()
            self._kill("limit")
        self.cloud.now = max(self.cloud.now, self._began + int(self._spent))

    def _ends_a_slice(self, name: str, method: str, args: tuple[Any, ...]) -> bool:
        """Whether this call wrote a result, and not an intent."""
        if f"{name} {method}" not in SLICES[self._function]:
            return False
        if name == "ledger":
            return any(share.state not in INTENTS for share in args[0])
        return self._worked or self._function in ("sweep", "events")

    def _cost(self, name: str, method: str, args: tuple[Any, ...]) -> float:
        if name == "policies":  # KMS calls within it count one by one
            return 0
        rounds = -(-len(args[0]) // IN_A_ROUND) if method == "wake_all" else 1
        return sum(self._random.uniform(self.least, self.most) for _ in range(rounds))

    def _kill(self, why: str) -> None:
        if self.kills_left <= 0 and why != "limit":
            return
        self.kills_left -= why != "limit"
        self.killed[f"{self._function} {why}"] += 1
        raise ProcessKilled


@dataclass
class SlowHub(Hub):
    """A hub behind a ``SlowGate``; ``switch_off`` takes a function out of service for a while."""

    gate: SlowGate = field(default_factory=SlowGate)

    def __post_init__(self) -> None:
        self._off: dict[str, int] = {}
        super().__post_init__()
        self.gate.cloud = self.cloud
        self.cloud.waits_for_page = self.gate.wait_for_page

    def switch_off(self, function: str, seconds: int) -> None:
        """Switch a function off for this many seconds: its messages wait in the queue, its schedule is missed."""
        self._off[function] = self.cloud.now + seconds

    def _away(self, function: str) -> int:
        """Until when a function is off; 0 if it is on."""
        until = self._off.get(function, 0)
        return until if until > self.cloud.now else 0

    def _invoke(self, name: str, work: Callable[[], None]) -> bool:
        began = self.cloud.now
        self.gate.begin(function_of(name))
        lived = super()._invoke(name, work)
        self._ended_at, self.cloud.now = self.cloud.now, began
        return lived

    def _receive(self, message: WakeMessage) -> None:
        function = function_of(f"{message.key}")
        until = self._away(function)
        if until:
            self.groups.put_off(message, until)
            return
        super()._receive(message)
        self.groups.busy(message.key.pk, self._ended_at)

    def _sweep_now(self) -> None:
        until = self._away("sweep")
        if until:
            self._swept_at = until
        else:
            super()._sweep_now()

    def _discover_now(self) -> None:
        until = self._away("discover")
        if until:
            self._discover_at = until
        else:
            super()._discover_now()

    def _handle(self, event: dict[str, Any], attempt: int) -> None:
        until = self._away("events")
        if not until:
            super()._handle(event, attempt)
        elif until - self.cloud.now <= KEPT_FOR:
            self.cloud.after(until - self.cloud.now, lambda: self._handle(event, attempt))

    def _time_left(self) -> Callable[[], int]:
        return self.gate.left
