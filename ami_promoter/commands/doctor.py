"""The verb ``doctor``: finds what would block a promotion, with causes and repairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import approvers, health, organization, pause_switch, shares
from ami_promoter.hub.applied_targets import Receivers, applied_file, named_targets, receivers
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, by_name
from ami_promoter.reconcile import doctor_checks, grouped_checks
from ami_promoter.reconcile.doctor_target_checks import HubNames, KnownAtHub
from ami_promoter.reconcile.inventories import Inventories
from ami_promoter.rights import ASK_TARGETS, CHECK_KEY, READ_ALL, SEE_APPROVERS, SEE_HEALTH, SEE_WRITERS
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import ACCOUNT, VerbCaller, answers_within_option, hub_only_option, verb
from chalicelib.delivery.copy_quota import CopyQuota
from chalicelib.delivery.model import ENDED, Delivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import count
from chalicelib.engine.places import Arn, Place
from chalicelib.engine.stored import fitting
from chalicelib.targets.applied_file import AppliedFile, Resolution, Target
from chalicelib.targets.approvals import needs

PRINTS = js.thing(
    findings=js.several("results of the checks, the hub's first", doctor_checks.FINDING),
    healthy=js.flag("whether every check passed"),
)


@verb(
    "doctor",
    needs=READ_ALL | ASK_TARGETS | SEE_HEALTH | SEE_WRITERS | SEE_APPROVERS | CHECK_KEY,
    prints=PRINTS,
    exits=grouped_checks.EXITS,
    reads=True,
)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Only this group's targets; may be repeated.")
@click.option(
    "--account", "accounts", type=ACCOUNT, multiple=True, help="Only this account's targets; may be repeated."
)
@hub_only_option
@answers_within_option
def doctor(
    caller: VerbCaller, groups: tuple[str, ...], accounts: tuple[str, ...], *, hub_only: bool, timeout: int
) -> Report:
    """Find what blocks promotions, and how to repair it.

    Changes nothing.

    In the hub it checks the targets file, pause, organization, parked and overdue records, workers, dead letters, who
    receives notices and alarms, the keys of running and shared deliveries (`plan` checks the keys of an AMI that has no
    tag yet), who may approve and what waits for an approval.

    It warns of each parameter of the stack `ami-promoter` whose value is open.

    In each target the service checks role and its rights, key and key policy, service-linked roles, event forwarding,
    Allowed AMIs, settings and copy quota, which takes seconds.

    Nothing can test beforehand whether a key works for a copy. If AWS names an organization's policy as the reason of a
    denial, the command prints it.
    """
    if hub_only and (groups or accounts):
        raise click.UsageError("--hub-only checks no target: do not give --group or --account with it.")
    connection = caller.connect()
    file = applied_file(connection)
    settings: dict[Place, Target] = {}
    wanted: tuple[Place, ...] = ()
    if not hub_only and file.fault is None:
        resolution = named_targets(file, (*groups, *accounts)) if groups or accounts else None
        every = receivers(file.directory)
        wanted = _places_of(every, resolution) if resolution else every.places((connection.account, connection.region))
        settings = _settings(file, wanted)
    facts = _facts(connection, file)
    found = doctor_checks.hub(facts)
    inventories = Inventories(connection, timeout, caller.clock, checks=True)
    answers = inventories.ask(wanted, "doctor")
    hub = HubNames(connection.partition, connection.account, connection.region, facts.health.senders)
    found += doctor_checks.targets(answers, settings, _known(connection, wanted), hub)
    status = grouped_checks.status(found)
    return Report(
        tuple(_lines(found, connection.place, wide=caller.wide)),
        {"findings": found, "healthy": status is Exit.OK},
        exit=status,
    )


def _places_of(every: Receivers, resolution: Resolution) -> tuple[Place, ...]:
    """Return the targets of a value, and those of accounts whose settings conflict, so that the report shows that."""
    blocked = [place for place in every.places() if place[0] in resolution.blocked]
    return (*(Place(one.account, one.region) for one in resolution.targets), *blocked)


def _settings(file: AppliedFile, places: Iterable[Place]) -> dict[Place, Target]:
    """Return the file's settings of each target; none for a target whose groups conflict."""
    accounts = sorted({account for account, _ in places})
    resolution = file.resolve(" ".join(accounts)) if accounts else None
    return {Place(one.account, one.region): one for one in resolution.targets} if resolution else {}


def _known(connection: Connection, places: Sequence[Place]) -> dict[Place, KnownAtHub]:
    parts = (addresses.copy_quota, addresses.last_event, addresses.no_event)
    keys = {place: [part(*place) for part in parts] for place in places}
    found = Reader(connection, "reading the copy quotas").many(key for three in keys.values() for key in three)
    known = {}
    for place, (quota, last, missed) in keys.items():
        copies = found[quota].it if quota in found else CopyQuota(*place)
        times = (fitting(found[key].item, "at", 0) if key in found else 0 for key in (last, missed))
        known[place] = KnownAtHub(copies, *times)
    return known


def _facts(connection: Connection, file: AppliedFile) -> doctor_checks.HubFacts:
    reader = Reader(connection)
    records, ledger = reader.under_way()
    parked = [one for one in records if "parked" in one.item]
    deliveries = [one.it for one in records if isinstance(one.it, Delivery) and one.state not in ENDED]
    troubles = tuple(organization.trouble_lines(connection)) if file.fault is None else ()
    due = {
        one.key.pk: one.item["due_at"]
        for one in records
        if isinstance(one.item.get("due_at"), int) and one not in parked
    }
    access = source_keys(connection.account, deliveries)
    return doctor_checks.HubFacts(
        connection.account,
        connection.region,
        connection.now(),
        file.fault,
        pause_switch.said(pause_switch.read(connection)),
        troubles,
        parked,
        due,
        health.read(connection, sorted(access)),
        access,
        approvers.read(connection) if _needs_approval(file) else None,
        _unapproved(reader, deliveries),
        tuple(shares.not_closing(shares.open_share(one, connection.region) for one in sorted(ledger, key=by_name))),
    )


def _needs_approval(file: AppliedFile) -> bool:
    """Whether the file has a target that needs an approval, listed or through a unit."""
    blocks = (*file.directory.accounts.values(), *file.directory.by_unit.values())
    own = (targets for by_group in file.directory.own.values() for targets in by_group.values())
    return file.fault is None and any(needs(target) for targets in (*blocks, *own) for target in targets)


def _unapproved(reader: Reader, deliveries: Iterable[Delivery]) -> list[doctor_checks.Unapproved]:
    waiting: dict[str, list[int]] = {}
    for one in deliveries:
        if one.awaits_approval:
            waiting.setdefault(one.ami, []).append(one.entered.get(one.state, 0))
    found = []
    for ami, since in waiting.items():
        promotion = reader.promotion(ami)
        digest = promotion.it.asked.digest if promotion else ""
        found.append(doctor_checks.Unapproved(ami, digest, len(since), min(since)))
    return found


def source_keys(account: str, deliveries: Iterable[Delivery]) -> dict[str, set[str]]:
    """Return the hub's keys that running and shared deliveries need, each with their ways of access.

    Keys of other accounts are left out: the service does not change those.
    """
    found: dict[str, set[str]] = {}
    for one in deliveries:
        for arn in (*(snapshot.key_arn or "" for snapshot in one.snapshots), one.hub_copy.key_arn):
            if Arn.parse(arn).account == account:
                found.setdefault(arn, set()).add(one.target.key_access)
    return found


def _lines(found: Sequence[Mapping[str, Any]], place: str, *, wide: bool) -> Iterator[RenderableType]:
    targets = sum(one["check"] == "target" for one in found)
    also = f", and {count(targets, 'target')}" if targets else ""
    yield f"Checked {place}{also}."
    yield from grouped_checks.lines(found, wide=wide)
    yield grouped_checks.verdict(found)
