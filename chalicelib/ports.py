"""What the service needs from the world, in our words. Each port has its adapter in ``adapters/``.

What they raise stands in ``core/errors.py``; what is not there is raised as boto3 raises it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from chalicelib.core.delivery.events import SeenCopy, ShownImage
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.faults import Fault
from chalicelib.core.images.image import SourceImage, SourceSnapshot
from chalicelib.core.promotion.model import Child
from chalicelib.core.records.addresses import Key
from chalicelib.core.records.wakes import Wake
from chalicelib.core.sharing.share import Holding, Share
from chalicelib.core.targets.applied_file import AppliedFile
from chalicelib.core.targets.copy_quota import SlotLease
from chalicelib.core.targets.departures import Book, Whereabouts
from chalicelib.core.targets.inventory import InventoryPage, Part
from chalicelib.core.targets.kms_keys import KeyFacts
from chalicelib.core.targets.listing import Page, Step
from chalicelib.core.targets.organization import Membership, Organisation

# --- records ---------------------------------------------------------------------------------------------------------


NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read: its JSON body, its version, and the notes left on it since."""

    key: Key
    body: Mapping[str, Any]
    version: int
    """Every write counts it up, also one that only makes the record due."""
    hints: Mapping[str, str] = field(default_factory=dict)
    parked: str = ""
    scheduled: int | None = None
    """From when the sweep wakes it (epoch seconds); None: it is not in the index of what is due."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record in the index of what is due. All times in epoch seconds."""

    key: Key
    ring_at: int
    """From when the sweep wakes it; its place in the index."""
    due_at: int
    """When it was due by its own account."""
    latest: int = 0
    """Its deadline; 0: none."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record as it shall be."""

    key: Key
    state: str
    body: Mapping[str, Any]
    due_at: int | None
    latest: int | None = None
    """Never let the sweep's growing steps pass this moment (epoch seconds)."""


class MadeDue(StrEnum):
    """What became of a record that was to be made due."""

    SEND = "send"
    """It is due; a wake is to be sent, as none is on its way."""
    SENT = "sent"
    """It is due, and a wake is on its way."""
    NONE = "none"
    """There is no such record, or it was set aside."""


Extras = Sequence[tuple[Key, Mapping[str, Any]]]
"""Items that are written together with a record: where, and what."""


class Records(Protocol):
    """State records. Every write is conditional; every read is consistent."""

    def begin(self, key: Key) -> Stored | None:
        """Take the record into work: clear its ``rung`` mark and read it, in one step."""

    def read(self, key: Key) -> Stored | None:
        """Read it and leave it alone."""

    def create(self, write: Write, now: int) -> bool:
        """Put it if it is absent. False: there was one."""

    def create_all(self, new: Sequence[tuple[Write, Extras]], now: int) -> Collection[Key]:
        """Put records that are absent, each with its items: all or nothing, and at most 100 items.

        Returns the records that were there, or that somebody else wrote just then: if there are any, nothing was
        written.
        """

    def save(
        self,
        before: Stored,
        after: Write,
        happened: Sequence[str],
        now: int,
        also: Extras = (),
    ) -> bool:
        """Write record, history and what belongs with them, all or nothing, if nobody else has written meanwhile."""

    def replace(self, write: Write, now: int) -> None:
        """Put it whole, whatever was there: for one that cannot be read and holds nothing that would be lost."""

    def park(self, key: Key, why: str, now: int) -> None:
        """Set it aside for a person: out of the index of what is due."""

    def unpark(self, key: Key, now: int) -> bool:
        """Let a record that was set aside go on: it is due at once. False: it was not set aside."""

    def make_due(self, key: Key, now: int, hints: Mapping[str, str] = NOTHING) -> MadeDue:
        """Make a record due within a minute, as the wake that follows may be lost, and count its version up.

        So whoever works on it just now cannot write what it found before: it looks once more. ``hints``: what a person
        asks of it.
        """

    def note(
        self, key: Key, hints: Mapping[str, str], now: int, *, newer: bool = False, due: int | None = None
    ) -> bool:
        """Leave hints for later: a record that is due keeps its date, and one at rest is due at ``due`` (or now).

        ``newer``: only if each hint is greater than the one there. False: there is no such record.
        """

    def mark_rung(self, key: Key, now: int) -> bool:
        """Set the ``rung`` mark if it is absent or too old to be true. False: somebody has rung."""

    def put(self, key: Key, attributes: Mapping[str, Any]) -> None:
        """Write an item that is safe to write again: a look-up, a blob."""

    def get(self, key: Key) -> Mapping[str, Any] | None:
        """Read such an item."""

    def list(self, pk: str, prefix: str) -> Sequence[tuple[Key, Mapping[str, Any]]]:
        """Read all such items of a partition. Raises Unreadable, or NewerSchema, for one of a form not read here."""

    def list_readable(self, pk: str, prefix: str) -> Sequence[tuple[Key, Mapping[str, Any]]]:
        """Read all such items of a partition; one of a form that is not read here comes without its body."""

    def forget(self, key: Key, attributes: Mapping[str, Any]) -> None:
        """Delete such an item, if these of its attributes are still so."""

    def due(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """Return records of one shard that were due up to ``until``, longest due first; fewer than ``limit``: the end.

        ``after``: the last one of the page before, whatever has become of it since. Eventually consistent.
        """


class SlotLeases(Protocol):
    """The slots of a copy quota: what deliveries ask, and what they were granted."""

    def ask(self, quota: Key, wish: SlotLease) -> SlotLease:
        """Write what a delivery wants and has done in its episode, and renew its lease; return how that now stands.

        What was granted stays. Where nothing is known of the delivery in this episode, ``granted`` is as in the wish:
        its running copies count. A wish of an older episode changes nothing and is returned as it is; so is one that
        wants no more, and then the lease is forgotten.
        """

    def leases(self, quota: Key) -> Sequence[SlotLease]:
        """Read all of them."""

    def lease(self, quota: Key, delivery: str) -> SlotLease | None:
        """Read a delivery's own; None where nothing is known of it."""

    def grant(self, quota: Key, lease: SlotLease) -> None:
        """Write ``granted`` and ``until``, if the delivery is still in that episode and was not granted more."""

    def drop(self, quota: Key, lease: SlotLease) -> None:
        """Forget one, unless its delivery has asked since it was read."""


@dataclass(frozen=True, slots=True)
class StandingHolding:
    """The link from an AMI to one of its standing holdings: enough to judge and release it without the share's item.

    Of a damaged link, what can be read: ``holding`` then has episode 0, which stands for any.
    """

    resource: str
    holder_key: str
    holding: Holding


class Ledger(Protocol):
    """The shares of each resource. Deliveries write their holdings; the share worker writes the rest.

    What nobody holds and is not open any longer is in an archive that expires; ``shares`` never reads that.
    """

    def hold(self, resource: str, share: Share, holding: Holding) -> None:
        """Add a holding, and never let the share end before its ``hard_close_at``. May be repeated.

        One that was not there counts ``asked`` up. The link of a standing one is written before.
        """

    def release(self, resource: str, holder_key: str, holding: Holding) -> None:
        """Remove a holding, then its link. May be repeated; one of episode 0 stands for any of that delivery."""

    def standing(self, ami: str) -> Sequence[StandingHolding]:
        """Read the links of one AMI. One that is damaged is returned with what can be read; never raises for it."""

    def shares(self, resource: str) -> Sequence[Share]:
        """Read the shares of a resource that are open, or that somebody wants open."""

    def find(self, places: Collection[tuple[str, str]]) -> Sequence[Share]:
        """Read single shares of several resources, in as few calls as may be: each by resource and ``holder_key``."""

    def save(self, shares: Sequence[Share], happened: str, now: int, *, unheld: bool = False) -> None:
        """Write the worker's side of these shares and their history. Raises LostRace.

        ``unheld``: only if nobody has come to hold them since they were read. What was ``damaged`` among their holdings
        is taken out.
        """

    def put_right(self, share: Share, happened: str, now: int) -> bool:
        """Write one share as it was found to be, also one that is not in the ledger (version 0). False: lost a race."""

    def archive(self, shares: Sequence[Share], now: int) -> None:
        """Move shares that nobody holds to the archive. Raises LostRace if one was held or written meanwhile."""

    def was_open(self, resource: str, names: str = "") -> bool:
        """Whether the archive has a share of this resource whose ``holder_key`` begins with ``names``."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What keeps shares from being opened, by ``holder_key``; one that stands in neither may be opened."""

    refused: Mapping[str, Fault] = field(default_factory=dict)
    """For good: no file contains its receiver, or the resource is no part of the AMI."""
    waits: Mapping[str, Fault] = field(default_factory=dict)
    """For now: one look at the tag, or the file, does not name it, and such a look may be stale."""


class Entitlements(Protocol):
    """Who may hold what now: the tag in force, the applied file, the membership (invariants 8 and 11)."""

    def judge(self, resource: str, shares: Sequence[Share]) -> Judgement:
        """Say of each share whether it may be opened now. Raises Refusal where AWS owes the answer."""

    def end(self, resource: str, share: Share) -> int:
        """Return until when (epoch seconds) its standing holders may keep it, as is known now; 0: no longer.

        Raises Refusal where it cannot be told now.
        """


class Children(Protocol):
    """A promotion's notes of its deliveries."""

    def add(self, ami: str, child: Child) -> bool:
        """Put it, if absent or of an older episode. False: there was one."""

    def end(self, ami: str, child: Child) -> bool:
        """Leave the mark of a delivery that has ended or rests; True if it may be the last one running.

        One that rested in ``shared`` leaves another when it is withdrawn.
        """

    def ask_again(self, ami: str, delivery: str, episode: int) -> None:
        """Mark one that is failing just now: this episode of the promotion wants it once it has failed."""

    def all(self, ami: str) -> Sequence[Child]:
        """Read them all."""


class Rings(Protocol):
    """The bell: wakes the lane of a record."""

    def ring(self, key: Key, cause: str) -> None:
        """Send the record's key; the same key and cause within five minutes count once."""

    def ring_all(self, wakes: Sequence[tuple[Key, str]]) -> Sequence[Key]:
        """Send many, each a record's key and a cause, in any order; returns those that cannot be sent as they are.

        Raises Refusal where the queue does not answer, or answers some only: then all are to be sent again.
        """


class Wakes(Protocol):
    """Wakes a record's worker and tells it why."""

    def send(self, wake: Wake) -> None:
        """Send it; the same key and cause within five minutes count once."""


# --- AWS -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagRead:
    """A hub AMI as DescribeImages shows it: None members where it is not there."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    ours: bool = False
    """It bears the tag of a delivery."""
    owned: bool = True
    """The hub owns it; a stranger's AMI that the hub has tagged is shown as well."""
    snapshots: frozenset[str] = frozenset()
    """Of its devices."""


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
        """Read all that EC2 says of image, attributes and snapshots, and KMS of their keys; None: not there."""

    def keys(self, snapshots: Collection[str]) -> frozenset[str]:
        """Return the KMS keys (ARNs) of these snapshots of the hub, in its own Region."""

    def copies(self, ami: str, region: str) -> Mapping[str, HubCopy]:
        """Return the snapshots that the hub's own delivery of an AMI to another Region made there, by their ids."""

    def tagged(self) -> Sequence[Tagged]:
        """Return every AMI of the hub that bears the trigger tag, disabled ones too."""


class Targets(Protocol):
    """The applied targets file, with the accounts that the units of an organisation bring into its groups."""

    def read(self) -> AppliedFile:
        """Read the file and the membership as they are in force now, consistently."""

    def generation(self) -> str:
        """Name the content of both as they are in force now (``AppliedFile.generation``), without reading it."""

    def live(self, account: str) -> tuple[str, str] | None:
        """Role name and external id as they are now; None where the account is no longer there."""

    def paused(self) -> bool:
        """Whether an operator has paused new promotions (``ami-promoter pause``)."""


class Applied(Targets, Protocol):
    """What the resolver needs of the applied file besides. May raise Refusal where it was changed by hand."""

    def organisation(self) -> Organisation | None:
        """What it says of an organisation; None where it names no unit."""

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Every group's members: accounts and units."""


@dataclass(frozen=True, slots=True)
class UnitFound:
    """An OU, a root or an organisation: the ARN by which a launch permission names it, and the parents it begins at.

    Of a root it is the organisation's ARN: launch permissions know no roots.
    """

    arn: str
    parents: tuple[str, ...]


class OrganisationReader(Protocol):
    """The organisation that the applied file names. Every method may raise Refusal, worded for a person."""

    def unit(self, unit: str) -> UnitFound:
        """Find a unit."""

    def page(self, step: Step) -> Page:
        """Read one page of a parent's direct children; an empty one may not be the last."""

    def whereabouts(self, account: str) -> Whereabouts:
        """Say in which state an account is and where it stands; state "": not in the organisation."""


class MembersBook(Protocol):
    """What the resolver writes down: whom each unit has, as it is in force, and its own book."""

    def membership(self) -> Membership:
        """Read what is in force, whole. Raises Refusal where items were changed by hand."""

    def publish(self, before: Membership, after: Membership) -> bool:
        """Bring another membership into force, if ``before`` still is. False: somebody was faster."""

    def book(self) -> tuple[Book, int]:
        """Read the book, and its version."""

    def save(self, book: Book, version: int) -> bool:
        """Write the book if nobody else has. False: somebody has."""

    def accepted(self, now: int) -> frozenset[str]:
        """Return the accounts that a person has let go within the last day."""


@dataclass(frozen=True, slots=True)
class SeenImage:
    """The new AMI as DescribeImages and DescribeImageAttribute show it; ``raw`` None: not there."""

    raw: Mapping[str, Any] | None
    attributes: Mapping[str, Mapping[str, Any]]


class TargetSnapshots(Protocol):
    """Snapshots in one target, in a session narrowed to one delivery. Every method may raise Refusal."""

    def find(self, delivery: Delivery) -> tuple[SeenCopy, ...]:
        """List every snapshot there that bears the delivery's tag."""

    def look_at(self, delivery: Delivery, copies: Sequence[str]) -> tuple[SeenCopy, ...]:
        """Describe these copies; one that is not shown is not returned."""

    def copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        """CopySnapshot, tagged at creation; returns the copy's id. Never retried by the SDK."""

    def tag(self, delivery: Delivery, image: SourceImage) -> None:
        """Give the snapshots that CopyImage made (the delivery's copies) the tags of their sources."""

    def delete(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        """Delete these; one that is gone is no error."""


class TargetImages(Protocol):
    """AMIs in one target, in a session narrowed to one delivery. Every method may raise Refusal."""

    def named(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """List the AMIs that bear the name there, disabled and deregistered ones that still show among them."""

    def of_delivery(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """List the AMIs there that bear the delivery's tag, whatever their names."""

    def see(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        """Read the new AMI whole."""

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        """RegisterImage, tagged at creation; returns the AMI's id. Never retried by the SDK."""

    def copy(self, delivery: Delivery, image: SourceImage) -> str:
        """CopyImage, tagged at creation; returns the AMI's id. The same try has the same client token."""

    def deprecate(self, delivery: Delivery, at: str) -> None:
        """EnableImageDeprecation (``at``: ISO 8601)."""

    def deregister(self, delivery: Delivery, image: str) -> None:
        """Deregister this AMI; that it is gone is no error."""


class TargetKeys(Protocol):
    """KMS keys that a delivery needs. Every method may raise Refusal."""

    def describe(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return what DescribeKey says of the target's key, or None and AWS's words where it refuses."""

    def source_keys(self, delivery: Delivery) -> Mapping[str, str]:
        """Describe the source's keys under the role in the target, where the hub opens none (``key_access: none``).

        Returns each key's ARN and "" where the role may describe it, else AWS's words.
        """

    def policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """Read the policies of source keys, in the hub: each key's ARN and its text, or why it cannot be read."""


class TargetRoles(Protocol):
    """Roles in one target. May raise Refusal."""

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """Return the roles that are not there, as far as may be seen.

        Looked for are its service-linked roles ("SERVICE/NAME") and the role that makes their grants ("NAME").
        """


class TargetInventory(Protocol):
    """A target as a whole, by the tags that everything of ours bears. Every method may raise Refusal."""

    def page(self, account: str, region: str, part: Part, cursor: str) -> InventoryPage:
        """List one page, of at most 200, of the AMIs or snapshots there that bear this hub's tag.

        ``cursor`` is that of the page before, "" for the first. Raises StaleCursor where it is not known any longer.
        """

    def remove(self, account: str, region: str, delivery: str, snapshot: str) -> str:
        """Delete one snapshot if it still bears this hub's tag and the delivery's, and no AMI uses it.

        Returns why it was not deleted; "" if it is gone.
        """


class PermissionAdapter(Protocol):
    """Permissions on one kind of resource in the hub. Every method may raise Refusal."""

    batch: int
    """How many permissions one call opens or closes at most."""

    def showing(self, resource: str, shares: Sequence[Share]) -> frozenset[str]:
        """Return the ``holder_key`` of those of these shares whose permission shows now."""

    def open(self, resource: str, shares: Sequence[Share]) -> Mapping[str, str]:
        """Open them in as few calls as AWS allows; returns a grant id for each holder_key, where there is one."""

    def close(self, resource: str, shares: Sequence[Share]) -> None:
        """Remove them; one that is gone is no error."""


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


class Notices(Protocol):
    """The way out: SNS, and the hub's event bus with the same body."""

    def publish(self, notice: Mapping[str, Any]) -> None:
        """Publish one notice, already complete. Raises Refusal."""


class Telemetry(Protocol):
    """Structured logs and metrics: an event with fields, never prose alone."""

    def did(self, key: Key, state: str, command: object, event: object) -> None:
        """A command was carried out, with this result."""

    def moved(self, key: Key, before: str, after: str, cause: str) -> None:
        """A record was written. Work that a sweep found, and no event or ring brought, is counted."""

    def old_news(self, key: Key, what: str) -> None:
        """A result came to a record that somebody else had moved on meanwhile."""

    def parked(self, key: Key, why: str) -> None:
        """A record was set aside for a person: an alarm."""

    def mended(self, key: Key, what: str) -> None:
        """A worker put right by itself what a damaged or parked record would have held up."""

    def share(self, resource: str, account: str, what: str, **fields: object) -> None:
        """A share opened, closed or could not be: the audit's line."""

    def strays(self, resource: str, account: str, found: Sequence[str]) -> None:
        """An account that holds no share any longer has grants of its own making on our key: an alarm."""

    def not_closing(self, resource: str, account: str, tries: int) -> None:
        """A share that is to be closed still shows after many tries: an alarm."""

    def closed_blind(self, resource: str, account: str) -> None:
        """A share was closed at its hard end although somebody held it: an alarm."""

    def open_shares(self, oldest_seconds: int) -> None:
        """For so long the oldest share of a resource has been open; one that is preexisting does not count."""

    def hindered(self, what: str, why: str) -> None:
        """Scheduled work, or a part of it, was not done this time."""

    def organisation(self, joined: int, left: int, held: int, troubles: Mapping[str, str]) -> None:
        """The organisation was read. ``held``: accounts whose leaving waits for a person; ``troubles``: by unit."""

    def left(self, account: str, group: str, why: str) -> None:
        """An account was taken out of a group, on this evidence."""

    def discovered(self) -> None:
        """Every pass of discovery was taken, as far as there was time, and none was refused."""

    def swept(self, rung: int, due: int, oldest_seconds: int) -> None:
        """The sweep has run. ``oldest_seconds``: for how long the longest due record has been due; 0 if none is."""
