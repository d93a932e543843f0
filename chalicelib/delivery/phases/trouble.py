"""What refusals, deadlines and doubt change while a delivery works: it waits, looks once more, or fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.delivery import attempts, leftovers, proof
from chalicelib.delivery.attempts import CopiesFound, CopyStarted
from chalicelib.delivery.common_changes import MAX_TRIES, again, each_copy
from chalicelib.delivery.model import Delivery, LastLook
from chalicelib.delivery.phase import DeadlinePassed, Refused
from chalicelib.delivery.phases.ending import fail, give_up
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Handler


def refused(
    event: Refused, delivery: Delivery, now: int, *, looks: bool = False, comes_true: bool | None = None
) -> Delivery:
    """Wait and try again, or fail.

    ``looks``: the command only reads in the target, so that it may be the last look. ``comes_true``: whether a missing
    access may only be late; None: as long as there are tries left.
    """
    delivery, handled = attempts.refused(event, delivery)
    if handled:
        return delivery
    before = delivery.last_refusal
    if event.kind is RefusalKind.NOT_YET and before is not None and before.code != event.fault.code:
        delivery = replace(delivery, tries=0)  # an outage before it says nothing of access
    late = delivery.tries < MAX_TRIES if comes_true is None else comes_true
    steps = _waits(event, delivery, looks=looks, comes_true=late)
    if steps:
        return again(delivery, now, schedule.step(steps, delivery.tries), last_refusal=event.fault)
    pending = () if delivery.last_look.failure is None else (delivery.last_look.failure,)
    return fail(delivery, now, *pending, event.fault)


def _waits(event: Refused, delivery: Delivery, *, looks: bool, comes_true: bool) -> Sequence[int]:
    """Return the waits before the command is tried again; none if the refusal ends the delivery."""
    last = delivery.last_look.failure is not None
    if event.kind is RefusalKind.THROTTLED:
        return schedule.RETRIES
    if event.kind is RefusalKind.ROLE or (last and looks):
        return schedule.POLLS
    if last:
        return ()
    if event.kind is RefusalKind.LIMIT:
        return schedule.POLLS
    return schedule.NOT_YET if event.kind is RefusalKind.NOT_YET and comes_true else ()


def late_copy(event: CopyStarted, delivery: Delivery, now: int) -> Delivery:
    """CopySnapshot answered late; fail if the answer says that somebody else's snapshot was adopted."""
    known, faults = attempts.answered_late(event, delivery)
    return fail(known, now, *faults) if faults else known


def listed(event: CopiesFound, delivery: Delivery, now: int) -> Delivery:
    """Adopt copies whose answer was lost, and delete those that are too many; fail if two may be its own."""
    found = proof.copies(delivery, event.copies)
    if event.by_ids:  # nothing else was looked for
        return attempts.match(delivery, found.own, now)
    known = leftovers.with_unproven(delivery, found)
    if doubled := proof.in_doubt(known, found.doubled):
        return fail(known, now, proof.doubled_fault(known.where, [one.id for one in doubled]))
    return each_copy(attempts.match(known, found.own, now), lambda copy: replace(copy, found_at=now))


def deadline_fault(delivery: Delivery, cure: str) -> Fault:
    """Return the fault of a passed deadline, with the last refusal."""
    cause = delivery.last_refusal
    last = "" if cause is None else f" The last refusal was: {cause.what}"
    what = f"The state {delivery.state} has lasted until its deadline.{last}"
    return Fault(f"deadline-{delivery.state}", delivery.where, what, cure)


def looks_once_more(cure: str) -> Handler[Delivery]:
    """Return what a passed deadline changes: it acts after one more look that shows unfinished work (invariant 6).

    If no look has succeeded since, for a day, the service gives the target up.
    """

    def handler(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
        if delivery.last_look.failure is not None:
            return give_up(delivery, now, delivery.last_look.failure)
        return await_look(delivery, deadline_fault(delivery, cure), now)

    return handler


def await_look(delivery: Delivery, failure: Fault, now: int) -> Delivery:
    """Fail, unless the next look shows the work finished."""
    return replace(delivery, last_look=LastLook(failure, now), next_try=now)
