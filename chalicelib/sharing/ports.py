"""What sharing needs: the ledger, permissions at AWS, and what the deliveries that hold shares say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import Refusal
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import NOTHING, Stored
from chalicelib.images.arriving import ExaminedSource
from chalicelib.sharing.share import Holding, Share

Lines = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class StandingHolding:
    """A standing holding of an AMI and where it is, by which it can be judged and released without the share.

    Of a damaged one some members are missing; its ``holding`` has episode 0, which means any.
    """

    resource: str
    share_name: str
    holding: Holding


class Ledger(Protocol):
    """The shares of each resource. Deliveries write their holdings; the share worker writes the rest.

    A share that is neither held nor open is in the archive, which ``shares`` does not read.
    """

    def hold(self, share: Share, holding: Holding) -> None:
        """Add a holding, and move the share's ``last_closing_at`` to this share's if that is later. May be repeated.

        A new holding increments ``asked`` in the same write. A delivery holds a share once: a new episode's holding
        replaces the old one's. Raises Refusal (throttled) if others keep writing the share.
        """

    def hold_all(self, wanted: Sequence[tuple[Share, Holding]]) -> int:
        """Hold up to 50 shares, by one write if each holding is new and its end the latest of its share.

        Otherwise it holds the first, as ``hold`` does, so that few calls are enough. Returns how many it holds.
        """

    def release(self, resource: str, share_name: str, holding: Holding, *, listed: bool = False) -> None:
        """Remove a delivery's holding, unless it is of a later episode. May be repeated; episode 0 means any.

        ``listed``: it holds nothing any more, but ``standing`` still lists it, so that the next pass finds it.
        """

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        """Read the standing holdings of one AMI, perhaps some seconds old; of a damaged one what can be read."""

    def shares(self, resource: str) -> Sequence[Share]:
        """Read the shares of a resource that are open or held."""

    def with_record(self, key: RecordKey) -> tuple[Stored | None, Sequence[Share]]:
        """Read a resource's record, and then its shares. Raises ParkRecord if this version cannot read the record."""

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        """Read single shares by (resource, ``share_name``), together; then the holdings of each, by a query."""

    def find_for(self, wanted: Collection[tuple[str, str, str]]) -> Sequence[Share]:
        """Read single shares by (resource, ``share_name``, delivery), together, each with that holding alone."""

    def save(
        self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False, calls: Lines = NOTHING
    ) -> list[Share]:
        """Write all but the holdings of these shares, and their history. Raises LostRace.

        ``calls``: by ``share_name``, further lines of history; a lost race keeps them. ``unheld``: only if no holding
        was added meanwhile. Returns the shares as they are now.
        """

    def put_right(self, share: Share, happened: str, now: int) -> bool:
        """Correct one share, or add one that the ledger lacks (version 0). False: another run wrote first."""

    def archive(self, shares: Sequence[Share], now: int, happened: str = "", calls: Lines = NOTHING) -> None:
        """Move shares that nobody holds to the archive. Raises LostRace if one was held or written meanwhile.

        ``happened`` and ``calls``: as in ``save``, if they were not saved in their state before.
        """

    def was_open(self, resource: str, names: str = "") -> bool:
        """Whether the archive has a share of this resource whose ``share_name`` begins with ``names``."""

    def gone_with_resource(self, resource: str) -> Collection[str]:
        """Return the ``share_name`` of each archived share whose permission its snapshot or AMI last took along."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which shares may not be opened, and why, by ``share_name``; the others may be."""

    refused: Mapping[str, Fault] = field(default_factory=dict)
    """For good: the file does not contain the receiver, or the resource is no part of the AMI."""
    waits: Mapping[str, Fault] = field(default_factory=dict)
    """For now: by this look, which may be stale, tag and file do not name the receiver."""
    owed: Mapping[str, Refusal] = field(default_factory=dict)
    """AWS did not answer for the AMIs or accounts that hold it."""
    later: frozenset[str] = frozenset()
    """There was no time to ask about these, or Organizations throttles: they are asked about next."""


MISSED = -1
"""Until when a share may stay: not known, as this look is the first that shows no tag or no AMI."""


class Entitlements(Protocol):
    """Who may hold what now, by tag, applied file and members (invariants 8 and 11)."""

    def judge(self, shares: Sequence[Share], has_time: Callable[[], bool] = ...) -> Judgement:
        """Return which shares may not be opened now. Raises Refusal if the applied file cannot be read.

        An account that an OU brings takes a call of its own, so it asks ``has_time`` before each share but the first.
        """

    def may_stay_until(self, shares: Sequence[Share]) -> Mapping[str, int]:
        """Return by ``share_name`` until when (epoch seconds) a standing share may stay open; 0: no longer.

        The share worker asks again then. A share that cannot be judged now is left out; see ``MISSED``, too. Raises
        Refusal if the applied file cannot be read.
        """


class PermissionAdapter(Protocol):
    """Permissions on one kind of resource in the hub. Every method gets shares of one, and may raise Refusal."""

    batch: int
    """Most permissions that one call opens or closes."""

    def showing(self, shares: Sequence[Share]) -> frozenset[str]:
        """Return the ``share_name`` of each share whose permission shows now."""

    def open(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """Open shares; returns by ``share_name`` the ids of the grants that it made.

        Of a key's policy: the statements of shares among them that are closing are removed by the same put.
        """

    def close(self, shares: Sequence[Share]) -> bool:
        """Remove the shares' permissions; a missing one is not an error.

        Returns whether the snapshot or AMI itself is gone, and took its permissions along: the Recycle Bin may bring
        back both.
        """


@dataclass(frozen=True, slots=True)
class SeenGrant:
    """A grant on a key of the hub, as ListGrants shows it. ``issuer`` and ``grantee`` are ARNs, ``name`` may be ""."""

    id: str
    name: str
    issuer: str
    grantee: str


class Grants(Protocol):
    """All grants on one key. May raise Refusal."""

    def page(self, key_arn: str, marker: str) -> tuple[Sequence[SeenGrant], str]:
        """List the page at ``marker`` ("": the first); returns its grants and the next marker ("": none)."""


@dataclass(frozen=True, slots=True)
class MadeCopies:
    """By what a delivery's record proves its snapshots: their ``ids``, or open ``nonces``."""

    ids: frozenset[str] = frozenset()
    nonces: frozenset[str] = frozenset()
    accepted: str = ""
    """The AMI that an operator has accepted as the delivery's, whose snapshots are meant, too; "": none."""


class BegunDeliveries(Protocol):
    """What records of deliveries prove. A record that cannot be read proves nothing."""

    def sources(self, ami: str, deliveries: Collection[str]) -> Mapping[str, ExaminedSource]:
        """Return by delivery the source that it brings, as it was examined."""

    def made(self, delivery: str) -> MadeCopies:
        """Return what a delivery has made."""


class ShareWaiters(Protocol):
    """The deliveries that wait for shares."""

    def wake(self, to_wake: dict[str, int], shares: Sequence[Share]) -> None:
        """Take the next deliveries with their episodes out of ``to_wake``; wake those that need not wait any longer.

        ``shares``: all shares of the resource that they wait for.
        """
