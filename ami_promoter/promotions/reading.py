"""Reads promotions from the hub's tables, for every verb that shows or follows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ami_promoter.hub import recalls, shares
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.hub_images import copy_of
from ami_promoter.hub.records import Reader, RecordSeen
from ami_promoter.hub.withdrawals import Withdrawn
from ami_promoter.promotions import pointers, promotion_data, waves
from ami_promoter.terminal.alike import first_of, meant
from ami_promoter.terminal.report import NotDone
from chalicelib.delivery import permissions
from chalicelib.delivery.model import ENDED, Delivery, snapshots_of
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.images.image import SourceImage
from chalicelib.promotion.wanted import wanted_targets, withdrawn_by
from chalicelib.promotion.wave_counts import counted
from chalicelib.sharing.share import OPEN_STATES
from chalicelib.targets.applied_file import Target


def read_page(connection: Connection, ami: str, *, consoles: bool = False) -> dict[str, Any] | None:
    """Read one AMI's promotion as ``promotion_data.page`` shows it; None if there is none. May raise HubError.

    ``consoles``: with the console output of launch tests that failed, which may hold secrets.
    """
    reader = Reader(connection)
    record = reader.promotion(ami)
    if record is None:
        return None
    tracked = {entry.it.delivery: entry.it for entry in reader.tracked(ami)}
    read = reader.deliveries(tracked)
    deliveries = [placed(read[one], entry) for one, entry in tracked.items() if one in read]
    source = reader.source_image(ami)
    found = reader.shares(place for one in deliveries for place in _places(one, source))
    named = reader.many(filter(None, map(pointers.key_of, deliveries)))
    still = [
        shares.open_share(share, connection.region) for _, share in sorted(found.items()) if share.state in OPEN_STATES
    ]
    withdrawals = Withdrawn(connection, ami).read()
    now, in_waves = connection.now(), list[dict[str, Any]]()
    if record.it.waves:
        states, file = {one.it.id: one.state for one in deliveries}, applied_file(connection)
        wanted = wanted_targets(record.it, record.it.value, file, withdrawals)
        in_waves = waves.of_promotion(record.it, file.waves, counted(wanted, tracked.values()), states, now)
    recall = recalls.stored(connection, ami)
    withdrawn = withdrawn_by(record.it, withdrawals, record.it.value)
    page = promotion_data.page(record, deliveries, still, now, named, recall, consoles=consoles)
    return {**page, "withdrawn": withdrawn, "waves": in_waves}


def places_of(connection: Connection, tracked: Sequence[RecordSeen[TrackedDelivery]]) -> set[tuple[str, str]]:
    """Return (resource, share_name) of every share that these deliveries of one AMI hold or have held."""
    reader = Reader(connection)
    found = reader.deliveries(one.it.delivery for one in tracked)
    source = reader.source_image(tracked[0].key.name)
    return {place for record in found.values() for place in _places(record, source)}


def unknown(ami: str, connection: Connection) -> Fault:
    """Return the fault of an AMI without a promotion."""
    what = f"no promotion of it exists in {connection.place}."
    cure = (
        f"Check the id; then tag the AMI in the hub by `ami-promoter promote {ami} VALUE`, or wait: the service finds "
        "a tag within five minutes, even if its event was lost."
    )
    return copy_of(connection, ami) or Fault("unknown-ami", ami, what, cure)


def no_delivery(ami: str, places: Sequence[str]) -> NotDone:
    """Return what to raise if an operator names targets to which an AMI has no delivery."""
    place = ", ".join(places) or "any account"
    return NotDone(
        Fault("no-delivery", ami, f"it has no delivery to {place}.", f"`ami-promoter status {ami}` lists them.")
    )


def unknown_family(connection: Connection, family: str) -> NotDone:
    """Return what to raise if no parameter is of a family."""
    known = sorted({one.it.family for one in Reader(connection).pointers()} - {""})
    what = f"no parameter in a target names an AMI of it, as {connection.place} knows."
    asks = f"{asked} " if (asked := meant(family, known)) else ""
    cure = f"{asks}Known: {first_of(known, 10)}."
    if not known:
        cure = "`ami-promoter status AMI` shows an AMI's family; the targets file sets `ssm_parameter`."
    return NotDone(Fault("unknown-family", family, what, cure))


def placed(delivery: RecordSeen[Delivery], entry: TrackedDelivery) -> RecordSeen[Delivery]:
    """Add a delivery's target from its promotion's tracked delivery, if its own record cannot be read."""
    if delivery.it.target.account:
        return delivery
    return replace(delivery, it=replace(delivery.it, target=Target(entry.account, entry.region)))


def _places(delivery: RecordSeen[Delivery], source: SourceImage | None) -> Iterator[tuple[str, str]]:
    """Yield (resource, share_name) of the shares that a delivery holds or has held, without damaged ones.

    An ended delivery has no list of its own: it is computed.
    """
    needed = delivery.it.holdings.needed
    if delivery.state in ENDED and not delivery.damage:
        snapshots = () if source is None else snapshots_of(source)
        needed = permissions.needed(replace(delivery.it, snapshots=snapshots))
    yield from ((share.resource, share.share_name) for share in needed if Resource.parse(share.resource).kind)
