"""Lengths of time as people write them: ``90m``, ``2h``, ``1d12h``."""

from __future__ import annotations

import re

from chalicelib.engine.schedule import DAY, HOUR, MINUTE

SIZES = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1}


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
