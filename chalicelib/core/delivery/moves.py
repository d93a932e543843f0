"""The changes that handlers of events share: enter a state, count a try, or turn towards an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.core.delivery.model import Copy, Delivery, DeliveryState, LastLook
from chalicelib.core.faults import Fault
from chalicelib.core.sharing.entitlement import SETTINGS_CHANGED

Handlers = Mapping[type, Callable[[Any, Delivery, int], Delivery]]
"""Type of event -> what it changes: (event, delivery, now) -> the delivery after it, ``now`` in epoch seconds."""


def to(delivery: Delivery, state: DeliveryState, now: int, **changes: Any) -> Delivery:
    """Enter a state, with its counts of tries and looks at zero."""
    entered = {**delivery.entered, state: delivery.entered.get(state, now)}
    fresh = replace(delivery.with_shares(continue_at=0), entered=entered, tries=0, next_try=now, clear_since=None)
    if state is not delivery.state:
        fresh = replace(fresh.with_shares(wait_for=None), state=state, last_look=LastLook())
    return replace(fresh, **changes)


def again(delivery: Delivery, now: int, wait: int, **changes: Any) -> Delivery:
    """Count one more try of the current step; the next one follows after ``wait`` seconds."""
    return replace(delivery, tries=delivery.tries + 1, next_try=now + wait, **changes)


def end(delivery: Delivery, ending: DeliveryState, faults: tuple[Fault, ...], now: int) -> Delivery:
    """Turn towards an end other than delivered. The service must first remove what it created in the target."""
    asked = delivery.request.intended_at or delivery.request.copy_image_intended_at
    made = delivery.image.id or asked or any(copy.tries or copy.copy for copy in delivery.copies)
    changes: dict[str, Any] = {"ending": ending, "faults": (*delivery.faults, *faults)}
    if delivery.image.adopted:  # it may be in use since an earlier episode: leave it, and report it
        left = delivery.with_cleanup(done=True, leftovers=(delivery.image.id or "",))
        return to(left, DeliveryState.TIDYING, now, **changes)
    if made:
        return to(delivery, DeliveryState.STOPPING, now, **changes)
    return to(delivery.with_cleanup(done=True), DeliveryState.TIDYING, now, **changes)


def fail(delivery: Delivery, now: int, *faults: Fault) -> Delivery:
    """Turn towards ``failed``."""
    return end(delivery, DeliveryState.FAILED, faults, now)


def begin_again(delivery: Delivery, now: int) -> Delivery:
    """Turn towards ``cancelled``, because it keeps the settings of its start: the promotion begins it again."""
    what = "The settings of this target in the targets file have changed since the delivery began."
    cure = "The service starts it again with these settings."
    fault = Fault(SETTINGS_CHANGED, delivery.where, what, cure)
    return end(delivery, DeliveryState.CANCELLED, (fault,), now)


def each_copy(delivery: Delivery, change: Callable[[Copy], Copy]) -> Delivery:
    """Change each copy."""
    return replace(delivery, copies=tuple(change(copy) for copy in delivery.copies))
