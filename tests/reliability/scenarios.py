"""What happens in a run without injections, and the end that every run must reach, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.scenarios.scene import DEV, REGION, Scene

if TYPE_CHECKING:
    from tests.reliability.scenario_run import ScenarioRun

WITHOUT_END = 10**6


@dataclass(frozen=True)
class Scenario:
    """``prepare`` sets AWS up, ``act`` acts as people do, and ``problems`` returns what is wrong in the end."""

    name: str
    act: Callable[[ScenarioRun], None]
    problems: Callable[[Scene], list[str]]
    prepare: Callable[[Scene], None] = lambda _: None


def tag(run: ScenarioRun) -> None:
    """Tag the AMI for the group ``default``."""
    run.scene.tag("")


def _tag_and_cancel(run: ScenarioRun) -> None:
    """Remove the tag when both copies have started: the delivery stops, deletes its copies and closes its shares."""
    scene = run.scene
    scene.tag("")
    run.run_until(lambda: len(_copies(scene)) >= len(scene.snapshots))
    scene.untag()


def _copies(scene: Scene) -> list[str]:
    """Ids of the snapshots in the target."""
    return [snapshot.id for snapshot in scene.world.ec2.state.snapshots.all() if snapshot.owner == DEV]


def _slowly(scene: Scene) -> None:
    scene.world.ec2.pace.copy = 240


def _at_once(scene: Scene) -> None:
    """Copies complete before EC2 has answered the calls that made them, if its answers are slow.

    An AMI's event that arrives before RegisterImage's answer finds no delivery, as its id is not known yet. The service
    looks a minute later.
    """
    scene.world.ec2.pace.copy, scene.world.ec2.pace.copy_per_gib = 0.1, 0


def _unregistrable(scene: Scene) -> None:
    """EC2 always refuses RegisterImage, with a code that is not retried."""
    scene.world.injections.refuse("RegisterImage", "InvalidParameterCombination", n=WITHOUT_END)


def owned(scene: Scene, account: str, region: str) -> list[str]:
    """What is wrong with the only AMI that an account should own."""
    ec2 = scene.world.client("ec2", account, region)
    images = [image for image in ec2.describe_images(Owners=["self"])["Images"] if image["State"] != "deregistered"]
    used = {device["Ebs"]["SnapshotId"] for image in images for device in image["BlockDeviceMappings"]}
    there = {snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    problems = [] if len(images) == 1 else [f"{len(images)} AMIs in {account}, {region}"]
    if used != there or len(used) != len(scene.snapshots):
        problems.append(f"snapshots {there}, used {used} in {account}, {region}")
    failed = [scene.world.launch(account, region, image["ImageId"]) for image in images]
    return [*problems, *(f"{account}, {region} cannot launch it: {why}" for why in failed if why)]


def left_over(scene: Scene) -> list[str]:
    """What is left in the target."""
    left = [image["ImageId"] for image in scene.images_in(DEV)] + [s["SnapshotId"] for s in scene.snapshots_in(DEV)]
    return [f"left over: {left}"] if left else []


def wrong_end(scene: Scene, states: dict[str, str], *reported: str) -> list[str]:
    """Wrong states, or other notices than one for each owner and one summary; repeats have the same id."""
    problems = [] if scene.states() == states else [f"states {scene.states()}"]
    bodies = {(body["event"], body["id"]) for body in scene.notices(image=scene.image)}
    events = sorted(event for event, _ in bodies)
    return problems if events == sorted((*reported, "promotion.over")) else [*problems, f"sent {sorted(bodies)}"]


def _delivered(scene: Scene) -> list[str]:
    return [*owned(scene, DEV, REGION), *wrong_end(scene, {DEV: "delivered"}, "delivery.delivered")]


def _nothing_left(scene: Scene, state: str) -> list[str]:
    return [*left_over(scene), *wrong_end(scene, {DEV: state}, f"delivery.{state}")]


def _cancelled_or_late(scene: Scene) -> list[str]:
    """Cancelled; or delivered, if the removal of the tag was read after RegisterImage's intent."""
    return _delivered(scene) if scene.delivery_state(DEV) == "delivered" else _nothing_left(scene, "cancelled")


DELIVERED = Scenario("delivered", tag, _delivered)
AT_ONCE = Scenario("at once", tag, _delivered, _at_once)
CANCELLED = Scenario("cancelled", _tag_and_cancel, _cancelled_or_late, _slowly)
FAILED = Scenario("failed", tag, lambda scene: _nothing_left(scene, "failed"), _unregistrable)

SCENARIOS = {scenario.name: scenario for scenario in (DELIVERED, AT_ONCE, CANCELLED, FAILED)}
