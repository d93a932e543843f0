"""DynamoDB (moto) with the tables of the applied file and of the OUs' members."""

import boto3
import pytest
from moto import mock_aws

from chalicelib.engine import addresses
from chalicelib.targets import applied_items
from chalicelib.targets.ports import FileVersion
from chalicelib.targets.store.targets_table import partition
from tests.stores import create_table

TABLE, MEMBERS = "ami-promoter-us-east-1-config", "ami-promoter-us-east-1-members"


@pytest.fixture
def client(monkeypatch):
    """DynamoDB with both tables."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_table(client, TABLE, "ConfigTable")
        create_table(client, MEMBERS, "MembersTable")
        yield client


def put(client, pk, sk, **attributes):
    """Write an item, attributes in DynamoDB's shape."""
    client.put_item(TableName=TABLE, Item={"pk": {"S": pk}, "sk": {"S": sk}, **attributes})


def apply(client, directory, number=1):
    """Apply a directory, as the command line does."""
    items = applied_items.to_items(directory)
    current = FileVersion.of(
        number, addresses.digest_of(items), "2026-01-05T09:00:00Z", "arn:aws:iam::999999999999:root"
    )
    for sk, body in items.items():
        put(client, partition(current.version), sk, body={"S": body})
    put(client, partition(current.version), "source", text={"B": b"groups: {}"})
    pointer = {"digest": current.digest, "applied_at": current.at, "applied_by": current.by}
    wired = {name: {"S": value} for name, value in pointer.items()}
    put(client, "targets", "current", version_number={"N": str(number)}, **wired)
    return current
