"""Notices: one body for SNS and the event bus, of limited size, with an id by which receivers recognize a repeat.

docs/reference/events.md describes the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.delivery.model import Delivery, DeliveryState
from chalicelib.core.faults import Fault, count
from chalicelib.core.promotion.model import Promotion, TrackedDelivery
from chalicelib.core.records.addresses import digest
from chalicelib.core.sharing import holders
from chalicelib.core.targets.approvals import short
from chalicelib.core.targets.difference import Difference, Loosened

SCHEMA = 1
MAX_FAULTS = 20
MAX_LISTED = 100
"""Of deliveries in a summary. SNS takes 256 KiB, EventBridge more; each line is well under 300 bytes."""
MAX_TEXT = 1000
MAX_SETTING = 200
"""Characters of a setting's value."""
SUBJECT_LENGTH = 99
"""SNS takes less than 100 characters [botocore 1.44 sns model, PublishInput]."""
LISTS = frozenset({"group"})
"""Message attributes that hold several values."""

DELIVERED = "delivery.delivered"
FAILED = "delivery.failed"
CANCELLED = "delivery.cancelled"
SHARED = "delivery.shared"
WITHDRAWN = "delivery.withdrawn"
WAITING = "delivery.waiting-for-role"
REFUSED = "promotion.refused"
AWAITING = "promotion.awaiting-approval"
SUMMARY = "promotion.over"
BASELINE = "hub.baseline"
APPLIED = "targets.applied"

_ENDINGS = {
    DeliveryState.FAILED: FAILED,
    DeliveryState.CANCELLED: CANCELLED,
    DeliveryState.WITHDRAWN: WITHDRAWN,
    None: DELIVERED,
}
GOOD = ("delivered", "shared")
"""The outcomes of a successful delivery."""


def outcome(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the last notice of a delivery."""
    event = SHARED if delivery.shared and delivery.ending is None else _ENDINGS[delivery.ending]
    image = {DELIVERED: delivery.image.id, SHARED: delivery.ami}.get(event)
    return {
        **_of_delivery(delivery, event, now),
        "outcome": event.partition(".")[2],
        "image": image,
        "key": _key(delivery),
        "copies": [{"source": copy.source, "copy": copy.copy} for copy in delivery.copies],
        "faults": _faults(delivery.faults),
        "protected": delivery.image.protected if event == DELIVERED and delivery.target.protect else None,
        "unprotected": None if delivery.image.unprotected is None else _faults((delivery.image.unprotected,))[0],
        "leftovers": list(dict.fromkeys((*delivery.cleanup.leftovers, *delivery.cleanup.unproven)))[:MAX_LISTED],
        "seconds": now - delivery.created_at,
        "approved_by": delivery.approved_by or None,
    }


def _key(delivery: Delivery) -> str | None:
    """The key that a launch needs: the target's own, or in share mode the hub's."""
    if delivery.shared:
        return next(iter(delivery.source_keys), None)
    return delivery.key_arn or None


def waiting_for_role(delivery: Delivery, now: int) -> dict[str, Any]:
    """Build the one notice that the target's role cannot be assumed yet."""
    faults = (delivery.last_refusal,) if delivery.last_refusal else ()
    return {**_of_delivery(delivery, WAITING, now), "outcome": "waiting", "faults": _faults(faults)}


def refused(promotion: Promotion, faults: Iterable[Fault], now: int) -> dict[str, Any]:
    """Build the one notice that lists every fault of a value or a source."""
    listed = _faults(faults)
    value = promotion.value if promotion.refused_value is None else promotion.refused_value
    return {
        **_of_promotion(promotion, REFUSED, now, value or "", *(fault["what"] for fault in listed)),
        "outcome": "refused",
        "value": value,
        "faults": listed,
    }


def awaiting_approval(promotion: Promotion, digest: str, once: str, places: Sequence[str], now: int) -> dict[str, Any]:
    """Build the one notice that asks for an approval. ``once``: its name; ``places``: the targets that wait."""
    listed = [place.split("/") for place in places[:MAX_LISTED]]
    waiting = f"{count(len(places), 'target waits', 'targets wait')} for that"
    return {
        **_of_promotion(replace(promotion, episode=0), AWAITING, now, once),
        "episode": promotion.episode,
        "outcome": "awaiting",
        "value": promotion.value,
        "why": f"An approver must approve the value {promotion.value!r}: {waiting}.",
        "digest": digest,
        "approve": f"ami-promoter approve {promotion.ami} --digest {short(digest)}",
        "targets": [{"account": account, "region": region} for account, region in listed],
        "unlisted": max(len(places) - MAX_LISTED, 0),
    }


def summary(promotion: Promotion, tracked: Iterable[TrackedDelivery], now: int) -> dict[str, Any]:
    """Build the one message when all deliveries of a promotion have ended; those that failed are listed first."""
    all_of_them = sorted(tracked, key=lambda one: (one.state in GOOD, one.account, one.region))
    counted = ("delivered", "shared", "failed", "cancelled", "withdrawn")
    counts = {state: sum(one.state == state for one in all_of_them) for state in counted}
    return {
        **_of_promotion(promotion, SUMMARY, now),
        "outcome": "delivered" if sum(counts[state] for state in GOOD) == len(all_of_them) else "incomplete",
        "value": promotion.value,
        "counts": counts,
        "deliveries": [
            {"account": one.account, "region": one.region, "outcome": one.state, "image": one.image or None}
            for one in all_of_them[:MAX_LISTED]
        ],
        "unlisted": max(len(all_of_them) - MAX_LISTED, 0),
    }


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
    return {
        "schema": SCHEMA,
        "id": digest(delivery, str(episode), WITHDRAWN),
        "event": WITHDRAWN,
        "at": now,
        **known,
        "source_name": "",
        "groups": [],
        "image_name": "",
        "outcome": "withdrawn",
        "image": None,
        "key": None,
        "copies": [],
        "faults": _faults(faults),
        "protected": None,
        "unprotected": None,
        "leftovers": [],
        "seconds": 0,
        "approved_by": None,
    }


def baseline(hub: str, region: str, images: Iterable[str], count: int, now: int) -> dict[str, Any]:
    """Build the one notice of a new hub: what was tagged before it first looked waits for a new tag event."""
    listed = list(images)
    return {
        "schema": SCHEMA,
        "id": digest(hub, region, BASELINE),
        "event": BASELINE,
        "at": now,
        "hub": hub,
        "region": region,
        "outcome": "ignored",
        "images": listed,
        "unlisted": max(count - len(listed), 0),
        "why": "These AMIs had the trigger tag before the service first looked. Tag one again to promote it.",
    }


@dataclass(frozen=True, slots=True)
class FileChange:
    """A version of the applied file that is new to the service, and the one before, by their names.

    ``difference``: None where one of the two cannot be read any more. ``by``: an ARN that the version itself claims.
    """

    before: str
    after: str
    by: str
    applied_at: str
    difference: Difference | None
    loosened: Sequence[Loosened] = ()

    @property
    def alarming(self) -> bool:
        """Whether it asks for less than before, or nobody can say what it changes."""
        return bool(self.loosened) or self.difference is None


def applied(hub: str, region: str, change: FileChange, now: int) -> dict[str, Any]:
    """Build the notice of a new version of the applied file."""
    found = change.difference or Difference()
    groups = sorted({*found.groups_added, *found.groups_removed, *found.groups_changed})
    changed = [*found.changed.values(), *found.by_unit.values()]
    lists: dict[str, list[Any]] = {
        "added": ["/".join(place)[:MAX_SETTING] for place in found.added],
        "removed": ["/".join(place)[:MAX_SETTING] for place in found.removed],
        "changed": ["/".join(place)[:MAX_SETTING] for place in (*found.changed, *found.by_unit)],
        "changed_groups": groups,
        "settings": sorted({*(name for settings in changed for name in settings), *found.organization}),
        "loosened": [{name: value[:MAX_SETTING] for name, value in one._asdict().items()} for one in change.loosened],
    }
    unlisted = sum(max(len(values) - MAX_LISTED, 0) for values in lists.values())
    return {
        "schema": SCHEMA,
        "id": digest(hub, region, APPLIED, change.before, change.after, change.applied_at),
        "event": APPLIED,
        "at": now,
        "hub": hub,
        "region": region,
        "outcome": "loosened" if change.alarming else "applied",
        "version": change.after,
        "before": change.before,
        "applied_at": change.applied_at,
        "applied_by": change.by,
        "claimed": True,
        "compared": change.difference is not None,
        **{name: values[:MAX_LISTED] for name, values in lists.items()},
        "unlisted": unlisted,
        "why": _why(change),
    }


def _why(change: FileChange) -> str:
    if change.difference is None:
        return "The version before, or this one, was deleted or changed, so nobody can say what it changes."
    if change.loosened:
        return "An approval or a limit is less strict than before: a person must look at it."
    return "A new version of the targets file is in force."


def attributes(notice: Mapping[str, Any]) -> dict[str, str]:
    """Return the message attributes that a filter policy can use; SNS takes no empty value.

    What is not printable, in a name that somebody else gave, becomes ``?``: SNS might refuse the whole notice for it.

    ``group`` is a JSON list, for an attribute of type String.Array: a filter policy then matches any of its members.
    """
    wanted = {
        "event": notice["event"],
        "outcome": notice["outcome"],
        "account": notice.get("account"),
        "region": notice.get("region"),
        "group": json.dumps(groups) if (groups := list(notice.get("groups", ()))) else None,
        "image_name": notice.get("source_name"),
    }
    return {name: _printable(str(value)) for name, value in wanted.items() if value}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


_PLAIN = str.maketrans({"`": "'", '"': "'", "\\": "/", "<": "(", ">": ")", "&": "+"})


def plain(text: str) -> str:
    """Return what others have written for a chat's span of code, which it cannot end.

    A client reads ``<``, ``>`` and ``&`` before all else, for links and mentions. The other signs end a span, or the
    JSON in which a rule of EventBridge puts the text.
    """
    return "".join(char if char.isprintable() else " " for char in text).translate(_PLAIN)


def with_plain(notice: Mapping[str, Any]) -> dict[str, Any]:
    """Add what a chat channel shows of a notice, as plain text (deploy/chat.yaml)."""
    first: Mapping[str, Any] = next(iter(notice.get("faults") or ()), {})
    said = {
        "name": notice.get("source_name", ""),
        "what": first.get("what") or notice.get("why") or "",
        "cure": first.get("cure", ""),
    }
    return {**notice, "plain": {name: plain(str(text)) for name, text in said.items()}}


def subject(notice: Mapping[str, Any]) -> str:
    """Return a line for people who subscribe by mail: printable ASCII, as short as SNS wants it."""
    place = f" in {notice['account']}" if notice.get("account") else ""
    file = f"targets file {notice.get('version')}" if notice["event"] == APPLIED else ""
    image = file or notice.get("source_image", count(len(notice.get("images", ())), "AMI"))
    name = f" ({notice['source_name']})" if notice.get("source_name") else ""
    text = f"{image} {notice['outcome']}{place}{name}"
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:SUBJECT_LENGTH]


def _of_delivery(delivery: Delivery, event: str, now: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": digest(delivery.id, str(delivery.episode), event),
        "event": event,
        "at": now,
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


def _of_promotion(promotion: Promotion, event: str, now: int, *cause: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": digest(promotion.hub, promotion.ami, str(promotion.episode), event, *cause),
        "event": event,
        "at": now,
        "episode": promotion.episode,
        "hub": promotion.hub,
        "source_image": promotion.ami,
        "source_name": promotion.image_name,
    }


def _faults(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    listed = list(faults)
    reported = [
        {name: str(value)[:MAX_TEXT] for name, value in fault.to_json().items()} for fault in listed[:MAX_FAULTS]
    ]
    if len(listed) > MAX_FAULTS:
        rest = f"{count(len(listed) - MAX_FAULTS, 'more fault')}: `ami-promoter status` lists all."
        reported.append({"code": "more", "where": "", "what": rest, "cure": ""})
    return reported
