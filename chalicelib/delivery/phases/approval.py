"""Awaiting an approver, before the delivery looks at the target."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery, DeliveryState, Naming
from chalicelib.delivery.moves import again
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.checking import REQUEST
from chalicelib.delivery.phases.ending import TIDY, begin_again, cancelled, fail, waits
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads

AWAIT = StateEntry(DeliveryState.AWAITING_APPROVAL)
_CURE = "No approver has approved it. `ami-promoter approve`, then `ami-promoter retry`."


class LookAtApproval(Command):
    """Read whether an approver has approved the delivery."""

    acts = False


@dataclass(frozen=True, slots=True)
class ApprovalSeen(DeliveryEvent):
    """The approval was read. ``by``: its approver; "": there is none.

    ``changed``: it is for settings that were applied after this delivery began. ``gone``: EC2 does not show the AMI, so
    it cannot be approved. ``source``: the name of the source that was approved; ``naming``: what names its AMI.
    """

    by: str = ""
    changed: bool = False
    gone: bool = False
    source: str = ""
    naming: Naming | None = None


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    return (LookAtApproval(),) if now >= delivery.next_try else ()


def _seen(event: ApprovalSeen, delivery: Delivery, now: int) -> Delivery:
    """Continue if it is approved. A delivery keeps the settings of its start; other settings need a new delivery."""
    if event.changed:
        return begin_again(delivery, now)
    if event.by:
        source, naming = event.source or delivery.source, event.naming or delivery.naming
        return REQUEST(replace(delivery, approved_by=event.by, source=source, naming=naming), now)
    if delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if now < delivery.next_try:  # an early look does not count as a try
        return delivery
    gone = _gone(delivery) if event.gone else None
    if gone is not None and delivery.last_refusal == gone:  # the previous look did not show it either
        return fail(delivery, now, gone)
    return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), last_refusal=gone)


def _gone(delivery: Delivery) -> Fault:
    what = f"{delivery.ami} was deregistered, or no longer belongs to the hub; no approver had approved it."
    return Fault("source-gone", delivery.where, what, "Nothing was opened. Tag another AMI.")


PHASES = {
    DeliveryState.AWAITING_APPROVAL: Phase(
        on={
            ApprovalSeen: leads(_seen, AWAIT, REQUEST, TIDY),
            Refused: leads(waits, AWAIT),
            CancelAsked: leads(cancelled, TIDY),
            DeadlinePassed: leads(trouble.looks_once_more(_CURE), AWAIT, TIDY),
        },
        outstanding=_outstanding,
        deadline=lambda delivery: delivery.entered[AWAIT.state] + schedule.APPROVAL_DEADLINE,
        looks=lambda _delivery, _now: (LookAtApproval(),),
    )
}
