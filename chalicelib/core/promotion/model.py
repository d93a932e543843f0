"""A promotion's record: its states, targets and tracked deliveries, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.core.faults import Fault
from chalicelib.core.records import addresses
from chalicelib.core.targets.withdrawals import covering


class PromotionState(StrEnum):
    """What a promotion waits for."""

    REQUESTED = "requested"
    """the tag to be read from EC2"""
    RESOLVING = "resolving"
    """the AMI to be available, its value to be resolved, and its source to be examined"""
    EXPANDING = "expanding"
    """its deliveries to be written"""
    RUNNING = "running"
    """its deliveries to end"""
    OVER = "over"
    """nothing; a new event reopens it as a new episode"""


RUNNING, EXPIRED = "running", "expired"
"""Of a tracked delivery: it has not ended; its shares ended at the date ``until``, so it does not begin by itself."""
BACK_AGAIN = ("cancelled", "withdrawn")
"""Outcomes after which a delivery starts again if only file or members changed: those of an account that had left."""
NOTHING_LEFT = ("failed", *BACK_AGAIN, EXPIRED)
"""Outcomes after which a delivery starts again when the AMI is tagged again."""


@dataclass(frozen=True, slots=True)
class TrackedDelivery:
    """What a promotion knows of one of its deliveries.

    ``state``: running, delivered, failed or cancelled; in share mode shared, withdrawn, or ``EXPIRED``.
    ``asked_again``: the episode of the promotion that asked for it while it was still failing; 0: none.
    """

    delivery: str
    account: str
    region: str
    episode: int
    state: str
    image: str = ""
    asked_again: int = 0

    @property
    def place(self) -> str:
        """Names its target in a set: "account/region"."""
        return f"{self.account}/{self.region}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom a value names, by "account/region"; in items beside the record, as 17,000 targets do not fit into one.

    ``wanted``: must have a delivery. ``blocked``: keep what they have, as their settings conflict.
    """

    wanted: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()

    def without(self, withdrawn: Mapping[str, str]) -> Plan:
        """Return the plan without the targets that an operator has withdrawn."""
        if not withdrawn:
            return self
        gone = {place for place in self.wanted | self.blocked if covering(withdrawn, place) is not None}
        return Plan(self.wanted - gone, self.blocked - gone)

    def __contains__(self, place: str) -> bool:
        return place in self.wanted or place in self.blocked


NO_PLAN = Plan()


@dataclass(frozen=True, slots=True)
class Promotion:
    """One per source AMI. Times are epoch seconds."""

    ami: str
    hub: str
    region: str
    created_at: int
    state: PromotionState = PromotionState.REQUESTED
    episode: int = 0
    value: str | None = None
    """The value in force: the last valid one. None: there is no tag, or there was no valid value yet."""
    candidate: str | None = None
    """A value that was read and is being resolved or examined."""
    resolved: bool = False
    """Whether the candidate was understood: its removals are under way, its additions wait for the source's checks."""
    read_at: int = 0
    """When the value in force, or the candidate, was read: older tag events change nothing."""
    in_force_since: int = 0
    """When the value in force was first read, or when two looks had agreed that it was removed."""
    tagged_at: int = 0
    """When the tag was last written, if known: withdrawals before that have ended."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Withdrawn targets ("account" or "account/region") -> the operator who withdrew them."""
    seen_value: str | None = None
    """The tag's value at the last look."""
    seen_since: int = 0
    """When a look first showed that value; one that names fewer targets counts after two looks (invariant 1)."""
    image_name: str = ""
    plan: str = ""
    """The name of the plan of the value in force; "": it names no target."""
    planned: int = 0
    """How many targets that plan has."""
    unfinished: bool = False
    """Whether another value came before all deliveries of the value in force were written: if it is refused, they are
    written after it."""
    source_refused: bool = False
    """Whether the source failed its checks for this plan: then the service restarts none of its deliveries."""
    source: str = ""
    """The name of the source as it was last examined; "": not yet, or an earlier version examined it."""
    tagged_since: bool = False
    """Whether a tag event came since: then the next examination counts, and not that one."""
    digest: str = ""
    """Digest of the targets file by which the value was resolved."""
    members: str = ""
    """The digest of the members by which it was resolved; "": none was needed, or there was none."""
    places: str = ""
    """Digest of the targets in force, by which discovery sees whether a new file changes them."""
    refresh: bool = False
    """The value in force is resolved again because file or members changed: failed deliveries are not retried."""
    restarts: int = 0
    """How many times in a row the service restarted cancelled deliveries; a tag event sets it to 0."""
    cursor: int = 0
    """For how many targets of the plan deliveries have been written."""
    blocked: tuple[Fault, ...] = ()
    """Faults of blocked accounts, which get nothing new and lose nothing."""
    to_notify: tuple[Fault, ...] = ()
    """Faults of a value, a source or single accounts of which no notice has been sent."""
    faults: tuple[Fault, ...] = ()
    """The faults of the last notice, while they persist, for `status`."""
    why: str = ""
    """Why it has ended, in a sentence."""
    approval: bool = False
    """Whether a target of the plan needs an approval."""
    approval_seen_for: str = ""
    """The episode, value and plan for which it last read which targets wait for an approval."""
    approval_digest: str = ""
    """Digest of what then waited for an approval; "": nothing."""
    approval_asked: str = ""
    """The name of the last notice that asked, so that it is sent once."""
    cancelling: bool = False
    """Whether deliveries that the plan does not contain may still run or be shared."""
    cancelled_to: str = ""
    """The last delivery that was asked to end in the last slice."""
    standing: bool = False
    """Whether some of its deliveries are in ``shared``: they end with the tag, and with the AMI itself."""
    withdrawing: bool = False
    """Whether these must end whatever the value is: the AMI is gone or disabled."""
    has_paused: bool = False
    """Whether it waits for the end of a pause; before each question it looks at the tag."""
    absent_since: int = 0
    """Since when looks do not show the tag, or the AMI: absence counts after two looks (invariant 5)."""
    only: tuple[str, ...] = ()
    """Accounts, or "ACCOUNT/REGION", whose failed deliveries alone an operator asked to start again; none: all."""
    blocked_until: int = 0
    """After a refusal: no checks, openings or notices before this time. Removals continue."""
    look_blocked_until: int = 0
    """After a refused look at the tag: the next one."""
    tries: int = 0
    next_try: int = 0
    since: int = 0
    """When the present state was entered."""
    summarised: int = 0
    """The last episode whose summary was published."""
    refused_value: str | None = None
    """The value that was last refused; discovery leaves it alone."""
    refused_for: str = ""
    """Digest of the faults of the last notice: a poll does not repeat it."""
    refused_by_organization: bool = False
    """Whether that refusal can pass with the next reading of the organization."""
    handled: Mapping[str, str] = field(default_factory=dict)
    due_at: int | None = None
    inbox: Mapping[str, str] = field(default_factory=dict)
    """Entries that others write; read with the record, never written with it."""

    @property
    def key(self) -> addresses.RecordKey:
        """Where it is stored."""
        return addresses.promotion(self.ami)

    def unread(self, name: str) -> str | None:
        """Return an inbox entry that has not been handled yet."""
        value = self.inbox.get(name)
        return None if value is None or value == self.handled.get(name) else value

    def tagged_with(self, value: str) -> int:
        """Return ``tagged_at`` for a value that is resolved now; another value than that in force was written later."""
        return self.tagged_at if value == self.value else max(self.tagged_at, self.in_force_since)

    @property
    def asks_about(self) -> str:
        """Identifies a question to an approver: another value, plan or episode may bring another question."""
        return f"{self.episode}:{self.plan}:{self.value}"

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.ami} in account {self.hub}, {self.region}"
