"""A destination's slot book: one item per delivery that copies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses
from chalicelib.core.addresses import Key
from chalicelib.core.destination import Slots


class DynamoSlotBook:
    """The port ``SlotBook`` on one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ask(self, destination: Key, slots: Slots) -> None:
        """See the port. A new episode starts afresh: what the last one was granted is over."""
        key = addresses.slot(destination, slots.delivery)
        given = {
            ":episode": slots.episode,
            ":created": slots.created_at,
            ":wanted": slots.wanted,
            ":done": slots.done,
            ":limited": slots.limited_at,
            ":zero": 0,
            ":kind": "slots",
        }
        common = (
            "kind = :kind, episode = :episode, created_at = :created, "
            "wanted = :wanted, done = :done, limited_at = :limited"
        )
        same = self._table.update(
            key,
            f"SET {common}, granted = if_not_exists(granted, :zero), told = if_not_exists(told, :zero)",
            given,
            condition="attribute_not_exists(pk) OR episode = :episode",
        )
        if same is None:
            self._table.update(
                key,
                f"SET {common}, granted = :zero, told = :zero",
                {**given, ":number": "N"},
                condition="episode < :episode OR NOT attribute_type(episode, :number)",
            )

    def asked(self, destination: Key) -> Sequence[Slots]:
        """See the port."""
        return [_slots(item) for item in self._table.query(destination.pk, "slot#")]

    def grant(self, destination: Key, slots: Slots, *, told: bool) -> None:
        """See the port."""
        name = "told" if told else "granted"
        self._table.update(
            addresses.slot(destination, slots.delivery),
            f"SET {name} = :total",
            {":total": slots.granted, ":episode": slots.episode},
            condition="episode = :episode",
        )

    def drop(self, destination: Key, slots: Slots) -> None:
        """See the port."""
        self._table.delete(
            addresses.slot(destination, slots.delivery),
            "episode = :episode AND done >= wanted",
            {":episode": slots.episode},
        )


def _slots(item: dict[str, Any]) -> Slots:
    """Read one item. What is damaged counts as nothing until its delivery asks again: others wait for slots, too."""
    names = ("episode", "created_at", "wanted", "done", "granted", "told", "limited_at")
    counts = {name: item[name] if isinstance(item.get(name), int) else 0 for name in names}
    return Slots(delivery=str(item["sk"]).removeprefix("slot#"), **counts)
