"""How cancellations, deadlines and reads of leftovers change a delivery, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chalicelib.core.delivery import copying, methods, proof
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.machine import QUEUEING, WORKING
from chalicelib.core.delivery.model import CopyState, Delivery, DeliveryState, LastLook
from chalicelib.core.delivery.moves import Handlers, again, each_copy, end, fail, to
from chalicelib.core.faults import Fault
from chalicelib.core.records import schedule

MOST_REFUSALS = 2
"""After this many refused deletions, the shares of a stopping delivery close anyway (invariant 1)."""


def _on_cancel_asked(event: ev.CancelAsked, delivery: Delivery, now: int) -> Delivery:
    delivery = replace(delivery, sharing=replace(delivery.sharing, expired=event.expired))
    return end(
        delivery,
        DeliveryState.WITHDRAWN if delivery.state is DeliveryState.SHARED else DeliveryState.CANCELLED,
        (),
        now,
    )


def _on_deadline_passed(_event: ev.DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    if delivery.state is DeliveryState.STOPPING:
        return to(delivery.with_cleanup(leftovers=tuple(_may_be_left(delivery))), DeliveryState.TIDYING, now)
    if delivery.state is DeliveryState.TIDYING:
        if delivery.last_look.since:
            return left_behind(delivery, now).with_cleanup(leftovers=tuple(_may_be_left(delivery)))
        return replace(delivery, last_look=LastLook(since=now), next_try=now)
    if delivery.last_look.failure is not None:  # no look has succeeded since
        why = () if delivery.last_refusal is None else (delivery.last_refusal,)
        left = delivery.with_cleanup(done=True, leftovers=tuple(_may_be_left(delivery)))
        faults = (*delivery.faults, delivery.last_look.failure, *why)
        return to(left, DeliveryState.TIDYING, now, ending=DeliveryState.FAILED, faults=faults)
    fault = deadline_fault(delivery)
    begun = delivery.request.intended_at is not None or delivery.request.discarding
    never_begun = methods.of(delivery).copies_image and delivery.state is DeliveryState.REGISTERING and not begun
    if delivery.state in WORKING and not never_begun:
        return replace(delivery, last_look=LastLook(fault, now), next_try=now)
    if delivery.state in QUEUEING:
        return replace(delivery.with_slots(next_ask=now), last_look=LastLook(fault, now), next_try=now, tries=0)
    return fail(delivery, now, fault)


def deadline_fault(delivery: Delivery) -> Fault:
    """Return the fault of a passed deadline, with the last refusal."""
    cause = delivery.shares.wait_for or delivery.last_refusal
    last = "" if cause is None else f" The last refusal was: {cause.what}"
    return Fault(
        f"deadline-{delivery.state}",
        delivery.where,
        f"The state {delivery.state} has lasted until its deadline.{last}",
        _DEADLINE_CURE[delivery.state] if delivery.shares.wait_for is None else delivery.shares.wait_for.cure,
    )


def left_behind(delivery: Delivery, now: int) -> Delivery:
    """End the cleanup with a look after its deadline, and record the leftovers."""
    why = () if delivery.last_refusal is None else (delivery.last_refusal,)
    done = delivery.with_cleanup(done=True)
    return replace(done, tries=0, next_try=now, faults=(*delivery.faults, *why), last_look=LastLook())


def _may_be_left(delivery: Delivery) -> Iterator[str]:
    """Record what was or may have been created there: the service cannot read the target; a person must remove it."""
    yield from (copy.copy or f"copy of {copy.source}" for copy in delivery.copies if copy.tries)
    if delivery.image.id or delivery.request.intended_at is not None:
        yield delivery.image.id or f"AMI {delivery.image_name}"


_DEADLINE_CURE = {
    DeliveryState.AWAITING_APPROVAL: "No approver has approved it. `ami-promoter approve`, then `ami-promoter retry`.",
    DeliveryState.REQUESTED: "Look at the function `worker`: its dead letters and errors; then tag the AMI again.",
    DeliveryState.CHECKING: "Deploy deploy/target.yaml there, with the targets file's external id; then tag again.",
    DeliveryState.WAITING: "Too many copies run there; raise queue_deadline in the targets file, or promote fewer.",
    DeliveryState.OPENING: "Look at the function `share-worker`: its dead letters and errors; then tag the AMI again.",
    DeliveryState.COPYING: "Look at the copies in that account; raise copy_deadline in the targets file if slow.",
    DeliveryState.REGISTERING: "Look for RegisterImage or CopyImage in that account's CloudTrail; then tag again.",
    DeliveryState.VERIFYING: "Look at the AMI in that account: it never became available. If CopyImage is slow, raise "
    "copy_deadline in the targets file; then tag the AMI again.",
}


def _on_leftovers_seen(event: ev.LeftoversSeen, delivery: Delivery, now: int) -> Delivery:
    """Update the cleanup from a look. Two looks prove absence; a refused deletion keeps no share open.

    If nothing is unfinished, the shares may close. If nothing is left, the cleanup is done.
    """
    before = delivery.cleanup.leftovers
    delivery = proof.keep(replace(delivery, last_refusal=event.refusal), event.learnt)
    delivery = delivery.with_cleanup(leftovers=event.left, unproven=event.unproven[: copying.MOST_UNPROVEN])
    stopping = delivery.state is DeliveryState.STOPPING
    shown = bool(event.unfinished or _unseen(delivery, event, now)) if stopping else bool(event.left)
    if delivery.last_look.since and not stopping:
        return left_behind(delivery, now)
    if stopping and event.refusal is not None:
        delivery = delete_refused(delivery)
    elif stopping and not _unseen(delivery, event, now):
        delivery = delivery.with_cleanup(deletes_accepted=True)
    if shown:
        steps = schedule.POLLS if stopping else schedule.RETRIES[2:]
        return again(delivery, now, schedule.step(steps, delivery.tries), clear_since=None)
    since = delivery.clear_since
    if since is None or now < since + schedule.SECOND_LOOK_AFTER:
        wait = schedule.SECOND_LOOK_AFTER if since is None else since + schedule.SECOND_LOOK_AFTER - now
        return again(delivery, now, wait, clear_since=now if since is None else since)
    over = each_copy(delivery, lambda c: replace(c, state=CopyState.ERROR) if c.tries else c)
    done = not event.left and not before
    clear = done and not event.unproven and event.refusal is None
    return to(over.with_cleanup(done=done, clear=clear), DeliveryState.TIDYING, now)


def delete_refused(delivery: Delivery) -> Delivery:
    """Count a refused deletion; after two the shares do not wait for the rest."""
    refused = delivery.cleanup.deletes_refused + 1
    enough = delivery.cleanup.deletes_accepted or refused >= MOST_REFUSALS
    return delivery.with_cleanup(deletes_refused=refused, deletes_accepted=enough)


def _unseen(delivery: Delivery, event: ev.LeftoversSeen, now: int) -> bool:
    """Whether something that the service started may exist but not show yet."""
    copies = any(
        copy.state is CopyState.INTENDED or (copy.copy is not None and copy.copy not in event.left)
        for copy in delivery.copies
        if copy.tries and now < (copy.intended_at or 0) + schedule.SILENCE
    )
    registered = delivery.request.intended_at if delivery.image.id is None else None
    by_copy_image = delivery.request.copy_image_intended_at or 0  # the ids of CopyImage's snapshots are not known
    intended = max(registered or 0, by_copy_image)
    return copies or now < intended + schedule.SILENCE


HANDLERS: Handlers = {
    ev.CancelAsked: _on_cancel_asked,
    ev.DeadlinePassed: _on_deadline_passed,
    ev.LeftoversSeen: _on_leftovers_seen,
}
