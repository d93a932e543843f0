"""Promotions and deliveries as data for people and programs. Pure: computed from records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ami_promoter.hub import recalls, shares, withdrawals
from ami_promoter.hub.records import RecordSeen, place_of
from ami_promoter.promotions import pointers, waves
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.delivery import preflight
from chalicelib.delivery.model import ENDED, Copy, CopyState, Delivery, DeliveryState
from chalicelib.delivery.outcomes import OUTCOMES, BeginsAgain
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine import schedule
from chalicelib.engine.faults import MOST_FAULTS, Fault
from chalicelib.promotion.machine import has_news, withdraws
from chalicelib.promotion.model import Promotion, PromotionState
from chalicelib.targets.recalls import Recall

STOPPED = tuple(state for state, one in OUTCOMES.items() if not (one.there or one.in_wave))
"""The outcomes of deliveries that somebody ended."""
BAD = tuple(state for state, one in OUTCOMES.items() if one.begins_again in (BeginsAgain.ASKED, BeginsAgain.WANTED))
"""The outcomes of deliveries that have no AMI in the target, or no longer."""
NOT_COPYING = ("stopping", "tidying", *BAD)
"""States in which no copy is awaited: what still runs ends, or is deleted."""
COME_OUT = (*GOOD, *reversed(STOPPED))
"""The outcome of a promotion of which nothing failed is the first of these that a delivery of it has."""


def _fault(says: str) -> js.Schema:
    """A fault of which some members may be missing; null: there is none."""
    return js.perhaps(js.described(says, js.some_of(js.FAULT, "where", "what", "cure")))


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
_LAUNCH_TEST = js.perhaps(
    js.thing(
        "the launch test of the AMI in the target; null: the target has none",
        instance_type=js.text("type of the instance that must start from the AMI"),
        result=js.text(
            "passed, failed, untested (it could not be tested), or stopped (it was cancelled or recalled); empty: the "
            "test has no result yet"
        ),
        console=js.text("end of the instance's console output, if the AMI failed; only `status` of one AMI shows it"),
    )
)
_DELIVERY = js.thing(
    "the delivery to one target",
    id=js.perhaps(js.text("id of the delivery, as records, tags and notices contain it")),
    account=js.perhaps(js.text("account id of the target")),
    region=js.perhaps(js.text("Region of the target")),
    state=js.text(
        "state of the delivery: awaiting-wave, awaiting-approval, requested, awaiting-role, awaiting-slot, opening, "
        "copying, ... delivered, shared, failed, cancelled, withdrawn, recalling, restoring, recalled"
    ),
    since=js.time("when it entered this state"),
    tries=js.number("how many attempts of the current step did not complete it"),
    next_look=js.time("latest time at which the service will look at the delivery again"),
    method=js.text("how the service copies: snapshots (CopySnapshot and RegisterImage) or image (CopyImage)"),
    method_why=js.text("why the service chose this method; empty: the targets file sets it"),
    image=js.perhaps(js.text("id of the AMI in the target; null: there is none yet, or it was removed")),
    family=js.text("family of the source AMI, as its tag names it; empty: it has none"),
    pointer=js.perhaps(
        js.described("the parameter that names the family's current AMI there; null: there is none", pointers.SCHEMA)
    ),
    key=js.perhaps(js.text("ARN of the target's KMS key; null: the service does not know it yet")),
    copies=js.several("one entry for each snapshot that is copied", _COPY),
    cancelled_because=js.text("why the delivery was cancelled or withdrawn; empty: it was not"),
    recall=recalls.DONE,
    launch_test=_LAUNCH_TEST,
    faults=js.FAULTS,
    waits_for=_fault("the fault that delays the delivery; null: none"),
    protect=js.flag("whether the targets file asks for deregistration protection of the AMI"),
    protected=js.flag("whether the service has turned deregistration protection on"),
    unprotected=_fault("why the service could not turn deregistration protection on; null: no fault"),
    without_roles=_fault(
        "why no service-linked role has a grant on the key, although the default names one; null: no fault"
    ),
    leftovers=js.several(
        "resources that the delivery created and could not remove; empty until the delivery has ended", js.text("an id")
    ),
    parked=js.text("why the service has parked its record; empty: it is not parked"),
)
PROMOTION = {
    "ami": js.text("id of the source AMI"),
    "name": js.text("name of the source AMI"),
    "state": js.perhaps(js.text("state of the promotion: requested, comparing, adjusting, running or over")),
    "outcome": js.text(
        "how it came out: delivered, failed, refused, cancelled, withdrawn or recalled; empty: it is not over, or has "
        "had no delivery"
    ),
    "since": js.time("when it entered this state"),
    "value": js.perhaps(js.text("value of the tag that is in force; null: none")),
    "candidate": js.perhaps(js.text("value of the tag that the service is checking; null: none")),
    "why": js.text("why the promotion is in this state; empty: no reason is recorded"),
    "parked": js.text("why the service has parked its record; empty: it is not parked"),
    "faults": js.several(
        f"why the service refuses the value, the source or an account, {MOST_FAULTS} at most; empty: it refuses none",
        js.FAULT,
    ),
}
PAGE = js.thing(
    "one promotion with its deliveries",
    **PROMOTION,
    seen_value=js.perhaps(js.text("value of the tag when the service last read it; null: the AMI had no tag")),
    looks_again=js.flag(
        "whether the service will read the tag again: an operator asked for it, or one read found no tag and a second "
        "read must confirm that"
    ),
    withdrawn=withdrawals.SCHEMA,
    recall=recalls.SCHEMA,
    approval=js.perhaps(js.text("digest that an approver must approve; null: no delivery waits for an approval")),
    waves=waves.SCHEMA,
    refused=js.flag("whether the service refuses the tag's present value or the source AMI"),
    deliveries=js.several("deliveries, sorted by account and Region", _DELIVERY),
    open_shares=js.several("shares that are open for this promotion now", shares.SCHEMA),
)


def promotion(record: RecordSeen[Promotion], deliveries: Iterable[RecordSeen[Any]]) -> dict[str, Any]:
    """Show a promotion; of its ``deliveries`` only the states count."""
    one = record.it
    comparing = one.state is PromotionState.COMPARING and one.seen_value != one.value
    return {
        "ami": one.ami,
        "name": one.image_name,
        "state": record.state,
        "outcome": _came_out(record, {each.state for each in deliveries}),
        "since": moment(one.since),
        "value": one.value,
        "candidate": one.seen_value if comparing else None,
        "why": " ".join([one.why, *(fault.what for fault in record.faults)]).strip(),
        "parked": record.parked,
        "faults": [fault.to_json() for fault in (*one.faults, *record.faults)],
    }


def _came_out(record: RecordSeen[Promotion], states: Collection[str]) -> str:
    """Return how a promotion came out, in a word; "" while it is under way, or if it has had no delivery."""
    if record.state != PromotionState.OVER:
        return ""
    if record.it.is_refused:
        return "refused"
    if "failed" in states or (states and record.it.faults):
        return "failed"
    found = next((word for word in COME_OUT if word in states), "")
    return "delivered" if found == "shared" else found


def counts(found: Iterable[RecordSeen[Any]]) -> dict[str, int]:
    """Count deliveries or promotions by state."""
    return dict(sorted(Counter(one.state for one in found).items()))


def page(
    record: RecordSeen[Promotion],
    deliveries: Sequence[RecordSeen[Delivery]],
    open_shares: Sequence[Mapping[str, Any]],
    now: float,
    found: pointers.Pointers = MappingProxyType({}),
    recall: Recall | None = None,
    *,
    consoles: bool = False,
) -> dict[str, Any]:
    """Show a promotion with its deliveries. ``found``: their pointers; ``consoles``: also consoles of launch tests.

    Who reads one AMI adds its waves and withdrawals, for which other tables are read (``reading.read_page``).
    """
    one = record.it
    shown = sorted((delivery(each, now, found, consoles=consoles) for each in deliveries), key=place_of)
    awaits = any(each["state"] == DeliveryState.AWAITING_APPROVAL for each in shown)
    asked = has_news(one) or withdraws(one)
    return {
        **promotion(record, deliveries),
        "approval": one.asked.digest if awaits else None,
        "seen_value": one.seen_value,
        "looks_again": asked or bool(one.absent_since),
        "withdrawn": {},
        "recall": recalls.to_json(recall),
        "waves": [],
        "refused": one.is_refused,
        "deliveries": shown,
        "open_shares": list(open_shares),
    }


def only_failed(shown: Mapping[str, Any], *, and_pointers: bool = False) -> dict[str, Any]:
    """Return a page with only the deliveries that a person must look at.

    A cancelled or withdrawn delivery is one of them only if it left something behind. ``and_pointers``: one whose
    pointer has a fault, too; all AMIs of the family that were delivered to the target share it.
    """

    def bad(one: Mapping[str, Any]) -> bool:
        signs = one["state"] == "failed", one["faults"], one["parked"], one["leftovers"]
        return any(signs) or (and_pointers and bool(one["pointer"] and one["pointer"]["fault"]))

    return {**shown, "deliveries": list(filter(bad, shown["deliveries"]))}


def in_trouble(shown: Mapping[str, Any]) -> bool:
    """Whether a person must look at a promotion, by its page."""
    return bool(shown["faults"] or shown["parked"] or only_failed(shown)["deliveries"])


def delivery(
    record: RecordSeen[Delivery], now: float, found: pointers.Pointers, *, consoles: bool = False
) -> dict[str, Any]:
    """Show a delivery; ``now`` is in epoch seconds."""
    one, state = record.it, record.state
    left = [*one.cleanup.leftovers, *one.cleanup.unproven] if state in ENDED else []
    return {
        "id": one.id,
        "account": one.target.account,
        "region": one.target.region,
        "state": state,
        "since": moment(one.entered.get(state)),
        "tries": one.tries,
        "next_look": moment(record.item.get("due_at")),
        "method": one.method,
        "method_why": one.method_why,
        "image": None if state in BAD and one.image.id not in left else one.image.id,
        "family": one.naming.family,
        "pointer": pointers.of_delivery(record, found),
        "key": one.key_arn or None,
        "copies": [_copy(one, each, now, awaited=state not in NOT_COPYING) for each in one.copies],
        "cancelled_because": one.because if state in ("cancelled", "withdrawn") else "",
        "recall": recalls.of_delivery(one, state),
        "launch_test": _launch_test(one, consoles=consoles),
        "faults": [fault.to_json() for fault in (*one.failures, *record.faults)],
        "waits_for": _to_json(one.last_refusal),
        "protect": one.target.protect and not one.in_share_mode,
        "protected": one.image.protected,
        "unprotected": _to_json(one.unprotected),
        "without_roles": _to_json(preflight.without_roles(one) if one.outcome in GOOD else None),
        "leftovers": left,
        "parked": record.parked,
    }


def _launch_test(delivery: Delivery, *, consoles: bool) -> dict[str, Any] | None:
    """Show a delivery's launch test; None: the target has none. ``consoles``: with the console output.

    The end of that may hold secrets: `status` of one AMI shows it, and nothing else does.
    """
    test, launch = delivery.target.launch_test, delivery.launch
    if test is None and not launch.result:
        return None
    console = launch.console if consoles else ""
    return {"instance_type": test.instance_type if test else "", "result": launch.result, "console": console}


def awaited_copies(delivery: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the copies of a delivery that has no AMI yet and awaits them."""
    return [] if delivery["image"] or delivery["state"] in NOT_COPYING else delivery["copies"]


def _to_json(fault: Fault | None) -> dict[str, Any] | None:
    return None if fault is None else fault.to_json()


def _copy(delivery: Delivery, copy: Copy, now: float, *, awaited: bool) -> dict[str, Any]:
    seen = progress_at(copy) if awaited else None
    began = None if delivery.ended else delivery.intended_at(copy.source) or None
    return {
        "source": copy.source,
        "state": copy.state.value,
        "copy": copy.id,
        "progress": copy.progress,
        "progress_at": moment(seen),
        "tries": copy.tries,
        "began_at": moment(began),
        "seconds_left": seconds_left(copy.progress, began, seen, now),
    }


def progress_at(copy: Copy) -> int | None:
    """Return when EC2 last reported a copy's progress: each look sets the next one the longest of ``COPY_POLLS`` later.

    None if EC2 has not reported it yet, or the copy is over.
    """
    if copy.state is not CopyState.PENDING or not (copy.progress and copy.next_look):
        return None
    return copy.next_look - schedule.COPY_POLLS[-1]


def seconds_left(progress: int, began: int | None, seen: int | None, now: float) -> int | None:
    """Estimate how long a copy still takes, by its pace until ``seen``, when EC2 reported its progress.

    None: no estimate is possible; 0: it should have ended by now.
    """
    if seen is None or began is None or not 0 < progress < 100 or seen <= began:
        return None
    end: float = began + (seen - began) * 100 / progress
    return max(0, round(end - now))
