"""Keep a world up to play with: ``python -m demo.sandbox up``.

It deploys the packaged hub and three targets, serves them on 127.0.0.1, lets virtual time run faster than real time,
prints what to type, and then what happens. Everything that it leaves is in ``.sandbox/``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from rich.console import Console

from awsim.front import Front, write_profiles
from awsim.world import World
from demo import screen, stage, ways
from demo.observer import Observer
from demo.setting import Setting

STATE = Path(".sandbox")
ROOT = Path(__file__).parents[1]
COMMANDS = (Path(sys.executable).parent, ROOT / ".venv-aws" / "bin")
"""Where ``ami-promoter`` and ``aws`` are, if `make` installed them."""
AWS_1 = """\
# Version 1 of the aws command line sends some services, such as sqs, to AWS whatever AWS_ENDPOINT_URL says.
aws() { command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"; }
"""
SETTING = "defaults:\n"
TARGETS_FILE = stage.TARGETS_FILE.replace(SETTING, f"{SETTING}  ssm_parameter: {stage.PREFIX}{{family}}/current\n")
NOTICES = "my-notices"
"""The queue that receives them."""
TICK = 0.1
"""Real seconds between two looks at the clock."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.sandbox", description="AWS's rules on a laptop")
    parser.add_argument("command", nargs="?", choices=["up"], default="up", help="up: keep a world up until Ctrl-C")
    parser.add_argument(
        "--port", type=int, default=4599, help="port on 127.0.0.1 (default: %(default)s; 0: any free one)"
    )
    parser.add_argument("--factor", type=float, default=20, help="virtual seconds in a real one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides all that is random (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="do not print what happens")
    options = parser.parse_args(arguments)
    if options.factor <= 0:
        parser.error(f"--factor {options.factor} would let time stand still: give a number above 0, such as 20")
    try:
        _up(options.port, options.factor, options.seed, quiet=options.quiet)
    except FileNotFoundError as missing:
        print(f"sandbox: {missing}")
        return 1
    except OSError as refused:
        print(f"sandbox: cannot listen on port {options.port}: {refused.strerror or refused}.")
        print("Take a free port: .venv/bin/python -m demo.sandbox --port 0")
        return 1
    return 0


def _up(port: int, factor: float, seed: int, *, quiet: bool) -> None:
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with World(seed, datetime.now(UTC).replace(microsecond=0)) as world:
        scene = stage.set_up(world)
        stage.allow_releases(world, Path(), stage.TARGETS.values())
        family = [{"Key": "family", "Value": stage.FAMILY}]
        world.client("ec2", stage.HUB, stage.REGION).create_tags(Resources=[scene.image], Tags=family)
        queue = _subscribe(world, scene)
        with Front(world, port) as front:
            accounts = {"hub": stage.HUB, **stage.TARGETS}
            variables = write_profiles(STATE, accounts, stage.REGION, front.url)
            _leave(variables, scene, front.url, accounts)
            print(_greeting(scene, front.url, factor, queue), flush=True)
            promoted = ways.copies(len(stage.TARGETS))
            setting = Setting(world, promoted, scene, {}, "", frozenset(world.shares_open()), world.now)
            _keep(Observer(setting, detailed=True), factor, stop, None if quiet else Console(highlight=False))
    print("The sandbox is down; only files in .sandbox/ are left.")


def _subscribe(world: World, scene: stage.Stage) -> str:
    """Let a queue of the hub receive the notices, and what alarms would send; return its URL."""
    url: str = world.client("sqs", stage.HUB, stage.REGION).create_queue(QueueName=NOTICES)["QueueUrl"]
    arn = f"arn:aws:sqs:{stage.REGION}:{stage.HUB}:{NOTICES}"
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Action": "sqs:SendMessage"}]}
    world.client("sqs", stage.HUB, stage.REGION).set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps(policy)}
    )
    for topic in (scene.hub.outputs["TopicArn"], f"arn:aws:sns:{stage.REGION}:{stage.HUB}:{stage.ALARMS}"):
        world.client("sns", stage.HUB, stage.REGION).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def _keep(observer: Observer, factor: float, stop: threading.Event, console: Console | None) -> None:
    """Let virtual time follow real time until it is stopped, and print what happens."""
    kernel = observer.setting.world.kernel
    width = screen.longest(observer)
    while not stop.wait(TICK):
        with kernel.visit():
            kernel.run(limit=timedelta(seconds=TICK * factor))
            observer.look()
            for happening in observer.news():
                if console:
                    screen.tell(console, happening, width)


def _leave(variables: dict[str, str], scene: stage.Stage, url: str, accounts: dict[str, str]) -> None:
    """Write what other programs need to find the world."""
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    found = ":".join(shlex.quote(str(place)) for place in COMMANDS if place.is_dir())
    (STATE / "env.sh").write_text(f"{''.join(lines)}PATH={found}:$PATH\n{AWS_1}", encoding="utf-8")
    (STATE / "targets.yaml").write_text(TARGETS_FILE, encoding="utf-8")
    reported = {"endpoint": url, "pid": os.getpid(), "region": stage.REGION, "accounts": accounts, "image": scene.image}
    (STATE / "world.json").write_text(json.dumps(reported, indent=2) + "\n", encoding="utf-8")


def _greeting(scene: stage.Stage, url: str, factor: float, queue: str) -> str:
    accounts = "".join(f"  {name:<5} {account}\n" for name, account in {"hub": stage.HUB, **stage.TARGETS}.items())
    return f"""\
A hub and three targets are up at {url}:

{accounts}
The simulator's clock runs {factor:g} times as fast as yours. Stop with Ctrl-C.
In another terminal, in this directory (the profiles are hub, {", ".join(stage.TARGETS)}):

  . {STATE}/env.sh
  ami-promoter targets apply {STATE}/targets.yaml
  ami-promoter doctor
  ami-promoter plan {scene.image} dev
  ami-promoter promote {scene.image} dev
  ami-promoter status {scene.image} --watch
  ami-promoter verify {scene.image}
  ami-promoter history {scene.image}
  ami-promoter report

For a failure: disable prod's key, promote there, ask doctor, enable it, retry.

  aws --profile prod kms disable-key --key-id alias/ami-promoter
  ami-promoter promote {scene.image} "dev prod"
  ami-promoter doctor
  aws --profile prod kms enable-key --key-id alias/ami-promoter
  ami-promoter retry {scene.image}

For a release: a parameter names the family's current AMI, until a newer one does,
which is recalled.

  aws --profile dev ssm get-parameter --name {stage.PARAMETER}
  aws ec2 copy-image --name golden-2026-02 --source-image-id {scene.image} \\
    --source-region {stage.REGION} --encrypted --kms-key-id {scene.key.rpartition("/")[2]} \\
    --tag-specifications 'ResourceType=image,Tags=[{{Key=family,Value={stage.FAMILY}}}]'
  ami-promoter promote golden-2026-02 dev --wait
  ami-promoter where --family {stage.FAMILY}
  ami-promoter recall golden-2026-02 --why 'It does not boot.'

As an operator, without a dashboard: alarms, a metric, a function's log.

  aws cloudwatch describe-alarms --output text \\
    --query 'MetricAlarms[].[StateValue,AlarmName]'
  aws cloudwatch list-metrics --namespace AmiPromoter
  aws logs filter-log-events --filter-pattern failed --output text \\
    --log-group-name /aws/lambda/ami-promoter-{stage.REGION}-worker

Or ask AWS:

  aws ec2 create-tags --resources {scene.image} \\
    --tags Key=promote,Value="dev prod"
  aws --profile dev ec2 describe-images --owners self
  aws ec2 describe-snapshot-attribute --snapshot-id {scene.snapshots[0]} \\
    --attribute createVolumePermission
  aws kms list-grants --key-id {scene.key.rpartition("/")[2]}
  aws sqs receive-message \\
    --queue-url {queue}

What happens, by the simulator's clock (UTC):
"""


if __name__ == "__main__":
    raise SystemExit(main())
