"""Wakes the deliveries that wait for the shares of a resource, once all are open or one was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib.delivery import machine, permissions
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import Delivery, NeededShare
from chalicelib.engine import addresses
from chalicelib.engine.ports import Records
from chalicelib.engine.stored import peek_all
from chalicelib.engine.waker import Waker
from chalicelib.sharing import holders
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import Share, ShareState

WOKEN_AT_ONCE = 25
"""Deliveries that are read and woken together: three reads of their records and shares, one message for ten."""

READ_AT_ONCE = 10
"""Shares that one read may ask for that are not all needed."""


@dataclass(eq=False)
class WaitingDeliveries:
    """The port ``ShareWaiters``, from records and ledger."""

    records: Records
    ledger: Ledger
    waker: Waker

    def wake(self, to_wake: dict[str, int], shares: Sequence[Share]) -> None:
        """See the port."""
        episodes = {addresses.delivery(delivery): to_wake.pop(delivery) for delivery in list(to_wake)[:WOKEN_AT_ONCE]}
        found = peek_all(self.records, episodes, DELIVERIES)
        waiting = [one for one in found if one.episode == episodes[one.key] and machine.waits_for_shares(one)]
        wakes = [(one.key, f"shares:{one.episode}:{one.tries}") for one in self._need_not_wait(shares, waiting)]
        if wakes:
            self.waker.wake_all(wakes)

    def _need_not_wait(self, shares: Sequence[Share], waiting: Sequence[Delivery]) -> Iterator[Delivery]:
        """Yield the deliveries whose shares are all open, or of which one was refused.

        If they are many, it first reads each delivery's last share: usually that one is neither, and the others need
        not be read.
        """
        refused = {holding.delivery for s in shares if holders.refusal(s) is not None for holding in s.holdings}
        left = waiting
        if sum(len(one.holdings.needed) for one in waiting) > READ_AT_ONCE:
            last = self._find((one, one.holdings.needed[-1:]) for one in waiting)
            ended = (s for s in last if s.state is ShareState.OPEN or holders.refusal(s) is not None)
            open_ = {holding.delivery for s in ended for holding in s.holdings}
            left = [one for one in waiting if one.id in refused | open_]
        found = self._find((one, one.holdings.needed) for one in left)
        for one in left:
            seen = permissions.seen(one, found)
            if seen.open or seen.refused is not None:
                yield one

    def _find(self, needed: Iterable[tuple[Delivery, Iterable[NeededShare]]]) -> Sequence[Share]:
        wanted = [(share.resource, share.share_name, one.id) for one, some in needed for share in some]
        return self.ledger.find_for(wanted) if wanted else ()
