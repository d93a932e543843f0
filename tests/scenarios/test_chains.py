"""Lambda's recursive-loop detection: the packaged functions stay below its limit, and it is off for those that loop."""

from collections import Counter

import pytest

from tests.scenarios.failures import deny
from tests.scenarios.scene import DEV, HUB, REGION, Scene

pytestmark = pytest.mark.thorough

WORKERS = {f"ami-promoter-{REGION}-{name}" for name in ("worker", "share-worker")}


def longest(scene: Scene) -> Counter[str]:
    """Return the most runs of worker and share worker in one chain."""
    found: Counter[str] = Counter()
    for one in scene.world.lambda_.invocations:
        found |= Counter({one.function.rpartition(f"{REGION}-")[2]: one.in_chain})
    return Counter({name: count for name, count in found.items() if name.endswith("worker")})


@pytest.fixture
def limited(scene: Scene) -> Scene:
    """A hub without ``RecursiveLoop: Allow``."""
    for function in scene.world.lambda_.functions.values():
        function.recursion = "Terminate"
    return scene


def test_lambda_ends_no_chain_of_the_two_that_wake_each_other(scene):
    """``RecursiveLoop: Allow`` arrives in the package; all other functions keep Lambda's default."""
    found = {function.name for function in scene.world.lambda_.functions.values() if function.recursion == "Allow"}

    assert found == WORKERS


def test_slots_that_nobody_can_use_are_passed_on_in_short_chains(limited):
    """An account refuses CopySnapshot; each AMI takes all slots and fails.

    By wakes alone the sixth would come after 21 runs of the worker: a message would be refused until it is dead.
    The longest chain is the first AMI's, which finds all slots free, as a promotion alone does.
    """
    deny(limited, DEV, "ec2:CopySnapshot")
    images = [limited.seed(f"twenty-{n}", volumes=(1,) * 20, key=None) for n in range(6)]
    for image in images:
        limited.tag(DEV, image)
    for image in images:
        limited.run_until_over(image)

    assert {limited.delivery_state(DEV, image) for image in images} == {"failed"}
    queues = [queue for queue in limited.world.sqs.queues.values() if queue.account == HUB and "dead" in queue.name]
    assert [message.body for queue in queues for message in queue.messages] == []
    assert longest(limited) == {"worker": 5, "share-worker": 2}


def test_a_promotion_is_a_short_chain(limited):
    """Tag, slots, shares and copies: the copies end the chain."""
    limited.promote("dev")

    assert longest(limited) == {"worker": 5, "share-worker": 1}
