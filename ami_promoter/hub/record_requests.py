"""Asks an AMI's record to look again, and parked records to go on."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ami_promoter.hub.aws import Connection
from ami_promoter.hub.records import Reader, unread
from ami_promoter.hub.wakes import wake
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import Table
from chalicelib.core.delivery.model import ACCEPTED
from chalicelib.core.promotion.machine import WITHDRAW
from chalicelib.core.records import addresses
from chalicelib.ports.records import MadeDue


def look_again(connection: Connection, ami: str, place: str = "", *, written: bool = False) -> bool:
    """Make an AMI's record look at its tag, as at a new event; False if there is none.

    ``place``: only failed deliveries to this account, or ACCOUNT/REGION, start again; several by commas.
    ``written``: the tag was written just now, with whatever value, which ends what was withdrawn before.
    """
    now = int(connection.now())
    with connection.telling("asking the service to look again (the tag is written)"):
        places = _with_unread(connection, ami, place)
        asked = {"retry": f"{time.time_ns()}:{places}", **({"written": str(now)} if written else {})}
        known = _records(connection).make_due(addresses.promotion(ami), now, asked) is not MadeDue.NONE
    if known:
        wake(connection, [addresses.promotion(ami)])
    return known


def _with_unread(connection: Connection, ami: str, place: str) -> str:
    """Add to the places those of another command's request that the service has not read yet; "" means all."""
    record = Reader(connection).promotion(ami)
    waiting = None if record is None else unread(record, "retry")
    if record is None or waiting is None:
        return place
    others = str(waiting).partition(":")[2]
    return ",".join(sorted({*place.split(","), *others.split(",")})) if place and others else ""


def withdraw(connection: Connection, ami: str, value: str) -> None:
    """Make an AMI's record, and the pass over standing shares, read whom an operator has withdrawn.

    ``value``: the tag's value, which the record may not have seen yet.
    """
    now, stamp = int(connection.now()), str(time.time_ns())
    with connection.telling("asking the service to withdraw (run the command again)"):
        standing = addresses.standing(ami)
        table = Table(connection.dynamodb, connection.table)
        given = {":at": stamp, ":kind": "standing", ":none": 0}
        fresh = "kind = if_not_exists(kind, :kind), episode = if_not_exists(episode, :none)"
        table.update(standing, f"SET withdrawn = :at, {fresh}", given)
        asked = {WITHDRAW: stamp, "seen": f"{stamp}:{value}"}
        _records(connection).make_due(addresses.promotion(ami), now, asked)
    wake(connection, [addresses.promotion(ami)])


def accept(connection: Connection, deliveries: Iterable[str], image: str) -> None:
    """Write on each of an account's deliveries that a person has compared the AMI; in other Regions none is found."""
    with connection.telling(f"accepting {image}"):
        for ident in deliveries:
            _records(connection).leave(addresses.delivery(ident), {ACCEPTED: image}, int(connection.now()))


def unpark(connection: Connection, keys: Iterable[addresses.RecordKey]) -> list[addresses.RecordKey]:
    """Let parked records go on; return those that were parked."""
    with connection.telling("letting parked records continue"):
        return [key for key in keys if _records(connection).unpark(key, int(connection.now()))]


def _records(connection: Connection) -> DynamoRecords:
    return DynamoRecords(Table(connection.dynamodb, connection.table))
