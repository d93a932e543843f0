"""How many copy slots a delivery wants, has used and may use."""

from __future__ import annotations

from chalicelib.core.delivery.model import CopyState, Delivery, DeliveryState
from chalicelib.core.records import schedule


def slots(delivery: Delivery) -> tuple[int, int]:
    """How many copy slots it wants in all, and how many of those are finished. One slot is one try of one copy."""
    tried = begun(delivery)
    live = sum(copy.state in (CopyState.INTENDED, CopyState.PENDING) for copy in delivery.copies)
    if delivery.state in (DeliveryState.WAITING, DeliveryState.OPENING, DeliveryState.COPYING):
        return tried + sum(copy.state is CopyState.WANTED for copy in delivery.copies), tried - live
    if delivery.state is DeliveryState.STOPPING:
        return tried, tried - live
    return tried, tried


def begun(delivery: Delivery) -> int:
    """How many slots it has used in this episode: one for each try of each copy."""
    return sum(copy.tries for copy in delivery.copies)


def slots_asked_text(delivery: Delivery) -> str:
    """The request to the copy quota, as one comparable text."""
    return slots_text(delivery, *slots(delivery), delivery.slots.limited_at or 0)


def slots_text(delivery: Delivery, wanted: int, done: int, limited_at: int) -> str:
    """Return a request to a copy quota as one comparable text."""
    return f"{delivery.episode}:{wanted}:{done}:{limited_at}"


def unused_slots(delivery: Delivery) -> int:
    """How many slots it was granted and has not used; one slot is one try of one copy."""
    return max(delivery.slots.granted - begun(delivery), 0)


def free_slots(delivery: Delivery, now: int) -> int:
    """How many copies it can start now: none on a lease that ends soon, because others may get its slots then."""
    return unused_slots(delivery) if now < delivery.slots.until - schedule.LEASE_MARGIN else 0


def starved(delivery: Delivery, now: int) -> bool:
    """Whether a copy cannot start because no slot is free."""
    wanting = any(copy.state is CopyState.WANTED for copy in delivery.copies)
    return delivery.state is DeliveryState.COPYING and wanting and free_slots(delivery, now) == 0
