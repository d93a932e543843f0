"""The events of a delivery. The state machine ignores an event that comes too late."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.core.delivery.model import Attempt
from chalicelib.core.errors import RefusalKind
from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not executed, or it is not known whether it was. ``step`` is the command's name."""

    step: str
    kind: RefusalKind
    fault: Fault
    source: str | None = None
    """The source snapshot, where the command was StartCopy."""
    unknown: bool = False
    """Whether it may have taken effect: after a time-out or a broken connection."""
    nonce: str = ""
    """The attempt's nonce, if the command creates something."""


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
    """The target passed its checks. ``image``: this delivery's AMI, if it exists already, found by ``nonce``."""

    key_arn: str
    image: str | None = None
    nonce: str = field(default="", kw_only=True)
    copies: tuple[SeenCopy, ...] = ()
    """Everything in the target that has this delivery's tag."""
    note: str = ""
    """A remark for the history that is not a fault."""
    unfinished: bool = False
    """Whether the image is not available yet: CopyImage may still run and needs its shares."""


@dataclass(frozen=True, slots=True)
class TargetUnfit:
    """The target cannot receive this AMI."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class ApprovalSeen:
    """The approval was read. ``by``: its approver; "": there is none.

    ``changed``: it is for settings that were applied after this delivery began. ``gone``: EC2 does not show the AMI, so
    it cannot be approved. ``source``: the name of the source that was approved.
    """

    by: str = ""
    changed: bool = False
    gone: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class HubCopySeen:
    """The state of the hub's own copy was read. ``copies``: (source snapshot, copy); empty until it exists.

    ``waits``: it waits for an approval. ``began``: when (epoch seconds) that wait ended; 0: not known.
    """

    copies: tuple[tuple[str, str], ...] = ()
    key_arn: str = ""
    waits: bool = False
    began: int = 0


@dataclass(frozen=True, slots=True)
class SlotsAsked:
    """The request for copy slots is in the copy quota; ``granted`` and ``until`` are the lease's."""

    wanted: int
    done: int
    granted: int = 0
    until: int = 0
    limited_at: int = 0
    """When EC2 last refused it a copy (epoch seconds)."""
    gone: Fault | None = None
    """That this look does not show a source AMI that can be used, while the delivery waits for its first slot."""


@dataclass(frozen=True, slots=True)
class SlotsSeen:
    """The lease was read: slots granted in this episode, and its end (epoch seconds)."""

    granted: int
    until: int


@dataclass(frozen=True, slots=True)
class OthersWait:
    """Whether another delivery needs a slot there."""

    waits: bool


@dataclass(frozen=True, slots=True)
class RoleRenamed:
    """The targets file has another name for the copy role now; nothing was held for it yet."""

    role: str


@dataclass(frozen=True, slots=True)
class SharesHeld:
    """The holdings are in the ledger: all (``upto`` 0), or those before ``upto`` if there was no time for more."""

    upto: int = 0


@dataclass(frozen=True, slots=True)
class SharesSeen:
    """The states of its shares were read in the ledger."""

    open: bool
    """All are open."""
    refused: Fault | None = None
    """Why one of the shares will not open."""
    waits_for: Fault | None = None
    """Why the share worker cannot open one of the shares now."""


@dataclass(frozen=True, slots=True)
class SharesReleased:
    """The delivery's holdings are released: those for copies, or ``all``."""

    all: bool = True
    upto: int = 0
    """Those before this one, if there was no time for more (0: every one)."""


@dataclass(frozen=True, slots=True)
class ClosingSeen:
    """The released shares were read in the ledger. ``open``: the resources on which AWS may still show one."""

    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyStarted:
    """CopySnapshot answered the attempt with this nonce."""

    source: str
    copy: str
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class CopiesFound:
    """The snapshots in the target with this delivery's tag were listed. ``role``: the copy role that listed them."""

    copies: tuple[SeenCopy, ...]
    role: str = ""


@dataclass(frozen=True, slots=True)
class CopiesSeen:
    """EC2 was asked for the copies ``asked``; it did not show those that are not in ``copies``."""

    asked: tuple[str, ...]
    copies: tuple[SeenCopy, ...]


@dataclass(frozen=True, slots=True)
class SnapshotsDeleted:
    """These snapshots are gone, or EC2 is deleting them."""

    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageRegistered:
    """RegisterImage or CopyImage answered the attempt with this nonce, or the AMI was found by it."""

    image: str
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class ImageNotFound:
    """This look found no AMI with the service's tag and name in the target."""


@dataclass(frozen=True, slots=True)
class ImageSeen:
    """The new AMI was read: its state and, if it is available, how it differs from the source."""

    state: str
    differences: tuple[Fault, ...] = ()
    reason: str = ""
    """EC2's message, if the AMI failed."""
    copies: tuple[tuple[str, str], ...] = ()
    """(source snapshot, copy) by device, if CopyImage made them."""
    extras: tuple[str, ...] = ()
    """Further snapshots of this delivery that no device of the AMI uses."""


@dataclass(frozen=True, slots=True)
class ImageDiscarded:
    """The failed AMI is gone, or EC2 is removing it."""


@dataclass(frozen=True, slots=True)
class CopiesTagged:
    """Each snapshot of the AMI has its own source's tags."""


@dataclass(frozen=True, slots=True)
class DeprecationCarried:
    """The new AMI has the source's deprecation date, or the source has none."""


@dataclass(frozen=True, slots=True)
class ImageProtected:
    """The new AMI has deregistration protection."""


@dataclass(frozen=True, slots=True)
class LeftoversSeen:
    """What this delivery created and still exists was listed; ``unfinished``: copies that still run.

    ``refusal``: why AWS refused a removal.

    ``unproven``: resources with the tags but no proof; the service does not touch them. ``learnt``: attempts, with what
    they have made.
    """

    left: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    refusal: Fault | None = None
    unproven: tuple[str, ...] = ()
    learnt: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The tag, the applied file or an operator ends the delivery. ``expired``: the date ``until`` has come."""

    expired: bool = False


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The deadline of the present state has passed."""


@dataclass(frozen=True, slots=True)
class WaitingNotified:
    """The notice that the role cannot be assumed was sent."""


@dataclass(frozen=True, slots=True)
class EndSeen:
    """The end date of sharing (epoch seconds) was read from the applied file; 0: it may no longer be shared.

    ``again_at``: the file could not be read, and when to read it again; ``until`` is then the date that is known.
    """

    until: int
    again_at: int = 0


@dataclass(frozen=True, slots=True)
class OutcomeNotified:
    """The last notice was sent, and the outcome is in the tracked delivery."""


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
    | RoleRenamed
    | SharesHeld
    | SharesSeen
    | SharesReleased
    | ClosingSeen
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
