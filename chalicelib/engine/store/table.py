"""A DynamoDB table with Python values. A failed condition is an answer here, not an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.aws import sdk
from chalicelib.engine.budget import slices
from chalicelib.engine.ports import NOTHING

CONDITION_FAILED = "ConditionalCheckFailedException"
CONFLICT = "TransactionConflictException"
CONFLICT_TRIES = 5
A_BATCH = 100
"""The most items of one BatchGetItem."""
NEWEST_AT_ONCE = 10
"""Items of one Query that begins with the newest: who asks for these stops soon."""

EXPIRES = "expires_at"
"""The attribute for DynamoDB's TTL: epoch seconds after which DynamoDB deletes the item."""
KEEP_HISTORY_DAYS = 400
"""Days for which history, look-ups and closed shares are kept, unless the parameter KeepHistoryDays says otherwise."""

ABSENT = "attribute_not_exists(pk)"


def values(item: Mapping[str, Any]) -> dict[str, Any]:
    """Turn DynamoDB's wire shape into Python values; whole numbers become int."""
    read = sdk.TypeDeserializer().deserialize
    plain = {name: read(value) for name, value in item.items()}
    return {name: int(value) if hasattr(value, "as_tuple") else value for name, value in plain.items()}


def wire(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Turn Python values into DynamoDB's wire shape."""
    write = sdk.TypeSerializer().serialize
    return {name: write(value) for name, value in attributes.items()}


def _key(key: RecordKey) -> dict[str, Any]:
    return wire(key._asdict())


def _parts(condition: str | None, given: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Build the part of a write that has its condition, and its values and names; DynamoDB takes no empty ones."""
    parts = {
        "ConditionExpression": condition,
        "ExpressionAttributeValues": wire(given),
        "ExpressionAttributeNames": dict(names or {}),
    }
    return {name: part for name, part in parts.items() if part}


def setting(
    attributes: Mapping[str, Any],
    given: Mapping[str, Any] = NOTHING,
    keeping: Collection[str] = (),
    removing: Collection[str] = (),
) -> dict[str, Any]:
    """Return the arguments of an update that sets these attributes; ``keeping``: those that stay if they are there.

    ``given``: further values for its condition, where ``#NAME`` is an attribute and ``:NAME`` its new value, or ``#n0``
    and ``:n0`` of the first attribute if its name is no identifier, and so on.
    """
    names = enumerate([*attributes, *removing])
    places = {name: name if name.isidentifier() else f"n{number}" for number, name in names}
    new = {places[name]: value for name, value in attributes.items()}
    kept = {places[name] for name in keeping}
    assigned = (f"#{n} = if_not_exists(#{n}, :{n})" if n in kept else f"#{n} = :{n}" for n in new)
    clauses = {"REMOVE": ", ".join(f"#{places[name]}" for name in removing), "SET": ", ".join(assigned)}
    return {
        "expression": " ".join(f"{clause} {parts}" for clause, parts in clauses.items() if parts),
        "given": {**{f":{place}": value for place, value in new.items()}, **given},
        "names": {f"#{place}": name for name, place in places.items()},
    }


class Table:
    """One DynamoDB table, through a low-level client."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: RecordKey) -> dict[str, Any] | None:
        """Read an item consistently."""
        answer = self._client.get_item(TableName=self.name, Key=_key(key), ConsistentRead=True)
        return values(answer["Item"]) if "Item" in answer else None

    def get_all(self, keys: Sequence[RecordKey]) -> Iterator[dict[str, Any]]:
        """Read items consistently, each at its own time and in any order; leave out missing items.

        DynamoDB may answer in several parts.
        """
        for some in slices(keys, A_BATCH):
            asked: dict[str, Any] = {self.name: {"Keys": list(map(_key, some)), "ConsistentRead": True}}
            while asked:
                answer = self._client.batch_get_item(RequestItems=asked)
                yield from map(values, answer["Responses"].get(self.name, ()))
                asked = answer.get("UnprocessedKeys", {})

    def put(self, key: RecordKey, attributes: Mapping[str, Any], *, absent: bool = False) -> bool:
        """Write an item whole; ``absent``: only if there is none. False: there was one."""
        return self.do("put_item", self.put_request(key, attributes, ABSENT if absent else ""))

    def put_unless_changed(self, key: RecordKey, attributes: Mapping[str, Any], name: str, seen: int) -> dict[str, Any]:
        """Build a put of a whole item, if there is none, or if its number ``name`` is still the one that was read."""
        request = self.put_request(key, attributes, "attribute_not_exists(pk) OR #number = :seen", {":seen": seen})
        return {**request, "ExpressionAttributeNames": {"#number": name}}

    def update(self, key: RecordKey, *update: Any, returning: str = "NONE", **more: Any) -> dict[str, Any] | None:
        """Make an update of ``update_request``; returns the asked attributes, or None if its condition did not hold."""
        request = self.update_request(key, *update, **more)
        answer = self._conditional(lambda: self._client.update_item(**request, ReturnValues=returning))
        return None if answer is None else values(answer.get("Attributes", {}))

    def update_request(
        self,
        key: RecordKey,
        expression: str,
        given: Mapping[str, Any],
        *,
        names: Mapping[str, str] | None = None,
        condition: str | None = None,
    ) -> dict[str, Any]:
        """Build an update, for use alone or in a transaction."""
        parts = _parts(condition, given, names)
        return {"TableName": self.name, "Key": _key(key), "UpdateExpression": expression, **parts}

    def put_request(
        self, key: RecordKey, attributes: Mapping[str, Any], condition: str = "", given: Mapping[str, Any] = NOTHING
    ) -> dict[str, Any]:
        """Build a put, for use in a transaction."""
        request = {"TableName": self.name, "Item": wire({**attributes, "pk": key.pk, "sk": key.sk})}
        return {**request, **_parts(condition, given)}

    def delete_request(self, key: RecordKey, condition: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Build a deletion, for use in a transaction."""
        return {"TableName": self.name, "Key": _key(key), **_parts(condition, given)}

    def delete(self, key: RecordKey, condition: str, given: Mapping[str, Any]) -> bool:
        """Delete an item if the condition holds."""
        return self.do("delete_item", self.delete_request(key, condition, given))

    def do(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Make one write that was built for a transaction. False: its condition did not hold."""
        return self._conditional(lambda: getattr(self._client, operation)(**request)) is not None

    def do_alone(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Make one write instead of a transaction of it alone, which would cost twice. False: as of ``transact``."""
        try:
            return self.do(operation, request)
        except sdk.ClientError as error:
            if error.response["Error"]["Code"] != CONFLICT:
                raise
            return False

    def transact(self, writes: Sequence[Mapping[str, Any]]) -> bool:
        """Write all or nothing (at most 100). False: a condition did not hold, or another write interfered."""
        return not self.refused(writes)

    def refused(self, writes: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Write all or nothing (at most 100). Return the places of those that were refused; none: all was written.

        A write is refused if its condition did not hold, or if another write came at the same time.
        """
        try:
            self._client.transact_write_items(TransactItems=list(writes))
        except sdk.ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            reasons = [reason.get("Code") or "None" for reason in error.response.get("CancellationReasons", [])]
            if not set(reasons) <= {"None", "ConditionalCheckFailed", "TransactionConflict"}:
                raise
            return [place for place, reason in enumerate(reasons) if reason != "None"] or range(len(writes))
        return ()

    def query(self, pk: str, prefix: str = "", **more: Any) -> Iterator[dict[str, Any]]:
        """Read a partition's items whose sort key has this prefix, consistently, in order."""
        condition = "pk = :pk" + (" AND begins_with(sk, :sk)" if prefix else "")
        given = {":pk": pk, **({":sk": prefix} if prefix else {})}
        return self._pages(condition, given, ConsistentRead=True, **more)

    def query_between(self, pk: str, first: str, last: str, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
        """Read a partition's items from one sort key to another, consistently, in order or the last one first."""
        given = {":pk": pk, ":first": first, ":last": last}
        order = {"ScanIndexForward": False, "Limit": NEWEST_AT_ONCE} if newest_first else {}
        return self._pages("pk = :pk AND sk BETWEEN :first AND :last", given, ConsistentRead=True, **order)

    def query_index(
        self, index: str, condition: str, given: Mapping[str, Any], limit: int, after: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Read so many items of an index, in order. ``after``: the keys of the last item that was read before."""
        start = {"ExclusiveStartKey": wire(after)} if after else {}
        return list(islice(self._pages(condition, given, IndexName=index, Limit=limit, **start), limit))

    def query_index_all(self, index: str, attribute: str, value: str, sk: str = "") -> Iterator[dict[str, Any]]:
        """Read the items that an index has under a value (``sk``: with this sort key); it may be seconds behind."""
        condition = f"{attribute} = :value" + (" AND sk = :sk" if sk else "")
        return self._pages(condition, {":value": value, **({":sk": sk} if sk else {})}, IndexName=index)

    def _pages(self, condition: str, given: Mapping[str, Any], **request: Any) -> Iterator[dict[str, Any]]:
        request |= {"KeyConditionExpression": condition, "ExpressionAttributeValues": wire(given)}
        while True:
            answer = self._client.query(TableName=self.name, **request)
            yield from map(values, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _conditional(self, call: Any) -> Any:
        """Run a write; a transaction that holds the item just then is waited out by asking again."""
        for last in (*(False,) * (CONFLICT_TRIES - 1), True):
            try:
                return call()
            except sdk.ClientError as error:
                code = error.response["Error"]["Code"]
                if code == CONDITION_FAILED:
                    return None
                if code != CONFLICT or last:
                    raise
        return None
