"""What a delivery has created in the target and does not use: deleted on the way, or recorded for a notice."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.delivery import proof
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phase import Command, DeliveryEvent

MOST_UNPROVEN = 20
"""A fault names at most this many, because principals in a target can create any number of them."""


@dataclass(frozen=True, slots=True)
class DeleteSnapshots(Command):
    """Delete copies that the delivery does not use: extras, failed ones, leftovers."""

    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SnapshotsDeleted(DeliveryEvent):
    """These snapshots are gone, or EC2 is deleting them."""

    snapshots: tuple[str, ...]


def deletes(delivery: Delivery, now: int) -> tuple[DeleteSnapshots, ...]:
    """List the deletion of what it does not use, while it goes on."""
    due = delivery.cleanup.to_delete and now >= delivery.next_try
    return (DeleteSnapshots(delivery.cleanup.to_delete),) if due else ()


def deleted(event: SnapshotsDeleted, delivery: Delivery, _now: int) -> Delivery:
    """Drop what is gone, also what the target did not let the service delete before."""

    def left(some: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in some if one not in event.snapshots)

    return delivery.with_cleanup(to_delete=left(delivery.cleanup.to_delete), leftovers=left(delivery.cleanup.leftovers))


def stay(delivery: Delivery) -> Delivery:
    """Record that the target does not let the service delete them: a notice names them."""
    left = dict.fromkeys((*delivery.cleanup.leftovers, *delivery.cleanup.to_delete))
    return delivery.with_cleanup(leftovers=tuple(left), to_delete=())


def with_unproven(delivery: Delivery, found: proof.Copies) -> Delivery:
    """Record resources with the service's tags but no proof: a notice names them, and the service leaves them."""
    names = sorted(one.id for one in (*found.doubled, *found.unproven))
    return delivery.with_cleanup(unproven=tuple(names[:MOST_UNPROVEN]))
