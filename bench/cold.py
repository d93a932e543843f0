"""Cold start: the CPU of a function's imports and first client, beside boto3 with one client.

Ratios, measured in pairs, since the seconds are this machine's.
Each process begins without compiled files, as Lambda's does: the package holds none, and its disk is read-only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

PACKAGE = Path(__file__).parents[1] / "build" / "hub" / "deployment.zip"
MOST = 1.3
PAIRS = 5
FIRST_USES = {
    "on-tag-change": ("events",),
    "on-image-state": ("events",),
    "on-target-event": ("events",),
    "sweep": ("sweep()",),
    "discover": ("discover()",),
    "worker": ("worker_entry", "deliveries"),
    "share-worker": ("share_worker_entry", "share_worker"),
}
"""Function -> what its first event makes. Of `worker`'s kinds of records a delivery is the most frequent."""
SETTINGS = (
    *("HUB_ACCOUNT", "TABLE", "CONFIG_TABLE", "MEMBERS_TABLE", "EVENT_BUS", "TRIGGER_TAG"),
    *("WORKER_QUEUE_URL", "SHARE_WORKER_QUEUE_URL", "KEEP_HISTORY_DAYS"),
)
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    **dict.fromkeys(map("AMI_PROMOTER_{}".format, SETTINGS), "1"),
    "AMI_PROMOTER_TOPIC_ARN": "arn:aws:sns:us-east-1:111111111111:notices",
}
BASE = """
import sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import boto3
boto3.session.Session().client("dynamodb")
"""
MINE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import app
for use in sys.argv[2:]:
    eval("app.bootstrap.application()." + use)
"""
END = """
import resource
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.process_time() - began, most / 1000, sorted(sys.modules)]))
"""


def start(code: str, package: str, uses: tuple[str, ...]) -> tuple[float, float, list[str]]:
    """Run a start in a process of its own; returns its CPU seconds, its MB, and the modules that are there then."""
    done = subprocess.run(  # noqa: S603 - the project's own package
        [sys.executable, "-I", "-S", "-B", "-c", f"import json{code}{END}", package, *uses],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes, modules = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes, modules


def measure(package: Path = PACKAGE, pairs: int = PAIRS) -> dict[str, Any]:
    """Return each function's ratio, and the modules that it has imported then."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        found: dict[str, Any] = {}
        seen: dict[tuple[str, ...], dict[str, Any]] = {}
        for function, uses in FIRST_USES.items():
            if uses not in seen:
                ratios = []
                for _ in range(pairs):
                    base, *_ = start(BASE, folder, ())
                    mine, megabytes, modules = start(MINE, folder, uses)
                    ratios.append(mine / base)
                seen[uses] = {"ratio": median(ratios), "megabytes": megabytes, "modules": modules}
            found[function] = seen[uses]
        return found
