"""What a promotion costs in AWS calls and invocations, beside the least that it could cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from awsim.api import Call
from awsim.functions import Invocation
from demo import stage

COUNTED = frozenset({"ec2", "events", "kms", "sns", "ssm", "sts"})
"""Services whose calls are counted: their rates are what runs short. DynamoDB and SQS are the service's own."""
ON_SCHEDULE = ("sweep", "discover")
ACCOUNTS_A_CALL = 500
"""That a snapshot's permission is opened or closed for at once [aws-facts 4, VERIFIED]."""
SNAPSHOTS_A_SESSION = 5
"""That a session policy may name, as its packed size is limited and reported to be met near 1,100 characters
[aws-facts, STS session policies]."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Calls by operation and invocations by function: those that events and wakes brought, and those of the schedule.

    The schedule is the sweep, discovery, and what the sweep wakes: polls of running copies and tries again.
    """

    calls: Counter[str] = field(default_factory=Counter)
    invocations: Counter[str] = field(default_factory=Counter)
    scheduled_calls: Counter[str] = field(default_factory=Counter)
    scheduled_invocations: Counter[str] = field(default_factory=Counter)


def function(invocation: Invocation) -> str:
    """Return a function's short name, such as ``worker``."""
    return invocation.function.rsplit(f"{stage.REGION}-", 1)[-1]


def cause(invocation: Invocation) -> str:
    """Return what a wake says of its cause; "" where a function was woken otherwise."""
    records = invocation.event.get("Records", ()) if isinstance(invocation.event, dict) else ()
    return str(json.loads(records[0]["body"])["cause"]) if records else ""


def scheduled(invocation: Invocation) -> bool:
    """Whether no event and no function's wake brought it about."""
    return function(invocation) in ON_SCHEDULE or cause(invocation).startswith("sweep:")


def add_up(invocations: Iterable[Invocation], calls: Iterable[Call]) -> Bill:
    """Count these invocations, and those of ``calls`` that they made to ``COUNTED`` services."""
    bill = Bill()
    by_id = {one.id: one for one in invocations}
    for one in by_id.values():
        (bill.scheduled_invocations if scheduled(one) else bill.invocations)[function(one)] += 1
    for call in calls:
        if call.service in COUNTED and call.invocation in by_id:
            (bill.scheduled_calls if scheduled(by_id[call.invocation]) else bill.calls)[call.operation] += 1
    return bill


def least(targets: int, snapshots: int) -> Counter[str]:
    """Return the fewest calls for an AMI with so many encrypted snapshots under one key, delivered to so many targets.

    Nothing is looked at twice, no call fails, and everything that can share a call does: each target is checked, its
    copies are seen ended, and its AMI is seen available, once; a session is made for each of checking, copying, and
    registering, as each may do no more than that (for copying, one for each five snapshots, as a session's policy has
    room for no more); what is closed is read back (of snapshots, on the schedule).
    """
    return Counter(dict(_least(targets, snapshots)))


def _least(targets: int, snapshots: int) -> Iterator[tuple[str, int]]:
    batches = -(-targets // ACCOUNTS_A_CALL)
    yield "AssumeRole", (2 + -(-snapshots // SNAPSHOTS_A_SESSION)) * targets
    yield "DescribeKey", 1 + targets
    yield "DescribeImages", 1 + 2 * targets
    yield "DescribeSnapshots", 1 + 2 * targets
    yield "DescribeSnapshotAttribute", snapshots * batches
    yield "ModifySnapshotAttribute", 2 * snapshots * batches
    yield "CreateGrant", targets
    yield "RevokeGrant", targets
    yield "ListGrants", targets
    yield "CopySnapshot", snapshots * targets
    yield "RegisterImage", targets
    yield "EnableImageDeregistrationProtection", targets
    yield "Publish", 1 + targets
    yield "PutEvents", 1 + targets
