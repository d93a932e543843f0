"""Reads all data of the page in one scan of the table of records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, RecordSeen, record_of, source_of
from ami_promoter.terminal.alike import first_of
from chalicelib.delivery.model import Delivery, snapshots_of
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import codec
from chalicelib.engine.addresses import HOLD, RECORD, SHARE, RecordKey
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.engine.schema import VERSION, check
from chalicelib.engine.store.records import history as entries_of
from chalicelib.promotion.model import Promotion
from chalicelib.release.pointer import Pointer
from chalicelib.sharing.share import Share

WHICH = (
    "(begins_with(pk, :promotion) AND (sk = :record OR begins_with(sk, :image) OR begins_with(sk, :delivery)))"
    " OR (begins_with(pk, :delivery) AND sk = :record)"
    " OR (begins_with(pk, :pointer) AND sk = :record)"
    " OR (begins_with(pk, :resource) AND (begins_with(sk, :share) OR begins_with(sk, :hold)))"
    " OR (begins_with(pk, :resource) AND begins_with(sk, :closed) AND NOT #at < :since)"
    " OR (begins_with(pk, :delivery) AND begins_with(sk, :history) AND NOT #at < :since)"
    " OR (begins_with(sk, :steps) AND NOT #at < :since)"
    " OR (sk = :record AND attribute_exists(parked))"
)
Step = tuple[int, str]
"""(epoch seconds, state): when a record entered a state, or was written in it again."""


@dataclass(slots=True)
class HubRecords:
    """The records that were read, by kind."""

    promotions: dict[str, RecordSeen[Promotion]] = field(default_factory=dict)
    """By source AMI."""
    tracked: dict[str, list[TrackedDelivery]] = field(default_factory=dict)
    """By source AMI: the promotion's tracked deliveries."""
    deliveries: dict[str, RecordSeen[Delivery]] = field(default_factory=dict)
    """By id."""
    pointers: dict[RecordKey, RecordSeen[Pointer]] = field(default_factory=dict)
    source_of: dict[str, set[str]] = field(default_factory=dict)
    """Snapshot -> source AMIs that use it."""
    promoted_by: dict[str, set[str]] = field(default_factory=dict)
    """Delivery -> its source AMI."""
    shares: list[Share] = field(default_factory=list)
    """In the ledger."""
    archived: list[Share] = field(default_factory=list)
    delivery_steps: dict[str, list[Step]] = field(default_factory=dict)
    share_steps: dict[tuple[str, str], list[Step]] = field(default_factory=dict)
    """By (partition key, share name)."""
    parked: dict[str, str] = field(default_factory=dict)
    damaged: dict[tuple[str, str], str] = field(default_factory=dict)
    """(pk, sk) -> why it cannot be read."""
    items: int = 0


def read(connection: Connection, since: int) -> HubRecords:
    """Read the table; history and archive from ``since`` (epoch seconds) on. May raise HubError."""
    reader = Reader(connection)
    return sort(reader.items(WHICH, {":since": since}), reader.shares_in)


def sort(
    found: Iterable[Mapping[str, Any]], shares_in: Callable[[Iterable[Mapping[str, Any]]], list[Share]]
) -> HubRecords:
    """Sort items by kind, and find records that cannot be read. ``shares_in``: reads shares with their holdings."""
    records = HubRecords()
    ledger = []
    for item in found:
        one = record_of(item)
        _sort(records, one, one.key)
        if one.key.kind == "resource" and one.key.sk.startswith((SHARE, HOLD)):
            ledger.append(item)
        records.items += 1
    records.shares = shares_in(ledger)
    for steps in (*records.delivery_steps.values(), *records.share_steps.values()):
        steps.sort(key=lambda step: step[0])  # those of one second stay in the order of their versions
    return records


def _sort(records: HubRecords, one: RecordSeen[Any], key: RecordKey) -> None:
    name, what = key.name, RecordKey(key.sk).kind
    if key.sk == RECORD and one.parked:
        records.parked[key.pk] = one.parked
    match key.kind, what:
        case "promotion", "record":
            records.promotions[name] = one
            _check(records, one)
        case "promotion", "delivery":
            records.tracked.setdefault(name, []).append(one.it)
            records.promoted_by[one.it.delivery] = {name}
            _check(records, one)
        case "promotion", "image":
            _source(records, one)
        case "delivery", "record":
            records.deliveries[name] = one
            records.delivery_steps.setdefault(name, []).extend(_steps(one))
            _check(records, one)
        case "delivery", "history":
            steps = _steps(one)
            records.delivery_steps.setdefault(name, []).extend(steps)
            if not steps:
                _damaged(records, one, "it has no time or no state")
        case "pointer", "record":
            records.pointers[key] = one
            _check(records, one)
        case "resource", "share" | "closed" | "history":
            _share(records, one, what)


def _share(records: HubRecords, one: RecordSeen[Any], what: str) -> None:
    steps = _steps(one)
    if steps:
        records.share_steps.setdefault((one.key.pk, one.key.share_name), []).extend(steps)
    if what == "closed":
        records.archived.append(one.it)
    if what != "history":
        _check(records, one)
    elif not steps:
        _damaged(records, one, "it has no time or no state")


def _steps(one: RecordSeen[Any]) -> list[Step]:
    """Return the steps in an item of a delivery or share: itself, its archive, or one of its history."""
    return [(each["at"], each["state"]) for each in entries_of(one.item) if each["at"] and each["state"]]


def _source(records: HubRecords, one: RecordSeen[Any]) -> None:
    source = source_of(one.item)
    if source is None:
        _damaged(records, one, "it is damaged")
    for snapshot in snapshots_of(source) if source else ():
        records.source_of.setdefault(snapshot.id, set()).add(one.key.name)


def _check(records: HubRecords, one: RecordSeen[Any]) -> None:
    """Collect a record that the service could not read; the page still shows what can be read of it."""
    try:
        check("", one.item.get("schema"), VERSION)
    except (NewerSchema, Unreadable):
        _damaged(records, one, f"it was written by another version: its schema is {one.item.get('schema')!r}")
    else:
        if why := first_of(one.damage) or _unknown(one):
            _damaged(records, one, f"it is damaged: {why}")


def _unknown(one: RecordSeen[Any]) -> str:
    """Return which member no version of this form has: the service parks such a record; "" if there is none."""
    place = {"resource": "", "share_name": ""} if isinstance(one.it, Share) else {}
    try:
        codec.decode(type(one.it), {**json.loads(one.item["body"]), **place})
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _damaged(records: HubRecords, one: RecordSeen[Any], why: str) -> None:
    records.damaged[one.key.pk, one.key.sk] = why
