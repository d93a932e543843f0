"""Who shared a snapshot or AMI, by CloudTrail's event history: the only source besides the service's own table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.cloudtrail import EventHistory, asked, who
from chalicelib.engine.aws import sdk

NAMED = ("userId", "organizationArn", "organizationalUnitArn", "group")
"""The members of a request that name a receiver."""


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a permission, by the ARN ``by``. ``own``: that is this service's share worker."""

    added: bool
    own: bool
    by: str
    at: str


class Trail:
    """Reads the event history of one Region ("": the hub's own) since a time (epoch seconds)."""

    def __init__(self, connection: Connection, since: int, region: str = "") -> None:
        self._connection = connection
        self._since = since
        self._history = EventHistory(connection, region)
        self.troubles: list[str] = []

    def changes(self) -> Mapping[tuple[str, str], Change]:
        """Return the last change of each (snapshot or AMI, account or ARN); none if the history cannot be read."""
        found: dict[tuple[str, str], Change] = {}
        try:
            records = sorted(self._records(), key=lambda record: str(record.get("eventTime")))
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            self.troubles.append(
                f"CloudTrail's history of {self._history.region} cannot be read, so it is unknown who shared "
                f"what: {error} (cloudtrail:LookupEvents is needed)"
            )
            return {}
        for record in records:
            shared = asked(record).get("snapshotId") or asked(record).get("imageId")
            for holder, added in _changed(record):
                by = who(record)
                own = by.endswith(f":role/ami-promoter-{self._connection.region}-share-worker")
                found[str(shared), holder] = Change(added, own, by, str(record.get("eventTime")))
        return found

    def _records(self) -> Iterator[Mapping[str, Any]]:
        for name in ("ModifySnapshotAttribute", "ModifyImageAttribute"):
            yield from self._history.calls(name, self._since)


def _changed(record: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield (account or ARN, whether it was added) for each receiver in a request."""
    permission = asked(record).get("createVolumePermission") or asked(record).get("launchPermission") or {}
    for verb, added in (("add", True), ("remove", False)):
        for item in (permission.get(verb) or {}).get("items", ()):
            yield str(next((it for name in NAMED if (it := item.get(name))), None)), added
