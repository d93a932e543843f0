"""Writes the reason of a wake into the record's inbox, before the record's worker runs.

The functions that receive events may write nothing (invariant 11), so the worker does it for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Records, Write
from chalicelib.engine.waker import Clock
from chalicelib.engine.wakes import EVENT_AT, Reason

PROMOTION = re.compile(r"promotion#(ami-[0-9a-f]{1,40})\Z")


@dataclass(eq=False)
class Reasons:
    """Writes reasons; ``begun`` returns a new promotion's record."""

    records: Records
    clock: Clock
    begun: Callable[[str], Write]

    def of_target(self, reason: Reason | None) -> Mapping[str, str]:
        """Return the inbox entries of a delivery, whose reasons come from its target's events only."""
        return {} if reason is None else {reason.name: reason.value, EVENT_AT: str(self.clock())}

    def leave(self, key: RecordKey, reason: Reason) -> None:
        """Write a reason as an inbox entry; if a trigger tag was written and the AMI has no promotion, begin one.

        May be repeated. An older tag event does not replace a newer one. A parked or missing record gets no entry: its
        next run reads AWS in any case.
        """
        newer = reason.name in ("tag", "untag")
        inbox = {"tag" if newer else reason.name: reason.value}
        named = PROMOTION.match(key.pk) if reason.name == "tag" else None
        fresh = None if named is None else self.begun(named[1])
        self.records.leave(key, inbox, self.clock(), newer=newer, fresh=fresh)
