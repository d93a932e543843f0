"""Reports the progress of a long reading from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable

from ami_promoter.terminal.output import tell

EVERY = 5
"""Seconds between two lines."""


class Progress:
    """Reports the progress of one reading, at most every five seconds, so that a short one prints nothing."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._notified_at = self._clock()

    def at(self, done: int, of: int | None = None) -> None:
        """So many are done."""
        if self._clock() >= self._notified_at + EVERY:
            self._notified_at = self._clock()
            tell(f"{self._what}: {done:,}{'' if of is None else f' of {of:,}'}.")
