"""CloudWatch: the alarms that stacks have made, and whom they notify. None of them is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awsim.api import Call

OF_METRIC = ("Namespace", "MetricName")

_Alarm = Mapping[str, Any]


class CloudWatch:
    """The alarms of every account and Region, in the order in which they were made."""

    name = "cloudwatch"

    def __init__(self) -> None:
        self._alarms: dict[tuple[str, str], dict[str, _Alarm]] = {}

    def put(self, account: str, region: str, alarm: _Alarm) -> None:
        """Make an alarm, or replace the one of its name; ``alarm`` has the members of PutMetricAlarm."""
        known = {"StateValue": "INSUFFICIENT_DATA", "AlarmActions": [], "ActionsEnabled": True}
        self._alarms.setdefault((account, region), {})[alarm["AlarmName"]] = {**known, **alarm}

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """Look at them; metrics are moto's."""
        return {"DescribeAlarms": self._describe, "DescribeAlarmsForMetric": self._of_metric}

    def _describe(self, call: Call) -> Mapping[str, Any]:
        names, state = call.params.get("AlarmNames", ()), call.params.get("StateValue")
        prefix = call.params.get("AlarmNamePrefix", "")
        return {
            "MetricAlarms": [
                one
                for one in self._of(call)
                if one["AlarmName"].startswith(prefix)
                and (not names or one["AlarmName"] in names)
                and state in (None, one["StateValue"])
            ]
        }

    def _of_metric(self, call: Call) -> Mapping[str, Any]:
        """Return those of exactly this metric: a dimension more or less is another one."""
        wanted = _dimensions(call.params)
        return {
            "MetricAlarms": [
                one
                for one in self._of(call)
                if all(one.get(name) == call.params[name] for name in OF_METRIC) and _dimensions(one) == wanted
            ]
        }

    def _of(self, call: Call) -> Sequence[_Alarm]:
        return list(self._alarms.get((call.caller.account, call.region), {}).values())


def _dimensions(given: Mapping[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in given.get("Dimensions", ())}
