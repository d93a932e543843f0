"""What happened to a promotion. Events are facts in the past tense; one that comes too late is ignored (old news)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class TagSeen:
    """What EC2 shows: ``value`` None means no tag. ``image_state`` None means that the hub owns no such AMI."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    own: bool = False
    """It has the tag of a delivery: this service made it, so it never triggers."""
    event: str = ""
    """The id of the tag's event that asked for this look; "" where none did, as when discovery found the tag."""
    changed_at: int = 0
    """When the tag was changed, as that event says (epoch seconds); 0: it does not."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whom the value names; or the faults for which it is not understood, and then nothing else."""

    value: str
    faults: tuple[Fault, ...] = ()
    by_organization: bool = False
    """Whether those may pass with the next reading of the organization."""
    blocked: tuple[Fault, ...] = ()
    """Of single accounts: they get nothing new and lose nothing."""
    plan: str = ""
    planned: int = 0
    places: str = ""
    """Digest of the targets."""
    digest: str = ""
    members: int = 0
    """The generation of the membership that was used."""
    removals: bool = False
    """Whether a target that was named before is named no longer."""
    additions: bool = False
    """Whether a target has no delivery yet, or one that is to be tried again."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Whom an operator has withdrawn, and who did: the plan leaves them out."""
    approval: bool = False
    """Whether a target of the plan needs an approval."""


@dataclass(frozen=True, slots=True)
class WithdrawalsRead:
    """Whom an operator has withdrawn ("account" or "account/region") until the next tag event, and who did."""

    withdrawn: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Examined:
    """The source can go to the targets of the plan; or the faults, all of them."""

    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Expanded:
    """So many deliveries, from the cursor on, exist and have been woken."""

    count: int
    standing: bool = False
    """Whether there are targets among them with which the AMI is to be shared."""


@dataclass(frozen=True, slots=True)
class OthersCancelled:
    """The deliveries that are not wanted any longer know it, as far as ``upto``; "": all of them."""

    upto: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the marks say as they are now: deliveries still have to end, or are wanted again."""

    to_end: bool = False
    wanted_again: bool = False
    asked_again: bool = False
    """Whether among those are some that failed and were asked for again meanwhile."""


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """An approver knows what is to be approved. ``digest`` names that; "": nobody waits for an approval.

    ``once`` names this time of asking.
    """

    digest: str = ""
    once: str = ""


@dataclass(frozen=True, slots=True)
class RefusedNotified:
    """The notice of the faults is out."""


@dataclass(frozen=True, slots=True)
class SummaryNotified:
    """The summary is out, where there was anything to sum up. ``standing``: some deliveries rest in ``shared``."""

    standing: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """A command was not carried out: throttle, outage, denial of the service's role. ``look``: it was LookAtTag."""

    fault: Fault
    look: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator has paused new promotions: additions wait, however long that lasts."""


Event = (
    TagSeen
    | Resolved
    | WithdrawalsRead
    | Examined
    | Expanded
    | OthersCancelled
    | Counted
    | ApprovalAsked
    | RefusedNotified
    | SummaryNotified
    | Blocked
    | Paused
)
