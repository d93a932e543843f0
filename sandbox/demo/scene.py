"""What stands before the demo begins: a hub, targets, the targets file applied by the real command line, an AMI."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import stage
from sandbox.front import ADDRESS, Front, write_profiles

if TYPE_CHECKING:
    from sandbox.demo.options import Options
    from sandbox.injections import PlannedCrash
    from sandbox.world import World

ROOT = Path(__file__).parents[2]
STANDING = timedelta(minutes=6)
"""How long the hub has stood before the tag is set. Its first look for tagged AMIs, within five minutes, is its
baseline: what is tagged by then moves only by an event."""
DIGITS = "56789"
"""Of the accounts after the first three: 555555555555 and so on."""


class NotReady(Exception):
    """The scene could not be set; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A world ready for the tag. ``targets`` is name -> account, and ``value`` what the tag will say."""

    world: World
    stage: stage.Stage
    targets: Mapping[str, str]
    value: str
    crashes: tuple[PlannedCrash, ...]

    @property
    def names(self) -> dict[str, str]:
        """Account -> the name that a person calls it."""
        return {stage.HUB: "hub", **{account: name for name, account in self.targets.items()}}

    def tag(self) -> None:
        """Start the promotion, by the call that an image builder makes when it is done."""
        tags = [{"Key": "promote", "Value": self.value}]
        self.world.client("ec2", stage.HUB, stage.REGION).create_tags(Resources=[self.stage.image], Tags=tags)


def targets(count: int) -> dict[str, str]:
    """Name so many targets: dev, test, prod, and others."""
    accounts = [*stage.TARGETS.values(), *(digit * 12 for digit in DIGITS)]
    accounts += [f"20000000{n:04d}" for n in range(count)]
    names = [*stage.TARGETS, *(f"team{n}" for n in range(1, count))]
    return dict(zip(names[:count], accounts, strict=False))


def build(world: World, options: Options) -> Scene:
    """Set the scene. Raises NotReady."""
    wanted = targets(options.targets)
    try:
        staged = stage.set_up(world, ROOT, wanted)
    except FileNotFoundError as missing:
        raise NotReady(str(missing)) from None
    apply(world, stage.targets_file(wanted), wanted)
    world.kernel.run(limit=STANDING)
    injections = world.injections
    if not options.events:
        injections.drop_events()
        injections.lose_messages(stage.WAKE_QUEUES, except_from="sweep")
    crashes = tuple(injections.crash(c.function, c.operation, c.nth, c.when) for c in options.crashes)
    value = "dev" if "prod" not in wanted else f"dev {wanted['prod']}"
    return Scene(world, staged, wanted, value, crashes)


def apply(world: World, text: str, names: Mapping[str, str]) -> None:
    """Apply a targets file as a person does: in a process of its own, over HTTP. Raises NotReady.

    ``names`` is name -> account, for the profiles.
    """
    with Front(world) as front, tempfile.TemporaryDirectory(prefix="sandbox-demo-") as folder:
        file = Path(folder) / "targets.yaml"
        file.write_text(text, encoding="utf-8")
        variables = write_profiles(Path(folder), {"hub": stage.HUB, **names}, stage.REGION, front.url)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        direct = {"NO_PROXY": ADDRESS, "no_proxy": ADDRESS}
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "ami_promoter", "targets", "apply", str(file)],
            cwd=ROOT,
            env={**outside, **variables, **direct},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise NotReady(f"`ami-promoter targets apply` ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
