"""The service in memory, as far as a thousand targets: a program of the tests, run beside the packaged service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SIZES = (1, 10, 100, 1000)


def measure(targets: int) -> dict[str, Any]:
    """Return what a promotion to so many targets takes in memory."""
    return _lines("tests.service.curve", str(targets))[0]


def worst() -> dict[str, Any]:
    """Return what the largest promotion takes of single invocations."""
    return _lines("tests.service.largest_promotion")[0]


def _lines(module: str, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
