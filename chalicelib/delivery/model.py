"""A delivery's record: its states, copies, attempts and settings, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Concatenate, Literal, NamedTuple, ParamSpec

from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.images.image import SourceImage, snapshots_to_copy
from chalicelib.targets.applied_file import Target


class DeliveryState(StrEnum):
    """What a delivery waits for."""

    AWAITING_WAVE = "awaiting-wave"
    """the group before its own, before anything else"""
    AWAITING_APPROVAL = "awaiting-approval"
    """an approver, before it looks at the target"""
    REQUESTED = "requested"
    """the hub's own copy in its Region, if it copies from that, then its first look at the target"""
    AWAITING_ROLE = "awaiting-role"
    """the copy role or the launch role, which cannot be assumed yet"""
    AWAITING_SLOT = "awaiting-slot"
    """a free copy slot in its account and Region"""
    OPENING = "opening"
    """the share worker to open snapshots and key"""
    COPYING = "copying"
    """its snapshots to be copied"""
    REGISTERING = "registering"
    """RegisterImage, or CopyImage and its copies"""
    VERIFYING = "verifying"
    """the new AMI to be available and equal to its source"""
    LAUNCHING = "launching"
    """its launch test: one instance from its AMI"""
    PUBLISHING = "publishing"
    """deregistration protection, its family's pointer, its shares' release; then the notice and its promotion's wake"""
    RECALLING = "recalling"
    """its AMI to be deprecated, as an operator has recalled it"""
    RESTORING = "restoring"
    """its AMI to be as before the recall, which was lifted"""
    STOPPING = "stopping"
    """unfinished copies to end or be gone"""
    TIDYING = "tidying"
    """the removal of what the delivery made, and the notice to its owner"""
    DELIVERED = "delivered"
    """The target owns the AMI, it equals its source, and this delivery holds no share."""
    SHARED = "shared"
    """The target can launch the hub's AMI until a withdrawal or a date ends that (share mode)."""
    FAILED = "failed"
    """The delivery ended without an AMI; the service removed what it had made, except the leftovers."""
    CANCELLED = "cancelled"
    """The tag, the applied file or an operator ended the delivery before its AMI was registered."""
    WITHDRAWN = "withdrawn"
    """Looks at AWS miss what was shared by this delivery alone; or, after an hour, ``faults`` says what is still open.
    """
    RECALLED = "recalled"
    """An operator has taken the AMI back everywhere. ``recall`` says who and why. In the target it is deprecated, and
    where the account allows it disabled; it was not deregistered, and instances go on running. ``faults`` says what the
    account refused for a day. If the recall is lifted, a notice ``delivery.delivered`` follows; of an untested AMI
    ``delivery.cancelled``, and it is tested again.
    """


ENDED = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.FAILED,
        DeliveryState.CANCELLED,
        DeliveryState.WITHDRAWN,
        DeliveryState.RECALLED,
    }
)
"""The states in which an episode has ended. What is shared stays open in ``shared``, until something ends that."""

NOT_PROTECTED = "image-not-protected"
"""Fault code of an AMI that is delivered without deregistration protection, although it should have it."""

ACCEPTED = "accepted"
"""Inbox entry of an operator: the id of an AMI in the target that the delivery adopts as its own."""

BY_RECALL = "recalled:"
"""Prefix of a request to end because an operator has recalled the AMI: nobody is notified of what is finished."""

BY_DATE = "expired:"
"""Prefix of a request to end at the targets file's date; the service does not start such a delivery again."""


class EndRequest(NamedTuple):
    """An inbox entry ``cancel``. ``cause``: with a prefix above if one applies; ``why``: for people."""

    episode: int
    cause: str
    why: str

    @classmethod
    def parse(cls, text: str) -> EndRequest | None:
        """Read an entry; None if the text is none."""
        found = re.fullmatch(r"([0-9]{1,9}):([^#]*)#?(.*)", text, re.DOTALL)
        return cls(int(found[1]), found[2], found[3]) if found else None

    def __str__(self) -> str:
        return f"{self.episode}:{self.cause}#{self.why}"


class CopyState(StrEnum):
    """The state of one snapshot's copy."""

    WANTED = "wanted"
    INTENDED = "intended"
    """The intent is written; whether CopySnapshot took effect is not known yet."""
    PENDING = "pending"
    COMPLETED = "completed"
    ERROR = "error"
    """It ended in error and still exists: it counts against the limit until it is deleted."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One source snapshot to copy. ``key_arn`` is None if the source is not encrypted."""

    id: str
    key_arn: str | None


def snapshots_of(image: SourceImage) -> tuple[Snapshot, ...]:
    """Return the source snapshots to copy for an image."""
    by_id = {snapshot.id: snapshot for snapshot in image.snapshots}
    wanted = (by_id[ident] for ident in snapshots_to_copy(image))
    return tuple(Snapshot(one.id, one.key if one.encrypted else None) for one in wanted)


@dataclass(frozen=True, slots=True)
class Copy:
    """One source snapshot's copy in the target. Times are epoch seconds."""

    source: str
    state: CopyState = CopyState.WANTED
    id: str | None = None
    adopted: bool = False
    """Found by its nonce: CopySnapshot's answer was not received."""
    tries: int = 0
    found_at: int = 0
    """When all copies in the target were last listed; 0: not since this one was adopted or has completed.

    A try must follow such a list soon (invariant 4).
    """
    missed_since: int = 0
    """Since when looks do not show it, or what came of its intent; 0: the last look has, or there was none."""
    next_look: int = 0
    """When to look at it next; of one that is wanted, when its next try may begin."""
    progress: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One intended call of CopySnapshot, RegisterImage or CopyImage. What has its nonce is its.

    The nonce is random and unknown in the target before the call. The service's other tags can be predicted.
    """

    nonce: str
    source: str
    """The source snapshot; "" for the image."""
    at: int
    """When it was intended (epoch seconds)."""
    id: str = ""
    """The snapshot or AMI that it made, by AWS's answer or as found by its nonce: from then on only this is proof.

    CopyImage's attempt is there once for the AMI, and once for each of its snapshots that is known.
    """
    episode: int = 0
    """The delivery's episode that intended it."""
    stays: bool = False
    """Whether what it made was left in the target, where it may be in use: no later episode removes it."""


@dataclass(frozen=True, slots=True)
class InstanceAttempt:
    """One intended instance of a launch test. Its nonce is also the client token of RunInstances."""

    nonce: str
    at: int
    """When its last call was intended (epoch seconds)."""
    id: str = ""
    episode: int = 0
    missed_since: int = 0
    """Since when looks whether it is terminated do not show it; 0: the last one did, or there was none."""


@dataclass(frozen=True, slots=True)
class NeededShare:
    """One share that this delivery holds: where it is in the ledger."""

    resource: str
    """partition key of the resource"""
    share_name: str
    """which permission on it: an account, a delivery's id, a role; see ``addresses``"""
    standing: bool = False
    """Whether it is held after the copies: as long as the delivery is shared, or its AMI delivered."""


@dataclass(frozen=True, slots=True)
class HubCopy:
    """The hub's own copy in the target's Region, which a delivery with ``by_way_of`` copies from."""

    snapshots: Mapping[str, str] = field(default_factory=dict)
    """Source snapshot -> the hub's copy of it, once that exists."""
    key_arn: str = ""
    """The hub's key that they are encrypted under."""


@dataclass(frozen=True, slots=True)
class DeliveryHoldings:
    """The shares that the delivery needs, and what it knows of its holdings in the ledger."""

    needed: tuple[NeededShare, ...] = ()
    """Empty once looks at AWS miss what was released, or show it for an hour: only then it was withdrawn."""
    continue_at: int = 0
    """Where holding or releasing them continues, if there was no time for all."""
    holds_copy: bool = False
    """Whether its holdings for copies are in the ledger, or may be: this is written before them."""
    holds_standing: bool = False
    """The same for its standing holdings."""
    opened_at: int | None = None
    """When all were first seen open."""

    @property
    def held(self) -> bool:
        """Whether any holding is in the ledger, or may be."""
        return self.holds_copy or self.holds_standing


@dataclass(frozen=True, slots=True)
class ShareMode:
    """Until when the hub's AMI is shared (mode ``share``)."""

    ends_at: int = 0
    """The later end date from the applied file since it was shared; read again at that time."""
    next_read: int = 0
    """When to read the file again, as it could not be read at that time (epoch seconds)."""
    expired: bool = False
    """Whether its shares were withdrawn at the date of the targets file."""
    without_roles: bool = False
    """Whether no service-linked role gets a grant, although the mode's default names one."""


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """The request to the copy quota, and the slots that it has granted in this episode."""

    asked: str = ""
    """The last request; see ``slots``."""
    asks: int = 0
    next_ask: int = 0
    """When to ask the copy quota again if it has not answered (epoch seconds)."""
    granted: int = 0
    """Slots in the lease when it was last read."""
    until: int = 0
    """When the lease must be read again."""
    limited_at: int | None = None
    """When EC2 last refused a copy because of its limit."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """The request to EC2 for the new AMI: RegisterImage or CopyImage."""

    intended_at: int | None = None
    copy_image_intended_at: int | None = None
    """When CopyImage was last intended: its resources can show late, even if it has failed since."""
    discarded: tuple[str, ...] = ()
    """CopyImage's AMIs that failed because of a key that was not accessible yet, and were removed for another try.

    Each such try has its own nonce, and none of these AMIs is used.
    """


@dataclass(frozen=True, slots=True)
class NewImage:
    """The AMI in the target."""

    id: str | None = None
    available_at: int | None = None
    """When it was first seen available and equal to the source."""
    differed: int = 0
    """How many looks have found it available and different from the source."""
    protected: bool = False
    """Whether it has deregistration protection, by this service."""
    adopted: bool = False
    """It existed before this episode: the service must not remove it if it differs."""


@dataclass(frozen=True, slots=True)
class Naming:
    """The pointer that is to name its AMI: the parameter of its family there. See the room ``release``."""

    family: str = ""
    parameter: str = ""
    """Its name; "": none is to name this AMI."""
    offered_at: int = 0
    """When the AMI was offered to the pointer (epoch seconds); 0: not yet, as far as is known."""
    done: bool = False
    """Whether the notice does not wait for the pointer, or no longer."""
    shows: str = ""
    """The AMI that the parameter named when ``done``: its own, or a newer one."""
    fault: Fault | None = None
    """Why the parameter does not name what is current; the AMI is delivered anyway."""
    pinned: str = ""
    """At which release an operator holds the pointer, who and why; "": nobody does."""
    before: tuple[str, ...] = ()
    """The parameters of before the file renamed them: they move off it if it is recalled, or its share ends."""


MOST_ENDS = 101
"""Tries to end an instance before the service gives up: a day, by ``instances.END_LOOKS``, without its own outages."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The launch test of its AMI. All members have their defaults if the target has none."""

    subnet: str = ""
    """The one that the target has chosen for launch tests."""
    group: str = ""
    """The security group that it has chosen; "": the default one of the subnet's VPC."""
    attempts: tuple[InstanceAttempt, ...] = ()
    """Those whose instance was not seen terminated, of this and of earlier episodes."""
    tries: int = 0
    """Calls of the last attempt: after the first, an instance may exist although a call was refused."""
    impaired_since: int = 0
    """When a look first showed an impaired check (epoch seconds); 0: the last look showed none."""
    result: Literal["", "passed", "failed", "untested", "stopped"] = ""
    """How the test ended, after which the instance is terminated. ``stopped``: it was ended before it had a result."""
    console: str = ""
    """The end of the instance's console output, escaped: for `status` alone, as it may hold secrets."""
    kept: str = ""
    """The AMI that could not be tested, or not before a recall: nobody was notified of it, so it may be removed."""
    looks: int = 0
    """How often the service has tried to terminate the instance; looks at its test do not count."""
    next_look: int = 0
    """When to look again whether it is terminated."""

    @property
    def given_up(self) -> bool:
        """Whether the service has given up terminating it: a fault names it."""
        return self.looks >= MOST_ENDS

    @property
    def may_run(self) -> bool:
        """Whether an instance may exist that is still to be terminated."""
        return bool(self.attempts) and not self.given_up


@dataclass(frozen=True, slots=True)
class Recalled:
    """The recall of its AMI; it is kept until it is lifted."""

    by: str = ""
    """ARN of the operator."""
    why: str = ""
    seen: bool = False
    """Whether a look has shown the AMI. Only then, or after an earlier lift, is there something to restore."""
    deprecated_before: str = ""
    """The AMI's deprecation date before; "": it had none."""
    may_disable: bool = False
    """Whether the target's role allows DisableImage: from then on the recall may have disabled the AMI."""
    disabled: bool = False
    """Whether EC2 has said that it is."""
    done: bool = False
    """Whether it is deprecated, or gone, or the service has given up."""
    lift: str = ""
    """The operator's request to lift the recall that was tried last."""
    refused: str = ""
    """The codes of the faults with which the try before was given up: people are notified of the same ones once."""
    restored_at: int = 0
    """When a lift gave the AMI its date and state back, or may have: for a while a look may still show the recall."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """One more look, which decides whether the delivery fails."""

    failure: Fault | None = None
    """The fault with which it fails unless the look shows the work finished: a deadline, or a closed share."""
    since: int = 0
    """When the look became due. Some states look once more without such a fault."""


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What the service removes in the target, and what stays there."""

    to_delete: tuple[str, ...] = ()
    """Snapshots that the service created and does not need."""
    deleted: tuple[str, ...] = ()
    """Copies that showed and whose deletion EC2 has accepted: one that still runs goes when it ends."""
    leftovers: tuple[str, ...] = ()
    """What the last look still showed, or could not check: a notice names it."""
    unproven: tuple[str, ...] = ()
    """Resources with the service's tags but no recorded nonce, or that were left: they stay, and are named."""
    deletes_refused: int = 0
    """How often AWS has refused to list or delete the resources since the delivery stops."""
    deletes_accepted: bool = False
    """AWS accepted every deletion, or refused twice: the shares do not wait for the copies' deletion."""
    done: bool = False
    """Nothing is left to remove, or the service has given up."""
    clear: bool = False
    """Two looks that agree found nothing there with this delivery's tags: see ``proof.carried``."""


P = ParamSpec("P")


def _with(part: str, _kind: Callable[P, object]) -> Callable[Concatenate[Delivery, P], Delivery]:
    """Return the method that returns a delivery with members of a part of its record changed.

    It takes what the part's constructor takes: names that mypy checks, as all members of a part have defaults.
    """

    def changed(delivery: Delivery, /, *_none: P.args, **changes: P.kwargs) -> Delivery:
        return replace(delivery, **{part: replace(getattr(delivery, part), **changes)})

    return changed


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery's record. ``target`` has the settings of its start; times are epoch seconds."""

    id: str
    hub: str
    ami: str
    target: Target
    episode: int
    created_at: int
    image_name: str
    snapshots: tuple[Snapshot, ...]
    promotion_episode: int = 0
    """The promotion's episode that started this episode."""
    source_name: str = ""
    source: str = ""
    """Name of the examined source beside the promotion: that one arrives; with an approval, the approved one."""
    groups: tuple[str, ...] = ()
    state: DeliveryState = DeliveryState.REQUESTED
    entered: Mapping[str, int] = field(default_factory=dict)
    approved_by: str = ""
    """``aws:userid`` of the approver by whose approval it left ``awaiting-approval``; "" if it needs none."""
    key_arn: str = ""
    """The target's key, as the target account's EC2 and KMS name it; known after the checks."""
    method: Literal["snapshots", "image"] = "snapshots"
    """The copy method: CopySnapshot and RegisterImage, or CopyImage."""
    method_why: str = ""
    """Why ``copy_method: auto`` chose it."""
    copies: tuple[Copy, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    """The attempts that may have created something, also in earlier episodes: their nonces are the proof."""
    hub_copy: HubCopy = field(default_factory=HubCopy)
    holdings: DeliveryHoldings = field(default_factory=DeliveryHoldings)
    share_mode: ShareMode = field(default_factory=ShareMode)
    slots: SlotRequest = field(default_factory=SlotRequest)
    request: ImageRequest = field(default_factory=ImageRequest)
    image: NewImage = field(default_factory=NewImage)
    launch: Launch = field(default_factory=Launch)
    naming: Naming = field(default_factory=Naming)
    recall: Recalled = field(default_factory=Recalled)
    cleanup: Cleanup = field(default_factory=Cleanup)
    ending: DeliveryState | None = None
    """FAILED, CANCELLED, WITHDRAWN or RECALLED: how it ends; None: it is not ending."""
    because: str = ""
    """Who or what asked it to end, in a sentence; "" if nobody did."""
    faults: tuple[Fault, ...] = ()
    last_refusal: Fault | None = None
    """The refusal after which the delivery waits, its own or the share worker's: what a passed deadline reports."""
    last_look: LastLook = field(default_factory=LastLook)
    clear_since: int | None = None
    """When a look first no longer showed what must be gone: two looks must agree (invariant 5)."""
    awaiting_role_notified: bool = False
    tries: int = 0
    """Tries of the current step since the last progress."""
    next_try: int = 0
    inbox: Mapping[str, str] = field(default_factory=dict)
    """The inbox: entries that others write, and those of the events that have not led to a look yet."""

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.delivery(self.id)

    @property
    def copy_quota(self) -> addresses.RecordKey:
        """The record key of its copy quota."""
        return addresses.copy_quota(self.target.account, self.target.region)

    def read_from(self, snapshot: str) -> str:
        """Return the snapshot to copy for a source snapshot: itself, or the hub's copy of it."""
        return self.hub_copy.snapshots.get(snapshot, snapshot)

    def attempt(self, source: str = "") -> Attempt | None:
        """Return the last attempt to copy a snapshot, or to make the image."""
        return next((one for one in reversed(self.attempts) if one.source == source), None)

    def under_way(self, source: str = "") -> Attempt | None:
        """Return the last attempt to copy a snapshot, or to make the image, if it is of this episode."""
        last = self.attempt(source)
        return last if last is not None and last.episode == self.episode else None

    def intended_at(self, source: str) -> int:
        """Return when the last try of this episode to copy a snapshot was intended; 0: there is none."""
        attempt = self.under_way(source)
        return 0 if attempt is None else attempt.at

    def nonce(self, source: str = "") -> str:
        """Return the nonce of the last attempt to copy a snapshot, or to make the image; "" if there is none."""
        attempt = self.attempt(source)
        return "" if attempt is None else attempt.nonce

    @property
    def accepted(self) -> str:
        """The AMI there that an operator has compared and accepted (``ami-promoter retry --accept``); "" if none."""
        return self.inbox.get(ACCEPTED, "")

    @property
    def source_keys(self) -> tuple[str, ...]:
        """The KMS keys of the snapshots to copy, each once."""
        if self.target.by_way_of:
            return (self.hub_copy.key_arn,) if self.hub_copy.key_arn else ()
        return tuple(dict.fromkeys(s.key_arn for s in self.snapshots if s.key_arn is not None))

    @property
    def in_share_mode(self) -> bool:
        """Whether the target uses the hub's own AMI (mode ``share``)."""
        return self.target.mode == "share"

    @property
    def wants_protection(self) -> bool:
        """Whether its AMI gets deregistration protection."""
        return self.target.protect and not self.in_share_mode

    @property
    def launch_roles(self) -> tuple[str, ...]:
        """The service-linked roles ("SERVICE/NAME") that get a grant on the AMI's key."""
        return () if self.share_mode.without_roles else self.target.service_linked_roles

    @property
    def began_opening(self) -> bool:
        """Whether it has come to the front of the queue, in this episode."""
        return DeliveryState.OPENING in self.entered

    @property
    def began_publishing(self) -> bool:
        """Whether its AMI was complete in this episode, or what is shared was open."""
        return DeliveryState.PUBLISHING in self.entered

    @property
    def shared_at(self) -> int | None:
        """When its AMI was first shared in this episode; None: it was not."""
        return self.entered.get(DeliveryState.SHARED)

    @property
    def copies_due_by(self) -> int:
        """When its copies must have ended, counted from when it came to the front of the queue.

        Raises KeyError if that is not on record: it must not count as a deadline that has passed.
        """
        return self.entered[DeliveryState.OPENING] + self.target.copy_deadline

    @property
    def queued_at(self) -> int:
        """When its place in the queue began: its deadline counts from then."""
        return self.entered.get(DeliveryState.REQUESTED, self.created_at)

    @property
    def copies_image(self) -> bool:
        """Whether one call, CopyImage, copies the AMI and all its snapshots."""
        return self.method == "image"

    @property
    def copied_at(self) -> int | None:
        """When its last copy ended; None: it has not ended."""
        if self.copies_image and not self.image.adopted:
            return self.image.available_at
        return self.entered.get(DeliveryState.REGISTERING)

    @property
    def where(self) -> str:
        """The target's name for messages."""
        return self.target.where

    @property
    def ended(self) -> bool:
        """Whether it has ended in this episode."""
        return self.state in ENDED

    @property
    def outcome(self) -> DeliveryState:
        """How it ends, or will if nothing goes wrong."""
        return self.ending or (DeliveryState.SHARED if self.in_share_mode else DeliveryState.DELIVERED)

    @property
    def keeps_image(self) -> bool:
        """Whether the target keeps its AMI, as it ends or will if nothing goes wrong."""
        return self.ending is None or self.recalls

    @property
    def kept_image(self) -> str:
        """The AMI that the target keeps, or may launch, as it ends or will if nothing goes wrong; "": there is none."""
        image = self.image.id or (self.ami if self.in_share_mode else "")
        return image if self.keeps_image else ""

    @property
    def untested(self) -> str:
        """The AMI that stays there for another launch test however it ends; "": there is none, or it was removed."""
        removed = DeliveryState.STOPPING in self.entered and self.launch.kept not in self.cleanup.leftovers
        return "" if removed else self.launch.kept

    @property
    def awaits_wave(self) -> bool:
        """Whether it waits for its wave."""
        return self.state is DeliveryState.AWAITING_WAVE

    @property
    def awaits_approval(self) -> bool:
        """Whether it waits for an approver."""
        return self.state is DeliveryState.AWAITING_APPROVAL

    @property
    def awaits_target(self) -> bool:
        """Whether it waits for its target, for a role or a slot there, and has opened nothing yet."""
        return self.state in (DeliveryState.AWAITING_ROLE, DeliveryState.AWAITING_SLOT)

    @property
    def withdraws(self) -> bool:
        """Whether it ends what it has shared."""
        return self.ending is DeliveryState.WITHDRAWN

    @property
    def unprotected(self) -> Fault | None:
        """Why its AMI has no protection although it should: a fault with which it is delivered anyway."""
        return next((fault for fault in self.faults if fault.code == NOT_PROTECTED), None)

    @property
    def failures(self) -> tuple[Fault, ...]:
        """Its faults without ``unprotected``."""
        return tuple(fault for fault in self.faults if fault.code != NOT_PROTECTED)

    @property
    def recalls(self) -> bool:
        """Whether it takes its AMI back, which stays."""
        return self.ending is DeliveryState.RECALLED

    @property
    def is_there(self) -> bool:
        """Whether its AMI is complete there and stays: it is delivered, or being published."""
        return self.state in (DeliveryState.PUBLISHING, DeliveryState.DELIVERED)

    with_holdings = _with("holdings", DeliveryHoldings)
    with_image = _with("image", NewImage)
    with_slots = _with("slots", SlotRequest)
    with_request = _with("request", ImageRequest)
    with_launch = _with("launch", Launch)
    with_naming = _with("naming", Naming)
    with_recall = _with("recall", Recalled)
    with_cleanup = _with("cleanup", Cleanup)

    def with_deletions(self, snapshots: Iterable[str]) -> Delivery:
        """Return it with more snapshots that are to be deleted, but for what stays in the target."""
        stays = {one.id for one in self.attempts if one.stays}
        ids = tuple(dict.fromkeys((*self.cleanup.to_delete, *(one for one in snapshots if one not in stays))))
        return self if ids == self.cleanup.to_delete else self.with_cleanup(to_delete=ids, clear=False)

    @property
    def end_request(self) -> EndRequest | None:
        """The request to end this episode, handled or not."""
        request = EndRequest.parse(self.inbox.get("cancel", ""))
        return None if request is None or request.episode != self.episode else request

    @property
    def recall_asked(self) -> bool:
        """Whether it is to end because an operator has recalled the AMI."""
        return self.end_request is not None and self.end_request.cause.startswith(BY_RECALL)


def reduced(over: Delivery) -> Delivery:
    """Reduce an ended delivery to its target, its result, its nonces (invariant 4), and what a recall's notice says.

    ``key_arn`` and the copies are kept for deliveries that copy from the hub's own copy, for `status` and for `admin
    reconcile`. From source and copy method, `status` computes which shares it had.
    """
    made = over.copies if over.keeps_image else ()
    test, kept = over.launch, over.untested
    standing = tuple(share for share in over.holdings.needed if share.standing)
    return replace(
        over,
        snapshots=(),
        entered={one: over.entered[one] for one in (over.state, DeliveryState.PUBLISHING) if one in over.entered},
        copies=tuple(Copy(copy.source, copy.state, copy.id) for copy in made),
        holdings=replace(over.holdings, needed=standing),
        slots=SlotRequest(),
        request=ImageRequest(),
        launch=Launch(attempts=test.attempts, result=test.result, console=test.console, kept=kept, looks=test.looks),
        cleanup=replace(over.cleanup, deleted=()),
        last_refusal=None,
    )
