"""What a thief has who runs code in a function: the credentials that Lambda gives it, and what AWS then answers."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from awsim import wire
from demo import stage
from tests.scenarios.scene import DEV, HUB, REGION, TABLE, Scene

CONFIG, MEMBERS = f"{TABLE}-config", f"{TABLE}-members"
DENIALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError")
COPIES, GRANTS, LAUNCHES = "AmiCopyRole", "AmiCopyRole-grants", "AmiCopyRole-launch"


def client(scene: Scene, function: str, service: str, within: str = "") -> Any:
    """Call AWS as a function does; the session token that a thief takes from it names the function everywhere.

    ``within``: another function that was given this one's role; its token names that one.
    """
    source = f"arn:aws:lambda:{REGION}:{HUB}:function:{within or f'{TABLE}-{function}'}"
    _, key, _, token = scene.world.accounts.issue(
        f"arn:aws:iam::{HUB}:role/{TABLE}-{function}", function, source_function=source
    )
    return wire.client(service, REGION, key, token)


def item(pk: str, sk: str, **attributes: Any) -> dict[str, Any]:
    """An item in DynamoDB's types; numbers, booleans and texts."""
    kinds = {bool: "BOOL", int: "N", str: "S"}
    shaped = {
        name: {kinds[type(value)]: value if isinstance(value, bool) else str(value)}
        for name, value in attributes.items()
    }
    return {"pk": {"S": pk}, "sk": {"S": sk}, **shaped}


def writes(dynamodb: Any, table: str, forged: dict[str, Any]) -> dict[str, Any]:
    """Every call by which DynamoDB writes an item."""
    key = {name: forged[name] for name in ("pk", "sk")}
    update = {"UpdateExpression": "SET body = :b", "ExpressionAttributeValues": {":b": {"S": "{}"}}}
    return {
        "PutItem": lambda: dynamodb.put_item(TableName=table, Item=forged),
        "UpdateItem": lambda: dynamodb.update_item(TableName=table, Key=key, **update),
        "DeleteItem": lambda: dynamodb.delete_item(TableName=table, Key=key),
        "BatchWriteItem": lambda: dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": forged}}]}),
        "TransactWriteItems": lambda: dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": forged}}]
        ),
    }


def entered(scene: Scene, function: str, role: str, service: str, account: str = DEV, within: str = "") -> Any:
    """Assume a role in a target with a function's credentials, without a session policy."""
    answer = client(scene, function, "sts", within).assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="thief", ExternalId=stage.EXTERNAL_ID
    )["Credentials"]
    return wire.client(service, REGION, answer["AccessKeyId"], answer["SessionToken"])


def refused(call: Callable[..., Any], *args: Any, **params: Any) -> None:
    """AWS denies the call."""
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    assert caught.value.response["Error"]["Code"] in DENIALS, caught.value
