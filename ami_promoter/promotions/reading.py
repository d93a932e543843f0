"""Reads promotions from the hub's tables, for every verb that shows or follows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import OPEN_STATES, Reader, Record, part
from ami_promoter.promotions import promotion_data, shares
from chalicelib.core.delivery import permissions
from chalicelib.core.delivery.model import ENDED, Delivery, snapshots_of
from chalicelib.core.faults import Fault
from chalicelib.core.images.image import SourceImage
from chalicelib.core.records import addresses, codec


def read_page(connection: Connection, ami: str) -> dict[str, Any] | None:
    """Read one AMI's promotion as ``promotion_data.page`` shows it; None if there is none. May raise HubError."""
    reader = Reader(connection)
    with connection.telling("reading the records"):
        record = reader.promotion(ami)
        if record is None:
            return None
        tracked = reader.tracked(ami)
        by_place = {(entry["_item"]["sk"], "record"): entry for entry in tracked}
        read = reader.many(by_place)
        deliveries = [placed(read[place], entry) for place, entry in by_place.items() if place in read]
        source = reader.source_image(ami)
        places = [(resource, f"share#{holder}") for one in deliveries for resource, holder in _places(one, source)]
        found = {place: share for place, share in reader.many(places).items() if share.get("state") in OPEN_STATES}
        held = reader.held(found)
    still = [shares.open_share(place[0], held[place]) for place in sorted(held)]
    return promotion_data.page(record, deliveries, still, connection.now())


def places_of(connection: Connection, ami: str, deliveries: Iterable[str]) -> list[tuple[str, str]]:
    """Return (resource, share_name) of every share that these deliveries of an AMI hold or have held, sorted."""
    reader = Reader(connection)
    found = reader.many((addresses.delivery(one).pk, "record") for one in deliveries)
    source = reader.source_image(ami)
    return sorted({place for record in found.values() for place in _places(record, source)})


def unknown(ami: str, connection: Connection) -> Fault:
    """Return the fault of an AMI without a promotion."""
    what = f"no promotion of it exists in {connection.place}."
    cure = "Tag it in the hub, or wait: the service finds a tag within five minutes, even if its event was lost."
    return Fault("unknown-ami", ami, what, cure)


def placed(delivery: Record, entry: Record) -> Record:
    """Add a delivery's target from its promotion's tracked delivery, if its own record cannot be read."""
    ident = str(entry["_item"]["sk"]).removeprefix("delivery#")
    return {"id": ident, "target": {name: entry.get(name) for name in ("account", "region")}, **delivery}


def _places(delivery: Record, source: SourceImage | None) -> Iterator[tuple[str, str]]:
    return _over(delivery, source) if delivery.get("state") in ENDED else _held(delivery)


def _held(delivery: Record) -> Iterator[tuple[str, str]]:
    """Yield (resource, share_name) of the shares that a delivery holds or has held, without damaged ones."""
    for share in part(delivery, "shares").get("needed", ()):
        if str(share.get("resource")).count("#") >= shares.RESOURCE:
            yield str(share["resource"]), str(share.get("share_name"))


def _over(delivery: Record, source: SourceImage | None) -> Iterator[tuple[str, str]]:
    """Yield (resource, share_name) of the shares that an ended delivery can have held, as it has no list of its own."""
    try:
        over = codec.decode(Delivery, {name: value for name, value in delivery.items() if name != "_item"})
    except ValueError:  # damaged
        return
    snapshots = () if source is None else snapshots_of(source)
    for share in permissions.needed(replace(over, snapshots=snapshots)):
        yield share.resource, share.share_name
