"""Discovery: every five minutes, a look for a new version of the applied file, then three passes.

The passes are over the tags, the standing shares and the organization.

Each pass continues where it stopped. Each run starts with a different pass, so that none is always the last when time
runs out, and a pass that fails stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib.engine.budget import TimeLeft
from chalicelib.engine.errors import Refusal
from chalicelib.engine.ports import Records, Telemetry
from chalicelib.engine.waker import Clock
from chalicelib.images.ports import Source, Tagged
from chalicelib.promotion.worker.standing_pass import StandingPass
from chalicelib.promotion.worker.tag_pass import Heads, TagPass, read_heads
from chalicelib.targets.worker.applied_versions import VersionWatch
from chalicelib.targets.worker.members import Members

PERIOD = 300
"""Seconds between two runs (``app.py``)."""
KEPT = 40
"""Seconds that a pass leaves for each later pass, if there is that much time."""


@dataclass(eq=False)
class Discover:
    """Runs the passes."""

    records: Records
    source: Source
    passes: tuple[TagPass, StandingPass, Members]
    versions: VersionWatch
    clock: Clock
    telemetry: Telemetry
    _seen: tuple[Sequence[Tagged], Heads] | None = field(default=None, init=False)

    def run(self, *, time_left: TimeLeft) -> None:
        """Run all passes, as far as there is time. Raises at the end the error of the first one that failed."""
        self._seen, (tags, standing, members) = None, self.passes
        passes: list[Callable[[TimeLeft], None]] = [
            lambda left: tags.run(*self._look(), time_left=left),
            lambda left: standing.run(*self._look(), time_left=left),
            lambda left: members.run(time_left=left),
        ]
        first, refused = self.clock() // PERIOD % len(passes), False
        failed: Exception | None = None
        for number, one in enumerate((lambda _left: self.versions.look(), *passes[first:], *passes[:first])):
            keep = KEPT * (len(passes) - number)
            keep = keep if time_left() > keep + KEPT else 0
            try:
                one(_all_but(keep, time_left))
            except Refusal as refusal:  # the next run looks again, so it needs no dead letter and no alarm
                self.telemetry.not_done("discover", str(refusal))
                refused = True
            except Exception as error:  # noqa: BLE001 - one pass must not stop the others; it is raised below
                self.telemetry.not_done("discover", repr(error))
                failed = failed or error
        if failed is not None:
            raise failed
        if not refused:
            self.telemetry.discovered()

    def _look(self) -> tuple[Sequence[Tagged], Heads]:
        """Read the tagged AMIs and the heads, once for both passes: with 5,000 AMIs these are most of the reads."""
        if self._seen is None:
            tagged, heads = self.source.tagged(), read_heads(self.records)
            self._seen = tagged, heads
            failed = sum(heads[one.ami].failed for one in tagged if one.ami in heads)
            if failed:  # without one the metric costs nothing
                self.telemetry.still_failed(failed)
        return self._seen


def _all_but(seconds: int, time_left: TimeLeft) -> TimeLeft:
    return lambda: time_left() - seconds
