"""For `doctor`: whether the target's forwarded events reach deliveries. A delivery works without them."""

from __future__ import annotations

from chalicelib.delivery.model import Delivery
from chalicelib.engine.wakes import EVENT_AT


def last_event_at(delivery: Delivery) -> int | None:
    """Return when the last event of this episode arrived (epoch seconds); None: none did."""
    at = delivery.inbox.get(EVENT_AT, "")
    return int(at) if at.isdecimal() and int(at) >= _began(delivery) else None


def expected(delivery: Delivery) -> bool:
    """Whether events should have arrived: this episode created an AMI, for which EC2 sends an event in every target."""
    made_at = None if delivery.image.adopted else delivery.image.available_at
    return delivery.ending is None and made_at is not None and made_at >= _began(delivery)


def _began(delivery: Delivery) -> int:
    return min(delivery.entered.values(), default=0)
