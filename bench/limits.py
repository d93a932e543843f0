"""Which limit is met first, at how many promotions a day, if they are spread over it evenly. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.case import GRANT_RATE, MUTATIONS_PER_SECOND, SLOTS, copy_seconds
from bench.run import MeasuredRun

DAY = 86_400
CONCURRENCY = {"worker": 30, "share-worker": 10}
"""Records worked on at once, by default (parameters MaximumConcurrency, ShareConcurrency)."""
DESCRIBES_PER_SECOND = 20
"""EC2's rate for reads of one kind [aws-facts 6, VERIFIED]."""
REVOKES_PER_SECOND = 30
"""[aws-facts 3, VERIFIED]"""
PARTITION_WRITES = 1_000
"""DynamoDB's write units a second for one partition key; all promotions' heads have one."""


def limits(measured: MeasuredRun) -> Iterator[tuple[str, float]]:
    """Yield what a promotion like this one meets, and how many of them a day would reach it."""
    hub = measured.hub_calls
    copies = sum(copy_seconds(gib) for gib in measured.case.sizes)
    yield "copy slots of one account and Region: 20 at once", DAY * SLOTS / copies
    for function, most in CONCURRENCY.items():
        yield f"`{function}`: {most} records at once", DAY * most / measured.seconds_of[function]
    reads = max(hub.get(name, 0) for name in ("DescribeImages", "DescribeSnapshots", "DescribeSnapshotAttribute"))
    yield "the hub's reads of one kind, EC2: 20 a second", DAY * DESCRIBES_PER_SECOND / reads
    yield "the hub's changes of snapshots, EC2: 5 a second", DAY * MUTATIONS_PER_SECOND / measured.sharing
    yield "CreateGrant: 50 a second", DAY * GRANT_RATE / hub["CreateGrant"]
    yield "RevokeGrant: 30 a second", DAY * REVOKES_PER_SECOND / hub["RevokeGrant"]
    heads = measured.writes.get("the promotion's head", 1)
    yield "writes to the partition `heads`: 1,000 units a second", DAY * PARTITION_WRITES / heads
