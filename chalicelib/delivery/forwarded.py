"""For `doctor`: whether the target's forwarded events reach deliveries. A delivery works without them."""

from __future__ import annotations

from chalicelib.delivery.model import Delivery
from chalicelib.engine.wakes import EVENT_AT


def last_event_at(delivery: Delivery) -> int | None:
    """Return when the last event of this episode arrived (epoch seconds); None: none did."""
    at = delivery.inbox.get(EVENT_AT, "")
    began = min(delivery.entered.values(), default=0)
    return int(at) if at.isdecimal() and int(at) >= began else None


def expected(delivery: Delivery) -> bool:
    """Whether events should have arrived: the delivery created an AMI, for which EC2 sends an event in every target."""
    return delivery.ending is None and not delivery.shared and not delivery.image.adopted
