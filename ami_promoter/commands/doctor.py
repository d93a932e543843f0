"""The verb ``doctor``: the cause and the cure, before anybody misses an AMI."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import health, organization, switch
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.in_force import applied_file
from ami_promoter.hub.receivers import receivers
from ami_promoter.hub.records import Reader
from ami_promoter.reconcile import diagnosis
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.rights import ASK_TARGETS, READ_ALL, SEE_HEALTH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.exits import Exit
from ami_promoter.terminal.output import Folded, cell, tell
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import ACCOUNT, VerbCaller, answers_within_option, hub_only_option, verb
from chalicelib.core.targets.applied_file import AppliedFile

PRINTS = js.thing(
    findings=js.several("what was checked, the hub first", diagnosis.FINDING),
    healthy=js.flag("whether every check passed"),
)
EXITS = {
    Exit.OK: "every check passed",
    Exit.UNFINISHED: "none failed, and some could not be made",
    Exit.FAILED: "a check failed",
}


@verb("doctor", needs=READ_ALL | ASK_TARGETS | SEE_HEALTH, prints=PRINTS, exits=EXITS)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Only this group's targets; may be repeated.")
@click.option("--account", "accounts", type=ACCOUNT, multiple=True, help="Only this account's targets.")
@hub_only_option
@answers_within_option
def doctor(
    caller: VerbCaller, groups: tuple[str, ...], accounts: tuple[str, ...], *, hub_only: bool, timeout: int
) -> Report:
    """Find what blocks promotions, each with its cure.

    In the hub: targets file, pause, organization, parked and overdue records, workers, dead letters, notices. In each
    target of the applied file: whether the service may assume its role there; it is asked, and answers in seconds.
    Keys and quotas of a target are checked when a delivery begins; `key-policy` looks at a key.
    """
    if hub_only and (groups or accounts):
        raise click.UsageError("--hub-only looks at no target: leave --group and --account out.")
    connection = caller.connect()
    file = applied_file(connection)
    wanted: tuple[tuple[str, str], ...] = ()
    if not hub_only and file.fault is None:
        meant = file.resolve(" ".join((*groups, *accounts))) if groups or accounts else None
        if meant is not None and meant.faults:
            return Report(faults=meant.faults)
        wanted = tuple((one.account, one.region) for one in meant.targets) if meant else _all(connection, file)
    found = diagnosis.hub(_facts(connection, file))
    inventories = Inventories(connection, tell, timeout * 60, caller.clock.sleep, caller.clock.now)
    found += diagnosis.targets(inventories.ask(wanted, f"doctor-{uuid.uuid4().hex[:12]}"))
    bad, unseen = diagnosis.of(found, passed=False), diagnosis.of(found, passed=None)
    status = Exit.FAILED if bad else Exit.UNFINISHED if unseen else Exit.OK
    return Report(
        tuple(_lines(found, connection.place)), {"findings": found, "healthy": status is Exit.OK}, exit=status
    )


def _all(connection: Connection, file: AppliedFile) -> tuple[tuple[str, str], ...]:
    return receivers(file.directory).places((connection.account, connection.region))


def _facts(connection: Connection, file: AppliedFile) -> diagnosis.HubFacts:
    reader = Reader(connection)
    with connection.telling("reading the records"):
        parked = reader.parked()
        under_way = reader.under_way()
        troubles = tuple(organization.trouble_lines(connection)) if file.fault is None else ()
    paused = switch.Switch(connection).read()
    due = {
        pk: record["_item"]["due_at"]
        for (pk, sk), record in under_way.items()
        if sk == "record" and isinstance(record["_item"].get("due_at"), int) and pk not in parked
    }
    said = switch.said(paused) if paused else ""
    seen = health.read(connection)
    return diagnosis.HubFacts(connection.region, connection.now(), file.fault, said, troubles, parked, due, seen)


def _lines(found: Sequence[Mapping[str, Any]], place: str) -> Iterator[RenderableType]:
    words = {True: cell("passed", "green"), False: cell("FAILED", "red"), None: cell("not seen", "yellow")}
    yield f"Looked at {place}, and {sum(one['check'] == 'target' for one in found)} targets."
    for one in sorted(found, key=lambda one: one["passed"] is True):
        yield words[one["passed"]] + cell(f"  {one['where'].replace('/', ' ')}: {one['check']}")
        yield Folded(one["what"], 4)
        if one["cure"]:
            yield Folded(one["cure"], 4)
    bad = sum(one["passed"] is not True for one in found)
    yield "All checks passed." if not bad else f"{bad} of {len(found)} checks did not pass."
