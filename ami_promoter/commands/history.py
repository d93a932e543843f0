"""The verb ``history``: what happened to an AMI, or to an account, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import History, Record
from ami_promoter.promotions import timeline
from ami_promoter.promotions.reading import places_of, unknown
from ami_promoter.rights import READ, READ_FINDINGS
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import ACCOUNT, AMI, VerbCaller, verb

PRINTS = js.thing(
    entries=js.several("the steps, the oldest first", timeline.ENTRY),
    shares=js.several("shares opened for it, by the time of opening", timeline.SHARE),
    findings=js.several("what the access monitor found of the AMI, its snapshots and keys", timeline.FINDING),
)
Entry = Mapping[str, Any]


@verb("history", needs=READ | READ_FINDINGS, prints=PRINTS)
@click.argument("ami", type=AMI, required=False)
@click.option("--account", type=ACCOUNT, help="Only this account; without AMI: all that ever was done for it.")
@click.option("--all", "everything", is_flag=True, help="Bookkeeping, too.")
def history(caller: VerbCaller, ami: str | None, account: str | None, *, everything: bool) -> Report:
    """Show what happened to an AMI, or to an account, step by step.

    Each state with its events, and each share opened and closed with its seconds; kept for 400 days. With the access
    monitor, what it found of the AMI, its snapshots and keys, and who wrote the tag. Calls with their request ids are
    in the functions' logs and in CloudTrail.
    """
    if not ami and not account:
        raise click.UsageError("Name an AMI, or --account ID.")
    connection = caller.connect()
    reader = History(connection)
    with connection.telling("reading the history"):
        children = reader.children(ami, account)
        if ami and not children and reader.promotion(ami) is None:
            return Report(faults=(unknown(ami, connection),))
        entries = timeline.ordered(_entries(reader, ami, account, children))
        places = places_of(connection, ami, (child["delivery"] for child in children)) if ami else []
        found = reader.findings([ami, *map(_resource, places)]) if ami else ()
        findings = timeline.ordered(map(timeline.finding, found))
        held = reader.shares_at(places) if ami else reader.shares_to(str(account))
        shares = sorted(map(timeline.share, held), key=lambda one: one["opened_at"])
    whose = f" {ami}" if ami else f" account {account}"
    head = f"History of{whose} in {connection.place}:" if entries or shares else _nothing(whose, connection)
    shown = timeline.show(entries, shares, everything=everything, wide=caller.wide)
    lines = (head, *shown, *timeline.show_findings(findings, wide=caller.wide))
    return Report(lines, {"entries": entries, "shares": shares, "findings": findings})


def _resource(place: tuple[str, str]) -> str:
    """Return what the access monitor calls a share's resource: an id, or a key's ARN."""
    return place[0].split("#")[2].partition("@")[0]


def _nothing(whose: str, connection: Connection) -> str:
    return f"Nothing is known of{whose} in {connection.place}."


def _entries(reader: History, ami: str | None, account: str | None, children: list[Record]) -> Iterator[Entry]:
    if ami and not account:
        yield from (timeline.entry(item, "promotion") for item in reader.of(f"promotion#{ami}"))
    for child in children:
        place = str(child.get("account", "")), str(child.get("region", ""))
        for item in reader.of(f"delivery#{child['delivery']}"):
            yield timeline.entry(item, "delivery", *place)
