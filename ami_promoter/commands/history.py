"""The verb ``history``: what happened to an AMI, or to an account, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from ami_promoter.hub.cloudtrail import EventHistory
from ami_promoter.hub.records import History, RecordSeen
from ami_promoter.promotions import tag_authors, timeline_data, timeline_text
from ami_promoter.promotions.choosing import Choice, Chosen, choosing, read
from ami_promoter.promotions.reading import places_of, unknown
from ami_promoter.rights import ASK_CLOUDTRAIL, FIND_DELIVERIES, READ_ALL, READ_FINDINGS
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import groups
from ami_promoter.terminal.report import NotDone, Report, moment
from ami_promoter.verbs import ACCOUNT, AMI, VerbCaller, tag_key_option, verb
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import count
from chalicelib.engine.places import Resource

PRINTS = js.thing(
    tags=js.several("changes of the AMI's tag, oldest first; empty without AMI", tag_authors.TAGGING),
    entries=js.several("steps of the promotion and its deliveries, oldest first", timeline_data.ENTRY),
    shares=js.several("shares, sorted by the time of opening", timeline_data.SHARE),
    findings=js.several(
        "findings of the access monitor about the AMI, its snapshots and its KMS keys", timeline_data.FINDING
    ),
)


@verb("history", needs=READ_ALL | FIND_DELIVERIES | READ_FINDINGS | ASK_CLOUDTRAIL, prints=PRINTS, reads=True)
@click.argument("ami", type=AMI, required=False)
@click.option("--account", type=ACCOUNT, help="Only this account; without AMI: everything done for it.")
@click.option("--all", "everything", is_flag=True, help="Show bookkeeping steps, too.")
@choosing
@tag_key_option
def history(caller: VerbCaller, ami: str | None, account: str | None, *, everything: bool, **given: Any) -> Report:
    """Show what happened to an AMI, or for an account, step by step.

    Shows who wrote the tag, each state with its events, each call that changed AWS with its request id, and how long
    each share was open. The service keeps this for 400 days by default.

    Who wrote the tag comes from CloudTrail, which keeps 90 days and shows a call some minutes later. With the access
    monitor, the command also shows its findings about the AMI, its snapshots and keys.

    Without AMI, --since, --image, --group and --limit choose promotions; --since also leaves out older steps.
    """
    choice = Choice(**given)
    if ami and choice != Choice(choice.since):
        raise click.UsageError("--image, --group and --limit choose AMIs: leave out the AMI.")
    if not ami and not account and choice == Choice():
        raise click.UsageError("Name an AMI, or --account ID; or choose AMIs by --since, --image, --group or --limit.")
    connection = caller.connect()
    reader = History(connection)
    if ami or choice == Choice():
        chosen, tracked = Chosen(), reader.tracked_for(ami, account)
    else:
        chosen = read(connection, Choice.of(caller, given))
        tracked = [one for each in chosen.tracked.values() for one in each if account in (None, one.it.account)]
    if ami and not tracked and reader.promotion(ami) is None:
        raise NotDone(unknown(ami, connection))
    promoted = _of_promotions(reader, [ami] if ami else chosen.tracked)
    steps = [one for each in tracked for one in _of_delivery(reader, each)]
    every = timeline_data.ordered([*([] if account else promoted), *steps])
    since = moment(int(connection.now()) - choice.since) if choice.since else ""
    entries = [one for one in every if one["at"] >= since]
    of_ami = groups(tracked, lambda entry: entry.key.name)
    places = sorted({place for some in of_ami for place in places_of(connection, some)})
    found = [one for items, steps in reader.shares_at(places) for one in timeline_data.shares_of(items, steps)]
    recent = (one for one in found if one["open"] or one["removed_at"] >= since)
    shares = sorted(recent, key=lambda one: (one["opened_at"], one["resource"], one["account"]))
    noticed = reader.findings([ami, *(Resource.parse(resource).name for resource, _ in places)]) if ami else ()
    findings = [one for one in timeline_data.ordered(map(timeline_data.finding, noticed)) if one["at"] >= since]
    tags: list[tag_authors.Tagging] = []
    if ami:
        trail = EventHistory(connection, sleep=caller.clock.sleep)
        tags = tag_authors.attributed(tag_authors.changes(promoted), trail, ami, connection.tag_key, connection.now())
    whose = [ami] if ami else [] if account else [count(len(chosen.listed), "AMI")]
    whose += [f"account {account}"] if account else []
    of = f" {' and '.join(whose)} in {connection.place}{f' since {since}' if since else ''}"
    nothing = f"Nothing {'new ' if since else ''}is known of{of}."
    if not (ami or account or chosen.listed):
        nothing = chosen.none(connection.place)
    head = f"History of{of}:" if entries or shares else nothing
    lines = (
        head,
        *tag_authors.lines(tags, wide=caller.wide),
        *timeline_text.show(entries, shares, ami or "", everything=everything, wide=caller.wide),
        *timeline_text.show_findings(findings, wide=caller.wide),
        *chosen.more,
    )
    return Report(lines, {"tags": tags, "entries": entries, "shares": shares, "findings": findings})


def _of_promotions(reader: History, amis: Iterable[str]) -> list[dict[str, Any]]:
    found = ((ami, reader.of(addresses.promotion(ami))) for ami in amis)
    return [one for ami, steps in found for one in timeline_data.record_entries(steps, "promotion", ami)]


def _of_delivery(reader: History, entry: RecordSeen[TrackedDelivery]) -> list[dict[str, Any]]:
    steps = reader.of(addresses.delivery(entry.it.delivery))
    return timeline_data.record_entries(steps, "delivery", entry.key.name, entry.it.account, entry.it.region)
