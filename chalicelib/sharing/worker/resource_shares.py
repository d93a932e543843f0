"""The shares of one resource while the share worker works on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.calls import LEFT
from chalicelib.engine.errors import LostRace
from chalicelib.engine.waker import Clock
from chalicelib.sharing import holders, machine, outstanding
from chalicelib.sharing.ports import Ledger, Lines, PermissionAdapter
from chalicelib.sharing.share import Share, ShareState

RACES = 3
"""Tries to correct the ledger after another run's write came first; the next look at the share corrects the rest."""
WRITTEN_AT_ONCE = 50
"""Shares that one transaction writes."""


@dataclass(eq=False)
class ResourceShares:
    """The shares of one resource in the ledger: read once, then updated with each write."""

    ledger: Ledger
    clock: Clock
    resource: str
    adapter: PermissionAdapter
    """Opens and closes its permissions."""
    by_name: dict[str, Share]
    to_wake: dict[str, int]
    """Deliveries to wake, with their episodes: a share that they hold has opened or was refused."""
    archived_at: dict[str, int]
    """By ``share_name``: when shares were moved to the archive."""
    _calls: dict[str, list[str]] = field(default_factory=dict, init=False)
    """By ``share_name``: lines of history, such as the calls made for it, to be written with the share."""
    _written: set[str] = field(default_factory=set, init=False)

    @property
    def shares(self) -> Sequence[Share]:
        """All shares of the resource."""
        return tuple(self.by_name.values())

    def save(self, shares: Iterable[Share], happened: str, *, unheld: bool = False) -> list[Share]:
        """Write shares, and return them as they are now. Raises LostRace."""
        shares = list(shares)
        saved = self.ledger.save(shares, happened, self.clock(), unheld=unheld, calls=self._lines_of(shares))
        self.by_name.update({s.share_name: s for s in saved})
        self._written |= {s.share_name for s in saved}
        return saved

    def save_some(self, shares: Iterable[Share], happened: str, budget: Budget, *, unheld: bool = False) -> list[Share]:
        """Write as many shares as there is time for, and return those. Raises LostRace."""
        saved: list[Share] = []
        for some in budget.each(slices(shares, WRITTEN_AT_ONCE)):
            saved += self.save(some, happened, unheld=unheld)
        return saved

    def _lines_of(self, shares: Iterable[Share]) -> Lines:
        """Take the lines of history that are written with these shares; the ledger keeps those of a lost race, too."""
        return {s.share_name: self._calls.pop(s.share_name) for s in shares if s.share_name in self._calls}

    def save_results(self, results: Sequence[Share], happened: str, budget: Budget) -> list[Share]:
        """Write the results of calls, as far as there is time. After a lost race, correct the ledger and raise.

        What is over goes to the archive by the same write.
        """
        over = {s.share_name for s in outstanding.to_archive(results, self.clock())}
        try:
            saved = self.save_some([s for s in results if s.share_name not in over], happened, budget)
            for some in budget.each(slices([s for s in results if s.share_name in over], WRITTEN_AT_ONCE)):
                saved += self._archive_results(some, happened)
        except LostRace:
            self._put_right({s.share_name: s for s in results})
            raise
        return saved

    def _archive_results(self, results: Sequence[Share], happened: str) -> Sequence[Share]:
        """Archive shares with their results; if a delivery has come to hold one, write the results alone."""
        try:
            self.archive(results, happened)
        except LostRace:
            return self.save(results, happened)
        return results

    def add_history(self, shares: Iterable[Share], *lines: str) -> None:
        """Add lines to the history that is written with these shares."""
        for s in shares:
            self._calls.setdefault(s.share_name, []).extend(lines)

    def add_unanswered(self, shares: Iterable[Share]) -> None:
        """Add a line to the history of shares for which an earlier run wrote an intent and no result."""
        self.add_history((s for s in shares if outstanding.unanswered(s) and s.share_name not in self._written), LEFT)

    def add_to_wake(self, shares: Iterable[Share]) -> None:
        """Add the holders of those shares that opened or were refused."""
        answered = (s for s in shares if s.state is ShareState.OPEN or holders.refusal(s) is not None)
        self.to_wake.update({holding.delivery: holding.episode for s in answered for holding in s.holdings})

    def archive(self, shares: Sequence[Share], happened: str = "") -> None:
        """Move shares to the archive. Raises LostRace if a delivery has come to hold one."""
        now = self.clock()
        self.ledger.archive(shares, now, happened, self._calls)
        self._lines_of(shares)
        for s in shares:
            del self.by_name[s.share_name]
            self.archived_at[s.share_name] = now

    def _put_right(self, tried: Mapping[str, Share]) -> None:
        for _ in range(RACES):
            found = {s.share_name: s for s in self.ledger.shares(self.resource)}
            wrong = [w for key, s in tried.items() if (w := machine.raced(s, found.get(key), self.clock()))]
            happened = "another run's call came between"
            try:
                self.save([s for s in wrong if s.share_name in found], happened)
            except LostRace:
                continue
            for s in wrong:
                if s.share_name not in found:
                    self.ledger.put_right(s, happened, self.clock())
            return
