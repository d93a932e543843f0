"""The sweep alone is enough: with events and wakes lost, functions killed and AWS in trouble, everything ends."""

import pytest

from tests.scenarios.scene import DEV

MOST_LOOKS = 30
"""In ten minutes of an outage, including the SDK's own retries."""
GROUP_DARK = 180 + 60 + 30
"""Seconds for which a crash may delay a message group: the queue's visibility timeout, and a sweep."""
DISCOVERY = 5 * 60 + 30
"""Seconds until discovery has run once."""


CRASHES = [
    ("worker", "Publish", 2, "before"),
    ("share-worker", "ModifySnapshotAttribute", 1, "after"),
    ("share-worker", "ModifySnapshotAttribute", 3, "after"),
]
"""Calls that other calls of the same kind do not stand for; ``tests/reliability`` kills at one of each kind."""


@pytest.mark.parametrize(("function", "operation", "nth", "when"), CRASHES)
def test_a_function_killed_at_a_call(scene, function, operation, nth, when):
    """Killed before the call, or after it so that the answer is lost: one AMI, no orphan, nothing open."""
    crash = scene.world.injections.crash(function, operation, nth, when)
    scene.promote("")
    scene.run_until(lambda: not scene.world.shares_open(), GROUP_DARK)

    assert crash.happened
    scene.assert_delivered(DEV)


def test_the_table_is_throttled(scene):
    """DynamoDB refuses some calls: the SDK's retries, the next wake, the sweep or discovery recover."""
    scene.wait(DISCOVERY)
    operations = {"UpdateItem", "TransactWriteItems", "GetItem", "Query", "PutItem"}
    for operation in sorted(operations):
        scene.world.injections.throttle(operation, 3, service="dynamodb")
    assert scene.promoted("") == {DEV: "delivered"}
    assert {call.operation for call in scene.world.calls if call.service == "dynamodb" and call.error} >= operations
    scene.assert_invariants(errors_allowed=True)


@pytest.mark.parametrize(
    "operation", ["DescribeImages", "DescribeSnapshots", "DescribeSnapshotAttribute", "ListGrants"]
)
@pytest.mark.thorough_but("DescribeSnapshotAttribute")
def test_reads_that_are_a_while_behind(scene, operation):
    """EC2 shows the state of a minute ago: it is no proof that anything exists, is gone or is another owner's."""
    scene.world.injections.stale_reads(operation, n=6, seconds=45)
    scene.promote("")

    assert len(scene.world.injections._stale[operation]) < 6, "no read was stale"
    scene.assert_delivered(DEV)


def test_ec2_is_away_for_ten_minutes_from_the_beginning(scene):
    """The tag's event arrives and EC2 does not answer: the service looks again at growing intervals, and delivers."""
    scene.tag("")
    scene.world.injections.outage("ec2", 600)
    scene.wait(600)
    asked = [c for c in scene.world.calls if c.operation == "DescribeImages" and c.caller.arn.endswith("-worker")]
    assert len(asked) < MOST_LOOKS
    scene.run_until_over(seconds=3600)

    scene.assert_delivered(DEV, errors_allowed=True)
