"""The packaged hub and the target's template, deployed unchanged in the simulator."""

from datetime import timedelta
from pathlib import Path

import pytest

from awsim.world import World
from demo import stage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scene(world: World) -> stage.Stage:
    """A hub and three targets."""
    return stage.set_up(world, ROOT)


def test_events_wake_the_functions_that_the_templates_name(world: World, scene: stage.Stage) -> None:
    """A tag invokes on-tag-change, a target's event (over the inbound bus) on-target-event, a schedule the rest."""
    hub = world.client("ec2", stage.HUB, stage.REGION)
    hub.create_tags(Resources=[scene.image], Tags=[{"Key": "promote", "Value": "dev"}])
    dev = stage.TARGETS["dev"]
    world.events.emit(dev, stage.REGION, "aws.ec2", "EBS Snapshot Notification", [], {"event": "copySnapshot"})
    world.kernel.run(limit=timedelta(minutes=6))

    woken = {one.function.rsplit("-us-east-1-", 1)[1]: one.event for one in reversed(world.lambda_.invocations)}
    assert {"on-tag-change", "on-target-event", "sweep", "discover"} <= set(woken)
    assert woken["on-tag-change"]["detail"]["changed-tag-keys"] == ["promote"]
    assert woken["on-target-event"]["account"] == dev
    assert [delivery.refused for delivery in world.events.deliveries if delivery.refused] == []


def test_a_missing_package_is_reported_with_its_cure(world: World, tmp_path: Path) -> None:
    """The message says how to build it."""
    with pytest.raises(FileNotFoundError, match="make package"):
        stage.set_up(world, tmp_path)
