"""What an operator's questions about a target need."""

from __future__ import annotations

from typing import Protocol

from chalicelib.delivery.target_seen import Facet, TargetSeen
from chalicelib.inventory.machine import InventoryPage, OwnInstance, Part
from chalicelib.targets.applied_file import Target


class TargetInventory(Protocol):
    """Lists what the service created in a target, by its tags. Every method may raise Refusal."""

    def page(self, account: str, region: str, part: Part, cursor: str) -> InventoryPage:
        """List one page, of at most 200, of the AMIs or snapshots there that have this hub's tag.

        ``cursor`` is that of the page before ("": the first page). Raises StaleCursor if AWS no longer knows it.
        """

    def instances(self, target: Target) -> tuple[OwnInstance, ...]:
        """List, as the launch role, the instances there that have this hub's tag and still run; and their volumes."""

    def uses(self, account: str, region: str, image: str, cursor: str) -> InventoryPage:
        """List one page of what there names an AMI. Raises StaleCursor, too; a fault says which right lacks."""

    def remove(self, account: str, region: str, delivery: str, snapshot: str) -> str:
        """Delete one snapshot if it still has this hub's tag and the delivery's, and no AMI uses it.

        Returns why it was not deleted; "" if it is gone.
        """


class TargetChecks(Protocol):
    """Reads a target's settings for an operator. May raise Refusal."""

    def read(self, target: Target, facet: Facet) -> TargetSeen:
        """Read one facet; ``refused`` lists calls that AWS refuses. Raises Refusal if the role cannot be assumed."""
