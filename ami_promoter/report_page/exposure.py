"""Which account could use which snapshot, AMI and key, and when. Pure: turns the ledger's records into intervals.

A share's item, or its archive, has the exact times of its last opening. If a share was opened again before it left the
ledger, only its steps in the history have the earlier time. If both leave a doubt, the page shows the longer time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ami_promoter.hub import shares
from ami_promoter.report_page.reading import HubRecords, Step
from ami_promoter.terminal.report import plainly
from chalicelib.engine.addresses import SHARE, RecordKey
from chalicelib.engine.places import IMAGE, KEY, POLICY, SNAPSHOT, Resource
from chalicelib.sharing.key_policy import PolicyShare
from chalicelib.sharing.share import OPEN_STATES, Share

LEFT_OPEN = "left open"
"""State of a preexisting permission: the service no longer needs it and leaves it open."""
UNREADABLE = "unreadable"
"""State of a share whose item is damaged, or lost: it may be open."""
CLOSED = "closed"
DELIVERY_ID = 20
"""Characters of a delivery's id, with which the name of its own grant begins; the name goes on with the role."""
ONE_RUN = 60
"""Seconds within which the invocation that writes an intent also makes the call; later, another one got the answer."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One permission for one account, from ``start`` to ``end`` (epoch seconds)."""

    kind: str
    """snapshot, image, key, policy or role; the last three are permissions on a key."""
    name: str
    """The id of the snapshot or AMI, or the key's ARN."""
    account: str
    """The account, or the ARN of an organization or OU."""
    principal: str
    """The ARN that a key's grant or statement names; "" where the permission names none."""
    state: str
    start: int | None
    """None: not known."""
    end: int | None
    """None: the permission is open, or may be."""
    sure: bool = True
    """Whether ``start`` is when AWS answered; else it is when the service wrote its intent."""
    closes: str = ""
    """What ends an open permission, in words."""
    amis: tuple[str, ...] = ()
    """Source AMIs that it is, or was, opened for."""

    @property
    def open(self) -> bool:
        """Whether the permission is open now, or may be."""
        return self.end is None


def exposures(records: HubRecords) -> list[Exposure]:
    """Return all intervals: open ones first, then by start, the latest first."""
    found: dict[tuple[str, str], list[Exposure]] = {}
    for share in (*records.archived, *records.shares):
        if not Resource.parse(share.resource).on_own_key and (one := _exposure(share, records)):
            found.setdefault((share.resource, share.share_name), []).append(one)
    for place, steps in records.share_steps.items():
        if not Resource.parse(place[0]).on_own_key:
            found[place] = list(_with_history(found.get(place, []), steps, place, records))
    flat = (one for several in found.values() for one in several)
    return sorted(flat, key=lambda one: (not one.open, -(one.start or 0), one.kind, one.name, one.account))


def _exposure(share: Share, records: HubRecords) -> Exposure | None:
    """Return the interval of a share's item or archive; None if it was never open."""
    pk, holder = share.resource, share.share_name
    opened, intended = share.opened_at, share.intended_at or None
    state, end = str(share.state), share.removed_at or share.closed_at
    if share.state in OPEN_STATES:
        end = None
        state = UNREADABLE if RecordKey(pk, f"{SHARE}{holder}") in records.damaged else state
    elif end is None or not (opened or intended):
        return None
    elif share.preexisting:
        state, end = LEFT_OPEN, None
    else:
        state = CLOSED
    sure = opened is not None and not _asked_before(intended, opened)
    made = _named(pk, holder, records)
    return replace(
        made,
        account=share.account or made.account,
        principal=share.grantee,
        state=state,
        start=opened if sure else intended or opened,
        end=end,
        sure=sure,
        closes=_closes(share, state) if end is None else "",
        amis=made.amis or tuple(sorted({one.ami for one in share.holdings})),
    )


def _asked_before(intended: int | None, opened: int) -> bool:
    """Whether an earlier invocation may have opened it and was killed before it recorded that."""
    return intended is not None and opened - intended > ONE_RUN


def _closes(share: Share, state: str) -> str:
    if state == LEFT_OPEN:
        return "existed before the service, stays"
    if state == UNREADABLE:
        return "not known: its record is damaged"
    shown = shares.open_share(share, "")  # the page shows no command
    if shown["not_closing"]:
        return f"does not close: {shown['not_closing']['what']}"
    latest = str(shown["closes_at_the_latest"])
    return shares.end(shown).replace(latest, plainly(latest))


def _named(pk: str, holder: str, records: HubRecords) -> Exposure:
    one = Resource.parse(pk)
    by_kind = {SNAPSHOT: records.source_of.get(one.name, ()), KEY: records.promoted_by.get(holder[:DELIVERY_ID], ())}
    amis = (one.name,) if one.kind == IMAGE else by_kind.get(one.kind, ())
    if one.kind == POLICY:
        holder = PolicyShare.parse(holder).account
    return Exposure(one.kind, one.name, one.account or holder, "", CLOSED, None, None, amis=tuple(sorted(set(amis))))


def _with_history(
    known: Iterable[Exposure], steps: Iterable[Step], place: tuple[str, str], records: HubRecords
) -> Iterator[Exposure]:
    """Move the known intervals' starts back to those in the history, and add intervals that only the history has."""
    left = list(known)
    for start, end in _times(steps):
        same = [one for one in left if _overlap(one, start, end)]
        left = [one for one in left if one not in same]
        if same:
            first = min(same, key=lambda one: one.start or 0)
            earlier = first.start is None or start < first.start
            yield replace(first, start=start) if earlier else first
            yield from (one for one in same if one is not first)
        else:
            state, closes = (UNREADABLE, "not known: its record is lost") if end is None else (CLOSED, "")
            yield replace(_named(*place, records), state=state, start=start, end=end, sure=False, closes=closes)
    yield from left


def _overlap(one: Exposure, start: int, end: int | None) -> bool:
    return (end is None or (one.start or 0) <= end) and (one.end is None or start <= one.end)


def _times(steps: Iterable[Step]) -> Iterator[tuple[int, int | None]]:
    """Yield the times (start, end) in which a share was open, by its steps; an end of None: no step closed it."""
    start: int | None = None
    opened = False
    for at, state in steps:
        if state in OPEN_STATES:
            said = state == "open" and not opened and not _asked_before(start, at)
            start = at if start is None or said else start
            opened = opened or state == "open"
        elif start is not None:
            if opened:
                yield start, at
            start, opened = None, False
    if start is not None:
        yield start, None
