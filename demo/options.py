"""The options of the demo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

FUNCTIONS = ("on-tag-change", "on-image-state", "on-target-event", "worker", "share-worker", "sweep", "discover")
MOST_TARGETS = 1000
CRASH = "FUNCTION:OPERATION[:NTH[:before|after]]"


@dataclass(frozen=True, slots=True)
class CrashOption:
    """One crash of ``function``: before or after its ``nth`` call of ``operation``."""

    function: str
    operation: str
    nth: int = 1
    when: Literal["before", "after"] = "after"

    def __str__(self) -> str:
        return f"{self.function} {self.when} {self.operation} number {self.nth}"


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is to run."""

    targets: int = 3
    seed: int = 0
    events: bool = True
    crashes: tuple[CrashOption, ...] = ()
    plain: bool = False
    all: bool = False
    """Whether all ways of sharing are shown, each with its own account."""
    releases: bool = False
    """Whether it shows what follows a copy."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line. Bad input ends the process with status 2 and one message that lists every problem."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Promote an AMI of two encrypted volumes from a hub to its targets, all of it on this machine. "
        "The exit status is 0 only if it arrived everywhere and nothing is left open.",
    )
    parser.add_argument("--targets", type=int, default=3, metavar="N", help="target accounts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides all that is random (default: %(default)s)")
    parser.add_argument("--no-events", action="store_true", help="lose every event, and every wake but the sweep's own")
    parser.add_argument(
        "--crash",
        action="append",
        default=[],
        metavar=CRASH,
        help="crash a function at an AWS call, such as worker:CopySnapshot or share-worker:RevokeGrant:1:before; "
        "NTH is 1 and the moment `after` if not given; may be repeated",
    )
    parser.add_argument("--plain", action="store_true", help="a line for each thing that happens, as fast as it goes")
    parser.add_argument("--all", action="store_true", help="one account for each way of sharing; only --seed beside it")
    parser.add_argument("--releases", action="store_true", help="what follows a copy; only --seed beside it")
    given = parser.parse_args(arguments)
    problems = []
    others = given.targets != parser.get_default("targets") or given.no_events or given.crash
    shows = [f"--{name}" for name in ("all", "releases") if getattr(given, name)]
    if shows and (others or shows[1:]):
        problems.append(f"{shows[0]} has targets of its own: leave out all options but --seed")
    if not 1 <= given.targets <= MOST_TARGETS:
        problems.append(f"--targets {given.targets}: give a number from 1 to {MOST_TARGETS}")
    crashes = []
    for text in given.crash:
        crash, wrong = _crash(text)
        crashes += [crash] if crash else []
        problems += [f"--crash {text}: {one}" for one in wrong]
    if problems:
        parser.error("\n  ".join(["", *problems]) if len(problems) > 1 else problems[0])
    return Options(
        targets=given.targets,
        seed=given.seed,
        events=not given.no_events,
        crashes=tuple(crashes),
        plain=given.plain,
        all=given.all,
        releases=given.releases,
    )


def _crash(text: str) -> tuple[CrashOption | None, list[str]]:
    parts = text.split(":")
    if not 2 <= len(parts) <= 4:
        return None, [f"write it as {CRASH}"]
    function, operation, nth, when = (*parts, *("", "", "1", "after")[len(parts) :])
    problems = []
    if function not in FUNCTIONS:
        problems.append(f"there is no function {function!r}; there are {', '.join(FUNCTIONS)}")
    if not operation.isalnum() or not operation[0].isupper():
        problems.append(f"{operation!r} is no AWS operation; write it as in CopySnapshot")
    if not nth.isdigit() or int(nth) < 1:
        problems.append(f"{nth!r} is no count; give a number from 1 on")
    if when not in {"before", "after"}:
        problems.append(f"{when!r} is no moment; say before or after")
    if problems:
        return None, problems
    return CrashOption(function, operation, int(nth), cast('Literal["before", "after"]', when)), []
