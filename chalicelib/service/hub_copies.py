"""By way of the hub: a target in another Region copies from the hub's own AMI there, which another delivery makes."""

from __future__ import annotations

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import proof
from chalicelib.core.delivery.model import Delivery, DeliveryState
from chalicelib.core.faults import Fault
from chalicelib.core.promotion.model import RUNNING
from chalicelib.core.records import addresses
from chalicelib.ports.aws import TargetSnapshots
from chalicelib.ports.beside import TrackedDeliveries
from chalicelib.ports.records import Records
from chalicelib.service.codecs import DELIVERIES, peek
from chalicelib.service.waker import Clock, Waker

TELLING = 4
"""Seconds for waking others. A step has sixteen (``runner.CALLS_OF_STEP``), and this one publishes first."""

WOKEN_AT_ONCE = 80
"""Messages between two looks at the clock: eight calls side by side."""

CURE = "See what `ami-promoter status` says of the hub's own delivery there and repair that; then tag the AMI again."


def look(records: Records, snapshots: TargetSnapshots, delivery: Delivery) -> ev.Event:
    """Read the state of the hub's own copy. One that failed before this delivery was requested may be running again.

    One that is being published is there, and stays: deliveries that wait for it are woken just before it is recorded
    as delivered, and must not look too early.
    """
    copy = peek(records, addresses.delivery(delivery.hub_copy.delivery), DELIVERIES)
    if copy is None:
        return ev.HubCopySeen()
    if not (copy.ended or copy.state is DeliveryState.PUBLISHING):
        began = copy.entered.get(DeliveryState.REQUESTED, 0)
        return ev.HubCopySeen(waits=copy.state is DeliveryState.AWAITING_APPROVAL, began=began)
    if copy.state not in (DeliveryState.DELIVERED, DeliveryState.PUBLISHING):
        if copy.promotion_episode < delivery.promotion_episode:
            return ev.HubCopySeen()
        why = f" {copy.faults[0].what}" if copy.faults else ""
        what = f"The hub's own copy in {copy.target.region}, from which this one was to be made, is {copy.state}.{why}"
        return ev.TargetUnfit((Fault("hub-copy-failed", delivery.where, what, CURE),))
    known = {one.source: one.copy for one in copy.copies if one.copy}
    if not known:  # its AMI was there already: the snapshots say by their tags what they are copies of
        there = snapshots.find(copy)
        there = there if copy.accepted and copy.accepted == copy.image.id else proof.copies(copy, there).own
        known = {seen.source: seen.copy for seen in there if seen.state == "completed"}
    wanted = [snapshot.id for snapshot in delivery.snapshots]
    if any(snapshot not in known for snapshot in wanted):
        what = f"The hub's own AMI {copy.image} in {copy.target.region} does not show a copy of each snapshot."
        return ev.TargetUnfit((Fault("hub-copy-incomplete", delivery.where, what, CURE),))
    return ev.HubCopySeen(tuple((snapshot, known[snapshot]) for snapshot in wanted), copy.key_arn)


def tell(waker: Waker, tracked: TrackedDeliveries, delivery: Delivery, clock: Clock) -> None:
    """Wake those that wait for this copy of the hub's own, for as long as ``TELLING`` lasts.

    This only saves time: a delivery that is not woken finds the copy at its next poll, a quarter of an hour later at
    most. So a thousand deliveries that wait do not keep this one from writing its own end.
    """
    until = clock() + TELLING
    cause = f"hub-copy:{delivery.id}:{delivery.episode}"
    waiting = [
        (addresses.delivery(one.delivery), cause)
        for one in tracked.all(delivery.ami)
        if one.state == RUNNING and one.region == delivery.target.region and one.delivery != delivery.id
    ]
    for start in range(0, len(waiting), WOKEN_AT_ONCE):
        if clock() >= until:
            return
        waker.wake_all(waiting[start : start + WOKEN_AT_ONCE])
