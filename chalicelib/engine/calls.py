"""Calls that change AWS, as history lists them: each by AWS's request id.

History has three kinds of line for them: an intent, before the call; the call, after the event that it caused; and that
a call was not made, because time ran out. If neither of the other two follows an intent, a killed process left it, and
it is not known whether it called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

READS = ("Describe", "Get", "List", "Assume")
"""The beginnings of the names of operations that change nothing."""

LONGEST = 100
"""Characters of an id or of an error's code; AWS's ids have 36."""

NO_ANSWER = "NoAnswer"
"""Stands for the error's code where none came: a time-out, a broken connection. The id is not known then."""

LEFT = "an earlier run had begun this and wrote no result: if it made a call, the request id is not known"
"""The line of a history if a run continues from an intent without an answer."""

_CALL, _INTENT, _NOT_MADE = "call ", "intent ", "not called "


@dataclass(frozen=True, slots=True)
class MadeCall:
    """One try of a call that changes AWS. ``request_id`` "": not known. ``error``: AWS's code, or NO_ANSWER."""

    operation: str
    request_id: str = ""
    error: str = ""

    def __str__(self) -> str:
        """As a line of a history."""
        words = (self.operation, _word(self.request_id) or "-", _word(self.error))
        return _CALL + " ".join(filter(None, words))

    @classmethod
    def read(cls, line: str) -> MadeCall | None:
        """Read a line of a history; None if it is not a call."""
        found = re.fullmatch(f"{_CALL}([^ ]*) ([^ ]*)(?: ([^ ]*))?", line)
        return cls(found[1], found[2] if found[2] != "-" else "", found[3] or "") if found else None


def changes(operation: str) -> bool:
    """Whether an operation of EC2 or KMS, as AWS names it, changes anything."""
    return not operation.startswith(READS)


def intent(call: str) -> str:
    """Write the line of an intent: the call's name and, if needed, what it is about."""
    return _INTENT + call


def not_made(call: str) -> str:
    """Write the line of an intended call that was not made."""
    return _NOT_MADE + call


def intended(line: str) -> str:
    """Return the call of an intent's line; "" if the line is another one."""
    return line.removeprefix(_INTENT) if line.startswith(_INTENT) else ""


def of_intent(call: str) -> tuple[str, str]:
    """Return the name of an intended call, and what it is about; "" if that is not needed."""
    name, _, about = call.partition(" ")
    return name, about


def left_out(line: str) -> str:
    """Return the intended call that was not made; "" if the line is another one."""
    return line.removeprefix(_NOT_MADE) if line.startswith(_NOT_MADE) else ""


def _word(text: str) -> str:
    """Shorten a word from AWS and remove the separators from it."""
    return re.sub(r"\s", "", text)[:LONGEST]


TakeCalls = Callable[[], Sequence[MadeCall]]
"""Returns the calls, with each try, by which the adapters have changed AWS since the last time it was called.

The history gets request ids this way, so no port returns them.
"""
