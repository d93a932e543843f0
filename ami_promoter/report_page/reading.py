"""Reads all data of the page in one scan of the table of records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, RecordSeen, record_of, source_of
from ami_promoter.terminal.alike import first_of
from chalicelib.delivery.model import Delivery, snapshots_of
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import codec
from chalicelib.engine.addresses import RECORD, RecordKey
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.engine.schema import FORMS
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
SHOWN = (Promotion, TrackedDelivery, Delivery, Pointer, Share)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class HubRecords:
    """The records that were read, by kind."""

    promotions: Mapping[str, RecordSeen[Promotion]]
    """By source AMI."""
    tracked: Mapping[str, list[TrackedDelivery]]
    """By source AMI: the promotion's tracked deliveries."""
    deliveries: Mapping[str, RecordSeen[Delivery]]
    """By id."""
    pointers: Mapping[RecordKey, RecordSeen[Pointer]]
    source_of: Mapping[str, list[str]]
    """Snapshot -> source AMIs that use it."""
    promoted_by: Mapping[str, list[str]]
    """Delivery -> its source AMI."""
    shares: list[Share]
    """In the ledger."""
    archived: list[Share]
    delivery_steps: Mapping[str, list[Step]]
    share_steps: Mapping[tuple[str, str], list[Step]]
    """By (partition key, share name)."""
    parked: Mapping[str, str]
    damaged: Mapping[RecordKey, str]
    """Why an item cannot be read completely; the page still shows what can be read of it."""
    items: int


def read(connection: Connection, since: int) -> HubRecords:
    """Read the table; history and archive from ``since`` (epoch seconds) on. May raise HubError."""
    reader = Reader(connection)
    return sort(reader.items(WHICH, {":since": since}), reader.shares_in)


def sort(
    found: Iterable[Mapping[str, Any]], shares_in: Callable[[Iterable[Mapping[str, Any]]], list[Share]]
) -> HubRecords:
    """Sort items by kind, and find records that cannot be read. ``shares_in``: reads shares with their holdings."""
    of_kind = defaultdict[tuple[str, str], list[RecordSeen[Any]]](list)
    for one in map(record_of, found):
        of_kind[one.key.kind, _kind(one)].append(one)
    every = [one for some in of_kind.values() for one in some]
    tracked, deliveries = of_kind["promotion", "delivery"], of_kind["delivery", "record"]
    archived, ledger = of_kind["resource", "closed"], of_kind["resource", "share"]
    of_deliveries = (*of_kind["delivery", "history"], *deliveries)
    of_shares = (*archived, *of_kind["resource", "history"], *ledger)
    return HubRecords(
        promotions={one.key.name: one for one in of_kind["promotion", "record"]},
        tracked=_gathered((one.key.name, one.it) for one in tracked),
        deliveries={one.key.name: one for one in deliveries},
        pointers={one.key: one for one in of_kind["pointer", "record"]},
        source_of=_gathered(
            (snapshot.id, one.key.name)
            for one in of_kind["promotion", "image"]
            if (source := source_of(one.item))
            for snapshot in snapshots_of(source)
        ),
        promoted_by={one.it.delivery: [one.key.name] for one in tracked},
        shares=shares_in(one.item for one in (*ledger, *of_kind["resource", "hold"])),
        archived=[one.it for one in archived],
        delivery_steps=_in_turn((one.key.name, step) for one in of_deliveries for step in _steps(one)),
        share_steps=_in_turn(((one.key.pk, one.key.share_name), step) for one in of_shares for step in _steps(one)),
        parked={one.key.pk: one.parked for one in every if one.key.sk == RECORD and one.parked},
        damaged={one.key: why for one in every if (why := _damage(one))},
        items=len(every),
    )


def _kind(one: RecordSeen[Any]) -> str:
    """Return of which kind an item is in its partition: the beginning of its sort key."""
    return RecordKey(one.key.sk).kind


def _gathered(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _in_turn(pairs: Iterable[tuple[K, Step]]) -> dict[K, list[Step]]:
    """Gather steps by time; those of one second stay in the order of their versions."""
    return {key: sorted(steps, key=lambda step: step[0]) for key, steps in _gathered(pairs).items()}


def _steps(one: RecordSeen[Any]) -> list[Step]:
    """Return the steps in an item of a delivery or share: itself, its archive, or one of its history."""
    return [(each["at"], each["state"]) for each in entries_of(one.item) if each["at"] and each["state"]]


def _damage(one: RecordSeen[Any]) -> str:
    """Return why the service could not read an item; "": it could, or the page does not show it."""
    if _kind(one) == "image":
        return "" if source_of(one.item) else "it is damaged"
    if _kind(one) == "history":
        return "" if _steps(one) else "it has no time or no state"
    if not isinstance(one.it, SHOWN):
        return ""
    place, unfit = {"resource": "", "share_name": ""} if isinstance(one.it, Share) else {}, ""
    try:
        codec.decode(type(one.it), {**codec.parsed_json(FORMS.text("", one.item)), **place})
    except (NewerSchema, Unreadable):
        return f"it was written by another version: its schema is {one.item.get('schema')!r}"
    except (KeyError, TypeError, ValueError) as error:  # or it has a member that its form does not have
        unfit = str(error)
    why = first_of(one.damage) or unfit
    return f"it is damaged: {why}" if why else ""
