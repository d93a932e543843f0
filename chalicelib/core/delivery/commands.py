"""The commands of a delivery: what its executor must do. AWS can refuse each, and each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """Assume the role; look at the key, the AMI name, and what the service has there already."""


@dataclass(frozen=True, slots=True)
class LookAtApproval:
    """Look whether an approver has approved what is to be opened."""


@dataclass(frozen=True, slots=True)
class AskHubCopy:
    """Look whether the hub's own copy in this Region is there, from which this delivery copies."""


@dataclass(frozen=True, slots=True)
class AskSlots:
    """Write into the copy quota how many copy tries are wanted, begun and done in this episode; renew the lease.

    ``limited_at`` is when EC2 last said that too many copies run there (epoch seconds).
    """

    wanted: int
    begun: int
    done: int
    limited_at: int | None = None


@dataclass(frozen=True, slots=True)
class LookAtSlots:
    """Read what the copy quota has granted."""


@dataclass(frozen=True, slots=True)
class AskWhoWaits:
    """Read whether another delivery waits for a slot there, which an ended copy would free."""


@dataclass(frozen=True, slots=True)
class HoldShares:
    """Write a holding for every share, and wake the resources.

    ``last_closing_at``: the end of those for copies; ``until``: of the standing ones, 0 for none (epoch seconds).
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
class StartCopy:
    """CopySnapshot. Its intent is written first."""

    source: str


@dataclass(frozen=True, slots=True)
class FindCopies:
    """Look, by tag, for copies whose intent has no known result."""


@dataclass(frozen=True, slots=True)
class LookAtCopies:
    """Ask EC2 how running copies are."""

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
    """Deregister an AMI of a failed try, and delete its snapshots, so that another try may take its name."""


@dataclass(frozen=True, slots=True)
class TagCopies:
    """Give each snapshot that CopyImage has made the tags of its own source."""


@dataclass(frozen=True, slots=True)
class FindImage:
    """Look, by name and tag, for an AMI whose intent has no known result."""


@dataclass(frozen=True, slots=True)
class VerifyImage:
    """Read the new AMI and compare it with the source, field by field."""


@dataclass(frozen=True, slots=True)
class CarryDeprecation:
    """EnableImageDeprecation with the source's date."""


@dataclass(frozen=True, slots=True)
class ProtectImage:
    """EnableImageDeregistrationProtection, without a cooldown: an administrator can lift it and deregister at once."""


@dataclass(frozen=True, slots=True)
class FindLeftovers:
    """List everything there that has this delivery's tag, and remove it."""


@dataclass(frozen=True, slots=True)
class LookAtEnd:
    """Read from the applied file until when the AMI may be shared: the date that was known has come."""


@dataclass(frozen=True, slots=True)
class NotifyWaiting:
    """Send one notice that the target's role cannot be assumed yet."""


@dataclass(frozen=True, slots=True)
class NotifyOutcome:
    """Send the last notice (unless ``publish`` is false: it is given up), then write the tracked delivery."""

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
