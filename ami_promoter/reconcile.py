"""The command ``reconcile``: what there is in AWS against what the records and the ledger say, and putting that right.

Without ``--apply`` nothing is changed but that `act` is asked for a look at each target.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.findings import Finding, Remove, findings
from ami_promoter.looking import Looking, View
from ami_promoter.mending import Mender
from ami_promoter.report import Report
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.addresses import Key
from chalicelib.core.delivery.model import ENDED
from chalicelib.core.faults import Fault


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
    view = looking.look(name, targets="--hub-only" not in call.options)
    found = findings(view)
    outcome: dict[Finding, str] = {}
    woken = 0
    if "--apply" in call.options:
        mender = Mender(connection, name, patience)
        woken = _wake_all(view, mender)
        outcome = {one: mender.mend(one.mend) for one in found if one.mend is not None}
        orders = {one.mend: one for one in found if isinstance(one.mend, Remove)}
        outcome |= {orders[order]: result for order, result in mender.remove(tuple(orders)).items()}
    return _report(connection, view, found, outcome, woken, apply="--apply" in call.options)


def _wake_all(view: View, mender: Mender) -> int:
    """Let every lane look that has something under way: after a restore each record is behind the truth."""
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
) -> Report:
    wrong = [one for one in found if one.wrong]
    left = [one for one in wrong if outcome.get(one) != "done"]
    seen = sum(not target.trouble for target in view.targets.values())
    lines = [f"Looked at {connection.place}, and at {seen} of {len(view.targets)} targets."]
    lines += [line for one in found for line in _lines(one, outcome.get(one), apply=apply)]
    if apply:
        lines.append(f"Records under way that look again now: {woken}.")
    if not wrong:
        lines.append("All is in order.")
    elif not left:
        lines.append("All of it is put right, or on its way: the functions do the rest within minutes.")
    elif apply:
        lines.append(f"Left: {len(left)}, for a person or for the next run.")
    else:
        mendable = sum(one.mend is not None for one in wrong)
        lines.append(f"Of {len(wrong)}, {mendable} can be put right: run it with --apply.")
    data = {
        "account": connection.account,
        "region": connection.region,
        "table": connection.table,
        "applied": apply,
        "targets": {"seen": seen, "asked": len(view.targets)},
        "woken": woken,
        "found": [_to_json(one, outcome.get(one)) for one in found],
        "in_order": not left,
    }
    return Report(tuple(lines), data, unfinished=bool(left))


def _lines(one: Finding, result: str | None, *, apply: bool) -> Iterator[str]:
    yield f"{one.code}: {one.where}"
    yield f"    {one.what}"
    if one.does:
        yield f"    {'--apply ' if not apply else ''}{one.does}{f': {result}' if result else ''}"


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
