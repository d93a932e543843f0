"""The verb ``history``: what happened to an AMI, or to an account, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import History, Record
from ami_promoter.promotions import timeline
from ami_promoter.promotions.reading import places_of, unknown
from ami_promoter.rights import FIND_DELIVERIES, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import ACCOUNT, AMI, VerbCaller, verb

PRINTS = js.thing(
    entries=js.several("the steps, the oldest first", timeline.ENTRY),
    shares=js.several("shares opened for it, by the time of opening", timeline.SHARE),
)
Entry = Mapping[str, Any]


@verb("history", needs=READ | FIND_DELIVERIES, prints=PRINTS)
@click.argument("ami", type=AMI, required=False)
@click.option("--account", type=ACCOUNT, help="Only this account; without AMI: all that ever was done for it.")
@click.option("--all", "everything", is_flag=True, help="Bookkeeping, too.")
def history(caller: VerbCaller, ami: str | None, account: str | None, *, everything: bool) -> Report:
    """Show what happened to an AMI, or to an account, step by step.

    Each state with its events, and each share opened and closed with its seconds; kept for 400 days. Calls with their
    request ids, and who wrote the tag, are in the functions' logs and in CloudTrail.
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
        places = {place for of, some in _by_ami(children).items() for place in places_of(connection, of, some)}
        held = map(timeline.share, reader.shares_at(sorted(places)))
        shares = sorted(held, key=lambda one: one["opened_at"])
    whose = f" {ami}" if ami else f" account {account}"
    head = f"History of{whose} in {connection.place}:" if entries or shares else _nothing(whose, connection)
    lines = (head, *timeline.show(entries, shares, everything=everything, wide=caller.wide))
    return Report(lines, {"entries": entries, "shares": shares})


def _by_ami(children: Iterable[Record]) -> Mapping[str, list[str]]:
    """Return the ids of deliveries by their source AMI."""
    found: dict[str, list[str]] = {}
    for child in children:
        found.setdefault(str(child["_item"]["pk"]).removeprefix("promotion#"), []).append(str(child["delivery"]))
    return found


def _nothing(whose: str, connection: Connection) -> str:
    return f"Nothing is known of{whose} in {connection.place}."


def _entries(reader: History, ami: str | None, account: str | None, children: list[Record]) -> Iterator[Entry]:
    if ami and not account:
        yield from (timeline.entry(item, "promotion") for item in reader.of(f"promotion#{ami}"))
    for child in children:
        place = str(child.get("account", "")), str(child.get("region", ""))
        for item in reader.of(f"delivery#{child['delivery']}"):
            yield timeline.entry(item, "delivery", *place)
