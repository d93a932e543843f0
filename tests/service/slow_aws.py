"""One resource of an AWS whose calls take time, and a share worker that is killed at its limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib.delivery.worker.share_waiters import WaitingDeliveries
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import Refusal
from chalicelib.engine.ports import Write
from chalicelib.engine.waker import Waker
from chalicelib.engine.wakes import Wake
from chalicelib.sharing.grant_names import nameless
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.worker.share_worker import ShareWorker
from tests.fakes import copying
from tests.service.cloud import Quiet
from tests.service.gate import ProcessKilled
from tests.stores import Stores, in_memory

START = 1_800_000_000
LIMIT = 30
"""Seconds of an invocation."""
ACCOUNT = "200000000001"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/AmiCopyRole"


class Slow:
    """The permissions of one resource. ``refuses``: returns what to raise for a batch, or None."""

    def __init__(self, resource: SlowResource, batch: int) -> None:
        self.resource, self.batch = resource, batch
        self.there: set[str] = set()
        self.listed: set[str] = set()
        """Ids of grants; one whose role was deleted is listed, but does not show."""
        self.calls: Counter[str] = Counter()
        self.refuses: Callable[[str, Sequence[Share]], Refusal | None] = lambda _what, _shares: None

    def showing(self, shares: Sequence[Share]) -> frozenset[str]:
        self._call("showing", shares)
        return frozenset(s.share_name for s in shares if s.share_name in self.there)

    def open(self, shares: Sequence[Share]) -> dict[str, str]:
        self._call("open", shares)
        self.there |= {s.share_name for s in shares}
        grants = {s.share_name: f"grant-of-{s.share_name}-{s.intended_at}" for s in shares} if self.batch == 1 else {}
        self.listed |= set(grants.values())
        return grants

    def close(self, shares: Sequence[Share]) -> bool:
        self._call("close", shares)
        self.there -= {s.share_name for s in shares}
        self.listed -= {s.grant_id for s in shares}
        return False

    def _call(self, what: str, shares: Sequence[Share]) -> None:
        self.calls[what] += 1
        self.resource.spend()
        refusal = self.refuses(what, shares)
        if refusal is not None:
            raise refusal


class SlowStore:
    """A store whose every call takes time."""

    def __init__(self, store: Any, resource: SlowResource) -> None:
        self._store, self._resource = store, resource

    def __getattr__(self, name: str) -> Any:
        """Return a method that takes time; a write of 120 shares is three transactions."""
        method = getattr(self._store, name)

        def slow(*args: Any, **given: Any) -> Any:
            written = args[0] if name in ("save", "archive") and isinstance(args[0], list) else ()
            for _ in range(max(1, -(-len(written) // 50))):
                self._resource.spend()
            return method(*args, **given)

        return slow


class EverybodyMay:
    """The port ``Entitlements``: the applied file contains each account, and prolongs no share."""

    def __init__(self, resource: SlowResource) -> None:
        self._resource = resource

    def may_stay_until(self, shares: Sequence[Share]) -> Mapping[str, int]:
        return {share.share_name: 0 for share in shares}

    def judge(self, _shares: Sequence[Share], _has_time: object = None) -> Judgement:
        self._resource.spend()
        return Judgement()


class SlowResource:
    """A resource with its shares, holders and worker; ``seconds``: the duration of each call, DynamoDB's included."""

    def __init__(self, resource: RecordKey, seconds: float = 0.0, *, batch: int = 500) -> None:
        self.key, self.seconds = resource, seconds
        self.now, self.ends = float(START), float("inf")
        self.stores: Stores = in_memory()
        self.permissions = Slow(self, batch)
        self.telemetry = Quiet()
        self.woken = False
        self.killed = 0
        self.one_slice = False
        """Whether each run has time for one slice only."""
        self.wakes: list[RecordKey] = []
        """The deliveries that were woken."""
        records, ledger = SlowStore(self.stores.records, self), SlowStore(self.stores.ledger, self)
        waker = Waker(records, self, self.clock)
        self.worker = ShareWorker(
            records,
            ledger,
            {resource.pk.split("#")[1]: self.permissions},
            EverybodyMay(self),
            WaitingDeliveries(records, ledger, waker),
            waker,
            self.telemetry,
        )
        self.stores.records.create(Write(resource, "open", {"resource": resource.pk}, self.clock()), self.clock())

    def clock(self) -> int:
        return int(self.now)

    def spend(self) -> None:
        self.now += self.seconds
        if self.now > self.ends:
            raise ProcessKilled

    def send(self, _wake: Wake) -> None:
        self.woken = True

    def wake_all(self, wakes: Sequence[tuple[RecordKey, str]]) -> tuple[()]:
        """The port ``WakeQueues``: keeps the deliveries that were woken."""
        self.spend()
        self.wakes += [key for key, _ in wakes]
        return ()

    def hold(self, names: Sequence[str], *, account: str = "") -> None:
        """Let one delivery hold each share; both have the same name."""
        for name in names:
            whose = account or name
            grantee = "" if nameless(self.key.pk) else f"arn:aws:iam::{whose}:role/AmiCopyRole"
            wanted = Share(self.key.pk, name, whose, grantee, last_closing_at=START + 10**7)
            self.stores.ledger.hold(wanted, copying(f"d-{name}", account or name))
        self._note()

    def release(self, names: Sequence[str], *, account: str = "") -> None:
        for name in names:
            self.stores.ledger.release(self.key.pk, name, copying(f"d-{name}", account or name))
        self._note()

    def let_in(self, names: Sequence[str], *, account: str = "") -> None:
        """Let a delivery hold each share, and the worker do what follows."""
        self.hold(names, account=account)
        self.run_on()

    def let_out(self, names: Sequence[str], *, account: str = "") -> None:
        self.release(names, account=account)
        self.run_on()

    def _note(self) -> None:
        self.stores.records.make_due(self.key, self.clock())

    def run(self, *, limit: float = LIMIT) -> None:
        """Run once, with this many seconds left."""
        self.ends = self.now + limit

        def left() -> int:
            return int(self.ends - self.now) if not self.one_slice else 0

        try:
            self.worker.run(self.key, time_left=left)
        except ProcessKilled:
            self.killed += 1
        self.ends = float("inf")

    def run_on(self, runs: int = 1000, *, limit: float = LIMIT) -> int:
        """Run while something is due or wakes it; return the number of runs."""
        for number in range(runs):
            seen = self.stores.seen(self.key)
            assert seen is not None
            if not self.woken and (seen.wake_at is None or seen.wake_at > self.now + 600):
                return number
            if not self.woken:
                self.now = max(self.now, float(seen.wake_at or 0))
            self.woken = False
            self.run(limit=limit)
            self.now += 5
        return runs

    @property
    def shares(self) -> Sequence[Share]:
        return self.stores.ledger.shares(self.key.pk)

    def states(self) -> Counter[ShareState]:
        """The number of shares in each state."""
        return Counter(s.state for s in self.shares)
