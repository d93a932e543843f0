"""A person's terminal: ``ami-promoter`` in a process of its own, over HTTP, with an account's credentials."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self

from awsim.front import ADDRESS, Front, write_profiles
from awsim.world import World
from demo import stage

ROOT = Path(__file__).parents[1]
PAUSE, TICK = 0.2, timedelta(seconds=4)
"""Real seconds between two looks at a command that waits, and the virtual time that passes there."""


class Terminal:
    """Runs commands; a context manager, as the simulator listens meanwhile."""

    def __init__(self, world: World, names: Mapping[str, str]) -> None:
        """``names``: name -> account of each target, for the profiles; the hub's profile is the default."""
        self._world = world
        self._names = {"hub": stage.HUB, **names}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Listen, and write the profiles."""
        front = self._stack.enter_context(Front(self._world))
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="simulator-demo-")))
        variables = write_profiles(self._folder, self._names, stage.REGION, front.url)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._variables = {**outside, **variables, "NO_PROXY": ADDRESS, "no_proxy": ADDRESS}
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop listening."""
        self._stack.close()

    def file(self, name: str, text: str) -> str:
        """Write a file where commands run; returns its name."""
        (self._folder / name).write_text(text, encoding="utf-8")
        return name

    def run(self, *words: str, profile: str = "hub", columns: int = 100, waits: bool = False) -> tuple[int, str]:
        """Run a verb of ``ami-promoter``; returns its status, and what it prints.

        ``waits``: it waits for the service, so virtual time passes meanwhile, as long as the process takes.
        """
        process = subprocess.Popen(  # noqa: S603 - the project's own program
            [sys.executable, "-m", "ami_promoter", *words],
            cwd=self._folder,
            env={**self._variables, "AWS_PROFILE": profile, "COLUMNS": str(columns)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while True:
            try:
                said, _ = process.communicate(timeout=PAUSE if waits else None)
            except subprocess.TimeoutExpired:
                with self._world.kernel.visit():
                    self._world.kernel.run(limit=TICK)
            else:
                return process.returncode, said
