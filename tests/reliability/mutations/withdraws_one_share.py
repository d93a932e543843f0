"""Mutation: a withdrawn delivery releases its first share only."""

from dataclasses import replace

from chalicelib.service.deliveries import DeliveryExecutor

_release = DeliveryExecutor._release


def release(self, delivery, time_left, *, everything):
    """Release only the first share of a withdrawn delivery."""
    some = delivery.shares[:1] if delivery.ending == "withdrawn" else delivery.shares
    return _release(self, replace(delivery, shares=some), time_left, everything=everything)


DeliveryExecutor._release = release
