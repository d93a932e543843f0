"""Cold start: the CPU of a function's imports and first client, beside boto3 with one client, as pip installs it.

Ratios, measured in pairs, since the seconds are this machine's. Lambda's disk is read-only: of a package without
compiled files it compiles at each start what a function imports. The service's has them; boto3 is measured with and
without.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import boto3

PACKAGE = Path(__file__).parents[1] / "build" / "hub" / "deployment.zip"
SITE = Path(boto3.__file__).parents[1]
"""Where pip installed boto3, all of its data and its compiled files."""
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
    "AWS_LAMBDA_FUNCTION_NAME": "ami-promoter-measured",
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


@dataclass(frozen=True, slots=True)
class Start:
    """What a start took: CPU seconds, MB, and its modules."""

    seconds: float
    megabytes: float
    modules: list[str]


def start(code: str, package: Path, uses: tuple[str, ...] = (), *, compiled: bool = True) -> Start:
    """Run a start in a process of its own; not ``compiled``: as if the package had no compiled files."""
    elsewhere = () if compiled else ("-X", f"pycache_prefix={package / 'nothing'}")
    done = subprocess.run(  # noqa: S603 - the project's own package
        [sys.executable, "-I", "-S", "-B", *elsewhere, "-c", f"import json{code}{END}", package, *uses],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return Start(*json.loads(done.stdout.splitlines()[-1]))


def modules() -> dict[str, set[str]]:
    """Return the modules that each function has imported when its first client is made."""
    with _unzipped() as folder:
        seen = {uses: start(MINE, folder, uses).modules for uses in dict.fromkeys(FIRST_USES.values())}
        return {function: set(seen[uses]) for function, uses in FIRST_USES.items()}


def measure() -> dict[str, Any]:
    """Return each function's ratios, how many modules it has imported, and its MB."""
    with _unzipped() as folder:
        seen = {uses: _ratios(folder, uses) for uses in dict.fromkeys(FIRST_USES.values())}
        return {function: seen[uses] for function, uses in FIRST_USES.items()}


@contextmanager
def _unzipped() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(PACKAGE) as archive:
        archive.extractall(folder)
        yield Path(folder)


def _ratios(ours: Path, uses: tuple[str, ...]) -> dict[str, float]:
    """Return medians: ``ratio`` over boto3 without compiled files, ``compiled`` over boto3 with them.

    ``before``: as it would be if nothing in the package were compiled, over boto3 without compiled files.
    """
    found: dict[str, list[float]] = {"ratio": [], "compiled": [], "before": []}
    for _ in range(PAIRS):
        plain, mine = start(BASE, SITE, compiled=False), start(MINE, ours, uses)
        found["ratio"].append(mine.seconds / plain.seconds)
        found["compiled"].append(mine.seconds / start(BASE, SITE).seconds)
        found["before"].append(start(MINE, ours, uses, compiled=False).seconds / plain.seconds)
    ratios = {name: median(values) for name, values in found.items()}
    return {**ratios, "megabytes": mine.megabytes, "modules": len(mine.modules)}
