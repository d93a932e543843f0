"""What a command has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chalicelib.core.faults import Fault

FOREVER = 10**11
"""No record of ours is of a later time (the year 5138); one that says so was damaged."""


@dataclass(frozen=True, slots=True)
class Report:
    """Lines for a person, the same as ``data`` for a program, and what was wrong with what was given."""

    lines: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    unfinished: bool = False
    """Whether what the command began is not over yet."""


def moment(epoch: int | None) -> str:
    """Write epoch seconds as ISO 8601 in UTC; a dash where there is no such time."""
    if not isinstance(epoch, int) or not 0 < epoch < FOREVER:
        return "-"
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
