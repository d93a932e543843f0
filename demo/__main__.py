"""``python -m demo``: promote an AMI to three accounts, and say whether all checks passed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from awsim.world import World
from demo import acts, releases, screen, setting, show, stage
from demo.observer import Observer
from demo.options import Options, parse
from demo.report import print_report
from demo.setting import NotReady, Setting
from demo.verdict import judge

WIDTH_OF_A_PIPE = 100
"""Columns where no terminal says how many it has, nor COLUMNS."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status: 0 if all checks passed, 1 if not, 130 if it was stopped."""
    options = parse(arguments)
    on_a_terminal = sys.stdout.isatty()
    # None: as the terminal, COLUMNS and NO_COLOR say.
    console = Console(
        file=sys.stdout,
        highlight=False,
        width=None if on_a_terminal or os.environ.get("COLUMNS", "").isdigit() else WIDTH_OF_A_PIPE,
        no_color=None if on_a_terminal else True,
    )
    try:
        if options.all:
            return acts.run(console, options.seed)
        if options.releases:
            return releases.run(console, options.seed)
        return run(options, console, watched=on_a_terminal and not console.is_dumb_terminal and not options.plain)
    except KeyboardInterrupt:
        console.print("Stopped. The simulator is gone.")
        return 130


def run(
    options: Options, console: Console, *, watched: bool = False, meddle: Callable[[World], object] = lambda _: None
) -> int:
    """Run the demo on a console. ``meddle`` may do something to the world before the tag is set."""
    count = f"{options.targets} target{'' if options.targets == 1 else 's'}"
    screen.begin(console, count)
    with World(options.seed) as world:
        try:
            ready = setting.copies(world, options)
        except NotReady as why:
            console.print(Text(f"demo: {why}", style="red"), soft_wrap=True)
            return 1
        meddle(world)
        _introduce(ready, options, console)
        observer = Observer(ready, detailed=True)
        ready.tag()
        (show.live if watched else show.plainly)(observer, console)
        launches = {("after", way.place): ready.launch(way) for way in ready.ways}
        print_report(console, observer, verdict := judge(observer, launches), screen.glyphs(console))
        return 0 if verdict.good else 1


def _introduce(ready: Setting, options: Options, console: Console) -> None:
    mark = (f"{screen.glyphs(console).good} ", "bold green")
    warned = ("! ", "bold red")
    sizes = " and ".join(str(size) for size in stage.SIZES)
    lines = [
        (mark, "deployed: build/hub in the hub, deploy/target.yaml in each target"),
        (mark, f"ami-promoter targets apply: group dev has {_dev(ready)}{_others(ready)}"),
        (mark, f"built: {ready.staged.image}, {sizes} GiB, encrypted under a key of the hub"),
    ]
    if not options.events:
        lines.append((warned, "every event is lost, and every wake but the sweep's own"))
    lines += [(warned, f"to crash: {crash}") for crash in options.crashes]
    for line in lines:
        console.print(Text.assemble(*line))
    tags = f'Key=promote,Value="{ready.value()}"'
    console.print(f"\n$ aws ec2 create-tags --resources {ready.staged.image} \\\n    --tags {tags}\n", style="bold")


def _others(ready: Setting) -> str:
    return "".join(f", {way.word} is {way.name}" for way in ready.ways if way.word)


def _dev(ready: Setting) -> str:
    names = [ready.name(way.account) for way in ready.ways if way.group == "dev" and not way.word]
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} accounts"


if __name__ == "__main__":
    raise SystemExit(main())
