"""What happened to promotions, deliveries and shares, from the history beside their records. Pure.

What an entry says is written by the service as ``Event {"member": "value"}``, or in words; it is shown as it is, in
plain words, so that an event of another version is shown as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.promotions.shares import named
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import cell, short, state, table
from ami_promoter.terminal.report import moment, span

EMPTY = ("None", "()", "{}", "", "False", "0")
SEEN = re.compile(r"SeenCopy\(copy='([^']*)'.*?state='(\w+)', progress=(\d+), message='([^']*)'")
PENDING = re.compile(r"^CopiesSeen .*?state='pending'")
"""A look that showed nothing new."""
ID = re.compile("snap-[0-9a-f]{17}|arn:[a-z0-9:/-]+|[0-9a-f]{32,64}")
QUIET = ("Counted", "SlotsAsked", "SlotsSeen", "SharesHeld", "CopiesFound")
"""Bookkeeping between workers; left out without --all."""

ENTRY = js.thing(
    "one step",
    at=js.time("when"),
    record=js.text("what: `promotion` or `delivery`"),
    account=js.text("of a delivery: the account; else empty"),
    region=js.text("of a delivery: the Region; else empty"),
    state=js.text("the state after it"),
    what=js.several("the event, intent or result", js.text("an event with its members, or a sentence")),
)
SHARE = js.thing(
    "one share that is open or was",
    resource=js.text("kind and name of the resource"),
    account=js.text("who could use it"),
    grantee=js.text("the ARN that could, of a key"),
    opened_at=js.time("when"),
    removed_at=js.time("when it was taken away"),
    closed_at=js.time("when it was seen gone"),
    seconds=js.perhaps(js.number("from opening to taking away; null: it is open")),
    preexisting=js.flag("whether it was there before the service"),
)

FINDING = js.thing(
    "one finding of the access monitor",
    at=js.time("when it was done"),
    resource=js.text("id of a snapshot or AMI, ARN of a key"),
    call=js.text("the call, or AWS's own event"),
    region=js.text("where"),
    principal=js.text("who: ARN, or account and principal id"),
    severity=js.text("`page`, `warning`, `notice`; `none`: who wrote the trigger tag"),
    verdict=js.text("what the monitor says of it"),
    why=js.text("in a sentence"),
    receivers=js.several("whom it is about", js.text("account, ARN or `all`")),
    request_id=js.text("AWS's id of the call"),
)


def finding(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read what the access monitor keeps of one deed."""
    receivers = item.get("receivers")
    texts = ("resource", "call", "region", "principal", "severity", "verdict", "why", "request_id")
    return {
        "at": moment(item.get("at")),
        **{name: str(item.get(name, "")) for name in texts},
        "receivers": [str(one) for one in receivers] if isinstance(receivers, list) else [],
    }


def entry(item: Mapping[str, Any], record: str, account: str = "", region: str = "") -> dict[str, Any]:
    """Read an item of a history."""
    what = item.get("what")
    return {
        "at": moment(item.get("at")),
        "record": record,
        "account": account,
        "region": region,
        "state": str(item.get("state", "")),
        "what": [str(one) for one in what] if isinstance(what, list) else [],
    }


def share(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read a share, or what is kept of one that is closed."""
    try:
        body = dict(json.loads(item.get("body", "{}")))
    except (TypeError, ValueError):
        body = {}
    opened, removed = body.get("opened_at"), body.get("removed_at") or body.get("closed_at")
    seconds = removed - opened if isinstance(opened, int) and isinstance(removed, int) else None
    return {
        "resource": str(item.get("pk", "")).removeprefix("resource#"),
        "account": str(item.get("account", body.get("account", ""))),
        "grantee": str(item.get("grantee", "")),
        "opened_at": moment(opened),
        "removed_at": moment(removed),
        "closed_at": moment(body.get("closed_at")),
        "seconds": seconds,
        "preexisting": bool(item.get("preexisting", False)),
    }


def ordered(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort by time; what is not known comes first. Entries of one second stay as they were."""
    return sorted(entries, key=lambda one: "" if one["at"] == "-" else str(one["at"]))


def show(
    entries: Sequence[Mapping[str, Any]], shares: Sequence[Mapping[str, Any]], *, everything: bool, wide: bool
) -> Iterator[RenderableType]:
    """Yield a history's lines: each record's by itself, and the shares."""
    of: dict[str, list[Sequence[RenderableType]]] = {}
    for one in entries:
        who = f"{one['account']} {one['region']}" if one["account"] else one["record"]
        of.setdefault(who, []).extend(_rows(one, everything=everything, wide=wide))
    for who, rows in of.items():
        yield ""
        yield f"{who}:"
        yield table(("WHEN (UTC)", "STATE", "WHAT"), rows, folds=("WHAT",))
    if shares:
        yield ""
        yield f"Shares: {len(shares)}, {sum(one['seconds'] is None for one in shares)} open"
        head = ("RESOURCE", "TO", "OPENED (UTC)", "FOR")
        yield table(head, [_share(one, wide=wide) for one in shares], folds=("RESOURCE",))


def show_findings(findings: Sequence[Mapping[str, Any]], *, wide: bool) -> Iterator[RenderableType]:
    """Yield what the access monitor found."""
    if findings:
        yield ""
        yield f"Access monitor: {len(findings)}"
        head = ("WHEN (UTC)", "SEVERITY", "CALL", "ON", "BY", "WHY")
        yield table(head, [_finding(one, wide=wide) for one in findings], folds=("BY", "WHY"))


def _finding(one: Mapping[str, Any], *, wide: bool) -> Sequence[RenderableType]:
    when = one["at"].removesuffix("Z").replace("T", " ")
    about = f" ({', '.join(one['receivers'])})" if one["receivers"] else ""
    resource = ID.sub(lambda found: short(found[0], wide=wide), one["resource"])
    texts = (when, one["severity"], one["call"], resource, one["principal"], one["why"] + about)
    return tuple(cell(text) for text in texts)


def _rows(one: Mapping[str, Any], *, everything: bool, wide: bool) -> Iterator[Sequence[RenderableType]]:
    for what in one["what"] or [""]:
        if not everything and (not what or what.startswith(QUIET) or PENDING.search(what)):
            continue
        when = one["at"].removesuffix("Z").replace("T", " ")
        yield cell(when), state(one["state"]), cell(words(what, wide=wide))


def words(what: str, *, wide: bool = False) -> str:
    """Write an event in plain words: ``CopyStarted {"source": "snap-1"}`` as ``copy started: source snap-1``."""
    name, brace, rest = what.partition(" {")
    if not brace or not re.fullmatch("[A-Z][A-Za-z]+", name):
        return what
    plain = re.sub("(?<=.)([A-Z])", r" \1", name).lower()
    if seen := SEEN.search(what):
        copy, now, progress, message = seen.groups()
        return f"{plain}: {short(copy, wide=wide)} {now} {progress} %{f': {message}' if message else ''}"
    try:
        members = dict(json.loads("{" + rest))
    except (TypeError, ValueError):
        return f"{plain}: {rest.rstrip('}')}"
    reported = [f"{key} {value}" for key, value in members.items() if str(value) not in EMPTY]
    return ID.sub(lambda found: short(found[0], wide=wide), f"{plain}: {', '.join(reported)}" if reported else plain)


def _share(one: Mapping[str, Any], *, wide: bool) -> Sequence[RenderableType]:
    resource = named(one["resource"], wide=wide)
    lasted = "open" if one["seconds"] is None else f"{span(one['seconds'])} ({one['seconds']} s)"
    opened = one["opened_at"].removesuffix("Z").replace("T", " ")
    return (
        cell(resource),
        cell(one["account"]),
        cell(opened),
        cell("was there before" if one["preexisting"] else lasted),
    )
