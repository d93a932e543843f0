"""The lane of a census: looks at one target for an operator, and removes what the operator named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core import addresses, census, codec
from chalicelib.core.addresses import Key
from chalicelib.core.census import Census as Record
from chalicelib.core.delivery.events import Why
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.errors import ParkRecord, Unreadable
from chalicelib.ports import Records, Refusal, Stored, Survey, Telemetry, Write
from chalicelib.service.bell import Bell, Clock

PAGE = 200
"""So many AMIs and snapshots in one item: some 50 KB."""


class Census:
    """Works on one target at a time."""

    def __init__(self, records: Records, survey: Survey, bell: Bell, clock: Clock, telemetry: Telemetry) -> None:
        self._records = records
        self._survey = survey
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    needs_seconds = 16
    """A removal is begun only with so much time left: two SDK time-outs."""

    def run(self, key: Key, *, time_left: Clock) -> None:
        """Answer what was asked last."""
        try:
            stored = self._records.begin(key)
            if stored is None or stored.parked:
                return
            record = parse(stored)
            now = self._clock()
            after = record
            if record.to_look and now >= (record.due_at or 0):
                after = self._looked(record, record.to_look)
            if after.to_remove:
                after = self._removed(after, after.to_remove, time_left)
            if after == record and not (stored.astir and after.due_at is None):
                return
            if not self._records.save(stored, Write(key, "open", plain(after), after.due_at), (), self._clock()):
                self._bell.ring(key, f"more:{self._clock()}")
        except ParkRecord as trouble:
            self._records.park(key, str(trouble), self._clock())
            self._telemetry.parked(key, str(trouble))

    def _looked(self, record: Record, run: str) -> Record:
        try:
            images, snapshots = self._survey.look(record.account, record.region)
        except Refusal as refusal:
            again = refusal.why is Why.THROTTLED
            return census.hindered(record, run, refusal.fault, self._clock(), again=again)
        found = [
            *({"image": codec.encode(image)} for image in images),
            *({"snapshot": codec.encode(snapshot)} for snapshot in snapshots),
        ]
        pages = [found[start : start + PAGE] for start in range(0, len(found), PAGE)]
        for number, page in enumerate(pages):
            body = json.dumps(page, separators=(",", ":"))
            self._records.put(addresses.census_page(record.key, number), {"kind": "found", "run": run, "body": body})
        return census.looked(record, run, len(pages), self._clock())

    def _removed(self, record: Record, run: str, time_left: Clock) -> Record:
        """Carry out an order: a list of {snapshot, delivery}; what is done with has its ``result`` beside it."""
        key = addresses.census_order(record.key, run)
        item = self._records.get(key)
        order = [] if item is None else json.loads(item["body"])
        for entry in order:
            if "result" in entry:
                continue
            if time_left() < self.needs_seconds:
                return replace(record, due_at=self._clock())
            entry["result"] = self._remove(record, entry["delivery"], entry["snapshot"])
            self._records.put(key, {"kind": "order", "body": json.dumps(order, separators=(",", ":"))})
        return census.carried_out(record, run)

    def _remove(self, record: Record, delivery: str, snapshot: str) -> str:
        """Remove one, unless its delivery is at work: then it is that delivery's."""
        stored = self._records.read(addresses.delivery(delivery))
        if stored is not None and stored.body.get("state") not in _OVER:
            return "its delivery is under way, and looks after it"
        try:
            return self._survey.remove(record.account, record.region, delivery, snapshot)
        except Refusal as refusal:
            return refusal.fault.what


_OVER: Sequence[str] = tuple(state.value for state in ENDED)


def parse(stored: Stored) -> Record:
    """Read a census from its item. Raises Unreadable."""
    try:
        return replace(codec.decode(Record, stored.body, str(stored.key)), hints=stored.hints)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def plain(record: Record) -> dict[str, object]:
    """Turn a census into JSON values, without its hints."""
    values: dict[str, object] = codec.encode(record)
    values.pop("hints")
    return values
