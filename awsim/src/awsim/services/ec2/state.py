"""EC2's state, for all accounts and Regions, with its past."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from awsim.api import Call, Caller
from awsim.parts import Base, EventBus, KeyService, OrganizationMembers, ParameterLookup
from awsim.rules import Rule, rule
from awsim.services.ec2.records import (
    Ec2Image,
    Ec2Snapshot,
    Instance,
    LaunchTemplate,
    Remembered,
    Resource,
    SecurityGroup,
    Subnet,
    TagSet,
    Volume,
)

STALE = rule(
    "ec2-reads-may-be-stale",
    "EC2 reads are eventually consistent: a Describe may show what was a while ago [aws-facts 1c, VERIFIED]",
)


class _Record(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def lent(self) -> bool: ...


R = TypeVar("R", bound=_Record)


class VersionedTable(Generic[R]):
    """Records by id, with all their versions, so that a read can be as stale as a test wants."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._versions: dict[str, list[tuple[datetime, R | None]]] = {}
        self._owned: dict[str, dict[str, None]] = {}
        self._lent: dict[str, None] = {}
        """Ids of records that were ever shared, so that a look at what one may see need not read all."""

    def put(self, record: R) -> R:
        """Write a record's present version."""
        self._versions.setdefault(record.id, []).append((self._clock(), record))
        self._owned.setdefault(record.owner, {})[record.id] = None
        if record.lent:
            self._lent[record.id] = None
        return record

    def drop(self, record_id: str) -> None:
        """Remove a record from now on."""
        self._versions.setdefault(record_id, []).append((self._clock(), None))

    def get(self, record_id: str, at: datetime | None = None) -> R | None:
        """Return the record as it is, or as it was at a time; None if there is (was) none."""
        versions = self._versions.get(record_id, ())
        if at is None:
            return versions[-1][1] if versions else None
        return next((record for since, record in reversed(versions) if since <= at), None)

    def last(self, record_id: str) -> R | None:
        """Return the last version of a record, although it may have been removed; None if there never was one."""
        found = (record for _, record in reversed(self._versions.get(record_id, ())) if record is not None)
        return next(found, None)

    def all(self, at: datetime | None = None) -> list[R]:
        """Return all records, oldest first, as they are or as they were at a time."""
        return self._those(self._versions, at)

    def of(self, owner: str, at: datetime | None = None) -> list[R]:
        """Return an account's records, oldest first."""
        return self._those(self._owned.get(owner, ()), at)

    def lent(self, at: datetime | None = None) -> list[R]:
        """Return the records that others may use, oldest first."""
        return [record for record in self._those(self._lent, at) if record.lent]

    def _those(self, ids: Iterable[str], at: datetime | None) -> list[R]:
        found = (self.get(record_id, at) for record_id in ids)
        return [record for record in found if record is not None]


@dataclass(slots=True)
class Pace:
    """How long things take, in virtual seconds. AWS promises none of these times, so a test may set them."""

    copy: float = 90
    copy_per_gib: float = 20
    copy_spread: float = 0.4
    """The difference between the longest and the shortest copy of a size, as a part of the average."""
    copy_refused: float = 12
    """From the call to the state ``error``, if a key or the source cannot be used."""
    snapshot: float = 60
    register: float = 4
    launch: float = 15
    """From RunInstances until the instance runs, or is terminated because it has no right on a key."""
    shutdown: float = 30
    """From the beginning of an instance's end until it is terminated or stopped."""
    terminated_shown: float = 3600
    """For how long a terminated instance is shown."""
    console: float = 60
    """From when an instance runs until GetConsoleOutput has its output."""
    token: float = 86_400
    """For how long CopyImage remembers a client token."""
    name_freed: float = 60
    """From DeregisterImage until the name can be used again and the image is no longer shown."""


@dataclass(frozen=True, slots=True)
class Boot:
    """How an instance comes up. Seconds count from when it runs."""

    checks: float | None = 150
    """When its status checks have a result; None: never."""
    impaired: str = ""
    """Which check fails then: ``system``, ``instance`` or ``both``; "" for none."""
    recovers: float | None = None
    """When the check that fails passes after all; None: never."""
    ends: float | None = None
    """When it shuts itself down, or EC2 ends it; None: never."""
    reason: tuple[str, str] = (
        "Client.InstanceInitiatedShutdown",
        "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    )
    """Why it ends then: code, text."""
    console: str | bytes = (
        "[    0.000000] Linux version 6.1\r\n[    3.141593] systemd: reached target multi-user.\r\nlogin: "
    )
    """What it writes to its console."""


class Ec2State:
    """The tables, the settings, and the parts of the world that operations use.

    The seed makes ids reproducible. ``lag`` (seconds) makes every Describe show the state of so long ago; ``lags`` does
    so for single operations; injected stale reads are added to both. ``closed_accounts`` are accounts that AWS no
    longer accepts in a permission. ``deaf_removals``: so many of the next removals of a snapshot permission answer
    success and remove nothing.
    """

    parameters: ParameterLookup
    """Parameter Store; the world connects it."""

    def __init__(self, base: Base, kms: KeyService, events: EventBus, organizations: OrganizationMembers) -> None:
        self.kms = kms
        self.events = events
        self.organizations = organizations
        self.pace = Pace()
        self.lag: float = 0
        self.lags: dict[str, float] = {}
        self.closed_accounts: set[str] = set()
        self.deaf_removals = 0
        self.copy_tokens: dict[tuple[str, str, str], Remembered] = {}
        """(account, Region, client token) -> what CopyImage made for it."""
        self.launch_tokens: dict[tuple[str, str, str], tuple[str, str]] = {}
        """(account, Region, client token) -> the parameters of the RunInstances that used it, and its instance."""
        self.boots: dict[str, Boot] = {}
        """AMI or account -> how instances of that AMI and its copies, or all of that account, come up."""
        self.vcpus: dict[tuple[str, str], int] = {}
        """(account, Region) -> how many vCPUs its instances may have in all; without an entry any number."""
        self.exhausted: set[tuple[str, str]] = set()
        """(Region, instance type) of which AWS has none left."""
        self.encrypted_by_default: dict[tuple[str, str], str] = {}
        """(account, Region) -> the default EBS key, if EBS encryption by default is on."""
        self.allowed_images: dict[tuple[str, str], frozenset[str]] = {}
        """(account, Region) -> whose AMIs it may use besides its own, if Allowed AMIs is enabled."""
        self.allowed_by_policy: set[str] = set()
        """Accounts in which a declarative policy of their organization sets Allowed AMIs."""
        self.on_key_use: list[Callable[[Caller, str, str, str], None]] = []
        """Called with each use of a key by EBS for a caller: caller, KMS's operation, key, and what it encrypts."""
        self.public_images: set[tuple[str, str]] = set()
        """(account, Region) in which block public access for AMIs is off."""
        self.recycle_bins: set[tuple[str, str]] = set()
        """(account, Region) whose Recycle Bin keeps the snapshots and AMIs that are deleted there."""
        self.blocked_snapshots: dict[tuple[str, str], str] = {}
        """(account, Region) -> the state of block public access for snapshots, if it is on."""
        self._base = base
        self._made = 0
        self._ago = timedelta()

        def written_at() -> datetime:
            return self.now - self._ago

        self.volumes: VersionedTable[Volume] = VersionedTable(written_at)
        self.snapshots: VersionedTable[Ec2Snapshot] = VersionedTable(written_at)
        self.images: VersionedTable[Ec2Image] = VersionedTable(written_at)
        self.instances: VersionedTable[Instance] = VersionedTable(written_at)
        self.subnets: VersionedTable[Subnet] = VersionedTable(written_at)
        self.groups: VersionedTable[SecurityGroup] = VersionedTable(written_at)
        self.templates: VersionedTable[LaunchTemplate] = VersionedTable(written_at)
        self.tags: VersionedTable[TagSet] = VersionedTable(written_at)

    @property
    def now(self) -> datetime:
        """Virtual time."""
        return self._base.now

    @property
    def seed(self) -> int:
        """The seed of this world's random numbers."""
        return self._base.seed

    def on(self, rule: Rule) -> bool:
        """Whether a rule is enforced now."""
        return self._base.on(rule)

    def after(self, seconds: float, what: Callable[[], object], label: str) -> None:
        """Call a function later, in virtual time."""
        self._base.clock.after(seconds, what, label)

    def moment(self, call: Call) -> datetime:
        """Return the time whose state this read shows. Call it once a call: an injection may be for one only."""
        as_of = self._base.injected.as_of(call) - timedelta(seconds=self.lags.get(call.operation, self.lag))
        return as_of if self.on(STALE) else self.now

    @contextmanager
    def backdated(self, ago: timedelta) -> Iterator[None]:
        """Within the context, new records are some time old, so that stale reads see them."""
        self._ago = ago
        try:
            yield
        finally:
            self._ago = timedelta()

    def new_id(self, prefix: str) -> str:
        """Return a fresh id of EC2's long form: ``snap-`` and 17 hexadecimal digits."""
        self._made += 1
        return self.fixed_id(prefix, str(self._made))

    def fixed_id(self, prefix: str, name: str) -> str:
        """Return the id that something with a name has in each world of this seed."""
        digest = hashlib.sha256(f"{self.seed}/{prefix}/{name}".encode()).hexdigest()
        return f"{prefix}-0{digest[:16]}"

    def resource(self, resource_id: str, region: str, at: datetime | None = None) -> Resource | None:
        """Return any resource of a Region that can have tags, by its id, of any account."""
        found: Resource | None = (
            self.snapshots.get(resource_id, at)
            or self.images.get(resource_id, at)
            or self.volumes.get(resource_id, at)
            or self.instances.get(resource_id, at)
            or self.subnets.get(resource_id, at)
            or self.groups.get(resource_id, at)
        )
        return found if found is not None and found.region == region else None

    def tags_on(self, account: str, resource_id: str, at: datetime | None = None) -> dict[str, str]:
        """Return the tags that this account has put on a resource."""
        found = self.tags.get(f"{account}/{resource_id}", at)
        return dict(found.tags) if found else {}
