"""Checks of CloudWatch: when an alarm is in which state."""

from __future__ import annotations

from awsim.services import cloudwatch
from awsim.world import World
from tests.awsim.platform_words import HERE, HUB, wait


def missing(world: World) -> None:
    """Without a single run a heartbeat's alarm is on, a failure's is off, and one that says nothing does not know."""
    for treated, threshold in (("breaching", "LessThanThreshold"), ("notBreaching", "GreaterThanThreshold"), ("", "")):
        alarm = {
            "AlarmName": treated or "silent",
            "Namespace": "Mine",
            "MetricName": "Runs",
            "Dimensions": [{"Name": "service", "Value": "s"}],
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 2,
            "Threshold": 1,
            "ComparisonOperator": threshold or "LessThanThreshold",
        }
        world.cloudwatch.put(HUB, HERE, {**alarm, **({"TreatMissingData": treated} if treated else {})})

    early = world.client("cloudwatch", HUB).describe_alarms(StateValue="INSUFFICIENT_DATA")["MetricAlarms"]
    wait(world, 700)
    shown = world.client("cloudwatch", HUB).describe_alarms()["MetricAlarms"]
    of_metric = world.client("cloudwatch", HUB).describe_alarms_for_metric(
        Namespace="Mine", MetricName="Runs", Dimensions=[{"Name": "service", "Value": "s"}]
    )["MetricAlarms"]

    states = {"breaching": "ALARM", "notBreaching": "OK", "silent": "INSUFFICIENT_DATA"}
    assert {one["AlarmName"]: one["StateValue"] for one in shown} == states
    assert [one["AlarmName"] for one in of_metric] == [one["AlarmName"] for one in early] == list(states)


CHECKS = {cloudwatch.MISSING.name: missing}
