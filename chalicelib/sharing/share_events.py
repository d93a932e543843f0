"""The events of a share: each function returns the share after its event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.engine import schedule
from chalicelib.engine.errors import IllegalEvent, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.sharing.entitlement import SOURCE_GONE
from chalicelib.sharing.grant_names import unrecorded_name
from chalicelib.sharing.holders import is_statement, past_end
from chalicelib.sharing.share import TRANSITIONS, Event, Share, ShareState

FIRST_LOOK_COUNTS_FOR = 15 * schedule.MINUTE
"""Seconds for which a look before an opening counts as the first of two."""

GIVEN_UP_AFTER = 16
"""Tries (about an hour) to close a grant on a target's own key; after that its administrators must end it."""

GRANTS_SHOW_WITHIN = 5 * schedule.MINUTE
"""Seconds within which ListGrants shows a new grant [aws-facts 3]."""

LOOKS_APART = 1 * schedule.MINUTE
"""Seconds between the two looks that must miss a nameless permission before it counts as gone."""

GONE_NO_SOONER_THAN = 2 * schedule.MINUTE
"""Seconds from the removal to the second of these looks, at least."""


def _to(share: Share, event: Event, state: ShareState, **changes: Any) -> Share:
    """Move a share to a state. Raises IllegalEvent if the table does not have that transition."""
    if state not in TRANSITIONS[share.state].get(event, ()):
        raise IllegalEvent(f"{share.resource}, {share.share_name}", share.state, f"{event} to {state}")
    return replace(share, state=state, **changes)


def doubtful(share: Share, now: int) -> Share | None:
    """Return the share to look at a second time, as a look shows its permission before the opening; None: this is it.

    A permission is preexisting only after two looks, because one may be stale (invariant 5). A first look of long ago,
    for an earlier holder, does not count.
    """
    if share.seen_at is None or now >= share.seen_at + FIRST_LOOK_COUNTS_FOR:
        return replace(_asked_again(share), seen_at=now, next_try=now + schedule.SECOND_LOOK_AFTER)
    if now < share.seen_at + schedule.SECOND_LOOK_AFTER:
        return replace(_asked_again(share), next_try=share.seen_at + schedule.SECOND_LOOK_AFTER)
    return None


def _asked_again(share: Share) -> Share:
    """Return the share without the results for earlier holders, if a new holder must wait."""
    if share.state not in (ShareState.REFUSED, ShareState.CLOSED) or not share.holdings:
        return share
    return _to(share, Event.SEEN, ShareState.WANTED, fault=None, closed_blind=False)


def intend_opening(share: Share, now: int, *, seen: bool) -> Share:
    """Return the share with the intent to open it; ``seen``: the permission is preexisting."""
    if share.state is ShareState.OPENING:
        return share
    return _to(
        share,
        Event.OPENING_INTENDED,
        ShareState.OPENING,
        preexisting=seen,
        seen_at=None,
        intended_at=now,
        opened_to=share.grantee if is_statement(share) else "",
        grant_id="",
        opened_at=None,
        removed_at=None,
        gone_at=None,
        closed_blind=False,
        unsure_since=0,
        fault=None,
        waits_for=None,
        together=0,
        tries=0,
        next_try=now,
    )


def opened(share: Share, now: int, grant_id: str = "") -> Share:
    """The permission is there."""
    changes = {"opened_at": now, "grant_id": grant_id, "together": 0, "tries": 0, "next_try": now}
    return _to(share, Event.OPENED, ShareState.OPEN, waits_for=None, **changes)


def refused(share: Share, fault: Fault, now: int) -> Share:
    """It cannot be opened, and trying again will not help.

    If an intent was written, an earlier call may have opened it, so the share worker closes it.
    """
    begun = share.state in (ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING)
    state = ShareState.CLOSING if begun else ShareState.REFUSED
    changes = {"together": 0, "tries": 0, "next_try": now, "seen_at": None}
    return _to(share, Event.REFUSED, state, fault=fault, waits_for=None, answered=share.asked, **changes)


def ended(share: Share, now: int) -> Share:
    """Its end came before it was opened; its holders read this fault."""
    fault = Fault(
        "share-ended-unopened",
        f"{share.resource}, account {share.account}",
        "Its holdings ended before the share could be opened.",
        "Find out why the service did not open it in time: the history of the delivery and of the resource; "
        "then tag the AMI again.",
    )
    changes = {"closed_at": now, "closed_blind": True, "answered": share.asked, "tries": 0, "next_try": now}
    return _to(share, Event.ENDED, ShareState.REFUSED, fault=fault, **changes)


def worth_waiting(share: Share, why: RefusalKind, now: int, accessible_since: int) -> bool:
    """Whether the share worker tries a refused opening again: after a throttle or an outage, and in two cases more.

    A statement that is open to the role's former name stays open meanwhile. A grant for a service-linked role is made
    by the grant role in the target, and role and key may become accessible late [aws-facts 3]. ``accessible_since``:
    when the account itself got access to the key (``account_access.open_since``).
    """
    if why is RefusalKind.THROTTLED or share.state is ShareState.OPEN:
        return True
    if share.state is not ShareState.OPENING or Resource.parse(share.resource).kind != "role":
        return False
    since = max(share.intended_at, accessible_since)
    return why is RefusalKind.ROLE or (why is RefusalKind.NOT_YET and now - since <= schedule.NOT_YET_FOR)


def put_off(share: Share, now: int) -> Share:
    """AWS throttled or did not answer: the share worker tries again soon."""
    return replace(
        _asked_again(share), tries=share.tries + 1, next_try=now + schedule.step(schedule.RETRIES, share.tries)
    )


def wait_for(share: Share, fault: Fault, now: int) -> Share:
    """The share worker tries again until the fault is gone; the holders read it.

    Of an AMI that is gone, a second look must agree, some time after the first (invariant 5).
    """
    waiting = replace(put_off(share, now), waits_for=fault)
    again_at = now + (schedule.SECOND_LOOK_AFTER if fault.code == SOURCE_GONE else 0)
    return replace(waiting, next_try=max(waiting.next_try, again_at))


def intend_closing(share: Share, now: int) -> Share:
    """Return the share with the intent to close it."""
    if share.state is ShareState.CLOSING:
        return share
    blind = bool(share.holdings) and past_end(share, now)
    return _to(
        share,
        Event.CLOSING_INTENDED,
        ShareState.CLOSING,
        together=0,
        tries=0,
        next_try=now,
        removed_at=None,
        gone_at=None,
        waits_for=None,
        closed_blind=blind,
        answered=share.asked if blind else share.answered,
    )


def removed(share: Share, now: int) -> Share:
    """A nameless permission was removed; the first look comes one to two minutes later."""
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
    """Return the next whole minute, so that one look serves all permissions removed within a minute."""
    return -(-moment // schedule.MINUTE) * schedule.MINUTE


def looked_for_nameless(share: Share, now: int, *, showing: bool) -> Share:
    """The share worker looked after the removal of a nameless permission.

    If the permission shows, it is the service's, and is removed again. If two looks a minute apart miss it, the second
    at least two minutes after the removal, it is gone; one that shows later is somebody else's (invariant 2).
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
    """Return from when a grant or statement that does not show counts as gone, instead of late to show."""
    unheard = Resource.parse(share.resource).kind in ("key", "role") and not share.grant_id
    return share.intended_at + (GRANTS_SHOW_WITHIN if unheard else schedule.SECOND_LOOK_AFTER)


def looked_for_named(share: Share, now: int, *, showing: bool) -> Share:
    """The share worker looked after the removal of a grant or statement: one look is enough, if it is not too early."""
    if not showing and now >= believable_from(share):
        return closed(share, now)
    again = put_off(share, now)
    return replace(again, next_try=max(again.next_try, believable_from(share)))


def closed(share: Share, now: int) -> Share:
    """Looks have shown that the permission is gone, or it is preexisting and stays."""
    state = ShareState.CLOSED if share.fault is None else ShareState.REFUSED
    return _to(share, Event.CLOSED, state, closed_at=now, tries=0, next_try=now)


def given_up(share: Share, fault: Fault, now: int) -> Share | None:
    """Return the share as given up after many tries; None: the share worker tries again.

    It gives up only on a target's own key, where the grant serves that account's own role.
    """
    if not Resource.parse(share.resource).at_home or share.tries < GIVEN_UP_AFTER:
        return None
    return _to(share, Event.GIVEN_UP, ShareState.REFUSED, fault=fault, closed_at=None, tries=0, next_try=now)


def archived(share: Share) -> Share:
    """It is moved to the archive."""
    return _to(share, Event.LEFT, ShareState.ARCHIVED)


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
