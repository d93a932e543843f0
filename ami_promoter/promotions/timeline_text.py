"""The history of promotions, deliveries and shares on a terminal. Pure: from ``timeline_data`` to what rich prints.

The service writes an entry as ``Event {"member": "value"}``, or in words; it is shown in plain words, also if another
version wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from ami_promoter.hub.records import target_of
from ami_promoter.hub.shares import named
from ami_promoter.promotions.timeline_data import event
from ami_promoter.terminal.output import short, state, table
from ami_promoter.terminal.report import plainly, span
from chalicelib.engine.schedule import HOUR

EMPTY = ("None", "()", "{}", "", "False", "0")
PRINCIPAL = re.compile("arn:[a-z-]+:(?:iam|sts):")
ID = re.compile(r"snap-[0-9a-f]{17}|arn:[\w:/+=,@-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,64}")
CODE = re.compile(r"Fault\(code='([^']*)'")
QUOTE = "'"
HIDDEN = ("changed_at", "answers", "starting_point", "faulty", "inputs", "learnt", "turn", "waves")
"""Members that a person reads elsewhere, or that say nothing to one."""
NAMES = {
    "key_arn": "key",
    "image_name": "name",
    "image_state": "AMI",
    "own": "made by this service",
    "surplus": "some must end",
    "missing": "some must begin",
    "running": "some have not ended",
    "standing": "some are shared",
    "summarised": "nothing is left",
    "unfit": "it cannot be promoted",
    "partial": "EC2 may not have shown all of it",
    "there": "EC2 shows it",
    "deprecated_at": "its deprecation date",
    "left": "still there",
    "unfinished": "still copying",
    "unproven": "without proof",
    "refusal": "a removal was refused,",
    "may_disable": "the account allows disabling it",
    "by_ids": "by their ids",
    "waits_for": "waits for",
    "without_roles": "no grant for a service-linked role",
    "ssm_parameter": "parameter",
    "family_tag": "tag of the family",
    "unbelieved": "a second look must agree",
    "awaited": "a wave waits for some",
}
"""Members in plain words."""
AGAIN = re.compile("^Reopened by episode")
INTERNAL = (
    *("count", "digest", "AMI available", "places", "file", "newest", "removals", "after", "cursor"),
    *("generation", "look", "later", "asked", "left_out", "pass_reached"),
    *("opens_at", "again_at", "limited_at", "launched_at"),
)
"""Internal members of the service; shown only with --wide."""
SLICED = {
    "end": "deliveries asked to end",
    "end-again": "deliveries asked to end again",
    "begin": "deliveries begun",
    "wake": "deliveries woken whose wave opens",
}
"""What was done, by the part of the pass."""
PLAIN = {
    "Compared": "compared with its deliveries",
    "Examined": "source examined",
    "RefusedNotified": "notice of the faults sent",
    "NotExecuted": "tried in vain",
    "Paused": "waits for the end of the pause",
    "OutcomeNotified": "notice sent",
    "CopySeen": "AMI read before the recall",
    "CopyRecalled": "AMI deprecated",
    "CopyRestored": "AMI as before the recall",
    "CopiesFound": "looked in the target",
    "CancelAsked": "asked to end",
    "LeftoversSeen": "looked for what it had made there",
}
"""Events whose names say little to a person."""
QUIET = ("SlotsAsked", "SlotsSeen", "NobodyWaits", "SharesHeld", "Examined")
"""Bookkeeping between workers; left out without --all."""
FAULTY = 'Examined {"faults"'
"""Shown all the same: it says why a source or an account is refused."""
REPEATED = ("SharesSeen", "Sliced", "TagSeen")
"""Left out, too, if the state stays the same; the changes of an AMI's tag are listed before."""

REQUEST = 8
"""Shown characters of a request's id."""
NOT_KNOWN = "not known"
OPENED, CLOSED = "opened", "closed"


def show(
    entries: Sequence[Mapping[str, Any]],
    shares: Sequence[Mapping[str, Any]],
    asked: str,
    *,
    everything: bool,
    wide: bool,
) -> Iterator[RenderableType]:
    """Yield a history's lines: a table for each record, and one for the shares. ``asked``: the only AMI; "": all."""
    of: dict[str, list[Sequence[RenderableType]]] = {}
    last: dict[str, str] = {}
    several = any(one["ami"] != asked for one in entries)
    for one in entries:
        target = target_of(one) if one["account"] else one["record"]
        who = f"{target}, {one['ami']}" if several else target
        repeated = REPEATED if asked else REPEATED[:-1]  # only for one AMI the changes of its tag are listed
        quiet = (*QUIET, *repeated) if last.get(who) == one["state"] else QUIET
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


def _finding(one: Mapping[str, Any], *, wide: bool) -> Sequence[str]:
    about = f" ({', '.join(one['receivers'])})" if one["receivers"] else ""
    resource = ID.sub(lambda found: short(found[0], wide=wide), one["resource"])
    return plainly(one["at"]), one["severity"], one["call"], resource, one["principal"], one["why"] + about


def _rows(one: Mapping[str, Any], quiet: tuple[str, ...], *, wide: bool) -> Iterator[Sequence[RenderableType]]:
    """Yield an entry's lines, without ``quiet`` events that made no call; all if ``quiet`` is empty."""
    when = plainly(one["at"])
    for number, what in enumerate(one["what"] or [""]):
        made = [call for call in one["calls"] if call["of"] == number]
        if quiet and not made and (not what or what.startswith(quiet)) and not what.startswith(FAULTY):
            continue
        calls_made = ", ".join(f"{_called(call)} {_request(call, wide=wide)}" for call in made if call["call"])
        said = f"{words(what, wide=wide)} ({calls_made})" if calls_made else words(what, wide=wide)
        yield when, state(one["state"]), said


def _called(call: Mapping[str, Any]) -> str:
    return f"{call['call']} was refused: {call['error']}" if call["error"] else str(call["call"])


def _request(call: Mapping[str, Any], *, wide: bool) -> str:
    ident = call["request_id"] or ""
    return (ident if wide else ident[:REQUEST]) or NOT_KNOWN


def words(what: str, *, wide: bool = False) -> str:
    """Write an event in plain words: ``CopyStarted {"source": "snap-1"}`` as ``copy started: source snap-1``."""
    name, members = event(what)
    if not name:
        return AGAIN.sub("begun again by the promotion's episode", what)
    plain = PLAIN.get(name) or re.sub("(?<=.)([A-Z])", r" \1", name).lower()
    if name == "Sliced":
        after = str(members.get("after"))
        plain = next((text for part, text in SLICED.items() if after.startswith(f"{part}:")), plain)
    if name == "TagSeen" and members.get("value") == "None":
        plain = "no tag seen"
    rest = what.removeprefix(f"{name} {{").rstrip("}")
    if rest and not members:
        return f"{plain}: {rest}"
    reported = [_member(key, str(value)) for key, value in members.items() if str(value) not in EMPTY]
    reported = [one for one in reported if one and (wide or not _internal(one))]
    return ID.sub(lambda found: _short(found[0], wide=wide), f"{plain}: {', '.join(reported)}" if reported else plain)


def _short(ident: str, *, wide: bool) -> str:
    """Shorten an id; a principal's ARN says who it was, so it stays whole."""
    return ident if PRINCIPAL.match(ident) else short(ident, wide=wide)


def _internal(member: str) -> bool:
    return member in INTERNAL or member.startswith(tuple(f"{name} " for name in INTERNAL))


def _member(key: str, value: str) -> str:
    """Write a member of an event; the values are as Python writes them."""
    if key in HIDDEN:
        return ""
    if key == "why":
        return value
    key = NAMES.get(key, key)
    if codes := CODE.findall(value):
        return f"{key} {', '.join(codes)}"
    if value == "True":
        return key
    if value.startswith("{"):
        return f"{key} {value.strip('{}').replace(QUOTE, '')}"
    return f"{key} {value[1:-1].rstrip(',').replace(QUOTE, '')}" if value.startswith("(") else f"{key} {value}"


def _share_rows(one: Mapping[str, Any], *, wide: bool) -> Iterator[Sequence[str]]:
    """Yield a share's lines: its opening, its closing, and what was refused in between, each with its request."""
    where = named(one["resource"], wide=wide), str(one["account"])
    still = f"{OPENED}, still open" if one["open"] else OPENED
    opened = closed = False
    for step in one["steps"]:
        for call in step["calls"]:
            what = _happened(one, step, call)
            opened, closed = opened or what == OPENED, closed or what.startswith(CLOSED)
            what = still if what == OPENED else what
            said = f"{what}: {call['call']}" if wide and call["call"] and not call["error"] else what
            yield plainly(step["at"]), *where, said, _request(call, wide=wide)
    if one["preexisting"]:
        yield plainly(one["opened_at"]), *where, "existed before", ""
        return
    if not opened and one["opened_at"] != "-":
        yield plainly(one["opened_at"]), *where, still, NOT_KNOWN
    if not closed and one["seconds"] is not None:
        yield plainly(one["removed_at"]), *where, _closed(one), NOT_KNOWN
    if one["open"] and not opened and one["opened_at"] == "-":
        yield "", *where, "open", ""


def _happened(one: Mapping[str, Any], step: Mapping[str, Any], call: Mapping[str, Any]) -> str:
    """Say what a call for a share did."""
    if not call["call"]:
        return "begun earlier"
    if call["error"]:
        return f"{call['call']} was refused: {call['error']}"
    if step["state"] == "open":
        return OPENED
    return _closed(one) if step["state"] in ("closing", "closed") else str(call["call"])


def _closed(one: Mapping[str, Any]) -> str:
    seconds = one["seconds"]
    if seconds is None:
        return CLOSED
    return f"{CLOSED} after {seconds} s" if seconds < HOUR else f"{CLOSED} after {span(seconds)} ({seconds} s)"
