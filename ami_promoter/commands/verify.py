"""The verb ``verify``: what a careful person checks by hand after a promotion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import shares
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, not_there, place_of
from ami_promoter.promotions.outcome import deliveries
from ami_promoter.promotions.reading import no_delivery, read_page, unknown
from ami_promoter.reconcile import grouped_checks, verify_checks
from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.hub_reading import Candidates, HubReading
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.rights import ASK_TARGETS, FIND_DELIVERIES, READ_ALL, SEE_OPEN
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Exit, NotDone, Report
from ami_promoter.verbs import PLACE, VerbCaller, ami_argument, answers_within_option, verb
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine.faults import count
from chalicelib.engine.places import Place

PRINTS = js.thing(
    ami=js.text("id of the source AMI"),
    checks=js.several("results of the checks, sorted by account and Region", verify_checks.CHECK),
    skipped=js.counts(
        "number of deliveries that were not checked because they are neither delivered nor shared, by state"
    ),
    passed=js.flag("whether every check passed"),
)


@verb(
    "verify",
    needs=READ_ALL | FIND_DELIVERIES | SEE_OPEN | ASK_TARGETS,
    prints=PRINTS,
    exits=grouped_checks.EXITS,
    reads=True,
)
@ami_argument
@click.option(
    "--account", "targets", type=PLACE, multiple=True, help="Only this account, or ACCOUNT/REGION; may be repeated."
)
@answers_within_option
def verify(caller: VerbCaller, ami: str, targets: tuple[str, ...], timeout: int) -> Report:
    """Check delivered AMIs, and that nothing is still shared.

    In each target the service checks that the AMI is available, protected and still equal to its source, and its
    snapshots completed and encrypted under the target's key. In the hub it checks that no unneeded share of the source
    is open.
    """
    connection = caller.connect()
    page = read_page(connection, ami)
    if page is None:
        raise NotDone(unknown(ami, connection))
    named = deliveries(page, targets)
    missing = not_there(targets, [place_of(one) for one in named])
    if missing or not named:
        raise no_delivery(ami, missing)
    good = [one for one in named if one["state"] in GOOD]
    inventories = Inventories(connection, timeout, caller.clock)
    asked = [Place(one["account"], one["region"]) for one in good if one["state"] == "delivered"]
    seen = _seen(connection, ami, inventories.ask(asked, "verify"))
    checks = [check for one in good for check in verify_checks.checks(one, seen)]
    status = grouped_checks.status(checks)
    skipped = dict(Counter(str(one["state"]) for one in named if one["state"] not in GOOD))
    data = {"ami": ami, "checks": checks, "skipped": skipped, "passed": status is Exit.OK}
    return Report(tuple(_lines(checks, skipped, wide=caller.wide)), data, exit=status)


def _seen(connection: Connection, ami: str, targets: Mapping[Place, TargetFacts]) -> verify_checks.SeenInTarget:
    """Read what is open in the hub, and what of that is held."""
    reading = HubReading(connection)
    sources, keys = reading.there(Candidates(images={ami}))
    grants = reading.grants(keys)
    permissions = reading.permissions(sources)
    ledger = Reader(connection, "reading the ledger")
    _, found = ledger.under_way()
    held = {(share.resource, share.account) for share in found if share.holdings or share.preexisting}
    why = {(share.resource, share.account): shares.why_not_closing(share, connection.region) for share in found}
    stuck = {place: said for place, said in why.items() if said}
    source = ledger.source_image(ami)
    unread = tuple(reading.faults)
    return verify_checks.SeenInTarget(targets, permissions, grants, unread, source, frozenset(held), stuck)


def _lines(checks: Sequence[Mapping[str, Any]], skipped: Mapping[str, int], *, wide: bool) -> Iterator[RenderableType]:
    placed = [{**one, "where": place_of(one)} for one in checks]
    yield from grouped_checks.lines(placed, wide=wide)
    for state, number in sorted(skipped.items()):
        yield f"Not checked, because it is not delivered: {number:,} {state}."
    verdict = grouped_checks.verdict(placed) if checks else "Nothing was checked."
    left = sum(skipped.values())
    yield f"{verdict} Not checked: {count(left, 'delivery', 'deliveries')}." if left and checks else verdict
