"""placeholder"""

from __future__ import annotations
from collections.abc import Iterator
from bench.results import Results


def write(measured: Results) -> Iterator[str]:
    yield from ()
