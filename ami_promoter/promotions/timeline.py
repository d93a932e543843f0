"""The history of promotions, deliveries and shares, for a person. Pure.

The service writes an entry as ``Event {"member": "value"}``, or in words; it is shown in plain words, also if another
version wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub.records import OPEN_STATES
from ami_promoter.promotions.shares import named
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import cell, short, state, table
from ami_promoter.terminal.report import moment, span
from chalicelib.core.records import calls
from chalicelib.core.records.calls import MadeCall

EMPTY = ("None", "()", "{}", "", "False", "0")
SEEN = re.compile(r"SeenCopy\(copy='([^']*)'.*?state='(\w+)', progress=(\d+), message='([^']*)'")
PENDING = re.compile(r"^CopiesSeen .*?state='pending'")
"""A look that showed nothing new."""
ID = re.compile("snap-[0-9a-f]{17}|arn:[a-z0-9:/-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,64}")
CODE = re.compile(r"Fault\(code='([^']*)'")
QUOTE = "'"
HIDDEN = ("changed_at",)
"""Members that a person reads elsewhere."""
NAMES = {"key_arn": "key", "image_name": "name", "image_state": "AMI"}
"""Members that only programs need."""
INTERNAL = ("additions", "count", "digest", "AMI available", "places", "plan", "planned")
"""Internal members of the service; shown only with --wide."""
PLAIN = {
    "Resolved": "value understood",
    "Expanded": "deliveries begun",
    "SummaryNotified": "notice sent to all",
    "OutcomeNotified": "notice sent",
}
"""Events whose names say little to a person."""
QUIET = ("Counted", "SlotsAsked", "SlotsSeen", "OthersWait", "SharesHeld", "CopiesFound", "Examined")
"""Bookkeeping between workers; left out without --all."""
TAG = re.compile(r'^TagSeen \{"value": ("(?:[^"\\]|\\.)*").*"event": "(\w?).*"changed_at": "(\d+)"')
"""A look at the tag: the value, whether a tag event caused it, and when the tag was written."""
REPEATED = ("SharesSeen",)
"""Left out, too, if the state stays the same."""

REQUEST = 8
"""Shown characters of a request's id."""
NOT_KNOWN = "not known"
OPENED, CLOSED = "opened", "closed"
HOUR = 3600
STILL_THERE = 10**12
"""Stands for the time of archiving of a share that is not archived."""

CALL = js.thing(
    "one request that changes something in AWS",
    of=js.number("index in `what`, from 0, of the event that the request belongs to"),
    call=js.text("name of the API call; empty: an earlier invocation may have made one"),
    request_id=js.perhaps(js.text("AWS's request id; null: no answer is recorded")),
    error=js.text("AWS's error code if it refused the call, `NoAnswer` if no answer came; empty: the call succeeded"),
)
ENTRY = js.thing(
    "one step of a record",
    at=js.time("when the service recorded the step"),
    record=js.text("kind of the record: `promotion` or `delivery`"),
    account=js.text("account id of the delivery's target; empty for a promotion"),
    region=js.text("Region of the delivery's target; empty for a promotion"),
    state=js.text("state of the record after the step"),
    what=js.several("events and results of the step", js.text("an event with its members, or a sentence")),
    calls=js.several("requests to AWS that the step made", CALL),
)
STEP = js.thing(
    "one step of a record",
    at=js.time("when the service recorded the step"),
    state=js.text("state of the share after the step"),
    what=js.several("what happened", js.text("a sentence")),
    calls=js.several("requests to AWS that the step made; one request for many accounts has one id", CALL),
)
SHARE = js.thing(
    "one share, open or closed",
    resource=js.text("kind and name of the resource"),
    account=js.text("account that the share lets use the resource"),
    grantee=js.text("for a KMS key, ARN of the principal that the grant names; empty: not a key, or not recorded"),
    opened_at=js.time("when the service opened it"),
    removed_at=js.time("when the service revoked it"),
    closed_at=js.time("when the service confirmed that it is gone"),
    seconds=js.perhaps(
        js.number("seconds from `opened_at` to `removed_at`; null: it is still open, or was never opened")
    ),
    open=js.flag("whether the share is open, or may be"),
    preexisting=js.flag("whether the permission existed before the service needed it"),
    steps=js.several("steps that made requests to AWS, oldest first", STEP),
)

FINDING = js.thing(
    "one finding of the access monitor or the drift audit",
    at=js.time("when it happened; for the drift audit, when it was found"),
    resource=js.text("id of the snapshot or AMI, or ARN of the KMS key"),
    call=js.text("name of the API call or of AWS's event; `drift audit`: the audit found the state"),
    region=js.text("Region of the resource"),
    principal=js.text("ARN of the caller, or its account and principal id; empty for the drift audit"),
    severity=js.text("`page`, `warning` or `notice`; `none`: a record of who wrote the trigger tag"),
    verdict=js.text("verdict of the access monitor"),
    why=js.text("the reason for the verdict, in a sentence"),
    receivers=js.several("principals that gained or lost access", js.text("an account id, an ARN, or `all`")),
    request_id=js.text("AWS's request id; empty: none"),
)


def finding(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read what the access monitor keeps of one action, or the drift audit of one state."""
    receivers = item.get("receivers")
    texts = ("resource", "call", "region", "principal", "severity", "verdict", "why", "request_id")
    return {
        "at": moment(item.get("at")),
        **{name: str(item.get(name, "")) for name in texts},
        "receivers": [str(one) for one in receivers] if isinstance(receivers, list) else [],
    }


def entry(item: Mapping[str, Any], record: str, account: str = "", region: str = "") -> dict[str, Any]:
    """Read an item of a history."""
    return {
        "at": moment(item.get("at")),
        "record": record,
        "account": account,
        "region": region,
        "state": str(item.get("state", "")),
        **_read(item.get("what")),
    }


def _read(lines: Any) -> dict[str, Any]:
    """Return what happened, and the calls, each with the index of what it belongs to."""
    what: list[str] = []
    made: list[dict[str, Any]] = []
    for line in map(str, lines if isinstance(lines, list) else ()):
        call = MadeCall.read(line)
        if call is not None:
            made.append(_call(len(what), call))
        elif line == calls.LEFT:
            made.append(_call(len(what) + 1, MadeCall("")))
            what.append(line)
        elif not (calls.intended(line) or calls.left_out(line)):
            what.append(line)
    return {"what": what, "calls": made}


def _call(after: int, call: MadeCall) -> dict[str, Any]:
    ident = call.request_id or None
    return {"of": max(after - 1, 0), "call": call.operation, "request_id": ident, "error": call.error}


def record_entries(
    items: Iterable[Mapping[str, Any]], record: str, account: str = "", region: str = ""
) -> list[dict[str, Any]]:
    """Read a record's history; an intent without an answer is shown in its step."""
    shown: list[dict[str, Any]] = []
    waiting: dict[str, dict[str, Any]] = {}
    for item in items:
        one = entry(item, record, account, region)
        shown.append(one)
        what = item.get("what")
        for line in map(str, what if isinstance(what, list) else ()):
            if call := calls.intended(line):
                _unanswered(waiting.pop(call, None), call)
                waiting[call] = one
            elif call := calls.left_out(line):
                waiting.pop(call, None)
        for made in one["calls"]:
            about = one["what"][made["of"]] if one["what"] else ""
            for call in [call for call in waiting if _answers(made["call"], about, call)][:1]:
                waiting.pop(call)
    for call, one in waiting.items():
        _unanswered(one, call)
    return shown


def _answers(made: str, about: str, call: str) -> bool:
    """Whether a call, with its result, belongs to an intent."""
    name, _, thing = call.partition(" ")
    return made == name and (not thing or f'"{thing}"' in about)


def _unanswered(one: dict[str, Any] | None, call: str) -> None:
    """Add to a step that the call of its intent has no recorded answer."""
    if one is not None:
        one["calls"].append(_call(len(one["what"]) + 1, MadeCall(call.partition(" ")[0])))
        one["what"].append(f"{call} was intended, and no answer is recorded: it is not known whether the call was made")


def share(item: Mapping[str, Any], steps: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Read a share, live or archived. ``steps``: its own items of history."""
    try:
        body = dict(json.loads(item.get("body", "{}")))
    except (TypeError, ValueError):
        body = {}
    opened, removed = body.get("opened_at"), body.get("removed_at") or body.get("closed_at")
    seconds = removed - opened if isinstance(opened, int) and isinstance(removed, int) else None
    read = [
        {"at": moment(one.get("at")), "state": str(one.get("state", "")), **_read(one.get("what"))} for one in steps
    ]
    return {
        "resource": str(item.get("pk", "")).removeprefix("resource#"),
        "account": str(item.get("account", body.get("account", ""))),
        "grantee": str(item.get("grantee", "")),
        "opened_at": moment(opened),
        "removed_at": moment(removed),
        "closed_at": moment(body.get("closed_at")),
        "seconds": seconds,
        "open": item.get("state") in OPEN_STATES,
        "preexisting": bool(item.get("preexisting", False)),
        "steps": [one for one in read if one["calls"]],
    }


def shares_of(items: Iterable[Mapping[str, Any]], steps: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Read the shares that have had one name, in turn, each with its own steps.

    Steps after the archiving of a share belong to the next one. A share that is neither archived nor open is shown if
    any call was made for it.
    """
    left = sorted(steps, key=lambda one: (_whole(one.get("at")), str(one.get("sk"))))
    for item in sorted(items, key=_put_away):
        own = [one for one in left if _whole(one.get("at")) <= _put_away(item)]
        left = left[len(own) :]
        read = share(item, own)
        if _put_away(item) != STILL_THERE or read["open"] or read["steps"]:
            yield read


def _put_away(item: Mapping[str, Any]) -> int:
    return _whole(item.get("at")) if str(item.get("sk", "")).startswith("closed#") else STILL_THERE


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def ordered(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort by time; unknown times come first. Entries of the same second keep their order."""
    return sorted(entries, key=lambda one: "" if one["at"] == "-" else str(one["at"]))


def show(
    entries: Sequence[Mapping[str, Any]], shares: Sequence[Mapping[str, Any]], *, everything: bool, wide: bool
) -> Iterator[RenderableType]:
    """Yield a history's lines: a table for each record, and one for the shares."""
    of: dict[str, list[Sequence[RenderableType]]] = {}
    last: dict[str, str] = {}
    tag = ("", 0)
    for one in entries:
        who = f"{one['account']} {one['region']}" if one["account"] else one["record"]
        stays = last.get(who) == one["state"]
        quiet = (*QUIET, *REPEATED) if stays else QUIET
        if stays:
            quiet = (*quiet, *(what for what in one["what"] if _says_nothing(what, tag)))
        tag = _looked(one) or tag
        of.setdefault(who, []).extend(_rows(one, () if everything else quiet, wide=wide))
        last[who] = one["state"]
    for who, rows in of.items():
        yield ""
        yield f"{who}:"
        yield table(
            ("WHEN (UTC)", "STATE", "WHAT (CALL AND ITS REQUEST)"), rows, folds=("WHAT (CALL AND ITS REQUEST)",)
        )
    if shares:
        yield ""
        yield f"Shares: {len(shares)}, {sum(one['open'] for one in shares)} open"
        head = ("WHEN (UTC)", "SHARE", "TO", "WHAT", "REQUEST")
        rows = [row for one in shares for row in _share_rows(one, wide=wide)]
        yield table(head, rows, folds=("SHARE", "WHAT"))


def show_findings(findings: Sequence[Mapping[str, Any]], *, wide: bool) -> Iterator[RenderableType]:
    """Yield the findings of the access monitor and the drift audit."""
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


def _looked(one: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the value of the tag that a step saw, and when; None: it did not look at the tag."""
    seen = [found[1] for what in one["what"] if (found := TAG.search(what))]
    return (seen[-1], int(datetime.fromisoformat(one["at"]).timestamp())) if seen and one["at"] != "-" else None


def _says_nothing(what: str, before: tuple[str, int]) -> bool:
    """Whether a look at the tag shows nothing new: no tag event caused it, or an earlier look has shown that value."""
    found = TAG.search(what)
    return found is not None and (not found[2] or (found[1] == before[0] and int(found[3]) <= before[1]))


def _rows(one: Mapping[str, Any], quiet: tuple[str, ...], *, wide: bool) -> Iterator[Sequence[RenderableType]]:
    """Yield an entry's lines, without ``quiet`` events that made no call; all if ``quiet`` is empty."""
    when = _when(one["at"])
    for number, what in enumerate(one["what"] or [""]):
        made = [call for call in one["calls"] if call["of"] == number]
        silent = not what or what.startswith(quiet) or PENDING.search(what)
        if quiet and not made and silent:
            continue
        calls_made = ", ".join(f"{_called(call)} {_request(call, wide=wide)}" for call in made if call["call"])
        said = f"{words(what, wide=wide)} ({calls_made})" if calls_made else words(what, wide=wide)
        yield cell(when), state(one["state"]), cell(said)


def _called(call: Mapping[str, Any]) -> str:
    return f"{call['call']}: {call['error']}" if call["error"] else str(call["call"])


def _request(call: Mapping[str, Any], *, wide: bool) -> str:
    ident = call["request_id"] or ""
    return (ident if wide else ident[:REQUEST]) or NOT_KNOWN


def _when(at: str) -> str:
    return at.removesuffix("Z").replace("T", " ")


def words(what: str, *, wide: bool = False) -> str:
    """Write an event in plain words: ``CopyStarted {"source": "snap-1"}`` as ``copy started: source snap-1``."""
    name, brace, rest = what.partition(" {")
    if not brace or not re.fullmatch("[A-Z][A-Za-z]+", name):
        return what
    plain = PLAIN.get(name) or re.sub("(?<=.)([A-Z])", r" \1", name).lower()
    if seen := SEEN.search(what):
        copy, now, progress, message = seen.groups()
        return f"{plain}: {short(copy, wide=wide)} {now} {progress} %{f': {message}' if message else ''}"
    try:
        members = dict(json.loads("{" + rest))
    except (TypeError, ValueError):
        return f"{plain}: {rest.rstrip('}')}"
    reported = [_member(key, str(value)) for key, value in members.items() if str(value) not in EMPTY]
    reported = [one for one in reported if one and (wide or not _internal(one))]
    return ID.sub(lambda found: short(found[0], wide=wide), f"{plain}: {', '.join(reported)}" if reported else plain)


def _internal(member: str) -> bool:
    return member in INTERNAL or member.partition(" ")[0] in INTERNAL


def _member(key: str, value: str) -> str:
    """Write a member of an event; the values are as Python writes them."""
    if key in HIDDEN:
        return ""
    key = NAMES.get(key, key)
    if codes := CODE.findall(value):
        return f"{key} {', '.join(codes)}"
    if value == "True":
        return key
    return f"{key} {value[1:-1].rstrip(',').replace(QUOTE, '')}" if value.startswith("(") else f"{key} {value}"


def _share_rows(one: Mapping[str, Any], *, wide: bool) -> Iterator[Sequence[RenderableType]]:
    """Yield a share's lines: its opening, its closing, and what was refused in between, each with its request."""
    where = cell(_named(one["resource"], wide=wide)), cell(one["account"])
    still = f"{OPENED}, still open" if one["open"] else OPENED
    opened = closed = False
    for step in one["steps"]:
        for call in step["calls"]:
            what = _happened(one, step, call)
            opened, closed = opened or what == OPENED, closed or what.startswith(CLOSED)
            what = still if what == OPENED else what
            named = f"{what}: {call['call']}" if wide and call["call"] and not call["error"] else what
            yield cell(_when(step["at"])), *where, cell(named), cell(_request(call, wide=wide))
    if one["preexisting"]:
        yield cell(_when(one["opened_at"])), *where, cell("existed before"), cell("")
        return
    if not opened and one["opened_at"] != "-":
        yield cell(_when(one["opened_at"])), *where, cell(still), cell(NOT_KNOWN)
    if not closed and one["seconds"] is not None:
        yield cell(_when(one["removed_at"])), *where, cell(_closed(one)), cell(NOT_KNOWN)
    if one["open"] and not opened and one["opened_at"] == "-":
        yield cell(""), *where, cell("open"), cell("")


def _happened(one: Mapping[str, Any], step: Mapping[str, Any], call: Mapping[str, Any]) -> str:
    """Say what a call for a share did."""
    if not call["call"]:
        return "begun earlier"
    if call["error"]:
        return f"{call['call']}: {call['error']}"
    if step["state"] == "open":
        return OPENED
    return _closed(one) if step["state"] in ("closing", "closed") else str(call["call"])


def _closed(one: Mapping[str, Any]) -> str:
    seconds = one["seconds"]
    if seconds is None:
        return CLOSED
    return f"{CLOSED} after {seconds} s" if seconds < HOUR else f"{CLOSED} after {span(seconds)} ({seconds} s)"


def _named(resource: str, *, wide: bool) -> str:
    """Write a resource's name; an id that begins with its kind needs no kind before it."""
    name = named(resource, wide=wide)
    return name.partition(" ")[2] if name.startswith(("snapshot snap-", "image ami-")) else name
