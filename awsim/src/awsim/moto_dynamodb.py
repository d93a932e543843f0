"""Makes moto's DynamoDB faster, with the same answers.

Before a transaction, moto copies the whole table once for every item in it; here it copies the items that the
transaction names. For a query, moto sorts all items of the table; here it gets only the partition, or for an index an
unsorted list, which it sorts later anyway. With hundreds of records these two take most of a simulation's time. And
moto looks for a form, files, a query and a path in each request; DynamoDB's have only a JSON body, and so have its
answers. It draws a request id of 52 random letters, though the gateway has given one, and counts a checksum that
botocore does not read. With each attribute that is set, moto adds up the sizes of all; here only for a large item.
"""

from __future__ import annotations

import base64
import copy
import functools
import inspect
import json
from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from awsim import moto_expressions
from awsim.moto_parts import ActionResult, DynamoHandler, DynamoResult, DynamoType, LimitedSizeDict, Table
from awsim.moto_parts import dynamodb as models
from awsim.protocol import operation_model

_original = models.DynamoDBBackend.transact_write_items
_call: Any = inspect.unwrap(DynamoHandler.call_action)
_query, _all_items, _put = Table.query, Table.all_items, LimitedSizeDict.__setitem__
_query_signature = inspect.signature(_query)
_asked: list[tuple[DynamoType, str | None]] = []
"""The query that is being answered: hash key and index."""


def patch() -> None:
    """Patch moto for the whole process; may be repeated."""
    models.DynamoDBBackend.transact_write_items = _transact_write_items
    changed: Any = Table  # mypy refuses assigning a method on a class
    changed.query, changed.all_items = _query_asked, _items_asked
    items: Any = LimitedSizeDict
    items.__setitem__ = _put_attribute
    moto_expressions.patch()


def answer(
    region: str, account: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, Any], str | bytes]:
    """Answer a request without binary values with moto's DynamoDB handler, given only what that reads."""
    handler: Any = DynamoHandler()
    handler.headers, handler.region, handler.current_account = headers, region, account
    handler.partition, handler.access_key = "aws", ""
    handler.params = json.loads(body or b"{}")
    handler.querystring, handler.uri_match, handler.response_headers = {}, {}, {}
    handler.normalized_request, handler.method = None, "POST"
    handler.serialized = functools.partial(_serialized, handler)
    handler._enrich_response = lambda answered, content: (answered, content)  # noqa: SLF001 - as moto's own calls it
    status, answered, content = _call(handler)
    return status, answered, content


def _serialized(handler: Any, answered: Any) -> tuple[int, dict[str, Any], str]:
    """Do what the handler's ``serialized`` does: answers about items are JSON almost as they stand."""
    operation = handler._get_action()  # noqa: SLF001 - as moto's own does
    if operation not in ABOUT_ITEMS or not _is_plain(answered):
        status, headers, body = type(handler).serialized(handler, answered)
        return status, headers, body
    members = operation_model("dynamodb", operation).output_shape.members
    shown = {name: value for name, value in answered.result.items() if name in members and value is not None}
    return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(shown, default=_json)


def _json(value: Any) -> Any:
    """Return what JSON has for an attribute's value; binary ones are in base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else DynamoType.to_json(value)


def _is_plain(answered: Any) -> bool:
    return type(answered) in (ActionResult, DynamoResult) and isinstance(answered.result, dict)


ABOUT_ITEMS = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem", "TransactWriteItems")


def _put_attribute(attributes: Any, name: str, value: Any) -> None:
    """Do what ``LimitedSizeDict.__setitem__`` does, which adds up all attributes, only where they may be too many."""
    if not hasattr(attributes, "most"):  # a new item, or a copy
        attributes.most = sum(_size(part) for pair in attributes.items() for part in pair)
    attributes.most += _size(name) + _size(value)
    if attributes.most > ALWAYS_FITS:
        _put(attributes, name, value)
    else:
        dict.__setitem__(attributes, name, value)


def _size(part: Any) -> int:
    return part.size() if type(part) is DynamoType else len(str(part).encode())


ALWAYS_FITS = 300_000
"""Bytes; moto refuses more than 405,000."""


def _query_asked(*given: Any, **named: Any) -> Any:
    asked = _query_signature.bind(*given, **named).arguments
    _asked.append((asked["hash_key"], asked.get("index_name")))
    try:
        return _query(*given, **named)
    finally:
        _asked.pop()


def _items_asked(table: Table) -> list[Any]:
    if not _asked or not table.range_key_attr:
        return _all_items(table)
    hash_key, index = _asked[-1]
    if index is None:
        return list(table.items.get(hash_key, {}).values())
    return [item for partition in table.items.values() for item in partition.values()]


def _transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
    touched: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in transact_items:
        for operation in item.values():
            touched[operation.get("TableName", "")].append(operation.get("Key") or operation.get("Item") or {})
    backups: dict[str, Any] = {}

    def deepcopy(value: Any) -> Any:
        if not isinstance(value, Table) or value.stream_shard is not None:
            return copy.deepcopy(value)
        if value.name not in backups:
            backups[value.name] = _backup(value, touched[value.name])
        return backups[value.name]

    models.copy = SimpleNamespace(copy=copy.copy, deepcopy=deepcopy)
    try:
        _original(backend, transact_items)
    finally:
        models.copy = copy


def _backup(table: Any, keys: list[dict[str, Any]]) -> Any:
    """Copy the items of a table that are named; the transaction does not change the others."""
    backup = copy.copy(table)
    backup.items = table.items.copy()
    for key in keys:
        if table.hash_key_attr not in key:
            continue
        partition = DynamoType(key[table.hash_key_attr])
        if partition not in backup.items:
            continue
        if not table.range_key_attr:
            backup.items[partition] = copy.deepcopy(backup.items[partition])
            continue
        if backup.items[partition] is table.items[partition]:
            backup.items[partition] = copy.copy(table.items[partition])
        sort = DynamoType(key[table.range_key_attr]) if table.range_key_attr in key else None
        if sort in backup.items[partition]:
            backup.items[partition][sort] = copy.deepcopy(backup.items[partition][sort])
    return backup
