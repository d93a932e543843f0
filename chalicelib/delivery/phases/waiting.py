"""Awaiting its wave, and then an approver, before the delivery looks at the target."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.common_changes import again
from chalicelib.delivery.model import Delivery, DeliveryState, Naming
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.checking import REQUEST
from chalicelib.delivery.phases.ending import TIDY, begin_again, cancelled, fail, try_later
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Row, leads
from chalicelib.targets import approvals

AWAIT_WAVE, AWAIT = StateEntry(DeliveryState.AWAITING_WAVE), StateEntry(DeliveryState.AWAITING_APPROVAL)
_WAVE_CURE = "See `ami-promoter status` for what its wave waits for; then `retry`."
_APPROVAL_CURE = "No approver has approved it. `ami-promoter approve`, then `ami-promoter retry`."

WAVE_LOOKS = (*schedule.POLLS, schedule.HOUR)
"""Times between looks: the promotion wakes it as soon as it knows when the wave opens."""


class LookAtWave(Command):
    """Read which wave its account has now, and what its promotion has computed for that."""

    between_writes = False


class LookAtApproval(Command):
    """Read whether an approver has approved the delivery."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class WaveSeen(DeliveryEvent):
    """The progress of its wave was read. ``opens_at``: when it opens (epoch seconds); 0: that is not known yet.

    ``changed``: the wave is open, and the applied file has other settings than this delivery began with. ``gone``: why
    no wave is waited for: EC2 does not show the AMI, or the date of its share has come. ``why``: why it waits, if a
    person must act.
    """

    open: bool = False
    changed: bool = False
    opens_at: int = 0
    gone: Fault | None = None
    why: Fault | None = None


@dataclass(frozen=True, slots=True)
class ApprovalSeen(DeliveryEvent):
    """The approval was read. ``by``: its approver; "": there is none.

    ``changed``: settings were applied after this delivery began, and count now. ``gone``: why no approval is waited
    for: EC2 does not show the AMI, it is disabled, or the date of its share has come. ``source``: the name of the
    source that was approved; ``naming``: what names its AMI.
    """

    by: str = ""
    changed: bool = False
    gone: Fault | None = None
    source: str = ""
    naming: Naming | None = None
    keeps_refusal = True


def _wave_seen(event: WaveSeen, delivery: Delivery, now: int) -> Delivery:
    if event.open and event.changed:
        return begin_again(delivery, now)
    if event.open:
        return (AWAIT if approvals.needs(delivery.target) else REQUEST)(delivery, now)
    if event.gone is not None:
        return fail(delivery, now, event.gone)
    if delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure, *((event.why,) if event.why else ()))
    opens_at = event.opens_at if event.opens_at > now else now + schedule.DAY
    if now < delivery.next_try:  # an early look does not count as a try
        return replace(delivery, next_try=min(delivery.next_try, opens_at), last_refusal=event.why)
    wait = min(schedule.step(WAVE_LOOKS, delivery.tries), opens_at - now)
    return again(delivery, now, wait, last_refusal=event.why)


def _approval_seen(event: ApprovalSeen, delivery: Delivery, now: int) -> Delivery:
    """Continue if it is approved. A delivery keeps the settings of its start; other settings need a new delivery."""
    if event.gone is None:  # an early look that misses the AMI, too, leaves what the one before has shown
        delivery = replace(delivery, last_refusal=None)
    if event.changed:
        return begin_again(delivery, now)
    if event.by:
        source, naming = event.source or delivery.source, event.naming or delivery.naming
        return REQUEST(replace(delivery, approved_by=event.by, source=source, naming=naming), now)
    if delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if now < delivery.next_try:  # an early look does not count as a try
        return delivery
    if event.gone is not None and delivery.last_refusal == event.gone:  # the previous look did not show it either
        return fail(delivery, now, event.gone)
    return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), last_refusal=event.gone)


def _phase(state: StateEntry, look: Command, seen: Row[Delivery], lasts: int, cure: str) -> Phase:
    """Return a phase that only looks. ``seen``: what the look leads to; ``lasts``: for how long, in seconds."""
    return Phase(
        on={
            **seen,
            Refused: leads(try_later, state),
            CancelAsked: leads(cancelled, TIDY),
            DeadlinePassed: leads(trouble.looks_once_more(cure), state, TIDY),
        },
        outstanding=lambda delivery, now: (look,) if now >= delivery.next_try else (),
        deadline=lambda delivery: delivery.entered[state.state] + lasts,
        looks=lambda _delivery, _now: (look,),
        may_last=True,
    )


_OF_WAVE: Row[Delivery] = {WaveSeen: leads(_wave_seen, AWAIT_WAVE, AWAIT, REQUEST, TIDY)}
_OF_APPROVAL: Row[Delivery] = {ApprovalSeen: leads(_approval_seen, AWAIT, REQUEST, TIDY)}
PHASES = {
    AWAIT_WAVE.state: _phase(AWAIT_WAVE, LookAtWave(), _OF_WAVE, schedule.WAVE_DEADLINE, _WAVE_CURE),
    AWAIT.state: _phase(AWAIT, LookAtApproval(), _OF_APPROVAL, schedule.APPROVAL_DEADLINE, _APPROVAL_CURE),
}
