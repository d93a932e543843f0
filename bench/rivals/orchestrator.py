"""(a) One function that does it all: the orchestrator of a CloudFormation guide.

Targets one after another, copies one after another, a look every 10 seconds. Lambda kills it after 900 seconds: what
it has not delivered by then is not delivered, and what it has opened stays open. Its time without that limit stands
beside.
"""

from __future__ import annotations

from bench.rivals.promotion import PlayedClock, PlayedPromotion, RivalOutcome

KILLED_AFTER = 900.0
POLL = 10.0


def run(promotion: PlayedPromotion) -> RivalOutcome:
    """Play a promotion by the one function; return what it took."""
    outcome = RivalOutcome("(a) one function", promotion.targets, invocations=1)
    clock = PlayedClock()
    clock.calls(outcome.hub_calls, "DescribeImages", "DescribeSnapshots")
    for copies in promotion.durations:
        clock.calls(outcome.hub_calls, "AssumeRole", "CreateGrant")
        for seconds in copies:
            clock.calls(outcome.hub_calls, "ModifySnapshotAttribute")
            clock.calls(outcome.target_calls, "CopySnapshot")
            clock.poll(outcome.target_calls, "DescribeSnapshots", clock.now + seconds, POLL)
            clock.calls(outcome.hub_calls, "ModifySnapshotAttribute")
        clock.register(outcome.target_calls)
        clock.calls(outcome.hub_calls, "RevokeGrant")
        outcome.delivered += clock.now <= KILLED_AFTER
    outcome.seconds = outcome.functions = clock.now
    outcome.left_open = clock.now > KILLED_AFTER
    return outcome
