"""Awaiting a free copy slot in the target's account and Region."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.delivery import slots
from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.phase import Command, DeadlinePassed, Phase, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.ending import CANCELS, ENDING, TIDY, fail
from chalicelib.delivery.phases.opening import OPEN
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Handler, leads
from chalicelib.sharing.entitlement import SOURCE_GONE

AWAIT_SLOT = StateEntry(DeliveryState.AWAITING_SLOT)
_CURE = "Too many copies run there; raise queue_deadline in the targets file, or promote fewer."

QUEUE_LOOK = 10 * schedule.MINUTE
"""Seconds after the queue deadline for which the delivery still looks for a slot, or for the hub's own copy.

After an outage other records must act first; the copy quota looks every five minutes.
"""


def queue_deadline(delivery: Delivery) -> int:
    """Return the deadline until which it may wait before its shares are opened."""
    between = delivery.target.copy_deadline if delivery.target.by_way_of else 0
    return delivery.queued_at + between + delivery.target.queue_deadline


def queued_too_long(cure: str) -> Handler[Delivery]:
    """Return what a passed queue deadline changes: it acts after one more look, as it may no longer have to wait."""
    look = trouble.looks_once_more(cure)

    def handler(event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
        return replace(look(event, delivery, now).with_slots(next_ask=now), tries=0)

    return handler


def queued_out(delivery: Delivery, now: int) -> Fault | None:
    """Return the fault of a queue deadline, once the looks after the deadline have ended."""
    return delivery.last_look.failure if now >= delivery.last_look.since + QUEUE_LOOK else None


def until_queued_out(delivery: Delivery, now: int, wait: int) -> int:
    """Return a wait in seconds that ends at the latest with the looks after a queue deadline."""
    if delivery.last_look.failure is None:
        return wait
    return min(wait, max(delivery.last_look.since + QUEUE_LOOK - now, 0))


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    asks = now >= delivery.slots.next_ask or not slots.is_asked(delivery)
    return (slots.AskSlots(),) if asks else ()


def _asked(event: slots.SlotsAsked, delivery: Delivery, now: int) -> Delivery:
    asked = slots.asked(event, delivery, now)
    wait = until_queued_out(delivery, now, asked.slots.next_ask - now)
    if event.gone is not None:
        if event.gone == delivery.last_refusal:  # the previous look did not show it either
            return fail(asked, now, event.gone)
        asked = replace(asked, last_refusal=event.gone)
    elif delivery.last_refusal is not None and delivery.last_refusal.code == SOURCE_GONE:
        asked = replace(asked, last_refusal=None)  # this look shows it
    return _go_on(asked.with_slots(next_ask=now + wait), now)


def _seen(event: slots.SlotsSeen, delivery: Delivery, now: int) -> Delivery:
    return _go_on(slots.seen(event, delivery, now), now)


def _go_on(delivery: Delivery, now: int) -> Delivery:
    """Continue with the granted slots; running copies of an earlier try need no further slot."""
    if not slots.lacks(delivery):
        return OPEN(delivery.with_slots(asks=0, next_ask=now), now)
    timed_out = queued_out(delivery, now)
    return fail(delivery, now, timed_out) if timed_out else delivery


PHASES = {
    DeliveryState.AWAITING_SLOT: Phase(
        on={
            slots.SlotsAsked: leads(_asked, AWAIT_SLOT, OPEN, *ENDING),
            slots.SlotsSeen: leads(_seen, AWAIT_SLOT, OPEN, *ENDING),
            **CANCELS,
            DeadlinePassed: leads(queued_too_long(_CURE), AWAIT_SLOT, TIDY),
        },
        outstanding=_outstanding,
        looks=lambda delivery, _now: (slots.LookAtSlots(),) if delivery.slots.asks else (),
        deadline=queue_deadline,
    )
}
