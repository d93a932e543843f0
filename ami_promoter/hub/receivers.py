"""Who may receive any AMI, by the applied targets file and the accounts of its units, whatever a tag names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.targets.applied_file import Directory


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who may receive anything.

    ``regions``: account -> the Regions in which it is a target. ``units``: ARNs of the units that groups name.
    ``unread``: ids of units whose accounts discovery has not read yet. ``digest``: of the applied file, for messages.
    ``known``: the whole applied file was read. ``faults`` say what could not be read.
    """

    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    units: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    digest: str = ""
    known: bool = False
    faults: tuple[Fault, ...] = ()

    def contain(self, receiver: str) -> bool | None:
        """Whether an account id or a unit's ARN may receive anything; None: file and units do not say it."""
        if receiver in self.regions or receiver in self.units:
            return True
        return False if self.known and not self.unread else None

    def places(self, hub: tuple[str, str] = ("", "")) -> tuple[Place, ...]:
        """Return every target, sorted, without ``hub``, which is no target."""
        every = {Place(account, region) for account, regions in self.regions.items() for region in regions}
        return tuple(sorted(every - {Place(*hub)}))


def receivers(directory: Directory, digest: str = "") -> Receivers:
    """Collect all accounts that the file lists, or that a unit brings into a group, with their Regions."""
    units = directory.membership.units
    named = {member for members in directory.groups.values() for member in members if member in units}
    unread = directory.unread((), every=True)
    arns = frozenset(units[one].arn for one in named)
    return Receivers(directory.regions(), arns, tuple(unread), digest, known=True)
