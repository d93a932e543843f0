"""The copy slots of a delivery: how many it wants, has used and may use; the request for them, and its answers."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.model import CopyState, Delivery
from chalicelib.delivery.phase import Command, DeliveryEvent
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault

ASKING = "asking"
"""In place of the last request: one may have been made, so that its slots are returned.

A delivery that will copy has it from the beginning. So no request needs a write before it: it can be made again.
"""


class AskSlots(Command):
    """Write its ``request`` into the copy quota; if it waits for its first slot, look whether the source is there."""

    between_writes = False


class LookAtSlots(Command):
    """Read how many slots the copy quota has granted."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class SlotsAsked(DeliveryEvent):
    """The request for copy slots is in the copy quota; ``granted`` and ``until`` are the lease's."""

    wanted: int
    done: int
    granted: int = 0
    until: int = 0
    limited_at: int = 0
    """When EC2 last refused it a copy (epoch seconds)."""
    gone: Fault | None = None
    """That this look does not show a source AMI that can be used, while the delivery waits for its first slot."""
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class SlotsSeen(DeliveryEvent):
    """The lease was read: slots granted in this episode, and its end (epoch seconds)."""

    granted: int
    until: int
    keeps_refusal = True


def asked(event: SlotsAsked, delivery: Delivery, now: int) -> Delivery:
    """Record the request and its lease.

    It is made twice, a minute apart: the sweep may have woken the quota for an earlier request together with this
    delivery.
    """
    wait = schedule.step(schedule.POLLS, max(delivery.slots.asks - 1, 0))
    reported = _text(delivery, event.wanted, event.done, event.limited_at)
    fresh = delivery.with_slots(asked=reported, asks=delivery.slots.asks + 1, next_ask=now + wait)
    return fresh.with_slots(granted=event.granted, until=event.until)


def seen(event: SlotsSeen, delivery: Delivery, _now: int) -> Delivery:
    """Record the lease."""
    return delivery.with_slots(granted=event.granted, until=event.until)


def wanted(delivery: Delivery) -> tuple[int, int]:
    """Return how many copy slots it wants in all, and how many of those are finished.

    One slot is one try of one copy.
    """
    tried = used(delivery)
    live = sum(copy.state in (CopyState.INTENDED, CopyState.PENDING) for copy in delivery.copies)
    more = 0 if delivery.ending else sum(copy.state is CopyState.WANTED for copy in delivery.copies)
    return tried + more, tried - live


def used(delivery: Delivery) -> int:
    """Return how many slots it has used in this episode: one for each try of each copy."""
    return sum(copy.tries for copy in delivery.copies)


def request(delivery: Delivery, now: int) -> SlotLease:
    """Return its request to the copy quota: the tries that it needs, has begun and has ended; and a new lease."""
    all_, done = wanted(delivery)
    return SlotLease(
        delivery.id,
        delivery.episode,
        delivery.created_at,
        all_,
        done,
        granted=used(delivery),
        until=now + schedule.LEASE,
        limited_at=delivery.slots.limited_at or 0,
    )


def is_asked(delivery: Delivery) -> bool:
    """Whether its last request is as it would make it now."""
    return delivery.slots.asked == _text(delivery, *wanted(delivery), delivery.slots.limited_at or 0)


def reports(delivery: Delivery) -> tuple[AskSlots, ...]:
    """List the request if its numbers have changed since the last one: this also gives slots back."""
    return () if not delivery.slots.asked or is_asked(delivery) else (AskSlots(),)


def _text(delivery: Delivery, all_: int, done: int, limited_at: int) -> str:
    return f"{delivery.episode}:{all_}:{done}:{limited_at}"


def lacks(delivery: Delivery) -> bool:
    """Whether a copy is wanted, and every granted slot is used."""
    return any(copy.state is CopyState.WANTED for copy in delivery.copies) and not unused(delivery)


def unused(delivery: Delivery) -> int:
    """Return how many slots it was granted and has not used; one slot is one try of one copy."""
    return max(delivery.slots.granted - used(delivery), 0)


def free(delivery: Delivery, now: int) -> int:
    """Return how many copies it can start now.

    None on a lease that ends soon, because others may get its slots then.
    """
    return unused(delivery) if now < renewal(delivery) else 0


def renewal(delivery: Delivery) -> int:
    """Return from when on a copy is started only on a new lease."""
    return delivery.slots.until - schedule.LEASE_MARGIN
