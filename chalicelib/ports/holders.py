"""What sharing asks of the deliveries that hold shares: they belong to the room above."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chalicelib.core.images.arriving import ExaminedSource
from chalicelib.core.sharing.share import Share
from chalicelib.ports.source import HubSnapshot


class BegunDeliveries(Protocol):
    """What records of deliveries prove. A record that cannot be read proves nothing."""

    def sources(self, ami: str, deliveries: Collection[str]) -> Mapping[str, ExaminedSource]:
        """Return by delivery the source that it brings, as it was examined."""

    def accepted(self, delivery: str) -> str:
        """Return the AMI that an operator has accepted as this delivery's; "": none."""

    def own_copies(self, delivery: str, shown: Mapping[str, HubSnapshot]) -> frozenset[str]:
        """Return which of these snapshots, by id, the delivery has made: their ids or open nonces are on its record."""


class ShareWaiters(Protocol):
    """The deliveries that wait for shares."""

    def wake(self, news: dict[str, int], shares: Sequence[Share]) -> None:
        """Take the next deliveries with their episodes out of ``news``; wake those that need not wait any longer.

        ``shares``: all shares of the resource that has news.
        """
