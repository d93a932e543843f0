"""Runs independent calls to AWS side by side in a few threads, because a call is mostly waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8
"""Threads: fewer than the ten connections that botocore keeps to one endpoint; 512 MB have room for them."""


FEW = 2
"""Up to this many calls run one after another, because starting threads costs more."""


class SideBySide:
    """Runs calls in threads that end with them: Lambda freezes a process between two invocations."""

    def map(self, call: Callable[[T], R], items: Iterable[T]) -> Sequence[R]:
        """Call with each item; returns the results in the items' order. Raises the first error, after all have run."""
        calls = list(items)
        if len(calls) <= FEW:
            return [call(item) for item in calls]
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            return list(pool.map(call, calls))
