"""The notices of one delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.engine.faults import Fault, retried
from chalicelib.engine.notices import MAX_LISTED, head, said_faults
from chalicelib.sharing import holders

DELIVERED = "delivery.delivered"
FAILED = "delivery.failed"
CANCELLED = "delivery.cancelled"
SHARED = "delivery.shared"
WITHDRAWN = "delivery.withdrawn"
RECALLED = "delivery.recalled"
WAITING = "delivery.waiting-for-role"

_ENDINGS = {
    DeliveryState.FAILED: FAILED,
    DeliveryState.CANCELLED: CANCELLED,
    DeliveryState.WITHDRAWN: WITHDRAWN,
    DeliveryState.RECALLED: RECALLED,
    None: DELIVERED,
}


def outcome(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the last notice of a delivery."""
    event = SHARED if delivery.shared and delivery.ending is None else _ENDINGS[delivery.ending]
    image = {DELIVERED: delivery.image.id, RECALLED: delivery.image.id, SHARED: delivery.ami}.get(event)
    return {
        **_of_delivery(delivery, event, now),
        "outcome": event.partition(".")[2],
        "image": image,
        "key": _key(delivery),
        "copies": [{"source": copy.source, "copy": copy.copy} for copy in delivery.copies],
        "faults": said_faults(retried(delivery.faults, delivery.ami) if event == FAILED else delivery.faults),
        "protected": delivery.image.protected if event == DELIVERED and delivery.target.protect else None,
        "unprotected": None if delivery.image.unprotected is None else said_faults((delivery.image.unprotected,))[0],
        "family": delivery.naming.family or None,
        "pointer": _pointer(delivery),
        "recall": _recall(delivery) if event == RECALLED else None,
        "leftovers": list(dict.fromkeys((*delivery.cleanup.leftovers, *delivery.cleanup.unproven)))[:MAX_LISTED],
        "seconds": now - delivery.created_at,
        "approved_by": delivery.approved_by or None,
    }


def _pointer(delivery: Delivery) -> dict[str, Any] | None:
    """The parameter of the AMI's family in the target, and which AMI it names; None: there is none."""
    naming = delivery.naming
    if delivery.ending is not None or not (naming.parameter or naming.fault):
        return None
    faults = said_faults((naming.fault,) if naming.fault else ())
    return {
        "parameter": naming.parameter or None,
        "image": naming.shows or None,
        "pinned": naming.pinned or None,
        "fault": next(iter(faults), None),
    }


def _recall(delivery: Delivery) -> dict[str, Any]:
    """Who recalled the AMI and why, and what became of it in the target."""
    recall = delivery.recall
    return {"by": recall.by, "why": recall.why, "disabled": recall.disabled}


def _key(delivery: Delivery) -> str | None:
    """The key that a launch needs: the target's own, or in share mode the hub's."""
    if delivery.shared:
        return next(iter(delivery.source_keys), None)
    return delivery.key_arn or None


def waiting_for_role(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the one notice that the target's role cannot be assumed yet."""
    faults = (delivery.last_refusal,) if delivery.last_refusal else ()
    return {**_of_delivery(delivery, WAITING, now), "outcome": "waiting", "faults": said_faults(faults)}


def withdrawn_unsaid(withdrawn: Mapping[str, Any], still_open: Sequence[str], now: int) -> dict[str, Any]:
    """Build the terminal message for a delivery whose own record cannot: parked, or damaged.

    ``withdrawn``: what is known of it without that record. The id is that of the delivery's own message, should that
    ever come. ``still_open``: resources that AWS has not let go of for an hour.
    """
    delivery, episode = withdrawn["delivery"], withdrawn["episode"]
    where = f"account {withdrawn['account']}, {withdrawn['region']}"
    what = (
        "The service has withdrawn what it shared with the account. The delivery's record is "
        "parked or cannot be read, so nothing more is known."
    )
    cure = 'See `ami-promoter status`, and "Parked records" in docs/operations/runbook.md.'
    faults = [Fault("withdrawn-unsaid", where, what, cure)]
    if still_open:
        faults.append(holders.still_open(where, still_open))
    known = {name: withdrawn[name] for name in ("delivery", "episode", "account", "region", "hub", "source_image")}
    unknown = ("image", "key", "protected", "unprotected", "family", "pointer", "recall", "approved_by")
    return {
        **head(WITHDRAWN, now, delivery, str(episode), WITHDRAWN),
        **known,
        **dict.fromkeys(unknown),
        "source_name": "",
        "groups": [],
        "image_name": "",
        "outcome": "withdrawn",
        "copies": [],
        "faults": said_faults(faults),
        "leftovers": [],
        "seconds": 0,
    }


def _of_delivery(delivery: Delivery, event: str, now: int) -> dict[str, Any]:
    return {
        **head(event, now, delivery.id, str(delivery.episode), event),
        "delivery": delivery.id,
        "episode": delivery.episode,
        "hub": delivery.hub,
        "source_image": delivery.ami,
        "source_name": delivery.source_name,
        "account": delivery.target.account,
        "region": delivery.target.region,
        "groups": list(delivery.groups),
        "image_name": delivery.image_name,
    }
