"""The ledger: every permission that is open at a source, who holds it, and when it closes.

``wanted -> opening -> open -> closing -> closed``. One share is one permission for one account. A share is open as long
as a holder needs it (law 1); what was there before us stays (law 2); the intent is on the record before the call
(law 3); and ``hard_close_at`` closes it whatever else hangs, needing nothing but resource, account and date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.core import addresses, pace
from chalicelib.core.delivery.events import Why
from chalicelib.core.faults import Fault

GRANT_PREFIX = "ami-promoter-"

OWN_HISTORY = 15 * pace.MINUTE
"""A permission that we ourselves closed within this time and that still shows is our own stale one."""


GIVEN_UP_AFTER = 16
"""Tries (about an hour) to close a grant on a target's own key: what cannot be reached there is the target's to end."""

GRANTS_SHOW_WITHIN = 5 * pace.MINUTE
"""A grant whose id we never heard is found by its name; it may be so long in showing [aws-facts 3]."""


class State(StrEnum):
    """Where a share stands."""

    WANTED = "wanted"
    """A delivery holds it; nothing has been done yet."""
    OPENING = "opening"
    """The intent is written; the call may have taken effect."""
    OPEN = "open"
    """The permission is there, for as long as a delivery holds it."""
    CLOSING = "closing"
    """The permission is being removed, and is not seen gone yet."""
    CLOSED = "closed"
    """The permission was read back as absent, or was there before us and stays."""
    REFUSED = "refused"
    """It could not be opened; its holders know why."""


@dataclass(frozen=True, slots=True)
class Share:
    """One permission. ``holder_key`` is the account (snapshot) or the delivery id (key); times are epoch seconds."""

    resource: str
    holder_key: str
    account: str
    grantee: str = ""
    """For a key grant: the principal's ARN."""
    state: State = State.WANTED
    generation: int = 0
    before_us: bool = False
    """The permission was there when we came; it stays when we go."""
    grant_id: str = ""
    seen_at: int | None = None
    """When the permission first showed before we asked for it; one look is not believed."""
    intended_at: int = 0
    opened_at: int | None = None
    closed_at: int | None = None
    closed_blind: bool = False
    tries: int = 0
    next_try: int = 0
    fault: Fault | None = None
    told: frozenset[str] = frozenset()
    """Holders that know the present state."""
    holders: frozenset[str] = frozenset()
    """Deliveries, each as ``Holder`` writes it. Written by them, read here."""
    hard_close_at: int = 0
    """Of those that hold it for their copies. Written by them, and only ever later."""
    version: int = 0
    """Of the lane's side, for its conditional write."""

    @property
    def grant_name(self) -> str:
        """Name of the key grant, with its generation: re-using a name soon after revoking may return the dying one."""
        return f"{grant_stem(self.holder_key)}-{self.generation}"


def grant_stem(holder_key: str) -> str:
    """Return what the names of all generations of a grant begin with; KMS takes no dots in them."""
    return GRANT_PREFIX + re.sub("[^a-zA-Z0-9:/_-]", "_", holder_key)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a share: a delivery in one episode. One that ``stays`` has its own end (``until``, 0: none)."""

    delivery: str
    episode: str
    stays: bool = False
    until: int = 0

    def __str__(self) -> str:
        """As it stands in the ledger: "id:episode", or "id:episode@until"."""
        return f"{self.delivery}:{self.episode}" + (f"@{self.until}" if self.stays else "")

    @classmethod
    def read(cls, text: str) -> Holder:
        """Read one; an end that cannot be read has come."""
        name, stays, until = text.partition("@")
        delivery, _, episode = name.rpartition(":")
        return cls(delivery, episode, bool(stays), int(until) if until.isdecimal() else 1)


def standing(share: Share) -> bool:
    """Whether somebody holds it beyond copies: it is open on purpose, and its age says nothing."""
    return any(Holder.read(text).stays for text in share.holders)


def hard_end(share: Share) -> int:
    """When the share must close although somebody holds it; 0: never, as it stays until its holder lets it go."""
    holders = [Holder.read(text) for text in share.holders]
    ends = [holder.until for holder in holders if holder.stays]
    if 0 in ends:
        return 0
    if share.hard_close_at and (len(ends) < len(holders) or not holders):
        ends.append(share.hard_close_at)
    return max(ends, default=0)


def overdue(share: Share, now: int) -> bool:
    """Whether the share must close although somebody holds it."""
    end = hard_end(share)
    return end != 0 and now >= end


def to_open(shares: Iterable[Share], now: int) -> tuple[Share, ...]:
    """Return those to be opened now: held, not open, and not past their end."""
    waiting = (State.WANTED, State.OPENING, State.CLOSED, State.REFUSED)
    return tuple(
        s
        for s in shares
        if s.holders and not overdue(s, now) and now >= s.next_try and s.state in waiting and _asks_again(s)
    )


def _asks_again(share: Share) -> bool:
    """A refused or blind-closed share is tried again only for a holder that has not been told so."""
    if share.state is State.REFUSED or (share.state is State.CLOSED and share.closed_blind):
        return bool(share.holders - share.told)
    return True


def to_close(shares: Iterable[Share], now: int) -> tuple[Share, ...]:
    """Return those to be closed now: ours, and nobody's need any longer, or past their end."""
    return tuple(s for s in shares if (now >= s.next_try or _was_held(s)) and _must_close(s, now))


def _was_held(share: Share) -> bool:
    """Whether somebody has held it since it opened. One that was put into the ledger for a copy waits until then."""
    return share.state is State.OPEN and bool(share.told)


def _must_close(share: Share, now: int) -> bool:
    """A closing that was begun is ended, whoever came meanwhile: then it opens anew, as a new generation."""
    if share.state is State.CLOSING:
        return True
    return share.state in (State.OPENING, State.OPEN) and (not share.holders or overdue(share, now))


def doubtful(share: Share, now: int) -> Share | None:
    """Return the share to be looked at again, if its permission shows and that is not to be believed yet.

    A permission is called pre-existing on two looks only (law 5): a stale one would keep open what nobody holds.
    A first look of long ago, for a holder that left again, is none.
    """
    if share.state is State.OPENING or _just_ours(share, now):
        return None
    if share.seen_at is None or now >= share.seen_at + OWN_HISTORY:
        return replace(_asked_anew(share), seen_at=now, next_try=now + pace.ABSENCE)
    if now < share.seen_at + pace.ABSENCE:
        return replace(_asked_anew(share), next_try=share.seen_at + pace.ABSENCE)
    return None


def _asked_anew(share: Share) -> Share:
    """What became of it for earlier holders is no news to one who asks now and must wait a while."""
    if share.state not in (State.REFUSED, State.CLOSED):
        return share
    return replace(share, state=State.WANTED, fault=None, closed_blind=False, told=frozenset())


def _just_ours(share: Share, now: int) -> bool:
    return share.closed_at is not None and now - share.closed_at < OWN_HISTORY and not share.before_us


def intend_opening(share: Share, now: int, *, seen: bool) -> Share:
    """Write down that it is going to be opened; ``seen``: the permission shows before we asked for it."""
    if share.state is State.OPENING:
        return share
    return replace(
        share,
        state=State.OPENING,
        generation=share.generation + 1,
        before_us=seen and not _just_ours(share, now),
        seen_at=None,
        intended_at=now,
        grant_id="",
        opened_at=None,
        closed_blind=False,
        fault=None,
        told=frozenset(),
        tries=0,
        next_try=now,
    )


def opened(share: Share, now: int, grant_id: str = "") -> Share:
    """The permission is there."""
    return replace(share, state=State.OPEN, opened_at=now, grant_id=grant_id, tries=0, next_try=now)


def refused(share: Share, fault: Fault, now: int) -> Share:
    """It cannot be opened, and asking again will not mend it.

    Where an intent was written, an earlier call may have taken effect all the same: then it is closed like an open one.
    """
    state = State.CLOSING if share.state is State.OPENING else State.REFUSED
    return replace(share, state=state, fault=fault, told=frozenset(), tries=0, next_try=now)


def worth_waiting(share: Share, why: Why, now: int) -> bool:
    """Whether a refused opening is tried again.

    A grant for a service-linked role is made by the target, which must be let in, and from whose account the key must
    be accessible: that becomes true late [aws-facts 3].
    """
    if why is Why.THROTTLED:
        return True
    if share.state is not State.OPENING or share.resource.split("#")[1] != "role":
        return False
    return why is Why.ROLE or (why is Why.NOT_YET and now - share.intended_at <= pace.NOT_YET_FOR)


def given_up(share: Share, fault: Fault, now: int) -> Share | None:
    """Return the share as it is when trying to close it is given up; None: it is to be tried again.

    Only on a target's own key: such a grant serves that account's own role on that account's own key.
    """
    if not addresses.at_home(share.resource) or share.tries < GIVEN_UP_AFTER:
        return None
    return replace(share, state=State.REFUSED, fault=fault, closed_at=None, tries=0, next_try=now)


def believable_from(share: Share) -> int:
    """From when an absent permission is believed to be gone, and not only late to show."""
    unheard = share.resource.split("#")[1] in ("key", "role") and not share.grant_id
    return share.intended_at + (GRANTS_SHOW_WITHIN if unheard else pace.ABSENCE)


def put_off(share: Share, now: int) -> Share:
    """A throttle or an outage: the same again soon."""
    return replace(_asked_anew(share), tries=share.tries + 1, next_try=now + pace.step(pace.RETRIES, share.tries))


def intend_closing(share: Share, now: int) -> Share:
    """Write down that it is going to be closed."""
    if share.state is State.CLOSING:
        return share
    blind = bool(share.holders) and overdue(share, now)
    told = frozenset[str]() if blind else share.told
    return replace(share, state=State.CLOSING, tries=0, next_try=now, closed_blind=blind, told=told)


def closed(share: Share, now: int) -> Share:
    """The permission was read back as absent, or was there before us and stays."""
    state = State.CLOSED if share.fault is None else State.REFUSED
    return replace(share, state=state, closed_at=now, tries=0, next_try=now)


def look_again(share: Share, now: int) -> Share:
    """It still shows, or it is too early to believe that it does not."""
    return replace(put_off(share, now), next_try=max(put_off(share, now).next_try, believable_from(share)))


def found_open(share: Share, now: int, grant_id: str = "") -> Share:
    """A permission of ours that the record calls closed is there all the same: it is closed again."""
    return replace(share, state=State.CLOSING, grant_id=grant_id or share.grant_id, tries=0, next_try=now)


def raced(tried: Share, found: Share, now: int) -> Share | None:
    """Return what to write after a call for ``tried`` whose result came too late, as the lane was not alone.

    ``found`` is how the ledger has it now. What the call did is true all the same: opened where the ledger says closed,
    it is closed again; closed where it says open, it is opened again. Where the other is at it just now, writing it
    down unchanged lets the other's result come too late in its turn. None: it agrees, or is none of ours.
    """
    if found.before_us:
        return None
    if tried.state is State.OPEN:
        if found.state in (State.CLOSED, State.REFUSED):
            return found_open(found, now, tried.grant_id)
        return found if found.state is State.CLOSING else None
    if found.state is State.OPEN:
        return replace(found, state=State.OPENING, next_try=now)
    return found if found.state is State.OPENING else None


def needed(share: Share) -> bool:
    """Whether the share is open, or somebody wants it open."""
    return bool(share.holders) or share.state in (State.OPENING, State.OPEN, State.CLOSING)


def untold(share: Share) -> frozenset[str]:
    """Holders that wait to hear what became of the share."""
    blind = share.closed_blind and share.state is State.CLOSED
    return share.holders - share.told if share.state is State.OPEN or share.fault is not None or blind else frozenset()


def oldest_open(shares: Iterable[Share], now: int) -> int | None:
    """For how many seconds the oldest share of ours has been open; None if none is."""
    counted = [s for s in shares if s.state is State.OPEN and not s.before_us and not standing(s)]
    opened_at = [s.opened_at for s in counted if s.opened_at is not None]
    return now - min(opened_at) if opened_at else None


def _open_due_at(share: Share, now: int) -> int | None:
    if standing(share):
        return hard_end(share) or None
    if share.holders:
        return min(share.hard_close_at, now + pace.POLLS[-1])
    return now if _was_held(share) else share.next_try


def due_at(shares: Iterable[Share], now: int) -> int | None:
    """When the resource must be looked at again although nobody rang: an open share now and then, for its age."""
    times: list[int | None] = []
    for share in shares:
        if share.state in (State.OPENING, State.CLOSING) or (share.state is State.WANTED and share.holders):
            times.append(share.next_try)
        elif share.state is State.OPEN:
            times.append(_open_due_at(share, now))
        elif share.holders and _asks_again(share):
            times.append(share.next_try)
        if untold(share):
            times.append(share.next_try)
    return min((time for time in times if time is not None), default=None)
