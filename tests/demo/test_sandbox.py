"""``make sandbox``: a simulator that runs until it is stopped, for the real ``aws`` command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from demo import stage
from tests.awsim.aws_words import AWS, LONGEST, aws

ROOT = Path(__file__).parents[2]
SEVERAL = 4 * LONGEST
"""Seconds for several commands on a busy machine."""
TYPED = """\
ami-promoter targets apply .sandbox/targets.yaml >&2 &&
ami-promoter promote {image} dev >&2 &&
ami-promoter targets show --json > shown.json"""
"""Commands that the greeting shows."""


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
        shown = aws(
            {"PATH": os.environ["PATH"], **variables, "AWS_PAGER": ""}, "ec2", "describe-images", "--owners", "self"
        )
        queues = subprocess.run(
            ["bash", "-c", f". .sandbox/env.sh && {TYPED.format(image=reported['image'])} && aws sqs list-queues"],
            cwd=tmp_path,
            env={"PATH": f"{AWS.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=SEVERAL,
            check=False,
        )
        for line in process.stdout or ():
            lines.append(line)
            if "  delivered: ami-" in line:
                break
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=LONGEST)
        watchdog.cancel()

    assert reported["accounts"] == {"hub": stage.HUB, **stage.TARGETS}
    assert [image["ImageId"] for image in shown["Images"]] == [reported["image"]]
    assert len(json.loads(queues.stdout)["QueueUrls"]) > 3, queues.stderr
    applied = json.loads((tmp_path / "shown.json").read_text())["applied_at"]
    assert datetime.fromisoformat(applied) > datetime.now(UTC), "the file was applied by the machine's clock"
    assert "create-tags" in "".join(lines)
    assert "  delivered: ami-" in lines[-1]
    assert "is down" in rest
    assert process.returncode == 0
