"""How long a delivery may stay in a state, and what follows when its time has passed."""

from __future__ import annotations

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods
from chalicelib.core.delivery.model import ENDED, Delivery, DeliveryState
from chalicelib.core.records import schedule

QUEUE_LOOK = 10 * schedule.MINUTE
"""How long after the queue deadline it still looks for a slot, or for the hub's own copy (seconds).

After an outage other records must act first; the copy quota looks every five minutes.
"""

EXPIRED = "expired:"
"""Begins a request to end because the targets file's date has come; such a delivery is not started again by itself."""


def deadline(delivery: Delivery) -> int | None:
    """When the present state has lasted long enough, in epoch seconds. None: it has ended.

    If its deadline has passed: until when it tries to look at the target.
    """
    entered = delivery.entered
    if delivery.last_look_since:
        return delivery.last_look_since + schedule.LAST_LOOK_WITHIN
    match delivery.state:
        case DeliveryState.AWAITING_APPROVAL:
            return entered[DeliveryState.AWAITING_APPROVAL] + schedule.APPROVAL_DEADLINE
        case DeliveryState.REQUESTED | DeliveryState.CHECKING | DeliveryState.WAITING:
            between = delivery.target.copy_deadline if delivery.via else 0
            return entered.get(DeliveryState.REQUESTED, delivery.created_at) + between + delivery.target.queue_deadline
        case DeliveryState.OPENING | DeliveryState.COPYING:
            return delivery.copies_end
        case DeliveryState.REGISTERING | DeliveryState.VERIFYING:
            return methods.of(delivery).image_deadline(delivery)
        case DeliveryState.STOPPING:
            return delivery.last_closing_at or entered[DeliveryState.STOPPING] + schedule.TIDYING_DEADLINE
        case DeliveryState.TIDYING | DeliveryState.PUBLISHING:
            return max(entered[delivery.state], released_from(delivery)) + schedule.TIDYING_DEADLINE
        case DeliveryState.SHARED:
            return delivery.ends_at or delivery.target.until or None
        case _:
            return None


def due_events(delivery: Delivery, now: int) -> tuple[ev.Event, ...]:
    """Inbox entries and passed deadlines, as events; at most one at a time."""
    state = delivery.state
    if state in ENDED:
        return ()
    wish = delivery.fact("cancel")
    if wish is not None and _can_cancel(delivery):
        return (ev.CancelAsked(expired=wish.startswith(EXPIRED)),)
    last = deadline(delivery)
    judged = not past_caring(delivery) and not waits_for_shares(delivery)
    if last is not None and now >= last and state is not DeliveryState.SHARED and judged:
        return (ev.DeadlinePassed(),)
    return ()


def waits_for_shares(delivery: Delivery) -> bool:
    """Whether it waits until its shares are open. A look at the ledger decides that, and judges the deadline.

    They may have opened while no run could look.
    """
    return delivery.state is DeliveryState.OPENING and (delivery.holds_copy or delivery.holds_standing)


def _can_cancel(delivery: Delivery) -> bool:
    """Whether it can still be cancelled. An intended RegisterImage finishes and stays; CopyImage is stopped."""
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


def past_caring(delivery: Delivery) -> bool:
    """Whether the deadline has had its effect already."""
    if delivery.state is DeliveryState.PUBLISHING:
        return True
    return delivery.state is DeliveryState.TIDYING and delivery.cleanup.done


def released_from(delivery: Delivery) -> int:
    """From when its shares may close: the linger counts from the last copy's end."""
    since = methods.of(delivery).copied_at(delivery)
    return 0 if since is None or delivery.ending else since + delivery.target.linger


def late(delivery: Delivery, now: int) -> bool:
    """Whether it is an hour past its deadline. A notice that is refused after that is tried for another hour."""
    last = deadline(delivery)
    return delivery.pending_failure is not None or (last is not None and now >= last + schedule.NOTICE_DEADLINE)


def gives_up(delivery: Delivery, now: int) -> bool:
    """Whether to give up the notice: it was refused for an hour after the deadline. An outage is no refusal."""
    return delivery.pending_failure is not None and now >= delivery.last_look_since + schedule.NOTICE_DEADLINE
