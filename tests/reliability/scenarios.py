"""What happens in a run without injections, and the end that every run must reach, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.scenarios.scene import DEV, Scene

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


def _tag(run: ScenarioRun) -> None:
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


def _delivered(scene: Scene) -> list[str]:
    images, snapshots = scene.images_in(DEV), {s["SnapshotId"] for s in scene.snapshots_in(DEV)}
    used = {d["Ebs"]["SnapshotId"] for image in images for d in image["BlockDeviceMappings"]}
    problems = [] if len(images) == 1 else [f"{len(images)} AMIs"]
    if used != snapshots or len(used) != len(scene.snapshots):
        problems.append(f"snapshots {snapshots}, used {used}")
    return [*problems, *_ended(scene, "delivered")]


def _nothing_left(scene: Scene, state: str) -> list[str]:
    left = [image["ImageId"] for image in scene.images_in(DEV)] + [s["SnapshotId"] for s in scene.snapshots_in(DEV)]
    return [*([f"left over: {left}"] if left else []), *_ended(scene, state)]


def _cancelled_or_late(scene: Scene) -> list[str]:
    """Cancelled; or delivered, if the removal of the tag was read after RegisterImage's intent."""
    return _delivered(scene) if scene.delivery_state(DEV) == "delivered" else _nothing_left(scene, "cancelled")


def _ended(scene: Scene, state: str) -> list[str]:
    """In that state, its owner notified, and the promotion over; repeats of a notice have the same id."""
    problems = [] if scene.states() == {DEV: state} else [f"states {scene.states()}"]
    reported = {(body["event"], body["id"]) for body in scene.notices(image=scene.image)}
    if sorted(event for event, _ in reported) != [f"delivery.{state}", "promotion.over"]:
        problems.append(f"sent {sorted(reported)}")
    return problems


DELIVERED = Scenario("delivered", _tag, _delivered)
AT_ONCE = Scenario("at once", _tag, _delivered, _at_once)
CANCELLED = Scenario("cancelled", _tag_and_cancel, _cancelled_or_late, _slowly)
FAILED = Scenario("failed", _tag, lambda scene: _nothing_left(scene, "failed"), _unregistrable)

SCENARIOS = {scenario.name: scenario for scenario in (DELIVERED, AT_ONCE, CANCELLED, FAILED)}
