"""(c) A build tool's wait: CopyImage into each account, all at once; a look every minute, thirty times.

As packer-plugin-ami-copy's public description has it. The build runner stays up meanwhile. Key access is somebody
else's and standing; who gives up leaves the copies to end by themselves, unseen.
"""

from __future__ import annotations

from bench.rates import TokenBucket
from bench.rivals.promotion import PlayedClock, PlayedPromotion, RivalOutcome

POLL, LOOKS = 60.0, 30


def run(promotion: PlayedPromotion) -> RivalOutcome:
    """Play a promotion by the wait of a build tool; return what it took."""
    outcome = RivalOutcome("(c) build tool's wait", promotion.targets, left_open=True)
    bucket = TokenBucket()
    start = PlayedClock()
    start.calls(outcome.hub_calls, "DescribeImages")
    for copies in promotion.durations:
        start.now += sum(bucket.wait(start.now) for _ in range(1 + len(copies)))
        start.calls(outcome.hub_calls, "ModifyImageAttribute", *["ModifySnapshotAttribute"] * len(copies))
    stays = 0.0
    for copies in promotion.durations:
        clock = PlayedClock(start.now)
        clock.calls(outcome.hub_calls, "AssumeRole")
        clock.calls(outcome.target_calls, "CopyImage", "CreateTags")
        over, looks = clock.now + max(copies), 0
        while clock.now < over and looks < LOOKS:
            clock.calls(outcome.target_calls, "DescribeImages")
            clock.now += POLL
            looks += 1
        if clock.now >= over:
            clock.calls(outcome.target_calls, "DescribeImages")
        outcome.delivered += clock.now >= over
        stays = max(stays, clock.now)
        outcome.seconds = max(outcome.seconds, over, clock.now if clock.now >= over else 0.0)
    outcome.machine = stays
    return outcome
