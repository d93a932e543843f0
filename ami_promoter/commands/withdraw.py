"""The verb ``withdraw``: ends single accounts' part in a promotion without touching the tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from ami_promoter.hub import recalls, record_requests, withdrawals
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.hub_images import Tag, no_tag
from ami_promoter.hub.records import Reader, is_named
from ami_promoter.hub.withdrawals import Withdrawn, counts_from, in_force, over
from ami_promoter.promotions import endings
from ami_promoter.promotions.reading import unknown
from ami_promoter.rights import FIND_AMI, LOOK_AGAIN, READ, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import PLACE, VerbCaller, ami_argument, tag_key_option, verb, yes_option
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.sharing.entitlement import admitting, launched_by
from chalicelib.targets.applied_file import AppliedFile, Resolution, Target
from chalicelib.targets.withdrawals import by_place, covering

PRINTS = js.thing(
    ami=js.text("id of the source AMI"),
    changed=js.several(
        "targets that this command withdrew; with --lift, whose withdrawal it ended",
        js.text("an account, or ACCOUNT/REGION"),
    ),
    withdrawn=withdrawals.SCHEMA,
    deliveries=js.several(
        "deliveries to these targets, sorted by account and Region; with --lift empty",
        endings.DOES,
    ),
)


@verb("withdraw", needs=READ | FIND_AMI | LOOK_AGAIN | SWITCH, prints=PRINTS)
@ami_argument
@click.option(
    "--account", "places", type=PLACE, multiple=True, help="This account, or ACCOUNT/REGION; may be repeated."
)
@click.option("--lift", is_flag=True, help="End the withdrawal; without --account, for all accounts.")
@yes_option
@tag_key_option
def withdraw(caller: VerbCaller, ami: str, places: tuple[str, ...], *, lift: bool) -> Report:
    """End a promotion for some accounts; the tag stays.

    The service cancels their running deliveries and withdraws their standing shares, also while promotions are paused.
    Delivered AMIs stay. These accounts get nothing more of the AMI until its tag has another value or is removed, or
    --lift ends the withdrawal. `promote` with the same value does not end it, and `retry` leaves these accounts out.

    Shows what it will do, and asks.
    """
    if not places and not lift:
        raise click.UsageError("Name --account ID, or ACCOUNT/REGION; to end the whole promotion, use `cancel`.")
    connection = caller.connect()
    seen = _look(connection, ami)
    return (_lift if lift else _withdraw)(caller, connection, seen, places)


@dataclass(frozen=True, slots=True)
class AmiSeen:
    """What is known of the AMI's promotion. ``withdrawn``: place -> who did, as it stands."""

    ami: str
    tag: str
    since: int
    """From when withdrawals count for the tag (epoch seconds)."""
    tracked: Sequence[TrackedDelivery]
    launched: Mapping[str, str]
    """"account/region" -> the unit (ARN) that its delivery was to let launch the AMI; "": it named the account."""
    withdrawn: Mapping[str, str]
    over: Sequence[str]
    """Withdrawals that have ended for certain."""
    parked: str
    """Why the promotion's record is parked; "" if it is not."""
    recall: Mapping[str, str] | None = None
    """The recall of the AMI, which counts beside all withdrawals."""


def _look(connection: Connection, ami: str) -> AmiSeen:
    tag = Tag(connection, ami).read()
    if tag is None:
        raise no_tag(ami, connection.tag_key)
    reader = Reader(connection)
    promotion = reader.promotion(ami)
    if promotion is None:
        raise NotDone(unknown(ami, connection))
    tracked = [one.it for one in reader.tracked(ami)]
    found = reader.deliveries(entry.delivery for entry in tracked)
    launched = {one.it.target.place: _launching_unit(one.it.target) for one in found.values()}
    every = Withdrawn(connection, ami).read()
    withdrawn = by_place(in_force(every, promotion.it, tag))
    since = counts_from(promotion.it, tag)
    recall = recalls.read(connection, ami)
    return AmiSeen(ami, tag, since, tracked, launched, withdrawn, over(every, promotion.it), promotion.parked, recall)


def _withdraw(caller: VerbCaller, connection: Connection, seen: AmiSeen, places: Sequence[str]) -> Report:
    if faults := tuple(refusals(seen, places, applied_file(connection))):
        raise NotDone(*faults)
    entries = Withdrawn(connection, seen.ami)
    fresh = sorted({place for place in places if covering(seen.withdrawn, place) is None})
    if fresh and (full := entries.no_room(fresh, seen.tag, seen.over)):
        raise NotDone(full)
    named = list(_named(seen.tracked, places))
    when = " once its promotion's record continues" if seen.parked else ""
    what = list(endings.lines(named, when, each=caller.wide))
    shown = caller.confirm(f"This withdraws {', '.join(fresh)} from {seen.ami}", what) if fresh else what
    if fresh:
        entries.remove(seen.over)
        entries.write(fresh, seen.tag, seen.since)
    record_requests.withdraw(connection, seen.ami, seen.tag)
    now = {**seen.withdrawn, **dict.fromkeys(fresh, connection.caller)}
    before = [place for place in places if place not in fresh]
    lines = [*(f"{place} was withdrawn before, by {covering(seen.withdrawn, place)}." for place in before), *shown]
    if fresh:
        until = endings.until(seen.ami)
        lines.append(f"{', '.join(fresh)}: receives nothing more of {seen.ami} {until}.")
    lines += _waits(seen)
    data = {"ami": seen.ami, "changed": fresh, "withdrawn": now, "deliveries": endings.to_json(named, when)}
    return Report(tuple(lines), data)


def _lift(caller: VerbCaller, connection: Connection, seen: AmiSeen, places: Sequence[str]) -> Report:
    lifted = sorted(set(places or seen.withdrawn) & seen.withdrawn.keys())
    others = [place for place in places if place not in lifted]
    if faults := [fault for place in others for fault in _withdrawn_otherwise(seen, place)]:
        raise NotDone(*faults)
    left = {place: by for place, by in seen.withdrawn.items() if place not in lifted}
    data = {"ami": seen.ami, "changed": lifted, "withdrawn": left, "deliveries": []}
    of_others = f"no withdrawal{' of ' if others else ''}{', '.join(others)} from {seen.ami} is in force."
    if not lifted:
        record_requests.withdraw(connection, seen.ami, seen.tag)  # a request that was lost is made again
        return Report((f"Nothing to do: {of_others}",), data)
    does = f"This ends the withdrawal of {', '.join(lifted)} from {seen.ami}"
    caller.confirm(does, _waits(seen))
    Withdrawn(connection, seen.ami).remove([*lifted, *seen.over])
    record_requests.withdraw(connection, seen.ami, seen.tag, lifted)
    done = f"{', '.join(lifted)} can receive the AMI again, if the tag names it{f'; {of_others}' if others else '.'}"
    return Report((done, *_waits(seen)), data)


def _waits(seen: AmiSeen) -> Sequence[str]:
    """Say what holds this up: a parked record, though the pass over standing shares closes these; or a recall."""
    again = f"`ami-promoter retry {seen.ami}` lets it continue"
    parked = (f"The promotion's record is parked ({seen.parked}); {again}.",) if seen.parked else ()
    return (*parked, *recalls.lines(seen.ami, seen.recall))


def _named(tracked: Sequence[TrackedDelivery], places: Sequence[str]) -> Iterator[TrackedDelivery]:
    return (one for one in tracked if is_named(one.place, places))


def refusals(seen: AmiSeen, places: Sequence[str], applied: AppliedFile) -> Iterator[Fault]:
    """Yield the reasons against a withdrawal: no such target, or access only through the ARN of a unit."""
    resolution = applied.resolve(seen.tag, in_force=True)
    for place in places:
        targets = [target for target in resolution.targets if place in (target.account, target.place)]
        tracked = list(_named(seen.tracked, [place]))
        if not targets and not tracked:
            what = "the tag's value names no such target, and it has no delivery there."
            yield Fault("no-delivery", f"{seen.ami}, {place}", what, f"`ami-promoter status {seen.ami}` lists them.")
        elif unit := _unit(seen, targets, tracked) or _unit_of_others(seen, targets, resolution):
            yield Fault(
                "withdrawn-by-unit",
                f"{seen.ami}, {place}",
                f"It may launch the AMI by {unit}, which admits all accounts there, so it cannot be withdrawn alone.",
                "Set `launch_permission: account` for its group, apply the file, and tag the AMI again; or move the "
                f"account out of {unit}; or end the whole promotion: `ami-promoter cancel {seen.ami}`.",
            )


def _unit(seen: AmiSeen, targets: Sequence[Target], tracked: Sequence[TrackedDelivery]) -> str:
    """Name the OU or organization by whose ARN one of these may launch the AMI; "": none does."""
    shared = (seen.launched.get(entry.place, "") for entry in tracked if entry.may_end)
    return next(filter(None, (*map(_launching_unit, targets), *shared)), "")


def _launching_unit(target: Target) -> str:
    unit = launched_by(target)
    return unit if target.mode == "share" and unit != target.account else ""


def _unit_of_others(seen: AmiSeen, targets: Sequence[Target], resolution: Resolution) -> str:
    """Name the OU or organization by whose ARN others may launch the AMI, and one of these with them; "": none."""
    shared = (seen.launched.get(entry.place, "") for entry in seen.tracked if entry.may_end)
    open_to = {*map(_launching_unit, resolution.targets), *shared}
    admitted_by = (admitting(target, resolution) for target in targets if target.mode == "share")
    return next((unit for units in admitted_by for unit in sorted(units & open_to)), "")


def _withdrawn_otherwise(seen: AmiSeen, place: str) -> Iterator[Fault]:
    """Yield what is withdrawn in place of this one: its whole account, or single targets of it."""
    where, by = f"{seen.ami}, {place}", covering(seen.withdrawn, place)
    if by is not None:
        cure = f"Lift that withdrawal: `--account {Place.parse(place).account}`."
        yield Fault("not-withdrawn", where, f"its whole account was withdrawn, by {by}.", cure)
    for target in sorted(seen.withdrawn):
        if is_named(target, [place]):
            cure = f"Lift that withdrawal: `--account {target}`."
            yield Fault("not-withdrawn", where, f"its target {target} was withdrawn, not the whole account.", cure)
