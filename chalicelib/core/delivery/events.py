"""What happened to a delivery. Events are facts in the past tense; one that comes too late is ignored (old news)."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.errors import RefusalKind
from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not carried out, or nobody knows. ``step`` is the command's name."""

    step: str
    kind: RefusalKind
    fault: Fault
    source: str | None = None
    """The source snapshot, where the command was StartCopy."""
    unknown: bool = False
    """It may have taken effect all the same: a time-out, a broken connection."""
    nonce: str = ""
    """That of the attempt, where the command was to make something."""


@dataclass(frozen=True, slots=True)
class SeenCopy:
    """One copy as the target's EC2 shows it now. ``state`` is EC2's word."""

    copy: str
    source: str
    state: str
    progress: int = 0
    message: str = ""
    started_at: int = 0
    key_arn: str = ""
    nonce: str = ""
    """The ``ami-promoter:attempt`` tag that it has."""


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One AMI as the target's EC2 shows it now, found by name or by the delivery's tag. ``state`` is EC2's word."""

    id: str
    state: str
    delivery: str = ""
    """The ``ami-promoter:delivery`` tag that it has."""
    nonce: str = ""
    """The ``ami-promoter:attempt`` tag that it has."""
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class TargetReady:
    """The target passed its checks; ``image`` is this delivery's and exists already."""

    key_arn: str
    image: str | None = None
    copies: tuple[SeenCopy, ...] = ()
    """Everything there that has this delivery's tag."""
    note: str = ""
    """What a person should know, and what is no fault: it stands in the history."""
    unfinished: bool = False
    """Whether the image is not available yet: CopyImage may still be at work, and needs its shares."""


@dataclass(frozen=True, slots=True)
class TargetUnfit:
    """The target cannot take this AMI."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class ApprovalSeen:
    """How the approval stands: ``by`` is who gave it, "" where there is none.

    ``changed``: it was given for settings that this delivery does not have, as it began before they were applied.
    ``gone``: EC2 does not show the AMI, so nobody can approve it.
    """

    by: str = ""
    changed: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class HubCopySeen:
    """How the hub's own copy stands. ``copies``: (source snapshot, copy), none as long as it is not there.

    ``waits``: it waits for an approval. ``began``: when (epoch seconds) it no longer did; 0: nobody knows.
    """

    copies: tuple[tuple[str, str], ...] = ()
    key_arn: str = ""
    waits: bool = False
    began: int = 0


@dataclass(frozen=True, slots=True)
class SlotsAsked:
    """The copy quota knows what is wanted and done; ``granted`` and ``until`` say how the lease stands."""

    wanted: int
    done: int
    granted: int = 0
    until: int = 0
    limited_at: int = 0
    """When EC2 last refused it a copy (epoch seconds)."""


@dataclass(frozen=True, slots=True)
class SlotsSeen:
    """How the lease stands: slots granted in this episode, and until when they are held (epoch seconds)."""

    granted: int
    until: int


@dataclass(frozen=True, slots=True)
class OthersWait:
    """Whether another delivery lacks a slot there."""

    waits: bool


@dataclass(frozen=True, slots=True)
class SharesHeld:
    """Every share is held; or those before ``upto``, and then there was no time for more (0: all)."""

    upto: int = 0


@dataclass(frozen=True, slots=True)
class SharesSeen:
    """How its shares stand in the ledger."""

    open: bool
    """Every one is."""
    refused: Fault | None = None
    """Why one of them is not, or no longer, open, and will not be."""
    waits_for: Fault | None = None
    """What the share worker is trying to get past to open one of them."""


@dataclass(frozen=True, slots=True)
class SharesReleased:
    """No share for the copies counts this delivery any longer, or none at ``all``."""

    all: bool = True
    upto: int = 0
    """Those before this one, if there was no time for more (0: every one)."""


@dataclass(frozen=True, slots=True)
class CopyStarted:
    """CopySnapshot answered."""

    source: str
    copy: str


@dataclass(frozen=True, slots=True)
class CopiesFound:
    """Everything there that has this delivery's tag."""

    copies: tuple[SeenCopy, ...]


@dataclass(frozen=True, slots=True)
class CopiesSeen:
    """The truth about the copies asked for; one that is not listed was not shown."""

    asked: tuple[str, ...]
    copies: tuple[SeenCopy, ...]


@dataclass(frozen=True, slots=True)
class SnapshotsDeleted:
    """These are gone, or on their way."""

    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageRegistered:
    """RegisterImage answered, or the AMI was found."""

    image: str


@dataclass(frozen=True, slots=True)
class ImageNotFound:
    """Nothing has the service's tag and name there, on this look."""


@dataclass(frozen=True, slots=True)
class ImageSeen:
    """The new AMI's state, and how it differs from the source (only when available)."""

    state: str
    differences: tuple[Fault, ...] = ()
    reason: str = ""
    """EC2's words, where it failed."""
    copies: tuple[tuple[str, str], ...] = ()
    """(source snapshot, copy) by device, where CopyImage made them."""
    extras: tuple[str, ...] = ()
    """Further snapshots that this delivery made there, and no device of the AMI uses."""


@dataclass(frozen=True, slots=True)
class ImageDiscarded:
    """The failed AMI is gone, or on its way."""


@dataclass(frozen=True, slots=True)
class CopiesTagged:
    """Every snapshot of the AMI has its own tags."""


@dataclass(frozen=True, slots=True)
class DeprecationCarried:
    """The new AMI is deprecated when the source is, or there is nothing to carry."""


@dataclass(frozen=True, slots=True)
class ImageProtected:
    """The new AMI has deregistration protection."""


@dataclass(frozen=True, slots=True)
class LeftoversSeen:
    """What of this delivery still exists; ``unfinished`` are copies still running.

    ``refusal``: of a removal.

    ``unproven``: what has the tags and is not proven to be this delivery's; it was left alone.
    """

    left: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    refusal: Fault | None = None
    unproven: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The tag is gone, or names this target no longer. ``expired``: the targets file's date has come."""

    expired: bool = False


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The present state has lasted as long as it may."""


@dataclass(frozen=True, slots=True)
class WaitingNotified:
    """The one notice about the role is out."""


@dataclass(frozen=True, slots=True)
class EndSeen:
    """Until when (epoch seconds) it may be shared, as the applied file says now; 0: no longer."""

    until: int


@dataclass(frozen=True, slots=True)
class OutcomeNotified:
    """The terminal notice is out and the promotion knows."""


Event = (
    Refused
    | EndSeen
    | CancelAsked
    | DeadlinePassed
    | ApprovalSeen
    | TargetReady
    | TargetUnfit
    | HubCopySeen
    | SlotsAsked
    | SlotsSeen
    | OthersWait
    | SharesHeld
    | SharesSeen
    | SharesReleased
    | CopyStarted
    | CopiesFound
    | CopiesSeen
    | SnapshotsDeleted
    | ImageRegistered
    | ImageNotFound
    | ImageSeen
    | ImageDiscarded
    | CopiesTagged
    | DeprecationCarried
    | ImageProtected
    | LeftoversSeen
    | WaitingNotified
    | OutcomeNotified
)
