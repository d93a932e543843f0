"""CloudTrail's event history: who called what in the hub, and who shared an AMI or a snapshot.

It needs no trail, and keeps 90 days of one Region. An event appears some minutes after its call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ami_promoter.hub.aws import Connection, errors
from ami_promoter.terminal.report import moment
from chalicelib.engine import codec
from chalicelib.engine.faults import Fault
from chalicelib.monitor import trail_actions
from chalicelib.monitor.trail_actions import Act

SHARING = ("ModifySnapshotAttribute", "ModifyImageAttribute", "ResetSnapshotAttribute", "ResetImageAttribute")
"""Calls that change who may use a snapshot or launch an AMI."""
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
                record = codec.parsed_json(event["CloudTrailEvent"])
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


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a permission, by the ARN ``by``. ``own``: that is this service's share worker."""

    added: bool
    own: bool
    by: str
    at: str


def changes(connection: Connection, since: int, region: str) -> Mapping[tuple[str, str], Change] | Fault:
    """Return the last change of each (snapshot or AMI, account or ARN) since a time (epoch seconds).

    "" as the receiver: all permissions were removed at once, also of receivers whose own change was earlier.
    ``region``: of the event history; "": the hub's own. If that cannot be read, return why.
    """
    history = EventHistory(connection, region)
    try:
        records = [record for name in SHARING for record in history.calls(name, since)]
    except errors() as error:
        what = (
            f"CloudTrail's history of {history.region} cannot be read, so it is unknown who shared "
            f"what: {error} (cloudtrail:LookupEvents is needed)"
        )
        return Fault("not-seen", "CloudTrail", what, "")
    found: dict[tuple[str, str], Change] = {}
    records.reverse()  # CloudTrail lists the latest first: of two in one second the later one must count
    actions = (action for record in records for action in trail_actions.read(record, trigger_tag=""))
    for action in sorted(actions, key=lambda one: one.at):
        own = action.principal.endswith(f":role/ami-promoter-{connection.region}-share-worker")
        receivers = action.receivers
        if action.act is Act.CLEARED:
            receivers = ("", *(receiver for shared, receiver in found if shared == action.resource))
        for receiver in receivers:
            change = Change(action.act is Act.ADDED, own, action.principal, moment(action.at))
            found[action.resource, receiver] = change
    return found
