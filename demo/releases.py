"""After the copy: a parameter names the current AMI of each target, and a bad AMI is taken back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from awsim.services.ec2.state import Boot
from awsim.world import World
from demo import screen, stage
from demo.setting import STANDING
from demo.terminal import ROOT, Terminal

FAMILY, PARAMETER = stage.FAMILY, stage.PARAMETER
ACCOUNTS = {"dev": "222222222222", "qa": "333333333333", "prod": "444444444444"}
FILE = f"""\
defaults:
  external_id: {stage.EXTERNAL_ID}
  ssm_parameter: {stage.PREFIX}{{family}}/current
  launch_test: {{instance_type: t3.micro, within: 15m}}
  retire: {{keep: 1, after: 1d}}
groups:
  dev: ["{ACCOUNTS["dev"]}"]
  qa: {{members: ["{ACCOUNTS["qa"]}"], after: dev, soak: 30m}}
  prod: {{members: ["{ACCOUNTS["prod"]}"], after: qa, soak: 4h}}
accounts:
  "{ACCOUNTS["dev"]}": {{name: dev}}
  "{ACCOUNTS["qa"]}": {{name: qa}}
  "{ACCOUNTS["prod"]}": {{name: prod}}
"""
PANIC = "[    1.414213] Kernel panic - not syncing: VFS: Unable to mount root fs"
OLD = timedelta(hours=26)
"""After so long the worker of the parameter has looked again, as it does each day, and retired the first AMI."""
GONE = timedelta(minutes=2)
"""After so long EC2 no longer shows what was deregistered."""
LONGEST = timedelta(days=2)
"""Virtual time for which something is waited for."""
OVER, STOPPED = "promotion.over", "promotion.wave-stopped"
TONES = {"delivered": "green", "failed": "bold red", "recalled": "bold red"}


def run(console: Console, seed: int = 0) -> int:
    """Play the story; returns the exit status: 0 if it ends as expected, else 1."""
    screen.begin(console, "3 targets")
    with World(seed) as world, Terminal(world, ACCOUNTS) as terminal:
        try:
            return Story(world, terminal, console).play()
        except FileNotFoundError as why:
            console.print(Text(f"demo: {why}", style="red"), soft_wrap=True)
            return 1


class Story:
    """One run, shown on a console as it goes."""

    def __init__(self, world: World, terminal: Terminal, console: Console) -> None:
        self._world = world
        self._terminal = terminal
        self._console = console
        self._acts = 0
        self._shown = 0
        self._wrong: list[str] = []
        self._staged = stage.set_up(world, ROOT, ACCOUNTS)
        stage.leave_out_vain_sweeps(world)
        self._marks = screen.glyphs(console)
        stage.allow_releases(world, ROOT, ACCOUNTS.values())
        world.kernel.run(limit=STANDING)

    def play(self) -> int:
        """Play all acts; returns the exit status."""
        self._act("One file says who follows whom, and what names the current AMI.")
        self._console.print(Text(FILE, style="dim"), soft_wrap=True)
        self._command("targets", "apply", "--yes", self._terminal.file("targets.yaml", FILE), shows=False)

        self._act("A good AMI. A launch template in prod finds it by the parameter's name.")
        good = self._built("golden-2026-01")
        self._promote(good)
        self._makes_launch_template()
        self._launches(good)

        self._act("The next does not boot in dev: it never reaches qa, and no parameter moves.")
        dead = self._built("golden-2026-02")
        self._world.ec2.boots[dead] = Boot(impaired="instance", console=PANIC)
        self._promote(dead, until=STOPPED)
        self._command("status", dead)
        self._launches(good)

        self._act("A third boots everywhere. Then somebody finds why nobody should use it.")
        bad = self._built("golden-2026-03")
        self._promote(bad)
        self._launches(bad)
        self._command("recall", bad, "--why", "The agent eats all memory.", "--yes")
        self._until(lambda: self._names(good))
        self._launches(good)

        self._act("A fourth is good. Prod still runs the first: replace that, and remove it.")
        last = self._built("golden-2026-04")
        self._promote(last)
        self._command("where", good, "--use", waits=True)
        self._replaces()
        self._launches(last)
        self._world.kernel.run(limit=OLD)
        self._command("admin", "clean-up", "--yes", profile="prod")
        self._world.kernel.run(limit=GONE)
        return self._end(good, dead, bad, last)

    # --- what people do ---

    def _act(self, title: str) -> None:
        self._acts += 1
        self._console.print(Text(f"\n{self._acts}. {title}", style="bold"))

    def _command(self, *words: str, profile: str = "hub", shows: bool = True, waits: bool = False) -> None:
        who = f"AWS_PROFILE={profile} " if profile != "hub" else ""
        self._typed(f"{who}ami-promoter {shlex.join(words)}")
        columns = min(self._console.width, 100) - 4
        status, said = self._terminal.run(*words, profile=profile, columns=columns, waits=waits)
        if status:
            self._wrong.append(f"`ami-promoter {words[0]}` ended with status {status}")
        if shows or status:
            self._console.print(Text("".join(f"    {line}\n" for line in said.splitlines()), end=""), soft_wrap=True)

    def _typed(self, words: str) -> None:
        self._console.print(Text(f"  $ {words}", style="bold cyan"), soft_wrap=True)

    def _built(self, name: str) -> str:
        image = self._world.ec2.seed_image(
            stage.HUB, stage.REGION, name=name, volumes=stage.SIZES[:1], key=self._staged.key, tags={"family": FAMILY}
        )
        self._say("hub", f"built {image}, {name}, family {FAMILY}")
        return image

    def _promote(self, image: str, until: str = OVER) -> None:
        words = "dev qa prod"
        self._console.print(
            Text(
                f"  $ aws ec2 create-tags --resources {image} \\\n      --tags Key=promote,Value={words!r}", "bold cyan"
            ),
            soft_wrap=True,
        )
        self._client("ec2").create_tags(Resources=[image], Tags=[{"Key": "promote", "Value": words}])
        self._until(lambda: any(body.get("source_image") == image for body in self._bodies(until)))

    def _makes_launch_template(self) -> None:
        data = {"ImageId": f"resolve:ssm:{PARAMETER}", "InstanceType": "t3.micro"}
        self._typed(f"AWS_PROFILE=prod aws ec2 create-launch-template … ImageId=resolve:ssm:{PARAMETER}")
        ec2 = self._client("ec2", "prod")
        ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)

    def _launches(self, source: str) -> None:
        """Launch by the template in prod; its instance must be from the copy of a source."""
        self._typed("AWS_PROFILE=prod aws ec2 run-instances --launch-template LaunchTemplateName=fleet")
        template = {"LaunchTemplateName": "fleet"}
        made = self._client("ec2", "prod").run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1)
        image = made["Instances"][0]["ImageId"]
        right = image == self._copy("prod", source)
        self._say(
            "prod", f"runs {image}, the copy of {source}" if right else f"runs {image}", "green" if right else "red"
        )
        if not right:
            self._wrong.append(f"an instance in prod runs {image}, and not the copy of {source}")

    def _replaces(self) -> None:
        """End all instances in prod, as its administrator does who replaces them."""
        ec2 = self._client("ec2", "prod")
        self._typed("AWS_PROFILE=prod aws ec2 terminate-instances --instance-ids …")
        ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in _instances(ec2)])

    def _end(self, good: str, dead: str, bad: str, last: str) -> int:
        """Say what must hold now, and whether it does; returns the exit status."""
        accounts = {name: self._client("ec2", name) for name in ACCOUNTS}
        tests = [
            one for ec2 in accounts.values() for one in _instances(ec2) if "ami-promoter:hub" in str(one.get("Tags"))
        ]
        promises = {
            f"{PARAMETER} names the copy of {last} in all three targets": self._names(last),
            f"{dead} is in no target: what dev got was removed": not any(self._copy(name, dead) for name in ACCOUNTS),
            f"{bad} is deprecated in dev and qa, and removed from prod": all(
                self._deprecated(name, bad) for name in ("dev", "qa")
            )
            and not self._copy("prod", bad),
            f"{good} is gone from prod, where nothing used it": not self._copy("prod", good),
            "no instance of a launch test is left": not tests,
            "shares still open: none": not self._world.shares_open(),
        }
        self._console.print()
        for promise, holds in promises.items():
            mark, style = (self._marks.good, "bold green") if holds else (self._marks.bad, "bold red")
            self._console.print(Text.assemble((f"{mark} ", style), promise), soft_wrap=True)
        for wrong in self._wrong:
            self._console.print(Text(f"{self._marks.bad} {wrong}", style="red"), soft_wrap=True)
        if self._wrong or not all(promises.values()):
            return 1
        self._console.print("All checks passed. docs/guide/releases.md says how to set this up.")
        return 0

    # --- what is there ---

    def _client(self, service: str, name: str = "hub") -> Any:
        return self._world.client(service, {"hub": stage.HUB, **ACCOUNTS}[name], stage.REGION)

    def _copy(self, name: str, source: str) -> str:
        """Return the id of the AMI in a target that was copied from a source; "" if there is none."""
        which = [{"Name": "tag:ami-promoter:source-image", "Values": [source]}]
        found = self._client("ec2", name).describe_images(Owners=["self"], Filters=which)["Images"]
        return next((image["ImageId"] for image in found), "")

    def _deprecated(self, name: str, source: str) -> bool:
        image = self._copy(name, source)
        shown = self._client("ec2", name).describe_images(ImageIds=[image])["Images"] if image else []
        return any("DeprecationTime" in one for one in shown)

    def _names(self, source: str) -> bool:
        """Whether the parameter of each target names its copy of a source."""
        return all(self._value(name) == self._copy(name, source) for name in ACCOUNTS)

    def _value(self, name: str) -> str:
        found = self._client("ssm", name).get_parameters(Names=[PARAMETER])["Parameters"]
        return next((one["Value"] for one in found), "")

    def _bodies(self, event: str) -> list[dict[str, Any]]:
        return [one.body for one in self._world.sns.published if one.body["event"] == event]

    # --- time ---

    def _until(self, done: Callable[[], bool]) -> None:
        """Let virtual time run until something holds; show each notice as it comes."""
        kernel = self._world.kernel
        end = kernel.now + LONGEST

        def news() -> bool:
            return len(self._world.sns.published) > self._shown or done()

        while kernel.run(news, end - kernel.now):
            self._notices()
            if done():
                return
        self._wrong.append("what was waited for never happened")

    def _notices(self) -> None:
        fresh = self._world.sns.published[self._shown :]
        self._shown = len(self._world.sns.published)
        names = {account: name for name, account in ACCOUNTS.items()}
        for body in (one.body for one in fresh):
            if body["event"].partition(".")[0] in ("delivery", "promotion"):
                who = names.get(body.get("account", ""), "hub")
                self._say(who, _said(body), TONES.get(body.get("outcome", "failed"), ""))

    def _say(self, who: str, text: str, style: str = "") -> None:
        line = Text.assemble((f"{self._world.now:%b %d %H:%M}  ", "dim"), (f"{who:<5} ", "bold"), (text, style))
        screen.fold(self._console, Text("  ") + line, 22)


def _instances(ec2: Any) -> list[Any]:
    """Return the instances of an account that have not ended."""
    every = (one for found in ec2.describe_instances()["Reservations"] for one in found["Instances"])
    return [one for one in every if one["State"]["Name"] not in ("shutting-down", "terminated")]


def _said(body: Mapping[str, Any]) -> str:
    """What a notice says, in one line."""
    if body["event"] == OVER:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in body["counts"].items() if count)
        return f"the promotion of {body['source_image']} is over: {counts}"
    if body["event"] == STOPPED:
        return f"a wave is stopped: {body['plain']['what']}"
    pointer = body["pointer"] or {}
    named = f"; {pointer['parameter']} names it" if body["image"] and pointer.get("image") == body["image"] else ""
    why = "".join(f": {fault['what']}" for fault in body["faults"][:1])
    return " ".join(filter(None, (body["outcome"], body["image"]))) + named + why
