"""The result of a verb, for a person and for a program, with its exit status: what a script may rely on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from rich.console import RenderableType

from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import DAY, HOUR, MINUTE

SIZES = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1}
"""Letters of the lengths of time that people write: ``90m``, ``2h``, ``1d12h``."""
FOREVER = 10**11
"""A later time (the year 5138) in a record means that the record is damaged."""


class Exit(IntEnum):
    """The exit statuses of all verbs; a verb's ``--help`` says which it has, and what they mean there."""

    OK = 0
    FAULT = 1
    USAGE = 2
    AWS = 3
    UNFINISHED = 4
    FAILED = 5
    CANCELLED = 6
    INTERRUPTED = 130


MEANS = {
    Exit.OK: "done, or nothing to do",
    Exit.FAULT: "wrong input, such as a file, a value or an unknown AMI; nothing was changed",
    Exit.USAGE: "wrong usage; nothing was changed",
    Exit.AWS: "AWS refused or could not be reached, or the output could not be written; you can run the command again",
}
"""The meanings of the statuses for a verb that does not give its own."""


@dataclass(frozen=True, slots=True)
class Report:
    """Lines for a person, the same as ``data`` for a program, and the faults of the input.

    A string's control characters are made visible when it is printed. Other renderables are printed as they are; code
    that builds one uses ``output.cell`` for text that came from elsewhere.
    """

    lines: tuple[RenderableType, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    exit: Exit = Exit.OK
    """The exit status; with faults it is at least FAULT."""

    @property
    def status(self) -> Exit:
        """The exit status."""
        return Exit.FAULT if self.faults and self.exit is Exit.OK else self.exit


class NotDone(Exception):
    """A verb does not do its work, and has changed nothing: its ``report`` has the faults, and lines before them."""

    def __init__(self, *faults: Fault, lines: Sequence[RenderableType] = (), status: Exit = Exit.FAULT) -> None:
        self.report = Report(tuple(lines), faults=faults, exit=status)
        super().__init__(" ".join(map(str, faults)))


def moment(epoch: int | None) -> str:
    """Write epoch seconds as ISO 8601 in UTC; a dash if there is no such time."""
    if not isinstance(epoch, int) or not 0 < epoch < FOREVER:
        return "-"
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def ended(sentence: str) -> str:
    """Return a sentence with a full stop, as others' may lack one."""
    return sentence if sentence.endswith(".") else f"{sentence}."


def plainly(iso: str) -> str:
    """Write such a time for a person who knows that it is in UTC."""
    return iso.removesuffix("Z").replace("T", " ")


def span(seconds: float) -> str:
    """Write a duration in at most two parts: ``45s``, ``3m``, ``2h 5m``, ``3d 4h``. Negative ones are ``0s``."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h {minutes}m" if minutes else f"{hours}h"
    return f"{minutes}m" if minutes else f"{whole}s"


def seconds(text: str | int) -> int:
    """Return a duration such as ``1d12h`` in seconds. Raises ValueError."""
    if not re.fullmatch("0|([0-9]{1,9}[dhms])+", str(text)):
        raise ValueError(f"{text!r} is not a duration")
    return sum(int(number) * SIZES[letter] for number, letter in re.findall("([0-9]+)([dhms])", str(text)))


def duration(length: int) -> str:
    """Write seconds as whole hours or minutes if possible: 5400 is ``90m``, 86400 is ``24h``."""
    for letter in "hm":
        if length and length % SIZES[letter] == 0:
            return f"{length // SIZES[letter]}{letter}"
    return f"{length}s" if length else "0"
