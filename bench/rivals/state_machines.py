"""(b) Step Functions: an execution for each target, all at once; functions for the steps, a look every 30 seconds.

States of one: share and grant, copy all, then wait, look, choose, again and again, then register and revoke. Each
transition is billed. All executions change the hub's snapshots within one second, so EC2's rate holds them up; that
its functions would be billed meanwhile is left out.
"""

from __future__ import annotations

from bench.case import CALL_SECONDS
from bench.rates import TokenBucket
from bench.rivals.promotion import PlayedClock, PlayedPromotion, RivalOutcome

POLL = 30.0
FUNCTION_OVERHEAD = 0.02
"""Seconds of an invocation beside its calls, as for the service."""
BEGIN, END = 3, 3
"""Transitions before the first look and after the last: start, open, copy; register, close, end."""
OF_A_LOOK = 3
"""Wait, look, choose."""


def run(promotion: PlayedPromotion) -> RivalOutcome:
    """Play a promotion by the state machines; return what it took."""
    outcome = RivalOutcome("(b) Step Functions", promotion.targets, delivered=promotion.targets)
    bucket = TokenBucket()
    for copies in promotion.durations:
        _execution(outcome, list(copies), bucket)
    return outcome


def _execution(outcome: RivalOutcome, copies: list[float], bucket: TokenBucket) -> None:
    clock, before = PlayedClock(), outcome.hub_calls.total() + outcome.target_calls.total()
    hub, target = outcome.hub_calls, outcome.target_calls
    clock.now += max(bucket.wait(0.0) for _ in copies)
    clock.calls(hub, "AssumeRole", "DescribeImages", *["ModifySnapshotAttribute"] * len(copies), "CreateGrant")
    clock.calls(hub, "AssumeRole")
    clock.calls(target, *["CopySnapshot"] * len(copies))
    over, looks = clock.now + max(copies), 0
    while True:
        clock.now += POLL
        clock.calls(hub, "AssumeRole")
        clock.calls(target, "DescribeSnapshots")
        looks += 1
        if clock.now >= over:
            break
    clock.calls(hub, "AssumeRole")
    clock.register(target)
    clock.calls(hub, *["ModifySnapshotAttribute"] * len(copies), "RevokeGrant")
    outcome.invocations += looks + 4
    outcome.transitions += BEGIN + OF_A_LOOK * looks + END
    made = hub.total() + target.total() - before
    outcome.functions += made * CALL_SECONDS + (looks + 4) * FUNCTION_OVERHEAD
    outcome.seconds = max(outcome.seconds, clock.now)
