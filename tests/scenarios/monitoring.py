"""A scene with the access monitor on and a trail, and its findings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from awsim import cfn
from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import AUTO_SCALING, HUB, REGION, Scene
from tests.scenarios.stolen import client

LATE = 900
"""Seconds in which an event has arrived, has waited in its queue, and is judged."""
TOPIC = f"arn:aws:sns:{REGION}:{HUB}:ami-promoter-{REGION}-security"
PACKAGE = ROOT / stage.HUB_TEMPLATE.parent
MONITOR = "ami-promoter-monitor"
"""Name of the access monitor's stack in the guide."""
OF_AN_ORGANIZATION = {"OrganizationId": "o-a1b2c3d4e5"}
"""Parameters of a hub whose share worker IAM does not keep from strangers: it cannot say who is of an organization."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "copy, by grants, for Auto Scaling": {"service_linked_roles": [AUTO_SCALING]},
    "copy, by the key's policy": {"key_access": "policy"},
    "copy of the image": {"copy_method": "image"},
    "share with snapshots, by grants": {"mode": "share", "share_snapshots": True},
    "share, by the key's policy": {"mode": "share", "key_access": "policy"},
}


def monitored(scene: Scene, learning: int = 0, package: Path = PACKAGE, **parameters: str) -> Scene:
    """Deploy the access monitor's stack, as an operator does, and give the hub a trail.

    The hub is updated with the same parameters; each stack takes those that it has, as `aws cloudformation deploy`
    does.
    """
    given = {
        "TargetAccounts": ",".join(sorted(scene.listed)),
        "PolicyKeyArns": scene.key,
        "HubCopies": "true",
        "LearningHours": str(learning),
        **parameters,
    }
    for template, name in ((stage.HUB_TEMPLATE, "ami-promoter"), (stage.MONITOR_TEMPLATE, MONITOR)):
        file = package / template.name
        declared = cfn.read(file)["Parameters"]
        taken = {key: value for key, value in given.items() if key in declared}
        scene.world.deploy(file, HUB, REGION, name, taken)
    scene.world.cloudtrail.start_logging(HUB)
    return scene


def switch_off(scene: Scene) -> None:
    """Stop what deleting the monitor's stack deletes: rules and schedules. The findings stay."""
    for bus in scene.world.events.buses.values():
        for rule in bus.rules.values():
            if any("access-monitor" in one.arn or "drift-audit" in one.arn for one in rule.targets.values()):
                rule.enabled = False


AUDIT = "drift audit"


def findings(scene: Scene) -> list[dict[str, Any]]:
    """What the access monitor sent to the security topic, the oldest first."""
    return [one for one in _published(scene) if one["call"] != AUDIT]


def audited(scene: Scene) -> list[tuple[str, str, str]]:
    """Severity, verdict and resource of what the drift audit sent there."""
    return [(one["severity"], one["verdict"], one["resource"]) for one in _published(scene) if one["call"] == AUDIT]


def _published(scene: Scene) -> list[dict[str, Any]]:
    return [json.loads(one.message) for one in scene.world.sns.published if one.topic == TOPIC]


def verdicts(scene: Scene) -> list[tuple[str, str]]:
    return [(one["severity"], one["verdict"]) for one in findings(scene)]


def judged(scene: Scene) -> int:
    """How many CloudTrail events the monitor has judged."""
    client = scene.client("dynamodb")
    items = client.scan(TableName=f"ami-promoter-{REGION}-findings", ConsistentRead=True)["Items"]
    return sum(item["pk"]["S"].startswith("event#") for item in items)


def judged_events(scene: Scene) -> list[dict[str, Any]]:
    """The monitor's log lines about them."""
    log = "".join(one.log for one in scene.world.lambda_.invocations if one.function.endswith("access-monitor"))
    return [json.loads(line) for line in log.splitlines() if '"message":"judged"' in line]


def share(scene: Scene, account: str, by: str = "", operation: str = "add", **more: object) -> None:
    """Share the first snapshot with an account, or unshare it; by a person, or with a function's credentials."""
    ec2 = client(scene, by, "ec2") if by else scene.client("ec2")
    ec2.modify_snapshot_attribute(
        SnapshotId=scene.snapshots[0],
        Attribute="createVolumePermission",
        OperationType=operation,
        **(more or {"UserIds": [account]}),
    )
