"""Compares records, ledger and AWS, and returns findings, each with its repair. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from ami_promoter.hub.records import UNSETTLED, RecordSeen, record_named, unpark
from ami_promoter.reconcile.facts import HubView, TargetFacts, may_be_open, stands
from ami_promoter.reconcile.repair_data import EndTracked, Finding, MakeDue, Remove
from ami_promoter.reconcile.share_findings import running, share_findings
from ami_promoter.terminal.alike import first_of
from chalicelib.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine import schedule
from chalicelib.engine.addresses import RECORD, RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.promotion.model import Promotion, PromotionState

YOUNG = 10 * schedule.MINUTE
"""A younger copy may have an intent that was written after this view was read."""


def findings(view: HubView) -> tuple[Finding, ...]:
    """Compare everything; repairs are made in the order of the findings."""
    return (
        *_unseen(view),
        *_records(view),
        *share_findings(view),
        *(one for place, target in sorted(view.targets.items()) for one in _target(view, place, target)),
    )


def _unseen(view: HubView) -> Iterator[Finding]:
    for fault in view.troubles:
        yield Finding("not-seen", fault.where, _said(fault))
    for (account, region), target in sorted(view.targets.items()):
        if target.trouble:
            yield Finding("not-seen", f"account {account}, {region}", _said(target.trouble))


def _said(fault: Fault) -> str:
    return f"{fault.what} {fault.cure}".strip()


# --- records ---------------------------------------------------------------------------------------------------------


def _records(view: HubView) -> Iterator[Finding]:
    moving = {share.resource for share in view.ledger.values() if may_be_open(share) and not stands(share)}
    for key, one in sorted(view.items.items(), key=itemgetter(0)):
        if key.sk != RECORD:
            continue
        pk = key.pk
        if one.parked:
            yield Finding("parked", record_named(pk, one.delivers), f"It is parked: {one.parked} {unpark(pk)}.")
        elif one.damage:
            what = f"It is damaged: {first_of(one.damage)}. Its worker will park it, or write it again."
            yield Finding("unreadable", pk, what, MakeDue(pk), "")
        elif (pk in moving or _moves(one)) and not ("wake_at" in one.item and "due_shard" in one.item):
            what = f"It is {one.state} and in no index: no worker will look at it again."
            yield Finding("due-date-lost", pk, what, MakeDue(pk), "makes it due")
    for pk in sorted(moving):
        if RecordKey(pk) not in view.items:
            what = "It has an open share, and its record is lost: no worker will look at it again."
            yield Finding("due-date-lost", pk, what, MakeDue(pk), "writes the record again and makes it due")
    for key, entry in sorted(view.items.items(), key=itemgetter(0)):
        if isinstance(entry.it, TrackedDelivery) and entry.it.state == RUNNING:
            yield from _tracked(view, key, entry.it)


def _moves(one: RecordSeen[Any]) -> bool:
    """Whether a promotion or delivery has not ended; a delivery that is shared without an end date rests."""
    if isinstance(one.it, Delivery):
        rests = one.state == DeliveryState.SHARED and not one.it.target.until
        return one.state not in ENDED and not rests
    return isinstance(one.it, Promotion) and one.state != PromotionState.OVER


def _tracked(view: HubView, key: RecordKey, entry: TrackedDelivery) -> Iterator[Finding]:
    promotion, delivery = view.items.get(RecordKey(key.pk)), view.delivery(entry.delivery)
    if promotion is None or promotion.state in UNSETTLED:
        return
    where = f"{key.name} to account {entry.account}"
    repair = EndTracked(key.name, entry.delivery)
    if delivery is None:
        what = f"The record of its delivery {entry.delivery} is lost, and the promotion waits for that delivery."
        does = "marks it failed; then `ami-promoter retry` starts it again"
        yield Finding("delivery-lost", where, what, repair, does)
    elif delivery.state in ENDED and delivery.it.episode >= entry.episode:
        what = f"Its delivery is {delivery.state}, and the promotion's record does not say so."
        yield Finding("end-not-reported", where, what, repair, "records the end in the promotion")


# --- targets ---------------------------------------------------------------------------------------------------------


def _target(view: HubView, place: Place, target: TargetFacts) -> Iterator[Finding]:
    account, region = place
    for image in target.images:
        record = view.delivery(image.delivery)
        where = f"{image.id} in account {account}, {region}"
        if record is None:
            what = f"The service made it from {image.source} (delivery {image.delivery}), but no record contains it."
            yield Finding("image-unknown", where, f"{what} It belongs to that account, and stays.", wrong=False)
        elif record.state in ENDED and record.it.image.id != image.id:
            what = f"The service made it, and its delivery {image.delivery} is {record.state} without it."
            yield Finding("image-unknown", where, f"{what} It stays; that account can deregister it.")
    for snapshot in target.snapshots:
        if snapshot.used or running(view, snapshot.delivery) or view.now < snapshot.started_at + YOUNG:
            continue
        record = view.delivery(snapshot.delivery)
        if record is not None and snapshot.id in _known(record.it):
            continue
        where = f"{snapshot.id} in account {account}, {region}"
        what = f"It is a copy of {snapshot.source} ({snapshot.state}) that no AMI uses and no record contains."
        repair = Remove(account, region, snapshot.id, snapshot.delivery) if snapshot.delivery else None
        yield Finding("copy-orphaned", where, what, repair, "deletes it" if repair else "")

    for one in target.instances:
        record = view.delivery(one.delivery)
        tokens = {attempt.nonce for attempt in record.it.launch.attempts} if record else set()
        if record is not None and record.state not in ENDED and one.token in {"", *tokens}:
            continue
        what = f"It is {one.state}, and no delivery under way has it for its launch test."
        cure = "Terminate it, or delete the volume, with that account's credentials: the hub ends only what it knows."
        yield Finding("instance-stray", f"{one.id} in account {account}, {region}", f"{what} {cure}")


def _known(delivery: Delivery) -> set[str | None]:
    """Snapshots in a delivery's record."""
    return {*(copy.id for copy in delivery.copies), *delivery.cleanup.to_delete, *delivery.cleanup.leftovers}
