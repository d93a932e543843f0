"""How deliveries come out, and all that others do by that: a row for each outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.engine.notices import NoticeKind


class BeginsAgain(Enum):
    """When a delivery with an outcome begins again, if its target is wanted."""

    NEVER = "never"
    WANTED = "wanted"
    """at once"""
    ASKED = "asked"
    """when somebody has asked for the target since: by a tag event, a retry, or the lift of a recall"""
    NAMED = "named"
    """as ``ASKED``, but not by the lift of a recall"""
    LIFTED = "lifted"
    """when the recall is lifted"""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How a delivery has come out, as far as others go by it: promotion, waves, notices and metrics."""

    notice: NoticeKind
    """What its owners get; what that means stands below the state."""
    there: bool = False
    """Whether its target owns the AMI, or may launch it."""
    stands: bool = False
    """Whether it has not ended: what is shared stays open until something ends that."""
    has_copy: bool = False
    """Whether the AMI that is tracked with it, if any, is in the target: a recall deprecates it."""
    begins_again: BeginsAgain = BeginsAgain.NEVER
    in_wave: Literal["", "succeeded", "failed"] = ""
    """As what it counts for the wave that waits for its group; "": for nothing."""
    follows: bool = False
    """Whether it can follow another outcome in the same episode."""
    metric: str = ""
    """The metric that counts it; "": none does."""


OUTCOMES: Mapping[str, DeliveryOutcome] = {
    DeliveryState.DELIVERED: DeliveryOutcome(
        NoticeKind("delivery.delivered", {"delivered": "was delivered to"}, chat="Arrived"),
        there=True,
        has_copy=True,
        in_wave="succeeded",
        metric="DeliveriesDelivered",
    ),
    DeliveryState.SHARED: DeliveryOutcome(
        NoticeKind("delivery.shared", {"shared": "was shared with"}, chat="Arrived"),
        there=True,
        stands=True,
        in_wave="succeeded",
    ),
    DeliveryState.FAILED: DeliveryOutcome(
        NoticeKind("delivery.failed", {"failed": "failed in"}, chat="Failed"),
        has_copy=True,
        begins_again=BeginsAgain.ASKED,
        in_wave="failed",
        metric="DeliveriesFailed",
    ),
    DeliveryState.CANCELLED: DeliveryOutcome(
        NoticeKind("delivery.cancelled", {"cancelled": "was cancelled for"}, chat="Ended"),
        has_copy=True,
        begins_again=BeginsAgain.WANTED,
        metric="DeliveriesCancelled",
    ),
    DeliveryState.WITHDRAWN: DeliveryOutcome(
        NoticeKind("delivery.withdrawn", {"withdrawn": "was withdrawn from"}, chat="Ended"),
        begins_again=BeginsAgain.WANTED,
        follows=True,
    ),
    DeliveryState.RECALLED: DeliveryOutcome(
        NoticeKind("delivery.recalled", {"recalled": "was recalled in"}, chat="Recalled"),
        begins_again=BeginsAgain.LIFTED,
        follows=True,
    ),
}
"""Each outcome of a delivery, in the order in which they are counted and shown."""

EXPIRED = "expired"
"""How a promotion tracks what was shared and ended at its date ``until``: as withdrawn, but as it was meant to."""

TRACKED_OUTCOMES: Mapping[str, DeliveryOutcome] = {
    **OUTCOMES,
    EXPIRED: replace(OUTCOMES[DeliveryState.WITHDRAWN], begins_again=BeginsAgain.NAMED, in_wave="succeeded"),
}
"""The outcomes as promotions track them."""


def tracked_outcome(delivery: Delivery) -> str:
    """Return how its promotion counts it. A share whose date came before its launch test was over has failed."""
    if not (delivery.withdraws and delivery.share_mode.expired):
        return delivery.outcome
    return EXPIRED if delivery.began_publishing else DeliveryState.FAILED
