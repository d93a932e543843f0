"""The pass over the organization: reads which accounts its units have.

A unit that cannot be read changes nothing. An account that left is removed only on evidence
(``targets/departures.py``). The pass over the tags then finds the promotions whose targets have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.engine import schedule
from chalicelib.engine.budget import TimeLeft
from chalicelib.engine.errors import LostRace, Refusal, RefusalKind
from chalicelib.engine.ports import Telemetry
from chalicelib.engine.waker import Clock
from chalicelib.targets import departures
from chalicelib.targets.departures import MembersReading
from chalicelib.targets.listing import Crawl
from chalicelib.targets.organization import Membership, Organization
from chalicelib.targets.ports import MembersStore, OrganizationReader, Targets

NEEDS_SECONDS = 12
"""Seconds that must be left to ask for a page: an SDK time-out and a second try."""
ASK_SECONDS = 26
"""Seconds to ask where an account is: the account, up to six parents, and the writes afterwards, at 2 s each.

If a reading ends with less, the next run judges it: otherwise nobody might ever be asked about.
"""
STALE = 6 * schedule.HOUR
"""A reading that began longer ago than this starts from the beginning. Thousands of OUs, of two calls and more each,
take an hour where AWS is slow, and longer where it throttles."""


@dataclass(eq=False)
class Members:
    """Reads the organization that the applied file names."""

    applied: Targets
    store: MembersStore
    reader: Callable[[Organization], OrganizationReader]
    clock: Clock
    telemetry: Telemetry

    def run(self, *, time_left: TimeLeft) -> None:
        """Continue the reading. Raises Refusal if AWS does not answer."""
        named = self.applied.organization()
        if named is None:
            return
        try:
            self._read(named, time_left)
        except LostRace:  # another run is reading
            return

    def _read(self, named: Organization, time_left: TimeLeft) -> None:
        reader = self.reader(named)
        reading, version = self.store.reading()
        crawl = reading.crawl
        if crawl is None or _of_others(crawl, named) or self.clock() - crawl.begun_at > STALE:
            crawl = Crawl(self.clock())
        crawl = self._begun(crawl, named, reader, time_left)
        whole = not _to_begin(crawl, named)
        crawl = self._crawled(crawl, reader, time_left)
        judged_later = crawl is not reading.crawl and time_left() <= ASK_SECONDS
        reading = replace(reading, crawl=crawl)
        if not self.store.save(reading, version):
            raise LostRace("members/reading")
        if whole and crawl.next() is None and not judged_later:
            self._judge(named, reader, replace(reading, crawl=None), version + 1, time_left, crawl)

    def _begun(self, crawl: Crawl, named: Organization, reader: OrganizationReader, time_left: TimeLeft) -> Crawl:
        """Find the units; if time is up or AWS throttles, the next run continues."""
        before = crawl
        for unit in _to_begin(crawl, named):
            if crawl is not before and time_left() <= NEEDS_SECONDS:
                break
            try:
                found = reader.unit(unit)
            except Refusal as refusal:
                if refusal.kind is RefusalKind.THROTTLED and crawl is before:
                    raise
                if refusal.kind is RefusalKind.THROTTLED:
                    break
                crawl = crawl.cannot(unit, refusal.fault)
            else:
                crawl = crawl.begin(unit, found.arn, found.parents)
        return crawl

    def _crawled(self, crawl: Crawl, reader: OrganizationReader, time_left: TimeLeft) -> Crawl:
        """Read page after page; if time is up or AWS throttles, the next run continues."""
        while (step := crawl.next()) is not None and time_left() > NEEDS_SECONDS:
            try:
                crawl = crawl.read(step, reader.page(step))
            except Refusal as refusal:
                if refusal.kind is RefusalKind.THROTTLED:
                    break
                crawl = crawl.failed(step, refusal.fault)
        return crawl

    def _judge(
        self,
        named: Organization,
        reader: OrganizationReader,
        reading: MembersReading,
        version: int,
        time_left: TimeLeft,
        crawl: Crawl,
    ) -> None:
        """Compare a finished reading with the members in force, write the new members, and end the reading."""
        now = self.clock()
        before = self.store.membership()
        after, reading = departures.compare(reading, before, crawl, named.units, now)
        for account in departures.to_ask(reading):
            if time_left() > ASK_SECONDS:
                reading = departures.answered(reading, account, self._where(reader, account))
        accepted = self.store.accepted(now)
        groups = self.applied.groups()
        after, reading = departures.remove(reading, after, groups, named.most_leaving, accepted, now)
        if after.units == before.units:
            written = self.store.save(reading, version)
        else:
            written = self.store.publish(before, after, reading, version)
        if not written:
            raise LostRace("members")
        self._tell(before, after, reading, now)

    def _where(self, reader: OrganizationReader, account: str) -> departures.Whereabouts | None:
        try:
            return reader.whereabouts(account)
        except Refusal as refusal:  # no answer is no evidence
            self.telemetry.not_done("members", str(refusal))
            return None

    def _tell(self, before: Membership, after: Membership, reading: MembersReading, now: int) -> None:
        left = [one for one in reading.left if one.at == now]
        for one in left:
            for group in one.groups:
                self.telemetry.left(one.account, group, one.why)
        troubles = {unit: str(trouble.fault) for unit, trouble in reading.troubles.items()}
        joined = _accounts(after) - _accounts(before)
        self.telemetry.organization(len(joined), len(left), len(reading.held), troubles)


def _of_others(crawl: Crawl, named: Organization) -> bool:
    """Whether the applied file no longer names all units of this reading."""
    return not crawl.roots.keys() | crawl.troubles.keys() <= named.units.keys()


def _to_begin(crawl: Crawl, named: Organization) -> list[str]:
    """Return the units that this reading has not looked for yet."""
    return sorted(named.units.keys() - crawl.roots.keys() - crawl.troubles.keys())


def _accounts(membership: Membership) -> set[str]:
    return {account for unit in membership.units.values() for account in unit.accounts}
