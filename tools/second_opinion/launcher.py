"""Keeps an emulator up for as long as it is needed, and never longer: in a process group of its own, killed as one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-ministack" / "bin" / "python"
UP_WITHIN = 30


@dataclass(frozen=True, slots=True)
class Emulator:
    """One that is up: its address, and the file with its journal."""

    url: str
    journal: Path


@contextlib.contextmanager
def emulator(scratch: Path) -> Iterator[Emulator]:
    """Start it on 127.0.0.1 with authorisation on; functions run as processes of it. Its files go to ``scratch``.

    RuntimeError, with the end of its log, if it does not come up.
    """
    if not PYTHON.exists():
        raise RuntimeError("The emulator is not installed: run `make second-opinion`, which makes .venv-ministack.")
    port, log = free_port(), scratch / "emulator.log"
    running = Emulator(f"http://127.0.0.1:{port}", scratch / "journal.jsonl")
    running.journal.touch()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [PYTHON, "-m", "tools.second_opinion.emulator"],
            cwd=ROOT,
            env=environment(scratch, port, running.journal),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(process, port, log)
        yield running
    finally:
        end(process)


def environment(scratch: Path, port: int, journal: Path) -> dict[str, str]:
    """Nothing of the caller's own: the functions' processes inherit it."""
    return {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AUTH": "true",
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": "unix:///nowhere",
        "SECOND_OPINION_JOURNAL": str(journal),
    }


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it takes connections."""
    end_at = time.monotonic() + UP_WITHIN
    while time.monotonic() < end_at and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"The emulator did not come up:\n{tail(log.read_text(encoding='utf-8', errors='replace'))}")


def tail(text: str) -> str:
    """Return the last lines of a log."""
    kept: Sequence[str] = text.splitlines()[-20:]
    return "\n".join(kept)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, workers included; they outlive a gentle signal to their parent."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
