"""By way of the hub: a target in another Region copies from the hub's own copy there, which another delivery makes."""

from __future__ import annotations

from chalicelib.delivery import proof
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.outcomes import OUTCOMES, BeginsAgain
from chalicelib.delivery.phase import DeliveryEvent
from chalicelib.delivery.phases.checking import HubCopySeen, TargetUnfit
from chalicelib.delivery.phases.opening import BEGINS_AGAIN
from chalicelib.delivery.ports import TargetSnapshots, TrackedDeliveries
from chalicelib.delivery.tracked import RUNNING
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import peek
from chalicelib.engine.waker import Waker
from chalicelib.sharing.entitlement import HUB_COPY_CURE

WAKES_FOR = 4
"""Seconds for waking other deliveries. A step has sixteen (``runner.CALLS_OF_STEP``), and this one publishes first."""

WOKEN_AT_ONCE = 80
"""Messages that are sent before the clock is read again: eight parallel calls."""

CURE = "See what `ami-promoter status` says of the hub's own delivery there and repair that; then tag the AMI again."


def look(records: Records, snapshots: TargetSnapshots, delivery: Delivery, budget: Budget) -> DeliveryEvent:
    """Read the state of the hub's own copy.

    If it failed in an older episode, it may run again, so the delivery waits; also for one that begins again by itself.

    A copy that is being published counts as delivered, because the deliveries that wait for it are woken just before
    its record says so.
    """
    at_hub = delivery.hub, delivery.ami, delivery.target.by_way_of, delivery.target.region
    copy = peek(records, addresses.delivery(addresses.delivery_id(*at_hub)), DELIVERIES)
    if copy is None:
        return HubCopySeen()
    if copy.ended and not copy.keeps_image:
        at_once = OUTCOMES[copy.state].begins_again is BeginsAgain.WANTED
        begins_again = at_once and any(fault.code in BEGINS_AGAIN for fault in copy.faults)
        if begins_again or copy.promotion_episode < delivery.promotion_episode:
            return HubCopySeen()
        why = f" {copy.faults[0].what}" if copy.faults else ""
        what = f"The hub's own copy in {copy.target.region}, from which this one was to be made, is {copy.state}.{why}"
        return TargetUnfit((Fault("hub-copy-failed", delivery.where, what, CURE),))
    if not copy.is_there:  # one that was recalled is restored before a delivery begins again
        return HubCopySeen(waits=copy.awaits_approval, began=copy.queued_at)
    known = {one.source: one.id for one in copy.copies if one.id}
    if not known:  # its AMI was there already: the snapshots' tags name their sources
        shown = snapshots.find(copy, budget=budget)
        shown = shown if copy.accepted and copy.accepted == copy.image.id else proof.copies(copy, shown).own
        usable = (seen for seen in shown if (seen.state, seen.key_arn) == ("completed", copy.key_arn))
        known = {seen.source: seen.id for seen in usable}
    wanted = [snapshot.id for snapshot in delivery.snapshots]
    if any(snapshot not in known for snapshot in wanted):
        what = f"The hub's own AMI {copy.image.id} in {copy.target.region} does not show a copy of each snapshot."
        return HubCopySeen(incomplete=Fault("hub-copy-incomplete", delivery.where, what, HUB_COPY_CURE))
    return HubCopySeen(tuple((snapshot, known[snapshot]) for snapshot in wanted), copy.key_arn)


def wake_waiting(waker: Waker, tracked: TrackedDeliveries, delivery: Delivery) -> None:
    """Wake the deliveries that wait for this copy, for ``WAKES_FOR`` seconds at most.

    A delivery that is not woken finds the copy at its next poll, within a quarter of an hour.
    """
    until = waker.clock() + WAKES_FOR
    cause = f"hub-copy:{delivery.id}:{delivery.episode}"
    waiting = [
        (addresses.delivery(one.delivery), cause)
        for one in tracked.all(delivery.ami)
        if one.state == RUNNING and one.region == delivery.target.region and one.delivery != delivery.id
    ]
    for some in slices(waiting, WOKEN_AT_ONCE):
        if waker.clock() >= until:
            return
        waker.wake_all(some)
