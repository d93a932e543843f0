"""The hub's own images, as the service reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chalicelib.images.image import SourceImage
from chalicelib.images.keys import KeyFacts


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

    def copies(self, ami: str, region: str, snapshots: Collection[str]) -> Mapping[str, HubSnapshot]:
        """Return, by id, those of these snapshots in another Region that have the tags of the hub's own copy of an AMI.

        It takes as long where the hub has many others.
        """

    def snapshots_of(self, image: str, region: str) -> frozenset[str]:
        """Return the snapshots of an AMI that the hub owns in another Region."""

    def tagged(self) -> Sequence[Tagged]:
        """Return every AMI of the hub that has the trigger tag, disabled ones too."""
