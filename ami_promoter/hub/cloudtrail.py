"""CloudTrail's event history: who called what in the hub. It needs no trail, and keeps 90 days of one Region.

An event appears some minutes after its call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ami_promoter.hub.aws import Connection

PAUSE = 0.5
"""Seconds between requests: CloudTrail allows two a second [CloudTrail API reference, LookupEvents]."""


class EventHistory:
    """Looks up successful calls in one Region ("": the hub's own)."""

    def __init__(self, connection: Connection, region: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self.region = region or connection.region
        self._client = connection.client("cloudtrail", self.region)
        self._sleep = sleep
        self._asked = False

    def calls(self, name: str, since: float, until: float | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield CloudTrail's records of one operation between two times (epoch seconds), the latest first.

        Raises botocore's errors.
        """
        wanted: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
            "StartTime": datetime.fromtimestamp(since, UTC),
            **({} if until is None else {"EndTime": datetime.fromtimestamp(until, UTC)}),
        }
        while True:
            if self._asked:
                self._sleep(PAUSE)
            self._asked = True
            page = self._client.lookup_events(**wanted)
            for event in page["Events"]:
                record = json.loads(event["CloudTrailEvent"])
                if not record.get("errorCode"):
                    yield record
            if not page.get("NextToken"):
                return
            wanted["NextToken"] = page["NextToken"]


def asked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a call."""
    return record.get("requestParameters") or {}


def caller(record: Mapping[str, Any]) -> str:
    """Return who called: the ARN of a user, or of a role's session, which often names a person."""
    return str((record.get("userIdentity") or {}).get("arn") or "somebody")
