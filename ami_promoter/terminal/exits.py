"""Exit statuses: what a script may rely on."""

from __future__ import annotations

from enum import IntEnum


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
