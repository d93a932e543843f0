"""The commands of a delivery: what its executor must do. AWS can refuse each, and each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """Assume the role; read the key, the AMI name, and what the service has created there already."""


@dataclass(frozen=True, slots=True)
class LookAtApproval:
    """Read whether an approver has approved the delivery."""


@dataclass(frozen=True, slots=True)
class AskHubCopy:
    """Read whether the hub's own copy in this Region exists, from which this delivery copies."""


@dataclass(frozen=True, slots=True)
class AskSlots:
    """Write into the copy quota how many copy tries this episode needs, has started and has finished; renew the lease.

    ``limited_at`` is when EC2 last said that too many copies run there (epoch seconds).
    """

    wanted: int
    begun: int
    done: int
    limited_at: int | None = None


@dataclass(frozen=True, slots=True)
class LookAtSlots:
    """Read how many slots the copy quota has granted."""


@dataclass(frozen=True, slots=True)
class AskWhoWaits:
    """Read whether another delivery waits for a slot in the target, which an ended copy would free."""


@dataclass(frozen=True, slots=True)
class HoldShares:
    """Write a holding for every share, and wake the resources.

    ``last_closing_at``: when shares for copies close at the latest; ``until``: when standing ones close, 0: never.
    """

    last_closing_at: int
    until: int = 0


@dataclass(frozen=True, slots=True)
class LookAtShares:
    """Read the states of its shares in the ledger."""


@dataclass(frozen=True, slots=True)
class ReleaseShares:
    """Remove its holdings for copies, or ``all``, and wake the resources."""

    all: bool = True


@dataclass(frozen=True, slots=True)
class LookAtClosing:
    """Read in the ledger whether looks at AWS miss the permissions that it has released."""


@dataclass(frozen=True, slots=True)
class StartCopy:
    """CopySnapshot. Its intent is written first."""

    source: str


@dataclass(frozen=True, slots=True)
class FindCopies:
    """List copies by tag, for intents without a known result."""


@dataclass(frozen=True, slots=True)
class LookAtCopies:
    """Read the state of running copies from EC2."""

    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteSnapshots:
    """Delete copies that the delivery does not use: extras, failed ones, leftovers."""

    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegisterImage:
    """RegisterImage, or CopyImage. Its intent is written first."""


@dataclass(frozen=True, slots=True)
class DiscardImage:
    """Deregister the AMI of a failed try and delete its snapshots, so that another try can use its name."""


@dataclass(frozen=True, slots=True)
class TagCopies:
    """Give each snapshot that CopyImage created the tags of its source snapshot."""


@dataclass(frozen=True, slots=True)
class FindImage:
    """List AMIs by name and tag, for an intent without a known result."""


@dataclass(frozen=True, slots=True)
class VerifyImage:
    """Read the new AMI and compare it with the source, field by field."""


@dataclass(frozen=True, slots=True)
class CarryDeprecation:
    """EnableImageDeprecation with the source's date."""


@dataclass(frozen=True, slots=True)
class ProtectImage:
    """EnableImageDeregistrationProtection, without a cooldown: an administrator can turn it off at any time."""


@dataclass(frozen=True, slots=True)
class FindLeftovers:
    """List everything in the target that has this delivery's tag, and remove it."""


@dataclass(frozen=True, slots=True)
class LookAtEnd:
    """Read the applied file's end date again, because the known end date has passed."""


@dataclass(frozen=True, slots=True)
class NotifyWaiting:
    """Send one notice that the target's role cannot be assumed yet."""


@dataclass(frozen=True, slots=True)
class NotifyOutcome:
    """Send the last notice, unless the service gave it up (``publish`` false); then write the tracked delivery."""

    publish: bool = True


Command = (
    CheckTarget
    | LookAtApproval
    | AskHubCopy
    | AskSlots
    | LookAtSlots
    | AskWhoWaits
    | HoldShares
    | LookAtShares
    | ReleaseShares
    | LookAtClosing
    | StartCopy
    | FindCopies
    | LookAtCopies
    | DeleteSnapshots
    | RegisterImage
    | FindImage
    | DiscardImage
    | TagCopies
    | VerifyImage
    | CarryDeprecation
    | ProtectImage
    | FindLeftovers
    | LookAtEnd
    | NotifyWaiting
    | NotifyOutcome
)
