"""The verb ``rollback``: moves parameters back to an earlier AMI of a family, and holds them there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import recalls, record_requests
from ami_promoter.hub.applied_targets import applied_file, named_targets
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.recalls import pin_of
from ami_promoter.hub.records import Reader, is_named, not_there
from ami_promoter.promotions.reading import unknown_family
from ami_promoter.rights import LOOK_AGAIN, READ_ALL, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import alike_anywhere, example, first_of, groups, named
from ami_promoter.terminal.output import Folded
from ami_promoter.terminal.report import Exit, NotDone, Report
from ami_promoter.verbs import AMI, FAMILY, GROUP, PLACE, WHY, VerbCaller, verb, yes_option
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault, count
from chalicelib.engine.places import Place
from chalicelib.images.family import parameter_of
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.applied_file import AppliedFile, Target
from chalicelib.targets.recalls import Pin

PRINTS = js.thing(
    family=js.text("the family"),
    lifted=js.flag("whether the command ended the rollback"),
    pointers=js.several(
        "parameters that this command moved, or let go, sorted by account and Region",
        js.thing(
            **js.PLACE,
            parameter=js.text("name of the parameter"),
            image=js.perhaps(js.text("id of the AMI that it named; null: none of the family")),
            to=js.perhaps(js.text("id of the source AMI at which it is held; null: it is not held any more")),
        ),
    ),
    not_moved=js.described("parameters without a release to which they can move back", js.FAULTS),
)


@dataclass(frozen=True, slots=True)
class _Move:
    """A pointer, and the release at which it is to be held; None: it is let go."""

    pointer: Pointer
    to: Release | None


@verb(
    "rollback",
    needs=READ_ALL | LOOK_AGAIN | SWITCH,
    prints=PRINTS,
    exits={Exit.UNFINISHED: "one of the parameters has no release to move back to; the others move"},
)
@click.argument("family", type=FAMILY)
@click.option("--group", "group", type=GROUP, multiple=True, help="In the accounts of this group; may be repeated.")
@click.option(
    "--account", "places", type=PLACE, multiple=True, help="In this account, or ACCOUNT/REGION; may be repeated."
)
@click.option(
    "--to",
    "to",
    type=AMI,
    help="Hold them at this source AMI. Default: the one before what they name; what is held already stays.",
)
@click.option("--why", type=WHY, help="The reason; it is kept with the rollback.")
@click.option("--lift", is_flag=True, help="End the rollback: the parameters move to what is current.")
@yes_option
def rollback(
    caller: VerbCaller,
    family: str,
    group: tuple[str, ...],
    places: tuple[str, ...],
    to: str | None,
    why: str | None,
    *,
    lift: bool,
) -> Report:
    """Move the parameters of a family back to an earlier AMI, and hold them there until --lift.

    Newer AMIs are delivered, but do not move these parameters; their notices say so. The command asks first.
    """
    if not group and not places:
        raise click.UsageError("Name targets: `--group NAME`, or `--account ID`.")
    if lift and (to or why):
        raise click.UsageError("--to and --why have no effect with --lift.")
    connection = caller.connect()
    found, former = _pointers(connection, family, group, places)
    pins = recalls.pins(connection, map(pin_of, found))
    moves = [_Move(one, None) for one in found if pin_of(one) in pins]
    faults: list[Fault] = []
    if not lift:
        moves, faults = chosen(found, former, to, pins, recalls.every(connection))
    if not moves:
        record_requests.look_at(connection, [one.key for one in found])  # a request that was lost is made again
        if faults:
            raise NotDone(*_together(faults, found, each=caller.wide or caller.as_json))
        held = first_of(sorted({one.source for one in pins.values() if one}))
        says = f"each parameter of `{family}` is held at {held} already; `--to AMI` chooses another."
        says = f"no parameter of `{family}` is held there." if lift else says
        return Report((f"Nothing to do: {says}",), _data(family, (), (), lift=lift))
    stay = _stay(found, moves, pins, wide=caller.wide)
    left = _together(faults, found, each=caller.wide)
    lines = (*_lines(moves, wide=caller.wide), *stay, *(Folded(f"Not moved: {one}", 2) for one in left))
    does = f"This {'lets go of' if lift else 'holds'} {count(len(moves), 'parameter')} of `{family}`"
    shown = caller.confirm(does, lines)
    for move in moves:
        if move.to is None:
            recalls.unpin(connection, move.pointer)
        else:
            recalls.pin(connection, move.pointer, move.to, why or "")
    record_requests.look_at(connection, [one.key for one in found])
    done = f"`ami-promoter where --family {family}` shows what they name."
    exit_ = Exit.UNFINISHED if faults else Exit.OK
    return Report((*shown, done), _data(family, moves, faults, lift=lift), exit=exit_)


def _pointers(
    connection: Connection, family: str, groups_named: Sequence[str], places: Sequence[str]
) -> tuple[list[Pointer], list[Pointer]]:
    """Return the family's pointer in each of these targets, and those of before the file renamed its parameter.

    The latter follow no rollback. Raises NotDone if a named account has none, or nobody has.
    """
    every = [one.it for one in Reader(connection).pointers(f'"{family}"') if one.it.family == family]
    wanted, file = list(places), applied_file(connection)
    if groups_named:
        resolved = named_targets(file, groups_named)
        wanted += [*resolved.by_place, *resolved.blocked]
    if not every:
        raise unknown_family(connection, family)
    there = [one for one in every if is_named(_place(one), wanted)]
    missing = not_there(places, list(map(_place, there)))
    if missing or not there:
        what = f"it has no parameter in {', '.join(missing) or 'any of these targets'}."
        cure = f"`ami-promoter where --family {family}` lists those that there are."
        raise NotDone(Fault("no-pointer", family, what, cure))
    there.sort(key=lambda one: (one.account, one.region, _is_set(file, one), not one.unwanted, one.parameter))
    last = {pin_of(one): one for one in there}
    return list(last.values()), [one for one in there if one is not last[pin_of(one)]]


def _is_set(file: AppliedFile, pointer: Pointer) -> bool:
    target = file.target(pointer.account, pointer.region)
    return isinstance(target, Target) and parameter_of(target.ssm_parameter, pointer.family) == pointer.parameter


def chosen(
    found: Sequence[Pointer],
    former: Sequence[Pointer],
    to: str | None,
    pins: Mapping[RecordKey, Pin | None],
    recalled: Collection[str],
) -> tuple[list[_Move], list[Fault]]:
    """Choose for each pointer the release at which it is held; one that is held there already is left out.

    ``former``: what may know more releases, of before the file renamed the parameter. ``to``: at this source AMI; None:
    at the last one before what it names, unless a pin stands. ``pins``: those that stand, None if one is damaged.
    """
    moves: list[_Move] = []
    faults: list[Fault] = []
    for pointer in found:
        now = pointer.named
        fit = [one for one in pointer.launchable if one.source not in recalled]
        before = [one for one in fit if now is not None and one.order < now.order]
        choice = [one for one in fit if one.source == to] if to else before[-1:]
        pin = pins.get(pin_of(pointer))
        if pin and not to:
            continue
        if not choice:
            faults.append(_counts_for_former(pointer, former, to, recalled) or _nothing_chosen(pointer, to, recalled))
        elif pin is None or pin.source != choice[0].source:
            moves.append(_Move(pointer, choice[0]))
    return moves, faults


def _counts_for_former(
    pointer: Pointer, former: Sequence[Pointer], to: str | None, recalled: Collection[str]
) -> Fault | None:
    """Say which release counts for the parameter of before the renaming alone: ``to``, or the one before what is named.

    None: there is no such release.
    """
    here, now = {one.source for one in pointer.releases} | {*recalled}, pointer.named
    theirs = [one for each in former if pin_of(each) == pin_of(pointer) for one in each.releases]
    left = [one for one in theirs if one.source not in here and (now is None or to or one.order < now.order)]
    fit = [one for one in left if to in (None, one.source)]
    if not fit:
        return None
    ami = max(fit, key=lambda one: one.order).source
    what = f"{ami} counts only for the parameter that the file named before."
    cure = (
        f"`ami-promoter retry {ami} --account {pointer.account}` lets it count for this one; then this command again, "
        f"with `--to {ami}`."
    )
    return Fault("no-release", pointer.where, what, cure)


def _nothing_chosen(pointer: Pointer, to: str | None, recalled: Collection[str]) -> Fault:
    what = "no earlier AMI of the family that was delivered there, and is not recalled, is known."
    if to:
        what = f"{to} is recalled." if to in recalled else f"{to} was not delivered there as `{pointer.family}`."
        if to not in recalled and any(one.source == to for one in pointer.releases):
            what = f"{to} is of another architecture than {pointer.source}, which it names."
    others = [one.source for one in pointer.launchable if one.source not in (*recalled, pointer.source)]
    cure = f"Name one that is known there: `--to AMI`. Known: {', '.join(others)}."
    if not others:
        cure = "Promote an earlier AMI, or recall this one."
    return Fault("no-release", pointer.where, what, cure)


def _together(faults: Sequence[Fault], found: Sequence[Pointer], *, each: bool) -> Iterator[Fault]:
    """Say once of parameters of one name, but with ``each``, why they do not move."""
    of = {one.where: one for one in found}
    for same in groups(faults, lambda one: alike_anywhere(of[one.where].parameter, one.what, one.cure), each=each):
        first, pointers = same[0], [of[one.where] for one in same]
        where = f"{named(list(map(_place, pointers)))}, parameter {pointers[0].parameter}"
        begins = example(first.where, {(one.what, one.cure) for one in same})
        yield replace(first, where=where, what=f"{begins}{first.what}") if len(same) > 1 else first


def _place(pointer: Pointer) -> str:
    return str(Place(pointer.account, pointer.region))


def _lines(moves: Sequence[_Move], *, wide: bool) -> Iterator[RenderableType]:
    def same(move: _Move) -> tuple[object, ...]:
        to = move.to.source if move.to else ""
        return move.pointer.parameter, move.pointer.source, to

    for group in groups(moves, same, each=wide):
        first = group[0]
        where = named([_place(one.pointer) for one in group])
        now = f"names {_image(one.pointer.named for one in group)} now"
        then = f"is held at {_image(one.to for one in group)} from now on" if first.to else "is let go"
        yield Folded(f"{where}: the parameter {first.pointer.parameter} {now}, and {then}.", 2)


def _image(releases: Iterable[Release | None]) -> str:
    """Name what the parameters of several targets name: AMIs of one source; a shared AMI is the source itself."""
    one, *others = {release.image: release for release in releases if release}.values() or [None]
    if one is None:
        return "none of the family"
    if others:
        return f"its AMI (source AMI {one.source})"
    return one.image if one.image == one.source else f"{one.image} (source AMI {one.source})"


def _stay(
    found: Sequence[Pointer], moves: Sequence[_Move], pins: Mapping[RecordKey, Pin | None], *, wide: bool
) -> Iterator[RenderableType]:
    moved = {move.pointer.key for move in moves}
    held = [(one, pin.source) for one in found if one.key not in moved and (pin := pins.get(pin_of(one)))]
    for group in groups(held, lambda pair: (pair[0].parameter, pair[1]), each=wide):
        where = named([_place(one) for one, _ in group])
        yield Folded(f"{where}: the parameter {group[0][0].parameter} is held at {group[0][1]} already.", 2)


def _data(family: str, moves: Sequence[_Move], faults: Sequence[Fault], *, lift: bool) -> dict[str, Any]:
    shown = [
        {
            "account": one.pointer.account,
            "region": one.pointer.region,
            "parameter": one.pointer.parameter,
            "image": one.pointer.image or None,
            "to": one.to.source if one.to else None,
        }
        for one in moves
    ]
    return {"family": family, "lifted": lift, "pointers": shown, "not_moved": [one.to_json() for one in faults]}
