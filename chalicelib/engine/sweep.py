"""The sweep: wakes what is due. It alone is enough to bring every record to its end (invariant 6).

It wakes a due record again and again, at growing intervals, because any wake can be lost. It computes these times from
the record's due time alone (``schedule.last_wake``) and writes to no record, as its time is too short for ten thousand
writes. It writes only its place in each shard, where the next run continues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.engine import codec, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import TimeLeft
from chalicelib.engine.errors import Refusal
from chalicelib.engine.ports import Due, Records, Telemetry, WakeQueues
from chalicelib.engine.stored import compact
from chalicelib.engine.waker import Clock

POSITIONS = "sweep"
"""The partition of the sweep's places in the shards."""
PAGE = 200
"""Records in a page, after which the sweep asks for the time left: three rounds of eight parallel calls."""
CLOCKS_DIFFER = schedule.MINUTE
"""Seconds by which the clocks of two runs may differ."""


def position_of(shard: int) -> RecordKey:
    """Return the record key of the sweep's place in a shard."""
    return RecordKey(POSITIONS, f"shard#{shard}")


@dataclass(frozen=True)
class Round:
    """One look through a shard, in one or more invocations: wakes each record that has a wake time in (since, until].

    Epoch seconds. ``after``: the last record of the last page; None: the round begins.
    """

    since: int
    until: int
    after: Due | None = None

    @classmethod
    def resumed(cls, item: Mapping[str, Any] | None, now: int) -> Round:
        """Return the unfinished round or the next one; if the stored one is damaged, one over all that is due.

        A round that ends in the future is damaged, too: the clock of the run that wrote it was ahead. DynamoDB refuses
        a place without keys, or behind the round's end.
        """
        try:
            since, until, *place = codec.parsed_json("[0, 0]" if item is None else item["round"])
            is_sound = int(since) - CLOCKS_DIFFER <= int(until) <= now + CLOCKS_DIFFER
            if not place:
                return cls(int(until) if is_sound else 0, now)
            wake_at, pk, sk = place
            if is_sound and pk and sk and int(wake_at) <= int(until):
                return cls(int(since), int(until), Due(RecordKey(str(pk), str(sk)), int(wake_at), int(wake_at)))
        except (KeyError, OverflowError, TypeError, ValueError):
            pass
        return cls(0, now)

    def text(self) -> str:
        """Return the stored form; a round that has ended has no place."""
        place = [] if self.after is None else [self.after.wake_at, self.after.key.pk, self.after.key.sk]
        return compact([self.since, self.until, *place])


@dataclass(eq=False)
class Sweep:
    """Looks through the index of what is due, a page of each shard in turn."""

    records: Records
    wakes: WakeQueues
    clock: Clock
    telemetry: Telemetry
    shards: int

    def run(self, *, time_left: TimeLeft) -> None:
        """Wake every record whose time has come since the last run. The next run does what there is no time for."""
        now = self.clock()
        woken = seen = 0
        oldest = now
        rounds: dict[int, Round] = {}
        positions = dict(self.records.list(POSITIONS, "shard#"))
        # Each run starts with another shard, in case time runs out.
        waiting = deque((now // schedule.MINUTE + n) % self.shards for n in range(self.shards))
        while waiting and time_left() > self.needs_seconds:
            shard = waiting.popleft()
            this = rounds.get(shard) or Round.resumed(positions.get(position_of(shard)), now)
            page = self.records.due(shard, this.until, PAGE, this.after)
            wakes = _wakes(page, this)
            seen += len(page)
            oldest = min((oldest, *(due.due_at for due in page)))
            try:
                unfit = self.wakes.wake_all(wakes) if wakes else ()
            except Refusal as refusal:  # the next run sends this page again
                self.telemetry.not_done("sweep", str(refusal))
                continue
            if unfit:
                self.telemetry.not_done("sweep", f"These records cannot be woken: {', '.join(map(str, unfit))}.")
            woken += len(wakes) - len(unfit)
            last = len(page) < PAGE
            after = replace(this, after=None if last else page[-1])
            if wakes or this.after or not last:
                item = {"kind": "sweep", "round": after.text()}
                self.records.put(position_of(shard), item)
            if not last:
                rounds[shard] = after
                waiting.append(shard)
            elif this.until < now:
                rounds[shard] = Round(this.until, now)
                waiting.append(shard)
        self.telemetry.swept(woken, seen, now - oldest)

    needs_seconds = 12
    """Seconds that must be left to begin a page: a read, three rounds of messages and a write at 2 s each."""


def _wakes(page: Sequence[Due], this: Round) -> Sequence[tuple[RecordKey, str]]:
    """Return the wakes of a page. A wake has the same cause in each try, so SQS drops a repeat."""
    found = ((due.key, schedule.last_wake(due.wake_at, due.latest, this.until)) for due in page)
    return [(key, f"sweep:{at}") for key, at in found if at is not None and at > this.since]
