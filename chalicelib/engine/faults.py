"""A fault: one thing that is wrong, with place, cause and cure, for a person at three in the morning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

_TAG_AGAIN = r"(?:[,;.]? [Tt]hen|,? and) tag (?:(?:it|this one|the AMI|the image) )?again"
_AFTERWARDS = re.compile(rf"{_TAG_AGAIN}(?=\.)")


def count(number: int, one: str, several: str = "") -> str:
    """Write a number of things, for a person: ``1 target``, ``2 targets``."""
    return f"{number:,} {noun(number, one, several)}"


def noun(number: int, one: str, several: str = "") -> str:
    """Return the singular or plural for a number."""
    return one if number == 1 else several or f"{one}s"


def without_afterwards(cure: str) -> str:
    """Return a cure without the part that makes sense only for a delivery that was begun and has failed."""
    return _AFTERWARDS.sub("", cure)


@dataclass(frozen=True, slots=True)
class Fault:
    """What failed, its likely cause, and what to do about it.

    ``code`` is a stable kebab-case name (``source-snapshot-aws-ebs-key``); ``where`` says the place:
    an account and Region, a snapshot id, a line of a file.
    """

    code: str
    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} {self.cure}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data, for a record or a notice."""
        return asdict(self)


MOST_FAULTS = 20
"""Faults that a record, or a notice, lists: those of a thousand accounts would not fit."""


def listed(faults: Sequence[Fault], where: str, cure: str) -> tuple[Fault, ...]:
    """Return all faults, or the first ones and last how many more there are. ``cure``: what lists all."""
    if len(faults) <= MOST_FAULTS:
        return tuple(faults)
    first = faults[: MOST_FAULTS - 1]
    return (*first, Fault("more", where, f"There are {count(len(faults) - len(first), 'more fault')}.", cure))


AGAIN = re.compile(rf"{_TAG_AGAIN}\.$")
"""The end of a cure of what can be tried again; of a failed delivery the command `retry` does it, and no new tag."""


def retried(faults: Iterable[Fault], ami: str) -> list[Fault]:
    """Return the faults of a failed delivery with the cure that `status` shows, too."""
    return [replace(one, cure=AGAIN.sub(f"; then `ami-promoter retry {ami}`.", one.cure)) for one in faults]
