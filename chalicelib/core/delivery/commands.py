"""What a delivery may ask to be done. Imperative: each can be refused, and each is safe to repeat."""

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
    """Look whether the hub's own copy in this Region is there, from which this one is to be made."""


@dataclass(frozen=True, slots=True)
class AskSlots:
    """Tell the copy quota how many copy tries are wanted, begun and done in this episode, and renew the lease.

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
    """Read whether another delivery lacks a slot there, which a copy that has ended would free."""


@dataclass(frozen=True, slots=True)
class HoldShares:
    """Become a holder of every share, and wake the resources.

    ``last_closing_at`` is the end of those for the copies; ``until`` of those that stay, 0 for none (epoch seconds).
    """

    last_closing_at: int
    until: int = 0


@dataclass(frozen=True, slots=True)
class LookAtShares:
    """Read in the ledger how its shares stand."""


@dataclass(frozen=True, slots=True)
class ReleaseShares:
    """Stop being a holder of the shares for the copies, or of ``all``, and wake the resources."""

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
    """Read the truth about running copies."""

    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteSnapshots:
    """Delete copies that are of no use: extras, errored ones, leftovers."""

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
    """EnableImageDeregistrationProtection, without a cooldown: who lifts it can deregister at once."""


@dataclass(frozen=True, slots=True)
class FindLeftovers:
    """List everything there that has this delivery's tag, and remove it."""


@dataclass(frozen=True, slots=True)
class LookAtEnd:
    """Read from the applied file until when the AMI may be shared: the date that was known has come."""


@dataclass(frozen=True, slots=True)
class NotifyWaiting:
    """One notice that the target's role cannot be assumed yet."""


@dataclass(frozen=True, slots=True)
class NotifyOutcome:
    """The terminal notice (unless it is given up after so long), then the mark at the promotion."""

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
