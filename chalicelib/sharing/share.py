"""The ledger's records: each share with its holdings, its state and its end (invariants 1 to 3).

``machine`` has their events and the table, and ``outstanding`` says what is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource

TRIES_BEFORE_ALARM = 5
"""A share that is not closed after this many tries raises an alarm."""

DELIVERED_AMIS = "delivered"
"""The holder of a grant on a target's own key for all AMIs delivered there, in place of a delivery's id."""


class Purpose(StrEnum):
    """Why a share is held."""

    COPY = "copy"
    """While copies run."""
    STANDING = "standing"
    """For as long as the AMI is shared, or delivered."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Who needs a share and why: one delivery in one episode, of one AMI, for one target.

    ``until`` is the end of a standing holding in epoch seconds (0: none). Holdings for copies end at the share's
    ``last_closing_at``, the latest of their ends.
    """

    ami: str
    account: str
    region: str
    delivery: str
    episode: int
    purpose: Purpose
    until: int = 0

    @property
    def place(self) -> str:
        """The target, as "account/region"."""
        return f"{self.account}/{self.region}"

    @property
    def stands(self) -> bool:
        """Whether its purpose is standing."""
        return self.purpose is Purpose.STANDING


class ShareState(StrEnum):
    """The states of a share."""

    WANTED = "wanted"
    """A delivery holds it; nothing has been done yet."""
    OPENING = "opening"
    """The intent to add the permission is written; the call may have taken effect."""
    OPEN = "open"
    """The permission is there, for as long as a delivery holds it."""
    CLOSING = "closing"
    """The share worker removes the permission; looks have not yet shown that it is gone."""
    CLOSED = "closed"
    """Looks have shown that the permission is gone; or it is preexisting and stays."""
    REFUSED = "refused"
    """It could not be opened; its holders read why."""
    ARCHIVED = "archived"
    """No delivery holds it and it is closed: it is in the archive, and its history expires."""


OPEN_STATES = (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)
"""In these its permission may exist."""

IDLE_STATES = (ShareState.WANTED, ShareState.CLOSED, ShareState.REFUSED)
"""In these the share worker has nothing to close."""


@dataclass(frozen=True, slots=True)
class ShareStep:
    """One step of a share's history: when (epoch seconds), into which state, and what happened, with the calls."""

    at: int
    state: str
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """One permission. Times are epoch seconds.

    ``share_name`` names it on its resource: an account (snapshot), an account or an ARN (AMI), a delivery and its
    copy role (grant to copy by), an account or a service-linked role (standing grant), an audience of a key's policy.
    """

    resource: str
    share_name: str
    account: str
    grantee: str = ""
    """For a key's grant or statement: the principal's ARN."""
    state: ShareState = ShareState.WANTED
    preexisting: bool = False
    """The permission existed before the service's; the service never removes it."""
    grant_id: str = ""
    seen_at: int | None = None
    """When a look first showed the permission before the service opened it; two looks make it preexisting."""
    intended_at: int = 0
    """The time of the last intent to open it; a grant's name contains it."""
    opened_to: str = ""
    """For a statement: the grantee at that time."""
    opened_at: int | None = None
    removed_at: int | None = None
    """When a nameless permission was last removed; None: it must be removed."""
    gone_at: int | None = None
    """When a look first missed it after that."""
    gone_with_resource: bool = False
    """Its snapshot or AMI was gone before the permission could be removed: the Recycle Bin may bring back both."""
    closed_at: int | None = None
    closed_blind: bool = False
    """It was closed at its end although a delivery held it."""
    together: int = 0
    """How many shares a batch with it may have, after AWS refused a larger one; 0: any number."""
    tries: int = 0
    next_try: int = 0
    fault: Fault | None = None
    """Why it could not be opened."""
    waits_for: Fault | None = None
    """Why it cannot be opened now: the share worker tries again."""
    answered: int = 0
    """The value of ``asked`` when it was last opened, refused, closed at its end, or looked at while it was open."""
    asked: int = 0
    """How many holdings deliveries have added since it came into the ledger."""
    holdings: frozenset[Holding] = frozenset()
    """Items of their own, which deliveries write, not the share worker."""
    last_closing_at: int = 0
    """The end of its holdings for copies; it only moves to a later time."""
    later_end: int = 0
    """The end of its standing holdings, if the applied file has prolonged it; 0: it has not."""
    unsure_since: int = 0
    """When a look first could not read whether it may stay open past its end; 0: the last look could."""
    missed_since: int = 0
    """When a look past its end first missed the tag or the AMI; 0: none has, or a later look said that it may stay."""
    version: int = 0
    """For the share worker's conditional write."""
    recent: tuple[ShareStep, ...] = ()
    """The last steps of its history, oldest first; earlier ones are items of their own."""
    newer: bool = False
    """Whether it was read in a newer form: then it is only closed, and the rest is for the version that wrote it."""

    @property
    def key(self) -> RecordKey:
        """Where it is stored."""
        return addresses.share(RecordKey(self.resource), self.share_name)

    @property
    def on(self) -> Resource:
        """What it opens."""
        return Resource.parse(self.resource)
