"""Interfaces to AWS, in the hub and in targets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.core.delivery.events import SeenCopy, ShownImage
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.faults import Fault
from chalicelib.core.images.image import SourceImage, SourceSnapshot
from chalicelib.core.records.calls import MadeCall
from chalicelib.core.sharing.share import Share
from chalicelib.core.targets.kms_keys import KeyFacts

TakeCalls = Callable[[], Sequence[MadeCall]]
"""Returns the calls, with each try, by which the adapters have changed AWS since the last time it was called.

The history gets request ids this way, so no port returns them.
"""


@dataclass(frozen=True, slots=True)
class TagRead:
    """A hub AMI as DescribeImages shows it; ``value`` and ``image_state`` are None if it does not."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    own: bool = False
    """It has the tag of a delivery: the service made it."""
    owned: bool = True
    """The hub owns it. EC2 also shows another account's AMI that the hub has tagged."""
    snapshots: frozenset[str] = frozenset()
    """Snapshots of its block devices."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """An AMI that discovery found."""

    ami: str
    value: str
    state: str = "available"
    """EC2's word."""


@dataclass(frozen=True, slots=True)
class HubSnapshot:
    """A snapshot of the hub in another Region: its key's ARN, and its nonce."""

    key: str
    attempt: str


class Source(Protocol):
    """The hub's own images, read only."""

    def tag(self, ami: str) -> TagRead:
        """Read the AMI and its trigger tag."""

    def examine(self, ami: str) -> tuple[SourceImage, Mapping[str, KeyFacts]] | None:
        """Read image, attributes and snapshots from EC2, and their keys from KMS; None: there is no such AMI."""

    def keys(self, snapshots: Collection[str]) -> frozenset[str]:
        """Return the ARNs of the keys of these snapshots in the hub's Region."""

    def copies(self, ami: str, region: str) -> Mapping[str, HubSnapshot]:
        """Return, by id, the snapshots in another Region with the tags of the hub's own copy of an AMI."""

    def snapshots_of(self, image: str, region: str) -> frozenset[str]:
        """Return the snapshots of an AMI that the hub owns in another Region."""

    def tagged(self) -> Sequence[Tagged]:
        """Return every AMI of the hub that has the trigger tag, disabled ones too."""


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
