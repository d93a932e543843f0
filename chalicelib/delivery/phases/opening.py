"""Opening: hold the shares that the delivery needs, and wait until the share worker has opened them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from chalicelib.delivery import holdings, leftovers, permissions, slots
from chalicelib.delivery.model import CopyState, Delivery, DeliveryState
from chalicelib.delivery.phase import Command, DeadlinePassed, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.copying import COPY
from chalicelib.delivery.phases.ending import CANCELS, ENDING, begin_again, cancel, fail
from chalicelib.delivery.phases.imaging import REGISTER, VERIFY
from chalicelib.delivery.phases.launching import NEXT, complete
from chalicelib.engine import schedule
from chalicelib.engine.transitions import leads
from chalicelib.sharing.entitlement import SETTINGS_CHANGED
from chalicelib.targets import approvals

OPEN = StateEntry(DeliveryState.OPENING)

BEGINS_AGAIN = (approvals.NOT_APPROVED, SETTINGS_CHANGED)
"""Codes of faults for which only another episode can open its shares."""
FAULT_OF_BEFORE = 5 * schedule.MINUTE
"""For this time an opening share may still have the fault of an earlier episode."""

_CURE = "Look at the function `share-worker`: its dead letters and errors; then tag the AMI again."


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    steps = holdings.steps(delivery, now)
    return (*slots.reports(delivery), *leftovers.deletes(delivery, now), *steps)


def _seen(event: holdings.SharesSeen, delivery: Delivery, now: int) -> Delivery:
    """Continue if all are open. This look also decides a passed deadline: they may have opened during an outage."""
    if event.open:
        return _opened(replace(delivery, last_refusal=None), now)
    waits_for = event.waits_for
    asked_again = now >= delivery.entered[OPEN.state] + FAULT_OF_BEFORE
    if waits_for is not None and waits_for.code in BEGINS_AGAIN and asked_again:
        return cancel(delivery, now, waits_for)  # the next episode asks for another approval, or has new settings
    if now >= delivery.copies_due_by:
        late = replace(delivery, last_refusal=waits_for or delivery.last_refusal)
        return fail(late, now, trouble.deadline_fault(late, waits_for.cure if waits_for else _CURE))
    if event.refused is not None:
        return fail(delivery, now, event.refused)
    return replace(delivery, last_refusal=waits_for)


def _opened(delivery: Delivery, now: int) -> Delivery:
    delivery = delivery.with_holdings(opened_at=now)
    if delivery.in_share_mode:
        return complete(delivery, now)
    if delivery.image.adopted and delivery.image.id:
        return VERIFY(delivery, now)
    copied = delivery.copies and all(copy.state is CopyState.COMPLETED for copy in delivery.copies)
    return REGISTER(delivery, now) if copied or delivery.copies_image else COPY(delivery, now)


def _role_renamed(event: holdings.RoleRenamed, delivery: Delivery, now: int) -> Delivery:
    """Hold what the new role needs. What may wait for the former role would never open."""
    after = permissions.renamed(delivery, event.role, now)
    return after if after.holdings.needed == delivery.holdings.needed else begin_again(delivery, now)


def _too_long(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    return fail(delivery, now, trouble.deadline_fault(delivery, _CURE))


_ONCE_SEEN = (OPEN, COPY, REGISTER, VERIFY, *NEXT, *ENDING)

PHASES = {
    DeliveryState.OPENING: Phase(
        on={
            slots.SlotsAsked: leads(slots.asked, OPEN),
            holdings.RoleRenamed: leads(_role_renamed, OPEN, *ENDING),
            holdings.SharesHeld: leads(partial(holdings.held, look=_seen), *_ONCE_SEEN),
            holdings.SharesSeen: leads(_seen, *_ONCE_SEEN),
            leftovers.SnapshotsDeleted: leads(leftovers.deleted, OPEN),
            Refused: leads(trouble.refused, OPEN, *ENDING),
            **CANCELS,
            DeadlinePassed: leads(_too_long, *ENDING),
        },
        outstanding=_outstanding,
        looks=lambda delivery, _now: (holdings.LookAtShares(),) if delivery.holdings.held else (),
        deadline=lambda delivery: delivery.copies_due_by,
        deadline_acts=lambda delivery: not delivery.holdings.held,  # then a read of the ledger decides it
    )
}
