"""Items beside a record that other workers write: a quota's leases, and a promotion's tracked deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.delivery.copy_quota import SlotLease
from chalicelib.core.delivery.tracked import TrackedDelivery
from chalicelib.core.records.addresses import RecordKey


class SlotLeases(Protocol):
    """The leases of a copy quota: how many slots deliveries ask for, and have."""

    def ask(self, quota: RecordKey, wish: SlotLease) -> SlotLease:
        """Write what a delivery wants and has done in its episode, renew its lease, and return the lease.

        Granted slots stay granted. A delivery without a lease in this episode gets the wish's ``granted``, which is its
        running copies. A wish that wants nothing more deletes the lease; one of an older episode changes nothing; both
        are returned as they are.
        """

    def leases(self, quota: RecordKey) -> Sequence[SlotLease]:
        """Read the leases of a quota."""

    def lease(self, quota: RecordKey, delivery: str) -> SlotLease | None:
        """Read a delivery's lease; None: it has none."""

    def grant(self, quota: RecordKey, lease: SlotLease) -> None:
        """Write ``granted`` and ``until``, if the lease's episode is the same and it has not been granted more."""

    def drop(self, quota: RecordKey, lease: SlotLease) -> None:
        """Delete a lease, unless its delivery has asked since it was read."""


class TrackedDeliveries(Protocol):
    """A promotion's tracked deliveries."""

    def add(self, ami: str, tracked: TrackedDelivery, *, count: bool = True) -> bool:
        """Write it, if it is absent or of an older episode. False: there was one.

        ``count``: also count it as running; else the caller counts several with ``count``.
        """

    def count(self, ami: str, more: int) -> None:
        """Count so many more deliveries as running, which ``add`` has written."""

    def end(self, ami: str, tracked: TrackedDelivery) -> bool:
        """Write that a delivery has ended or is shared; True if it may be the last one running.

        A shared delivery is written again when it is withdrawn. Its generation stays what ``add`` wrote.
        """

    def take_back(self, ami: str, tracked: TrackedDelivery, before: TrackedDelivery) -> None:
        """Write ``before``, of an older episode, if ``tracked`` has not changed: ``add`` announced it in vain."""

    def all(self, ami: str) -> Sequence[TrackedDelivery]:
        """Read them all."""
