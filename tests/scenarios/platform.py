"""What an operator or the platform does to a running hub: switches, purges, updates, and a restored table."""

import copy
import shutil
import zipfile
from pathlib import Path
from typing import Any

import boto3

from tests.scenarios.scene import REGION, ROOT, Scene

PASSED, FAULT, NOT_SEEN, FAILED = 0, 1, 4, 5
"""Exit statuses of ``verify``."""
HISTORY = 6 * 60
"""Seconds until CloudTrail shows a call."""


def backup(scene: Scene) -> Any:
    """Take a point-in-time copy of the service's table."""
    return copy.deepcopy(scene._table().items)


def restore(scene: Scene, items: Any) -> None:
    """Restore the table: every item of the copy, and no later one."""
    scene._table().items = copy.deepcopy(items)


def pace(scene: Scene, function: str, minutes: int) -> None:
    """Change the rate of a function's schedule. A slower rate saves the test's time."""
    rate = f"rate({minutes} minute{'s' if minutes > 1 else ''})"
    scene.client("events").put_rule(Name=rule_of(scene, function), ScheduleExpression=rate, State="ENABLED")


def rule_of(scene: Scene, function: str) -> str:
    """Name the scheduled rule that invokes a function."""
    client = scene.client("events")
    arn = scene.world.lambda_.function(function).arn
    rules = [rule["Name"] for rule in client.list_rules()["Rules"] if "ScheduleExpression" in rule]
    (name,) = [rule for rule in rules if arn in {t["Arn"] for t in client.list_targets_by_rule(Rule=rule)["Targets"]}]
    return name


def new_version(directory: Path, version: str, more: str = "") -> Path:
    """Make a package whose code differs from build/hub, and return the hub's template. ``more``: code at its end."""
    home = directory / f"hub-{version}"
    home.mkdir()
    for template in ("template.yaml", "monitor.yaml"):
        shutil.copy(ROOT / "build/hub" / template, home / template)
    with (
        zipfile.ZipFile(ROOT / "build/hub/deployment.zip") as old,
        zipfile.ZipFile(home / "deployment.zip", "w") as new,
    ):
        for name in old.namelist():
            if name == "app.py" or name.startswith("chalicelib/"):  # third-party modules are this process's anyway
                text = old.read(name)
                new.writestr(name, text + f"\nVERSION = {version!r}\n{more}".encode() if name == "app.py" else text)
    return home / "template.yaml"


def reconcile(scene: Scene, *options: str) -> tuple[int, dict[str, Any]]:
    """Run ``ami-promoter admin reconcile --json``; return its exit status and its output."""
    status, reported = scene.answer("admin", "reconcile", *options)
    assert status in (0, 4), reported
    return status, reported


def codes(report: dict[str, Any]) -> set[str]:
    return {one["code"] for one in report["found"] if one["wrong"]}


def verify(scene: Scene, *words: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Run ``ami-promoter verify --json``; return its exit status, the failed checks by account, and its output."""
    status, reported = scene.answer("verify", scene.image, *words)
    bad: dict[str, Any] = {}
    for one in reported.get("checks", ()):
        if one["passed"] is not True:
            bad.setdefault(one["account"], {})[one["check"]] = one
    return status, bad, reported


def doctor(scene: Scene, *words: str) -> dict[tuple[str, str], Any]:
    """Run ``ami-promoter doctor --json``; return the checks of targets that did not pass, by (account, check)."""
    _, reported = scene.answer("doctor", *words)
    found = [one for one in reported["findings"] if one["where"] != "hub"]
    assert found
    return {(one["where"].partition("/")[0], one["check"]): one for one in found if one["passed"] is not True}


def hub_checks(scene: Scene, check: str) -> list[tuple[bool | None, str, str]]:
    """What ``doctor`` says of the hub by one of its checks: whether that passed, what was seen, and the cure."""
    found = scene.answer("doctor", "--hub-only")[1]["findings"]
    return [(one["passed"], one["what"], one["cure"]) for one in found if one["check"] == check]


def alarmed(scene: Scene) -> set[str]:
    """The logical ids of the alarms in the state ALARM."""
    alarms = scene.client("cloudwatch").describe_alarms(StateValue="ALARM")["MetricAlarms"]
    return {one["AlarmName"].split("-")[2] for one in alarms}


def own_client(service: str) -> Any:
    """A client of whom the scene has become: boto3's default session would keep an earlier test's caller."""
    return boto3.Session(region_name=REGION).client(service)
