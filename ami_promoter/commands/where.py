"""The verb ``where``: from a source to its copies, and from a copy back to its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import recalls
from ami_promoter.hub.applied_targets import applied_file, named_targets
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, image_of, is_named, place_of, target_of
from ami_promoter.promotions import pointers
from ami_promoter.promotions.choosing import Choice, choosing, read
from ami_promoter.promotions.reading import unknown, unknown_family
from ami_promoter.reconcile import uses
from ami_promoter.rights import ASK_TARGETS, FIND_DELIVERIES, READ_ALL
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import first_of, groups, named
from ami_promoter.terminal.output import Folded, Whole, state, table
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import AMI, FAMILY, FileWord, VerbCaller, answers_within_option, verb
from chalicelib.delivery.tracked import GOOD, RUNNING, TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.sharing import entitlement

COPY = js.thing(
    "the AMI of one target",
    **js.PLACE,
    state=js.text("state of the delivery, as `status` says it; in `listed` it is running until the delivery ends"),
    image=js.perhaps(js.text("id of the AMI that the target can launch; null: none, or no longer")),
    own=js.flag("whether the target owns the AMI; false: the hub owns it and shares it"),
    current=js.perhaps(js.flag("whether the parameter of its family names it there; null: there is no parameter")),
)
PRINTS = js.partly(
    source=js.text("id of the source AMI"),
    name=js.text("name of the source AMI"),
    account=js.text("the hub's account"),
    region=js.text("the hub's Region"),
    asked=js.thing(
        "the AMI that the command was given",
        ami=js.text("id of the AMI"),
        account=js.text("account that owns the AMI"),
        region=js.text("Region of the AMI"),
    ),
    recall=recalls.SCHEMA,
    copies=js.several("one entry for each target, sorted by account and Region", COPY),
    uses=uses.SCHEMA,
    listed=js.several(
        "with --since, --image, --group or --limit: the AMIs, newest promotion first",
        js.thing(
            source=js.text("id of the source AMI"),
            name=js.text("name of the source AMI"),
            copies=js.several("one entry for each target; `current` is not read and null", COPY),
        ),
    ),
    left_out=js.number("with `listed`: how many promotions --limit leaves out"),
    family=js.text("with --family: the family"),
    pointers=js.several(
        "with --family: the parameters that name its current AMI, sorted by account and Region",
        js.thing(
            "a parameter",
            **pointers.LISTED,
            kept=js.flag("whether the service keeps it up to date; false: the targets file no longer sets it"),
            fault=js.perhaps(js.described("why it does not name what is current; null: no fault", js.FAULT)),
        ),
    ),
)
TARGET = FileWord(
    "target",
    "[0-9]{12}(/[a-z0-9-]+)?|[A-Za-z][A-Za-z0-9._-]{0,62}",
    "an account's id, ACCOUNT/REGION, or a group's name",
    "groups",
    "accounts",
)


@verb("where", needs=READ_ALL | FIND_DELIVERIES | ASK_TARGETS, prints=PRINTS, reads=True)
@click.argument("ami", type=AMI, required=False)
@click.argument("target", type=TARGET, required=False)
@click.option("--family", type=FAMILY, help="Show the current AMI of this family in each target, without AMI.")
@click.option("--ids", is_flag=True, help="For scripts: account, Region and id on a line; with TARGET the id alone.")
@click.option("--use", is_flag=True, help="Ask each target which instances, launch templates and parameters name it.")
@choosing
@answers_within_option
def where(
    caller: VerbCaller,
    ami: str | None,
    target: str | None,
    family: str | None,
    *,
    ids: bool,
    use: bool,
    timeout: int,
    **given: Any,
) -> Report:
    """Show an AMI's source and copies, or a family's current AMIs.

    AMI may be the source or a copy in any account. TARGET shows only some: an account, ACCOUNT/REGION, or a group of
    the applied targets file. With --ids, if one of these has no AMI, the command prints no id; the exit status is 1.

    With --family the command shows the AMI that the parameter of the family named in each target when the service last
    looked. Targets without the setting `ssm_parameter` are not shown.

    --use needs `AllowUseReport=true` in the target's stack; --timeout is for its answers.

    --since, --image, --group and --limit choose promotions: the command lists where each AMI of them is.
    """
    chosen = Choice(**given) != Choice()
    if chosen and (ami or family or use):
        raise click.UsageError("--since, --image, --group and --limit choose AMIs, without AMI, --family and --use.")
    if chosen:
        return _list(caller.connect(), Choice.of(caller, given, script=ids), ids=ids)
    if use and (ids or ami is None):
        raise click.UsageError("--use is about an AMI: it goes with neither --family nor --ids.")
    if (ami is None) == (family is None):
        ways = (
            "Name an AMI or a family: `where AMI`, or `where --family NAME`. Or choose AMIs: `where --image PATTERN`."
        )
        raise click.UsageError(ways)
    if ami is None:
        return _family(caller.connect(), str(family), ids=ids)
    return _of_ami(caller, ami, target, ids=ids, use=timeout if use else None)


def _of_ami(caller: VerbCaller, ami: str, target: str | None, *, ids: bool, use: int | None) -> Report:
    """Show where an AMI is, and what names it there. ``use``: seconds to wait for that; None: it is not asked."""
    connection = caller.connect()
    found = _find(connection, ami)
    missing = _narrow(connection, found, target) if target else ()
    there = [one for one in found["copies"] if one["image"]]
    if ids:
        if missing:
            cure = f"`ami-promoter status {found['source']}` shows why."
            if _are_unnamed(connection, found["source"], missing):
                cure = f"The tag's value does not name it: `ami-promoter promote {found['source']} VALUE`."
            raise NotDone(Fault("not-delivered", ami, f"it is not delivered to {named(missing)}.", cure))
        return Report(tuple(Whole(one["image"]) if target else _id(one) for one in there), found)
    lines = (*_lines(found), *([Folded(f"Not delivered to {named(missing)}.")] if missing else []))
    if use is None:
        return Report(lines, found)
    made = {one.it.place: one.it.image for one in Reader(connection).tracked(found["source"])}  # also what is recalled
    asked = [{**one, "image": one["image"] or made.get(place_of(one))} for one in found["copies"]]
    found["uses"] = uses.ask(connection, caller.clock, asked, use)
    silent = [place_of(one) for one in asked if not one["image"]]
    why = "no AMI is known there now; what runs from one that was shared goes on"
    more = [Folded(f"Not asked: {named(silent)}: {why}.")] if silent else []
    return Report((*lines, *uses.lines(found["uses"]), *more), found)


def _are_unnamed(connection: Connection, source: str, places: Sequence[str]) -> bool:
    """Whether the value in force names none of these targets; False while that is not known."""
    promotion = Reader(connection).promotion(source)
    if promotion is None or promotion.it.value is None:
        return False
    named_now = applied_file(connection).resolve(promotion.it.value, in_force=True)
    entitled = entitlement.of(named_now, {})
    return named_now.understood and not any(map(entitled.may_go_on, places))


def _narrow(connection: Connection, found: dict[str, Any], target: str) -> list[str]:
    """Keep the copies of the targets that a word means; return the targets that have no AMI."""
    wanted = _places(connection, target, found)
    found["copies"] = [one for one in found["copies"] if place_of(one) in wanted]
    there = {place_of(one) for one in found["copies"] if one["image"]}
    return [place for place in wanted if place not in there]


def _list(connection: Connection, choice: Choice, *, ids: bool) -> Report:
    """List where the AMIs of the chosen promotions are, a row for each."""
    found = read(connection, choice)
    listed = [
        {
            "source": one["ami"],
            "name": one["name"],
            "copies": [
                _copy(each.it, one["ami"], None)
                for each in sorted(found.tracked[one["ami"]], key=lambda each: each.it.place)
            ],
        }
        for one in found.listed
    ]
    data = {"listed": listed, "left_out": found.left_out}
    if not listed:
        nothing = (found.none(connection.place),)
        return Report(data=data, warnings=nothing) if ids else Report(nothing, data)
    there = [[one for one in each["copies"] if one["image"]] for each in listed]
    if ids:
        return Report(tuple(_id(one) for copies in there for one in copies), data)
    rows = [
        (each["source"], each["name"] or "-", first_of(list(map(target_of, copies))) or "nowhere")
        for each, copies in zip(listed, there, strict=True)
    ]
    return Report((table(("SOURCE", "NAME", "IS IN"), rows, folds=("IS IN",), cuts=("NAME",)), *found.more), data)


def _family(connection: Connection, family: str, *, ids: bool) -> Report:
    read = Reader(connection).pointers(f'"{family}"')
    found = sorted((one for one in read if one.it.family == family), key=lambda one: one.it.where)
    if not found:
        raise unknown_family(connection, family)
    listed = [{**pointers.listed(one), "kept": not one.it.unwanted} for one in found]
    at_fault = [one for one in listed if one["fault"]]
    data = {"family": family, "pointers": listed}
    if not ids:
        said = ["", *pointers.lines(at_fault, wide=False)] if at_fault else []
        return Report((*_pointers(family, listed), *said), data)
    images = (_id(one) for one in listed if one["image"] and one["kept"])
    warnings = tuple(f"{place_of(one)}: {one['parameter']}: {one['fault']['what']}" for one in at_fault)
    return Report(tuple(images), data, warnings=warnings)


def _id(one: Mapping[str, Any]) -> RenderableType:
    return Whole(f"{target_of(one)} {one['image']}")


def _pointers(family: str, found: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Write a table for each parameter; several stand there if the targets file has named another."""
    for same in groups(found, lambda one: one["parameter"]):
        rows = [(target_of(one), one["image"] or "-", one["source"] or "-") for one in same]
        yield Folded(f"Family {family}, parameter {same[0]['parameter']}:")
        yield table(("TARGET", "AMI", "SOURCE"), rows)
        for alike in groups(filter(_remark, same), _remark):
            yield Folded(f"{named([place_of(one) for one in alike])}: {_remark(alike[0])}", 2)


def _remark(pointer: Mapping[str, Any]) -> str:
    lost = "" if pointer["kept"] else "The targets file no longer sets it, so nobody keeps it up to date."
    at = f"at {pointer['pinned']}"
    return f"{lost} A {pointers.held(pointer['pinned_why'], at)}".lstrip() if pointer["pinned"] else lost


def _find(connection: Connection, ami: str) -> dict[str, Any]:
    """Find the promotion that an AMI belongs to: its own, or the one that made it."""
    reader = Reader(connection)
    promotion, source = reader.promotion(ami), ami
    asked = {"ami": ami, "account": connection.account, "region": connection.region}
    if promotion is None:
        made = reader.made_from(ami)
        if not made:
            raise NotDone(unknown(ami, connection))
        source = made[0].key.name
        promotion = reader.promotion(source)
        asked |= {"account": made[0].it.account, "region": made[0].it.region}
    tracked = reader.tracked(source)
    deliveries = reader.deliveries(one.it.delivery for one in tracked if one.it.state in (*GOOD, RUNNING))
    named = reader.many(filter(None, map(pointers.key_of, deliveries.values())))
    shown = {ident: pointers.of_delivery(one, named) for ident, one in deliveries.items()}
    states = {ident: str(one.state) for ident, one in deliveries.items()}
    copies = (
        {**_copy(one.it, source, shown.get(one.it.delivery)), "state": states.get(one.it.delivery, one.it.state)}
        for one in tracked
    )
    return {
        "source": source,
        "name": promotion.it.image_name if promotion else "",
        "account": connection.account,
        "region": connection.region,
        "asked": asked,
        "recall": recalls.read(connection, source),
        "copies": sorted(copies, key=place_of),
    }


def _copy(entry: TrackedDelivery, source: str, pointer: Mapping[str, Any] | None) -> dict[str, Any]:
    image = image_of(entry, source)
    return {
        "account": entry.account,
        "region": entry.region,
        "state": entry.state,
        "image": image,
        "own": entry.state != "shared",
        "current": None if not (image and pointer and pointer["parameter"]) else pointer["image"] == image,
    }


def _places(connection: Connection, target: str, found: Mapping[str, Any]) -> list[str]:
    """Return the targets that a word means; raises NotDone if it means none."""
    if not target[0].isdigit():
        resolution = named_targets(applied_file(connection), [target])
        wanted = [one.place for one in resolution.targets]
        wanted += [place_of(one) for one in found["copies"] if one["account"] in resolution.blocked]
        if not wanted:
            what = "the group has no account now to which the AMI could be delivered."
            raise NotDone(Fault("no-target", target, what, "See `ami-promoter targets members`, and the targets file."))
        return wanted
    listed = [place_of(one) for one in found["copies"] if is_named(place_of(one), [target])]
    if not listed:
        cure = f"See `ami-promoter where {found['source']}`."
        raise NotDone(Fault("not-delivered", target, "the AMI has no delivery there.", cure))
    return listed


def _lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    asked = found["asked"]
    if asked["ami"] != found["source"]:
        yield f"{asked['ami']} in account {asked['account']}, {asked['region']} is a copy."
    yield f"Source: {found['source']} {found['name']} in account {found['account']}, {found['region']}"
    yield from recalls.lines(found["source"], found["recall"])
    families = any(one["current"] is not None for one in found["copies"])
    rows: list[Sequence[RenderableType]] = [
        (
            target_of(one),
            state(one["state"]),
            f"{one['image'] or '-'}{'' if one['own'] else ' (the hub shares its own)'}",
            *([{True: "yes", False: "no", None: "-"}[one["current"]]] if families else []),
        )
        for one in found["copies"]
    ]
    if rows:
        yield table(("TARGET", "STATE", "AMI", *(["CURRENT"] if families else [])), rows, folds=("AMI",))
