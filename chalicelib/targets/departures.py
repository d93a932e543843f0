"""When an account counts as gone from a unit: only on evidence, and never too many at once without a person.

An account that a complete listing does not show is *missing*, and stays in force. It is *gone* when a second complete
listing, some time later, does not show it either, and AWS, asked for it by its id, says that it is elsewhere in the
organization, not ACTIVE, or not in the organization. A setting limits how many accounts may leave a group within a day
without a person; if more would leave, each of them stays until a person has accepted that, or it is back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.targets import organization
from chalicelib.targets.listing import ACTIVE, Crawl
from chalicelib.targets.organization import Membership, Unit

APART = 10 * schedule.MINUTE
"""Seconds between the two listings that must not show an account."""
LEFT_KEPT = 500
"""Departures that are kept for people; those that count against the limit are kept besides, however many they are."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An account that a unit has in force, and that the last complete listing of the unit did not show."""

    unit: str
    account: str
    since: int
    last: int
    """When a listing that counts last did not show it."""
    times: int = 1
    evidence: str = ""
    """Where AWS says that it is; "": it is not known."""

    @property
    def name(self) -> str:
        """Its name, "unit/account"."""
        return f"{self.unit}/{self.account}"


@dataclass(frozen=True, slots=True)
class Left:
    """An account that left its groups."""

    at: int
    account: str
    groups: tuple[str, ...]
    why: str
    accepted: bool = False
    """A person accepted it; then it does not count against the limit."""


@dataclass(frozen=True, slots=True)
class UnreadUnit:
    """Why a unit could not be read the last time, and since when that is so."""

    since: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """AWS's answer about one account. ``state`` "": it is not in the organization. ``above``: OUs, then the root."""

    state: str
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MembersReading:
    """What discovery stores from run to run."""

    crawl: Crawl | None = None
    read_at: Mapping[str, int] = field(default_factory=dict)
    """When each unit was last read completely."""
    missing: Mapping[str, Missing] = field(default_factory=dict)
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Account -> the groups that too many left at once: it stays while it is missing until a person accepts that."""
    left: tuple[Left, ...] = ()
    """Those of the last day, which count, and the last ones before."""
    troubles: Mapping[str, UnreadUnit] = field(default_factory=dict)

    @property
    def held_in(self) -> Mapping[str, tuple[str, ...]]:
        """The accounts that stay, by group."""
        return _inverted(self.held)


def compare(
    reading: MembersReading, membership: Membership, crawl: Crawl, units_named: Iterable[str], now: int
) -> tuple[Membership, MembersReading]:
    """Compare a finished crawl with the members: a new account joins at once; one that does not show is missing.

    A unit that could not be read changes only its ``troubles``. Units that the file does not name any more go.
    """
    listings = {unit: crawl.listing(unit) for unit in units_named}
    units, missing = dict(membership.units), {}
    troubles, read_at = {}, {unit: at for unit, at in reading.read_at.items() if unit in listings}
    for unit, listing in listings.items():
        known = frozenset(units[unit].accounts) if unit in units else frozenset[str]()
        if isinstance(listing, Fault):
            before = reading.troubles.get(unit)
            troubles[unit] = UnreadUnit(before.since if before else now, listing)
            missing.update({name: one for name, one in reading.missing.items() if one.unit == unit})
            continue
        read_at[unit] = now
        units[unit] = Unit(crawl.arns[unit], tuple(sorted(known | listing)))
        for account in known - listing:
            fresh = Missing(unit, account, now, now)
            before_that = reading.missing.get(fresh.name)
            missing[fresh.name] = fresh if before_that is None else _again(before_that, now)
    units = {unit: found for unit, found in units.items() if unit in listings}
    return replace(membership, units=units), replace(reading, missing=missing, troubles=troubles, read_at=read_at)


def _again(missing: Missing, now: int) -> Missing:
    if now - missing.last < APART:
        return missing
    return replace(missing, times=missing.times + 1, last=now)


def to_ask(reading: MembersReading) -> list[str]:
    """Return the accounts to ask AWS about: missing twice, some time apart.

    Those without evidence come first: there may not be time for all.
    """
    known: dict[str, bool] = {}
    for one in reading.missing.values():
        if one.times > 1:
            known[one.account] = known.get(one.account, True) and bool(one.evidence)
    return sorted(known, key=lambda account: (known[account], account))


def answered(reading: MembersReading, account: str, where: Whereabouts | None) -> MembersReading:
    """Return the reading with AWS's answer about an account; None: there was no answer."""
    mine = {
        name: replace(one, evidence=_evidence(one.unit, where))
        for name, one in reading.missing.items()
        if one.account == account
    }
    return replace(reading, missing={**reading.missing, **mine})


def _evidence(unit: str, where: Whereabouts | None) -> str:
    """Return where the account is, if that is outside the unit; an unknown state is not evidence."""
    if where is None:
        return ""
    if not where.state:
        return "it is no longer in the organization"
    if where.state != ACTIVE:
        return f"its state is {where.state}" if where.state in STATES else ""
    if where.above and unit.startswith("ou-") and unit not in where.above:
        return f"it is now in {where.above[0]}"
    return ""


STATES = ("PENDING_ACTIVATION", "SUSPENDED", "PENDING_CLOSURE", "CLOSED")
"""States other than ACTIVE [aws-facts 7]. An unknown one is no evidence."""


def remove(
    reading: MembersReading,
    membership: Membership,
    groups: Mapping[str, tuple[str, ...]],
    most_leaving: str,
    accepted: Collection[str],
    now: int,
) -> tuple[Membership, MembersReading]:
    """Remove the accounts that are gone, group by group up to the limit; hold back the rest.

    ``accepted``: departures that a person accepted. A group does not lose an account that another unit or the file
    still brings into it. Who is held stays so while it is missing, even if the limit would let it go by now, AWS does
    not say where it is, or the file has another name for the group.
    """
    gone = [one for one in reading.missing.values() if one.evidence]
    after, without_missing = _without(membership, gone), _without(membership, reading.missing.values())
    recent = [one for one in reading.left if _counts(one, now)]
    held, losses = dict[str, Iterable[str]](), dict[str, Iterable[str]]()
    for group, members in sorted(groups.items()):
        before = organization.ways(members, membership).keys()
        lost = set(before - organization.ways(members, after).keys())
        already = {one.account for one in recent if group in one.groups}
        waited = {name for name, by in reading.held.items() if group in by or groups.keys().isdisjoint(by)}
        waits = set(before - organization.ways(members, without_missing).keys()) & waited
        unasked = (lost | waits) - set(accepted)
        allowed = organization.allowance(most_leaving, len(before | already))
        losses[group] = lost
        held[group] = unasked if len(unasked | already) > allowed else waits & unasked
    stay = _inverted(held)
    goes = [one for one in gone if one.account not in stay]
    why = {one.account: one.evidence for one in goes}
    left = tuple(
        Left(now, account, lost_by, why[account], accepted=account in accepted)
        for account, lost_by in _inverted(losses).items()
        if account not in stay
    )
    missing = {name: one for name, one in reading.missing.items() if one not in goes}
    earlier = [one for one in reading.left if one.at > now - 7 * schedule.DAY and not _counts(one, now)][-LEFT_KEPT:]
    kept = tuple(sorted((*earlier, *recent, *left), key=lambda one: one.at))
    return _without(membership, goes), replace(reading, missing=missing, held=stay, left=kept)


def _inverted(found: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Turn key -> names into name -> keys, sorted."""
    out: dict[str, tuple[str, ...]] = {}
    for name, key in sorted((name, key) for key, names in found.items() for name in names):
        out[name] = (*out.get(name, ()), key)
    return out


def _counts(one: Left, now: int) -> bool:
    """Whether a departure counts against the limit of its group."""
    return one.at > now - schedule.DAY and not one.accepted


def _without(membership: Membership, gone: Iterable[Missing]) -> Membership:
    out: dict[str, set[str]] = {}
    for one in gone:
        out.setdefault(one.unit, set()).add(one.account)
    units = {
        name: replace(unit, accounts=tuple(a for a in unit.accounts if a not in out[name])) if name in out else unit
        for name, unit in membership.units.items()
    }
    return replace(membership, units=units)
