"""Discovery: finds tagged AMIs whose event was lost, and shared ones that are tagged no longer.

What is tagged when it first looks is the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.core.addresses import STANDING, Key, delivery, promotion
from chalicelib.core.delivery.model import State as DeliveryState
from chalicelib.core.errors import ParkRecord
from chalicelib.core.promotion import machine
from chalicelib.core.promotion.model import Promotion, State
from chalicelib.ports import Children, Records, Source, Tagged, Targets, Write
from chalicelib.service import promotions
from chalicelib.service.bell import Bell, Clock

BASELINE = Key("discovery", "baseline")


class Discover:
    """Compares the tags in EC2 with what is on record."""

    def __init__(
        self,
        records: Records,
        source: Source,
        targets: Targets,
        children: Children,
        bell: Bell,
        clock: Clock,
        hub: str,
        region: str,
    ) -> None:
        self._records = records
        self._targets = targets
        self._children = children
        self._source = source
        self._bell = bell
        self._clock = clock
        self._hub = hub
        self._region = region

    def run(self) -> Sequence[Tagged]:
        """Start what is tagged and unknown; nudge what is tagged otherwise than it was promoted. Returns the tagged."""
        found = self._source.tagged()
        if self._records.get(BASELINE) is None:
            for tagged in found:
                self._leave(tagged)
            self._records.put(BASELINE, {"kind": "baseline", "at": self._clock(), "images": len(found)})
            return found
        for tagged in found:
            self._look(tagged)
        self._withdrawn({tagged.ami for tagged in found})
        return found

    def _withdrawn(self, shown: set[str]) -> None:
        """See after what is shared: that its tag is there, if the event of that was lost, and its targets' accounts."""
        now = self._clock()
        for note, item in self._records.list(STANDING, "ami-"):
            key = promotion(note.sk)
            try:
                stored = self._records.read(key)
                record = None if stored is None or stored.parked else promotions.parse(stored)
            except ParkRecord:  # its own lane parks it; what is shared of the others is seen after all the same
                self._bell.ring(key, f"unreadable:{now // 60}")
                continue
            if record is None:
                continue
            if not record.standing and record.state is State.OVER:
                if record.episode == item.get("episode"):
                    self._records.forget(note, {"episode": record.episode})
            elif note.sk not in shown:
                self._bell.note(record.key, {"seen": f"{now // 60}:"}, f"untagged:{now // 60}")
            else:
                self._dropped(note, item, record)

    def _dropped(self, note: Key, item: Mapping[str, Any], record: Promotion) -> None:
        """Withdraw from accounts that the targets file has no more; looked at once for each file and promotion.

        As long as deliveries run it is looked at again: one that opened before the file came may yet rest in shared.
        """
        digest = self._targets.digest()
        if digest in (record.digest, item.get("looked_at")):
            return
        children = self._children.all(record.ami)
        shared = [child for child in children if child.state == DeliveryState.SHARED]
        listed = self._targets.listed({child.account for child in shared})
        for child in shared:
            if child.account not in listed:
                cause = f"dropped:{digest}"
                self._bell.note(delivery(child.delivery), {"cancel": f"{child.episode}:{cause}"}, cause)
        if not any(child.state == promotions.RUNNING for child in children):
            self._records.put(note, {**item, "looked_at": digest})

    def _leave(self, tagged: Tagged) -> None:
        """Tagged before the service first looked: it moves only by a new event. EC2 keeps no time for a tag."""
        now = self._clock()
        record = machine.baseline(tagged.ami, self._hub, self._region, tagged.value, now)
        self._records.create(Write(record.key, record.state.value, promotions.plain(record), None), now)

    def _look(self, tagged: Tagged) -> None:
        """One record that cannot be read must not keep the AMIs behind it from being found: its own lane parks it."""
        now = self._clock()
        key = promotion(tagged.ami)
        try:
            stored = self._records.read(key)
            if stored is None:
                start(self._records, self._bell, tagged.ami, self._hub, self._region, now, f"discovered:{now // 60}")
                return
            if stored.parked:
                return
            record = promotions.parse(stored)
        except ParkRecord:  # its own lane parks it; the others are looked at all the same
            self._bell.ring(key, f"unreadable:{now // 60}")
            return
        known = (record.value, record.refused_value, record.candidate)
        given_up = record.state is State.OVER and tagged.pending  # until it is available
        if record.state in (State.RUNNING, State.OVER) and tagged.value not in known and not given_up:
            self._bell.note(key, {"seen": f"{now // 60}:{tagged.value}"}, f"discovered:{now // 60}")


def start(records: Records, bell: Bell, ami: str, hub: str, region: str, now: int, cause: str) -> None:
    """Put a promotion that nobody has looked at yet, and ring it."""
    record = machine.started(ami, hub, region, now)
    records.create(Write(record.key, record.state.value, promotions.plain(record), record.due_at), now)
    bell.ring(record.key, cause)
