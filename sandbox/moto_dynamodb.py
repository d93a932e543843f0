"""Makes moto's DynamoDB transactions affordable.

Before each transaction moto copies the whole table once for every item in it, to be able to roll back. With hundreds of
records that takes most of a simulation's time. Here the same backup is made of the items that the transaction names.
"""

from __future__ import annotations

import copy
import importlib
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

models: Any = importlib.import_module("moto.dynamodb.models")
"""Any: its global ``copy`` is replaced for a while, which no type allows."""

_original = models.DynamoDBBackend.transact_write_items


def patch() -> None:
    """Put this into moto, for the whole process; doing so again changes nothing."""
    models.DynamoDBBackend.transact_write_items = _transact_write_items


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
    """Copy a table as it is now; items that are not named are shared with it, as the transaction leaves them alone."""
    backup = copy.copy(table)
    backup.items = table.items.copy()
    for key in keys:
        if table.hash_key_attr in key:
            partition = DynamoType(key[table.hash_key_attr])
            if partition in backup.items:
                backup.items[partition] = copy.deepcopy(backup.items[partition])
    return backup
