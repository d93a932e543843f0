"""A destination: one (account, Region) that copies land in. It alone hands out copy slots, oldest delivery first.

EC2 runs 20 snapshot copies at once into one account and Region and refuses the next [aws-facts 2, VERIFIED].
One slot is one try of one copy. Nothing is counted up or down: what is free is derived, each time, from what the
deliveries say of themselves, so that no counter can stick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from chalicelib.core import addresses, pace

LIMIT = 20
LIMIT_HELD_FOR = 5 * pace.MINUTE
"""For how long a limit that EC2 taught is believed before one more copy is tried."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The lane's record."""

    account: str
    region: str
    limited_at: int = 0
    limit: int = LIMIT
    full: bool = False
    """Whether somebody lacks a slot: then one that is given back is news to the lane."""
    due_at: int | None = None
    heard: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> addresses.Key:
        """Where it is stored."""
        return addresses.destination(self.account, self.region)


@dataclass(frozen=True, slots=True)
class Slots:
    """What one delivery asks, and what it was given; ``granted`` and ``told`` are the lane's, the rest the delivery's.

    ``wanted`` and ``done`` count copy tries over the whole episode, so they only grow within it.
    """

    delivery: str
    episode: int
    created_at: int
    wanted: int
    done: int
    granted: int = 0
    told: int = 0
    limited_at: int = 0

    @property
    def running(self) -> int:
        """Slots in use, or handed out and not yet used."""
        return max(self.granted - self.done, 0)

    @property
    def lacking(self) -> int:
        """Copies that wait for a slot."""
        return max(self.wanted - self.granted, 0)

    @property
    def over(self) -> bool:
        """Whether it will ask no more."""
        return self.done >= self.wanted


def state(destination: Destination) -> str:
    """Name the record's state: ``full`` or ``open``."""
    return "full" if destination.full else "open"


def learn(destination: Destination, asked: Iterable[Slots], now: int) -> Destination:
    """Take what EC2 refused as the limit for a while: other people copy into that account too."""
    asked = tuple(asked)
    hit = max((slots.limited_at for slots in asked), default=0)
    running = sum(slots.running for slots in asked)
    if hit > destination.limited_at:
        return replace(destination, limited_at=hit, limit=max(1, min(LIMIT, running - 1)))
    if destination.limit < LIMIT and now >= destination.limited_at + LIMIT_HELD_FOR:
        return replace(destination, limited_at=now, limit=destination.limit + 1)
    return destination


def hand_out(limit: int, asked: Iterable[Slots]) -> tuple[Slots, ...]:
    """Return those that get more, with their new total: the oldest gets all that it lacks, then the next.

    One each would begin everybody at once, and then let all but the oldest wait for their second copy with their
    shares open and their copy deadline running out.
    """
    waiting = sorted(asked, key=lambda slots: (slots.created_at, slots.delivery))
    free = max(limit - sum(slots.running for slots in waiting), 0)
    given = []
    for slots in waiting:
        more = min(slots.lacking, free)
        free -= more
        given.append(replace(slots, granted=slots.granted + more))
    return tuple(slots for slots in given if slots.granted > slots.told)


def next_look(destination: Destination, asked: Iterable[Slots], now: int) -> int | None:
    """When the lane must look again by itself: soon while anyone lacks a slot, never when nobody does."""
    return now + 5 * pace.MINUTE if any(slots.lacking for slots in asked) else None
