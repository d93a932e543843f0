"""How long a delivery can stay in a state, and what happens after that time."""

from __future__ import annotations

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods
from chalicelib.core.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.core.records import schedule

QUEUE_LOOK = 10 * schedule.MINUTE
"""Seconds after the queue deadline for which the delivery still looks for a slot, or for the hub's own copy.

After an outage other records must act first; the copy quota looks every five minutes.
"""

EXPIRED = "expired:"
"""Prefix of a request to end at the targets file's date; the service does not start such a delivery again."""


def deadline(delivery: Delivery) -> int | None:
    """The deadline of the present state, in epoch seconds. None: the delivery has ended.

    After a passed deadline, the time until which the service still tries to look at the target.
    """
    entered = delivery.entered
    if delivery.last_look.since:
        return delivery.last_look.since + schedule.LAST_LOOK_WITHIN
    match delivery.state:
        case DeliveryState.AWAITING_APPROVAL:
            return entered[DeliveryState.AWAITING_APPROVAL] + schedule.APPROVAL_DEADLINE
        case DeliveryState.REQUESTED | DeliveryState.CHECKING | DeliveryState.WAITING:
            between = delivery.target.copy_deadline if delivery.hub_copy.delivery else 0
            return entered.get(DeliveryState.REQUESTED, delivery.created_at) + between + delivery.target.queue_deadline
        case DeliveryState.OPENING | DeliveryState.COPYING:
            return delivery.copies_end
        case DeliveryState.REGISTERING | DeliveryState.VERIFYING:
            return methods.of(delivery).image_deadline(delivery)
        case DeliveryState.STOPPING:
            return delivery.shares.last_closing_at or entered[DeliveryState.STOPPING] + schedule.TIDYING_DEADLINE
        case DeliveryState.TIDYING | DeliveryState.PUBLISHING:
            return max(entered[delivery.state], released_from(delivery)) + schedule.TIDYING_DEADLINE
        case DeliveryState.SHARED:
            return delivery.sharing.ends_at or delivery.target.until or None
        case _:
            return None


def due_events(delivery: Delivery, now: int) -> tuple[ev.Event, ...]:
    """Return an inbox entry or a passed deadline as an event; at most one at a time."""
    state = delivery.state
    if state in ENDED:
        return ()
    wish = delivery.fact("cancel")
    if wish is not None and _can_cancel(delivery):
        return (ev.CancelAsked(expired=wish.startswith(EXPIRED)),)
    last = deadline(delivery)
    judged = not deadline_acted(delivery) and (reopens(delivery) or not waits_for_shares(delivery))
    if last is not None and now >= last and state is not DeliveryState.SHARED and judged:
        return (ev.DeadlinePassed(),)
    return ()


def waits_for_shares(delivery: Delivery) -> bool:
    """Whether it waits until its shares are open. A read of the ledger decides that, and decides the deadline.

    The shares may have opened while no worker could read the ledger.
    """
    return (delivery.state is DeliveryState.OPENING and delivery.shares.held) or reopens(delivery)


def reopens(delivery: Delivery) -> bool:
    """Whether its next copies wait until its shares are open again, because the file has renamed the copy role."""
    return delivery.state is DeliveryState.COPYING and delivery.shares.opened_at is None


def _can_cancel(delivery: Delivery) -> bool:
    """Whether it can still be cancelled. An intended RegisterImage finishes and its AMI stays; CopyImage is stopped."""
    if methods.of(delivery).reads_source(delivery):
        return True
    if delivery.state is DeliveryState.REGISTERING:
        return delivery.request.intended_at is None
    return delivery.state not in (
        DeliveryState.VERIFYING,
        DeliveryState.PUBLISHING,
        DeliveryState.STOPPING,
        DeliveryState.TIDYING,
    )


def deadline_acted(delivery: Delivery) -> bool:
    """Whether the deadline has taken effect already."""
    if delivery.state is DeliveryState.PUBLISHING:
        return True
    return delivery.state is DeliveryState.TIDYING and delivery.cleanup.done


def released_from(delivery: Delivery) -> int:
    """Return when its shares may close: the linger counts from the last copy's end."""
    since = methods.of(delivery).copied_at(delivery)
    return 0 if since is None or delivery.ending else since + delivery.target.linger


def late(delivery: Delivery, now: int) -> bool:
    """Whether the deadline passed over an hour ago. A notice that is refused after that is tried for another hour."""
    last = deadline(delivery)
    return delivery.last_look.failure is not None or (last is not None and now >= last + schedule.NOTICE_DEADLINE)


def gives_up(delivery: Delivery, now: int) -> bool:
    """Whether to give up the notice: it was refused for an hour after the deadline. An outage does not count."""
    return delivery.last_look.failure is not None and now >= delivery.last_look.since + schedule.NOTICE_DEADLINE
