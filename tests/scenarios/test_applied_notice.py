"""The notice ``targets.applied``: who decides who receives AMIs tells everybody, whether or not they want to."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.scenarios.approving import deployed, file
from tests.scenarios.scene import HUB, PROD, REGION, TABLE, Scene
from tests.scenarios.stolen import client

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


def pointer(scene: Scene) -> dict[str, Any]:
    """The item that says which version is in force."""
    key = {"pk": {"S": "targets"}, "sk": {"S": "current"}}
    return dict(scene.client("dynamodb").get_item(TableName=CONFIG, Key=key)["Item"])


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


def test_without_the_command_line_and_without_any_event_it_is_notified_within_minutes(waiting):
    """Somebody writes the pointer by hand, sends no wake and tags nothing."""
    now = pointer(waiting)
    waiting.client("dynamodb").put_item(TableName=CONFIG, Item={**now, "version_number": {"N": "9"}})
    waiting.wait(6 * 60)

    (notice,) = notified(waiting)
    assert (notice["version"][:8], notice["compared"], notice["outcome"]) == ("00000009", False, "loosened")


def test_neither_an_operator_nor_another_function_writes_what_was_notified(waiting, become):
    """So nobody but the worker, who tells, can hide a version."""
    become(deployed("cli-operator"))
    item = {"pk": {"S": "applied"}, "sk": {"S": "notified"}}
    callers = [boto3.Session(region_name=REGION).client("dynamodb")]
    callers += [client(waiting, function, "dynamodb") for function in ("discover", "share-worker", "sweep")]
    for caller in callers:
        for call, words in (("put_item", {"Item": item}), ("delete_item", {"Key": item})):
            with pytest.raises(ClientError, match="AccessDenied"):
                getattr(caller, call)(TableName=MEMBERS, **words)
    stored = waiting.client("dynamodb").get_item(TableName=MEMBERS, Key=item)["Item"]
    assert json.loads(stored["body"]["S"])["version"].startswith("00000")
