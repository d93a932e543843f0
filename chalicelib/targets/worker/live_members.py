"""Whether an account belongs to the units of the applied file, as AWS Organizations itself says (invariants 8 and 11).

`discover` writes the table of members, so that table alone never says who receives anything, nor who is no stranger.
Closing does not depend on this: it goes by the table, and by discovery's rules for accounts that leave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from chalicelib.engine import schedule
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.waker import Clock
from chalicelib.targets import organization
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.listing import ACTIVE
from chalicelib.targets.organization import Organization
from chalicelib.targets.ports import OrganizationReader

MEMBER_FOR = 10 * schedule.MINUTE
"""Seconds for which an answer counts, in this function's memory alone: an item of a table could be forged."""
STRANGER_FOR = 1 * schedule.MINUTE
"""Seconds for which it counts that an account is in no unit: one that has just joined may show late."""


class LiveMembers:
    """Asks Organizations about accounts that the table of members has in a unit: one call for each account."""

    def __init__(
        self, reader: Callable[[Organization], OrganizationReader], clock: Clock, known_for: int | None = None
    ) -> None:
        """``reader`` makes the reader of the organization that the applied file names.

        ``known_for``: seconds for which each answer counts, in place of the times above.
        """
        self._make = reader
        self._clock = clock
        self._known_for = known_for
        self._asks: tuple[Organization, OrganizationReader] | None = None
        self._asks_until = 0
        self._known: dict[str, tuple[int, frozenset[str]]] = {}
        """By account: until when the answer counts, and every unit that contains it."""

    def checked(
        self, applied: AppliedFile, receivers: Collection[str], has_time: Callable[[], bool] = lambda: True
    ) -> AppliedFile:
        """Return the file with the units of these accounts, and all units' ARNs, as Organizations says.

        ``receivers``: account ids, and ARNs of units. It is the same object if Organizations agrees, or if none of them
        comes from a unit. Raises Refusal if Organizations does not answer, or if there is no time to ask about all;
        what it has answered is remembered.
        """
        named, membership = applied.directory.organization, applied.directory.membership
        brought = [one for one in receivers if organization.is_brought(one, membership)]
        if named is None or not (brought or any(":organizations:" in one for one in receivers)):
            return applied
        reader = self._reader(named)
        whole = reader.arn()
        places = dict(self._places(named, reader, brought, has_time))
        found = organization.corrected(membership, named, whole, places)
        if found is membership:
            return applied
        return AppliedFile(replace(applied.directory, membership=found), applied.digest, applied.fault)

    def _reader(self, named: Organization) -> OrganizationReader:
        """Return the reader; what was known of another organization, or by another role, is forgotten.

        A reader remembers which organization answers, so it counts no longer than an answer.
        """
        if self._asks is None or self._asks[0] != named:
            self._asks, self._known = None, {}
        if self._asks is None or self._clock() >= self._asks_until:
            self._asks = named, self._make(named)
            self._asks_until = self._clock() + MEMBER_FOR
        return self._asks[1]

    def _places(
        self, named: Organization, reader: OrganizationReader, accounts: Collection[str], has_time: Callable[[], bool]
    ) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield each account with the ids of all units that contain it; the first is always asked about."""
        asked = False
        for account in accounts:
            until, units = self._known.get(account, (0, frozenset[str]()))
            now = self._clock()
            if now >= until:
                if asked and not has_time():
                    what = "there was no time to ask about all accounts."
                    fault = Fault(
                        "organization-unreadable", f"organization {named.id}", what, "The service asks again."
                    )
                    raise Refusal(RefusalKind.THROTTLED, fault)
                found, asked = reader.whereabouts(account), True
                units = frozenset({*found.above, named.id} if found.state == ACTIVE else ())
                self._known[account] = now + (self._known_for or (MEMBER_FOR if units else STRANGER_FOR)), units
            yield account, units
