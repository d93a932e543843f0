"""Recalls and pins: what operators have decided about AMIs that were delivered.

``ami-promoter recall`` and ``rollback`` write them into the operators' table, which no function can write.

A recall takes an AMI back everywhere, until it is lifted: it counts like a withdrawal of every target, whatever value
the tag gets, and what was delivered is deprecated. A pin holds a family in one target at a release, whatever parameter
the targets file sets for it there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from chalicelib.engine import codec
from chalicelib.targets.withdrawals import EVERYWHERE, WITHOUT_END, Withdrawal

ATTRIBUTE = "recall"
"""Of the item with an AMI's withdrawals."""


@dataclass(frozen=True, slots=True)
class Recall:
    """An AMI's recall. ``at``: epoch seconds by AWS's clock. ``by``: the operator's ARN. ``why``: for the notices."""

    at: int
    by: str
    why: str

    @property
    def withdrawal(self) -> Withdrawal:
        """What it means for a promotion."""
        return Withdrawal(EVERYWHERE, WITHOUT_END, self.by, None)


@dataclass(frozen=True, slots=True)
class Pin:
    """A family's pin: nothing newer than this release is current. ``made_at``: its source's creation date."""

    source: str
    made_at: str
    at: int
    by: str
    why: str = ""

    @property
    def order(self) -> tuple[str, str]:
        """As of a release: by date, then id."""
        return self.made_at, self.source

    def __str__(self) -> str:
        """Say for a notice where it holds the pointer, who wants that and why."""
        return f"{self.source} by {self.by}{f': {self.why}' if self.why else ''}"


def read(text: object) -> Recall:
    """Read a stored recall. A damaged one stays in force, so that no damage brings an AMI back."""
    try:
        return codec.decode(Recall, codec.parsed_json(str(text)))
    except (TypeError, ValueError):
        return Recall(0, "an operator, by an entry that cannot be read", "")


def read_pin(text: object) -> Pin:
    """Read a stored pin. Raises ValueError if it is damaged."""
    try:
        return codec.decode(Pin, codec.parsed_json(str(text)), "pin")
    except TypeError as error:  # it is no text
        raise ValueError(f"not a pin: {error}") from None


def written(one: Recall | Pin) -> str:
    """Return it as it is stored."""
    return json.dumps(asdict(one))


def recalled(withdrawn: Mapping[str, str]) -> bool:
    """Whether the AMI of these withdrawals (place -> operator) is recalled."""
    return EVERYWHERE in withdrawn
