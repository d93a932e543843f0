"""The verbs ``where`` and ``resolve``: from a source to its copies, and from a copy back to its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader
from ami_promoter.promotions.outcome import GOOD
from ami_promoter.promotions.reading import unknown
from ami_promoter.rights import FIND_DELIVERIES, READ
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.output import cell, state, table
from ami_promoter.terminal.report import Report
from ami_promoter.verbs import Matching, VerbCaller, ami_argument, verb
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place

COPY = js.thing(
    "the AMI of one target",
    account=js.text("account id of the target"),
    region=js.text("Region of the target"),
    state=js.text("state of the delivery: delivered, shared, running, failed, cancelled or withdrawn"),
    image=js.perhaps(js.text("id of the AMI that the target can launch; null: none, or no longer")),
    own=js.flag("whether the target owns the AMI; false: the hub owns it and shares it"),
)
WHERE = js.thing(
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
    copies=js.several("one entry for each target, sorted by account and Region", COPY),
)
TARGET = Matching(
    "target",
    "[0-9]{12}(/[a-z0-9-]+)?|[A-Za-z][A-Za-z0-9._-]{0,62}",
    "an account's id, ACCOUNT/REGION, or a group's name",
)


@verb("where", needs=READ | FIND_DELIVERIES, prints=WHERE, reads=True)
@ami_argument
def where(caller: VerbCaller, ami: str) -> Report:
    """Show an AMI's source and all its copies.

    AMI may be the source or a copy in any account.
    """
    connection = caller.connect()
    found = _find(connection, ami)
    if isinstance(found, Fault):
        return Report(faults=(found,))
    return Report(tuple(_lines(found)), found)


@verb(
    "resolve",
    needs=READ | FIND_DELIVERIES,
    reads=True,
    prints=js.thing(images=js.several("one entry for each target, sorted by account and Region", COPY)),
)
@ami_argument
@click.argument("target", type=TARGET)
def resolve(caller: VerbCaller, ami: str, target: str) -> Report:
    """Print the AMI ids of a target or group, for scripts.

    Prints one id on each line. TARGET: an account, ACCOUNT/REGION, or a group of the applied targets file. If one of
    the targets has no AMI, prints no id; the exit status is 1.
    """
    connection = caller.connect()
    found = _find(connection, ami)
    if isinstance(found, Fault):
        return Report(faults=(found,))
    places = _places(connection, target, found["copies"])
    if isinstance(places, Fault):
        return Report(faults=(places,))
    there = {(one["account"], one["region"]): one for one in found["copies"] if one["image"]}
    if missing := [place for place in places if place not in there]:
        named = ", ".join(" ".join(place) for place in missing)
        what, cure = f"it is not delivered to {named}.", f"`ami-promoter status {found['source']}` shows why."
        return Report(faults=(Fault("not-delivered", ami, what, cure),))
    images = [there[place] for place in places]
    return Report(tuple(str(one["image"]) for one in images), {"images": images})


def _find(connection: Connection, ami: str) -> dict[str, Any] | Fault:
    """Find the promotion that an AMI belongs to: its own, or the one that made it."""
    reader = Reader(connection)
    with connection.telling("reading the records"):
        promotion, source = reader.promotion(ami), ami
        asked = {"ami": ami, "account": connection.account, "region": connection.region}
        if promotion is None:
            made = reader.made_from(ami)
            if not made:
                return unknown(ami, connection)
            source = made[0].key.name
            promotion = reader.promotion(source)
            asked |= {"account": made[0].it.account, "region": made[0].it.region}
        tracked = reader.tracked(source)
    return {
        "source": source,
        "name": promotion.it.image_name if promotion else "",
        "account": connection.account,
        "region": connection.region,
        "asked": asked,
        "copies": sorted((_copy(one.it, source) for one in tracked), key=lambda one: (one["account"], one["region"])),
    }


def _copy(entry: TrackedDelivery, source: str) -> dict[str, Any]:
    own = entry.state != "shared"
    image = (entry.image or None) if own else source
    return {
        "account": entry.account,
        "region": entry.region,
        "state": entry.state,
        "image": image if entry.state in GOOD else None,
        "own": own,
    }


def _places(connection: Connection, target: str, copies: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]] | Fault:
    """Return the targets that a word means."""
    account, region = Place.parse(target)
    if not account.isdigit():
        meant = applied_file(connection).resolve(target)
        if not meant.understood:
            return next(iter(meant.faults), meant.waits) or Fault("unknown-group", target, "it is not known.", "")
        return [(one.account, one.region) for one in meant.targets]
    if region:
        return [(account, region)]
    named = [(one["account"], one["region"]) for one in copies if one["account"] == account]
    return named or Fault("not-delivered", target, "the AMI has no delivery there.", "See `ami-promoter where`.")


def _lines(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    asked = found["asked"]
    if asked["ami"] != found["source"]:
        yield f"{asked['ami']} in account {asked['account']}, {asked['region']} is a copy."
    yield f"Source: {found['source']} {found['name']} in account {found['account']}, {found['region']}"
    rows = [
        (
            cell(f"{one['account']} {one['region']}"),
            state(one["state"]),
            cell(f"{one['image'] or '-'}{'' if one['own'] else ' (the hub shares its own)'}"),
        )
        for one in found["copies"]
    ]
    if rows:
        yield table(("TARGET", "STATE", "AMI"), rows, folds=("AMI",))
