"""How events change a delivery before any share is opened: approval, the target's checks, copy slots."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import copying, methods, permissions, proof
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.deadlines import QUEUE_LOOK, deadline
from chalicelib.core.delivery.machine import QUEUEING
from chalicelib.core.delivery.model import Copy, CopyState, Delivery, DeliveryState, LastLook
from chalicelib.core.delivery.moves import Handlers, again, begin_again, fail, to
from chalicelib.core.delivery.slot_use import begun, slots_text
from chalicelib.core.faults import Fault
from chalicelib.core.records import schedule
from chalicelib.core.sharing.entitlement import SOURCE_GONE


def _on_approval_seen(event: ev.ApprovalSeen, delivery: Delivery, now: int) -> Delivery:
    """Continue if it is approved. A delivery keeps the settings of its start; other settings need a new delivery."""
    if event.changed:
        return begin_again(delivery, now)
    if event.by:
        return to(delivery, DeliveryState.REQUESTED, now, approved_by=event.by, source=event.source or delivery.source)
    if delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if now < delivery.next_try:  # an early look does not count as a try
        return delivery
    gone = _gone(delivery) if event.gone else None
    if gone is not None and delivery.last_refusal == gone:  # the previous look did not show it either
        return fail(delivery, now, gone)
    return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), last_refusal=gone)


def _gone(delivery: Delivery) -> Fault:
    what = f"{delivery.ami} was deregistered, or no longer belongs to the hub; no approver had approved it."
    return Fault("source-gone", delivery.where, what, "Nothing was opened. Tag another AMI.")


def _on_target_ready(event: ev.TargetReady, delivery: Delivery, now: int) -> Delivery:
    delivery = replace(delivery, key_arn=event.key_arn, last_refusal=None)
    delivery = delivery.with_shares(needed=permissions.needed(delivery))
    found = proof.copies(delivery, event.copies)
    delivery = copying.with_unproven(delivery, found)
    delivery = proof.answered(delivery, event.nonce, "", event.image or "")
    copies_image = methods.of(delivery).copies_image
    standing = tuple(share for share in delivery.shares.needed if share.standing)
    if event.image and not (
        copies_image and event.unfinished
    ):  # the AMI exists already: nothing is copied, and its snapshots stay
        accepted = event.image == delivery.accepted  # keeps its snapshots, although no nonce proves them
        there = delivery.with_image(id=event.image, adopted=True).with_shares(needed=standing)
        there = there.with_cleanup(unproven=()) if accepted else there
        return to(there, DeliveryState.OPENING if standing else DeliveryState.VERIFYING, now)
    if copies_image and event.image:  # CopyImage still runs: it needs its shares and its snapshots
        return to(delivery, DeliveryState.OPENING, now)
    if delivery.shared or copies_image:
        return to(delivery.with_deletions(seen.copy for seen in found.own), DeliveryState.OPENING, now)
    wanted = replace(delivery, copies=tuple(Copy(snapshot.id, found_at=now) for snapshot in delivery.snapshots))
    wanted = copying.match(wanted, tuple(s for s in found.own if s.key_arn == event.key_arn), now)
    wrong = tuple(s.copy for s in found.own if s.key_arn != event.key_arn)
    wanted = wanted.with_deletions(wrong)  # copies under an earlier key
    if all(copy.state is CopyState.COMPLETED for copy in wanted.copies):
        there = wanted.with_shares(needed=standing)
        return to(there, DeliveryState.OPENING if standing else DeliveryState.REGISTERING, now)
    return to(wanted, DeliveryState.WAITING, now)


def _on_hub_copy_seen(event: ev.HubCopySeen, delivery: Delivery, now: int) -> Delivery:
    delivery = _not_overdue(event, delivery, now)
    if not event.copies and (timed_out := _queued_out(delivery, now)):
        return fail(delivery, now, timed_out)
    if not event.copies:
        if now < delivery.next_try:  # an early look does not count as a try
            return delivery
        return again(delivery, now, _until_queued_out(delivery, now, schedule.step(schedule.POLLS, delivery.tries)))
    hub_copy = replace(delivery.hub_copy, snapshots=dict(event.copies), key_arn=event.key_arn)
    return replace(delivery, hub_copy=hub_copy, tries=0, next_try=now)


def _not_overdue(event: ev.HubCopySeen, delivery: Delivery, now: int) -> Delivery:
    """Start the deadline when the hub's own copy starts, which may have waited a month for its approval."""
    requested = DeliveryState.REQUESTED
    began = now if event.waits else event.began
    if delivery.last_look.failure is None or began <= delivery.entered.get(requested, delivery.created_at):
        return delivery
    entered = {**delivery.entered, requested: began}
    fresh = replace(delivery, entered=entered, last_look=LastLook())
    return fresh if (deadline(fresh) or 0) > now else delivery


def _on_target_unfit(event: ev.TargetUnfit, delivery: Delivery, now: int) -> Delivery:
    return fail(delivery, now, *event.faults)


def _on_waiting_notified(_event: ev.WaitingNotified, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery, waiting_notified=True, next_try=now + schedule.step(schedule.POLLS, delivery.tries))


def _on_slots_asked(event: ev.SlotsAsked, delivery: Delivery, now: int) -> Delivery:
    # Ask twice, a minute apart: the sweep may have woken the quota for an earlier request together with this delivery.
    wait = _until_queued_out(delivery, now, schedule.step(schedule.POLLS, max(delivery.slots.asks - 1, 0)))
    reported = slots_text(delivery, event.wanted, event.done, event.limited_at)
    asked = delivery.with_slots(asked=reported, asks=delivery.slots.asks + 1, next_ask=now + wait)
    if delivery.state is DeliveryState.WAITING:
        if event.gone is not None and event.gone == delivery.last_refusal:  # the previous look did not show it either
            return fail(asked, now, event.gone)
        asked = _first_look(event.gone, asked, now)
    return _with_slots(asked, event.granted, event.until, now)


def _first_look(gone: Fault | None, delivery: Delivery, now: int) -> Delivery:
    """Remember that a look did not show the source, and look again soon; or forget it, as a look shows it."""
    if gone is not None:
        next_ask = min(delivery.slots.next_ask, now + schedule.SECOND_LOOK_AFTER)
        return replace(delivery.with_slots(next_ask=next_ask), last_refusal=gone)
    was_gone = delivery.last_refusal is not None and delivery.last_refusal.code == SOURCE_GONE
    return replace(delivery, last_refusal=None) if was_gone else delivery


def _on_slots_seen(event: ev.SlotsSeen, delivery: Delivery, now: int) -> Delivery:
    return _with_slots(delivery, event.granted, event.until, now)


def _on_others_wait(event: ev.OthersWait, delivery: Delivery, _now: int) -> Delivery:
    return delivery.with_slots(others_wait=event.waits)


def _with_slots(delivery: Delivery, granted: int, until: int, now: int) -> Delivery:
    """Continue with the granted slots; running copies of an earlier try need no further slot."""
    leased = delivery.with_slots(granted=granted, until=until)
    wanting = any(copy.state is CopyState.WANTED for copy in delivery.copies)
    lacks = wanting and granted <= begun(delivery)
    if delivery.state is DeliveryState.WAITING and lacks and (timed_out := _queued_out(delivery, now)):
        return fail(leased, now, timed_out)
    if delivery.state is not DeliveryState.WAITING or lacks:
        return leased
    return to(leased.with_slots(asks=0, next_ask=now), DeliveryState.OPENING, now)


def _queued_out(delivery: Delivery, now: int) -> Fault | None:
    """Return the fault of a queue deadline, once the looks after the deadline have ended."""
    return delivery.last_look.failure if now >= delivery.last_look.since + QUEUE_LOOK else None


def _until_queued_out(delivery: Delivery, now: int, wait: int) -> int:
    """Return a wait in seconds that ends at the latest with the looks after a queue deadline."""
    queued_out = delivery.last_look.failure is not None and delivery.state in QUEUEING
    return min(wait, max(delivery.last_look.since + QUEUE_LOOK - now, 0)) if queued_out else wait


HANDLERS: Handlers = {
    ev.ApprovalSeen: _on_approval_seen,
    ev.TargetReady: _on_target_ready,
    ev.HubCopySeen: _on_hub_copy_seen,
    ev.TargetUnfit: _on_target_unfit,
    ev.WaitingNotified: _on_waiting_notified,
    ev.SlotsAsked: _on_slots_asked,
    ev.SlotsSeen: _on_slots_seen,
    ev.OthersWait: _on_others_wait,
}
