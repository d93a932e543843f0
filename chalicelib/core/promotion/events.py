"""The events of a promotion. The state machine ignores an event that comes too late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class TagSeen:
    """The tag was read from EC2. ``value`` None: no tag. ``image_state`` None: the hub owns no such AMI."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    own: bool = False
    """It has the tag of a delivery: this service made it, so it never triggers."""
    event: str = ""
    """The id of the tag event that caused this look; "" if none did, as when discovery found the tag."""
    changed_at: int = 0
    """When the tag changed, by that event (epoch seconds); 0: unknown."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The value was resolved: which targets it names, or which faults it has."""

    value: str
    faults: tuple[Fault, ...] = ()
    by_organization: bool = False
    """Whether these faults can pass with the next reading of the organization."""
    blocked: tuple[Fault, ...] = ()
    """Faults of single accounts, which get nothing new and lose nothing."""
    plan: str = ""
    planned: int = 0
    places: str = ""
    """Digest of the targets."""
    digest: str = ""
    members: str = ""
    """The digest of the members that were used."""
    removals: bool = False
    """Whether the value no longer names a target that it named before."""
    additions: bool = False
    """Whether a target has no delivery yet, or one that must be tried again."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Withdrawn accounts -> the operator who withdrew them; the plan leaves them out."""
    approval: bool = False
    """Whether a target of the plan needs an approval."""
    still: Resolved | None = None
    """If the value has faults: whom the value in force names by the file as it is now. None: it was not asked."""


@dataclass(frozen=True, slots=True)
class WithdrawalsRead:
    """An operator's withdrawals were read: "account" or "account/region", and who withdrew it."""

    withdrawn: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Examined:
    """The source was checked for the targets of the plan; ``faults`` lists all of its faults."""

    faults: tuple[Fault, ...] = ()
    partial: bool = False
    """Whether EC2 may not have shown all of the source, so that it must be examined again."""
    source: str = ""
    """The name of the source as it is to arrive."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """``count`` further deliveries were written and woken."""

    count: int
    standing: bool = False
    """Whether the AMI is to be shared with one of their targets."""


@dataclass(frozen=True, slots=True)
class OthersCancelled:
    """The deliveries that the value no longer names were asked to end, up to ``upto``; "": all of them."""

    upto: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """The tracked deliveries were read: whether some have still to end, or are wanted again."""

    to_end: bool = False
    wanted_again: bool = False
    asked_again: bool = False
    """Whether an operator has asked since to retry failed deliveries."""


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """The notice that asks for an approval was sent. ``digest``: of what is to be approved; "": no target waits.

    ``once``: the name of this notice.
    """

    digest: str = ""
    once: str = ""


@dataclass(frozen=True, slots=True)
class RefusedNotified:
    """The notice of the faults was sent."""


@dataclass(frozen=True, slots=True)
class SummaryNotified:
    """The summary was sent, if there was anything to report. ``standing``: some deliveries are in ``shared``."""

    standing: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """A command was not executed: throttle, outage, or missing rights of the service. ``look``: it was LookAtTag."""

    fault: Fault
    look: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator has paused new promotions: additions wait until ``resume``."""


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
