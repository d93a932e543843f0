"""The verb ``status``: shows promotions, read from the service's tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import organization, pause_switch, recalls, shares
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, by_name, target_of
from ami_promoter.promotions import pointers, promotion_data, promotion_text
from ami_promoter.promotions.choosing import Choice, choosing, read
from ami_promoter.promotions.following import follow, states
from ami_promoter.promotions.reading import read_page, unknown
from ami_promoter.rights import FIND_DELIVERIES, READ_ALL
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import Folded, state, table
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import AMI, VerbCaller, verb
from chalicelib.delivery.tracked import GOOD
from chalicelib.engine import addresses
from chalicelib.engine.faults import count

MANY = 200
"""`status --failed` reads at most this many promotions that need attention."""
FEW = 5
"""`status` shows at most this many refused promotions, and this many recalls, without `--wide`."""
LISTED = js.thing("", **promotion_data.PROMOTION, deliveries=js.counts("number of deliveries, by state"))
PAUSED = {
    "paused": pause_switch.SCHEMA,
    "organization": js.several("problems with reading AWS Organizations; empty: none", js.text("a sentence")),
}
PRINTS = js.some_of(
    js.thing(
        **PAUSED,
        promotions=js.several("without AMI: all promotions, newest first", LISTED),
        left_out=js.number("without AMI: how many promotions --limit leaves out"),
        parked=js.several(
            "without AMI: parked records",
            js.thing(
                record=js.text("key of the record"),
                delivers=js.text("AMI and target of a delivery; empty: of others, or it cannot be read"),
                why=js.text("why it is parked"),
            ),
        ),
        recalls=js.several(
            "without AMI: recalled AMIs, the last first", js.thing(ami=js.text("id of the AMI"), **recalls.MEMBERS)
        ),
        pointers=js.several("without AMI: pointers with a fault, by family and target", pointers.AT_FAULT),
        not_closing=js.several("without AMI: shares that do not close although the service tries", shares.SCHEMA),
        failed=js.several("with --failed and without AMI: promotions that need attention", promotion_data.PAGE),
        promotion=promotion_data.PAGE,
        **{name: js.described(f"with --retired: {one['description']}", one) for name, one in pointers.RETIRED.items()},
    ),
    *("promotions", "left_out", "parked", "recalls", "pointers", "not_closing", "failed", "promotion"),
    *pointers.RETIRED,
)


@verb("status", needs=READ_ALL | FIND_DELIVERIES, prints=PRINTS, reads=True)
@click.argument("ami", type=AMI, required=False)
@click.option("--watch", is_flag=True, help="Refresh until the promotion has ended; Ctrl-C stops only the view.")
@click.option(
    "--failed", is_flag=True, help="Only what failed, was refused, left something behind or is parked; with cures."
)
@click.option("--retired", is_flag=True, help="Only the superseded copies that can be removed, without AMI.")
@choosing
def status(caller: VerbCaller, ami: str | None, *, watch: bool, failed: bool, retired: bool, **chosen: Any) -> Report:
    """List the promotions, or show one AMI's deliveries.

    A bar shows a copy's progress, and LEFT estimates how long the copies still take. With more than 24 targets there is
    one row for each state, with the longest time in it. One line counts the open shares; --wide lists them. --since,
    --image, --group and --limit choose promotions of the list.
    """
    choice = Choice(**chosen)
    if choice != Choice() and (ami or retired):
        raise click.UsageError("--since, --image, --group and --limit choose from the list, without AMI and --retired.")
    if watch and caller.as_json:
        raise click.UsageError("--watch is for a terminal; in a program use `ami-promoter wait AMI --json`.")
    if watch and not ami:
        raise click.UsageError("--watch needs an AMI.")
    if retired and (ami or failed):
        raise click.UsageError("--retired lists the copies of all families; it goes with neither AMI nor --failed.")
    connection = caller.connect()
    troubles = tuple(organization.trouble_lines(connection))
    paused = pause_switch.read(connection)
    if retired:
        report = _retired(connection)
    elif ami:
        report = _one(caller, connection, ami, watch=watch, failed=failed)
    elif failed:
        report = _failed(connection, choice, wide=caller.wide)
    else:
        report = _all(connection, Choice.of(caller, chosen), wide=caller.wide)
    first = [f"Paused {pause_switch.said(paused)}. Nothing new starts."] if paused else []
    around = (*first, *troubles, "") if first or troubles else ()
    data = {**report.data, "paused": pause_switch.to_json(paused), "organization": list(troubles)}
    return Report((*around, *report.lines), data, report.faults)


def _one(caller: VerbCaller, connection: Connection, ami: str, *, watch: bool, failed: bool) -> Report:
    """Show an AMI's promotion, or follow it to its end."""
    data = read_page(connection, ami, consoles=True)
    if data is None:
        return Report(faults=(unknown(ami, connection),))

    def show(seen: Mapping[str, Any], *, watched: bool = False) -> list[RenderableType]:
        place, now = connection.place, connection.now()
        return list(promotion_text.show(seen, place, now, wide=caller.wide, watched=watched, failed=failed))

    if watch:
        first = data
        data = follow(
            lambda: read_page(connection, ami, consoles=True) or first,
            lambda seen: (seen["state"] == "over" and not seen["looks_again"]) or bool(seen["parked"]),
            caller.clock,
            show=lambda seen: show(seen, watched=True),
            changes=states,
        )
    return Report(tuple(show(data)), {"promotion": data})


def _all(connection: Connection, choice: Choice, *, wide: bool) -> Report:
    chosen = read(connection, choice)
    listed, stand = chosen.listed, _recalls(connection)
    closing = [shares.open_share(one, connection.region) for one in sorted(chosen.overview.closing, key=by_name)]
    beside = {
        "parked": [
            {"record": one.key.pk, "delivers": one.delivers, "why": one.parked} for one in chosen.overview.parked
        ],
        "pointers": pointers.at_fault(chosen.overview.pointers),
        "not_closing": [one for one in closing if one["not_closing"]],
    }
    data = {"promotions": listed, "left_out": chosen.left_out, "recalls": stand, **beside}
    first: list[RenderableType] = [chosen.none(connection.place)]
    if listed:
        why = ["Why they failed, and what to do: `ami-promoter status --failed`"]
        failed = why if any("failed" in one["deliveries"] for one in listed) else []
        first = [f"Promotions in {connection.place}:", _list(listed, connection.now()), *chosen.more, *failed]
    said = _refusals(listed, wide=wide), _recalled(stand, wide=wide), *_beside(beside, wide=wide)
    return Report(tuple(_apart(first, *said)), data)


def _apart(*parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """Yield the lines of parts, with an empty line between two that have any."""
    for number, part in enumerate(filter(None, map(tuple, parts))):
        yield from (*([""] if number else []), *part)


def _refusals(listed: Sequence[Mapping[str, Any]], *, wide: bool) -> list[RenderableType]:
    """Say why values and AMIs are refused, the last first."""
    faulty = [one for one in listed if one["faults"]]
    most = len(faulty) if wide else FEW
    lines: list[RenderableType] = [
        Folded(f"{one['ami']} is refused: {promotion_text.said(fault)}")
        for one in faulty[:most]
        for fault in one["faults"]
    ]
    more = f"{count(len(faulty) - most, 'older refusal')} not shown: `ami-promoter status --failed` shows all."
    return [*lines, *([more] if len(faulty) > most else [])]


def _recalls(connection: Connection) -> list[dict[str, str]]:
    found = sorted(recalls.every(connection).items(), key=lambda pair: pair[1].at, reverse=True)
    return [{"ami": ami, **(recalls.to_json(one) or {})} for ami, one in found]


def _recalled(stand: Sequence[Mapping[str, str]], *, wide: bool) -> list[RenderableType]:
    most = len(stand) if wide else FEW
    more = f"{count(len(stand) - most, 'older recall')} not shown: `--wide` lists all."
    lines: list[RenderableType] = [Folded(f"{one['ami']} was {recalls.said(one)}") for one in stand[:most]]
    return [*lines, *([more] if len(stand) > most else [])]


def _beside(data: Mapping[str, Any], *, wide: bool) -> Iterator[Iterable[RenderableType]]:
    """Write what is in trouble and belongs to no one promotion, in parts."""
    yield promotion_text.parked(data["parked"], wide=wide)
    if at_fault := data["pointers"]:
        yield f"{count(len(at_fault), 'pointer')} with a fault:", *pointers.lines(at_fault, wide=wide)
    if stuck := data["not_closing"]:
        yield f"Shares that do not close: {len(stuck)}", *promotion_text.not_closing(stuck)


def _retired(connection: Connection) -> Report:
    """List the copies that the accounts' administrators can remove."""
    found = Reader(connection).pointers(pointers.HAS_RETIRED)
    listed, refused = pointers.retired(found), pointers.not_retired(found)
    data = {"retired": listed, "not_retired": refused}
    rows = [(one["family"], target_of(one), one["image"], one["source"], one["made_at"][:10]) for one in listed]
    lines: list[RenderableType] = [f"No copy is retired in {connection.place}."]
    if listed:
        cure = "Each account's administrator can remove them by `ami-promoter admin clean-up`, with its credentials."
        lines = [table(("FAMILY", "TARGET", "AMI", "SOURCE", "MADE"), rows, folds=("SOURCE",)), "", cure]
    if refused:
        lines += ["", "Copies that could not be deprecated:", *pointers.lines(refused, wide=False)]
    return Report(tuple(lines), data)


def _list(listed: Sequence[Mapping[str, Any]], now: float) -> RenderableType:
    rows = [
        (
            one["ami"],
            one["name"] or "-",
            state(one["outcome"] or one["state"] or "unknown"),
            promotion_text.age(one["since"], now),
            "-" if one["value"] is None else promotion_text.quoted(one["value"]),
            promotion_text.counted(one["deliveries"]),
        )
        for one in listed
    ]
    return table(
        ("AMI", "NAME", "STATE", "FOR", "VALUE", "DELIVERIES"), rows, folds=("VALUE", "DELIVERIES"), cuts=("NAME",)
    )


def _failed(connection: Connection, choice: Choice, *, wide: bool) -> Report:
    """Show every promotion in trouble with its faults."""
    everything = _all(connection, replace(choice, limit=None), wide=wide)
    suspects = [one for one in everything.data["promotions"] if _suspect(one)]
    bad = [one["ami"] for one in sorted(suspects, key=_only_ended)]
    seen = [page_ for ami in bad[:MANY] if (page_ := read_page(connection, ami)) is not None]
    troubled = list(filter(promotion_data.in_trouble, seen))
    listed = troubled[: choice.limit]
    left_out = len(troubled) - len(listed)
    pages = list(map(promotion_data.only_failed, listed))
    beside = {name: everything.data[name] for name in ("parked", "pointers", "not_closing")}
    on_pages = {addresses.promotion(one["ami"]).pk for one in listed}
    on_pages |= {addresses.delivery(each["id"]).pk for one in listed for each in one["deliveries"]}
    others = {**beside, "parked": [one for one in beside["parked"] if one["record"] not in on_pages]}
    more: list[str] = []
    if left_out:
        more.append(f"{count(left_out, 'promotion')} in trouble not shown: `--limit {len(troubled)}` lists all.")
    if len(bad) > MANY:
        older = count(len(bad) - MANY, "older promotion")
        more.append(f"{older} in trouble not shown: `ami-promoter status --wide` lists them.")
    if not (pages or any(beside.values())):
        nothing = "Nothing" if choice == Choice() else "Of what matches, nothing"
        more.append(f"{nothing} failed, was refused or is parked in {connection.place}.")
    shown = promotion_text.troubles(listed, connection.place, connection.now(), wide=wide)
    lines = tuple(_apart(*shown, *_beside(others, wide=wide), more))
    return Report(lines, {"failed": pages, "left_out": left_out, **beside})


def _suspect(listed: Mapping[str, Any]) -> bool:
    """Whether a promotion may be in trouble, by its entry in the list."""
    return bool(listed["why"] or listed["parked"] or listed["deliveries"].keys() - {*GOOD, "running"})


def _only_ended(listed: Mapping[str, Any]) -> bool:
    """Whether nothing of it failed: it is in trouble only if it left something behind, so it is read last."""
    return not (listed["why"] or listed["parked"] or "failed" in listed["deliveries"])
