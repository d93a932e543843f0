"""The state machine of a delivery, gathered from its phases: what can follow, what is left to do, and when.

Everything derives from the record alone. So a crash loses nothing: the next invocation reads the record and asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chalicelib.delivery import holdings, slots
from chalicelib.delivery.common_changes import extended
from chalicelib.delivery.model import BY_DATE, Delivery, DeliveryState
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase
from chalicelib.delivery.phases import (
    awaiting_slot,
    checking,
    copying,
    ending,
    imaging,
    launching,
    opening,
    publishing,
    recalling,
    waiting,
)
from chalicelib.engine import transitions
from chalicelib.targets import approvals

_FILES = (waiting, checking, awaiting_slot, opening, copying, imaging, launching, publishing, recalling, ending)

PHASES: Mapping[DeliveryState, Phase] = {state: phase for one in _FILES for state, phase in one.PHASES.items()}

TRANSITIONS: Mapping[DeliveryState, transitions.Row[Delivery]] = {
    state: PHASES[state].on if state in PHASES else {} for state in DeliveryState
}


def started(delivery: Delivery, now: int, *, waits: bool = False) -> Delivery:
    """Prepare a new delivery, or a new episode of an ended one, for its first step. ``waits``: for its wave."""
    first = (waiting.AWAIT if approvals.needs(delivery.target) else checking.REQUEST).state
    first = waiting.AWAIT_WAVE.state if waits else first
    return replace(delivery, state=first, entered={first: now}, next_try=now)


def evolve(delivery: Delivery, event: DeliveryEvent, now: int) -> Delivery:
    """Return the delivery after the event. Raises IllegalEvent if the table does not allow the transition."""
    after = transitions.evolve(TRANSITIONS, delivery, event, now)
    if after.last_refusal is delivery.last_refusal and not event.keeps_refusal:
        return replace(after, last_refusal=None)
    return after


def outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List what is left to do now, from the record alone. Listing and executing can be repeated."""
    return () if delivery.ended else PHASES[delivery.state].outstanding(delivery, now)


def looks(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List what a woken delivery reads: its approval, the hub's own copy, or who waits for a slot."""
    return () if delivery.ended else PHASES[delivery.state].looks(delivery, now)


def record_intent(delivery: Delivery, wanted: Sequence[Command], now: int, nonces: Sequence[str]) -> Delivery:
    """Record the intent of every command that changes AWS, before the command is executed (invariant 3).

    ``nonces``: random texts, one for each of ``wanted`` that creates something (``makes``), in the same order.
    """
    left = iter(nonces)
    intended = delivery
    for command in wanted:
        intended = command.intend(intended, next(left) if command.makes else "", now)
    return intended


def enters_history(before: Delivery, after: Delivery) -> bool:
    """Whether more has changed than the time of the next look and the copies' progress."""
    return before.state is not after.state or _timeless(before) != _timeless(after)


def _timeless(delivery: Delivery) -> Delivery:
    copies = tuple(replace(copy, found_at=0, next_look=0, progress=0) for copy in delivery.copies)
    share_mode = replace(delivery.share_mode, next_read=0)
    timeless = replace(delivery, copies=copies, share_mode=share_mode, tries=0, next_try=0, inbox={})
    return timeless.with_slots(asks=0, next_ask=0, until=0)


def due_events(delivery: Delivery, now: int) -> tuple[DeliveryEvent, ...]:
    """Return an inbox entry or a passed deadline as an event; at most one at a time."""
    if delivery.ended:
        return ()
    phase = PHASES[delivery.state]
    request = delivery.end_request
    if request is not None and CancelAsked in phase.on and phase.may_cancel(delivery):
        return (CancelAsked(request.cause.startswith(BY_DATE), request.why),)
    last = deadline(delivery)
    passed = last is not None and now >= last and DeadlinePassed in phase.on and phase.deadline_acts(delivery)
    return (DeadlinePassed(),) if passed else ()


def deadline(delivery: Delivery) -> int | None:
    """Return the deadline of the present state, in epoch seconds. None: it has none, or the delivery has ended.

    After a passed deadline, the time until which the service still tries to look at the target.
    """
    own = None if delivery.ended else PHASES[delivery.state].deadline(delivery)
    return None if own is None else extended(delivery, own)


def due_at(delivery: Delivery) -> int | None:
    """Return when to look again if no wake arrives: at the first of its times at which anything is outstanding or due.

    None for a delivery in ``shared`` without an end date: a withdrawal writes into its inbox, which makes it due.
    """
    since = delivery.entered.get(delivery.state, 0)
    times = () if delivery.ended else sorted({max(time, since) for time in _times(delivery) if time is not None})
    return next((time for time in times if outstanding(delivery, time) or due_events(delivery, time)), None)


def _times(delivery: Delivery) -> Iterator[int | None]:
    """Yield each time on its record for which commands or a deadline may wait."""
    yield from (deadline(delivery), delivery.next_try, delivery.slots.next_ask, slots.renewal(delivery))
    yield delivery.launch.next_look
    yield holdings.released_from(delivery) if delivery.holdings.holds_copy else None
    yield publishing.end_due(delivery)
    yield from (copy.next_look for copy in delivery.copies)


def waits_for_shares(delivery: Delivery) -> bool:
    """Whether it waits until its shares are open. A read of the ledger decides that, and decides the deadline.

    The shares may have opened while no worker could read the ledger.
    """
    held = delivery.holdings.held and delivery.holdings.opened_at is None
    return held and holdings.SharesSeen in TRANSITIONS[delivery.state]
