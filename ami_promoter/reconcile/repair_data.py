"""Findings of `ami-promoter admin reconcile` and the repairs that they propose, as data; ``repairs.py`` makes them."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.sharing.share import Holding, Share


@dataclass(frozen=True, slots=True)
class MakeDue:
    """Make a record due, so that its worker looks at it; create a resource's record if it is lost."""

    pk: str


@dataclass(frozen=True, slots=True)
class RecordOpen:
    """Add an open permission to the ledger as the service's; the share worker closes it when no delivery holds it."""

    resource: str
    share_name: str
    account: str
    wait: int
    """Seconds for which it stays open although no delivery holds it."""
    grantee: str = ""
    intended_at: int = 0
    """For a grant, the time in its name."""
    grant_id: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Reopen:
    """Record as closed a share that AWS no longer shows; the share worker opens it again for its holders."""

    share: Share


@dataclass(frozen=True, slots=True)
class ReleaseHolding:
    """Remove a holding from a share, because its delivery has ended or does not exist."""

    resource: str
    share_name: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End the shares of a receiver that the applied file does not contain: cancel the deliveries that hold them.

    A delivery to an account that the file contains continues, and only loses its holding. The share worker looks at all
    resources of these shares at once.
    """

    receiver: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class EndTracked:
    """Record in a promotion how a delivery ended that it still waits for."""

    ami: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Ask `worker` to delete a copy under the role in its account; `worker` checks first that nothing uses it."""

    account: str
    region: str
    snapshot: str
    delivery: str


Repair = MakeDue | RecordOpen | Reopen | ReleaseHolding | Withdraw | EndTracked | Remove


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. Without a repair an operator must act; ``wrong`` False: for information only."""

    code: str
    where: str
    what: str
    repair: Repair | None = None
    does: str = ""
    """What the repair does, in words."""
    wrong: bool = True
