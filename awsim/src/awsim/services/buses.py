"""EventBridge's data: buses, rules, targets, events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from awsim.api import AwsError

Event = Mapping[str, Any]
"""An event as a target gets it: version, id, detail-type, source, account, time, region, resources, detail."""

UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(slots=True)
class RuleTarget:
    """Where a rule sends matching events."""

    id: str
    arn: str
    role: str | None = None
    dead_letters: str | None = None
    """ARN of a standard queue."""
    input: str | None = None
    """Constant text sent instead of the event."""
    group: str | None = None
    """Message group, for a FIFO queue."""

    def as_api(self) -> dict[str, Any]:
        """Return it as ListTargetsByRule shows it."""
        shown: dict[str, Any] = {"Id": self.id, "Arn": self.arn}
        if self.role:
            shown["RoleArn"] = self.role
        if self.dead_letters:
            shown["DeadLetterConfig"] = {"Arn": self.dead_letters}
        if self.input is not None:
            shown["Input"] = self.input
        if self.group:
            shown["SqsParameters"] = {"MessageGroupId": self.group}
        return shown


WITH_READS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""The state of a rule that also gets read-only events."""


@dataclass(slots=True)
class EventRule:
    """A rule of a bus: a pattern, or a schedule in seconds."""

    name: str
    bus: str
    """The bus's ARN."""
    pattern: Mapping[str, Any] | None = None
    schedule: str | None = None
    enabled: bool = True
    description: str = ""
    reads: bool = False
    """Its state is ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS."""
    targets: dict[str, RuleTarget] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN: the bus's name is part of it, except for the default bus."""
        head, bus = self.bus.rsplit(":event-bus/", 1)
        return f"{head}:rule/{self.name}" if bus == "default" else f"{head}:rule/{bus}/{self.name}"

    @property
    def every(self) -> float:
        """Seconds between two runs of its schedule."""
        found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", self.schedule or "")
        if found is None or int(found[1]) < 1:
            why = f"Parameter ScheduleExpression is not valid: {self.schedule} (the simulator plays rate(...) only)"
            raise AwsError("ValidationException", why)
        return int(found[1]) * UNITS[found[2]]


@dataclass(slots=True)
class Bus:
    """An event bus, its policy and its rules."""

    name: str
    account: str
    region: str
    policy: Mapping[str, Any] | None = None
    rules: dict[str, EventRule] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:events:{self.region}:{self.account}:event-bus/{self.name}"


def target(given: Mapping[str, Any]) -> RuleTarget:
    """Read a target in the API's shape. Raises AwsError for what the simulator does not model."""
    unknown = set(given) - {"Id", "Arn", "RoleArn", "DeadLetterConfig", "Input", "SqsParameters", "RetryPolicy"}
    if unknown:
        raise AwsError(
            "ValidationException", f"the simulator does not play {sorted(unknown)} of target {given.get('Id')}"
        )
    return RuleTarget(
        given["Id"],
        given["Arn"],
        given.get("RoleArn"),
        given.get("DeadLetterConfig", {}).get("Arn"),
        given.get("Input"),
        given.get("SqsParameters", {}).get("MessageGroupId"),
    )
