"""The slots of a copy quota: one item per delivery that copies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.store.table import Table, setting
from chalicelib.engine.stored import fitting

NUMBERS = {
    **{name: name for name in ("episode", "created_at", "wanted", "done", "granted", "limited_at")},
    "until": "lease_until",
}
"""The numbers of a lease, each with the attribute that has it."""


class DynamoSlotLeases:
    """The port ``SlotLeases`` on one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ask(self, quota: RecordKey, request: SlotLease) -> SlotLease:
        """A new episode starts without the slots that were granted to the last one."""
        key = addresses.slot(quota, request.delivery)
        if request.over:
            self._table.delete(
                key,
                "episode <= :episode OR NOT attribute_type(episode, :number)",
                {":episode": request.episode, ":number": "N"},
            )
            return request
        written = {"kind": "slot", **{stored: getattr(request, name) for name, stored in NUMBERS.items()}}
        item = self._table.update(
            key,
            **setting(written, keeping=["granted"]),
            condition="attribute_not_exists(pk) OR episode = :episode",
            returning="ALL_NEW",
        )
        if item is None:
            item = self._table.update(
                key,
                **setting(written, {":number": "N"}),
                condition="episode < :episode OR NOT attribute_type(episode, :number)",
                returning="ALL_NEW",
            )
        return request if item is None else self._lease(item)

    def leases(self, quota: RecordKey) -> Sequence[SlotLease]:
        return [self._lease(item) for item in self._table.query(quota.pk, "slot#")]

    def lease(self, quota: RecordKey, delivery: str) -> SlotLease | None:
        item = self._table.get(addresses.slot(quota, delivery))
        return None if item is None else self._lease(item)

    def grant(self, quota: RecordKey, lease: SlotLease) -> None:
        self._table.update(
            addresses.slot(quota, lease.delivery),
            **setting(
                {"granted": lease.granted, "lease_until": lease.until}, {":episode": lease.episode, ":number": "N"}
            ),
            condition="episode = :episode AND (NOT attribute_type(granted, :number) OR granted <= :granted)",
        )

    def drop(self, quota: RecordKey, lease: SlotLease) -> None:
        self._table.delete(
            addresses.slot(quota, lease.delivery),
            "(episode = :episode OR NOT attribute_type(episode, :number)) "
            "AND (lease_until = :until OR NOT attribute_type(lease_until, :number))",
            {":episode": lease.episode, ":until": lease.until, ":number": "N"},
        )

    def _lease(self, item: dict[str, Any]) -> SlotLease:
        """Read one as far as it can be read; what is damaged counts as nothing until its delivery asks again.

        So it is with an item of a newer form, after a rollback: its numbers are believed until its lease runs out, and
        what they do not tell EC2's refusal does.
        """
        counts = {name: fitting(item, stored, 0) for name, stored in NUMBERS.items()}
        return SlotLease(delivery=str(item["sk"]).removeprefix("slot#"), **counts)
