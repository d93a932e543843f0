"""Commands of a page of the guide, run by a shell over HTTP while virtual time runs."""

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from awsim.world import World

IMPATIENT = f"""\
#!{sys.executable}
import sys, time
from ami_promoter.cli import main
from ami_promoter.verbs import TerminalClock
sys.exit(main(clock=TerminalClock(sleep=lambda seconds: time.sleep(seconds / 50))))
"""
"""The command line, with a simulator whose time runs faster."""
LONGEST = timedelta(days=2)


def write_programs(folder: Path, programs: Mapping[str, str]) -> Path:
    """Write programs by their names into a folder, for a shell's PATH; return it."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def run(
    world: World, command: Sequence[str], environment: Mapping[str, str], folder: Path, step: timedelta
) -> tuple[int, str]:
    """Run a command in a folder; return its exit status and its output.

    ``step``: the virtual time between two looks at it. Raises AssertionError if it does not end.
    """
    end = world.now + LONGEST
    pause = threading.Event()  # never set: in a world, time.sleep takes no time, and Popen.wait would be a busy loop
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        while process.poll() is None:
            assert world.now < end, f"it waits for ever: {command[-1]}"
            with world.kernel.visit():
                world.kernel.run(limit=step)
            pause.wait(0.02)
        return process.returncode, process.stdout.read()
