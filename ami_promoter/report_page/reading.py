"""Reads all data of the page in one scan of the table of records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, Record, with_holdings
from ami_promoter.terminal.progress import Progress
from chalicelib.adapters.dynamo.ledger import HOLD, SHARE
from chalicelib.adapters.dynamo.records import history as entries_of
from chalicelib.core.delivery.model import Delivery, snapshots_of
from chalicelib.core.errors import NewerSchema, Unreadable
from chalicelib.core.images.image import SourceImage
from chalicelib.core.promotion.model import Promotion
from chalicelib.core.records import codec
from chalicelib.core.records.schema import VERSION, check
from chalicelib.core.sharing.share import Share

WHICH = (
    "(begins_with(pk, :promotion) AND (sk = :record OR sk = :image OR begins_with(sk, :delivery)))"
    " OR (begins_with(pk, :delivery) AND sk = :record)"
    " OR (begins_with(pk, :resource) AND (begins_with(sk, :share) OR begins_with(sk, :hold)))"
    " OR (begins_with(pk, :resource) AND begins_with(sk, :closed) AND NOT #at < :since)"
    " OR (begins_with(pk, :delivery) AND begins_with(sk, :history) AND NOT #at < :since)"
    " OR (begins_with(sk, :steps) AND NOT #at < :since)"
    " OR (sk = :record AND attribute_exists(parked))"
)
GIVEN: Mapping[str, Any] = {
    ":promotion": "promotion#",
    ":delivery": "delivery#",
    ":resource": "resource#",
    ":record": "record",
    ":image": "image",
    ":share": SHARE,
    ":hold": HOLD,
    ":closed": "closed#",
    ":history": "history#",
    ":steps": "history#share#",
}
PLACE = ("resource", "share_name")
"""Members of a share that are in its item's key, not in its body."""

Step = tuple[int, str]
"""(epoch seconds, state): when a record entered a state, or was written in it again."""


@dataclass(slots=True)
class HubRecords:
    """The records that were read, by kind."""

    promotions: dict[str, Record] = field(default_factory=dict)
    """By source AMI."""
    tracked: dict[str, list[Record]] = field(default_factory=dict)
    """By source AMI: the promotion's tracked deliveries."""
    deliveries: dict[str, Record] = field(default_factory=dict)
    """By id."""
    source_of: dict[str, set[str]] = field(default_factory=dict)
    """Snapshot -> source AMIs that use it."""
    promoted_by: dict[str, set[str]] = field(default_factory=dict)
    """Delivery -> its source AMI."""
    shares: list[Record] = field(default_factory=list)
    """In the ledger."""
    archived: list[Record] = field(default_factory=list)
    delivery_steps: dict[str, list[Step]] = field(default_factory=dict)
    share_steps: dict[tuple[str, str], list[Step]] = field(default_factory=dict)
    """By (partition key, share name)."""
    parked: dict[str, str] = field(default_factory=dict)
    damaged: dict[tuple[str, str], str] = field(default_factory=dict)
    """(pk, sk) -> why it cannot be read."""
    items: int = 0


def read(connection: Connection, since: int, tell: Callable[[str], None]) -> HubRecords:
    """Read the table; history and archive from ``since`` (epoch seconds) on. May raise HubError."""
    progress = Progress(tell, "Items of the table read")
    with connection.telling("reading the records"):
        return sort(Reader(connection).scan(WHICH, {**GIVEN, ":since": since}, progress.at))


def sort(found: Iterable[Record]) -> HubRecords:
    """Sort records by kind, and find those that cannot be read. Pure."""
    records = HubRecords()
    for record in found:
        _sort(records, record, str(record["_item"]["pk"]), str(record["_item"]["sk"]))
        records.items += 1
    records.shares = with_holdings(records.shares)
    for steps in (*records.delivery_steps.values(), *records.share_steps.values()):
        steps.sort(key=lambda step: step[0])  # those of one second stay in the order of their versions
    return records


def _sort(records: HubRecords, record: Record, pk: str, sk: str) -> None:
    kind, _, name = pk.partition("#")
    what, _, rest = sk.partition("#")
    if sk == "record" and "parked" in record["_item"]:
        records.parked[pk] = str(record["_item"]["parked"])
    match kind, what:
        case "promotion", "record":
            records.promotions[name] = record
            _check(records, record, Promotion)
        case "promotion", "delivery":
            records.tracked.setdefault(name, []).append(record)
            records.promoted_by[rest] = {name}
            _check(records, record, None)
        case "promotion", "image":
            _source(records, record, name)
        case "delivery", "record":
            records.deliveries[name] = record
            records.delivery_steps.setdefault(name, []).extend(_steps(record))
            _check(records, record, Delivery)
        case "delivery", "history":
            steps = _steps(record)
            records.delivery_steps.setdefault(name, []).extend(steps)
            if not steps:
                _damaged(records, record, "it has no time or no state")
        case "resource", "share":
            records.shares.append(record)
            _check(records, record, Share)
        case "resource", "hold":
            records.shares.append(record)
        case "resource", "closed":
            records.archived.append(record)
            _check(records, record, Share)
        case "resource", "history":
            holder = rest.partition("#")[2].rsplit("#", 2)[0]
            _step(records, record, records.share_steps.setdefault((pk, holder), []))


def _steps(record: Record) -> list[Step]:
    """Return the steps of a delivery in one of its items, the record itself or one of its history."""
    return [(one["at"], one["state"]) for one in entries_of(record["_item"]) if one["at"] and one["state"]]


def _step(records: HubRecords, record: Record, steps: list[Step]) -> None:
    item = record["_item"]
    at, state = item.get("at"), item.get("state")
    if isinstance(at, int) and isinstance(state, str):
        steps.append((at, state))
    else:
        _damaged(records, record, "it has no time or no state")


def _source(records: HubRecords, record: Record, ami: str) -> None:
    try:
        source = SourceImage.from_json(json.loads(record["_item"]["body"]))
        for snapshot in snapshots_of(source):
            records.source_of.setdefault(snapshot.id, set()).add(ami)
    except (KeyError, TypeError, ValueError) as error:
        _damaged(records, record, f"its members are wrong: {error}")


def _check(records: HubRecords, record: Record, kind: type[Any] | None) -> None:
    """Collect a record that the service could not read; the page still shows what can be read of it."""
    item = record["_item"]
    if record.get("unreadable"):
        _damaged(records, record, "its body is not a JSON object")
        return
    try:
        check("", item.get("schema"), VERSION)
        body = json.loads(item["body"])
        if kind is Share:
            codec.decode(Share, {**body, **dict.fromkeys(PLACE, "")})
        elif kind is not None:
            codec.decode(kind, body)
    except (NewerSchema, Unreadable):
        _damaged(records, record, f"it was written by another version: its schema is {item.get('schema')!r}")
    except (KeyError, TypeError, ValueError) as error:
        _damaged(records, record, f"its members are wrong: {error}")


def _damaged(records: HubRecords, record: Record, why: str) -> None:
    records.damaged[str(record["_item"]["pk"]), str(record["_item"]["sk"])] = why
