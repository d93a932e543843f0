"""The executor of inventories: lists what an operator asks about in one target, and removes what was named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib.delivery.model import ENDED
from chalicelib.delivery.target_seen import FACETS, TargetSeen
from chalicelib.engine import addresses, codec
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.errors import ParkRecord, Refusal, RefusalKind, StaleCursor
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.runner import CALLS_OF_STEP, Machine
from chalicelib.engine.stored import RecordCodec, compact
from chalicelib.inventory import machine as inventory
from chalicelib.inventory.machine import AmiUse, Inventory, InventoryPage, OwnImage, OwnInstance, OwnSnapshot
from chalicelib.inventory.ports import TargetChecks, TargetInventory
from chalicelib.targets.applied_file import Target
from chalicelib.targets.ports import Targets

INVENTORY_MACHINE: Machine[Inventory, inventory.InventoryCommand, inventory.Event] = Machine(
    inventory.outstanding, inventory.evolve, inventory.due_events
)


class InventoryCodec(RecordCodec[Inventory, inventory.InventoryCommand, inventory.Event]):
    """The stored form of inventories."""

    kind = Inventory

    def due_at(self, record: Inventory) -> int | None:
        """Return when to look again if no wake arrives."""
        return record.due_at


INVENTORIES = InventoryCodec()

ROWS: Mapping[type, str] = {
    OwnImage: "image",
    OwnSnapshot: "snapshot",
    OwnInstance: "instance",
    AmiUse: "use",
    TargetSeen: "seen",
    Fault: "unseen",
}
"""What a page lists -> the name of its rows."""

MOST_IN_ITEM = 1000
"""Entries of a page in one item, which has room for 400 KB: EC2 names what uses an AMI in pages of any length."""


@dataclass(eq=False)
class InventoryExecutor:
    """Executes an inventory's commands."""

    records: Records
    target: TargetInventory
    checks: TargetChecks
    targets: Targets

    def execute(self, record: Inventory, command: inventory.InventoryCommand, budget: Budget) -> inventory.Event:
        """Execute one command; a refusal comes back as an event."""
        return self._list(record) if isinstance(command, inventory.ListPage) else self._remove_slice(record, budget)

    def _list(self, record: Inventory) -> inventory.Event:
        """List a page and write it beside the record; after a crash the next run writes the same items again."""
        try:
            page = self._page(record)
        except Refusal as refusal:
            again, stale = refusal.kind is RefusalKind.THROTTLED, isinstance(refusal, StaleCursor)
            return inventory.PageRefused(refusal.fault, again=again, stale=stale)
        found = [{ROWS[type(one)]: codec.encode(one, sparse=True)} for one in page.found]
        items = list(slices(found, MOST_IN_ITEM))
        for number, some in enumerate(items, record.pages):
            item = {"kind": "found", "run": record.looking, "body": compact(some)}
            self.records.put(addresses.inventory_page(record.key, number), item)
        return inventory.PageListed(page.cursor, len(items))

    def _page(self, record: Inventory) -> InventoryPage:
        if record.part == "uses":
            return self.target.uses(record.account, record.region, record.image, record.cursor)
        if record.part != "checks":
            page = self.target.page(record.account, record.region, record.part, record.cursor)
            return page if record.part == "images" or page.cursor else self._with_instances(record, page)
        facet = next((one for one in FACETS if one == record.cursor), FACETS[0])
        target = self._settings(record)
        seen = self.checks.read(target, facet)
        return InventoryPage((seen,), next(iter(FACETS[FACETS.index(facet) + 1 :]), ""))

    def _with_instances(self, record: Inventory, page: InventoryPage) -> InventoryPage:
        """Add what launch tests have there, if the target has them: nothing is asked of others."""
        try:
            target = self._settings(record)
        except Refusal:
            return page
        if target.launch_test is None:
            return page
        try:
            return replace(page, found=(*page.found, *self.target.instances(target)))
        except Refusal as refusal:
            return replace(page, found=(*page.found, refusal.fault))

    def _settings(self, record: Inventory) -> Target:
        """Return the target as the applied file has it. Raises Refusal if it has no such target."""
        found = self.targets.read().target(record.account, record.region)
        if isinstance(found, Target):
            return found
        what = "The applied targets file has no such target."
        cure = "Name its Region in `regions` of the file, and apply it."
        nowhere = Fault("target-dropped", f"account {record.account}, {record.region}", what, cure)
        raise Refusal(RefusalKind.DENIED, found or nowhere)

    def _remove_slice(self, record: Inventory, budget: Budget) -> inventory.Event:
        """Remove a slice, a list of {snapshot, delivery}; an entry that is done has a ``result``."""
        key = addresses.inventory_order(record.key, record.removing, record.slice)
        item = self.records.get(key) or {"slices": 0, "body": "[]"}
        order, number = codec.parsed_json(item["body"]), int(item["slices"])
        last = record.slice + 1 >= number
        left = [entry for entry in order if "result" not in entry]
        for entry in budget.each(left, CALLS_OF_STEP):
            entry["result"] = self._remove(record, entry["delivery"], entry["snapshot"])
            self.records.put(key, {**item, "body": compact(order)})
        return inventory.RemovalsTried(over=all("result" in entry for entry in order), last=last)

    def _remove(self, record: Inventory, delivery: str, snapshot: str) -> str:
        """Remove a snapshot and return why not, if so. A delivery that has not ended looks after its own."""
        try:
            stored = self.records.read(addresses.delivery(delivery))
        except ParkRecord as error:  # its own worker parks it
            return f"its delivery cannot be read: {error!s:.500}"
        if stored is not None and stored.parked:
            return f"its delivery is parked: {stored.parked:.500}"
        if stored is not None and str(stored.body.get("state")) not in ENDED:
            return "its delivery is under way, and looks after it"
        try:
            return self.target.remove(record.account, record.region, delivery, snapshot)
        except Refusal as refusal:
            return refusal.fault.what
