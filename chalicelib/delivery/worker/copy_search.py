"""Searches a target for the snapshots that have a delivery's tag, in as many invocations as the account takes.

EC2 cuts pages before it filters [aws-facts 4, VERIFIED], so a search takes a call for every 1,000 snapshots there, and
one invocation has no time for 100,000. It leaves its place beside the delivery, whose next try continues there.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from chalicelib.delivery.model import Delivery
from chalicelib.delivery.ports import TargetSnapshots
from chalicelib.delivery.proof import SeenCopy
from chalicelib.engine import addresses, codec, schedule
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind, StaleCursor
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.waker import Clock

CALLS_LEFT = 4
"""Calls for which a search leaves time, the next page's included: its step may need more after the last page."""


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """How far a search has come: since when, the token of the next page, and what the pages before have shown."""

    begun: int = 0
    token: str = ""
    seen: tuple[SeenCopy, ...] = ()


class CopySearch:
    """Searches by tag."""

    def __init__(self, records: Records, snapshots: TargetSnapshots, clock: Clock) -> None:
        self._records = records
        self._snapshots = snapshots
        self._clock = clock

    def find(self, delivery: Delivery, budget: Budget, tries: int) -> tuple[SeenCopy, ...]:
        """Return every snapshot in the target that has the delivery's tag.

        Raises Refusal if the time ends before the last page. ``tries``: of the record that is worked on; before the
        first one has failed there is no place to continue.
        """
        key = addresses.copy_search(delivery.id)
        start = place = self._place(delivery) if tries else SearchPlace(self._clock())
        while True:
            try:
                more, token = self._snapshots.find(delivery, token=place.token)
            except StaleCursor as stale:
                self._records.forget(key, {"kind": "search"})
                raise Refusal(RefusalKind.THROTTLED, stale.fault) from stale
            place = SearchPlace(place.begun, token, (*place.seen, *more))
            if not token:
                break
            if not budget.allows(CALLS_LEFT):
                self._records.put(key, {"kind": "search", "place": json.dumps(codec.encode(place))})
                raise Refusal(RefusalKind.THROTTLED, _unfinished(delivery.where))
        if start.token:
            self._records.forget(key, {"kind": "search"})
        return place.seen

    def _place(self, delivery: Delivery) -> SearchPlace:
        """Return where a search has stopped, if it began after each attempt: pages read before cannot show its copy."""
        item = self._records.get(addresses.copy_search(delivery.id)) or {}
        now, newest = self._clock(), max((one.at for one in delivery.attempts), default=0)
        with suppress(ValueError):  # of another version
            place = codec.decode(SearchPlace, codec.parsed_json(item.get("place", "{}")))
            if place.begun > max(newest, now - schedule.HOUR):
                return place
        return SearchPlace(now)


def _unfinished(where: str) -> Fault:
    what = "The account has more snapshots than DescribeSnapshots lists in one invocation."
    return Fault("aws-throttled", where, what, "The service continues the list by itself.")
