"""How far a run may go.

Lambda may stop a function between any two calls. So each loop over many things asks for the time left before each step
and writes its results in slices, and the next run continues after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
TimeLeft = Callable[[], float]
"""How many seconds the invocation still has."""

SLOW_CALL = 2
"""Seconds to allow for one slow call to AWS."""
RESERVED = 8
"""Seconds kept for writing the results and the next due time, and for the wake that continues."""
FOR_LISTS = 90
"""Seconds of `worker`'s time that only a long list of what an account has may use.

All other work ends before, as another wake of the record, such as that of a removed tag, waits for the run's end.
"""


class Budget:
    """The time that an invocation has left. ``time_left`` returns seconds; ``keep`` of them stay reserved."""

    def __init__(self, time_left: TimeLeft, keep: float = RESERVED) -> None:
        self._time_left = time_left
        self._keep = keep

    @property
    def whole(self) -> Budget:
        """The budget of `worker` with ``FOR_LISTS``, which ``time_left`` leaves out: for a long list and its use."""
        return Budget(self._time_left, RESERVED - FOR_LISTS)

    def allows(self, calls: int = 1) -> bool:
        """Whether there is time for this many slow calls."""
        return self._time_left() >= self._keep + calls * SLOW_CALL

    def each(self, items: Iterable[T], calls: int = 1) -> Iterator[T]:
        """Yield items while there is time for the calls of one; always the first, so that each run makes progress."""
        for number, item in enumerate(items):
            if number and not self.allows(calls):
                return
            yield item

    def part(self, fraction: float) -> Budget:
        """Return a budget of a part (0 to 1) of the time left; the rest is for writing the step's results."""
        left = self._time_left()
        return Budget(self._time_left, left - max(left - self._keep, 0) * fraction)


def slices(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
