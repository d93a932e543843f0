"""The history of promotions, deliveries and shares as data for people and programs. Pure: from stored history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ami_promoter.hub.records import record_of
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import moment
from chalicelib.engine import calls, codec
from chalicelib.engine.addresses import ARCHIVED
from chalicelib.engine.calls import MadeCall
from chalicelib.engine.stored import fitting
from chalicelib.sharing.share import OPEN_STATES, ShareStep

EVENT = re.compile("([A-Z][A-Za-z]+) ({.*)", re.DOTALL)
MEMBER = re.compile(r'"(\w+)": ("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")')
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
    ami=js.text("id of the source AMI"),
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


def event(line: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name of an event in a history, and its members but those that have their default.

    The service cuts a long line off: then they are the members before that. ("", {}): the line is a sentence.
    """
    found = EVENT.fullmatch(line)
    if found is None:
        return "", {}
    try:
        return found[1], dict(codec.parsed_json(found[2]))
    except ValueError:
        return found[1], {name: codec.parsed_json(text) for name, text in MEMBER.findall(found[2])}


def tag_look(line: str) -> Mapping[str, Any]:
    """Return the members of a look at the tag; {}: the line is another one."""
    name, members = event(line)
    return members if name == "TagSeen" and "value" in members else {}


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
    items: Iterable[Mapping[str, Any]], record: str, ami: str, account: str = "", region: str = ""
) -> list[dict[str, Any]]:
    """Read a record's history; an intent without an answer is shown in its step."""
    of = {"record": record, "ami": ami, "account": account, "region": region}
    shown: list[dict[str, Any]] = []
    waiting: dict[str, dict[str, Any]] = {}
    for item in items:
        what = item.get("what")
        one = {"at": moment(item.get("at")), **of, "state": str(item.get("state", "")), **_read(what)}
        shown.append(one)
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
    name, thing = calls.of_intent(call)
    return made == name and (not thing or f'"{thing}"' in about)


def _unanswered(one: dict[str, Any] | None, call: str) -> None:
    """Add to a step that the call of its intent has no recorded answer."""
    if one is not None:
        one["calls"].append(_call(len(one["what"]) + 1, MadeCall(calls.of_intent(call)[0])))
        one["what"].append(f"{call} was intended, and no answer is recorded: it is not known whether the call was made")


def _share(item: Mapping[str, Any], steps: Iterable[ShareStep]) -> dict[str, Any]:
    """Read a share, live or archived. ``steps``: those of its history."""
    one = record_of(item).it
    removed = one.removed_at or one.closed_at
    read = [{"at": moment(each.at), "state": each.state, **_read(list(each.what))} for each in steps]
    return {
        "resource": one.resource.removeprefix("resource#"),
        "account": one.account,
        "grantee": one.grantee,
        "opened_at": moment(one.opened_at),
        "removed_at": moment(removed),
        "closed_at": moment(one.closed_at),
        "seconds": None if one.opened_at is None or removed is None else removed - one.opened_at,
        "open": item.get("state") in OPEN_STATES,
        "preexisting": one.preexisting,
        "steps": [each for each in read if each["calls"]],
    }


def shares_of(items: Iterable[Mapping[str, Any]], steps: Iterable[ShareStep]) -> Iterator[dict[str, Any]]:
    """Read the shares that have had one name, in turn, each with its own steps.

    Steps after the archiving of a share belong to the next one. A share that is neither archived nor open is shown if
    any call was made for it.
    """
    left = sorted(steps, key=lambda one: one.at)
    for item in sorted(items, key=_put_away):
        own = [one for one in left if one.at <= _put_away(item)]
        left = left[len(own) :]
        read = _share(item, own)
        if _put_away(item) != STILL_THERE or read["open"] or read["steps"]:
            yield read


def _put_away(item: Mapping[str, Any]) -> int:
    return fitting(item, "at", 0) if str(item.get("sk", "")).startswith(ARCHIVED) else STILL_THERE


def ordered(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort by time; unknown times come first. Entries of the same second keep their order."""
    return sorted(entries, key=lambda one: "" if one["at"] == "-" else str(one["at"]))
