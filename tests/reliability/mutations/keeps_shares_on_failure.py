"""Mutation: a failing delivery does not release its shares."""

from chalicelib.delivery.shares import SharesReleased
from chalicelib.delivery.worker.deliveries import DeliveryExecutor

_release = DeliveryExecutor._release


def release(self, delivery, time_left, *, everything):
    """Release nothing while the delivery is ending."""
    if delivery.ending:
        return SharesReleased(everything)
    return _release(self, delivery, time_left, everything=everything)


DeliveryExecutor._release = release
