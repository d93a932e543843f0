"""The worker of an inventory: lists one target for an operator, and removes there what the operator named.

It works in steps: a page, or a slice of an order. The record is written after each, with where to go on, so that an
invocation that is cut short loses one page at most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core import addresses, codec, inventory
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.events import Why
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.errors import ParkRecord, Unreadable
from chalicelib.core.inventory import Inventory, InventoryPage
from chalicelib.ports import Records, Refusal, StaleCursor, Stored, TargetInventory, Telemetry, Write
from chalicelib.service.bell import Bell, Clock


class Inventories:
    """Works on one target at a time."""

    def __init__(
        self, records: Records, target: TargetInventory, bell: Bell, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._records = records
        self._target = target
        self._bell = bell
        self._clock = clock
        self._telemetry = telemetry

    needs_seconds = 16
    """A page or a removal is begun only with so much time left: two SDK time-outs."""

    def run(self, key: Key, *, time_left: Clock) -> None:
        """Answer what was asked last, as far as the time goes."""
        try:
            while time_left() >= self.needs_seconds:
                if not self._step(key, time_left):
                    return
            self._bell.ring(key, f"more:{self._clock()}")
        except ParkRecord as trouble:
            self._records.park(key, str(trouble), self._clock())
            self._telemetry.parked(key, str(trouble))

    def _step(self, key: Key, time_left: Clock) -> bool:
        """Do one page or one slice and write it down; whether more is to be done at once."""
        stored = self._records.begin(key)
        if stored is None or stored.parked:
            return False
        record = parse(stored)
        after = record
        if record.to_look and self._clock() >= (record.due_at or 0):
            after = self._listed(inventory.begun(record))
        elif record.to_remove:
            after = self._removed(inventory.removal_begun(record), time_left)
        if after == record and not (stored.scheduled is not None and after.due_at is None):
            return False
        if not self._records.save(stored, Write(key, "open", plain(after), after.due_at), (), self._clock()):
            self._bell.ring(key, f"more:{self._clock()}")
            return False
        looks = bool(after.to_look) and self._clock() >= (after.due_at or 0)
        return looks or bool(after.to_remove)

    def _listed(self, record: Inventory) -> Inventory:
        try:
            page = self._target.page(record.account, record.region, record.part, record.cursor)
        except StaleCursor as refusal:
            return inventory.begun_anew(record, refusal.fault, self._clock())
        except Refusal as refusal:
            again = refusal.why is Why.THROTTLED
            return inventory.not_listed(record, refusal.fault, self._clock(), again=again)
        self._write(record, page)
        return inventory.listed(record, page, self._clock())

    def _write(self, record: Inventory, page: InventoryPage) -> None:
        """Put a page beside the record; written a second time after a crash, it is the same item."""
        found = [
            *({"image": codec.encode(image)} for image in page.images),
            *({"snapshot": codec.encode(snapshot)} for snapshot in page.snapshots),
        ]
        if found:
            body = json.dumps(found, separators=(",", ":"))
            item = {"kind": "found", "run": record.looking, "body": body}
            self._records.put(addresses.inventory_page(record.key, record.pages), item)

    def _removed(self, record: Inventory, time_left: Clock) -> Inventory:
        """Carry out a slice: a list of {snapshot, delivery}; what is done with has its ``result`` beside it."""
        key = addresses.inventory_order(record.key, record.removing, record.slice)
        item = self._records.get(key)
        order = [] if item is None else json.loads(item["body"])
        slices = 0 if item is None else int(item["slices"])
        for entry in order:
            if "result" in entry:
                continue
            if time_left() < self.needs_seconds:
                return replace(record, due_at=self._clock())
            entry["result"] = self._remove(record, entry["delivery"], entry["snapshot"])
            body = json.dumps(order, separators=(",", ":"))
            self._records.put(key, {"kind": "order", "slices": slices, "body": body})
        return inventory.slice_done(record, last=record.slice + 1 >= slices, now=self._clock())

    def _remove(self, record: Inventory, delivery: str, snapshot: str) -> str:
        """Remove one, unless its delivery is at work: then it is that delivery's."""
        stored = self._records.read(addresses.delivery(delivery))
        if stored is not None and stored.body.get("state") not in _OVER:
            return "its delivery is under way, and looks after it"
        try:
            return self._target.remove(record.account, record.region, delivery, snapshot)
        except Refusal as refusal:
            return refusal.fault.what


_OVER: Sequence[str] = tuple(state.value for state in ENDED)


def parse(stored: Stored) -> Inventory:
    """Read an inventory from its item. Raises Unreadable."""
    try:
        return replace(codec.decode(Inventory, stored.body, str(stored.key)), hints=stored.hints)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def plain(record: Inventory) -> dict[str, object]:
    """Turn an inventory into JSON values, without its hints."""
    values: dict[str, object] = codec.encode(record)
    values.pop("hints")
    return values
