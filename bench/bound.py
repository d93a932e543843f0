"""The physical bound: the least time in which a promotion could be over, whatever the tool. Pure.

Every tool has to wait for the copies. Copies into one account and Region run side by side, up to the quota; the
source's key must be granted to each account first, and KMS takes so many grants a second from the hub. Everything else
is a chain of calls that cannot run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.case import ACCOUNTS_A_CALL, CALL_SECONDS, GRANT_RATE, REGISTER_SECONDS, SHARE_DELAY, SLOTS

CHAIN = (
    "DescribeImages",
    "AssumeRole",
    "ModifySnapshotAttribute",
    "CreateGrant",
    "CopySnapshot",
    "DescribeSnapshots",
    "RegisterImage",
    "DescribeImages",
)
"""Calls of one delivery that have to follow each other."""


def copies(durations: Sequence[float], slots: int = SLOTS) -> float:
    """Return the least time for copies into one account and Region: the longest one, or all through the slots."""
    return max(*durations, sum(durations) / slots)


def promotion(deliveries: Sequence[Sequence[float]], *, slots: int = SLOTS, late: Sequence[float] = ()) -> float:
    """Return the least seconds from the tag to the last delivery.

    ``deliveries`` has the durations of each one's copies, ``late`` when each one's key grant began to work after it was
    made. The longest are granted first: nobody could do better.
    """
    waits = late or [0.0] * len(deliveries)
    longest = sorted((copies(one, slots) + wait for one, wait in zip(deliveries, waits, strict=True)), reverse=True)
    end = max(number / GRANT_RATE + seconds for number, seconds in enumerate(longest))
    return end + REGISTER_SECONDS + len(CHAIN) * CALL_SECONDS


def one_after_another(deliveries: Sequence[Sequence[float]], snapshots: int) -> float:
    """Return the bound if EC2 copied a snapshot for one account after another: the sum over all, for the slowest one.

    Whether it does is not documented. ``deliveries`` have a duration for each of so many snapshots, in one order.
    """
    chains = (sum(one[place] for one in deliveries) for place in range(snapshots))
    return max(chains) + REGISTER_SECONDS + len(CHAIN) * CALL_SECONDS


def closings(ends: Sequence[float]) -> int:
    """Return the fewest calls that close a snapshot for targets whose copies have ended at these seconds.

    One call closes it for those that end within a few seconds of each other; nobody's stays open for another's sake.
    """
    calls, first, many = 0, 0.0, 0
    for at in sorted(ends):
        if not calls or at > first + SHARE_DELAY or many == ACCOUNTS_A_CALL:
            calls, first, many = calls + 1, at, 0
        many += 1
    return calls


def by_way_of_hub(regions: Mapping[str, Sequence[Sequence[float]]], home: str, *, serial: bool) -> float:
    """Return the bound where the hub copies once into each further Region, and that Region's targets copy from there.

    ``regions`` has the deliveries' durations, a list for each delivery with one for each snapshot, in one order. The
    hub's own copy into a Region takes as long as the first delivery's there. ``serial``: copies of one snapshot wait
    for each other; then the hub's own come first, as whole Regions wait for them.
    """
    starts, ends = dict.fromkeys(regions, 0.0), []
    queued: list[float] = []
    for region, deliveries in regions.items():
        if region == home:
            continue
        own = deliveries[0]
        queued = [before + one for before, one in zip(queued, own, strict=True)] if serial and queued else list(own)
        starts[region] = max(queued) + CALL_SECONDS
    for region, deliveries in regions.items():
        if serial:
            chains = [sum(one[place] for one in deliveries) for place in range(len(deliveries[0]))]
            before = max(queued, default=0.0) if region == home else starts[region]
            ends.append(before + max(chains))
        else:
            ends.append(starts[region] + max(copies(one) for one in deliveries))
    return max(ends) + REGISTER_SECONDS + len(CHAIN) * CALL_SECONDS
