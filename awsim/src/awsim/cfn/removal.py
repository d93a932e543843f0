"""What CloudFormation removes: at the rollback of a creation, and when a stack is deleted."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from botocore.exceptions import ClientError

from awsim.cfn.model import Made, Stack, TemplateError
from awsim.cfn.resources import StackServices
from awsim.rules import rule

RETAIN = rule(
    "cfn-retain-holds-at-a-creations-rollback",
    "A resource with DeletionPolicy Retain stays also when the creation of its stack is rolled back. [aws-facts, "
    "later reading, VERIFIED]",
)
EXCEPT_ON_CREATE = rule(
    "cfn-retain-except-on-create",
    "A resource with DeletionPolicy RetainExceptOnCreate is deleted when the operation that made it is rolled back, "
    "and stays when its stack is deleted. [aws-facts, later reading, VERIFIED]",
)
ROLLED_BACK, STUCK = "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"


def roll_back(world: StackServices, stack: Stack) -> str:
    """Undo a creation, the last resource first, and return what came of it in words.

    What cannot be deleted stays in the stack, which is then ROLLBACK_FAILED.
    """
    held = {"Retain"} if world.rules.on(RETAIN) else set()
    if not world.rules.on(EXCEPT_ON_CREATE):
        held.add("RetainExceptOnCreate")
    kept, refused = _remove_all(world, stack, held)
    stack.status = STUCK if refused else ROLLED_BACK
    return f"the stack is {stack.status}; it left {sorted(kept)}; not deleted: {refused}"


def delete(world: StackServices, account: str, region: str, name: str) -> None:
    """Delete a stack; what its template retains stays. Raises TemplateError, naming what could not be deleted."""
    stack = world.stacks[account, region, name]
    held = {"Retain"} | ({"RetainExceptOnCreate"} if world.rules.on(EXCEPT_ON_CREATE) else set())
    _kept, refused = _remove_all(world, stack, held)
    if refused:
        raise TemplateError(f"stack {name} is DELETE_FAILED: {refused}")
    del world.stacks[account, region, name]


def _remove_all(world: StackServices, stack: Stack, held: Container[str]) -> tuple[list[str], list[str]]:
    """Return the names of what was kept, and what was refused with its reasons."""
    kept, refused = [], []
    for logical, made in reversed(list(stack.resources.items())):
        try:
            if made.deletion in held:
                kept.append(logical)
            elif made.type in _REMOVERS:
                _REMOVERS[made.type](world, stack, made)
            elif made.type not in _WITH_ANOTHER:
                raise TemplateError(f"the simulator cannot delete a {made.type}")
        except ClientError as error:
            refused.append(f"{logical}: {error}")
        else:
            del stack.resources[logical]
    return kept, refused


def _client(world: StackServices, stack: Stack, service: str) -> Any:
    return world.client(service, stack.account, stack.region)


def _drop_rule(world: StackServices, _stack: Stack, made: Made) -> None:
    for bus in world.events.buses.values():
        for name in [name for name, one in bus.rules.items() if one.arn == made.attributes["Arn"]]:
            del bus.rules[name]


_REMOVERS: dict[str, Callable[[StackServices, Stack, Made], object]] = {
    "AWS::Lambda::Function": lambda world, _, made: world.lambda_.functions.pop(made.attributes["Arn"]),
    "AWS::Lambda::EventSourceMapping": lambda world, _, made: world.lambda_.sources.pop(made.ref),
    "AWS::IAM::Role": lambda world, _, made: world.iam.roles.drop(made.attributes["Arn"]),
    "AWS::KMS::Key": lambda world, at, made: _client(world, at, "kms").schedule_key_deletion(KeyId=made.ref),
    "AWS::KMS::Alias": lambda world, at, made: _client(world, at, "kms").delete_alias(AliasName=made.ref),
    "AWS::DynamoDB::Table": lambda world, at, made: _client(world, at, "dynamodb").delete_table(TableName=made.ref),
    "AWS::SQS::Queue": lambda world, at, made: _client(world, at, "sqs").delete_queue(QueueUrl=made.ref),
    "AWS::SNS::Topic": lambda world, _, made: world.sns.topics.pop(made.ref),
    "AWS::Events::EventBus": lambda world, _, made: world.events.buses.pop(made.attributes["Arn"]),
    "AWS::Events::Rule": _drop_rule,
    "AWS::Logs::LogGroup": lambda world, at, made: _client(world, at, "logs").delete_log_group(logGroupName=made.ref),
    "AWS::CloudWatch::Alarm": lambda world, at, made: world.cloudwatch.drop(at.account, at.region, made.ref),
    "AWS::EC2::SnapshotBlockPublicAccess": lambda world, at, _: _client(
        world, at, "ec2"
    ).disable_snapshot_block_public_access(),
}
_WITH_ANOTHER = {
    "AWS::Lambda::Permission",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::Events::EventBusPolicy",
    "AWS::CloudWatch::Dashboard",
    "AWS::Logs::QueryDefinition",
}
"""What goes with the function, role, queue, topic or bus that it belongs to, or is not played."""
