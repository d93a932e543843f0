"""The notice ``targets.applied``: who decides who receives AMIs tells everybody, whether or not they want to."""

from typing import Any

from tests.scenarios.approving import deployed, file
from tests.scenarios.scene import HUB, PROD, REGION, TABLE, Scene

CONFIG, MEMBERS = f"{TABLE}-config", f"{TABLE}-members"
LOOSE = file(approval="none")


def notified(scene: Scene) -> list[dict[str, Any]]:
    """The notices of the applied file."""
    return scene.notices("targets.applied")


def pages(scene: Scene) -> str:
    """The state of the alarm."""
    (alarm,) = scene.client("cloudwatch").describe_alarms(AlarmNames=[name_of(scene)])["MetricAlarms"]
    return str(alarm["StateValue"])


def name_of(scene: Scene) -> str:
    """The alarm's name."""
    every = scene.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return next(one["AlarmName"] for one in every if one["MetricName"] == "TargetsLoosened")


def test_a_stolen_operator_who_takes_an_approval_away_is_a_page(waiting, become):
    """With deploy/cli-operator.json alone; the notice says what, and who claims to have done it."""
    assert notified(waiting) == []
    assert pages(waiting) != "ALARM"
    become(deployed("cli-operator"))
    waiting.apply(LOOSE)
    waiting.wait(60)

    (notice,) = notified(waiting)
    approval = {"where": f"{PROD}/{REGION}", "setting": "approval", "before": "required", "after": "none"}
    assert approval in notice["loosened"]
    assert (notice["outcome"], notice["claimed"]) == ("loosened", True)
    assert notice["applied_by"] == f"arn:aws:sts::{HUB}:assumed-role/Person/person"
    assert pages(waiting) == "ALARM"
    waiting.apply(file())
    assert [one["outcome"] for one in notified(waiting.after(60))] == ["loosened", "applied"]
