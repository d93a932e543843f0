"""The sweep: wakes what is due. It alone is enough to bring every record to its end (invariant 6).

It also wakes a record that somebody may have woken already, because that wake can be lost. It computes when to wake a
record from when the record was due (``schedule.last_wake``), by growing steps, so that it writes to no record: a
function of 512 MB could not do ten thousand writes in its time. It writes only how far it has come, in one item for
each shard, and the next run continues there.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.errors import Refusal
from chalicelib.core.records import schedule
from chalicelib.core.records.addresses import RecordKey
from chalicelib.ports.messaging import WakeQueues
from chalicelib.ports.records import Due, Records
from chalicelib.ports.telemetry import Telemetry
from chalicelib.service.budget import TimeLeft
from chalicelib.service.waker import Clock

POSITIONS = "sweep"
"""The partition of its places in the shards: one read gets all."""
PAGE = 200
"""Records between two looks at the time left: twenty messages of ten, three rounds of eight side by side."""


def position_of(shard: int) -> RecordKey:
    """Return the record key of the sweep's place in a shard."""
    return RecordKey(POSITIONS, f"shard#{shard}")


@dataclass(frozen=True)
class Round:
    """One look through a shard, maybe over several invocations: wakes every record that has a wake in (since, until].

    Epoch seconds. ``after``: the last record of the last page; None: the round begins.
    """

    since: int
    until: int
    after: Due | None = None

    @classmethod
    def resumed(cls, item: Mapping[str, Any] | None, now: int) -> Round:
        """Return the round that was not ended, else the next one; if none can be read, one over all that is due."""
        try:
            since, until, *place = json.loads("[0, 0]" if item is None else item["round"])
            if not place:
                return cls(int(until), now)
            wake_at, pk, sk = place
            return cls(int(since), int(until), Due(RecordKey(str(pk), str(sk)), int(wake_at), int(wake_at)))
        except (KeyError, TypeError, ValueError):
            return cls(0, now)

    def text(self) -> str:
        """As it is stored; one that has ended has no place."""
        place = [] if self.after is None else [self.after.wake_at, self.after.key.pk, self.after.key.sk]
        return json.dumps([self.since, self.until, *place], separators=(",", ":"))


class Sweep:
    """Looks through the index of what is due, a page of each shard in turn."""

    def __init__(self, records: Records, wakes: WakeQueues, clock: Clock, telemetry: Telemetry, shards: int) -> None:
        self._records = records
        self._wakes = wakes
        self._clock = clock
        self._telemetry = telemetry
        self._shards = shards

    def run(self, *, time_left: TimeLeft) -> None:
        """Wake every record whose time has come since the last run. What is left is woken next minute."""
        now = self._clock()
        woken = seen = 0
        oldest = now
        rounds: dict[int, Round] = {}
        positions = dict(self._records.list(POSITIONS, "shard#"))
        # No shard is always the last, should time run out, or the first, should it end with the first page.
        waiting = deque((now // schedule.MINUTE + n) % self._shards for n in range(self._shards))
        while waiting and time_left() > self.needs_seconds:
            shard = waiting.popleft()
            this = rounds.get(shard) or Round.resumed(positions.get(position_of(shard)), now)
            page = self._records.due(shard, this.until, PAGE, this.after)
            wakes = _wakes(page, this)
            seen += len(page)
            oldest = min((oldest, *(due.due_at for due in page)))
            try:
                unfit = self._wakes.wake_all(wakes) if wakes else ()
            except Refusal as refusal:  # the next run sends them again, from the same place; the other shards go on
                self._telemetry.not_done("sweep", str(refusal))
                continue
            if unfit:
                self._telemetry.not_done("sweep", f"These records cannot be woken: {', '.join(map(str, unfit))}.")
            woken += len(wakes) - len(unfit)
            last = len(page) < PAGE
            after = replace(this, after=None if last else page[-1])
            if wakes or this.after or not last:
                item = {"kind": "sweep", "round": after.text()}
                self._records.put(position_of(shard), item)
            if not last:
                rounds[shard] = after
                waiting.append(shard)
            elif this.until < now:
                rounds[shard] = Round(this.until, now)
                waiting.append(shard)
        self._telemetry.swept(woken, seen, now - oldest)

    needs_seconds = 12
    """Seconds that must be left to begin a page: a read, three rounds of messages and a write at 2 s each."""


def _wakes(page: Sequence[Due], this: Round) -> Sequence[tuple[RecordKey, str]]:
    """Return who is woken, and as what: the same wake sent twice, by a round that was killed, counts once."""
    found = ((due.key, schedule.last_wake(due.wake_at, due.latest, this.until)) for due in page)
    return [(key, f"sweep:{at}") for key, at in found if at is not None and at > this.since]
