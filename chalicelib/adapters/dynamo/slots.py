"""A destination's slot book: one item per delivery that copies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.adapters.dynamo.table import Table
from chalicelib.core import addresses
from chalicelib.core.addresses import Key
from chalicelib.core.destination import Slots
from chalicelib.core.schema import CURRENT, Forms


class DynamoSlotBook:
    """The port ``SlotBook`` on one table. ``forms``: in which form items are written and read."""

    def __init__(self, table: Table, forms: Forms = CURRENT) -> None:
        self._table = table
        self._forms = forms

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
            ":schema": self._forms.version,
        }
        common = (
            "kind = :kind, #schema = :schema, episode = :episode, created_at = :created, "
            "wanted = :wanted, done = :done, limited_at = :limited"
        )
        same = self._table.update(
            key,
            f"SET {common}, granted = if_not_exists(granted, :zero), told = if_not_exists(told, :zero)",
            given,
            names={"#schema": "schema"},
            condition="attribute_not_exists(pk) OR episode = :episode",
        )
        if same is None:
            self._table.update(
                key,
                f"SET {common}, granted = :zero, told = :zero",
                {**given, ":number": "N"},
                names={"#schema": "schema"},
                condition="episode < :episode OR NOT attribute_type(episode, :number)",
            )

    def asked(self, destination: Key) -> Sequence[Slots]:
        """See the port."""
        return [self._slots(item) for item in self._table.query(destination.pk, "slot#")]

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

    def _slots(self, item: dict[str, Any]) -> Slots:
        """Read one; raises what parks the destination where it is of a form that this version does not read.

        What is damaged counts as nothing until its delivery asks again: others wait for slots, too.
        """
        given = self._forms.body("slots", f"{item['pk']} {item['sk']}", item.get("schema", 1), item)
        names = ("episode", "created_at", "wanted", "done", "granted", "told", "limited_at")
        counts = {name: given[name] if isinstance(given.get(name), int) else 0 for name in names}
        return Slots(delivery=str(item["sk"]).removeprefix("slot#"), **counts)
