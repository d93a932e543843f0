"""Compares records, ledger and AWS, and returns findings, each with its repair. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ami_promoter.hub.records import Record, part
from ami_promoter.reconcile.facts import (
    HubView,
    Place,
    TargetFacts,
)
from ami_promoter.reconcile.repair_data import (
    EndTracked,
    Finding,
    MakeDue,
    Remove,
)
from ami_promoter.reconcile.share_findings import running, share_findings
from chalicelib.core.delivery.model import ENDED, DeliveryState
from chalicelib.core.records import schedule

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
        yield Finding("not-seen", fault.where, f"{fault.what} {fault.cure}".strip())
    for (account, region), target in sorted(view.targets.items()):
        if target.trouble:
            yield Finding("not-seen", f"account {account}, {region}", target.trouble)


# --- records ---------------------------------------------------------------------------------------------------------


def _records(view: HubView) -> Iterator[Finding]:
    moving = {share.resource for share in view.ledger.values() if share.may_be_open and not share.stands}
    for (pk, sk), it in sorted(view.items.items()):
        if sk != "record":
            continue
        item = it["_item"]
        if item.get("parked"):
            what = f"It is parked: {item['parked']}"
            yield Finding(
                "parked", pk, f"{what} After you have repaired the cause, run `ami-promoter reconcile --unpark '{pk}'`."
            )
        elif it.get("unreadable"):
            what = "Its body is damaged. Its worker will park it, or write it again."
            yield Finding("unreadable", pk, what, MakeDue(pk), "")
        elif (pk in moving or _moves(pk, it)) and not ("wake_at" in item and "due_shard" in item):
            what = f"It is {item.get('state')} and in no index: no worker will look at it again."
            yield Finding("due-date-lost", pk, what, MakeDue(pk), "makes it due")
    for pk in sorted(moving):
        if (pk, "record") not in view.items:
            what = "It has an open share, and its record is lost: no worker will look at it again."
            yield Finding("due-date-lost", pk, what, MakeDue(pk), "writes the record again and makes it due")
    for (pk, sk), entry in sorted(view.items.items()):
        if pk.startswith("promotion#") and sk.startswith("delivery#") and entry.get("state") == "running":
            yield from _tracked(view, pk, entry)


def _moves(pk: str, it: Record) -> bool:
    """Whether a promotion or delivery has not ended."""
    kind, state = pk.partition("#")[0], str(it["_item"].get("state"))
    if kind == "delivery":
        return state not in ENDED and not _rests(it, state)
    return kind == "promotion" and state != "over"


def _rests(delivery: Record, state: str) -> bool:
    """Whether it is shared without an end date: nothing is due until an operator or the file withdraws it."""
    return state == DeliveryState.SHARED and not delivery.get("target", {}).get("until")


def _tracked(view: HubView, pk: str, entry: Record) -> Iterator[Finding]:
    promotion, delivery = view.record(pk), view.delivery(str(entry["delivery"]))
    if promotion is None or promotion["_item"].get("state") == "expanding":
        return
    where = f"{pk.removeprefix('promotion#')} to account {entry.get('account')}"
    repair = EndTracked(pk.removeprefix("promotion#"), str(entry["delivery"]))
    if delivery is None:
        what = f"The record of its delivery {entry['delivery']} is lost, and the promotion waits for that delivery."
        yield Finding(
            "delivery-lost", where, what, repair, "marks it failed; then `ami-promoter retry` starts it again"
        )
    elif delivery["_item"].get("state") in ENDED and delivery.get("episode", 0) >= entry.get("episode", 0):
        what = f"Its delivery is {delivery['_item']['state']}, and the promotion's record does not say so."
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
        elif record["_item"].get("state") in ENDED and part(record, "image").get("id") != image.id:
            what = f"The service made it, and its delivery {image.delivery} is {record['_item']['state']} without it."
            yield Finding("image-unknown", where, f"{what} It stays; that account can deregister it.")
    for snapshot in target.snapshots:
        if snapshot.used or running(view, snapshot.delivery) or view.now < snapshot.started_at + YOUNG:
            continue
        record = view.delivery(snapshot.delivery)
        if record is not None and snapshot.id in _known(record):
            continue
        where = f"{snapshot.id} in account {account}, {region}"
        what = f"It is a copy of {snapshot.source} ({snapshot.state}) that no AMI uses and no record contains."
        repair = Remove(account, region, snapshot.id, snapshot.delivery) if snapshot.delivery else None
        yield Finding("copy-orphaned", where, what, repair, "deletes it" if repair else "")


def _known(delivery: Record) -> set[str]:
    """Snapshots in a delivery's record."""
    copies = {copy.get("copy") for copy in delivery.get("copies", ())}
    cleanup = delivery.get("cleanup", {})
    return {str(it) for it in (*copies, *cleanup.get("to_delete", ()), *cleanup.get("leftovers", ())) if it}
