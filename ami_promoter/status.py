"""The command ``status``: how promotions stand, read from the service's table as it is now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ami_promoter import members, pausing
from ami_promoter.arguments import Call
from ami_promoter.aws import Connection
from ami_promoter.records import Reader, Record, holdings
from ami_promoter.report import Report, moment
from chalicelib.core import addresses, codec
from chalicelib.core.delivery import permissions
from chalicelib.core.delivery.model import ENDED, Delivery, snapshots_of
from chalicelib.core.faults import Fault
from chalicelib.core.image import SourceImage
from chalicelib.core.share import Share, hard_end

OPEN = ("opening", "open", "closing")
"""States of a share in which its permission may be there."""

RESOURCE = 2
"""So many # are in the name of a resource at least."""


def run(call: Call, region: str) -> Report:
    """List all promotions, or show one; may raise Trouble."""
    connection = Connection(region, call.options.get("--table"))
    reader = Reader(connection)
    with connection.telling("reading the records"):
        report = _one(reader, connection, call.operand) if call.operand else _all(reader, connection)
        said = tuple(members.trouble_lines(connection))
    if said:
        report = replace(report, lines=(*said, "", *report.lines))
    paused = pausing.Switch(connection).read()
    if paused is None:
        return replace(report, data={**report.data, "paused": None})
    first = f"Paused {pausing.said(paused)}. Nothing new is begun."
    return replace(report, lines=(first, "", *report.lines), data={**report.data, "paused": pausing.to_json(paused)})


def _all(reader: Reader, connection: Connection) -> Report:
    found = sorted(reader.promotions(), key=lambda pair: pair[0].get("since", 0), reverse=True)
    data = [_promotion(record, children) for record, children in found]
    parked = reader.parked()
    said = [f"Parked, and left alone: {pk}: {why}" for pk, why in parked.items()]
    more = {"parked": [{"record": pk, "why": why} for pk, why in parked.items()]}
    if not data:
        return Report((f"No promotion is known in {connection.place}.", *said), {"promotions": [], **more})
    rows = [
        (p["ami"], p["state"], p["since"], p["value"] if p["value"] is not None else "-", _counts(p["deliveries"]))
        for p in data
    ]
    lines = _table(("AMI", "STATE", "SINCE", "VALUE", "DELIVERIES"), rows)
    return Report((f"Promotions in {connection.place}:", *lines, *said), {"promotions": data, **more})


def _one(reader: Reader, connection: Connection, ami: str) -> Report:
    record = reader.promotion(ami)
    if record is None:
        what = f"no promotion of it is known in {connection.place}."
        cure = "Tag it in the hub, or wait: a tag whose event was lost is found within five minutes."
        return Report(faults=(Fault("unknown-ami", ami, what, cure),))
    children = reader.children(ami)
    by_place = {(child["_item"]["sk"], "record"): child for child in children}
    read = reader.many(by_place)
    found = (_with_place(read[place], child) for place, child in by_place.items() if place in read)
    deliveries = sorted(found, key=_place)
    shares = _open_shares(reader, ami, deliveries)
    data = {
        **_promotion(record, children),
        "faults": record.get("faults", []),
        "deliveries": [_delivery(delivery) for delivery in deliveries],
        "open_shares": shares,
    }
    return Report(tuple(_page(data, _counts(_states(children)), connection)), data)


def _open_shares(reader: Reader, ami: str, deliveries: Sequence[Record]) -> list[dict[str, Any]]:
    """The shares these deliveries have held that may be open still, whoever holds them now."""
    source = reader.source_image(ami)
    held = (place for d in deliveries for place in (_over(d, source) if d.get("state") in ENDED else _shares(d)))
    places = [(resource, f"share#{holder}") for resource, holder in held]
    found = sorted(reader.many(places).items())
    return [open_share(pk, share) for (pk, _), share in found if share.get("state") in OPEN]


def _shares(delivery: Record) -> Iterator[tuple[str, str]]:
    """(resource, holder_key) of the shares that it holds or has held; damaged ones are left out."""
    for share in delivery.get("shares", ()):
        if str(share.get("resource")).count("#") >= RESOURCE:
            yield str(share["resource"]), str(share.get("holder"))


def _over(delivery: Record, source: SourceImage | None) -> Iterator[tuple[str, str]]:
    """(resource, holder_key) of the shares that it can have held: one that is over has no list of its own."""
    try:
        over = codec.decode(Delivery, {name: value for name, value in delivery.items() if name != "_item"})
    except ValueError:  # damaged
        return
    snapshots = () if source is None else snapshots_of(source)
    for share in permissions.needed(replace(over, snapshots=snapshots)):
        yield share.resource, share.holder


def open_share(pk: str, share: Record) -> dict[str, Any]:
    """Show a share for a program."""
    return {
        "resource": pk.removeprefix("resource#"),
        "account": share.get("account"),
        "state": share.get("state"),
        "opened_at": moment(share.get("opened_at")),
        "preexisting": share.get("preexisting", False),
        "holdings": codec.encode(holdings(share)),
        "stays": stays(share),
        "closes_at_the_latest": moment(_end(share)),
    }


def stays(share: Record) -> bool:
    """Whether somebody holds it beyond copies, so that it is open on purpose."""
    return any(holding.stands for holding in holdings(share))


def of_target(pk: str) -> bool:
    """Whether it is a grant on a target's own key: its AMIs need it, and it is the target's to revoke."""
    return pk.count("#") >= RESOURCE and addresses.at_home(pk)


def _end(share: Record) -> int | None:
    """When it closes whoever holds it, in epoch seconds; None: not before its holder lets it go."""
    end = share["_item"].get("hard_close_at")
    if not stays(share):
        return end if isinstance(end, int) else None
    read = Share("", "", "", holdings=frozenset(holdings(share)), hard_close_at=end if isinstance(end, int) else 0)
    return hard_end(read) or None


def share_line(share: Mapping[str, Any]) -> str:
    """Show the same for a person."""
    end = f"closes by {share['closes_at_the_latest']} at the latest"
    if share["stays"]:
        end = "stays until it is withdrawn" if share["closes_at_the_latest"] == moment(None) else f"stays; {end}"
    end = "was there before us, stays" if share["preexisting"] else end
    return f"{share['resource']} to {share['account']}: {share['state']}, opened {share['opened_at']}, {end}"


def _promotion(record: Record, children: Sequence[Record]) -> dict[str, Any]:
    return {
        "ami": record["_item"]["pk"].removeprefix("promotion#"),
        "name": record.get("image_name", ""),
        "state": record.get("state"),
        "since": moment(record.get("since")),
        "value": record.get("value"),
        "candidate": record.get("candidate"),
        "why": record.get("why", ""),
        "parked": record["_item"].get("parked", ""),
        "deliveries": _states(children),
    }


def _with_place(delivery: Record, child: Record) -> Record:
    """Say whose delivery it is, from the promotion's note of it, where its own record cannot be read."""
    ident = str(child["_item"]["sk"]).removeprefix("delivery#")
    return {"id": ident, "target": {name: child.get(name) for name in ("account", "region")}, **delivery}


def _place(delivery: Record) -> tuple[str, str]:
    target = delivery.get("target", {})
    return str(target.get("account")), str(target.get("region"))


def _states(children: Sequence[Record]) -> dict[str, int]:
    return dict(sorted(Counter(str(child.get("state")) for child in children).items()))


def _delivery(record: Record) -> dict[str, Any]:
    target, state, cleanup = record.get("target", {}), record.get("state", ""), record.get("cleanup", {})
    return {
        "id": record.get("id"),
        "account": target.get("account"),
        "region": target.get("region"),
        "state": state,
        "since": moment(record.get("entered", {}).get(state)),
        "method": record.get("method", "snapshots"),
        "method_why": record.get("method_why", ""),
        "image": record.get("image"),
        "key": record.get("key_arn") or None,
        "copies": [
            {name: copy.get(name) for name in ("source", "state", "copy", "progress")}
            for copy in record.get("copies", ())
        ],
        "faults": record.get("faults", []),
        "waits_for": record.get("trouble") or record.get("blocked"),
        "leftovers": [*cleanup.get("leftovers", []), *cleanup.get("unproven", [])],
        "parked": record["_item"].get("parked", ""),
    }


def _page(data: Mapping[str, Any], counts: str, connection: Connection) -> Iterator[str]:
    yield f"{data['ami']} {data['name']}".rstrip() + f" in {connection.place}"
    value = "no tag in force" if data["value"] is None else f"value `{data['value']}`"
    yield f"{data['state']} since {data['since']}, {value}: {counts}"
    if data["candidate"] is not None:
        yield f"being examined: `{data['candidate']}`"
    yield from (line for line in (data["why"],) if line)
    yield from _troubles(data, "")
    yield ""
    rows = [
        (d["account"], d["region"], d["state"], d["since"], d["image"] or "-", _progress(d), d["key"] or "-")
        for d in data["deliveries"]
    ]
    if rows:
        yield from _table(("ACCOUNT", "REGION", "STATE", "SINCE", "NEW AMI", "COPIES", "KEY"), rows)
    for delivery in data["deliveries"]:
        place = f"{delivery['account']} {delivery['region']}: "
        yield from _method(delivery, place)
        yield from _troubles(delivery, place)
    yield ""
    shares = data["open_shares"]
    yield f"Open shares: {len(shares) or 'none'}"
    yield from (f"  {share_line(share)}" for share in shares)


def _method(delivery: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Say how it is copied where that is not the usual way, or was chosen by the service, and why."""
    way = "CopyImage" if delivery["method"] == "image" else "CopySnapshot and RegisterImage"
    if delivery["method_why"] or delivery["method"] == "image":
        yield f"{prefix}by {way}: {delivery['method_why'] or 'the targets file says so.'}"


def _troubles(data: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if data["parked"]:
        yield f"{prefix}parked: {data['parked']}"
    for fault in data["faults"]:
        yield f"{prefix}{_said(fault)}"
    if data.get("waits_for") and not data["faults"] and not data.get("image"):
        yield f"{prefix}is tried again: {_said(data['waits_for'])}"
    for leftover in data.get("leftovers", ()):
        yield f"{prefix}left behind: {leftover}"


def _said(fault: Mapping[str, Any]) -> str:
    return f"{fault.get('what', '')} {fault.get('cure', '')}".strip()


def _progress(delivery: Mapping[str, Any]) -> str:
    copies = delivery["copies"]
    done = sum(copy["state"] == "completed" for copy in copies)
    return f"{done}/{len(copies)}" if copies else "-"


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items()) or "no deliveries"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(str(row[column])) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
