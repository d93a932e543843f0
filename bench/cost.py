"""Dollars by list price, from what was counted. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.idle import Idle
from bench.rivals.promotion import RivalOutcome
from bench.run import MeasuredRun
from tools import extras

FILE = Path(__file__).parents[1] / "ami_promoter" / "prices.json"
HOURS_A_MONTH = 730
KEEP_MONTHS = 400 / 30
"""History is kept for 400 days."""
REQUESTS_A_MESSAGE = 3
"""Sent, received, deleted."""
KMS_CALLS_OF_A_COPY = 6
"""By EC2, for each copy of an encrypted snapshot [aws-facts 2: DescribeKey, CreateGrant, GenerateDataKey,
GenerateDataKeyWithoutPlaintext, ReEncrypt, Decrypt]; the number is an assumption."""
KMS = ("DescribeKey", "CreateGrant", "RevokeGrant", "ListGrants")
EMPTY_RECEIVES = 15
"""A minute and queue, by Lambda's pollers: five, each waiting 20 seconds. An assumption: AWS does not say it of FIFO
queues."""
QUEUES = 2
FUNCTION_GB = 0.5
"""Memory of the rivals' functions."""
Dollars = dict[str, float]


def prices() -> Mapping[str, Any]:
    """Return the price file."""
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def usd(name: str) -> float:
    """Return one price."""
    return float(prices()["prices"][name]["usd"])


def delivery(measured: MeasuredRun) -> Dollars:
    """Return what a delivery costs, by service, without snapshot storage and transfer."""
    count = measured.case.deliveries
    calls = {**measured.hub_calls}
    for name, number in (*measured.target_calls.items(), *measured.scheduled_calls.items()):
        calls[name] = calls.get(name, 0) + number
    invocations = sum(n for name, n in measured.invocations.items() if name not in ("sweep", "discover"))
    forwarded = count * (measured.case.volumes + 1)  # each copy's end, and the AMI, from a target's bus to the hub's
    kms = sum(calls.get(name, 0) for name in KMS) + KMS_CALLS_OF_A_COPY * count * measured.case.volumes
    stored = measured.stored_bytes / 1e9 * KEEP_MONTHS
    total = {
        "Lambda": measured.gb_seconds * usd("lambda_gb_second") + invocations * usd("lambda_request"),
        "DynamoDB": sum(measured.writes.values()) * usd("dynamodb_write")
        + sum(measured.reads.values()) * usd("dynamodb_read")
        + stored * (usd("dynamodb_gb_month") + usd("dynamodb_backup_gb_month")),
        "SQS": measured.queue_messages * REQUESTS_A_MESSAGE * usd("sqs_fifo_request"),
        "EventBridge": (forwarded + calls.get("PutEvents", 0)) * usd("event"),
        "SNS": calls.get("Publish", 0) * usd("sns_publish"),
        "KMS": kms * usd("kms_request"),
        "CloudWatch Logs": measured.log_bytes / 1e9 * usd("log_gb"),
    }
    return {name: dollars / count for name, dollars in total.items()}


def rival(outcome: RivalOutcome, volumes: int) -> Dollars:
    """Return what a delivery costs a rival, as if nothing had stopped it, by service."""
    calls = outcome.hub_calls + outcome.target_calls
    kms = sum(calls[name] for name in KMS) + KMS_CALLS_OF_A_COPY * outcome.targets * volumes
    total = {
        "Lambda": outcome.functions * FUNCTION_GB * usd("lambda_gb_second")
        + outcome.invocations * usd("lambda_request"),
        "Step Functions": outcome.transitions * usd("state_transition"),
        "build runner": outcome.machine / 60 * usd("build_minute"),
        "KMS": kms * usd("kms_request"),
    }
    return {name: dollars / outcome.targets for name, dollars in total.items() if dollars}


def idle(hour: Idle) -> Dollars:
    """Return what a month costs in which nothing happens, without alarms, dashboard and keys."""
    invocations = sum(hour.invocations.values())
    return {
        "Lambda": HOURS_A_MONTH * (hour.gb_seconds * usd("lambda_gb_second") + invocations * usd("lambda_request")),
        "DynamoDB": HOURS_A_MONTH * (hour.reads * usd("dynamodb_read") + hour.writes * usd("dynamodb_write")),
        "SQS, empty receives": HOURS_A_MONTH * 60 * EMPTY_RECEIVES * QUEUES * usd("sqs_fifo_request"),
        "CloudWatch Logs": HOURS_A_MONTH * hour.log_bytes / 1e9 * usd("log_gb"),
    }


def watching(hour: Idle, alarms: Sequence[int], dashboards: int) -> Dollars:
    """Return what a month of watching costs: metrics, alarms, dashboard.

    ``alarms``: how many metrics each reads, which is what AWS charges.
    """
    return {
        f"{len(hour.metrics)} custom metrics": len(hour.metrics) * usd("metric_month"),
        f"{len(alarms)} alarms, which read {sum(alarms)} metrics": sum(alarms) * usd("alarm_month"),
        "dashboard": dashboards * usd("dashboard_month"),
    }


def watchers() -> tuple[list[int], int]:
    """Return how many metrics each deployed alarm reads, and how many dashboards there are."""
    template: Mapping[str, Any] = extras.read()
    resources = [one for one in template["Resources"].values() if "Type" in one]
    read = [one["Properties"].get("Metrics") for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    alarms = [sum("MetricStat" in metric for metric in metrics) if metrics else 1 for metrics in read]
    return alarms, sum(one["Type"] == "AWS::CloudWatch::Dashboard" for one in resources)


def storage(gib: int, regions: int) -> Dollars:
    """Return what a delivery's snapshots cost in a month, and its transfer once, for all of its Regions' average."""
    return {
        "snapshots, a month": gib * usd("snapshot_gb_month"),
        "transfer, once": gib * usd("transfer_gb") * (regions - 1) / regions,
    }
