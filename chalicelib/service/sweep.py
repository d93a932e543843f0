"""The sweep: rings what is due. It alone is enough to bring every record to its end (law 6).

It does not believe that somebody has rung already: that ring may be the lost one. Its steps grow, so that rings do not
pile up.
"""

from __future__ import annotations

from chalicelib.ports import Records, Rings, Telemetry
from chalicelib.service.bell import Clock

PAGE = 100


class Sweep:
    """Looks through the index of what is due, shard by shard."""

    def __init__(self, records: Records, rings: Rings, clock: Clock, telemetry: Telemetry, shards: int) -> None:
        self._records = records
        self._rings = rings
        self._clock = clock
        self._telemetry = telemetry
        self._shards = shards

    def run(self, *, time_left: Clock) -> None:
        """Ring every due record once, and move its next ring by a growing step. What is left is due next minute."""
        rung = seen = 0
        oldest = self._clock()
        minute = self._clock() // 60
        for n in range(self._shards):
            shard = (minute + n) % self._shards  # no shard is always the last, should time run out
            while time_left() > self.needs_seconds:
                due = self._records.due(shard, self._clock(), PAGE)
                moved = 0
                for key in due:
                    seen += 1
                    due_at = self._records.postpone(key, self._clock())
                    if due_at is None:
                        continue
                    oldest = min(oldest, due_at)
                    moved += 1
                    self._rings.ring(key, f"sweep:{minute}")
                    rung += 1
                if len(due) < PAGE or not moved:
                    break
        self._telemetry.swept(rung, seen, self._clock() - oldest)

    needs_seconds = 5
