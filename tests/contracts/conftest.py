"""Every contract runs against the in-memory stores and against DynamoDB (moto in process)."""

from __future__ import annotations

from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.dynamo.children import DynamoChildren
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.slots import DynamoSlotBook
from chalicelib.adapters.dynamo.table import Table
from tests.fakes import MemoryChildren, MemoryLedger, MemoryRecords, MemorySlotBook


@pytest.fixture(params=["memory", "dynamo"])
def store(request, monkeypatch):
    """All four stores of one table."""
    if request.param == "memory":
        yield SimpleNamespace(
            records=MemoryRecords(), slots=MemorySlotBook(), ledger=MemoryLedger(), children=MemoryChildren()
        )
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="state",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in (("pk", "S"), ("sk", "S"), ("due_shard", "S"), ("ring_at", "N"))
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "due",
                    "KeySchema": [
                        {"AttributeName": "due_shard", "KeyType": "HASH"},
                        {"AttributeName": "ring_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        table = Table(client, "state")
        yield SimpleNamespace(
            records=DynamoRecords(table),
            slots=DynamoSlotBook(table),
            ledger=DynamoLedger(table),
            children=DynamoChildren(table),
            table=table,
        )
