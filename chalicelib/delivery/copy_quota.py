"""A copy quota: how many snapshot copies may run at once in one (account, Region). It alone grants copy slots.

EC2 runs 20 snapshot copies at once into one account and Region and refuses the next [aws-facts 2, VERIFIED].
One slot is one try of one copy. The quota's worker computes what is free from the deliveries' own items each time, so
no counter can get stuck.

A slot is a lease. A delivery renews it when it asks. After its end the quota's worker reads the delivery's record: if
it can continue, the worker renews the lease; otherwise (parked, damaged, gone, ended) it gives the slots to others.
That stops no copy: if its delivery reports a running copy again, that copy counts again, even over the limit, and EC2's
``ResourceLimitExceeded`` shows all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chalicelib.engine import addresses, schedule

LIMIT = 20
LIMIT_HELD_FOR = 5 * schedule.MINUTE
"""How long a limit learned from EC2's refusal holds before one more copy is tried."""


@dataclass(frozen=True, slots=True)
class CopyQuota:
    """The quota's record. All of it can be computed again. Times are epoch seconds."""

    account: str
    region: str
    limited_at: int = 0
    """The time of the last refusal by EC2 from which this record has learned."""
    raised_at: int = 0
    """When the limit was last raised by one."""
    limit: int = LIMIT
    full: bool = False
    """Whether a delivery lacks a slot: then a slot that comes free must wake the quota's worker."""

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.copy_quota(self.account, self.region)


@dataclass(frozen=True, slots=True)
class SlotLease:
    """The slots of one delivery: how many it asks for, how many it has, and the end of its lease.

    ``wanted``, ``done`` and ``granted`` count copy tries over the whole episode. The delivery writes all but
    ``granted``; the quota's worker writes ``granted``; both move ``until`` (epoch seconds) ahead.
    """

    delivery: str
    episode: int
    created_at: int
    wanted: int
    done: int
    granted: int = 0
    until: int = 0
    limited_at: int = 0
    """When EC2 last refused this delivery a copy because too many run there."""

    @property
    def running(self) -> int:
        """Slots in use, or granted and not yet used. A delivery that wants fewer than it got gives the rest back."""
        return max(min(self.granted, self.wanted) - self.done, 0)

    @property
    def lacking(self) -> int:
        """Copies that wait for a slot."""
        return max(self.wanted - self.granted, 0)

    @property
    def over(self) -> bool:
        """Whether the delivery needs no more slots."""
        return self.done >= self.wanted


def learn(quota: CopyQuota, leases: Iterable[SlotLease], now: int) -> CopyQuota:
    """Return the quota with the limit that EC2's refusal shows: other people copy into that account too.

    The refused try is over, so the copies that still run are as many as EC2 allows now, maybe none.
    """
    leases = tuple(leases)
    hit = max((lease.limited_at for lease in leases), default=0)
    running = sum(lease.running for lease in leases)
    if hit > quota.limited_at:
        return replace(quota, limited_at=hit, limit=min(LIMIT, running))
    if quota.limit < LIMIT and now >= max(quota.limited_at, quota.raised_at) + LIMIT_HELD_FOR:
        return replace(quota, raised_at=now, limit=quota.limit + 1)
    return quota


def grants(limit: int, leases: Iterable[SlotLease], now: int) -> tuple[SlotLease, ...]:
    """Return the leases that get more, with their new total: the oldest gets all that it lacks, then the next.

    With one slot each, all deliveries would begin at once, and all but the oldest would wait for their second copy with
    open shares until their copy deadline.
    """
    by_age = sorted(leases, key=lambda lease: (lease.created_at, lease.delivery))
    free = max(limit - sum(lease.running for lease in by_age), 0)
    given = []
    for lease in by_age:
        more = min(lease.lacking, free)
        free -= more
        if more:
            given.append(replace(lease, granted=lease.granted + more, until=now + schedule.LEASE))
    return tuple(given)


def in_doubt(limit: int, leases: Iterable[SlotLease], now: int) -> tuple[SlotLease, ...]:
    """Return the leases past their end that matter now: they have slots, want none, or would get some.

    Other leases past their end wait for their turn, so that a long queue costs no reads.
    """
    leases = tuple(leases)
    next_ones = {lease.delivery for lease in grants(limit, leases, now)}
    run_out = (lease for lease in leases if now >= lease.until)
    return tuple(lease for lease in run_out if lease.running or lease.over or lease.delivery in next_ones)


def next_look(leases: Iterable[SlotLease], now: int) -> int | None:
    """Return when the quota's worker must look again without a wake: in five minutes if a delivery lacks a slot."""
    return now + 5 * schedule.MINUTE if any(lease.lacking for lease in leases) else None
