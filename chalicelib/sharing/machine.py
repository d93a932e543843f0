"""The state machine of a share: its events, what each changes, and the table that says where that leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.engine import schedule, transitions
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import KEY, ROLE
from chalicelib.engine.transitions import Entry, Row, leads
from chalicelib.sharing.entitlement import SOURCE_GONE
from chalicelib.sharing.grant_names import nameless, unrecorded_name
from chalicelib.sharing.holders import is_statement, past_end
from chalicelib.sharing.outstanding import GRANTS_SHOW_WITHIN
from chalicelib.sharing.share import OPEN_STATES, Share, ShareState

FIRST_LOOK_COUNTS_FOR = 15 * schedule.MINUTE
"""Seconds for which a look before an opening counts as the first of two."""

GIVEN_UP_AFTER = 16
"""Tries (about an hour) to close a grant on a target's own key; after that its administrators must end it."""

LOOKS_APART = schedule.MINUTE
"""Seconds between the two looks that must miss a nameless permission before it counts as gone (invariant 2)."""

GONE_NO_SOONER_THAN = 2 * schedule.MINUTE
"""Seconds from the removal to the second of these looks, at least."""

WANTED, OPENING, OPEN, CLOSING, CLOSED, REFUSED, ARCHIVED = map(Entry[Share, ShareState], ShareState)


@dataclass(frozen=True, slots=True)
class PutOff:
    """AWS throttled or did not answer, or the opening waits for something: the share worker tries again.

    ``waits_for``: the fault that must be gone first; the holders read it.
    """

    waits_for: Fault | None = None


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """The permission shows before the service opened it: a second look must agree (invariant 5)."""


@dataclass(frozen=True, slots=True)
class OpeningIntended:
    """An entitled delivery holds it: the intent to add the permission is written. ``seen``: it is preexisting."""

    seen: bool = False


@dataclass(frozen=True, slots=True)
class ShareOpened:
    """The permission was added, or is preexisting."""

    grant_id: str = ""


@dataclass(frozen=True, slots=True)
class ShareRefused:
    """It cannot be added, or the account is not entitled to it; trying again will not help."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class ClosingIntended:
    """No delivery holds it, its end has come, or another run's late call opened it after it was closed.

    The intent to remove the permission is written.
    """


@dataclass(frozen=True, slots=True)
class PermissionRemoved:
    """A nameless permission was removed; the first look comes one to two minutes later.

    ``with_resource``: there was nothing to remove, because its snapshot or AMI is gone.
    """

    with_resource: bool = False


@dataclass(frozen=True, slots=True)
class LookedAfter:
    """The share worker looked whether the permission shows: after its removal, or as another delivery holds it."""

    showing: bool


@dataclass(frozen=True, slots=True)
class ShareClosed:
    """It closes without a look: the permission is preexisting and stays."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The target refuses to let a grant on its own key be ended: its administrators must end it."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class FoundClosed:
    """A late call of another run closed it after it was opened: it is opened again."""


@dataclass(frozen=True, slots=True)
class Archived:
    """No delivery holds it, and it is closed."""


def doubtful(share: Share, now: int) -> bool:
    """Whether a second look must follow one that shows the permission before the service has opened it.

    A permission is preexisting only after two looks, because one may be stale (invariant 5). A first look of long ago,
    for an earlier holder, does not count.
    """
    return now < _first_look(share, now) + schedule.SECOND_LOOK_AFTER


def _first_look(share: Share, now: int) -> int:
    at = share.seen_at
    return now if at is None or now >= at + FIRST_LOOK_COUNTS_FOR else at


def _seen_before(_event: SeenBefore, share: Share, now: int) -> Share:
    first = _first_look(share, now)
    return replace(_wanted(share, now), seen_at=first, next_try=first + schedule.SECOND_LOOK_AFTER)


def _wanted(share: Share, now: int) -> Share:
    """Return the share that a new holder waits for: closed or refused, it forgets how it ended for earlier holders."""
    over = share.state in (ShareState.CLOSED, ShareState.REFUSED)
    return WANTED(share, now, fault=None, closed_blind=False) if over else share


def _intend_opening(event: OpeningIntended, share: Share, now: int) -> Share:
    return OPENING(
        share,
        now,
        preexisting=event.seen,
        seen_at=None,
        intended_at=now,
        opened_to=share.grantee if is_statement(share) else "",
        grant_id="",
        opened_at=None,
        removed_at=None,
        gone_at=None,
        gone_with_resource=False,
        closed_blind=False,
        unsure_since=0,
        missed_since=0,
        fault=None,
        waits_for=None,
        together=0,
    )


def _opened(event: ShareOpened, share: Share, now: int) -> Share:
    grant_id = event.grant_id if share.intended_at else ""  # of a damaged share an earlier grant may be open beside it
    return OPEN(share, now, opened_at=now, grant_id=grant_id, together=0, waits_for=None, answered=share.asked)


def _looked_while_open(event: LookedAfter, share: Share, now: int) -> Share:
    """Open it again if the permission no longer shows; a grant ends first, as KMS still lists that of a deleted role.

    Another grant has another name. What `reconcile` has added and showed now closes as soon as its holder releases it.
    """
    if not event.showing:
        again = _intend_closing(ClosingIntended(), share, now) if share.grant_id else None
        return again or _intend_opening(OpeningIntended(), share, now)
    return replace(share, answered=share.asked, next_try=min(share.next_try, now))


def _refused(event: ShareRefused, share: Share, now: int) -> Share:
    """Refuse it. If an intent was written, an earlier call may have opened it, so the share worker closes it."""
    changes = {"together": 0, "seen_at": None, "waits_for": None, "answered": share.asked}
    return (CLOSING if share.state in OPEN_STATES else REFUSED)(share, now, fault=event.fault, **changes)


def ended_unopened(share: Share) -> Fault:
    """Return why a share is refused whose end has come before it was opened; its holders read this fault."""
    return Fault(
        "share-ended-unopened",
        f"{share.resource}, account {share.account}",
        "Its holdings ended before the share could be opened.",
        "Find out why the service did not open it in time: the history of the delivery and of the resource; "
        "then tag the AMI again.",
    )


def worth_waiting(share: Share, why: RefusalKind, now: int, accessible_since: int) -> bool:
    """Whether the share worker tries a refused opening again.

    It does after a throttle or an outage; if the statement is open to the role's former name, which stays meanwhile; if
    the grant role in the target cannot be assumed; and for ten minutes if something may only become true late
    [aws-facts 3]: access to the key, a role, or a snapshot or AMI that has just been made or enabled.
    ``accessible_since``: when the account itself got access to the key (``account_access.open_since``).
    """
    if why is RefusalKind.THROTTLED or share.state is ShareState.OPEN:
        return True
    if share.state is not ShareState.OPENING:
        return False
    since = max(share.intended_at, accessible_since)
    return why is RefusalKind.ROLE or (why is RefusalKind.NOT_YET and now - since <= schedule.NOT_YET_FOR)


def _put_off(event: PutOff, share: Share, now: int) -> Share:
    """Try again soon. Of an AMI that is gone, a second look must agree, some time after the first (invariant 5)."""
    next_try = now + schedule.step(schedule.RETRIES, share.tries)
    waiting = replace(_wanted(share, now), tries=share.tries + 1, next_try=next_try)
    if event.waits_for is None:
        return waiting
    again_at = now + (schedule.SECOND_LOOK_AFTER if event.waits_for.code == SOURCE_GONE else 0)
    return replace(waiting, waits_for=event.waits_for, next_try=max(next_try, again_at))


def _intend_closing(_event: ClosingIntended, share: Share, now: int) -> Share:
    blind = bool(share.holdings) and past_end(share, now)
    answered = share.asked if blind else share.answered
    fresh: dict[str, Any] = {"together": 0, "removed_at": None, "gone_at": None, "waits_for": None}
    return CLOSING(share, now, closed_blind=blind, answered=answered, **fresh)


def _removed(event: PermissionRemoved, share: Share, now: int) -> Share:
    """One look, at a whole minute, serves all permissions that were removed within a minute."""
    look_at = -(-(now + LOOKS_APART) // schedule.MINUTE) * schedule.MINUTE
    removed = replace(share, removed_at=now, gone_at=None, gone_with_resource=event.with_resource)
    return replace(removed, together=0, next_try=look_at)


def _looked_after(event: LookedAfter, share: Share, now: int) -> Share:
    if nameless(share.resource):
        return _looked_for_nameless(share, now, showing=event.showing)
    if not event.showing and now >= believable_from(share):  # one look is enough, if it is not too early
        return _closed(share, now)
    again = _put_off(PutOff(), share, now)
    return replace(again, next_try=max(again.next_try, believable_from(share)))


def _looked_for_nameless(share: Share, now: int, *, showing: bool) -> Share:
    """If the permission shows, it is the service's, and is removed again.

    If two looks a minute apart miss it, the second at least two minutes after the removal, it is gone; one that shows
    later is somebody else's (invariant 2).
    """
    if showing or share.removed_at is None:
        return replace(share, removed_at=None, gone_at=None, tries=share.tries + 1, next_try=now)
    gone_at = now if share.gone_at is None else share.gone_at
    last = max(gone_at + LOOKS_APART, share.removed_at + GONE_NO_SOONER_THAN)
    if now >= last:
        return _closed(share, now)
    return replace(share, gone_at=gone_at, next_try=last)


def believable_from(share: Share) -> int:
    """Return from when a grant or statement that does not show counts as gone, instead of late to show."""
    without_answer = share.on.kind in (KEY, ROLE) and not share.grant_id
    return share.intended_at + (GRANTS_SHOW_WITHIN if without_answer else schedule.SECOND_LOOK_AFTER)


def _closed(share: Share, now: int) -> Share:
    return (CLOSED if share.fault is None else REFUSED)(share, now, closed_at=now)


def gives_up(share: Share) -> bool:
    """Whether to give it up after many tries.

    Only on a target's own key, where the grant serves that account's own role.
    """
    return share.on.on_own_key and share.tries >= GIVEN_UP_AFTER


def unrecorded(resource: str, account: str, grantee: str, grant_id: str, now: int) -> Share:
    """Return a closing share for a grant of the service that the ledger does not know."""
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
    """Return how to correct the ledger after a call for ``tried``, if another run wrote the share meanwhile.

    ``found``: the share in the ledger now (None: it is archived). If the call opened a share that the ledger calls
    closed, it must close again; if it closed one that the ledger calls open, it must open again. If the other run is in
    the middle of a call, the share is written unchanged, so that the other run loses the race for its result and comes
    here, too. None: ledger and call agree, or the permission is preexisting.
    """
    if tried.preexisting or (found is not None and found.preexisting):
        return None
    over = found is None or found.state in (ShareState.CLOSED, ShareState.REFUSED)
    if tried.state is ShareState.OPEN and over:
        left = replace(tried, state=ShareState.CLOSED, version=0, holdings=frozenset(), asked=0, answered=0, recent=())
        there = left if found is None else replace(found, grant_id=tried.grant_id or found.grant_id)
        return evolve(there, ClosingIntended(), now)
    if found is None:
        return None
    if tried.state is ShareState.OPEN:
        return found if found.state is ShareState.CLOSING else None
    if found.state is ShareState.OPEN:
        return evolve(found, FoundClosed(), now)
    return found if found.state is ShareState.OPENING else None


_IDLE: Row[Share] = {
    SeenBefore: leads(_seen_before, WANTED),
    PutOff: leads(_put_off, WANTED),
    OpeningIntended: leads(_intend_opening, OPENING),
    ShareRefused: leads(_refused, REFUSED),
    Archived: leads(lambda _event, share, now: ARCHIVED(share, now), ARCHIVED),
}
_ONCE_OPEN: Row[Share] = {
    **_IDLE,
    ClosingIntended: leads(_intend_closing, CLOSING),
}

TRANSITIONS: Mapping[ShareState, Row[Share]] = {
    ShareState.WANTED: _IDLE,
    ShareState.OPENING: {
        ShareOpened: leads(_opened, OPEN),
        PutOff: leads(_put_off, OPENING),
        ShareRefused: leads(_refused, CLOSING),
        ClosingIntended: leads(_intend_closing, CLOSING),
    },
    ShareState.OPEN: {
        PutOff: leads(_put_off, OPEN),
        ShareRefused: leads(_refused, CLOSING),
        ClosingIntended: leads(_intend_closing, CLOSING),
        OpeningIntended: leads(_intend_opening, OPENING),
        LookedAfter: leads(_looked_while_open, OPEN, OPENING, CLOSING),
        FoundClosed: leads(lambda _event, share, now: OPENING(share, now, tries=share.tries), OPENING),
    },
    ShareState.CLOSING: {
        PermissionRemoved: leads(_removed, CLOSING),
        LookedAfter: leads(_looked_after, CLOSING, CLOSED, REFUSED),
        ShareClosed: leads(lambda _event, share, now: _closed(share, now), CLOSED, REFUSED),
        PutOff: leads(_put_off, CLOSING),
        ShareRefused: leads(_refused, CLOSING),
        OpeningIntended: leads(_intend_opening, OPENING),
        GivenUp: leads(lambda event, share, now: REFUSED(share, now, fault=event.fault, closed_at=None), REFUSED),
    },
    ShareState.CLOSED: _ONCE_OPEN,
    ShareState.REFUSED: _ONCE_OPEN,
    ShareState.ARCHIVED: {},
}


def evolve(share: Share, event: object, now: int) -> Share:
    """Return the share after the event. Raises IllegalEvent if the table does not allow the transition."""
    return transitions.evolve(TRANSITIONS, share, event, now)
