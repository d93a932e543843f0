"""Checks of CloudFormation: what a failed creation leaves, and what stands in the way of the next one."""

from typing import Any

from awsim.cfn import TemplateError
from awsim.world import World
from iam_words import HERE, OPS

TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "TableName": "records",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    },
}
BROKEN = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "taken"}}


def _fail(world: World, **how: str) -> None:
    """Create a stack of a table and of a queue whose name is taken."""
    world.sqs.create(OPS, HERE, "taken", {})
    _not_deployed(world, Table=TABLE | how, Queue=BROKEN)


def _not_deployed(world: World, **resources: Any) -> str:
    try:
        world.deploy({"Resources": resources}, OPS, HERE, "s", {})
    except TemplateError as error:
        return str(error)
    raise AssertionError("it is deployed")


def _tables(world: World) -> list[str]:
    return list(world.client("dynamodb", OPS).list_tables()["TableNames"])


def cfn_retain_holds_at_a_creations_rollback(world: World) -> None:
    _fail(world, DeletionPolicy="Retain")
    assert _tables(world) == ["records"]


def cfn_retain_except_on_create(world: World) -> None:
    _fail(world, DeletionPolicy="RetainExceptOnCreate")
    assert _tables(world) == []

    kept = TABLE | {"DeletionPolicy": "RetainExceptOnCreate"}
    world.deploy({"Resources": {"Table": kept}}, OPS, HERE, "other", {})
    world.delete_stack(OPS, HERE, "other")
    assert _tables(world) == ["records"]


def cfn_rolled_back_stack_must_be_deleted(world: World) -> None:
    _fail(world)
    assert _tables(world) == []

    assert "is in ROLLBACK_COMPLETE state" in _not_deployed(world, Table=TABLE)
    world.delete_stack(OPS, HERE, "s")
    world.deploy({"Resources": {"Table": TABLE}}, OPS, HERE, "s", {})
    assert _tables(world) == ["records"]


def cfn_name_that_exists_fails_the_creation(world: World) -> None:
    _fail(world, DeletionPolicy="Retain")
    world.delete_stack(OPS, HERE, "s")

    assert "records already exists" in _not_deployed(world, Table=TABLE)


def cfn_snapshot_block_that_stands_fails_the_creation(world: World) -> None:
    world.client("ec2", OPS, HERE).enable_snapshot_block_public_access(State="block-new-sharing")
    block = {"Type": "AWS::EC2::SnapshotBlockPublicAccess", "Properties": {"State": "block-all-sharing"}}

    assert "is on already" in _not_deployed(world, Block=block)
