"""CloudWatch: metrics, and the alarms on them, which are evaluated when somebody reads them.

Metrics come from the functions' logs (the embedded metric format), from their invocations, and from the queues as they
are now. No alarm notifies anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.functions import Invocation
from awsim.parts import Base
from awsim.rules import rule
from awsim.services import metric_math
from awsim.services.queues import Queue

MISSING = rule(
    "cloudwatch-missing-data-as-the-alarm-says",
    "A period without data counts as the alarm's TreatMissingData says: as breaching, as not breaching, or not at all. "
    "[CloudWatch user guide, how alarms treat missing data]",
)
MISSING_IN_MATH = rule(
    "cloudwatch-math-counts-missing-data-as-zero",
    "Where one of two metrics has no data in a period, metric math counts it as 0; where none has any, or where it "
    "would divide by 0, the period has no data. [CloudWatch user guide, using metric math, basic arithmetic functions]",
)
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Average": lambda values: sum(values) / len(values),
}
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}

_Alarm = Mapping[str, Any]
_Place = tuple[str, str]
_Metric = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of a metric. ``dimensions``: sorted (name, value) pairs."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    at: datetime
    value: float

    @property
    def metric(self) -> _Metric:
        """The metric of which it is a value."""
        return self.namespace, self.name, self.dimensions


@dataclass(frozen=True, slots=True)
class _Asked:
    """The metrics and statistics of an alarm by id, and its expression."""

    metrics: Mapping[str, tuple[_Metric, str]]
    expression: str
    period: timedelta

    def value(self, data: Sequence[Datum], *, zero: bool) -> float | None:
        """Return the statistic of these data in a period; None: it has none."""
        values: dict[str, float | None] = {}
        for ident, (metric, statistic) in self.metrics.items():
            found = [one.value for one in data if one.metric == metric]
            values[ident] = STATISTICS[statistic](found) if found else None
        return metric_math.compute(self.expression, values, zero=zero)


def _asked(alarm: _Alarm) -> _Asked:
    """Read an alarm on a metric, or on an expression of metrics of one period."""
    if "Metrics" not in alarm:
        metric = alarm["Namespace"], alarm["MetricName"], _dimensions(alarm)
        period = timedelta(seconds=int(alarm["Period"]))
        return _Asked({"metric": (metric, alarm["Statistic"])}, "metric", period)
    stats = {one["Id"]: one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one}
    (expression,) = (one["Expression"] for one in alarm["Metrics"] if "Expression" in one)
    (seconds,) = {int(one["Period"]) for one in stats.values()}
    metrics = {
        ident: ((one["Metric"]["Namespace"], one["Metric"]["MetricName"], _dimensions(one["Metric"])), one["Stat"])
        for ident, one in stats.items()
    }
    return _Asked(metrics, expression, timedelta(seconds=seconds))


class CloudWatch:
    """The alarms of every account and Region, oldest first, and the metrics that they need."""

    name = "cloudwatch"

    def __init__(self, base: Base, invocations: Sequence[Invocation], queues: Mapping[str, Queue]) -> None:
        self._base = base
        self._invocations = invocations
        self._queues = queues
        self._alarms: dict[_Place, dict[str, _Alarm]] = {}

    def put(self, account: str, region: str, alarm: _Alarm) -> None:
        """Create an alarm or replace the one with its name; ``alarm`` has the members of PutMetricAlarm."""
        asked = _asked(alarm)
        if unknown := metric_math.ids(asked.expression) - asked.metrics.keys():
            raise AwsError("ValidationError", f"The expression names no metric of the alarm: {', '.join(unknown)}")
        known = {"AlarmActions": [], "ActionsEnabled": True, "AlarmConfigurationUpdatedTimestamp": self._base.now}
        self._alarms.setdefault((account, region), {})[alarm["AlarmName"]] = {**known, **alarm}

    def drop(self, account: str, region: str, name: str) -> None:
        """Delete an alarm."""
        self._alarms[account, region].pop(name)

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations on alarms and metrics."""
        return {
            "DescribeAlarms": self._describe,
            "DescribeAlarmsForMetric": self._of_metric,
            "GetMetricStatistics": self._statistics,
            "ListMetrics": self._metrics,
        }

    def _describe(self, call: Call) -> Mapping[str, Any]:
        names, state = call.params.get("AlarmNames", ()), call.params.get("StateValue")
        prefix = call.params.get("AlarmNamePrefix", "")
        wanted = [one for one in self._of(call) if one["AlarmName"].startswith(prefix)]
        shown = [self._evaluated(one, call) for one in wanted if not names or one["AlarmName"] in names]
        return {"MetricAlarms": [one for one in shown if state in (None, one["StateValue"])]}

    def _of_metric(self, call: Call) -> Mapping[str, Any]:
        """Return the data of exactly this metric: other dimensions are another metric."""
        wanted = call.params["Namespace"], call.params["MetricName"], _dimensions(call.params)
        found = (one for one in self._of(call) if "MetricName" in one)
        same = [one for one in found if (one["Namespace"], one["MetricName"], _dimensions(one)) == wanted]
        return {"MetricAlarms": [self._evaluated(one, call) for one in same]}

    def _of(self, call: Call) -> Sequence[_Alarm]:
        return list(self._alarms.get((call.caller.account, call.region), {}).values())

    def _evaluated(self, alarm: _Alarm, call: Call) -> _Alarm:
        """Return an alarm with its state, by its last periods up to now."""
        asked = _asked(alarm)
        periods, period = int(alarm["EvaluationPeriods"]), asked.period
        start = self._base.now - periods * period
        wanted = {metric for metric, _ in asked.metrics.values()}
        values = [one for one in self._data((call.caller.account, call.region), start) if one.metric in wanted]
        breaches, missing = 0, 0
        for n in range(periods):
            inside = [one for one in values if start + n * period < one.at <= start + (n + 1) * period]
            value = asked.value(inside, zero=self._base.on(MISSING_IN_MATH))
            if start + n * period < alarm["AlarmConfigurationUpdatedTimestamp"] and not inside:
                missing += 1  # nothing can have been counted then
            elif value is not None:
                breaches += COMPARE[alarm["ComparisonOperator"]](value, float(alarm["Threshold"]))
            elif self._base.on(MISSING):
                breaches += alarm.get("TreatMissingData") == "breaching"
                missing += alarm.get("TreatMissingData", "missing") == "missing"
        state = "ALARM" if breaches >= int(alarm.get("DatapointsToAlarm", periods)) else "OK"
        state = "INSUFFICIENT_DATA" if missing == periods else state
        reason = f"{breaches} of the last {periods} periods breached the threshold {alarm['Threshold']}."
        return {**alarm, "StateValue": state, "StateReason": reason}

    def _statistics(self, call: Call) -> Mapping[str, Any]:
        given = call.params
        metric = given["Namespace"], given["MetricName"], _dimensions(given)
        period, at = timedelta(seconds=given["Period"]), given["StartTime"]
        values = [one for one in self._data((call.caller.account, call.region), at) if one.metric == metric]
        points = []
        while at < given["EndTime"]:
            inside = [one.value for one in values if at <= one.at < at + period]
            if inside:
                shown = {name: float(STATISTICS[name](inside)) for name in given.get("Statistics", ())}
                points.append({"Timestamp": at, "Unit": "None", **shown})
            at += period
        return {"Label": given["MetricName"], "Datapoints": points}

    def _metrics(self, call: Call) -> Mapping[str, Any]:
        wanted = [(name, call.params[name]) for name in ("Namespace", "MetricName") if name in call.params]
        found = {}
        for one in self._data((call.caller.account, call.region), datetime.min.replace(tzinfo=self._base.now.tzinfo)):
            dimensions = [{"Name": name, "Value": value} for name, value in one.dimensions]
            found[one.metric] = {"Namespace": one.namespace, "MetricName": one.name, "Dimensions": dimensions}
        return {"Metrics": [one for one in found.values() if all(one[name] == value for name, value in wanted)]}

    def _data(self, place: _Place, since: datetime) -> Iterator[Datum]:
        """Yield every value of an account and Region since a time; of queues only the present one."""
        for invocation in reversed(self._invocations):
            if invocation.began < since:
                break
            _, _, _, region, account, _, name = invocation.function.split(":")
            if (account, region) == place and invocation.done:
                yield from _of_invocation(invocation, name)
        now = self._base.now
        for queue in self._queues.values():
            if (queue.account, queue.region) == place:
                messages, dimensions = queue.messages, (("QueueName", queue.name),)
                oldest = max((now - one.sent for one in messages), default=timedelta())
                visible = float(queue.counts(now)["ApproximateNumberOfMessages"])
                yield Datum("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions, now, visible)
                yield Datum("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, now, oldest.total_seconds())


def _of_invocation(invocation: Invocation, name: str) -> Iterator[Datum]:
    ended = invocation.ended or invocation.began
    of_lambda = {
        "Invocations": 1.0,
        "Errors": float(invocation.outcome != "ok"),
        "Duration": (ended - invocation.began).total_seconds() * 1000,
    }
    for metric, value in of_lambda.items():
        yield Datum("AWS/Lambda", metric, (("FunctionName", name),), ended, value)
    for printed in invocation.metrics:
        for directive in printed["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = tuple(sorted((one, str(printed[one])) for one in names))
                for metric in (one["Name"] for one in directive["Metrics"]):
                    values = printed[metric] if isinstance(printed[metric], list) else [printed[metric]]
                    for value in values:
                        yield Datum(directive["Namespace"], metric, dimensions, ended, float(value))


def _dimensions(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((one["Name"], one["Value"]) for one in given.get("Dimensions", ())))


class Logs:
    """What the functions have printed, in a log group for each."""

    name = "logs"

    def __init__(self, invocations: Sequence[Invocation]) -> None:
        self._invocations = invocations

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that read logs; moto answers the others."""
        return {"FilterLogEvents": self._filter, "DescribeLogGroups": self._groups}

    def _groups(self, call: Call) -> Mapping[str, Any]:
        prefix, arn = call.params.get("logGroupNamePrefix", ""), f"arn:aws:logs:{call.region}:{call.caller.account}:"
        names = dict.fromkeys(f"/aws/lambda/{name}" for name, _ in self._of(call))
        found = [{"logGroupName": name, "arn": f"{arn}log-group:{name}:*"} for name in names if name.startswith(prefix)]
        return {"logGroups": sorted(found, key=lambda one: one["logGroupName"])}

    def _filter(self, call: Call) -> Mapping[str, Any]:
        """Return the lines that contain every word of the pattern."""
        pattern = call.params.get("filterPattern", "")
        if pattern.startswith(("{", "[", "?")):
            raise AwsError("InvalidParameterException", "The simulator reads words as a filter pattern, nothing else.")
        words = [word.strip('"') for word in pattern.split()]
        start, end = call.params.get("startTime", 0), call.params.get("endTime", 2**63)
        group, events = str(call.params.get("logGroupName", "")).removeprefix("/aws/lambda/"), []
        for name, one in self._of(call):
            at = int(one.began.timestamp() * 1000)
            for number, line in enumerate(one.log.splitlines()):
                if name == group and start <= at <= end and all(word in line for word in words):
                    shown = {"timestamp": at, "ingestionTime": at, "message": line, "logStreamName": one.id}
                    events.append({**shown, "eventId": f"{one.id}/{number}"})
        return {"events": events[-int(call.params.get("limit", 10_000)) :]}

    def _of(self, call: Call) -> Iterator[tuple[str, Invocation]]:
        """Yield (function, invocation) of the caller's account and Region."""
        for one in self._invocations:
            _, _, _, region, account, _, name = one.function.split(":")
            if (account, region) == (call.caller.account, call.region):
                yield name, one
