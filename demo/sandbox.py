"""Keep a world up to play with: ``python -m demo.sandbox up``.

It deploys the packaged hub and three targets, serves them on 127.0.0.1, lets virtual time run faster than real time,
and prints what to type. Everything it leaves lies in ``.sandbox/``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from awsim.front import Front, write_profiles
from awsim.world import World
from demo import stage

STATE = Path(".sandbox")
AWS_1 = """\
# Version 1 of the aws command line sends some services, such as sqs, to AWS whatever AWS_ENDPOINT_URL says.
aws() { command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"; }
"""
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
    parser.add_argument("--seed", type=int, default=0, help="what chance does (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="do not print a line for each invocation")
    options = parser.parse_args(arguments)
    if options.factor <= 0:
        parser.error(f"--factor {options.factor} would let time stand still: give a number above 0, such as 20")
    try:
        _up(options.port, options.factor, options.seed, quiet=options.quiet)
    except FileNotFoundError as missing:
        print(f"sandbox: {missing}")
        return 1
    except OSError as refused:
        print(f"sandbox: cannot listen on port {options.port}: {refused}. Choose another with --port, or --port 0.")
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
        with Front(world, port) as front:
            accounts = {"hub": stage.HUB, **stage.TARGETS}
            variables = write_profiles(STATE, accounts, stage.REGION, front.url)
            _leave(variables, scene, front.url, accounts)
            print(_greeting(scene, front.url, factor), flush=True)
            _keep(world, factor, stop, quiet=quiet)
    print("The sandbox is down; nothing of it is left but files in .sandbox/.")


def _keep(world: World, factor: float, stop: threading.Event, *, quiet: bool) -> None:
    """Let virtual time follow real time until told to stop."""
    shown = 0
    while not stop.wait(TICK):
        with world.kernel.visit():
            world.kernel.run(limit=timedelta(seconds=TICK * factor))
            ended = [one for one in world.lambda_.invocations[shown:] if one.done]
            if len(ended) < len(world.lambda_.invocations) - shown:
                continue  # one still runs: show them in order, when it has ended
            shown += len(ended)
            for one in ended if not quiet else ():
                name = one.function.rsplit(":", 1)[1]
                print(f"{one.began:%H:%M:%S}  {name}  {one.outcome}  {one.error}".rstrip(), flush=True)


def _leave(variables: dict[str, str], scene: stage.Stage, url: str, accounts: dict[str, str]) -> None:
    """Write what other programs need to find the world."""
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    (STATE / "env.sh").write_text("".join(lines) + AWS_1, encoding="utf-8")
    (STATE / "targets.yaml").write_text(stage.TARGETS_FILE, encoding="utf-8")
    reported = {"endpoint": url, "pid": os.getpid(), "region": stage.REGION, "accounts": accounts, "image": scene.image}
    (STATE / "world.json").write_text(json.dumps(reported, indent=2) + "\n", encoding="utf-8")


def _greeting(scene: stage.Stage, url: str, factor: float) -> str:
    names = ", ".join(f"{name} {account}" for name, account in stage.TARGETS.items())
    snapshot = scene.snapshots[0]
    return f"""\
A hub ({stage.HUB}) and three targets ({names}) are up at {url}.
One real second is {factor:g} virtual ones. Stop with Ctrl-C. In another terminal:

  . {STATE}/env.sh                                    # the profiles hub, {", ".join(stage.TARGETS)}; hub is the default
  ami-promoter targets apply {STATE}/targets.yaml     # who may receive AMIs
  aws ec2 create-tags --resources {scene.image} --tags Key=promote,Value="dev prod"
  ami-promoter status {scene.image}
  aws --profile dev ec2 describe-images --owners self
  aws ec2 describe-snapshot-attribute --snapshot-id {snapshot} --attribute createVolumePermission
  aws kms list-grants --key-id {scene.key}
"""


if __name__ == "__main__":
    raise SystemExit(main())
