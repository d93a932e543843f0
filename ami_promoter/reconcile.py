"""The command ``reconcile``: what there is in AWS against what the records and the ledger say, and putting that right.

Without ``--apply`` nothing is changed but that `act` is asked for a look at each target.

Exit status: 0 if all was looked at and is in order or put right; 4 if something is left, or could not be looked at.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.facts import View
from ami_promoter.findings import Finding, Remove, findings
from ami_promoter.looking import Looking
from ami_promoter.mending import Mender
from ami_promoter.report import Report
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.faults import Fault

WIDTH = 80
"""Columns of what a person reads. A name that is longer, an ARN, keeps its line to itself, to be copied whole."""


def run(call: Call, region: str) -> Report:
    """Look, and put right; may raise Trouble."""
    connection = Connection(region, call.options.get("--table"), call.options.get("--hub-account"))
    if "--unpark" in call.options:
        return _unpark(connection, call.options["--unpark"])
    patience = int(call.options.get("--timeout", "5")) * 60
    name = f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
    looking = Looking(
        connection,
        lambda line: print(line, file=sys.stderr),
        keys=tuple(key for key in call.options.get("--key", "").split(",") if key),
        since=int(call.options.get("--since", "48")) * 3600,
        patience=patience,
    )
    hub_only = "--hub-only" in call.options
    view = looking.look(name, targets=not hub_only)
    found = findings(view)
    outcome: dict[Finding, str] = {}
    woken = 0
    if "--apply" in call.options:
        mender = Mender(connection, name, patience)
        woken = _wake_all(view, mender)
        outcome = {one: mender.mend(one.mend) for one in found if one.mend is not None}
        orders = {one.mend: one for one in found if isinstance(one.mend, Remove)}
        outcome |= {orders[order]: result for order, result in mender.remove(tuple(orders)).items()}
    return _report(connection, view, found, outcome, woken, apply="--apply" in call.options, hub_only=hub_only)


def _wake_all(view: View, mender: Mender) -> int:
    """Let every record look again that has something under way: after a restore each is behind the truth."""
    moving = [
        record["_item"]["pk"]
        for kind in ("promotion", "delivery")
        for record in view.of_kind(kind)
        if record["_item"].get("state") not in (*ENDED, "over") and not record["_item"].get("parked")
    ]
    for pk in moving:
        mender.wake(pk)
    return len(moving)


def _report(
    connection: Connection,
    view: View,
    found: Sequence[Finding],
    outcome: Mapping[Finding, str],
    woken: int,
    *,
    apply: bool,
    hub_only: bool,
) -> Report:
    wrong = [one for one in found if one.wrong]
    left = [one for one in wrong if outcome.get(one) != "done"]
    seen = sum(not target.trouble for target in view.targets.values())
    asked = "the targets were left out (--hub-only)" if hub_only else f"{seen} of {len(view.targets)} targets answered"
    lines = _wrapped(f"Looked at {connection.place}; {asked}.")
    lines += [line for one in found for line in _lines(one, outcome.get(one), apply=apply)]
    if apply:
        lines.append(f"Records under way that look again now: {woken}.")
    lines += _wrapped(_summary(wrong, left, apply=apply, hub_only=hub_only))
    data = {
        "account": connection.account,
        "region": connection.region,
        "table": connection.table,
        "applied": apply,
        "targets": {"seen": seen, "asked": len(view.targets)},
        "hub_only": hub_only,
        "woken": woken,
        "found": [_to_json(one, outcome.get(one)) for one in found],
        "in_order": not left,
    }
    return Report(tuple(lines), data, unfinished=bool(left))


def _summary(wrong: Sequence[Finding], left: Sequence[Finding], *, apply: bool, hub_only: bool) -> str:
    if not wrong:
        return "All is in order in the hub." if hub_only else "All is in order."
    if not left:
        return "All of it is put right, or on its way: the functions do the rest within minutes."
    unseen = sum(one.code == "not-seen" for one in left)
    blind = f" {unseen} of them could not be looked at, so what is there is not known." if unseen else ""
    if apply:
        return f"Left: {len(left)}, for a person or for the next run.{blind}"
    mendable = sum(one.mend is not None for one in wrong)
    return f"Of {len(wrong)}, {mendable} can be put right: run it with --apply.{blind}"


def _lines(one: Finding, result: str | None, *, apply: bool) -> Iterator[str]:
    yield from _wrapped(f"{one.code}: {one.where}", "    ")
    yield from _wrapped(f"    {one.what}", "    ")
    if one.does:
        yield from _wrapped(f"    {'' if apply else '--apply '}{one.does}{f': {result}' if result else ''}", "    ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _to_json(one: Finding, result: str | None) -> dict[str, Any]:
    return {
        "code": one.code,
        "where": one.where,
        "what": one.what,
        "wrong": one.wrong,
        "mend": None if one.mend is None else type(one.mend).__name__,
        "result": result,
    }


def _unpark(connection: Connection, pk: str) -> Report:
    """Let one parked record go on."""
    key = Key(pk)
    with connection.telling("letting the record go on"):
        freed = DynamoRecords(Table(connection.dynamodb, connection.table)).unpark(key, int(time.time()))
    if not freed:
        what = f"no record of that name is parked in {connection.place}."
        cure = "`ami-promoter reconcile` lists those that are."
        return Report(faults=(Fault("not-parked", pk, what, cure),))
    data = json.loads(json.dumps({"unparked": pk}))
    return Report((f"{pk} goes on within a minute.",), data)
