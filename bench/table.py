"""A table in Markdown. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table; all columns but the first stand to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def number(value: float) -> str:
    """Write a number with three significant digits, or all before the point."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def rough(value: float) -> str:
    """Write a number with two significant digits: a simulator vouches for no more."""
    if value == 0:
        return "0"
    places = 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    return f"{rounded:,.{max(places, 0)}f}"


def rough_duration(seconds: float) -> str:
    """Write seconds as a person reads them, with two significant digits."""
    amount, unit = _in_unit(seconds)
    return f"{rough(amount)} {unit}"


def duration(seconds: float) -> str:
    """Write seconds as a person reads them."""
    amount, unit = _in_unit(seconds)
    return f"{amount:.0f} s" if unit == "s" else f"{amount:.1f} {unit}"


def _in_unit(seconds: float) -> tuple[float, str]:
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 120:
        return seconds, "s"
    if minutes < 120:
        return minutes, "min"
    return (hours, "h") if hours < 72 else (hours / 24, "days")


def dollars(value: float) -> str:
    """Write dollars with three significant digits, from one dollar on with cents."""
    if value == 0:
        return "$0"
    if value >= 1:
        return f"${value:,.2f}"
    return f"${value:.{max(2, 2 - _power(value))}f}"


def _power(value: float) -> int:
    power = 0
    while value < 1:
        value *= 10
        power -= 1
    return power
