"""Checks of what DynamoDB refuses and moto takes."""

from functools import partial
from typing import Any

from awsim.world import World
from iam_words import OPS, allowed
from platform_words import refused

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
IS_NEW = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": "pk"}}
_refused = partial(refused, "ValidationException")


def _a_table(world: World) -> Any:
    dynamodb = world.client("dynamodb", OPS)
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def dynamodb_names_and_values_are_used(world: World) -> None:
    dynamodb = _a_table(world)
    item, more = {"TableName": "t", "Item": KEY}, {"ExpressionAttributeValues": {":x": {"S": "x"}}}
    read = {"Keys": [KEY], "ProjectionExpression": "#k", "ExpressionAttributeNames": {"#k": "pk", "#l": "sk"}}
    said = "unused in expressions: keys: {:x}"

    allowed(dynamodb.put_item, **item, **IS_NEW)
    _refused(dynamodb.put_item, **item, **IS_NEW, **more, saying=said)
    _refused(dynamodb.put_item, **item, **more, saying="can only be specified when using expressions")
    _refused(dynamodb.transact_write_items, TransactItems=[{"Put": {**item, **IS_NEW, **more}}], saying=said)
    _refused(dynamodb.batch_get_item, RequestItems={"t": read}, saying="unused in expressions: keys: {#l}")


def dynamodb_expression_4096_bytes(world: World) -> None:
    put = partial(_a_table(world).put_item, TableName="t", Item=KEY)
    condition = f"attribute_not_exists({'n' * 4074})"

    allowed(put, ConditionExpression=condition)
    _refused(put, ConditionExpression=f"{condition} ", saying="Expression size has exceeded the maximum allowed size")


def dynamodb_set_without_duplicates(world: World) -> None:
    put = partial(_a_table(world).put_item, TableName="t")

    allowed(put, Item={**KEY, "SS": {"M": {"NS": {"SS": ["a", "b"]}}}})
    _refused(put, Item={**KEY, "m": {"M": {"s": {"SS": ["b", "a", "b"]}}}}, saying="[b, a, b] contains duplicates")
    _refused(put, Item={**KEY, "n": {"NS": ["1", "1.0"]}}, saying="Input collection contains duplicates")


def dynamodb_start_within_the_query(world: World) -> None:
    asked = {"TableName": "t", "ExpressionAttributeValues": {":a": KEY["pk"]}, "KeyConditionExpression": "pk = :a"}
    of_a = partial(_a_table(world).query, **asked)
    until_a = partial(of_a, KeyConditionExpression="pk = :a AND sk <= :a")

    allowed(of_a, ExclusiveStartKey=KEY)
    allowed(until_a, ExclusiveStartKey=KEY)
    _refused(of_a, ExclusiveStartKey={**KEY, "pk": {"S": "b"}}, saying="outside query boundaries")
    _refused(until_a, ExclusiveStartKey={**KEY, "sk": {"S": "b"}}, saying="does not match the range key predicate")


def dynamodb_start_without_empty_keys(world: World) -> None:
    scan = partial(_a_table(world).scan, TableName="t")

    allowed(scan, ExclusiveStartKey=KEY)
    _refused(scan, ExclusiveStartKey={**KEY, "pk": {"S": ""}}, saying="cannot contain an empty string value. Key: pk")
