"""The physical bound: the least time in which a promotion could be over, whatever the tool. Pure.

Every tool has to wait for the copies. Copies into one account and Region run side by side, up to the quota; the
source's key must be granted to each account first, and KMS takes so many grants a second from the hub. Everything else
is a chain of calls that cannot run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.case import CALL_SECONDS, GRANT_RATE, REGISTER_SECONDS, SLOTS

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
