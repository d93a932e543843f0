"""How a refusal changes a delivery: it waits and tries again, or it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods, own_image
from chalicelib.core.delivery.deadlines import late, reopens
from chalicelib.core.delivery.ending import delete_refused, left_behind
from chalicelib.core.delivery.methods import forget
from chalicelib.core.delivery.model import CopyState, Delivery, DeliveryState, LastLook
from chalicelib.core.delivery.moves import Handlers, again, each_copy, fail, to
from chalicelib.core.errors import RefusalKind
from chalicelib.core.records import schedule

LOOKS = tuple(step.__name__ for step in (do.FindCopies, do.LookAtCopies, do.FindImage, do.VerifyImage))
"""Commands that only read in the target."""


def _on_refused(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    if event.source is not None:
        return _copy_refused(event, delivery, now)
    if event.step == do.DeleteSnapshots.__name__ and event.kind is RefusalKind.DENIED:
        left = (*delivery.cleanup.leftovers, *delivery.cleanup.to_delete)
        return delivery.with_cleanup(leftovers=left, to_delete=())
    if event.step == do.ProtectImage.__name__ and delivery.state is DeliveryState.PUBLISHING:
        return own_image.not_protected(event, delivery, now)
    if event.step == do.RegisterImage.__name__ and not event.unknown:
        if _is_old(delivery, event):
            return delivery
        delivery = methods.of(delivery).denied(delivery, event.nonce)
    if delivery.last_look.since and event.step == do.FindLeftovers.__name__ and delivery.state is DeliveryState.TIDYING:
        return left_behind(replace(delivery, last_refusal=event.fault), now)
    if event.step == do.NotifyOutcome.__name__ and delivery.last_look.failure is None and late(delivery, now):
        delivery = replace(delivery, last_look=LastLook(event.fault, now))
    if event.kind is RefusalKind.ROLE and delivery.state is DeliveryState.REQUESTED:
        return to(delivery, DeliveryState.CHECKING, now, last_refusal=event.fault)
    if (
        event.kind is RefusalKind.ROLE
        and delivery.last_look.failure is not None
        and delivery.state is DeliveryState.CHECKING
    ):
        return fail(delivery, now, delivery.last_look.failure)
    stops = delivery.state is DeliveryState.STOPPING and event.step == do.FindLeftovers.__name__
    if stops and event.kind is not RefusalKind.THROTTLED:
        delivery = delete_refused(delivery)
    steps = _waits(event, delivery, now)
    if steps:
        return again(delivery, now, schedule.step(steps, delivery.tries), last_refusal=event.fault)
    pending = () if delivery.last_look.failure is None else (delivery.last_look.failure,)
    return fail(delivery, now, *pending, event.fault)


_ONLY_WAITS = frozenset(
    {DeliveryState.AWAITING_APPROVAL, DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.PUBLISHING}
)
"""States that end by their deadline, not by a refusal."""


def _waits(event: ev.Refused, delivery: Delivery, now: int) -> Sequence[int]:
    """Return the waits before the command is tried again; none if the refusal ends the delivery."""
    if delivery.state in _ONLY_WAITS or event.kind is RefusalKind.THROTTLED:
        return schedule.RETRIES
    if event.kind is RefusalKind.ROLE or (delivery.last_look.failure is not None and event.step in LOOKS):
        return schedule.POLLS
    if delivery.last_look.failure is not None:
        return ()
    if event.kind is RefusalKind.LIMIT:
        return schedule.POLLS
    method = methods.of(delivery) if event.step == do.RegisterImage.__name__ else methods.BY_SNAPSHOTS
    if event.kind is RefusalKind.NOT_YET and method.may_come_true(delivery, event, now):
        return schedule.NOT_YET
    return ()


def _is_old(delivery: Delivery, event: ev.Refused) -> bool:
    """Whether an answer belongs to an earlier attempt: a later one was intended and may have taken effect."""
    last = delivery.attempt(event.source or "")
    return bool(event.nonce) and last is not None and last.nonce != event.nonce


def _copy_refused(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    """Handle a refusal of CopySnapshot. If its effect is unknown, the intent stays until a look."""
    copy = next((c for c in delivery.copies if c.source == event.source and c.state is CopyState.INTENDED), None)
    if copy is None or delivery.state is not DeliveryState.COPYING or _is_old(delivery, event):
        return delivery  # ignore it: another worker has changed the record since
    if event.unknown:
        return replace(delivery, last_refusal=event.fault)
    delivery = forget(delivery, event.nonce)
    early = reopens(delivery) or now - (delivery.shares.opened_at or 0) <= schedule.NOT_YET_FOR
    waits = {
        RefusalKind.THROTTLED: schedule.step(schedule.RETRIES, copy.tries - 1),
        RefusalKind.LIMIT: schedule.MINUTE,
        RefusalKind.ROLE: schedule.step(schedule.POLLS, copy.tries - 1),
    }
    if event.kind is RefusalKind.NOT_YET and early:
        waits[RefusalKind.NOT_YET] = schedule.step(schedule.RETRIES, copy.tries - 1)
    if event.kind not in waits:
        return fail(
            each_copy(delivery, lambda c: replace(c, state=CopyState.WANTED) if c is copy else c), now, event.fault
        )
    waiting = replace(copy, state=CopyState.WANTED, not_before=now + waits[event.kind])
    delivery = each_copy(delivery, lambda c: waiting if c is copy else c)
    limited = now if event.kind is RefusalKind.LIMIT else delivery.slots.limited_at
    return replace(delivery.with_slots(limited_at=limited), last_refusal=event.fault)


HANDLERS: Handlers = {ev.Refused: _on_refused}
