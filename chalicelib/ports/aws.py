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
"""Returns the calls that change AWS and that the adapters have made since it was last asked, each try by itself.

So no port returns request ids.
"""


@dataclass(frozen=True, slots=True)
class TagRead:
    """A hub AMI as DescribeImages shows it; its members are None if it is not there."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    own: bool = False
    """It has the tag of a delivery."""
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
class HubCopy:
    """A snapshot of the hub in another Region: its key's ARN, and the nonce of the attempt that made it."""

    key: str
    attempt: str


class Source(Protocol):
    """The hub's own images, read only."""

    def tag(self, ami: str) -> TagRead:
        """Read the AMI and its trigger tag."""

    def examine(self, ami: str) -> tuple[SourceImage, Mapping[str, KeyFacts]] | None:
        """Read image, attributes and snapshots from EC2, and their keys from KMS; None: not there."""

    def keys(self, snapshots: Collection[str]) -> frozenset[str]:
        """Return the KMS keys (ARNs) of these snapshots of the hub, in its own Region."""

    def copies(self, ami: str, region: str) -> Mapping[str, HubCopy]:
        """Return the snapshots that the hub's own delivery of an AMI to another Region made there, by their ids."""

    def snapshots_of(self, image: str, region: str) -> frozenset[str]:
        """Return the snapshots of an AMI that the hub owns in another Region; none if it is not there."""

    def tagged(self) -> Sequence[Tagged]:
        """Return every AMI of the hub that has the trigger tag, disabled ones too."""


@dataclass(frozen=True, slots=True)
class SeenImage:
    """The new AMI as DescribeImages and DescribeImageAttribute show it; ``raw`` None: not there."""

    raw: Mapping[str, Any] | None
    attributes: Mapping[str, Mapping[str, Any]]


class TargetSnapshots(Protocol):
    """Snapshots in one target, in a session limited to one delivery. Every method may raise Refusal."""

    def find(self, delivery: Delivery) -> tuple[SeenCopy, ...]:
        """List every snapshot there that has the delivery's tag."""

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
        """List the AMIs that have the name there, disabled and deregistered ones that still show among them."""

    def of_delivery(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """List the AMIs in the target that have the delivery's tag, with any name."""

    def see(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        """Read the new AMI with its attributes."""

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        """RegisterImage, tagged at creation; returns the AMI's id. Never retried by the SDK."""

    def copy(self, delivery: Delivery, image: SourceImage) -> str:
        """CopyImage, tagged at creation; returns the AMI's id. The same try has the same client token."""

    def deprecate(self, delivery: Delivery, at: str) -> None:
        """EnableImageDeprecation (``at``: ISO 8601)."""

    def protect(self, delivery: Delivery) -> None:
        """EnableImageDeregistrationProtection, without a cooldown. Done again it changes nothing."""

    def deregister(self, delivery: Delivery, image: str) -> None:
        """Deregister this AMI; a missing one is not an error."""


class TargetKeys(Protocol):
    """KMS keys that a delivery needs. Every method may raise Refusal."""

    def describe(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return DescribeKey's answer for the target's key, or None and AWS's words if it refuses."""

    def source_keys(self, delivery: Delivery) -> Mapping[str, str]:
        """Describe the source's keys with the copy role, if the hub opens none (``key_access: none``).

        Returns each key's ARN and "" where the role may describe it, else AWS's words.
        """

    def policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """Read the policies of source keys, in the hub: each key's ARN and its text, or why it cannot be read."""


class TargetRoles(Protocol):
    """Roles in one target. May raise Refusal."""

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """Return the roles that are missing, as far as the session can see.

        Looked for are its service-linked roles ("SERVICE/NAME") and the role that makes their grants ("NAME").
        """


class PermissionAdapter(Protocol):
    """Permissions on one kind of resource in the hub. Every method may raise Refusal."""

    batch: int
    """How many permissions one call opens or closes at most."""

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        """Return the ``share_name`` of those of these shares whose permission shows now."""

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        """Open them in as few calls as AWS allows; returns a grant id for each share_name, where there is one."""

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """Remove them; a missing one is not an error."""


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
        """List those of one page, from ``marker`` on ("": the first); returns them and the next marker ("": none)."""
