"""``make demo`` ends with status 0 with and without injected faults, and can end with status 1."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from awsim.world import World
from demo import screen, setting, show, stage
from demo.__main__ import main, run
from demo.observer import Happening, Observer
from demo.options import CrashOption, Options, parse
from demo.verdict import judge

ROOT = Path(__file__).parents[2]
DEV = stage.TARGETS["dev"]


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run it in this process, its output in a pipe; returns exit status and what it said."""

    def run(*words: str) -> tuple[int, str]:
        return main(words), capsys.readouterr().out

    return run


def _a_terminal(width: int = 80, height: int = 24) -> Console:
    """A terminal that can draw, whatever terminal the tests run on."""
    can = {"TERM": "xterm-256color"}
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, highlight=False, _environ=can)


def test_three_targets_get_their_ami_and_nothing_stays_open() -> None:
    """Without injected faults: status 0, a line for each event, the table, and every claim checked."""
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**inherited, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    status, said = done.returncode, done.stdout + done.stderr
    rows = re.findall(r"^ (dev|test|prod) +(ami-0[0-9a-f]{16}) +\d+ min \d\d s +\d+ min \d\d s", said, re.MULTILINE)
    keys = re.findall(r"^ \d{12}  ([0-9a-f]{8}-[0-9a-f-]{27})", said, re.MULTILINE)

    assert status == 0, said
    assert [name for name, _ in rows] == list(stage.TARGETS)
    assert len({image for _, image in rows}) == len(set(keys)) == 3
    assert "✗" not in said
    assert "✓ shares still open: none" in said
    assert '--tags Key=promote,Value="dev 444444444444"' in said
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100
    assert "error, Given key ID is not accessible" in said
    assert said.count("as on AWS: new key access works within 5 min; tried again") == 1
    end = said.splitlines()[-6:]
    assert end[0].startswith("✓ ")
    assert end[1] == "All checks passed."
    assert end[2].split()[:2] == ["make", "demo-all"]
    assert "Injected" not in said


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.thorough
def test_a_pipe_is_as_wide_as_columns_says(
    demo: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """It asks the reader behind a pipe, such as a pager, for the width; from 80 columns on no key is cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    status, said = demo("--targets", "1")
    laid_out = [len(line) for line in said.splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line)]

    assert status == 0, said
    assert max(laid_out) <= width
    assert ("…" in said) == (width < 80)


@pytest.mark.thorough
def test_the_sweep_alone_is_enough(demo: Callable[..., tuple[int, str]]) -> None:
    """With every event lost, and every wake but the sweep's own: status 0, and the sweep's finds are counted."""
    status, said = demo("--no-events", "--targets", "2")
    lost, wakes, found = map(int, re.findall(r"(\d+) events lost, (\d+) wakes lost; the schedule found (\d+)", said)[0])

    assert status == 0, said
    assert lost > 0
    assert wakes > 0
    assert found > 0
    assert "on-target-event" not in said


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("crash", "died", "first"),
    [
        ("worker:CopySnapshot", "worker crashed after CopySnapshot", "copies snap-"),
        ("worker:RegisterImage", "worker crashed after RegisterImage", "registers ami-"),
        (
            "share-worker:ModifySnapshotAttribute:3:before",
            "share-worker crashed before ModifySnapshotAttribute",
            "registers ami-",
        ),
        ("share-worker:RevokeGrant:1:before", "share-worker crashed before RevokeGrant", "registers ami-"),
    ],
)
def test_a_crashed_function_changes_nothing_of_the_outcome(
    demo: Callable[..., tuple[int, str]], crash: str, died: str, first: str
) -> None:
    """Crashed after CopySnapshot, after RegisterImage, or before either revoke: status 0, one AMI, nothing left."""
    events = ("--no-events",) if "CopySnapshot" in crash else ()
    status, said = demo("--crash", crash, "--targets", "1", *events)

    assert status == 0, said
    assert -1 < said.index(first) < said.index(died)
    assert "✓ every crash that was asked for has happened" in said
    words = " ".join(said.split())
    assert "Injected 1 crashed" in words
    assert "AWS calls" not in words  # these belong to the benchmark


@pytest.mark.thorough
def test_what_failed_is_reported() -> None:
    """A share that does not close, one AMI too many, a crash that did not happen: each is named; status 1."""

    def meddle(world: World) -> None:
        world.ec2.state.deaf_removals = 1_000_000
        world.ec2.seed_image(DEV, stage.REGION, name="not of ours", volumes=(8,))

    console = Console(file=io.StringIO(), width=100)
    status = run(Options(targets=1, crashes=(CrashOption("discover", "CopyImage"),)), console, meddle=meddle)
    said = console.file.getvalue()

    assert status == 1
    assert "✗ failed: shares still open: none" in said
    assert re.search(rf"snap-\w+ of {stage.HUB} in us-east-1 to UserId {DEV}", said)
    assert re.search(rf"describe-snapshot-attribute: snap-\w+ to {DEV}", said)
    assert f"dev ({DEV}): it has 2 AMIs" in said
    assert "discover never came after CopyImage number 1" in said
    assert "✓ no message in a dead-letter queue" in said
    assert "Some checks failed" in said


@pytest.mark.thorough
def test_a_terminal_shows_it_advancing() -> None:
    """On a terminal the picture is redrawn, with bars, until all is delivered; every frame fits the screen."""
    console = _a_terminal()
    with World() as world:
        ready = setting.copies(world, Options(targets=1))
        observer = Observer(ready, detailed=True)
        ready.tag()
        show.live(observer, console, patience=0)
        verdict = judge(observer, {("after", way.place): ready.launch(way) for way in ready.ways})
    frames = console.file.getvalue().split("\x1b[?2026h")

    assert verdict.good
    assert len(frames) > 30
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", frame) for frame in frames]
    failed = [frame for frame in plain if re.search(r" error\s*$", frame, re.MULTILINE)]
    assert failed
    assert all("expected: a new key needs minutes" in frame for frame in failed)
    assert any("copying" in frame and "━─" in re.sub(r"\x1b\[[0-9;]*m", "", frame) for frame in frames)
    assert "delivered" in frames[-1]
    assert max(frame.count("\n") for frame in frames[:-1]) < console.height


@pytest.mark.parametrize(("width", "height", "targets"), [(80, 24, 3), (100, 24, 12), (60, 16, 3)])
@pytest.mark.thorough
def test_the_picture_fits(width: int, height: int, targets: int) -> None:
    """As wide as the terminal and never higher; targets that do not fit are counted."""
    console = _a_terminal(width, height)
    with World() as world:
        ready = setting.copies(world, Options(targets=targets))
        observer = Observer(ready, detailed=True)
        ready.tag()
        world.kernel.run(until=lambda: observer.look() and len(observer.deliveries) == targets)
        console.print(screen.Picture(observer))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue()).splitlines()

    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert ("more, 0 of them delivered" in "".join(lines)) == (targets == 12 or height == 16)


@pytest.mark.parametrize("indent", [0, 2])
def test_a_happening_is_folded_between_words(indent: int) -> None:
    """On a narrow terminal its lines stand below one another, and none is broken within a word."""
    console = _a_terminal(width=60)
    text = "copy of snap-017862c1: error, Given key ID is not accessible"
    screen.tell(console, Happening(datetime(2026, 1, 5, 9, 0, tzinfo=UTC), "dev", text, "bad"), 4, indent)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue()).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith(f"{' ' * indent}09:00:00  dev ")
    assert lines[1].startswith(" " * (indent + 16))
    assert " ".join(" ".join(lines).split()).endswith(text)


def test_bad_arguments_are_reported_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One message names every problem and its cure, and nothing is started."""
    with pytest.raises(SystemExit) as ended:
        parse(["--targets", "0", "--crash", "worker", "--crash", "actor:copy:0:during"])
    said = capsys.readouterr().err

    assert ended.value.code == 2
    for problem in ("--targets 0", "--crash worker: write it as", "no function 'actor'", "'copy'", "'0'", "'during'"):
        assert problem in said
