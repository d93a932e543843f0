"""The stored forms of deliveries and copy quotas, and the items that are written together with them.

Promotions and inventories have modules of their own, so that a cold start imports only what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from chalicelib.core.delivery import commands as delivery_commands
from chalicelib.core.delivery import deadlines
from chalicelib.core.delivery import events as delivery_events
from chalicelib.core.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.core.errors import ParkRecord, Unreadable
from chalicelib.core.images.image import SourceImage
from chalicelib.core.records import addresses, codec
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.targets import copy_quota
from chalicelib.core.targets.copy_quota import CopyQuota
from chalicelib.ports.records import Records, Stored, Write
from chalicelib.service.runner import Codec, Items, R

T = TypeVar("T")


class DeliveryCodec(Codec[Delivery, delivery_commands.Command, delivery_events.Event]):
    """The stored form of deliveries."""

    def decode(self, stored: Stored) -> Delivery:
        """Read a delivery. Raises Unreadable."""
        return replace(read_body(Delivery, stored), inbox=stored.inbox)

    def encode(self, record: Delivery) -> Write:
        """Return it as it is to be stored."""
        return Write(record.key, record.state.value, body(record), record.due_at, deadlines.deadline(record))

    def about(self, record: Delivery, now: int) -> Mapping[str, object]:
        """Return its AMI and target; and its seconds in its state, unless it ended, is shared or awaits an approval."""
        names = {"ami": record.ami, "target_account": record.target.account, "target_region": record.target.region}
        since = record.entered.get(record.state)
        rests = record.state in (*ENDED, DeliveryState.SHARED, DeliveryState.AWAITING_APPROVAL)
        return names if rests or since is None else {**names, "seconds": now - since}

    def intent_items(self, record: Delivery, commands: Sequence[delivery_commands.Command]) -> Items:
        """Return the look-ups for copies' events, which can arrive before the call's answer."""
        target = record.target
        sources = [command.source for command in commands if isinstance(command, delivery_commands.StartCopy)]
        return [
            (
                addresses.lookup(
                    addresses.copy_lookups(target.account, target.region, record.read_from(source)), record.id
                ),
                {"kind": "lookup", "delivery": record.id, "source": source},
            )
            for source in sources
        ]

    def result_items(self, record: Delivery, results: Sequence[delivery_events.Event]) -> Items:
        """Return the look-up for the AMI's state events, which is written with the AMI's id."""
        target = record.target
        return [
            (
                addresses.lookup(addresses.image_lookups(target.account, target.region, event.image), record.id),
                {"kind": "lookup", "delivery": record.id},
            )
            for event in results
            if isinstance(event, delivery_events.ImageRegistered)
        ]


class CopyQuotaCodec:
    """The stored form of copy quotas."""

    def decode(self, stored: Stored) -> CopyQuota:
        """Read a quota. Raises Unreadable."""
        return read_body(CopyQuota, stored)

    def encode(self, quota: CopyQuota) -> Write:
        """Return it as it is to be stored."""
        return Write(quota.key, copy_quota.state(quota), codec.encode(quota), quota.due_at)


DELIVERIES, COPY_QUOTAS = DeliveryCodec(), CopyQuotaCodec()


def peek(records: Records, key: RecordKey, kind: Codec[R, Any, Any]) -> R | None:
    """Read another worker's record; None if it is missing, parked, or cannot be read."""
    try:
        stored = records.read(key)
        return None if stored is None or stored.parked else kind.decode(stored)
    except ParkRecord:
        return None


def peek_all(records: Records, keys: Collection[RecordKey], kind: Codec[R, Any, Any]) -> list[R]:
    """Read records of another worker in few calls, and leave out those for which ``peek`` returns None."""
    found = []
    for stored in records.read_all(keys).values():
        if not stored.parked:
            with suppress(ParkRecord):
                found.append(kind.decode(stored))
    return found


def write_source(records: Records, image: SourceImage) -> str:
    """Write a source as it was examined; return its name, which is the digest of its content.

    So the same content is one item, and nobody can change what a delivery began with.
    """
    text = compact(image.to_json())
    name = addresses.digest(text)
    records.put(addresses.source_image(image.id, name), {"kind": "image", "body": text})
    return name


def source_image(records: Records, ami: str, name: str, whose: RecordKey) -> SourceImage:
    """Read the source as it was when it was examined; by now it may be gone. ``whose``: the record that asks.

    ``name``: as ``write_source`` returned it. Raises Unreadable.
    """
    item, what = records.get(addresses.source_image(ami, name)), f"{whose}: the source image {ami}"
    image = SourceImage.from_json(parsed(item, what))
    if name and item is not None and addresses.digest(str(item["body"])) != name:
        raise Unreadable(f"{what} is not what was examined: it has been changed since.")
    return image


def some_source_image(records: Records, ami: str, whose: RecordKey) -> SourceImage:
    """Read an AMI as it was once examined: which snapshots it has never changes. Raises Unreadable."""
    found = records.list(addresses.promotion(ami).pk, addresses.SOURCE)
    item = found[0][1] if found else None
    return SourceImage.from_json(parsed(item, f"{whose}: the source image {ami}"))


def parsed(item: Mapping[str, Any] | None, what: str) -> Any:
    """Parse the JSON in an item beside a record. Raises Unreadable if the item is missing or damaged."""
    if item is None:
        raise Unreadable(f"{what} is not on record.")
    try:
        return json.loads(item["body"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{what} cannot be read: {error!r:.200}") from None


def compact(value: Any) -> str:
    """Return a JSON value as the text that items hold."""
    return json.dumps(value, separators=(",", ":"))


def read_body(kind: type[T], stored: Stored) -> T:
    """Build a record from its body. Raises Unreadable."""
    try:
        return codec.decode(kind, stored.body, str(stored.key))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def body(record: object) -> dict[str, Any]:
    """Encode a record without its default values: DynamoDB bills each KB, and a record is written ten times or more."""
    values: dict[str, Any] = codec.encode(record, sparse=True)
    values.pop("inbox", None)
    return values
