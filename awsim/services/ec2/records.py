"""What the EC2 of the simulator remembers: volumes, snapshots, images, and the tags each account puts on them.

Records never change; a change is a new record put into its table (``state``), so that yesterday can still be read.
Ids are unique in a world, times are UTC, sizes are GiB, keys are KMS key ARNs (or what the caller wrote, if it names
no key).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from awsim.api import Caller

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume; attached to nothing: the instances of the simulator have none."""

    id: str
    owner: str
    region: str
    zone: str
    size: int
    created: datetime
    type: str = "gp2"
    iops: int | None = None
    throughput: int | None = None
    key: str | None = None
    snapshot: str = ""
    state: str = "available"
    token: str = ""
    """The client token of the call that made it."""
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a copy comes from, who asked for it, and when it will have been copied."""

    owner: str
    region: str
    snapshot: str
    key: str | None
    caller: Caller
    ends: datetime
    image: str = ""
    """The image that CopyImage makes of it; empty for a CopySnapshot."""
    minutes: int = 0
    """Within which it is to complete; 0: it takes as long as it takes."""
    throughput: float = 0.0
    """MiB a second of the quota of time-based copies that it takes."""


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """What an image is copied from, and which snapshot it will have on which device."""

    image: str
    snapshots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Billing:
    """Licence metadata that RegisterImage reads from a root snapshot [aws-facts 5]."""

    platform_details: str = "Linux/UNIX"
    usage_operation: str = "RunInstances"


@dataclass(frozen=True, slots=True)
class Ec2Snapshot:
    """An EBS snapshot. ``key`` is None if it is not encrypted; ``origin`` is None unless it is a copy."""

    id: str
    owner: str
    region: str
    volume: str
    size: int
    started: datetime
    state: str = "pending"
    description: str = ""
    key: str | None = None
    state_message: str = ""
    ends: datetime | None = None
    """When a pending snapshot will be complete, as far as is known."""
    completed: datetime | None = None
    origin: Origin | None = None
    shared_with: frozenset[str] = frozenset()
    """Account ids, and ``all`` if it is public."""
    product_codes: tuple[str, ...] = ()
    billing: Billing = field(default_factory=Billing)
    tier: str = "standard"
    doomed: bool = False
    """Deleted while pending: it goes when it is complete."""

    @property
    def lent(self) -> bool:
        """Whether others may use it."""
        return bool(self.shared_with)

    def percent(self, at: datetime) -> int:
        """How much of it is there at that time: 0 to 100, and 100 only once it is completed."""
        if self.state == "completed":
            return 100
        if self.ends is None or self.ends <= self.started:
            return 0
        return max(0, min(99, int(100 * (at - self.started) / (self.ends - self.started))))


@dataclass(frozen=True, slots=True)
class Ec2Image:
    """An AMI.

    ``members`` are members of DescribeImages' Image as they are shown; what depends on the time, on other resources
    or on who asks is not among them: id, owner, state, tags, Public, mappings and ``Ebs.Encrypted``.
    """

    id: str
    owner: str
    region: str
    created: datetime
    state: str
    members: Mapping[str, Any]
    mappings: tuple[Mapping[str, Any], ...] = ()
    uefi_data: str | None = None
    launch: frozenset[tuple[str, str]] = frozenset()
    """Launch permissions: (UserId | Group | OrganizationArn | OrganizationalUnitArn, value)."""
    deprecated_at: datetime | None = None
    ended: datetime | None = None
    """When it was deregistered."""
    origin: ImageOrigin | None = None
    """Set on what CopyImage makes."""

    @property
    def lent(self) -> bool:
        """Whether others may launch it."""
        return bool(self.launch)

    @property
    def name(self) -> str:
        """Its name, unique among the registered images of its account and Region."""
        return str(self.members["Name"])

    @property
    def snapshots(self) -> tuple[str, ...]:
        """Ids of the snapshots it stands on."""
        found = (mapping.get("Ebs", NOTHING).get("SnapshotId") for mapping in self.mappings)
        return tuple(str(snapshot) for snapshot in found if snapshot)


@dataclass(frozen=True, slots=True)
class TagSet:
    """The tags that one account, their owner, sees on one resource, and how often they have changed."""

    id: str
    owner: str
    region: str
    resource: str
    tags: Mapping[str, str]
    version: int
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Instance:
    """An attempt to launch an image: ``pending``, then ``running``, or ``terminated`` for a reason (code, text)."""

    id: str
    owner: str
    region: str
    image: str
    started: datetime
    type: str
    state: str = "pending"
    reason: tuple[str, str] = ("", "")
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a client token of CopyImage was first used for."""

    parameters: str
    image: str
    until: datetime


Resource = Volume | Ec2Snapshot | Ec2Image
