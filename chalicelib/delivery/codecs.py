"""The stored forms of deliveries and copy quotas, and the items that are written together with them.

Promotions and inventories have modules of their own, so that a cold start imports only what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.delivery import machine
from chalicelib.delivery.attempts import ImageRegistered
from chalicelib.delivery.copy_quota import CopyQuota
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phase import Command, DeliveryEvent
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Extras, Write
from chalicelib.engine.stored import RecordCodec


class DeliveryCodec(RecordCodec[Delivery, Command, DeliveryEvent]):
    """The stored form of deliveries."""

    kind = Delivery

    def due_at(self, record: Delivery) -> int | None:
        """Return when to look again if no wake arrives."""
        return machine.due_at(record)

    def encode(self, record: Delivery) -> Write:
        """Return it as it is to be stored, with its deadline and what is left in its inbox."""
        return replace(super().encode(record), latest=machine.deadline(record), inbox=record.inbox)

    def about(self, record: Delivery, now: int) -> Mapping[str, object]:
        """Return its AMI and target; its seconds in its state, unless it has ended or may wait in it for weeks."""
        names = {"ami": record.ami, "target_account": record.target.account, "target_region": record.target.region}
        since, phase = record.entered.get(record.state), machine.PHASES.get(record.state)
        rests = phase is None or phase.may_last
        return names if rests or since is None else {**names, "seconds": now - since}

    def intent_items(self, record: Delivery, commands: Sequence[Command]) -> Extras:
        """Return the look-ups for copies' events, which can arrive before the call's answer."""
        place = record.target.account, record.target.region
        return [
            _lookup(record, addresses.copy_lookups(*place, record.read_from(command.source)), source=command.source)
            for command in commands
            if isinstance(command, StartCopy)
        ]

    def result_items(self, record: Delivery, results: Sequence[DeliveryEvent]) -> Extras:
        """Return the look-up for the AMI's state events, which is written with the AMI's id."""
        place = record.target.account, record.target.region
        made = [event.image for event in results if isinstance(event, ImageRegistered)]
        return [_lookup(record, addresses.image_lookups(*place, image)) for image in made]


def _lookup(record: Delivery, partition: str, **more: str) -> tuple[RecordKey, Mapping[str, Any]]:
    return addresses.lookup(partition, record.id), {"kind": "lookup", "delivery": record.id, **more}


DELIVERIES = DeliveryCodec()


def quota_to_store(quota: CopyQuota, due_at: int | None) -> Write:
    """Return a copy quota as it is to be stored. ``due_at``: when its worker looks if no wake arrives; None: never."""
    return Write(quota.key, "full" if quota.full else "open", codec.encode(quota), due_at)
