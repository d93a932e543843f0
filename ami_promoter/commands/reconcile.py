"""The verb ``reconcile``: compares AWS with the records and the ledger, and repairs differences.

Without ``--apply`` it only asks `worker` to look at each target.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import record_requests
from ami_promoter.hub.aws import Connection
from ami_promoter.promotions.promotion_text import SINGLY
from ami_promoter.reconcile.facts import HubView
from ami_promoter.reconcile.findings import findings
from ami_promoter.reconcile.repair_data import Finding, Remove
from ami_promoter.reconcile.repairs import Repairs
from ami_promoter.reconcile.view_reading import Looking
from ami_promoter.rights import ASK_TARGETS, READ_ALL, REPAIR, SEE_OPEN
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import alike_anywhere, first_of, groups
from ami_promoter.terminal.output import Folded
from ami_promoter.terminal.report import Exit, NotDone, Report
from ami_promoter.verbs import Duration, Matching, VerbCaller, admin, answers_within_option, hub_only_option, verb
from chalicelib.delivery.model import ENDED
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault, count
from chalicelib.promotion.model import PromotionState

PRINTS = js.partly(
    **js.HUB,
    applied=js.flag("whether --apply was given, so that the command repaired what it could"),
    targets=js.thing(
        "number of targets",
        seen=js.number("targets that answered"),
        asked=js.number("targets that the command asked"),
    ),
    hub_only=js.flag("whether --hub-only was given, so that no target was checked"),
    woken=js.number("how many records that have not ended the command woke"),
    found=js.several(
        "differences between the records and AWS",
        js.thing(
            code=js.text("code of the difference, which does not change between versions"),
            where=js.text("the record or resource that differs"),
            what=js.text("what differs, in a sentence"),
            wrong=js.flag("whether it needs a repair; false: information only"),
            repair=js.perhaps(
                js.text("name of the repair that --apply makes; null: an operator must act, or nothing is to be done")
            ),
            result=js.perhaps(js.text("result of the repair; null: none was made")),
        ),
    ),
    in_order=js.flag("whether nothing is left to repair"),
    unparked=js.text("with --unpark: key of the record that continues; no other member is printed then"),
)
KEY = Matching("arn", "arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+", "the ARN of a key")
RECORD = Matching("key", "[a-z]+#.+", "a record's key, like delivery#0123456789abcdef0123")


@verb(
    "reconcile",
    group=admin,
    needs=READ_ALL | SEE_OPEN | ASK_TARGETS | REPAIR,
    prints=PRINTS,
    exits={Exit.UNFINISHED: "a difference is left, or something could not be read"},
)
@click.option("--apply", is_flag=True, help="Repair what can be repaired; otherwise only show it.")
@click.option("--key", "keys", type=KEY, multiple=True, help="Check this key of the hub, too; may be repeated.")
@click.option(
    "--since",
    type=Duration("h", "1h", "400d"),
    default="48h",
    show_default=True,
    help="How far back to read in CloudTrail who shared what.",
)
@hub_only_option
@answers_within_option
@click.option("--unpark", type=RECORD, help="Let one parked record continue, and do nothing else.")
def reconcile(
    caller: VerbCaller,
    *,
    apply: bool,
    keys: tuple[str, ...],
    since: int,
    hub_only: bool,
    timeout: int,
    unpark: str | None,
) -> Report:
    """Compare AWS with the records, and repair what differs."""
    connection = caller.connect()
    if unpark:
        return _unpark(connection, unpark)
    looking = Looking(connection, caller.clock, keys=keys, since=since, patience=timeout)
    view = looking.look(targets=not hub_only)
    found = findings(view)
    outcome: dict[Finding, str] = {}
    woken = 0
    if apply:
        run = f"{int(connection.now())}-{uuid.uuid4().hex[:8]}"
        repairs = Repairs(connection, run, timeout, caller.clock)
        woken = _wake_all(view, repairs)
        outcome = {one: repairs.repair(one.repair) for one in found if one.repair is not None}
        orders = {one.repair: one for one in found if isinstance(one.repair, Remove)}
        outcome |= {orders[order]: result for order, result in repairs.remove(tuple(orders)).items()}
    return _report(connection, view, found, outcome, woken, apply=apply, hub_only=hub_only, wide=caller.wide)


def _wake_all(view: HubView, repairs: Repairs) -> int:
    """Wake every record that has not ended: after a restore each may differ from AWS."""
    moving = [
        record.key.pk
        for kind in ("promotion", "delivery")
        for record in view.of_kind(kind)
        if record.state not in (*ENDED, PromotionState.OVER) and not record.parked
    ]
    for pk in moving:
        repairs.wake(pk)
    return len(moving)


def _report(
    connection: Connection,
    view: HubView,
    found: Sequence[Finding],
    outcome: Mapping[Finding, str],
    woken: int,
    *,
    apply: bool,
    hub_only: bool,
    wide: bool,
) -> Report:
    wrong = [one for one in found if one.wrong]
    left = [one for one in wrong if outcome.get(one) != "done"]
    seen = sum(not target.trouble for target in view.targets.values())
    asked = (
        "no target was checked (--hub-only)" if hub_only else f"{seen} of {count(len(view.targets), 'target')} answered"
    )
    lines: list[RenderableType] = [f"Looked at {connection.place}; {asked}."]
    alike = groups(
        found,
        lambda one: (one.code, one.does, outcome.get(one), *alike_anywhere(one.where, one.what)),
        each=wide or len(found) <= SINGLY,
    )
    lines += [line for same in alike for line in _lines(same, outcome.get(same[0]), apply=apply)]
    if len(alike) < len(found):
        lines.append("With `--wide` each difference is shown by itself.")
    if apply:
        lines.append(f"Running records that look again now: {woken}.")
    lines.append(_summary(wrong, left, apply=apply, hub_only=hub_only))
    data = {
        **connection.named,
        "applied": apply,
        "targets": {"seen": seen, "asked": len(view.targets)},
        "hub_only": hub_only,
        "woken": woken,
        "found": [_to_json(one, outcome.get(one)) for one in found],
        "in_order": not left,
    }
    return Report(tuple(lines), data, exit=Exit.UNFINISHED if left else Exit.OK)


def _summary(wrong: Sequence[Finding], left: Sequence[Finding], *, apply: bool, hub_only: bool) -> str:
    if not wrong:
        return "No difference found in the hub." if hub_only else "No difference found."
    if not left:
        return "All differences are repaired, or will be: the functions finish within minutes."
    unseen = sum(one.code == "not-seen" for one in left)
    blind = f" {unseen} of them could not be read, so their state is not known." if unseen else ""
    if apply:
        return f"Left: {len(left)}; an operator must act, or the next run repairs them.{blind}"
    repairable = sum(one.repair is not None for one in wrong)
    if not repairable:
        return f"Left: {len(left)}; an operator must act.{blind}"
    return f"Of {len(wrong)}, {repairable} can be repaired: run the command with --apply.{blind}"


def _lines(same: Sequence[Finding], result: str | None, *, apply: bool) -> Iterator[RenderableType]:
    one = same[0]
    yield f"{one.code}: {first_of([each.where for each in same])}"
    yield Folded(f"{f'Of {one.where}: ' if len(same) > 1 else ''}{one.what}", 4)
    if one.does:
        done = f": {result}" if result else ""
        yield Folded(f"{'' if apply else '--apply '}{one.does}{done}", 4)


def _to_json(one: Finding, result: str | None) -> dict[str, Any]:
    return {
        "code": one.code,
        "where": one.where,
        "what": one.what,
        "wrong": one.wrong,
        "repair": None if one.repair is None else type(one.repair).__name__,
        "result": result,
    }


def _unpark(connection: Connection, pk: str) -> Report:
    """Let one parked record continue."""
    if not record_requests.unpark(connection, [RecordKey(pk)]):
        what = f"no record of that name is parked in {connection.place}."
        cure = "`ami-promoter status` lists the parked records."
        raise NotDone(Fault("not-parked", pk, what, cure))
    return Report((f"{pk} continues within a minute.",), {"unparked": pk})
