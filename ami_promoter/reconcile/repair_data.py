"""The repairs of `ami-promoter reconcile`, as data: a finding proposes one, and ``repairs.py`` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.sharing.share import Holding


@dataclass(frozen=True, slots=True)
class MakeDue:
    """Make a record due, so that its worker looks. ``resource``: make the record if there is none."""

    pk: str


@dataclass(frozen=True, slots=True)
class RecordOpen:
    """Put an open permission into the ledger as the service's; its worker closes it when nothing holds it."""

    resource: str
    share_name: str
    account: str
    wait: int
    """Seconds before it may close although nobody holds it."""
    grantee: str = ""
    intended_at: int = 0
    """Of a grant: the time in its name."""
    grant_id: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Reopen:
    """Write a share that shows no longer as closed: its worker opens it again for those who hold it."""

    resource: str
    share_name: str
    version: int


@dataclass(frozen=True, slots=True)
class ReleaseHolding:
    """Take a holding out of a share: its delivery has ended, or does not exist."""

    resource: str
    share_name: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End what lets somebody in whom the applied file does not contain: cancel the deliveries that hold the shares.

    A delivery to an account that the file does contain goes on, and only lets these shares go. ``holdings``:
    (resource, share_name, holding).
    """

    receiver: str
    holdings: tuple[tuple[str, str, Holding], ...]
    resources: tuple[str, ...]
    """All resources that are concerned, to be looked at at once."""


@dataclass(frozen=True, slots=True)
class EndTracked:
    """Tell a promotion how a delivery ended that it waits for in vain."""

    ami: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Let `worker` delete a copy, under the role in its account, after a look of its own."""

    account: str
    region: str
    snapshot: str
    delivery: str


Repair = MakeDue | RecordOpen | Reopen | ReleaseHolding | Withdraw | EndTracked | Remove
