"""Permissions on the hub's resources: opened, closed and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.sharing.share import Share


class PermissionAdapter(Protocol):
    """Permissions on one kind of resource in the hub. Every method may raise Refusal."""

    batch: int
    """Most permissions that one call opens or closes."""

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        """Return the ``share_name`` of each share whose permission shows now."""

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        """Open shares; returns by ``share_name`` the ids of the grants that it made."""

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """Remove the shares' permissions; a missing one is not an error."""


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
