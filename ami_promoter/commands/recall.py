"""The verb ``recall``: takes one AMI back everywhere, until that is lifted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from ami_promoter.hub import recalls, record_requests
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.hub_images import copied_from
from ami_promoter.hub.records import Reader, RecordSeen, image_of, place_of
from ami_promoter.promotions import pointers
from ami_promoter.promotions.promotion_data import BAD
from ami_promoter.reconcile import uses
from ami_promoter.rights import ASK_TARGETS, FIND_DELIVERIES, LOOK_AGAIN, READ, SWITCH
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.alike import example, groups, named, place
from ami_promoter.terminal.output import Folded
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import WHY, VerbCaller, ami_argument, verb, yes_option
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.faults import Fault
from chalicelib.release.current import current
from chalicelib.release.pointer import Pointer
from chalicelib.targets.recalls import Recall

DOES: Mapping[str, str] = {
    RUNNING: "the delivery ends; an AMI that is being made stays, and is deprecated",
    "delivered": "the AMI is deprecated, and disabled where the account's template allows it",
    "shared": "the shares close",
    "recalled": "it is recalled already",
}
"""What a recall does to a delivery, by its state; nothing to the others."""
RESTORED = "the AMI is as before, but for launch permissions that disabling it has removed"
AGAIN = "it begins again if the tag names the target, and no operator has withdrawn that"
LIFTS: Mapping[str, str] = {
    RUNNING: f"what the recall began ends first; then {RESTORED}, or {AGAIN}",
    "recalled": RESTORED,
} | dict.fromkeys(BAD, AGAIN)
"""What the lift of a recall does to a delivery."""
PRINTS = js.thing(
    ami=js.text("id of the source AMI"),
    changed=js.flag("whether this command changed the recall"),
    recalled=js.flag("whether the AMI is recalled now"),
    why=js.text("the reason of the recall"),
    by=js.text("ARN of the operator who recalled it; empty: nobody did"),
    deliveries=js.several(
        "deliveries of the AMI, sorted by account and Region",
        js.thing(
            **js.PLACE,
            state=js.text("state of the delivery"),
            does=js.text("what happens to it; empty: nothing"),
            image=js.perhaps(js.text("id of the AMI there; null: none")),
            parameter=js.perhaps(js.text("the parameter that names the AMI there; null: none does")),
            kept=js.flag("whether the service keeps it up to date; false: none is there, or the file has lost it"),
            moves_to=js.perhaps(
                js.text("id of the AMI that the parameter will name; null: it stays, or is deleted in share mode")
            ),
        ),
    ),
)
PATIENCE = 10
"""Seconds for which it waits before it asks, until the targets say who uses the AMI: a recall is urgent."""


@verb("recall", needs=READ | FIND_DELIVERIES | LOOK_AGAIN | SWITCH | ASK_TARGETS, prints=PRINTS)
@ami_argument
@click.option("--why", type=WHY, help="The reason, for the notices; needed without --lift.")
@click.option("--lift", is_flag=True, help="End the recall.")
@yes_option
def recall(caller: VerbCaller, ami: str, why: str | None, *, lift: bool) -> Report:
    """Take an AMI back in all targets, until --lift ends that.

    Nothing promotes it any more, whatever its tag says. Running deliveries end, standing shares close, parameters that
    name it move to what is then current, and each copy is deprecated as of now. Nothing is deregistered. A pause delays
    none of this.

    The command asks first, and shows what names the AMI in each target that answers within seconds. `status` shows the
    progress.
    """
    if not lift and why is None:
        raise click.UsageError("Say why: `--why TEXT` goes into the notices.")
    if lift and why is not None:
        raise click.UsageError("--why has no effect with --lift.")
    connection = caller.connect()
    every = recalls.every(connection)
    stands = every.get(ami)
    if stands is None and lift:  # a request that was lost is made again, here and below
        record_requests.recall(connection, ami)
        return Report((f"Nothing to do: {ami} is not recalled.",), _data(ami, None))
    if stands is None and (copied := _copied(connection, ami)) is not None:
        raise NotDone(copied)
    deliveries = _deliveries(connection, ami, every.keys() - {ami} if lift else {*every, ami}, lift=lift)
    lines = tuple(_lines(deliveries, lift=lift, wide=caller.wide))
    if stands is not None and not lift:
        said = recalls.said(recalls.to_json(stands) or {})
        record_requests.recall(connection, ami)
        return Report((f"Nothing to do: {ami} was {said}", *lines), _data(ami, stands, deliveries))
    does = f"This lifts the recall of {ami}" if lift else f"This recalls {ami} in all targets"
    if not (lift or caller.yes or caller.alone):
        lines += tuple(_used(connection, caller, ami, deliveries))
    shown = caller.confirm(does, lines)
    if lift:
        recalls.lift(connection, ami)
        record_requests.recall_lifted(connection, ami)
        done = f"The recall of {ami} is lifted. What had begun is promoted again, if its tag names it."
        return Report((*shown, done), _data(ami, None, deliveries, changed=True))
    recall = recalls.recall_it(connection, ami, why or "")
    record_requests.recall(connection, ami)
    done = f"{ami} is recalled. `ami-promoter status {ami} --watch` shows each target."
    return Report((*shown, done), _data(ami, recall, deliveries, changed=True))


def _used(
    connection: Connection, caller: VerbCaller, ami: str, deliveries: Iterable[Mapping[str, Any]]
) -> Iterator[RenderableType]:
    """Say who uses the AMI. A refusal delays no recall, and Ctrl-C ends the waiting alone."""
    try:
        yield from uses.lines(uses.ask(connection, caller.clock, deliveries, PATIENCE, in_all=True), ami)
    except HubError as error:
        yield f"Who uses it is not known: {error.fault.what}"
    except KeyboardInterrupt:
        yield Folded(f"Who uses it is not known yet; `ami-promoter where {ami} --use` shows it, or why not.")


def _data(ami: str, stands: Recall | None, deliveries: Sequence[Any] = (), *, changed: bool = False) -> dict[str, Any]:
    why, by = (stands.why, stands.by) if stands else ("", "")
    whole = {"ami": ami, "changed": changed, "recalled": stands is not None, "why": why, "by": by}
    return {**whole, "deliveries": list(deliveries)}


def _copied(connection: Connection, ami: str) -> Fault | None:
    """Return the fault that it is a copy; a source, which has a promotion, is recalled even if nobody can see that."""
    try:
        return copied_from(connection, ami)
    except HubError:
        if Reader(connection).promotion(ami) is None:
            raise
        return None


def _deliveries(connection: Connection, ami: str, recalled: Collection[str], *, lift: bool) -> list[dict[str, Any]]:
    """Say for each delivery what a recall, or its lift, does. ``recalled``: the AMIs that are then recalled."""
    reader = Reader(connection)
    tracked = [one.it for one in reader.tracked(ami)]
    found = reader.deliveries(entry.delivery for entry in tracked)
    keys = {ident: key for ident, one in found.items() if (key := pointers.key_of(one))}
    shown: Mapping[RecordKey, RecordSeen[Pointer]] = reader.many(keys.values())
    at = {delivery: shown[key] for delivery, key in keys.items() if key in shown}
    every = [_one(entry, recalled, at.get(entry.delivery), ami, lift=lift) for entry in tracked]
    for entry, one in zip(tracked, every, strict=True):
        if lift and entry.state == "recalled" and entry.delivery in found and found[entry.delivery].it.launch.kept:
            one["does"] = AGAIN  # it was not tested
    return sorted(every, key=place_of)


def _one(
    entry: TrackedDelivery, recalled: Collection[str], pointer: RecordSeen[Pointer] | None, ami: str, *, lift: bool
) -> dict[str, Any]:
    does = LIFTS.get(entry.state, "") if lift else DOES.get("delivered" if entry.has_copy else entry.state, "")
    names = pointer is not None and pointer.it.source == ami
    after = None
    if pointer is not None and names and not lift:
        releases = pointer.it.launchable
        after = current(releases, [one.image for one in releases], recalled, pointer.it.pin)
    return {
        "account": entry.account,
        "region": entry.region,
        "state": entry.state,
        "does": does,
        "image": entry.image if entry.has_copy else image_of(entry, ami),
        "parameter": pointer.it.parameter if pointer is not None and names else None,
        "kept": pointer is not None and names and not pointer.it.unwanted,
        "moves_to": after.image if after else None,
    }


def _lines(deliveries: Sequence[Mapping[str, Any]], *, lift: bool, wide: bool) -> Iterator[RenderableType]:
    if not deliveries:
        yield f"It has no deliveries{'' if lift else ': check the id. None begins while it is recalled'}."

    def same(one: Mapping[str, Any]) -> tuple[object, ...]:
        """The parameter moves to another AMI in each target, because each owns its copy."""
        return one["state"], one["does"], one["parameter"], one["kept"], one["moves_to"] is None

    for group in groups(deliveries, same, each=wide):
        first = group[0]
        yield Folded(f"{named([place_of(one) for one in group])}: {first['state']}; {first['does'] or 'stays so'}.", 2)
        if first["parameter"] and not lift:
            lost = "" if first["kept"] else " if the file still has the target: it no longer sets the parameter"
            alone = f"is deleted{lost}" if first["state"] == "shared" else "stays as it is"
            stays = f"{alone}: no other AMI of the family is known there"
            moves = f"moves to {first['moves_to']}{lost}" if first["moves_to"] else stays
            of = example(place(place_of(first)), {one["moves_to"] for one in group})
            yield Folded(f"{of}The parameter {first['parameter']} {moves}.", 4)
