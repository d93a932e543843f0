"""What is left to do for the shares of a resource: what to close, open, end or archive, and when to look again."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.engine import schedule
from chalicelib.sharing.grant_names import nameless
from chalicelib.sharing.holders import asked_since, is_statement, must_close_at, names_former_role, past_end, standing
from chalicelib.sharing.share import IDLE_STATES, Share, ShareState

MOVES_SOON = 10
"""Tries (half an hour) to name the new role of an open statement; after that a delivery that waits for it asks again.
"""

GRANTS_SHOW_WITHIN = 5 * schedule.MINUTE
"""Seconds within which ListGrants shows a new grant [aws-facts 3]."""

NEWER_LOOKS = 5 * schedule.MINUTE
"""Seconds between looks at what only a newer version may open or archive: after an upgrade, nobody wakes it."""

POLICY_SHOWS_WITHIN = 1 * schedule.MINUTE
"""Seconds for which a read may still show a removed statement of a key policy [aws-facts 3: the time is UNVERIFIED]."""


def to_close(shares: Iterable[Share], now: int) -> list[Share]:
    """Return the shares to close now, longest waiting first: those without a holder or past their end."""
    # next_try of an opening is when it is tried again, for which a closing need not wait
    at_once = (s for s in shares if now >= s.next_try or s.state is ShareState.OPENING or _may_close_early(s))
    return sorted((s for s in at_once if _must_close(s, now)), key=lambda s: s.next_try)


def _may_close_early(share: Share) -> bool:
    """Whether an open share may close before ``next_try``, until which what `reconcile` adds waits for a holder."""
    return share.state is ShareState.OPEN and (share.tries > 0 or asked_since(share))


def _must_close(share: Share, now: int) -> bool:
    if share.state is ShareState.CLOSING:
        return not _reopens(share, now)
    return share.state in (ShareState.OPENING, ShareState.OPEN) and (not share.holdings or past_end(share, now))


def _reopens(share: Share, now: int) -> bool:
    """Whether a closing share is opened again at once, because a delivery has come to hold it.

    Only a nameless permission: it is simply added again. A grant or statement is closed first and then opened again, as
    both would have the same name. If the opening was put off, the closing is ended first, too: its looks say from when
    on a permission is somebody else's (invariant 2).
    """
    held = bool(share.holdings) and not past_end(share, now) and share.fault is None and not share.closed_blind
    closing = share.state is ShareState.CLOSING and not share.preexisting and not share.tries
    return held and closing and nameless(share.resource) and not share.newer


def unanswered(share: Share) -> bool:
    """Whether an intent has no result, because its run was killed or had no time left."""
    begun = share.state is ShareState.OPENING or (share.state is ShareState.CLOSING and share.removed_at is None)
    return begun and not (share.preexisting or share.tries or share.together or share.waits_for)


def to_open(shares: Iterable[Share], now: int) -> list[Share]:
    """Return the shares to open now, longest waiting first: held, not open, and not past their end."""
    # an opening does not wait for the next look of a closing
    in_time = (s for s in shares if now >= s.next_try or s.state is ShareState.CLOSING)
    found = [s for s in in_time if s.holdings and not past_end(s, now) and _may_open(s, now)]
    return sorted(found, key=lambda s: s.next_try)


def _may_open(share: Share, now: int) -> bool:
    if share.newer:
        return False
    if share.state is ShareState.OPEN:
        return names_former_role(share)
    if share.state is ShareState.CLOSING:
        return _reopens(share, now)
    return share.state in (*IDLE_STATES, ShareState.OPENING) and _asks_again(share)


def _asks_again(share: Share) -> bool:
    """Whether to try to open it: a refused share, or one closed blind, only if a holding came since."""
    if share.state is ShareState.REFUSED or (share.state is ShareState.CLOSED and share.closed_blind):
        return asked_since(share)
    return True


def to_look_at(shares: Iterable[Share], now: int) -> list[Share]:
    """Return the open standing shares that another delivery has come to hold: somebody may have removed the permission.

    Not a permission that may show late, nor one that is preexisting.
    """
    come = (s for s in shares if s.state is ShareState.OPEN and standing(s) and asked_since(s) and not s.preexisting)
    return [s for s in come if now >= (s.opened_at or 0) + GRANTS_SHOW_WITHIN]


def to_end(shares: Iterable[Share], now: int) -> list[Share]:
    """Return the shares whose end came before they were opened."""
    return [s for s in shares if s.state in IDLE_STATES and s.holdings and past_end(s, now) and _asks_again(s)]


def to_archive(shares: Iterable[Share], now: int) -> list[Share]:
    """Return the shares to archive: no delivery holds them, and they are not open."""
    return [s for s in shares if s.state in IDLE_STATES and not (s.holdings or s.newer) and now >= _kept_until(s)]


def _kept_until(share: Share) -> int:
    """Return when it may be archived: a closed statement not while a read of the key's policy may still show it."""
    recent = is_statement(share) and share.state is ShareState.CLOSED
    return (share.closed_at or 0) + POLICY_SHOWS_WITHIN if recent else 0


def due_at(shares: Iterable[Share], now: int) -> int | None:
    """Return when to look at the resource again if no wake arrives; None: never."""
    return min((time for share in shares for time in _due(share, now) if time is not None), default=None)


def _due(share: Share, now: int) -> Iterable[int | None]:
    if share.newer and share.state in (*IDLE_STATES, ShareState.OPENING):
        end = must_close_at(share)
        yield min(now + NEWER_LOOKS, end) if end > now else now + NEWER_LOOKS
        return
    if share.state is ShareState.CLOSING:
        yield share.next_try
    if share.state is ShareState.OPENING:
        yield min(share.next_try, must_close_at(share) or share.next_try) if share.holdings else now
    if share.state is ShareState.OPEN:
        yield _open_due_at(share, now)
        yield share.next_try if names_former_role(share) and share.tries < MOVES_SOON else None
    elif share.state in IDLE_STATES and not share.holdings:
        yield max(_kept_until(share), share.next_try)
    elif share.state in IDLE_STATES and _asks_again(share):
        yield share.next_try


def _open_due_at(share: Share, now: int) -> int | None:
    if standing(share):
        return must_close_at(share) or None
    if share.holdings:
        return min(must_close_at(share), now + schedule.HOUR)
    return now if _may_close_early(share) else share.next_try
