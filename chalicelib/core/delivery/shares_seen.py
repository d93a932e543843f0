"""How events change a delivery when its shares are held, open or released."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import ending, methods, permissions
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.deadlines import deadline, reopens
from chalicelib.core.delivery.model import CopyState, Delivery, DeliveryState, LastLook
from chalicelib.core.delivery.moves import Handlers, again, begin_again, end, fail, to
from chalicelib.core.records import schedule
from chalicelib.core.sharing import holders
from chalicelib.core.sharing.entitlement import SETTINGS_CHANGED
from chalicelib.core.targets import approvals

BEGINS_AGAIN = (approvals.NOT_APPROVED, SETTINGS_CHANGED)
"""Codes of faults for which only another episode can open its shares."""
ASKED_ANEW = 5 * schedule.MINUTE
"""For this time an opening share may still have the fault of an earlier episode."""


def _on_shares_held(event: ev.SharesHeld, delivery: Delivery, now: int) -> Delivery:
    if event.upto:
        return replace(delivery.with_shares(continue_at=event.upto), next_try=now)
    held = delivery.with_shares(continue_at=0)
    return again(held, now, schedule.step(schedule.POLLS, delivery.tries))


def _on_shares_seen(event: ev.SharesSeen, delivery: Delivery, now: int) -> Delivery:
    """Continue if all are open. This look also decides a passed deadline: they may have opened during an outage."""
    if delivery.state is DeliveryState.COPYING:
        if event.open and reopens(delivery):
            return replace(delivery.with_shares(opened_at=now, wait_for=None), tries=0, next_try=now)
        if event.refused is None or delivery.last_look.failure is not None:
            return delivery
        # One more look follows, because the finished copies are good.
        return replace(delivery, last_look=LastLook(event.refused, now), next_try=now)
    if event.open:
        return _opened(replace(delivery, last_refusal=None), now)
    delivery = delivery.with_shares(wait_for=event.waits_for)
    if event.waits_for is not None and event.waits_for.code in BEGINS_AGAIN and now >= _share_worker_by(delivery):
        return end(
            delivery, DeliveryState.CANCELLED, (event.waits_for,), now
        )  # the next episode asks for another approval, or has the new settings
    last = deadline(delivery)
    if last is not None and now >= last:
        return fail(delivery, now, ending.deadline_fault(delivery))
    return delivery if event.refused is None else fail(delivery, now, event.refused)


def _on_role_renamed(event: ev.RoleRenamed, delivery: Delivery, now: int) -> Delivery:
    """Hold what the new role needs. Before the first copy, what may wait for the former role would never open."""
    after = permissions.renamed(delivery, event.role, now)
    waits = delivery.state is DeliveryState.OPENING and delivery.shares.held
    if waits and after.shares.needed != delivery.shares.needed:
        return begin_again(delivery, now)
    return after


def _share_worker_by(delivery: Delivery) -> int:
    """When the share worker will have asked again; its earlier answer may be about the last episode."""
    return delivery.entered[DeliveryState.OPENING] + ASKED_ANEW


def _opened(delivery: Delivery, now: int) -> Delivery:
    delivery = delivery.with_shares(opened_at=now)
    if delivery.shared:
        return to(delivery, DeliveryState.PUBLISHING, now)
    if delivery.image.adopted and delivery.image.id:
        return to(delivery, DeliveryState.VERIFYING, now)
    copied = delivery.copies and all(copy.state is CopyState.COMPLETED for copy in delivery.copies)
    registers = copied or methods.of(delivery).copies_image
    return to(delivery, DeliveryState.REGISTERING if registers else DeliveryState.COPYING, now)


def _on_shares_released(event: ev.SharesReleased, delivery: Delivery, _now: int) -> Delivery:
    if event.upto:
        return delivery.with_shares(continue_at=event.upto)
    standing = delivery.shares.holds_standing and not event.all
    return delivery.with_shares(continue_at=0, holds_copy=False, holds_standing=standing)


def _on_closing_seen(event: ev.ClosingSeen, delivery: Delivery, now: int) -> Delivery:
    """Say that it was withdrawn only when looks at AWS have missed it; after an hour, say what is still open."""
    last = deadline(delivery)
    if event.open and (last is None or now < last):
        return again(delivery, now, schedule.SILENCE)
    faults = (holders.still_open(delivery.where, event.open),) if event.open else ()
    return replace(
        delivery.with_shares(gone=True), faults=(*delivery.faults, *faults), last_refusal=None, tries=0, next_try=now
    )


HANDLERS: Handlers = {
    ev.RoleRenamed: _on_role_renamed,
    ev.SharesHeld: _on_shares_held,
    ev.SharesSeen: _on_shares_seen,
    ev.SharesReleased: _on_shares_released,
    ev.ClosingSeen: _on_closing_seen,
}
