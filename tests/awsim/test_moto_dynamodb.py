"""The simulator's faster backup for moto's DynamoDB transactions still rolls everything back."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from awsim import moto_dynamodb
from awsim.world import World
from tests.awsim.iam_words import HUB


def _key(partition: str, sort: str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def _table(world: World) -> Any:
    dynamodb = world.client("dynamodb", HUB)
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    for partition, sort in (("a", "1"), ("a", "2"), ("b", "1")):
        dynamodb.put_item(TableName="t", Item={**_key(partition, sort), "n": {"N": "0"}, "list": {"L": [{"S": "x"}]}})
    return dynamodb


def _writes(expected: str) -> list[dict[str, Any]]:
    change = {
        "UpdateExpression": "SET n = n + :one, #list = list_append(#list, :more)",
        "ExpressionAttributeNames": {"#list": "list"},
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":more": {"L": [{"S": "y"}]}},
    }
    check = {
        "ConditionExpression": "n = :n",
        "ExpressionAttributeValues": {":n": {"N": expected}},
    }
    return [
        {"Update": {"TableName": "t", "Key": _key("a", "1"), **change}},
        {"Delete": {"TableName": "t", "Key": _key("a", "2")}},
        {"Put": {"TableName": "t", "Item": _key("c", "1")}},
        {"Put": {"TableName": "t", "Item": _key("a", "3")}},
        {"ConditionCheck": {"TableName": "t", "Key": _key("b", "1"), **check}},
    ]


def test_a_cancelled_transaction_leaves_everything_as_it_was(world: World) -> None:
    """An update, a delete and puts before a failed check are rolled back; the reasons are in order."""
    dynamodb = _table(world)
    before = dynamodb.scan(TableName="t")["Items"]

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_write_items(TransactItems=_writes("7"))

    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "None",
        "None",
        "None",
        "None",
        "ConditionalCheckFailed",
    ]
    assert dynamodb.scan(TableName="t")["Items"] == before


def test_a_transaction_that_holds_is_done_as_a_whole(world: World) -> None:
    """All writes are stored, and a later cancelled transaction leaves them."""
    dynamodb = _table(world)

    dynamodb.transact_write_items(TransactItems=_writes("0"))
    with pytest.raises(ClientError):
        dynamodb.transact_write_items(TransactItems=_writes("7"))

    found = {(item["pk"]["S"], item["sk"]["S"]): item for item in dynamodb.scan(TableName="t")["Items"]}
    assert sorted(found) == [("a", "1"), ("a", "3"), ("b", "1"), ("c", "1")]
    assert found["a", "1"]["n"] == {"N": "1"}
    assert found["a", "1"]["list"] == {"L": [{"S": "x"}, {"S": "y"}]}


def test_two_writes_to_one_item_are_refused_whole(world: World) -> None:
    """AWS allows one operation for an item in a transaction."""
    dynamodb = _table(world)
    before = dynamodb.scan(TableName="t")["Items"]

    with pytest.raises(ClientError, match="multiple operations on one item"):
        dynamodb.transact_write_items(
            TransactItems=[*_writes("0"), {"Delete": {"TableName": "t", "Key": _key("a", "1")}}]
        )

    assert dynamodb.scan(TableName="t")["Items"] == before


def _indexed(world: World) -> Any:
    dynamodb = world.client("dynamodb", HUB)
    names = (("pk", "S"), ("sk", "S"), ("shard", "S"), ("at", "N"))
    dynamodb.create_table(
        TableName="i",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in names],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "shard", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    for n in (7, 3, 9, 1, 5, 8, 2):
        shard = {"shard": {"S": f"s{n % 2}"}, "at": {"N": str(10 - n)}} if n != 5 else {}
        dynamodb.put_item(TableName="i", Item={**_key("a" if n % 3 else "b", f"x{n}"), **shard})
    return dynamodb


QUERIES = {
    "a partition": {"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}},
    "its end first": {
        "KeyConditionExpression": "pk = :a AND begins_with(sk, :x)",
        "ExpressionAttributeValues": {":a": {"S": "a"}, ":x": {"S": "x"}},
        "ScanIndexForward": False,
    },
    "nothing": {"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": {"S": "none"}}},
    "an index": {
        "IndexName": "due",
        "KeyConditionExpression": "shard = :s AND #at <= :n",
        "ExpressionAttributeNames": {"#at": "at"},
        "ExpressionAttributeValues": {":s": {"S": "s1"}, ":n": {"N": "8"}},
    },
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_query_is_answered_as_moto_answers_it(world, monkeypatch, query, limit) -> None:
    """In the same order, page by page."""
    dynamodb = _indexed(world)

    def pages() -> list[Any]:
        return [page["Items"] for page in dynamodb.get_paginator("query").paginate(TableName="i", Limit=limit, **query)]

    ours = pages()
    monkeypatch.setattr(moto_dynamodb.Table, "all_items", moto_dynamodb._all_items)
    assert ours == pages()
