"""How each event changes a delivery. ``machine.TRANSITIONS`` lists the possible next states."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import before_opening, copying, ending, own_image, refused, shares_seen
from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.machine import TRANSITIONS
from chalicelib.core.delivery.model import Delivery, DeliveryState
from chalicelib.core.delivery.moves import Handlers
from chalicelib.core.delivery.outstanding import due_at
from chalicelib.core.errors import IllegalEvent
from chalicelib.core.targets import approvals


def evolve(delivery: Delivery, event: ev.Event, now: int) -> Delivery:
    """Return the delivery after the event. Raises IllegalEvent if the table does not allow the transition."""
    allowed = TRANSITIONS[delivery.state].get(type(event))
    if allowed is None:
        raise IllegalEvent(str(delivery.key), delivery.state, type(event).__name__)
    after = _HANDLERS[type(event)](event, _taken(delivery, event), now)
    if after.state not in allowed:
        raise IllegalEvent(str(delivery.key), delivery.state, f"{type(event).__name__} leading to {after.state}")
    if after.last_refusal is delivery.last_refusal and not isinstance(event, _SAYS_NOTHING):
        after = replace(after, last_refusal=None)
    return replace(after, due_at=due_at(after))


def _taken(delivery: Delivery, event: ev.Event) -> Delivery:
    """Mark inbox entries as handled by the look that they caused, even if that look failed."""
    step = event.step if isinstance(event, ev.Refused) else type(event).__name__
    if step in (ev.ImageSeen.__name__, do.VerifyImage.__name__):
        names = ["image"]
    elif step in (
        ev.CopiesSeen.__name__,
        do.LookAtCopies.__name__,
        ev.LeftoversSeen.__name__,
        do.FindLeftovers.__name__,
    ):
        names = [f"look#{copy.source}" for copy in delivery.copies]
    else:
        return delivery
    news = {name: delivery.inbox[name] for name in names if delivery.unread(name) is not None}
    return replace(delivery, handled={**delivery.handled, **news}) if news else delivery


_SAYS_NOTHING = (
    ev.Refused,
    ev.LeftoversSeen,
    ev.WaitingNotified,
    ev.SlotsAsked,
    ev.SlotsSeen,
    ev.OthersWait,
    ev.RoleRenamed,
    ev.SharesHeld,
    ev.SharesSeen,
    ev.DeadlinePassed,
    ev.CancelAsked,
)
"""Events that keep the last refusal; after all others the refusal no longer applies."""


def started(delivery: Delivery, now: int) -> Delivery:
    """Prepare a new delivery, or a new episode of an ended one, for its first step."""
    first = DeliveryState.AWAITING_APPROVAL if approvals.needs(delivery.target) else DeliveryState.REQUESTED
    fresh = replace(delivery, state=first, entered={first: now}, next_try=now)
    return replace(fresh, due_at=due_at(fresh))


_HANDLERS: Handlers = {
    **before_opening.HANDLERS,
    **shares_seen.HANDLERS,
    **copying.HANDLERS,
    **own_image.HANDLERS,
    **refused.HANDLERS,
    **ending.HANDLERS,
}
