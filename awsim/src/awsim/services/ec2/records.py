"""EC2's data: volumes, snapshots, images, instances, networks, and the tags that each account puts on them.

Records never change; a change is a new record in its table (``state``), so that past states can be read. Ids are unique
in a world, times are UTC, sizes are GiB, keys are KMS key ARNs (or what the caller wrote, if it names no key).
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
    """An EBS volume."""

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
    instance: str = ""
    """The instance that it is attached to; "" for none."""
    device: str = ""
    ends_with_instance: bool = False
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a copy, who asked for it, and when it will be complete."""

    owner: str
    region: str
    snapshot: str
    key: str | None
    caller: Caller
    ends: datetime
    image: str = ""
    """The image that CopyImage makes with it; "" for a CopySnapshot."""
    minutes: int = 0
    """Within which it must complete; 0: no limit."""
    throughput: float = 0.0
    """MiB a second that it takes of the quota of time-based copies."""


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """The source of a copied image, and its snapshot on each device."""

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
    """When a pending snapshot will be complete, if known."""
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
        """How much of it is copied at a time: 0 to 100, and 100 only once it is completed."""
        if self.state == "completed":
            return 100
        if self.ends is None or self.ends <= self.started:
            return 0
        return max(0, min(99, int(100 * (at - self.started) / (self.ends - self.started))))


@dataclass(frozen=True, slots=True)
class Ec2Image:
    """An AMI.

    ``members`` are members of DescribeImages' Image as they are shown, without those that depend on the time, on other
    resources or on the caller: id, owner, state, tags, Public, mappings and ``Ebs.Encrypted``.
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
    cools_until: datetime | None = None
    """Until when it cannot be deregistered, although its protection was lifted."""
    ended: datetime | None = None
    """When it was deregistered."""
    origin: ImageOrigin | None = None
    """Set on what CopyImage makes."""

    @property
    def lent(self) -> bool:
        """Whether others may launch it."""
        return bool(self.launch)

    def protection(self, at: datetime) -> str:
        """How its deregistration protection shows; its end only while it outlasts the protection."""
        value = str(self.members.get("DeregistrationProtection", "disabled"))
        if value == "disabled" and self.cools_until is not None and at < self.cools_until:
            return f"disabled after {self.cools_until:%Y-%m-%dT%H:%M:%S.000Z}"
        return value

    @property
    def name(self) -> str:
        """Its name, unique among the registered images of its account and Region."""
        return str(self.members["Name"])

    @property
    def snapshots(self) -> tuple[str, ...]:
        """Ids of its snapshots."""
        found = (mapping.get("Ebs", NOTHING).get("SnapshotId") for mapping in self.mappings)
        return tuple(str(snapshot) for snapshot in found if snapshot)


@dataclass(frozen=True, slots=True)
class TagSet:
    """The tags that one account has put on a resource, and how often they have changed."""

    id: str
    owner: str
    region: str
    resource: str
    tags: Mapping[str, str]
    version: int
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a VPC. ``addresses``: how many it has for instances; ``public``: whether they get a public one."""

    id: str
    owner: str
    region: str
    vpc: str
    zone: str
    addresses: int = 4091
    public: bool = False
    default: bool = False
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group of a VPC, without its rules; the one with the name ``default`` is for who names none."""

    id: str
    owner: str
    region: str
    vpc: str
    name: str
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Instance:
    """A launch of an image."""

    id: str
    owner: str
    region: str
    image: str
    started: datetime
    type: str
    subnet: Subnet
    groups: tuple[str, ...] = ()
    interface: str = ""
    """Id of its network interface."""
    public: bool = False
    """Whether it has a public address."""
    tokens: str = "optional"
    """Whether its metadata service requires session tokens: ``optional`` or ``required``."""
    on_shutdown: str = "stop"
    """What its own shutdown does: ``stop`` or ``terminate``."""
    token: str = ""
    """The client token of the call that launched it."""
    state: str = "pending"
    since: datetime | None = None
    """When it began to run."""
    reason: tuple[str, str] = ("", "")
    """Why it changed its state last: code, text."""
    lent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version of a launch template, which never changes. ``data``: its ImageId and InstanceType, as given."""

    number: int
    data: Mapping[str, str]
    description: str
    created: datetime
    by: str
    """ARN of the caller who made it."""


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """A launch template with its versions, oldest first."""

    id: str
    owner: str
    region: str
    name: str
    versions: tuple[TemplateVersion, ...]
    lent: ClassVar[bool] = False

    @property
    def latest(self) -> TemplateVersion:
        """Its newest version."""
        return self.versions[-1]

    @property
    def default(self) -> TemplateVersion:
        """Its default version: the first, as the simulator has no call that changes it."""
        return self.versions[0]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a client token of CopyImage was first used for."""

    parameters: str
    image: str
    until: datetime


Resource = Volume | Ec2Snapshot | Ec2Image | Instance | Subnet | SecurityGroup
