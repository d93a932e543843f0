"""Who shared a snapshot or AMI, by CloudTrail's event history: the only source besides the service's own table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ami_promoter.hub.aws import Connection, errors
from ami_promoter.hub.cloudtrail import EventHistory
from ami_promoter.terminal.report import moment
from chalicelib.engine.faults import Fault
from chalicelib.monitor import trail_actions
from chalicelib.monitor.trail_actions import Act

NAMES = ("ModifySnapshotAttribute", "ModifyImageAttribute", "ResetSnapshotAttribute", "ResetImageAttribute")


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
        records = [record for name in NAMES for record in history.calls(name, since)]
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
