"""Who shared a snapshot, by CloudTrail's event history: it needs no trail, and keeps 90 days.

It is the only witness that does not stand in the service's own table. An event can be looked up some minutes after its
call, so what was opened just now has no witness yet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ami_promoter.hub.aws import Connection

PAUSE = 0.5
"""Seconds between two pages: two requests a second are allowed [CloudTrail API reference, LookupEvents]."""


NAMED = ("userId", "organizationArn", "organizationalUnitArn", "group")
"""How a request names whom it is about."""


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a permission. ``ours``: made by this service's function, or by somebody else (``by``)."""

    added: bool
    ours: bool
    by: str
    at: str


class Trail:
    """Reads the history of a hub from ``since`` (epoch seconds) on, in one Region ("": the hub's own).

    A call stands in the history of the Region in which it was made.
    """

    def __init__(self, connection: Connection, since: int, region: str = "") -> None:
        self._connection = connection
        self._since = since
        self._region = region or connection.region
        self.troubles: list[str] = []

    def changes(self) -> Mapping[tuple[str, str], Change]:
        """Return the last change of each (snapshot or AMI, account or ARN), and nothing of what could not be read."""
        found: dict[tuple[str, str], Change] = {}
        try:
            records = sorted(self._records(), key=lambda record: str(record.get("eventTime")))
        except (ClientError, BotoCoreError) as error:
            self.troubles.append(
                f"CloudTrail's history of {self._region} cannot be read, so that nobody says who shared what: {error} "
                "(cloudtrail:LookupEvents is needed)"
            )
            return {}
        for record in records:
            asked = _asked(record)
            shared = asked.get("snapshotId") or asked.get("imageId")
            for holder, added in _changed(record):
                by = _who(record)
                ours = by.endswith(f":role/ami-promoter-{self._connection.region}-share-worker")
                found[str(shared), holder] = Change(added, ours, by, str(record.get("eventTime")))
        return found

    def _records(self) -> Iterator[Mapping[str, Any]]:
        for name in ("ModifySnapshotAttribute", "ModifyImageAttribute"):
            yield from self._records_of(name)

    def _records_of(self, name: str) -> Iterator[Mapping[str, Any]]:
        wanted = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
            "StartTime": datetime.fromtimestamp(self._since, UTC),
        }
        for page in (
            self._connection.client("cloudtrail", self._region).get_paginator("lookup_events").paginate(**wanted)
        ):
            for event in page["Events"]:
                record = json.loads(event["CloudTrailEvent"])
                if not record.get("errorCode"):
                    yield record
            if page.get("NextToken"):
                time.sleep(PAUSE)


def _asked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record.get("requestParameters") or {}


def _changed(record: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield (account or ARN, whether it was added) of each that the request names."""
    permission = _asked(record).get("createVolumePermission") or _asked(record).get("launchPermission") or {}
    for verb, added in (("add", True), ("remove", False)):
        for item in (permission.get(verb) or {}).get("items", ()):
            yield str(next((it for name in NAMED if (it := item.get(name))), None)), added


def _who(record: Mapping[str, Any]) -> str:
    identity = record.get("userIdentity") or {}
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    return str(issuer.get("arn") or identity.get("arn") or "somebody")
