"""The stored form of inventories."""

from __future__ import annotations

from chalicelib.engine.stored import RecordCodec
from chalicelib.inventory import machine as inventory
from chalicelib.inventory.machine import Inventory


class InventoryCodec(RecordCodec[Inventory, inventory.Command, inventory.Event]):
    """The stored form of inventories."""

    kind = Inventory


INVENTORIES = InventoryCodec()
