"""Who may receive any AMI, by the applied targets file and the accounts of its units, whatever a tag names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chalicelib.engine.places import Place
from chalicelib.targets import organization
from chalicelib.targets.applied_file import Directory, Target


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who may receive anything.

    ``regions``: account -> the Regions in which it is a target. ``units``: ARNs of the units that groups name.
    ``unread``: ids of units whose accounts discovery has not read yet. ``digest``: of the applied file, for messages.
    """

    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    units: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    digest: str = ""

    def contain(self, receiver: str) -> bool | None:
        """Whether an account id or a unit's ARN may receive anything; None: unknown until all units have been read."""
        if receiver in self.regions or receiver in self.units:
            return True
        return None if self.unread else False

    def places(self, hub: tuple[str, str] = ("", "")) -> tuple[Place, ...]:
        """Return every target, sorted, without ``hub``, which is no target."""
        every = {Place(account, region) for account, regions in self.regions.items() for region in regions}
        return tuple(sorted(every - {Place(*hub)}))


def receivers(directory: Directory, digest: str = "") -> Receivers:
    """Collect all accounts that the file lists, or that a unit brings into a group, with their Regions.

    An account in several groups gets the Regions of all of them. If these differ, the service copies nothing new there,
    but earlier AMIs exist.
    """
    regions: dict[str, set[str]] = {}
    for account, targets in directory.accounts.items():
        regions.setdefault(account, set()).update(target.region for target in targets)
    for group, members in directory.groups.items():
        for account, by_unit in organization.ways(members, directory.membership).items():
            if by_unit:
                found = _brought(directory, group, account)
                regions.setdefault(account, set()).update(target.region for target in found)
    named = {member for members in directory.groups.values() for member in members if organization.is_unit(member)}
    read = directory.membership.units
    return Receivers(
        {account: frozenset(found) for account, found in regions.items()},
        frozenset(read[unit].arn for unit in named & read.keys()),
        tuple(sorted(named - read.keys())),
        digest,
    )


def _brought(directory: Directory, group: str, account: str) -> Iterator[Target]:
    """Yield an account's targets in a group that has it by a unit; the account's own settings override the group's."""
    own = directory.own.get(account, {}).get(group)
    yield from directory.by_unit.get(group, ()) if own is None else own
