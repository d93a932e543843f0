"""Who may receive anything: the applied targets file and the accounts that the organization's units have.

Pure. An OU, the root and the organization are *units*. What a tag selects of this is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chalicelib.core.targets import organization
from chalicelib.core.targets.applied_file import Directory, Target


@dataclass(frozen=True, slots=True)
class Receivers:
    """``regions``: account -> the Regions in which it is a target. ``units``: ARNs of the units that groups name.

    ``unread`` are ids of units whose accounts nobody has read yet; ``digest`` names the applied file, for messages.
    """

    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    units: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    digest: str = ""

    def contain(self, receiver: str) -> bool | None:
        """Whether an account id or a unit's ARN may receive anything; None while a unit was never read."""
        if receiver in self.regions or receiver in self.units:
            return True
        return None if self.unread else False

    def places(self, hub: tuple[str, str] = ("", "")) -> tuple[tuple[str, str], ...]:
        """Return every target as (account, Region), sorted; without the hub in its own Region, which is none."""
        every = {(account, region) for account, regions in self.regions.items() for region in regions}
        return tuple(sorted(every - {hub}))


def receivers(directory: Directory, digest: str = "") -> Receivers:
    """Gather all accounts that a group or ``accounts`` lists, or that a unit brings into a group, with their Regions.

    Of an account that several groups have, the Regions of all of them: where these differ the service copies nothing
    new, and what it made before is there all the same.
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
    """Yield an account's targets in a group into which a unit brings it; its own block goes before the group's."""
    own = directory.own.get(account, {}).get(group)
    yield from directory.by_unit.get(group, ()) if own is None else own
