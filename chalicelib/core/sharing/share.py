"""The ledger's records: every permission that is open at a source, who holds it and why, and when it closes.

One share is one permission for one account. It is open as long as somebody holds it (invariant 1). What was there
before the service stays (invariant 2). The intent is on the record before the call (invariant 3). Past its end the
ledger closes it whatever else hangs, and needs nothing but resource, account and date for that.

``TRANSITIONS`` says where each event may lead; the functions below it make the events. A share that is closed or
refused, and that nobody holds, leaves the ledger for the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from chalicelib.core.errors import IllegalEvent, RefusalKind
from chalicelib.core.faults import Fault
from chalicelib.core.records import addresses, schedule

GRANT_PREFIX = "ami-promoter:"
ROLE_PATH = ":role/aws-service-role/"
"""In the ARN of a service-linked role."""

FIRST_LOOK_COUNTS_FOR = 15 * schedule.MINUTE
"""So long a permission's first look before an opening counts as the first of two: it may have been given since."""

GIVEN_UP_AFTER = 16
"""Tries (about an hour) to close a grant on a target's own key: what cannot be reached there is the target's to end."""

GRANTS_SHOW_WITHIN = 5 * schedule.MINUTE
"""How long a grant may take to show (seconds). One whose id was never received is found by its name [aws-facts 3]."""

LOOKS_APART = 1 * schedule.MINUTE
"""Between the two looks that must miss a nameless permission before it is believed to be gone."""

GONE_NO_SOONER_THAN = 2 * schedule.MINUTE
"""No sooner after the removal than this is the second of them."""

POLICY_SHOWS_WITHIN = 1 * schedule.MINUTE
"""So long a read may still show a key policy's statement that was removed [aws-facts 3: the time is UNVERIFIED]."""

TRIES_BEFORE_ALARM = 5
"""A share that so many tries have not closed is shown to a person."""

MOST_HOLDINGS = 3_500
"""A share has so many at most: of 95 bytes each they are 332 KB, and DynamoDB takes items of 400 [aws-facts 6]."""

ENDED_LONG_AGO = 1
"""The end of a share whose end is not known."""


class Purpose(StrEnum):
    """Why a share is held."""

    COPY = "copy"
    """While copies run."""
    STANDING = "standing"
    """For as long as the AMI is shared, or delivered."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Who needs a share and why: one delivery in one episode, of one AMI, for one target.

    ``until`` is the end of a standing holding in epoch seconds (0: none). Those that copy end at the share's
    ``hard_close_at``, which is the latest of theirs.
    """

    ami: str
    account: str
    region: str
    delivery: str
    episode: int
    purpose: Purpose
    until: int = 0

    def __str__(self) -> str:
        """As the ledger stores it: the same holding is the same text, so adding and removing may be repeated."""
        parts = (self.ami, self.account, self.region, self.delivery, self.episode, self.purpose, self.until)
        return "|".join(map(str, parts))

    @classmethod
    def read(cls, text: Any) -> Holding | None:
        """Read one; None where it cannot be read: then it holds nothing."""
        parts = text.split("|") if isinstance(text, str) else []
        if len(parts) != len(cls.__dataclass_fields__):
            return None
        ami, account, region, delivery, episode, purpose, until = parts
        known = purpose in tuple(Purpose) and episode.isdecimal() and until.isdecimal()
        if not (known and ami and account and region and delivery):
            return None
        return cls(ami, account, region, delivery, int(episode), Purpose(purpose), int(until))

    @property
    def place(self) -> str:
        """The target, as "account/region"."""
        return f"{self.account}/{self.region}"

    @property
    def stands(self) -> bool:
        """Whether it outlasts copies."""
        return self.purpose is Purpose.STANDING


class ShareState(StrEnum):
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
    """The permission was seen to be gone, or is preexisting and stays."""
    REFUSED = "refused"
    """It could not be opened; its holders know why."""
    ARCHIVED = "archived"
    """Nobody holds it and nothing is open: it has left the ledger, and its history expires."""


class Event(StrEnum):
    """What happens to a share."""

    SEEN = "seen"
    """The permission shows before it was asked for, or a new holder must wait: it is looked at again."""
    OPENING_INTENDED = "opening intended"
    """A delivery holds it, and may: the intent to add the permission is written."""
    OPENED = "opened"
    """The permission was added, or is preexisting."""
    REFUSED = "refused"
    """It cannot be added, or the account is not entitled to it."""
    CLOSING_INTENDED = "closing intended"
    """Nobody holds it any longer, or its end has come: the intent to remove the permission is written."""
    LOOKED_AT = "looked at"
    """The permission was removed, still shows, or does not show for the first time."""
    CLOSED = "closed"
    """The permission was seen to be gone, or is preexisting."""
    GIVEN_UP = "given up"
    """A target does not let its own key's grant be revoked: it is the target's to end."""
    ENDED = "ended"
    """Its end has come before it was opened."""
    FOUND_OPEN = "found open"
    """A late call of the service took effect after another run had closed it: it is closed again."""
    FOUND_CLOSED = "found closed"
    """A late call of the service took effect after another run had opened it: it is opened again."""
    LEFT = "left"
    """Nobody holds it, and nothing of it is open."""


_S, _E = ShareState, Event

_NOT_OPEN = {
    _E.SEEN: frozenset({_S.WANTED}),
    _E.OPENING_INTENDED: frozenset({_S.OPENING}),
    _E.REFUSED: frozenset({_S.REFUSED}),
    _E.ENDED: frozenset({_S.REFUSED}),
    _E.LEFT: frozenset({_S.ARCHIVED}),
}
_ONCE_OPEN = {**_NOT_OPEN, _E.FOUND_OPEN: frozenset({_S.CLOSING})}

TRANSITIONS: Mapping[ShareState, Mapping[Event, frozenset[ShareState]]] = {
    _S.WANTED: _NOT_OPEN,
    _S.OPENING: {
        _E.OPENED: frozenset({_S.OPEN}),
        _E.REFUSED: frozenset({_S.CLOSING}),
        _E.CLOSING_INTENDED: frozenset({_S.CLOSING}),
    },
    _S.OPEN: {
        _E.OPENING_INTENDED: frozenset({_S.OPENING}),
        _E.CLOSING_INTENDED: frozenset({_S.CLOSING}),
        _E.FOUND_CLOSED: frozenset({_S.OPENING}),
    },
    _S.CLOSING: {
        _E.LOOKED_AT: frozenset({_S.CLOSING}),
        _E.CLOSED: frozenset({_S.CLOSED, _S.REFUSED}),
        _E.OPENING_INTENDED: frozenset({_S.OPENING}),
        _E.REFUSED: frozenset({_S.CLOSING}),
        _E.GIVEN_UP: frozenset({_S.REFUSED}),
    },
    _S.CLOSED: _ONCE_OPEN,
    _S.REFUSED: _ONCE_OPEN,
    _S.ARCHIVED: {},
}


@dataclass(frozen=True, slots=True)
class Share:
    """One permission. Times are epoch seconds.

    ``holder_key`` names it on its resource: an account (snapshot), an account or an ARN (AMI), a delivery (grant to
    copy by), an account or a service-linked role (grant that stands), an audience of a key's policy.
    """

    resource: str
    holder_key: str
    account: str
    grantee: str = ""
    """For a key's grant or statement: the principal's ARN."""
    state: ShareState = ShareState.WANTED
    preexisting: bool = False
    """The permission existed before the service's; the service never removes it."""
    grant_id: str = ""
    seen_at: int | None = None
    """When the permission first showed before the service asked for it; one look is not enough."""
    intended_at: int = 0
    """When it was last intended to open it; a grant's name says so."""
    opened_to: str = ""
    """For a statement: the grantee when it was last intended to open it."""
    opened_at: int | None = None
    removed_at: int | None = None
    """When a nameless permission was last removed; None: it is to be removed."""
    gone_at: int | None = None
    """When the first look since missed it."""
    closed_at: int | None = None
    closed_blind: bool = False
    """It was closed at its end although somebody held it."""
    together: int = 0
    """So many at most may be in a batch with it, as a larger one was refused for one of them; 0: any number."""
    tries: int = 0
    next_try: int = 0
    fault: Fault | None = None
    """Why it could not be opened."""
    blocked: Fault | None = None
    """What must pass before it can be opened: it is tried again by itself."""
    answered: int = 0
    """How many had asked when it was last refused, or closed at its end: requests since then are no part of that."""
    asked: int = 0
    """How many holdings have been added since it came into the ledger. Written by deliveries, read here."""
    holdings: frozenset[Holding] = frozenset()
    """Written by deliveries, read here."""
    damaged: tuple[str, ...] = ()
    """What stands among the holdings and cannot be read: it holds nothing, is reported once, and is taken out."""
    hard_close_at: int = 0
    """The end of those that hold it for copies; only ever moved to later."""
    later_end: int = 0
    """The later date that the applied file has given since to those who hold it as standing; 0: none."""
    version: int = 0
    """Of the share worker's side, for its conditional write."""


# --- names -----------------------------------------------------------------------------------------------------------


def grant_stem(holder_key: str, region: str) -> str:
    """Return what the names of all grants of a share begin with.

    ``region`` is the hub's: two hubs of one account may have grants on one key, and neither closes the other's. KMS
    takes no dots in names.
    """
    return f"{GRANT_PREFIX}{region}:{re.sub('[^a-zA-Z0-9/_-]', '_', holder_key)}:"


def grant_name(share: Share, region: str) -> str:
    """Name a share's grant, with the time of its intent.

    Repeating the call returns the same grant, and a name is never used again: soon after revoking, the dying grant
    would be returned [aws-facts 3].
    """
    return f"{grant_stem(share.holder_key, region)}{share.intended_at}"


def is_grant_of(name: str, region: str) -> bool:
    """Whether a grant's name says that the hub in this Region made it."""
    return name.startswith(f"{GRANT_PREFIX}{region}:")


def is_grant_for(share: Share, grant_id: str, name: str, region: str) -> bool:
    """Whether a grant is the one that a share was opened by."""
    ours = grant_name(share, region)
    return grant_id == share.grant_id or name == ours or name.startswith(f"{ours}:")


def unrecorded_name(grant_id: str) -> str:
    """Name the share of a grant that no delivery's share accounts for."""
    return f"grant-{grant_id}"


def nameless(resource: str) -> bool:
    """Whether a permission has no name of the service's, so that it looks like anybody else's."""
    return addresses.resource_kind(resource) in ("snapshot", "image")


# --- who holds it, and until when ------------------------------------------------------------------------------------


def standing(share: Share) -> bool:
    """Whether somebody holds it beyond copies: it is open on purpose, and its age says nothing."""
    return any(holding.stands for holding in share.holdings)


def hard_end(share: Share) -> int:
    """When the share must close although somebody holds it; 0: never, as it stands until its holder releases it."""
    stand = _standing_ends(share)
    if 0 in stand:
        return 0
    ends = [*stand, share.later_end] if stand else []
    if len(stand) < len(share.holdings):
        ends.append(share.hard_close_at or ENDED_LONG_AGO)
    elif not stand:
        ends.append(share.hard_close_at)
    return max(ends)


def first_end(share: Share) -> int:
    """Return the latest end that those who hold it as standing knew when they came (0: none)."""
    return max(_standing_ends(share), default=0)


def _standing_ends(share: Share) -> list[int]:
    return [holding.until for holding in share.holdings if holding.stands]


def moved(share: Share) -> bool:
    """Whether a statement that is open names another role than its holders now have: the file has renamed it since."""
    open_ = share.state is ShareState.OPEN and _is_statement(share)
    return open_ and share.opened_to not in ("", share.grantee)


def _is_statement(share: Share) -> bool:
    return addresses.resource_kind(share.resource) == "policy"


def overdue(share: Share, now: int) -> bool:
    """Whether the share must close although somebody holds it."""
    end = hard_end(share)
    return end != 0 and now >= end


def needed(share: Share) -> bool:
    """Whether the share is open, or somebody wants it open."""
    return bool(share.holdings) or share.state in (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)


def refusal(share: Share) -> Fault | None:
    """Return why those who hold the share must not wait for it: it was refused, or closed at its end.

    None where somebody has come to hold it since: it is tried again, and the answer to that counts for all. Who held it
    before may never let go, as a damaged delivery does.
    """
    if asked_since(share):
        return None
    if share.closed_blind and share.state is ShareState.CLOSED:
        return Fault(
            "share-closed-at-its-end",
            f"{share.resource}, account {share.account}",
            "The share was closed at its last closing time while the delivery still held it.",
            "Find out why the delivery did not end by its own deadline: its history, dead letters, "
            "the role in the target.",
        )
    return share.fault


def asked_since(share: Share) -> bool:
    """Whether somebody has come to hold it since it was last refused, or closed at its end."""
    return share.asked > share.answered


def held_by_too_many(share: Share) -> Fault:
    """Say why one more may not hold it, and what helps."""
    return Fault(
        "share-held-by-too-many",
        f"{share.resource}, {share.holder_key}",
        f"{MOST_HOLDINGS:,} AMIs or deliveries hold this permission already, which is as many as its record takes.",
        "Build further AMIs under another KMS key, or remove the trigger tag from AMIs that the account needs no more; "
        "then tag this AMI again.",
    )


def oldest_open(shares: Iterable[Share], now: int) -> int | None:
    """For how many seconds the service's oldest share has been open; None if none is."""
    counted = [s for s in shares if s.state is ShareState.OPEN and not s.preexisting and not standing(s)]
    opened_at = [s.opened_at for s in counted if s.opened_at is not None]
    return now - min(opened_at) if opened_at else None


# --- what is to be done ----------------------------------------------------------------------------------------------


def to_close(shares: Iterable[Share], now: int) -> list[Share]:
    """Return those to be closed now, longest waiting first: its own that no holder needs, or past their end."""
    found = [s for s in shares if (now >= s.next_try or _waits_for_no_try(s)) and _must_close(s, now)]
    return sorted(found, key=lambda s: s.next_try)


def _waits_for_no_try(share: Share) -> bool:
    """Whether ``next_try`` is nothing that its closing waits for: it is that of an opening nobody needs any longer."""
    return share.state is ShareState.OPENING or _was_held(share)


def _was_held(share: Share) -> bool:
    """Whether somebody has held it since it opened. One that was put into the ledger for a copy waits until then."""
    return share.state is ShareState.OPEN and asked_since(share)


def _must_close(share: Share, now: int) -> bool:
    if share.state is ShareState.CLOSING:
        return not _reopens(share, now)
    return share.state in (ShareState.OPENING, ShareState.OPEN) and (not share.holdings or overdue(share, now))


def _reopens(share: Share, now: int) -> bool:
    """Whether a closing that was begun is left for an opening, as somebody came meanwhile.

    A nameless permission is simply added again. A grant or a statement is closed to the end and opened again: what is
    added under its own name must not be what is just going away.
    """
    kept = bool(share.holdings) and not overdue(share, now) and share.fault is None and not share.closed_blind
    return kept and nameless(share.resource) and share.state is ShareState.CLOSING and not share.preexisting


def unanswered(share: Share) -> bool:
    """Whether an intent stands to which no result was written: that run was killed, or had no time left."""
    begun = share.state is ShareState.OPENING or (share.state is ShareState.CLOSING and share.removed_at is None)
    return begun and not (share.preexisting or share.tries or share.together or share.blocked)


def to_open(shares: Iterable[Share], now: int) -> list[Share]:
    """Return those to be opened now, longest waiting first: held, not open, and not past their end."""
    found = [s for s in shares if s.holdings and _is_time(s, now) and not overdue(s, now) and _may_open(s, now)]
    return sorted(found, key=lambda s: s.next_try)


def _is_time(share: Share, now: int) -> bool:
    """Whether it may be tried now. The next look of a closing is nothing that an opening waits for."""
    return now >= share.next_try or (share.state is ShareState.CLOSING and not share.tries)


def _may_open(share: Share, now: int) -> bool:
    if share.state is ShareState.OPEN:
        return moved(share)
    if share.state is ShareState.CLOSING:
        return _reopens(share, now)
    waiting = (ShareState.WANTED, ShareState.OPENING, ShareState.CLOSED, ShareState.REFUSED)
    return share.state in waiting and _asks_again(share)


def _asks_again(share: Share) -> bool:
    """A refused or blind-closed share is tried again only for one who has come to hold it since."""
    if share.state is ShareState.REFUSED or (share.state is ShareState.CLOSED and share.closed_blind):
        return asked_since(share)
    return True


def to_end(shares: Iterable[Share], now: int) -> list[Share]:
    """Return those whose end has come before they were opened: nobody is to wait for them any longer."""
    idle = (ShareState.WANTED, ShareState.CLOSED, ShareState.REFUSED)
    return [s for s in shares if s.state in idle and s.holdings and overdue(s, now) and _asks_again(s)]


def to_archive(shares: Iterable[Share], now: int) -> list[Share]:
    """Return those that leave the ledger: nobody holds them, and nothing of them is open."""
    idle = (ShareState.WANTED, ShareState.CLOSED, ShareState.REFUSED)
    return [s for s in shares if s.state in idle and not s.holdings and now >= _kept_until(s)]


def _kept_until(share: Share) -> int:
    """A closed statement stays on record while a read of its key's policy may still show it."""
    recent = _is_statement(share) and share.state is ShareState.CLOSED
    return (share.closed_at or 0) + POLICY_SHOWS_WITHIN if recent else 0


def due_at(shares: Iterable[Share], now: int) -> int | None:
    """When the resource must be looked at again although nobody woke it: an open share now and then, for its age."""
    return min((time for share in shares for time in _due(share, now) if time is not None), default=None)


def _due(share: Share, now: int) -> Iterable[int | None]:
    idle = (ShareState.WANTED, ShareState.CLOSED, ShareState.REFUSED)
    if share.state is ShareState.CLOSING:
        yield share.next_try
    if share.state is ShareState.OPENING:
        yield min(share.next_try, hard_end(share) or share.next_try) if share.holdings else now
    if share.state is ShareState.OPEN:
        yield _open_due_at(share, now)
    elif share.state in idle and not share.holdings:
        yield max(_kept_until(share), share.next_try)
    elif share.state in idle and _asks_again(share):
        yield share.next_try


def _open_due_at(share: Share, now: int) -> int | None:
    if standing(share):
        return hard_end(share) or None
    if share.holdings:
        return min(hard_end(share), now + schedule.POLLS[-1])
    return now if _was_held(share) else share.next_try


# --- events ----------------------------------------------------------------------------------------------------------


def _to(share: Share, event: Event, state: ShareState, **changes: Any) -> Share:
    """Move a share. Raises IllegalEvent for an edge that the table does not have."""
    if state not in TRANSITIONS[share.state].get(event, ()):
        raise IllegalEvent(f"{share.resource}, {share.holder_key}", share.state, f"{event} to {state}")
    return replace(share, state=state, **changes)


def doubtful(share: Share, now: int) -> Share | None:
    """Return the share to be looked at again, if its permission shows and that is not to be believed yet.

    A permission is called preexisting on two looks only (invariant 5): a stale one would keep open what nobody holds.
    A first look of long ago, for a holder that left again, is none.
    """
    if share.seen_at is None or now >= share.seen_at + FIRST_LOOK_COUNTS_FOR:
        return replace(_asked_anew(share), seen_at=now, next_try=now + schedule.SECOND_LOOK_AFTER)
    if now < share.seen_at + schedule.SECOND_LOOK_AFTER:
        return replace(_asked_anew(share), next_try=share.seen_at + schedule.SECOND_LOOK_AFTER)
    return None


def _asked_anew(share: Share) -> Share:
    """What became of it for earlier holders is no news to one who asks now and must wait a while."""
    if share.state not in (ShareState.REFUSED, ShareState.CLOSED) or not share.holdings:
        return share
    return _to(share, Event.SEEN, ShareState.WANTED, fault=None, closed_blind=False)


def intend_opening(share: Share, now: int, *, seen: bool) -> Share:
    """Write down that it is going to be opened; ``seen``: the permission showed before the service asked for it."""
    if share.state is ShareState.OPENING:
        return share
    return _to(
        share,
        Event.OPENING_INTENDED,
        ShareState.OPENING,
        preexisting=seen,
        seen_at=None,
        intended_at=now,
        opened_to=share.grantee if _is_statement(share) else "",
        grant_id="",
        opened_at=None,
        removed_at=None,
        gone_at=None,
        closed_blind=False,
        fault=None,
        blocked=None,
        together=0,
        tries=0,
        next_try=now,
    )


def opened(share: Share, now: int, grant_id: str = "") -> Share:
    """The permission is there."""
    changes = {"opened_at": now, "grant_id": grant_id, "together": 0, "tries": 0, "next_try": now}
    return _to(share, Event.OPENED, ShareState.OPEN, blocked=None, **changes)


def refused(share: Share, fault: Fault, now: int) -> Share:
    """It cannot be opened, and asking again will not change that.

    Where an intent was written, an earlier call may have taken effect all the same: then it is closed like an open one.
    """
    state = ShareState.CLOSING if share.state in (ShareState.OPENING, ShareState.CLOSING) else ShareState.REFUSED
    changes = {"together": 0, "tries": 0, "next_try": now, "seen_at": None}
    return _to(share, Event.REFUSED, state, fault=fault, blocked=None, answered=share.asked, **changes)


def ended(share: Share, now: int) -> Share:
    """Its end has come before it was opened: its holders read so, and nothing is left to do."""
    fault = Fault(
        "share-ended-unopened",
        f"{share.resource}, account {share.account}",
        "Its holdings ended before the share could be opened.",
        "Find out why it was not opened in time: the history of the delivery and of the resource; "
        "then tag the AMI again.",
    )
    changes = {"closed_at": now, "closed_blind": True, "answered": share.asked, "tries": 0, "next_try": now}
    return _to(share, Event.ENDED, ShareState.REFUSED, fault=fault, **changes)


def worth_waiting(share: Share, why: RefusalKind, now: int) -> bool:
    """Whether a refused opening is tried again.

    A grant for a service-linked role is made by the target, which must be let in, and from whose account the key must
    be accessible: that becomes true late [aws-facts 3].
    """
    if why is RefusalKind.THROTTLED:
        return True
    if share.state is not ShareState.OPENING or addresses.resource_kind(share.resource) != "role":
        return False
    return why is RefusalKind.ROLE or (why is RefusalKind.NOT_YET and now - share.intended_at <= schedule.NOT_YET_FOR)


def put_off(share: Share, now: int) -> Share:
    """A throttle or an outage: the same again soon."""
    return replace(
        _asked_anew(share), tries=share.tries + 1, next_try=now + schedule.step(schedule.RETRIES, share.tries)
    )


def blocked(share: Share, fault: Fault, now: int) -> Share:
    """It is tried again until something has passed that its holders should know of."""
    return replace(put_off(share, now), blocked=fault)


def intend_closing(share: Share, now: int) -> Share:
    """Write down that it is going to be closed."""
    if share.state is ShareState.CLOSING:
        return share
    blind = bool(share.holdings) and overdue(share, now)
    return _to(
        share,
        Event.CLOSING_INTENDED,
        ShareState.CLOSING,
        together=0,
        tries=0,
        next_try=now,
        removed_at=None,
        gone_at=None,
        blocked=None,
        closed_blind=blind,
        answered=share.asked if blind else share.answered,
    )


def removed(share: Share, now: int) -> Share:
    """A nameless permission was removed; the first look comes a minute later, or a little more."""
    return _to(
        share,
        Event.LOOKED_AT,
        ShareState.CLOSING,
        removed_at=now,
        gone_at=None,
        together=0,
        next_try=_together_at(now + LOOKS_APART),
    )


def _together_at(moment: int) -> int:
    """Return the next whole minute: one look then serves all that were removed from a resource within a minute."""
    return -(-moment // schedule.MINUTE) * schedule.MINUTE


def looked_for_nameless(share: Share, now: int, *, showing: bool) -> Share:
    """A look came after the removal of a nameless permission.

    What shows is the service's: it is removed again, and the time starts again. What two looks miss, a minute apart and
    the last two minutes after the removal, is gone; what shows from then on is somebody else's (invariant 2).
    """
    if showing or share.removed_at is None:
        again = {"removed_at": None, "gone_at": None, "tries": share.tries + 1, "next_try": now}
        return _to(share, Event.LOOKED_AT, ShareState.CLOSING, **again)
    gone_at = now if share.gone_at is None else share.gone_at
    last = max(gone_at + LOOKS_APART, share.removed_at + GONE_NO_SOONER_THAN)
    if now >= last:
        return closed(share, now)
    return _to(share, Event.LOOKED_AT, ShareState.CLOSING, gone_at=gone_at, next_try=_together_at(last))


def believable_from(share: Share) -> int:
    """From when an absent grant or statement is believed to be gone, and not only late to show."""
    unheard = addresses.resource_kind(share.resource) in ("key", "role") and not share.grant_id
    return share.intended_at + (GRANTS_SHOW_WITHIN if unheard else schedule.SECOND_LOOK_AFTER)


def looked_for_named(share: Share, now: int, *, showing: bool) -> Share:
    """A look came right after the removal of what is named: one look is enough, if it is not too early."""
    if not showing and now >= believable_from(share):
        return closed(share, now)
    again = put_off(share, now)
    return replace(again, next_try=max(again.next_try, believable_from(share)))


def closed(share: Share, now: int) -> Share:
    """The permission was seen to be gone, or is preexisting and stays."""
    state = ShareState.CLOSED if share.fault is None else ShareState.REFUSED
    return _to(share, Event.CLOSED, state, closed_at=now, tries=0, next_try=now)


def given_up(share: Share, fault: Fault, now: int) -> Share | None:
    """Return the share as it is when trying to close it is given up; None: it is to be tried again.

    Only on a target's own key: such a grant serves that account's own role on that account's own key.
    """
    if not addresses.at_home(share.resource) or share.tries < GIVEN_UP_AFTER:
        return None
    return _to(share, Event.GIVEN_UP, ShareState.REFUSED, fault=fault, closed_at=None, tries=0, next_try=now)


def archived(share: Share) -> Share:
    """It leaves the ledger."""
    return _to(share, Event.LEFT, ShareState.ARCHIVED)


def unrecorded(resource: str, account: str, grantee: str, grant_id: str, now: int) -> Share:
    """Return the share of a grant of the service's that the ledger does not know: it must be closed."""
    return Share(
        resource,
        unrecorded_name(grant_id),
        account,
        grantee,
        ShareState.CLOSING,
        grant_id=grant_id,
        intended_at=now,
        next_try=now,
    )


def raced(tried: Share, found: Share | None, now: int) -> Share | None:
    """Return what to write after a call for ``tried`` whose result came too late, as another run was at it too.

    ``found`` is how the ledger has it now (None: it has left). What the call did is true all the same: opened where the
    ledger says closed, it is closed again; closed where it says open, it is opened again. Where the other is at it just
    now, writing it down unchanged lets the other's result come too late in its turn. None: it agrees, or is not
    the service's.
    """
    if tried.preexisting or (found is not None and found.preexisting):
        return None
    over = found is None or found.state in (ShareState.CLOSED, ShareState.REFUSED)
    if tried.state is ShareState.OPEN and over:
        left = replace(tried, state=ShareState.CLOSED, version=0, holdings=frozenset(), asked=0, answered=0)
        there = left if found is None else replace(found, grant_id=tried.grant_id or found.grant_id)
        fresh = {"removed_at": None, "gone_at": None, "tries": 0, "next_try": now}
        return _to(there, Event.FOUND_OPEN, ShareState.CLOSING, **fresh)
    if found is None:
        return None
    if tried.state is ShareState.OPEN:
        return found if found.state is ShareState.CLOSING else None
    if found.state is ShareState.OPEN:
        return _to(found, Event.FOUND_CLOSED, ShareState.OPENING, next_try=now)
    return found if found.state is ShareState.OPENING else None
