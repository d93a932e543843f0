"""What these tests read: the package from `make package`, and the target's template."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from tools import release

ROOT = Path(__file__).resolve().parents[2]
HUB = ROOT / "build" / "hub"
TARGET = ROOT / "deploy" / "target.yaml"
STACKSET = ROOT / "deploy" / "target-stackset.yaml"
FUNCTIONS = {
    "OnTagChange": "on-tag-change",
    "OnImageState": "on-image-state",
    "OnTargetEvent": "on-target-event",
    "Worker": "worker",
    "ShareWorker": "share-worker",
    "Sweep": "sweep",
    "Discover": "discover",
}
"""Logical id -> function. A renamed one replaces Lambda, role and log: see docs/operations/upgrade.md first."""
MONITORING = {"AccessMonitor": "access-monitor", "DriftAudit": "drift-audit"}
"""Those of the access monitor's stack."""
GIVEN = {"HubAccountId": "111111111111", "HubRegion": "us-east-1", "ExternalId": "an-id"}
"""What a target's template requires."""


def resources(template: dict[str, Any], type_: str) -> dict[str, Any]:
    """The properties of all resources of a type, by logical id."""
    return {name: it.get("Properties", {}) for name, it in template["Resources"].items() if it["Type"] == type_}


def run_tool(
    sources: Path, tool: str, *words: str | Path, umask: int = -1, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a tool of copied sources there."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{tool}", *words],
        cwd=sources,
        env=os.environ | environment,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )


def copied(to: Path, folders: Sequence[str], files: Sequence[str]) -> Path:
    """Copy sources, with new times."""
    ignore = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    for name in folders:
        shutil.copytree(ROOT / name, to / name, ignore=ignore, copy_function=shutil.copyfile)
    for name in files:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to / name)
    return to


def commit_all(sources: Path) -> None:
    """Put copied sources under version control."""
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=sources, check=True)


@pytest.fixture(scope="session")
def package() -> Path:
    """The directory with template.yaml, monitor.yaml and deployment.zip."""
    assert (HUB / "template.yaml").exists(), "build/hub is missing: run `make package`, or `make pytest` for both."
    return HUB


@pytest.fixture(scope="session")
def released(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release."""
    return release.build(package, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def hub(package: Path) -> dict[str, Any]:
    return yaml.safe_load((package / "template.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def monitor(package: Path) -> dict[str, Any]:
    return yaml.safe_load((package / "monitor.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def both(hub: dict[str, Any], monitor: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Both templates from the package."""
    return {"hub": hub, "monitor": monitor}


@pytest.fixture(scope="session")
def target() -> dict[str, Any]:
    """The target's template, short tags resolved."""
    return yaml_parse(TARGET.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def stackset() -> dict[str, Any]:
    """The template of the StackSet, short tags resolved."""
    return yaml_parse(STACKSET.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def guardrails() -> dict[str, Any]:
    """The template of the control policies, short tags resolved."""
    return yaml_parse((ROOT / "deploy" / "guardrails.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def organization() -> dict[str, Any]:
    """The management account's template, short tags resolved."""
    return yaml_parse((ROOT / "deploy" / "organization.yaml").read_text(encoding="utf-8"))
