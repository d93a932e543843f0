"""Who wrote or removed the tag: the service's history says when and by which event, CloudTrail says who.

``Tag Change on Resource`` names no principal, and the service may not read CloudTrail; the operator may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ami_promoter.hub.aws import errors
from ami_promoter.hub.cloudtrail import EventHistory, asked, caller
from ami_promoter.promotions.timeline_data import tag_look
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment, plainly
from chalicelib.engine.schedule import DAY

KEPT = 90 * DAY
"""How long CloudTrail keeps its event history."""
LATE = 15 * 60
"""CloudTrail's event history may not contain younger events yet."""
EARLIER, LATER = 300, 60
"""Seconds around the time that a tag's event names, within which its call is looked for: clocks differ."""
UNHEARD = 3600
"""The same before a look that no tag event caused."""
MOST = 10
"""Most changes, the latest ones, that are looked up; each takes two requests."""
SHOWN = 200
"""Characters of a value that a history shows."""

TAGGING = js.thing(
    "one change of the tag that the service saw",
    at=js.time("when the tag changed; if no event reported the change, when the service saw it"),
    value=js.perhaps(js.text("the new value; null: the tag was removed")),
    event=js.text("id of the EventBridge event; empty: discovery found the change without an event"),
    by=js.text("ARN of the principal that changed the tag; empty: not known"),
    cloudtrail_event=js.text("id of the CloudTrail event; empty: not known"),
    request_id=js.text("id of the request to AWS; empty: not known"),
    why_unknown=js.text("why the principal is not known; empty: it is known"),
)

Tagging = dict[str, Any]


def changes(entries: Iterable[Mapping[str, Any]]) -> list[tuple[float, Tagging]]:
    """Return each change of the tag in a promotion's history: (epoch seconds, what is known).

    A look that shows the previous value is not a change, unless another tag event caused it: one that misses the tag
    comes twice. An event that comes after a look has shown the same value says when that change was.
    """
    found: list[tuple[float, Tagging]] = []
    before: str | None = None
    for one in entries:
        for seen in filter(None, map(tag_look, one["what"])):
            value = None if seen["value"] == "None" else str(seen["value"])
            event, said = str(seen.get("event", "")), str(seen.get("changed_at", ""))
            again = bool(found) and found[-1][1]["event"] == event
            if (event and not again) or value != before:
                at = int(said) if said.isdigit() and int(said) else _epoch(one["at"])
                if found and value == before and not found[-1][1]["event"] and at <= found[-1][0]:
                    found.pop()
                unknown = dict.fromkeys(("by", "cloudtrail_event", "request_id", "why_unknown"), "")
                found.append((at, {"at": moment(int(at)), "value": value, "event": event, **unknown}))
            before = value
    return found


def attributed(
    found: Sequence[tuple[float, Tagging]], history: EventHistory, ami: str, key: str, now: float
) -> list[Tagging]:
    """Return each change with its author, or why the author is not known."""
    why = f"only the latest {MOST} changes are looked up"
    unasked = [{**change, "why_unknown": why} for _, change in found[:-MOST]]
    return [*unasked, *(_looked_up(at, change, history, ami, key, now) for at, change in found[-MOST:])]


def lines(shown: Iterable[Tagging], *, wide: bool) -> Iterable[str]:
    """Write each for a person."""
    for one in shown:
        what = "Tag removed" if one["value"] is None else f"Tagged {one['value']!r}"
        by = f"by {one['by']}" if one["by"] else f"by an unknown principal: {one['why_unknown']}"
        ids = {"event": one["event"], "CloudTrail": one["cloudtrail_event"], "request": one["request_id"]}
        named = ", ".join(f"{name} {ident if wide else ident[:8]}" for name, ident in ids.items() if ident)
        yield f"{what} at {plainly(one['at'])} {by}{f' ({named})' if named else ''}"


def _looked_up(at: float, change: Tagging, history: EventHistory, ami: str, key: str, now: float) -> Tagging:
    if now - at > KEPT:
        return {**change, "why_unknown": "the change is older than the 90 days of CloudTrail's event history"}
    name = "DeleteTags" if change["value"] is None else "CreateTags"
    since = at - (EARLIER if change["event"] else UNHEARD)
    try:
        records = [r for r in history.calls(name, since, at + LATER) if _is_about(r, ami, key, change["value"])]
    except errors() as error:
        return {**change, "why_unknown": f"CloudTrail cannot be asked (cloudtrail:LookupEvents is needed): {error}"}
    if not records:
        return {**change, "why_unknown": _not_found(name, history.region, early=now - at < LATE)}
    last = max(records, key=lambda record: str(record.get("eventTime")))
    return {
        **change,
        "by": caller(last),
        "cloudtrail_event": str(last.get("eventID", "")),
        "request_id": str(last.get("requestID", "")),
    }


def _not_found(name: str, region: str, *, early: bool) -> str:
    if early:
        return "CloudTrail shows a call only some minutes later; run the command again"
    more = "" if name == "DeleteTags" else "; if the AMI was created with the tag, look for the call that created it"
    return f"CloudTrail's event history of {region} has no {name} for it at about that time{more}"


def _is_about(record: Mapping[str, Any], ami: str, key: str, value: str | None) -> bool:
    """Whether a call wrote this value (of which a history has the first 200 characters), or removed the tag."""
    things = (asked(record).get("resourcesSet") or {}).get("items") or ()
    tags = (asked(record).get("tagSet") or {}).get("items") or ()
    named = any(one.get("resourceId") == ami for one in things)
    values = [str(one.get("value", ""))[:SHOWN] for one in tags if one.get("key") == key]
    if value is None:
        return named and bool(values or not tags)  # without tags all are removed
    return named and value in values


def _epoch(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0
