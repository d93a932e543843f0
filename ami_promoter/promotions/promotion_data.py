"""Promotions and deliveries as data for people and programs. Pure: computed from records.

Only this module and ``hub/records.py`` read a record's body.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ami_promoter.hub.records import Record, cancelled_by, part, unread, withdrawn_in
from ami_promoter.promotions import shares
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.core.delivery.model import ENDED, DeliveryState
from chalicelib.core.promotion.model import MOST_FAULTS, PromotionState
from chalicelib.core.records import schedule
from chalicelib.core.targets.withdrawals import covering

BAD = ("failed", "cancelled", "withdrawn")
"""States of deliveries that have no AMI in the target, or no longer."""

_COPY = js.thing(
    "the copy of one snapshot",
    source=js.perhaps(js.text("id of the source snapshot")),
    state=js.perhaps(js.text("state of the copy: wanted, intended, pending, completed or error")),
    copy=js.perhaps(js.text("id of the copy in the target; null: the service does not know it yet")),
    progress=js.perhaps(js.number("progress in percent, as EC2 last reported it")),
    progress_at=js.time("when EC2 last reported the progress"),
    tries=js.number("how many times the service started this copy"),
    began_at=js.time("when the service last started this copy"),
    seconds_left=js.perhaps(
        js.number("estimated seconds until the copy completes, from its progress so far; null: no estimate")
    ),
)
_DELIVERY = js.thing(
    "the delivery to one target",
    id=js.perhaps(js.text("id of the delivery, as records, tags and notices contain it")),
    account=js.perhaps(js.text("account id of the target")),
    region=js.perhaps(js.text("Region of the target")),
    state=js.text(
        "state of the delivery: awaiting-approval, requested, checking, waiting, opening, copying, ... delivered, "
        "shared, failed, cancelled, withdrawn"
    ),
    since=js.time("when it entered this state"),
    tries=js.number("how many attempts of the current step did not complete it"),
    next_look=js.time("latest time at which the service will look at the delivery again"),
    method=js.text("how the service copies: snapshots (CopySnapshot and RegisterImage) or image (CopyImage)"),
    method_why=js.text("why the service chose this method; empty: the targets file sets it"),
    image=js.perhaps(js.text("id of the AMI in the target; null: there is none yet")),
    key=js.perhaps(js.text("ARN of the target's KMS key; null: the service does not know it yet")),
    copies=js.several("one entry for each snapshot that is copied", _COPY),
    cancelled_because=js.text("why the delivery was cancelled or withdrawn; empty: it was not"),
    faults=js.FAULTS,
    waits_for=js.perhaps(
        js.described("the fault that delays the delivery; null: none", js.some_of(js.FAULT, "where", "what", "cure"))
    ),
    protect=js.flag("whether the targets file asks for deregistration protection of the AMI"),
    protected=js.flag("whether the service has turned deregistration protection on"),
    unprotected=js.perhaps(
        js.described(
            "why the service could not turn deregistration protection on; null: no fault",
            js.some_of(js.FAULT, "where", "what", "cure"),
        )
    ),
    leftovers=js.several(
        "resources that the delivery created and could not remove; empty until the delivery has ended", js.text("an id")
    ),
    parked=js.text("why the service has parked its record; empty: it is not parked"),
)
PROMOTION = {
    "ami": js.text("id of the source AMI"),
    "name": js.text("name of the source AMI"),
    "state": js.perhaps(js.text("state of the promotion: requested, resolving, expanding, running or over")),
    "since": js.time("when it entered this state"),
    "value": js.perhaps(js.text("value of the tag that is in force; null: none")),
    "candidate": js.perhaps(js.text("value of the tag that the service is checking; null: none")),
    "why": js.text("why the promotion is in this state; empty: no reason is recorded"),
    "parked": js.text("why the service has parked its record; empty: it is not parked"),
}
PAGE = js.thing(
    "one promotion with its deliveries",
    **PROMOTION,
    seen_value=js.perhaps(js.text("value of the tag when the service last read it; null: the AMI had no tag")),
    looks_again=js.flag(
        "whether the service will read the tag again: an operator asked for it, or one read found no tag and a second "
        "read must confirm that"
    ),
    withdrawn=js.mapping(
        "withdrawals in force until the tag has another value, by account or ACCOUNT/REGION",
        js.text("ARN of the operator who withdrew it"),
    ),
    approval=js.perhaps(js.text("digest that an approver must approve; null: no delivery waits for an approval")),
    refused=js.flag("whether the service refuses the tag's present value or the source AMI"),
    faults=js.several(
        f"why the service refuses the value, the source or an account, {MOST_FAULTS} at most; empty: it refuses none",
        js.FAULT,
    ),
    deliveries=js.several("deliveries, sorted by account and Region", _DELIVERY),
    open_shares=js.several("shares that are open for this promotion now", shares.SCHEMA),
)


def promotion(record: Record) -> dict[str, Any]:
    """Show a promotion."""
    said = bool(record.get("faults")) or record.get("value") is None
    return {
        "ami": record["_item"]["pk"].removeprefix("promotion#"),
        "name": record.get("image_name", ""),
        "state": record.get("state"),
        "since": moment(record.get("since")),
        "value": record.get("value"),
        "candidate": _candidate(record),
        "why": record.get("why", "") if said else "",
        "parked": record["_item"].get("parked", ""),
    }


def _candidate(record: Record) -> str | None:
    seen = record.get("seen_value")
    return None if record.get("state") != PromotionState.RESOLVING or seen == record.get("value") else seen


def _is_refused(record: Record) -> bool:
    """Whether the tag's value is refused, or the source for what is wanted now."""
    unfit = record.get("unfit", "")
    return record.get("refused_value") is not None or (unfit != "" and unfit == record.get("inputs"))


def _asked(record: Record) -> bool:
    return any(unread(record, name) is not None for name in ("retry", "withdraw"))


def counts(tracked: Iterable[Record]) -> dict[str, int]:
    """Count deliveries or promotions by state."""
    return dict(sorted(Counter(str(entry.get("state")) for entry in tracked).items()))


def page(
    record: Record, deliveries: Sequence[Record], open_shares: Sequence[Mapping[str, Any]], now: float
) -> dict[str, Any]:
    """Show a promotion with its deliveries."""
    shown = sorted((delivery(one, record, now) for one in deliveries), key=_place)
    awaits = any(one["state"] == DeliveryState.AWAITING_APPROVAL for one in shown)
    return {
        **promotion(record),
        "approval": str(record.get("approval_digest", "")) if awaits else None,
        "seen_value": record.get("seen_value"),
        "looks_again": _asked(record) or bool(record.get("absent_since")),
        "withdrawn": withdrawn_in(record),
        "refused": _is_refused(record),
        "faults": record.get("faults", []),
        "deliveries": shown,
        "open_shares": list(open_shares),
    }


def only_failed(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page with only the deliveries that a person must look at.

    A cancelled or withdrawn delivery is one of them only if it left something behind.
    """
    signs = ("faults", "parked", "leftovers")
    bad = [one for one in shown["deliveries"] if one["state"] == "failed" or any(one[sign] for sign in signs)]
    return {**shown, "deliveries": bad}


def _place(shown: Mapping[str, Any]) -> tuple[str, str]:
    return str(shown.get("account")), str(shown.get("region"))


def delivery(record: Record, of: Record, now: float) -> dict[str, Any]:
    """Show a delivery of the promotion ``of``; ``now`` is in epoch seconds."""
    target, state, cleanup = record.get("target", {}), record.get("state", ""), record.get("cleanup", {})
    item, image = record["_item"], part(record, "image")
    ended = state in ENDED
    return {
        "id": record.get("id"),
        "account": target.get("account"),
        "region": target.get("region"),
        "state": state,
        "since": moment(record.get("entered", {}).get(state)),
        "tries": _whole(record.get("tries")),
        "next_look": moment(item.get("due_at")),
        "method": record.get("method", "snapshots"),
        "method_why": record.get("method_why", ""),
        "image": image.get("id"),
        "key": record.get("key_arn") or None,
        "copies": [_copy(one, now) for one in record.get("copies", ())],
        "cancelled_because": _because(record, of) if state in ("cancelled", "withdrawn") else "",
        "faults": record.get("faults", []),
        "waits_for": None if ended else record.get("last_refusal") or part(record, "shares").get("wait_for"),
        "protect": target.get("protect", True) is not False and target.get("mode") != "share",
        "protected": image.get("protected") is True,
        "unprotected": image.get("unprotected"),
        "leftovers": [*cleanup.get("leftovers", []), *cleanup.get("unproven", [])] if ended else [],
        "parked": item.get("parked", ""),
    }


def _copy(copy: Mapping[str, Any], now: float) -> dict[str, Any]:
    began, seen = copy.get("intended_at"), progress_at(copy)
    return {
        "source": copy.get("source"),
        "state": copy.get("state", "wanted"),  # records leave out what has its default
        "copy": copy.get("copy"),
        "progress": copy.get("progress", 0),
        "progress_at": moment(seen),
        "tries": _whole(copy.get("tries")),
        "began_at": moment(began),
        "seconds_left": seconds_left(copy.get("progress", 0), began, seen, now),
    }


def progress_at(copy: Mapping[str, Any]) -> int | None:
    """Return when EC2 last reported a copy's progress: each look sets the next one a step of ``POLLS`` later.

    None if EC2 has not reported it yet, or the copy is over.
    """
    looks, following = _whole(copy.get("looks")), _whole(copy.get("next_look"))
    if copy.get("state") != "pending" or not _whole(copy.get("progress")) or not (looks and following):
        return None
    return following - schedule.step(schedule.POLLS, looks - 1)


def seconds_left(progress: Any, began: Any, seen: int | None, now: float) -> int | None:
    """Estimate how long a copy still takes, by its pace until ``seen``, when EC2 reported its progress.

    None: no estimate is possible; 0: it should have ended by now.
    """
    if seen is None or not isinstance(began, int) or not 0 < progress < 100 or seen <= began:
        return None
    ends: float = began + (seen - began) * 100 / progress
    return max(0, round(ends - now))


def _because(record: Record, of: Record) -> str:
    if cancelled_by(record) == "drain":
        return "An operator drained the hub."
    if part(record, "sharing").get("expired") is True:
        return "The date `until` of the targets file has come."
    by = covering(withdrawn_in(of), "/".join(map(str, _place(record.get("target", {})))))
    if by is not None:
        return f"Withdrawn by {by}."
    if 0 < _whole(of.get("generation")) <= _whole(of.get("gone")):
        return "The AMI is gone or disabled."
    if of.get("value") is None:
        return str(of.get("why") or "Its tag was removed.")
    return "The tag's value and the applied targets file no longer name it."


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
