"""The four stores of one table, in memory or on DynamoDB (moto in process), with views of records for assertions."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from awsim import cfn, moto_answers, moto_dynamodb, moto_refusals
from chalicelib.delivery.store.copy_quota import DynamoSlotLeases
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.schema import FORMS, Forms
from chalicelib.engine.store.records import SHARDS, DynamoRecords, shard_of
from chalicelib.engine.store.records import history as entries_of
from chalicelib.engine.store.table import Table
from chalicelib.engine.sweep import Round, position_of
from chalicelib.sharing.store.ledger import DynamoLedger
from tests.fakes import MemoryLedger, MemoryRecords, MemorySlotLeases, MemoryTrackedDeliveries, next_wake

STORES = Path(__file__).parents[1] / ".chalice" / "extras" / "stores.yaml"


@dataclass(frozen=True)
class Seen:
    """A record as the sweep and an operator see it."""

    state: str
    wake_at: int | None
    parked: str
    version: int

    @property
    def scheduled(self) -> bool:
        """Whether the sweep finds it."""
        return self.wake_at is not None


@dataclass(frozen=True)
class Stores:
    """The ports, by name; ``table`` is None in memory."""

    records: Any
    slots: Any
    ledger: Any
    tracked: Any
    table: Table | None = None

    def seen(self, key: RecordKey) -> Seen | None:
        """Read a record without changing or decoding it."""
        if self.table is None:
            item = self.records.records.get(key)
            return None if item is None else Seen(item.state, item.wake_at, item.parked, item.version)
        found = self.table.get(key)
        return (
            None
            if found is None
            else Seen(found["state"], found.get("wake_at"), found.get("parked", ""), found["version"])
        )

    def history(self, key: RecordKey) -> list[list[str]]:
        """What has happened to a record, entry by entry, wherever the store keeps it."""
        items = [item for _, item in self.records.list(key.pk, "history#")]
        items += [] if self.table is None else [self.table.get(key) or {}]
        found = [one for item in items for one in entries_of(item)]
        return [one["what"] for one in {one["version"]: one for one in found}.values()]

    def next_due(self) -> int | None:
        """When the sweep will next wake a record, by its own stored place.

        This is asked before each step of a run, so what lies in DynamoDB is looked at without a query.
        """
        if self.table is None:
            until = {f"due#{shard}": self._swept(f"due#{shard}") for shard in range(SHARDS)}
            return self.records.next_due(lambda key: until[shard_of(key)])
        due = defaultdict(list)
        for partition in dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables["state"].items.values():
            for values in (item.attrs for item in partition.values() if "due_shard" in item.attrs):
                latest = int(values["latest"].value) if "latest" in values else 0
                due[values["due_shard"].value].append((int(values["wake_at"].value), latest))
        swept = {shard: self._swept(shard) for shard in due}
        return min((next_wake(at, latest, swept[shard]) for shard in due for at, latest in due[shard]), default=None)

    def _swept(self, shard: str) -> int:
        """Until when every record of a shard has been woken."""
        this = Round.resumed(self.records.get(position_of(int(shard.removeprefix("due#")))), 0)
        return this.since


def in_memory() -> Stores:
    records = MemoryRecords()
    return Stores(records, MemorySlotLeases(), MemoryLedger(records), MemoryTrackedDeliveries())


def create_table(client: Any, name: str, resource: str = "Table") -> None:
    """Create a table with keys and indexes as the hub's template declares them."""
    declared = cfn.read(STORES)["Resources"][resource]["Properties"]
    parts = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client.create_table(TableName=name, **{part: declared[part] for part in parts if part in declared})


def _refuse(params: dict[str, Any], **_call: object) -> None:
    """Refuse what DynamoDB refuses and moto takes."""
    for _rule, words in moto_refusals.faults(params):
        raise ValueError(words)


@contextmanager
def on_dynamodb() -> Iterator[Stores]:
    """New and empty, for the duration of the context."""
    moto_dynamodb.patch()
    moto_answers.patch()
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.meta.events.register("provide-client-params.dynamodb", _refuse)
        create_table(client, "state")
        yield stores_on(Table(client, "state"))


def stores_on(table: Table, forms: Forms = FORMS) -> Stores:
    """The stores of a version of the service."""
    ledger, tracked = DynamoLedger(table, forms), DynamoTrackedDeliveries(table, forms)
    return Stores(DynamoRecords(table, forms), DynamoSlotLeases(table), ledger, tracked, table)
