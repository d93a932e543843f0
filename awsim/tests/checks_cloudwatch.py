"""Checks of CloudWatch: when an alarm is in which state."""

from awsim.api import AwsError
from awsim.world import World
from platform_words import HERE, OPS, a_queue, wait


def cloudwatch_missing_data_as_the_alarm_says(world: World) -> None:
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
        world.cloudwatch.put(OPS, HERE, {**alarm, **({"TreatMissingData": treated} if treated else {})})

    early = world.client("cloudwatch", OPS).describe_alarms(StateValue="INSUFFICIENT_DATA")["MetricAlarms"]
    wait(world, 700)
    shown = world.client("cloudwatch", OPS).describe_alarms()["MetricAlarms"]
    of_metric = world.client("cloudwatch", OPS).describe_alarms_for_metric(
        Namespace="Mine", MetricName="Runs", Dimensions=[{"Name": "service", "Value": "s"}]
    )["MetricAlarms"]

    states = {"breaching": "ALARM", "notBreaching": "OK", "silent": "INSUFFICIENT_DATA"}
    assert {one["AlarmName"]: one["StateValue"] for one in shown} == states
    assert [one["AlarmName"] for one in of_metric] == [one["AlarmName"] for one in early] == list(states)


MINE = {"Namespace": "Mine", "MetricName": "Runs"}


def _alarm_on(world: World, expression: str) -> str:
    """State of an alarm that is on at 0 and above, of a queue with no message and a metric without data."""
    stats = {
        "queue": {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{"Name": "QueueName", "Value": "work"}],
        },
        "none": MINE,
        "nothing": MINE,
    }
    metrics = [
        {"Id": name, "ReturnData": False, "MetricStat": {"Metric": metric, "Stat": "Sum", "Period": 300}}
        for name, metric in stats.items()
    ]
    alarm = {
        "AlarmName": "math",
        "Metrics": [*metrics, {"Id": "all", "Expression": expression, "ReturnData": True}],
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    world.cloudwatch.put(OPS, HERE, alarm)
    (shown,) = world.client("cloudwatch", OPS).describe_alarms(AlarmNames=["math"])["MetricAlarms"]
    return str(shown["StateValue"])


def cloudwatch_math_counts_missing_data_as_zero(world: World) -> None:
    a_queue(world)
    states = {
        "queue + none": "ALARM",
        "none - queue": "ALARM",
        "none + nothing": "INSUFFICIENT_DATA",
        "5 * none": "INSUFFICIENT_DATA",
        "100 / queue": "INSUFFICIENT_DATA",
        "FILL(none, 0)": "ALARM",
        "IF(FILL(none, 0) > 20, 100 * FILL(nothing, 0) / none, 0)": "ALARM",
        "IF(queue == 0, 0 - 1, 1)": "OK",
    }
    assert {expression: _alarm_on(world, expression) for expression in states} == states
    for expression in ("RATE(queue)", "IF(queue > 1, 0, RATE(none))", "queue +", "stranger + 1"):
        try:
            _alarm_on(world, expression)
        except AwsError as error:
            assert error.code == "ValidationError"  # noqa: PT017 - a rule switched off must end in an AssertionError
        else:
            raise AssertionError(expression)
