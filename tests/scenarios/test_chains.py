"""Lambda's recursive-loop detection: the packaged functions stay below its limit, and it is off for those that loop."""

from collections import Counter

import pytest

from tests.scenarios.scene import REGION, Scene

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


def test_a_promotion_is_a_short_chain(limited):
    """Tag, slots, shares and copies: the copies end the chain."""
    limited.promote("dev")

    assert longest(limited) == {"worker": 5, "share-worker": 1}
