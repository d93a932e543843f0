"""The trace header that goes along from call to call: by it Lambda counts how often a function runs in one chain.

``Root=…;Lineage=FUNCTION:COUNT|FUNCTION:COUNT``, where FUNCTION is a short hash. AWS's own form is X-Ray's, and its
Lineage is worded otherwise [aws-facts, SQS FIFO and Lambda].
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

HEADER = "x-amzn-trace-id"
VARIABLE = "_X_AMZN_TRACE_ID"
"""Where Lambda leaves the header for the SDK, which sends it with each call of the function."""
_COUNTED = re.compile(r"([0-9a-f]{8}):(\d+)")


@dataclass(frozen=True, slots=True)
class Chain:
    """How often each function has run in one chain, by its short hash."""

    root: str
    counts: Mapping[str, int]

    def with_run(self, function: str) -> Chain:
        """Return the chain with one more run of a function (its ARN)."""
        return Chain(self.root, {**self.counts, _short(function): self.of(function) + 1})

    def of(self, function: str) -> int:
        """How often a function has run in it."""
        return self.counts.get(_short(function), 0)

    def text(self) -> str:
        """Return the header."""
        lineage = "|".join(f"{name}:{count}" for name, count in self.counts.items())
        return f"Root={self.root};Lineage={lineage}"


def read(header: str, new: str) -> Chain:
    """Read a header; ``new``: the root of the chain that begins if there is none. The SDK sends it percent-encoded."""
    text = unquote(header)
    root = re.search(r"Root=([^;]+)", text)
    if root is None:
        return Chain(new, {})
    return Chain(root[1], {name: int(count) for name, count in _COUNTED.findall(text.partition("Lineage=")[2])})


def _short(function: str) -> str:
    return f"{zlib.crc32(function.encode()):08x}"
