"""Awaiting its wave, before the delivery looks at the target, or for its approval."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.moves import again
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import approval, trouble
from chalicelib.delivery.phases.checking import REQUEST
from chalicelib.delivery.phases.ending import TIDY, begin_again, cancelled, fail, waits
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads
from chalicelib.targets import approvals

AWAIT_WAVE = StateEntry(DeliveryState.AWAITING_WAVE)
_CURE = "See `ami-promoter status` for what its wave waits for; then `retry`."

LOOKS = (*schedule.POLLS, schedule.HOUR)
"""Times between looks: the promotion wakes it as soon as it knows when the wave opens."""


class LookAtWave(Command):
    """Read which wave its account has now, and what its promotion has computed for that."""

    acts = False


@dataclass(frozen=True, slots=True)
class WaveSeen(DeliveryEvent):
    """How far its wave is was read. ``opens_at``: when it opens (epoch seconds); 0: that is not known yet.

    ``changed``: it is open, and the applied file has other settings than this delivery began with. ``gone``: EC2 does
    not show the AMI. ``why``: why it waits, if a person must act.
    """

    open: bool = False
    changed: bool = False
    opens_at: int = 0
    gone: bool = False
    why: Fault | None = None


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    return (LookAtWave(),) if now >= delivery.next_try else ()


def _seen(event: WaveSeen, delivery: Delivery, now: int) -> Delivery:
    if event.open and event.changed:
        return begin_again(delivery, now)
    if event.open:
        return (approval.AWAIT if approvals.needs(delivery.target) else REQUEST)(delivery, now)
    if event.gone:
        what = f"{delivery.ami} was deregistered, disabled, or no longer belongs to the hub, before its wave opened."
        return fail(delivery, now, Fault("source-gone", delivery.where, what, "Nothing was opened. Tag another AMI."))
    if delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure, *((event.why,) if event.why else ()))
    opens_at = event.opens_at if event.opens_at > now else now + schedule.DAY
    if now < delivery.next_try:  # an early look does not count as a try
        return replace(delivery, next_try=min(delivery.next_try, opens_at), last_refusal=event.why)
    wait = min(schedule.step(LOOKS, delivery.tries), opens_at - now)
    return again(delivery, now, wait, last_refusal=event.why)


PHASES = {
    DeliveryState.AWAITING_WAVE: Phase(
        on={
            WaveSeen: leads(_seen, AWAIT_WAVE, approval.AWAIT, REQUEST, TIDY),
            Refused: leads(waits, AWAIT_WAVE),
            CancelAsked: leads(cancelled, TIDY),
            DeadlinePassed: leads(trouble.looks_once_more(_CURE), AWAIT_WAVE, TIDY),
        },
        outstanding=_outstanding,
        deadline=lambda delivery: delivery.entered[AWAIT_WAVE.state] + schedule.WAVE_DEADLINE,
        looks=lambda _delivery, _now: (LookAtWave(),),
    )
}
