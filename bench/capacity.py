"""DynamoDB's read and write units, counted from the items themselves, by what they are for.

A read unit is 4 KB read consistently (half of one if eventually consistent), a write unit 1 KB; each item of a
transaction costs twice, each changed item of an index costs a write of its own, and a refused condition costs what the
write would have. [DynamoDB developer guide, read and write operations]
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from awsim.api import Call
from awsim.moto_backend import Tables
from awsim.protocol import Response

Item = Mapping[str, Mapping[str, Any]]
Place = tuple[str, str, str]
"""Table, partition key, sort key."""
READ, WRITE = 4096, 1024
INDEXED = ("due_shard", "wake_at", "pk", "sk", "due_at", "latest")
"""What the index ``due`` holds of an item."""
PURPOSES = {
    "promotion": "the promotion",
    "heads": "the promotion's head",
    "delivery": "the delivery",
    "quota": "copy slots",
    "resource": "the ledger of shares",
    "standing": "standing shares",
    "copy": "look-ups for events",
    "image": "look-ups for events",
    "history": "history",
    "index": "the index of what is due",
    "targets": "the applied file and members",
    "members": "the applied file and members",
    "switches": "the applied file and members",
    "applied": "the applied file and members",
    "withdrawals": "withdrawals",
    "pointer": "the parameter of a family",
    "pins": "the parameter of a family",
    "sweep": "how far sweep and discovery have come",
    "cursors": "how far sweep and discovery have come",
    "discovery": "how far sweep and discovery have come",
}
"""Beginning of a partition key -> what the item is for."""


@dataclass
class CapacityUnits:
    """Read and write units by function and purpose. Hooks of the gateway: ``before`` a call, and ``answered``."""

    reads: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By invocation and operation."""
    items: Counter[str] = field(default_factory=Counter)
    """Items written, by purpose."""
    stored: int = 0
    """Bytes by which the tables have grown."""
    _tables: Tables = field(default_factory=Tables)
    _was: dict[str, dict[Place, Item]] = field(default_factory=dict)

    def before(self, call: Call) -> None:
        """Remember the items that a call is about to write."""
        if call.service == "dynamodb" and call.invocation is not None:
            self._was[call.request_id] = {place: self._item(call, place, key) for place, key in _written(call)}

    def answered(self, call: Call, answer: Response) -> None:
        """Count what a call has cost."""
        if call.service != "dynamodb" or call.invocation is None:
            return
        self.calls[call.invocation, call.operation] += 1
        was = self._was.pop(call.request_id, {})
        if was or call.operation in {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}:
            self._count_writes(call, was)
        elif call.error is None:
            self._count_reads(call, json.loads(answer[2] or b"{}"))

    def _count_writes(self, call: Call, was: Mapping[Place, Item]) -> None:
        twice = 2 if call.operation == "TransactWriteItems" else 1
        for place, key in _written(call):
            old, new = was.get(place, {}), self._item(call, place, key)
            purpose = purpose_of(place)
            self.writes[call.invocation or "", purpose] += twice * capacity_units(max(size(old), size(new)), WRITE)
            self.items[purpose] += 1
            self.stored += size(new) - size(old)
            changed = sum(capacity_units(size(entry), WRITE) for entry in _entries(_indexed(old), _indexed(new)))
            if changed and call.error is None:
                self.writes[call.invocation or "", PURPOSES["index"]] += changed

    def _count_reads(self, call: Call, answer: Mapping[str, Any]) -> None:
        params, invocation = call.params, call.invocation or ""
        if call.operation == "GetItem":
            found = answer.get("Item", {})
            place = _place(params["TableName"], params["Key"])
            self.reads[invocation, purpose_of(place)] += _read(params, size(found))
        elif call.operation == "BatchGetItem":
            for table, asked in params["RequestItems"].items():
                found = {_place(table, item): item for item in answer["Responses"].get(table, ())}
                for key in asked["Keys"]:
                    place = _place(table, key)
                    self.reads[invocation, purpose_of(place)] += _read(asked, size(found.get(place, {})))
        elif call.operation == "Query":
            items = answer.get("Items", ())
            given = params.get("ExpressionAttributeValues", {})
            first = next((value["S"] for value in given.values() if "S" in value), "")
            purpose = PURPOSES["index"] if "IndexName" in params else purpose_of((params["TableName"], first, ""))
            self.reads[invocation, purpose] += _read(params, sum(map(size, items)))

    def _item(self, call: Call, place: Place, key: Item) -> Item:
        return self._tables.item(call.caller.account, call.region, place[0], key)


def purpose_of(place: Place) -> str:
    """Say what an item is for."""
    _, pk, sk = place
    kind = "history" if sk.startswith("history#") else pk.partition("#")[0]
    return PURPOSES.get(kind, kind)


def capacity_units(size_in_bytes: int, size_of_unit: int) -> int:
    """Return the read or write units for so many bytes: one at least."""
    return max(1, math.ceil(size_in_bytes / size_of_unit))


def size(item: Item) -> int:
    """Bytes of an item, as DynamoDB counts: names and values."""
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return len(str(inner)) // 2 + 2
        case "S":
            return len(str(inner).encode())
        case "SS":
            return sum(len(str(one).encode()) for one in inner)
        case "L":
            return 3 + sum(1 + _value(one) for one in inner)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value(one) for name, one in inner.items())
        case _:
            return 1


def _read(request: Mapping[str, Any], size_in_bytes: int) -> float:
    return capacity_units(size_in_bytes, READ) / (1 if request.get("ConsistentRead") else 2)


def _indexed(item: Item) -> Item:
    return {name: item[name] for name in INDEXED if name in item} if "due_shard" in item and "wake_at" in item else {}


def _entries(old: Item, new: Item) -> Iterator[Item]:
    """Yield what the index writes: a changed key is a deletion and an insertion."""
    if old == new:
        return
    moved = old and new and any(old[name] != new[name] for name in ("due_shard", "wake_at"))
    if moved:
        yield old
        yield new
    else:
        yield new or old


def _written(call: Call) -> Iterator[tuple[Place, Item]]:
    requests = [call.params]
    if call.operation == "TransactWriteItems":
        requests = [request for one in call.params["TransactItems"] for request in one.values()]
    elif call.operation not in {"PutItem", "UpdateItem", "DeleteItem"}:
        return
    for request in requests:
        key = request.get("Key") or request["Item"]
        yield _place(request["TableName"], key), key


def _place(table: str, key: Item) -> Place:
    return table, key["pk"]["S"], key["sk"]["S"]
