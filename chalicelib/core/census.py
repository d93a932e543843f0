"""A census: what there is of ours in one target, when an operator asked (`ami-promoter reconcile`).

It is for what no record leads to: a delivery looks after its own. The record says what was asked and what was seen;
what was found lies beside it, a page an item. Nothing is removed but what an operator named, and each of those is
looked at once more where it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chalicelib.core import addresses, pace
from chalicelib.core.faults import Fault

LOOK, REMOVE = "look", "remove"
"""Hints: each the name of a run of the command."""

TRIES = 4
"""Of a look that is throttled; then it is told as it is."""


@dataclass(frozen=True, slots=True)
class OurImage:
    """An AMI there that bears this hub's tag."""

    id: str
    name: str
    state: str
    delivery: str
    source: str


@dataclass(frozen=True, slots=True)
class OurSnapshot:
    """A snapshot there that bears this hub's tag. ``used``: by an AMI there, whoever made it."""

    id: str
    state: str
    delivery: str
    source: str
    started_at: int
    used: bool


@dataclass(frozen=True, slots=True)
class Census:
    """The lane's record. ``seen`` is the run that was last answered, ``pages`` how many items hold the answer."""

    account: str
    region: str
    seen: str = ""
    removed: str = ""
    """The run whose removals were last carried out."""
    at: int = 0
    pages: int = 0
    fault: Fault | None = None
    """Why it could not look."""
    tries: int = 0
    due_at: int | None = None
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> addresses.Key:
        """Where it is stored."""
        return addresses.census(self.account, self.region)

    @property
    def to_look(self) -> str:
        """The run that waits for a look; "" if none does."""
        asked = self.hints.get(LOOK, "")
        return asked if asked != self.seen else ""

    @property
    def to_remove(self) -> str:
        """The run whose removals wait; "" if none does."""
        asked = self.hints.get(REMOVE, "")
        return asked if asked != self.removed else ""


def looked(census: Census, run: str, pages: int, now: int) -> Census:
    """It has been seen."""
    return replace(census, seen=run, at=now, pages=pages, fault=None, tries=0, due_at=None)


def hindered(census: Census, run: str, fault: Fault, now: int, *, again: bool) -> Census:
    """It could not be looked at: later again, or that is the answer."""
    if again and census.tries + 1 < TRIES:
        wait = pace.step(pace.RETRIES, census.tries)
        return replace(census, tries=census.tries + 1, due_at=now + wait)
    return replace(census, seen=run, at=now, pages=0, fault=fault, tries=0, due_at=None)


def carried_out(census: Census, run: str) -> Census:
    """Its removals were tried, each once."""
    return replace(census, removed=run, due_at=None)
