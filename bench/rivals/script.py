"""(d) A shell script in the foreground, as aws-samples/copy-encrypted-ami describes it: one run for each target.

Five copies run at once, and before a further one it waits in steps of 30 seconds; then it looks at each copy in turn
every 20 seconds. It revokes neither grant nor share. Runs are one after another: a person, or a loop around it.
"""

from __future__ import annotations

from bench.rivals.promotion import PlayedClock, PlayedPromotion, RivalOutcome

AT_ONCE, WHILE_FULL, POLL = 5, 30.0, 20.0


def run(promotion: PlayedPromotion) -> RivalOutcome:
    """Play a promotion by the shell script; return what it took."""
    outcome = RivalOutcome("(d) shell script", promotion.targets, delivered=promotion.targets, left_open=True)
    clock = PlayedClock()
    hub, target = outcome.hub_calls, outcome.target_calls
    for copies in promotion.durations:
        clock.calls(target, "GetCallerIdentity", "DescribeKey")
        clock.calls(hub, "DescribeImages", "DescribeSnapshots", "DescribeKey", "CreateGrant")
        ends: list[float] = []
        for seconds in copies:
            clock.calls(hub, "ModifySnapshotAttribute")
            clock.calls(target, "CopySnapshot", "DescribeSnapshots")
            ends.append(clock.now + seconds)
            while sum(end > clock.now for end in ends) >= AT_ONCE:
                clock.now += WHILE_FULL
                clock.calls(target, "DescribeSnapshots")
        for end in ends:
            clock.poll(target, "DescribeSnapshots", end, POLL)
            clock.now += POLL  # it sleeps once more after the look that shows the end
            clock.calls(target, "DescribeSnapshots")
        clock.calls(target, "RegisterImage", "CreateTags")
    outcome.seconds = outcome.machine = clock.now
    return outcome
