"""Which account could use which snapshot, AMI and key, and when. Pure: turns the ledger's records into intervals.

A share's item, or its archive, has the exact times of its last opening. If a share was opened again before it left the
ledger, only its steps in the history have the earlier time. If both leave a doubt, the page shows the longer time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ami_promoter.hub.records import OPEN_STATES, Record
from ami_promoter.promotions import shares
from ami_promoter.report_page.reading import HubRecords, Step

LEFT_OPEN = "left open"
"""State of a preexisting permission: the service no longer needs it and leaves it open."""
UNREADABLE = "unreadable"
"""State of a share whose item is damaged: it may be open."""
CLOSED = "closed"
ONE_RUN = 60
"""Seconds within which the invocation that writes an intent also makes the call; later, another one got the answer."""
KNOWN = ("wanted", *OPEN_STATES, "closed", "refused", "archived")


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
    for record in (*records.archived, *records.shares):
        place = _place(record)
        if not _of_target(place[0]) and (one := _exposure(record, records)):
            found.setdefault(place, []).append(one)
    for place, steps in records.share_steps.items():
        if not _of_target(place[0]):
            found[place] = list(_with_history(found.get(place, []), steps, place, records))
    flat = (one for several in found.values() for one in several)
    return sorted(flat, key=lambda one: (not one.open, -(one.start or 0), one.kind, one.name, one.account))


def _of_target(pk: str) -> bool:
    """Whether it is a grant on a target's own key, which exposes nothing of the hub's."""
    return shares.of_target(pk)


def _place(record: Record) -> tuple[str, str]:
    pk, sk = str(record["_item"]["pk"]), str(record["_item"]["sk"])
    name = sk.partition("#")[2]
    return pk, name.rpartition("#")[0] if sk.startswith("closed#") else name


def _exposure(record: Record, records: HubRecords) -> Exposure | None:
    """Return the interval of a share's item or archive; None if it was never open."""
    item, (pk, holder) = record["_item"], _place(record)
    archived = str(item["sk"]).startswith("closed#")
    damaged = not archived and (pk, str(item["sk"])) in records.damaged
    state = str(item.get("state") if damaged else record.get("state"))
    body = _body(item)
    opened, intended = _time(body.get("opened_at")), _time(body.get("intended_at"))
    if damaged and (state in OPEN_STATES or state not in KNOWN):
        state, end = UNREADABLE, None
    elif not archived and state in OPEN_STATES:
        end = None
    elif (end := _time(body.get("removed_at")) or _time(body.get("closed_at"))) is None or not (opened or intended):
        return None
    elif record.get("preexisting") is True:
        state, end = LEFT_OPEN, None
    else:
        state = CLOSED
    sure = opened is not None and not _asked_before(intended, opened)
    made = _named(pk, holder, records)
    return replace(
        made,
        account=str(record.get("account") or made.account),
        principal=str(item.get("grantee") or ""),
        state=state,
        start=opened if sure else intended or opened,
        end=end,
        sure=sure,
        closes=_closes(pk, record, state) if end is None else "",
        amis=made.amis or tuple(sorted({one["ami"] for one in shares.open_share(pk, record)["holdings"]})),
    )


def _asked_before(intended: int | None, opened: int) -> bool:
    """Whether an earlier invocation may have opened it and was killed before it recorded that."""
    return intended is not None and opened - intended > ONE_RUN


def _closes(pk: str, record: Record, state: str) -> str:
    if state == LEFT_OPEN:
        return "existed before the service, stays"
    if state == UNREADABLE:
        return "not known: its record is damaged"
    shown = shares.open_share(pk, record)
    latest = str(shown["closes_at_the_latest"])
    return shares.end(shown).replace(latest, latest.replace("T", " ").removesuffix("Z"))


def _named(pk: str, holder: str, records: HubRecords) -> Exposure:
    kind, _, rest = pk.removeprefix("resource#").partition("#")
    name, _, account = rest.partition("#")
    amis = records.source_of.get(name, set()) if kind == "snapshot" else {name} if kind == "image" else set()
    if kind == "key":
        amis = records.promoted_by.get(holder, set())
    if kind == "policy":
        holder = holder.partition("-")[0]
    return Exposure(kind, name, account or holder, "", CLOSED, None, None, amis=tuple(sorted(amis)))


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
        elif end is not None:
            yield replace(_named(*place, records), start=start, end=end, sure=False)
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
    if start is not None and opened:
        yield start, None


def _body(item: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return dict(json.loads(item.get("body", "{}")))
    except (TypeError, ValueError):
        return {}


def _time(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
