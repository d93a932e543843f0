"""What a delivery does in its target."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.core.delivery.model import Delivery
from chalicelib.core.delivery.proof import SeenCopy, ShownImage
from chalicelib.core.faults import Fault
from chalicelib.core.images.image import SourceImage, SourceSnapshot
from chalicelib.core.images.keys import KeyFacts


@dataclass(frozen=True, slots=True)
class SeenImage:
    """The new AMI as DescribeImages (``raw``; None: not shown) and DescribeImageAttribute show it."""

    raw: Mapping[str, Any] | None
    attributes: Mapping[str, Mapping[str, Any]]


class TargetSnapshots(Protocol):
    """Snapshots in one target, in a session limited to one delivery. Every method may raise Refusal."""

    def role(self, delivery: Delivery) -> str:
        """Return the name of the copy role, as the applied file has it now."""

    def find(self, delivery: Delivery) -> tuple[SeenCopy, ...]:
        """List every snapshot in the target that has the delivery's tag."""

    def look_at(self, delivery: Delivery, copies: Sequence[str]) -> tuple[SeenCopy, ...]:
        """Describe these copies; leave out those that EC2 does not show."""

    def copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        """CopySnapshot, tagged at creation; returns the copy's id. Never retried by the SDK."""

    def tag(self, delivery: Delivery, image: SourceImage) -> None:
        """Give the snapshots that CopyImage made (the delivery's copies) the tags of their sources."""

    def delete(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        """Delete these; a missing one is not an error."""


class TargetImages(Protocol):
    """AMIs in one target, in a session limited to one delivery. Every method may raise Refusal."""

    def named(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """List the AMIs with the delivery's AMI name there, also disabled or deregistered ones that still show."""

    def of_delivery(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """List the AMIs in the target that have the delivery's tag, with any name."""

    def see(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        """Read the new AMI with its attributes."""

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        """RegisterImage, tagged at creation; returns the AMI's id. Never retried by the SDK."""

    def copy(self, delivery: Delivery, image: SourceImage) -> str:
        """CopyImage, tagged at creation; returns the AMI's id. Repeating an attempt sends the same client token."""

    def deprecate(self, delivery: Delivery, at: str) -> None:
        """EnableImageDeprecation (``at``: ISO 8601)."""

    def protect(self, delivery: Delivery) -> None:
        """EnableImageDeregistrationProtection, without a cooldown. Done again it changes nothing."""

    def deregister(self, delivery: Delivery, image: str) -> None:
        """Deregister this AMI; a missing one is not an error."""


class TargetKeys(Protocol):
    """KMS keys that a delivery needs. Every method may raise Refusal."""

    def describe(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return the facts of the target's key; or None and AWS's message if it refuses."""

    def source_keys(self, delivery: Delivery) -> Mapping[str, str]:
        """Describe the source's keys with the copy role, if the hub opens none (``key_access: none``).

        Returns for each key's ARN AWS's message of refusal, or "" if the role may describe the key.
        """

    def policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """Read the policies of source keys in the hub; returns for each ARN the text, or why it cannot be read."""


class TargetRoles(Protocol):
    """Roles in one target. May raise Refusal."""

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """Return which service-linked roles ("SERVICE/NAME") and which grant role ("NAME") are missing there."""

    def allows(self, delivery: Delivery) -> Sequence[str] | None:
        """Return the actions that the copy role's own policy allows; None where that cannot be read."""
