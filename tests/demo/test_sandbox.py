"""``make sandbox``: a simulator that runs until it is stopped, for the real ``aws`` command line."""

import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import stage

ROOT = Path(__file__).parents[2]
AWS = ROOT / ".venv-aws" / "bin" / "aws"
LONGEST = 60
SEVERAL = 4 * LONGEST
"""Seconds for several commands on a busy machine."""
TYPED = """\
ami-promoter targets apply --yes .sandbox/targets.yaml >&2 &&
ami-promoter promote {image} dev >&2 &&
ami-promoter targets show --json > shown.json"""
"""Commands that the greeting shows."""


def terminal(directory: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Type a command of the greeting, where it says."""
    return subprocess.run(
        ["bash", "-c", f". .sandbox/env.sh && {command}"],
        cwd=directory,
        env={"PATH": f"{AWS.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=SEVERAL,
        check=False,
    )


@pytest.mark.thorough
def test_the_sandbox_stays_up_until_it_is_reported(tmp_path: Path) -> None:
    """``python -m demo.sandbox up`` says what to type, leaves its files, shows a delivery, and ends on a signal."""
    for name in ("build", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.sandbox", "up", "--port", "0", "--factor", "600"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    try:
        watchdog = threading.Timer(SEVERAL, process.kill)
        watchdog.start()
        for line in process.stdout or ():
            lines.append(line)
            if "What happens" in line:
                break
        reported = json.loads((tmp_path / ".sandbox" / "world.json").read_text())
        variables = dict(
            line.removeprefix("export ").rstrip().split("=", 1)
            for line in (tmp_path / ".sandbox" / "env.sh").read_text().splitlines()
            if line.startswith("export ")
        )
        shown = subprocess.run(
            [AWS, "ec2", "describe-images", "--owners", "self"],
            env={"PATH": os.environ["PATH"], **variables, "AWS_PAGER": ""},
            capture_output=True,
            timeout=LONGEST,
            check=True,
        )
        typed = terminal(tmp_path, TYPED.format(image=reported["image"]))
        for line in process.stdout or ():
            lines.append(line)
            if "  notice to all: promotion.over" in line:
                break
        named = terminal(tmp_path, re.findall(r"aws --profile dev ssm get-parameter .*", "".join(lines))[0])
        received = terminal(tmp_path, re.findall(r"aws sqs receive-message.*?my-notices", "".join(lines), re.DOTALL)[0])
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=LONGEST)
        watchdog.cancel()

    assert reported["accounts"] == {"hub": stage.HUB, **stage.TARGETS}
    assert [image["ImageId"] for image in json.loads(shown.stdout)["Images"]] == [reported["image"]]
    assert typed.returncode == 0, typed.stderr
    assert "delivery.delivered" in received.stdout or "promotion.over" in received.stdout, received.stderr
    applied = json.loads((tmp_path / "shown.json").read_text())["applied_at"]
    assert datetime.fromisoformat(applied) > datetime.now(UTC), "the file was applied by the machine's clock"
    assert json.loads(named.stdout)["Parameter"]["Value"].startswith("ami-"), named.stderr
    assert "create-tags" in "".join(lines)
    assert "  delivered: ami-" in "".join(lines)
    assert "is down" in rest
    assert process.returncode == 0
