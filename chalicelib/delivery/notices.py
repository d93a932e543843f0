"""The notices of one delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.delivery.model import Delivery
from chalicelib.delivery.outcomes import OUTCOMES, BeginsAgain
from chalicelib.delivery.phases.ending import withdraw
from chalicelib.engine.faults import Fault, retried
from chalicelib.engine.notices import MAX_LISTED, NoticeKind, said_faults
from chalicelib.sharing import holders
from chalicelib.targets.applied_file import Target

WAITING = NoticeKind("delivery.waiting-for-role", {"waiting": "is waiting for the role in"}, chat="Failed")
"""The role in the target cannot be assumed yet. Sent once; the service tries until the queue deadline."""


def outcome(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the last notice of a delivery."""
    row, recall = OUTCOMES[delivery.outcome], delivery.recall
    to_retry = row.begins_again is BeginsAgain.ASKED
    return {
        **_of_delivery(delivery, row.notice, now),
        "image": delivery.kept_image or None,
        "key": _key(delivery),
        "copies": [{"source": copy.source, "copy": copy.id} for copy in delivery.copies],
        "faults": said_faults(retried(delivery.faults, delivery.ami) if to_retry else delivery.failures),
        "retry": f"ami-promoter retry {delivery.ami}" if to_retry else None,
        "protected": delivery.image.protected if row.there and delivery.wants_protection else None,
        "unprotected": None if delivery.unprotected is None else said_faults((delivery.unprotected,))[0],
        "family": delivery.naming.family or None,
        "pointer": _pointer(delivery),
        "recall": {"by": recall.by, "why": recall.why, "disabled": recall.disabled} if delivery.recalls else None,
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


def _key(delivery: Delivery) -> str | None:
    """The key that a launch needs: the target's own, or in share mode the hub's."""
    if delivery.in_share_mode:
        return next(iter(delivery.source_keys), None)
    return delivery.key_arn or None


def waiting_for_role(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the one notice that the target's role cannot be assumed yet."""
    why = delivery.last_refusal
    tries = "The service tries again until the queue deadline."
    faults = (replace(why, cure=f"{why.cure} {tries}"),) if why else ()
    return {**_of_delivery(delivery, WAITING, now), "faults": said_faults(faults)}


def withdrawn_unsaid(withdrawn: Mapping[str, Any], still_open: Sequence[str], now: int) -> dict[str, Any]:
    """Build the last notice of a delivery that cannot send it itself, as its record is parked or damaged.

    ``withdrawn``: what is known of it without that record. The id is that of the delivery's own notice, which may come
    after all. ``still_open``: resources on which AWS has shown a share for an hour.
    """
    target = Target(withdrawn["account"], withdrawn["region"], mode="share")
    what = (
        "The service has withdrawn what it shared with the account. The delivery's record is "
        "parked or cannot be read, so nothing more is known."
    )
    cure = 'See `ami-promoter status`, and "Parked records" in docs/operations/runbook.md.'
    faults = [Fault("withdrawn-unsaid", target.where, what, cure)]
    if still_open:
        faults.append(holders.still_open(target.where, still_open))
    known = withdrawn["delivery"], withdrawn["hub"], withdrawn["source_image"], target, withdrawn["episode"]
    return outcome(withdraw(Delivery(*known, now, "", (), faults=tuple(faults)), now, expired=False), now)


def _of_delivery(delivery: Delivery, kind: NoticeKind, now: int) -> dict[str, Any]:
    return {
        **kind.head(now, delivery.id, str(delivery.episode)),
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
