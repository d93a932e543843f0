"""Reads what is in force just now: the applied targets file, with the accounts that the organization's units have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ami_promoter.hub.aws import Connection, Trouble
from ami_promoter.hub.receivers import Receivers, receivers
from chalicelib.adapters.targets_table import TargetsTable
from chalicelib.core.errors import Misconfigured
from chalicelib.core.faults import Fault
from chalicelib.core.targets import AppliedFile


@dataclass(frozen=True, slots=True)
class InForce:
    """``known``: ``receivers`` are all there are, so that absence from them means something.

    ``faults`` say what could not be read, and why a target may not have been asked.
    """

    receivers: Receivers = field(default_factory=Receivers)
    known: bool = False
    faults: tuple[Fault, ...] = ()


def applied_file(connection: Connection) -> AppliedFile:
    """Read the applied targets file with the membership; may raise Trouble."""
    hub = (connection.account, connection.region)
    table = TargetsTable(connection.dynamodb, connection.config_table, connection.members_table, hub)
    with connection.telling("reading the applied targets, and which accounts the organization's units have"):
        try:
            return table.read()
        except Misconfigured as trouble:
            raise Trouble(str(trouble), connection.place, code="misconfigured") from trouble


def in_force(connection: Connection) -> InForce:
    """Read who may receive anything; may raise Trouble."""
    file = applied_file(connection)
    if file.fault is not None:
        where = f"account {connection.account}, {connection.region}, {file.fault.where}"
        return InForce(faults=(replace(file.fault, code="not-seen", where=where),))
    found = receivers(file.directory, file.digest)
    return InForce(found, known=True, faults=tuple(_faults(found)))


def _faults(found: Receivers) -> Iterator[Fault]:
    if found.unread:
        what = f"Nobody has read yet which accounts {', '.join(found.unread)} has, so its targets were not asked."
        cure = "`discover` reads it every five minutes: run the command again; `ami-promoter status` says what fails."
        yield Fault("not-seen", "organization", what, cure)
    elif not found.regions:
        what = "It names no account, and the OUs that it names have none just now, so no target was asked."
        cure = "See `ami-promoter members`, or name accounts and apply the file."
        yield Fault("not-seen", "targets file", what, cure)
