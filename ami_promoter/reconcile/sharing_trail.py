"""Who shared a snapshot or AMI, by CloudTrail's event history: the only source besides the service's own table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ami_promoter.hub.aws import Connection, errors
from ami_promoter.hub.cloudtrail import EventHistory, asked, who
from chalicelib.engine.faults import Fault

NAMED = ("userId", "organizationArn", "organizationalUnitArn", "group")
"""The members of a request that name a receiver."""


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a permission, by the ARN ``by``. ``own``: that is this service's share worker."""

    added: bool
    own: bool
    by: str
    at: str


def changes(connection: Connection, since: int, region: str) -> Mapping[tuple[str, str], Change] | Fault:
    """Return the last change of each (snapshot or AMI, account or ARN) since a time (epoch seconds).

    ``region``: of the event history; "": the hub's own. If that cannot be read, return why.
    """
    history, names = EventHistory(connection, region), ("ModifySnapshotAttribute", "ModifyImageAttribute")
    try:
        records = [record for name in names for record in history.calls(name, since)]
    except errors() as error:
        what = (
            f"CloudTrail's history of {history.region} cannot be read, so it is unknown who shared "
            f"what: {error} (cloudtrail:LookupEvents is needed)"
        )
        return Fault("not-seen", "CloudTrail", what, "")
    found: dict[tuple[str, str], Change] = {}
    for record in sorted(records, key=lambda record: str(record.get("eventTime"))):
        shared = asked(record).get("snapshotId") or asked(record).get("imageId")
        for holder, added in _changed(record):
            by = who(record)
            own = by.endswith(f":role/ami-promoter-{connection.region}-share-worker")
            found[str(shared), holder] = Change(added, own, by, str(record.get("eventTime")))
    return found


def _changed(record: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield (account or ARN, whether it was added) for each receiver in a request."""
    permission = asked(record).get("createVolumePermission") or asked(record).get("launchPermission") or {}
    for verb, added in (("add", True), ("remove", False)):
        for item in (permission.get(verb) or {}).get("items", ()):
            yield str(next((it for name in NAMED if (it := item.get(name))), None)), added
