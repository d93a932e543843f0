"""Items beside a record, each with a writer of its own: a quota's slots, and a promotion's deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.promotion.model import TrackedDelivery
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.targets.copy_quota import SlotLease


class SlotLeases(Protocol):
    """The leases of a copy quota: how many slots deliveries ask for, and have."""

    def ask(self, quota: RecordKey, wish: SlotLease) -> SlotLease:
        """Write what a delivery wants and has done in its episode, renew its lease, and return the lease.

        What was granted stays. Where nothing is known of the delivery in this episode, ``granted`` is as in the wish:
        its running copies count. A wish of an older episode changes nothing and is returned as it is; so is one that
        wants no more, and then the lease is forgotten.
        """

    def leases(self, quota: RecordKey) -> Sequence[SlotLease]:
        """Read all of them."""

    def lease(self, quota: RecordKey, delivery: str) -> SlotLease | None:
        """Read a delivery's lease; None: it has none."""

    def grant(self, quota: RecordKey, lease: SlotLease) -> None:
        """Write ``granted`` and ``until``, if the delivery is still in that episode and was not granted more."""

    def drop(self, quota: RecordKey, lease: SlotLease) -> None:
        """Delete one, unless its delivery has asked since it was read."""


class TrackedDeliveries(Protocol):
    """A promotion's tracked deliveries."""

    def add(self, ami: str, tracked: TrackedDelivery, *, count: bool = True) -> bool:
        """Put it, if absent or of an older episode. False: there was one.

        ``count``: count it as running; or many are counted together, by the method of that name.
        """

    def count(self, ami: str, more: int) -> None:
        """Count so many more as running, which were put before."""

    def end(self, ami: str, tracked: TrackedDelivery) -> bool:
        """Write that a delivery has ended or is shared; True if it may be the last one running.

        One that rested in ``shared`` is written again when it is withdrawn.
        """

    def ask_again(self, ami: str, delivery: str, episode: int) -> None:
        """Write that this episode of the promotion wants a delivery again that is just failing."""

    def take_back(self, ami: str, tracked: TrackedDelivery, before: TrackedDelivery) -> None:
        """Put it as it was before an episode that ``add`` began, and whose delivery was not written.

        ``before`` has an older episode. Does nothing if it has changed since.
        """

    def all(self, ami: str) -> Sequence[TrackedDelivery]:
        """Read them all."""
