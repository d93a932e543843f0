"""The organization that the targets file names, and the members of its units, as discovery last read them.

A *unit* is an OU (``ou-ab12-11111111``), the root (``r-ab12``) or the whole organization (``o-a1b2c3d4e5``), by its id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chalicelib.engine.faults import Fault

UNIT = r"(ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r-[0-9a-z]{4,32}|o-[a-z0-9]{10,32})"

NOT_READ_YET = "organization-not-read-yet"
"""Code of a fault that passes by itself."""


@dataclass(frozen=True, slots=True)
class Organization:
    """The block ``organization`` of the targets file, and the units that its groups name."""

    id: str
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Every unit that the file names -> the groups that name it."""
    read_role: str = ""
    """ARN of the role that may read the organization; "": the hub's own credentials may."""
    external_id: str = ""
    back_fill: bool = True
    """An account that joins a unit gets what is in force for it."""
    most_leaving: str = "10%"
    """How many of a group's accounts may leave it within a day without a person: a share, or a number."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's ACTIVE accounts, with those of units below it. ``arn``: as a launch permission names it."""

    arn: str
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """The members in force, as discovery has read them. ``digest`` names their content; "": nothing was read yet."""

    digest: str = ""
    units: Mapping[str, Unit] = field(default_factory=dict)
    troubles: Mapping[str, Fault] = field(default_factory=dict)
    """Why a unit could not be read the last time, for those that never were."""


def is_unit(member: str) -> bool:
    """Whether a group's member is a unit and not an account."""
    return re.fullmatch(UNIT, member) is not None


def ways(members: Iterable[str], membership: Membership) -> dict[str, str]:
    """Return a group's accounts -> the ARN of the unit that brings each; "" for those that the file lists.

    If several units contain an account, the smallest counts: an OU, then the root, then the organization.
    """
    members = list(members)
    found = {member: "" for member in members if not is_unit(member)}
    for member in sorted(filter(is_unit, members), key=_size):
        unit = membership.units.get(member)
        for account in unit.accounts if unit else ():
            found.setdefault(account, unit.arn if unit else "")
    return found


def is_brought(account: str, membership: Membership) -> bool:
    """Whether the members in force have an account in a unit."""
    return any(account in unit.accounts for unit in membership.units.values())


def corrected(
    membership: Membership, named: Organization, whole: str, places: Mapping[str, Collection[str]]
) -> Membership:
    """Return the members with what AWS Organizations itself says of some accounts; the same object if it agrees.

    A unit that the file (``named``) does not name is left out: the table alone adds no receiver (invariant 8).
    ``whole``: the organization's ARN, from which those of all units follow; ``places``: the ids of all units that
    contain each of the accounts.
    """
    units: dict[str, Unit] = {}
    for name in filter(named.units.__contains__, membership.units):
        there = {account for account, above in places.items() if name in above}
        accounts = (set(membership.units[name].accounts) - places.keys()) | there
        units[name] = Unit(arn_of(name, whole), tuple(sorted(accounts)))
    return membership if units == membership.units else replace(membership, units=units)


def arn_of(unit: str, whole: str) -> str:
    """Return a unit's ARN as launch permissions name it, by that of the organization: they know no root.

    The forms are those of the service authorization reference, and of shapes Organization and OrganizationalUnit in
    botocore's model.
    """
    return f"{whole.replace(':organization/', ':ou/')}/{unit}" if unit.startswith("ou-") else whole


def _size(unit: str) -> tuple[int, str]:
    return ("ou", "r", "o").index(unit.partition("-")[0]), unit


def allowance(most_leaving: str, accounts: int) -> int:
    """Return how many of a group's accounts that is; a share is rounded up, so that one may always leave."""
    if most_leaving.endswith("%"):
        return math.ceil(accounts * int(most_leaving[:-1]) / 100)
    return int(most_leaving)


def not_read_yet(units: Iterable[str], named: Organization | None) -> Fault:
    """Return the fault of a value whose units discovery has not read yet; it passes by itself."""
    what = f"the service has not read yet which accounts {', '.join(units)} has."
    cure = "The service reads it every five minutes, and then looks at the value again."
    return Fault(NOT_READ_YET, f"organization {named.id if named else ''}", what, cure)


def conflict(account: str, differing: Iterable[str], groups: Iterable[str]) -> Fault:
    """Return the fault of an account that two groups have with different settings, because of its unit."""
    named = " and ".join(f"`{group}`" for group in groups)
    what = f"account {account} belongs to {named}, through the organization, and they differ in {', '.join(differing)}."
    cure = "Set it for the account under `accounts`, make the groups agree, or move the account; then tag again."
    return Fault("organization-conflict", f"account {account}", what, cure)
