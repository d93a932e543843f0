"""What makes moto's DynamoDB fast changes no answer: the backup of a transaction, and the short way to its handler."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from awsim import moto_backend, moto_dynamodb, moto_expressions, protocol
from awsim.world import World
from iam_words import OPS


def _key(partition: str, sort: str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def _table(world: World) -> Any:
    dynamodb = world.client("dynamodb", OPS)
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    for partition, sort in (("a", "1"), ("a", "2"), ("b", "1")):
        more = {"n": {"N": "0"}, "list": {"L": [{"S": "x"}]}, "zip": {"B": b"\x00\xff"}}
        dynamodb.put_item(TableName="t", Item={**_key(partition, sort), **more})
    return dynamodb


def _writes(expected: str) -> list[dict[str, Any]]:
    change = {
        "UpdateExpression": "SET n = n + :one, #list = list_append(#list, :more)",
        "ExpressionAttributeNames": {"#list": "list"},
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":more": {"L": [{"S": "y"}]}},
    }
    check = {"ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": {"N": expected}}}
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
    expected = ["None", "None", "None", "None", "ConditionalCheckFailed"]

    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == expected
    assert dynamodb.scan(TableName="t")["Items"] == before


def test_a_transaction_that_holds_is_done_as_a_whole(world: World) -> None:
    """All writes are stored, and a later cancelled transaction leaves them."""
    dynamodb = _table(world)

    dynamodb.transact_write_items(TransactItems=_writes("0"))
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
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
    dynamodb = world.client("dynamodb", OPS)
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


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"TableName": "t", "Key": _key("a", "1")}),
    ("GetItem", {"TableName": "t", "Key": _key("z", "1")}),
    ("GetItem", {"TableName": "none", "Key": _key("a", "1")}),
    ("Query", {"TableName": "t", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("PutItem", {"TableName": "t", "Item": _key("a", "1"), "ConditionExpression": "attribute_not_exists(pk)"}),
    ("UpdateItem", {"TableName": "t", "Key": _key("a", "1"), "UpdateExpression": "SET"}),
    ("BatchGetItem", {"RequestItems": {"t": {"Keys": [_key("a", "1"), _key("z", "1")]}}}),
    ("TransactWriteItems", {"TransactItems": _writes("7")}),
    ("DescribeTable", {"TableName": "t"}),
]


@pytest.mark.parametrize(("operation", "asked"), REQUESTS, ids=[f"{name}{n}" for n, (name, _) in enumerate(REQUESTS)])
def test_the_short_way_gives_the_answer_of_the_whole_one(world: World, operation: str, asked: dict[str, Any]) -> None:
    """Status and body, of refusals too. None of these requests changes anything."""
    _table(world)
    headers = {
        "x-amz-target": f"DynamoDB_20120810.{operation}",
        "content-type": "application/x-amz-json-1.0",
        "authorization": "AWS4-HMAC-SHA256 Credential=A/20260105/us-east-1/dynamodb/aws4_request",
    }
    body, url = json.dumps(asked).encode(), "https://dynamodb.us-east-1.amazonaws.com/"
    request = protocol.parse("POST", url, headers, body)
    short, whole = moto_backend.handle(request, OPS), moto_backend.handle_any(request, OPS)

    assert (short[0], json.loads(short[2])) == (whole[0], json.loads(whole[2]))


UPDATES: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("SET x = :x, #n = :one REMOVE #list, none", {"#n": "n", "#list": "list"}, {":x": {"S": "y"}, ":one": {"N": "1"}}),
    ("SET x = if_not_exists(x, :x), n = if_not_exists(#n, :x)", {"#n": "n"}, {":x": {"S": "y"}}),
    ("SET shard = :x, #at = :one", {"#at": "at"}, {":x": {"S": "s1"}, ":one": {"N": "1"}}),
    ("SET shard = :x", {}, {":x": {"S": ""}}),
    ("SET shard = :x", {}, {":x": {"N": "1"}}),
    ("SET x = :x, m = :m", {}, {":x": {"L": [{"S": "y"}]}, ":m": {"M": {"a": {"NULL": True}}}}),
    ("SET x = :x, y = :y", {}, {":x": {"S": "y"}}),
    ("SET sk = :x", {}, {":x": {"S": "y"}}),
    ("SET list[0] = :x REMOVE list[1], list[2]", {}, {":x": {"S": "y"}}),
    ("ADD n :one SET x = :one", {}, {":one": {"N": "1"}}),
]


@pytest.mark.parametrize(("text", "names", "values"), UPDATES, ids=[text for text, *_ in UPDATES])
def test_an_update_does_what_moto_does(world, monkeypatch, text, names, values) -> None:
    """To an item, to one that is missing, and in what is refused; an accepted expression is not walked again."""
    dynamodb = _indexed(world)
    dynamodb.put_item(TableName="i", Item={**_key("c", "1"), "n": {"N": "0"}, "list": {"L": [{"S": "x"}] * 4}})
    named = {"ExpressionAttributeNames": names} if names else {}

    def answers() -> list[Any]:
        found: list[Any] = []
        for sort in ("1", "2", "1"):
            asked = {"Key": _key("c", sort), "UpdateExpression": text, "ExpressionAttributeValues": values, **named}
            try:
                found.append(dynamodb.update_item(TableName="i", **asked, ReturnValues="ALL_NEW")["Attributes"])
            except ClientError as refused:
                found.append(str(refused))
        return found

    ours = answers()
    dynamodb.delete_item(TableName="i", Key=_key("c", "2"))
    dynamodb.put_item(TableName="i", Item={**_key("c", "1"), "n": {"N": "0"}, "list": {"L": [{"S": "x"}] * 4}})
    monkeypatch.setattr(moto_expressions, "_whole", lambda _text: ())
    assert ours == answers()


def test_an_item_that_grows_too_large_is_refused(world: World) -> None:
    """Attribute by attribute; also after a transaction that was cancelled has put a copy back."""
    dynamodb = _table(world)

    def grow(name: str) -> None:
        values = {":x": {"S": "x" * 100_000}}
        dynamodb.update_item(
            TableName="t", Key=_key("a", "1"), UpdateExpression=f"SET {name} = :x", ExpressionAttributeValues=values
        )

    for name in ("b", "c", "d", "e"):
        grow(name)
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(TransactItems=_writes("7"))
    with pytest.raises(ClientError, match="Item size to update has exceeded the maximum allowed size"):
        grow("f")
