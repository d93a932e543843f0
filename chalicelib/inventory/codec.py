"""The stored form of inventories."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.engine.ports import Stored, Write
from chalicelib.engine.runner import Codec
from chalicelib.engine.stored import body, read_body
from chalicelib.inventory import machine as inventory
from chalicelib.inventory.machine import Inventory


class InventoryCodec(Codec[Inventory, inventory.Command, inventory.Event]):
    """The stored form of inventories."""

    def decode(self, stored: Stored) -> Inventory:
        """Read an inventory. Raises Unreadable."""
        return replace(read_body(Inventory, stored), inbox=stored.inbox)

    def encode(self, record: Inventory) -> Write:
        """Return it as it is to be stored."""
        return Write(record.key, record.state.value, body(record), record.due_at)


INVENTORIES = InventoryCodec()
