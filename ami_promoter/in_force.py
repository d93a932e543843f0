"""Reads what is in force just now: the applied targets file, with the accounts that the organization's units have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ami_promoter.aws import Connection
from ami_promoter.publishing import Publisher
from ami_promoter.receivers import Receivers, receivers
from chalicelib.adapters.members_table import MembersTable
from chalicelib.core import targets
from chalicelib.core.faults import Fault
from chalicelib.ports import Refusal

APPLY = "Apply the targets file again: `ami-promoter targets apply FILE`."


@dataclass(frozen=True, slots=True)
class InForce:
    """``receivers`` is all that could be read; ``known``: it is all there is, so that absence from it means something.

    ``faults`` say what could not be read, and why a target may not have been asked.
    """

    receivers: Receivers = field(default_factory=Receivers)
    known: bool = False
    faults: tuple[Fault, ...] = ()


def in_force(connection: Connection) -> InForce:
    """Read who may receive anything; may raise Trouble."""
    applied = Publisher(connection).applied()
    if applied.damaged:
        what = "Items of the applied file were changed or deleted by hand, so that nobody knows its targets."
        return InForce(faults=(Fault("not-seen", "targets file", what, APPLY),))
    if applied.current is None:
        return InForce(faults=(replace(targets.nothing_applied(connection.place), code="not-seen"),))
    directory = applied.directory
    if directory.organisation is not None:
        try:
            with connection.telling("reading which accounts the organization's units have"):
                membership = MembersTable(connection.dynamodb, connection.table).membership()
        except Refusal as refusal:
            found = receivers(directory, applied.current.version)
            return InForce(found, faults=(replace(refusal.fault, code="not-seen"),))
        directory = replace(directory, membership=membership)
    found = receivers(directory, applied.current.version)
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
