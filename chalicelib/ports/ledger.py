"""The ledger of shares, and who is entitled to one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from chalicelib.core.errors import Refusal
from chalicelib.core.faults import Fault
from chalicelib.core.sharing.share import Holding, Share

Lines = Mapping[str, Sequence[str]]
NO_LINES: Lines = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StandingHolding:
    """The link from an AMI to one of its standing holdings: enough to judge and release it without the share's item.

    A damaged link has what can be read; its ``holding`` then has episode 0, which means any.
    """

    resource: str
    share_name: str
    holding: Holding


class Ledger(Protocol):
    """The shares of each resource. Deliveries write their holdings; the share worker writes the rest.

    Shares that are neither held nor open are in an archive that expires; ``shares`` never reads that.
    """

    def hold(self, resource: str, share: Share, holding: Holding) -> None:
        """Add a holding, and never let the share end before its ``last_closing_at``. May be repeated.

        One that was not there counts ``asked`` up. The link of a standing one is written before.
        Raises Refusal where ``MOST_HOLDINGS`` others hold it.
        """

    def release(self, resource: str, share_name: str, holding: Holding, *, unlink: bool = True) -> None:
        """Remove a holding, then its link. May be repeated; one of episode 0 stands for any of that delivery.

        ``unlink`` False: the link stays, so that the next pass over standing shares finds it.
        """

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        """Read the links of one AMI. One that is damaged is returned with what can be read; never raises for it."""

    def shares(self, resource: str) -> Sequence[Share]:
        """Read the shares of a resource that are open or held."""

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        """Read single shares of several resources, in as few calls as may be: each by resource and ``share_name``."""

    def save(
        self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False, calls: Lines = NO_LINES
    ) -> None:
        """Write the worker's side of these shares and their history. Raises LostRace.

        ``calls``: further lines of history of single shares, by ``share_name``: the calls that were made for them.

        ``unheld``: only if nobody has come to hold them since they were read. What was ``damaged`` among their holdings
        is taken out.
        """

    def put_right(self, share: Share, happened: str, now: int, calls: Sequence[str] = ()) -> bool:
        """Write one share as a look found it, also one that is not in the ledger (version 0). False: lost a race."""

    def archive(self, shares: Sequence[Share], now: int) -> None:
        """Move shares that nobody holds to the archive. Raises LostRace if one was held or written meanwhile."""

    def was_open(self, resource: str, names: str = "") -> bool:
        """Whether the archive has a share of this resource whose ``share_name`` begins with ``names``."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which shares may not be opened, and why, by ``share_name``; one that is in none of these may be."""

    refused: Mapping[str, Fault] = field(default_factory=dict)
    """For good: the file does not contain the receiver, or the resource is no part of the AMI."""
    waits: Mapping[str, Fault] = field(default_factory=dict)
    """For now: tag or file does not name it on this look, which may be stale."""
    owed: Mapping[str, Refusal] = field(default_factory=dict)
    """AWS shows none of the AMIs for which it is held."""


class Entitlements(Protocol):
    """Who may hold what now, by the tag in force, the applied file and the members (invariants 8 and 11)."""

    def judge(self, resource: str, shares: Sequence[Share]) -> Judgement:
        """Return which shares may not be opened now. Raises Refusal if the applied file cannot be read."""

    def ends(self, resource: str, shares: Sequence[Share]) -> Mapping[str, int]:
        """Return until when (epoch seconds) the standing holders of each share may keep it; 0: no longer.

        By ``share_name``. The share worker asks again then. A share that cannot be judged now is left out.

        Raises Refusal where the applied file cannot be read.
        """
