"""Reads the hub's state: its workers, its dead-letter queues, who receives its notices and alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ami_promoter.hub.aws import Connection, errors
from chalicelib.engine import codec
from chalicelib.engine.aws import sdk
from chalicelib.engine.places import Arn
from chalicelib.images.keys import KeyFacts
from chalicelib.sharing.policy_text import aws_principals, statements

WORKERS = ("worker", "share-worker")
ON_SCHEDULE = ("sweep", "discover")
"""With the workers these are the functions without which nothing ends."""
UNLIMITED = 1000
"""What a mapping without MaximumConcurrency may reach [Lambda developer guide, SQS scaling]."""
STACK = "ami-promoter"
"""Name of the hub's stack in the deploy guide."""
MONITOR_STACK = "ami-promoter-monitor"
"""Name of the access monitor's."""
DEAD = ("worker-dead.fifo", "share-worker-dead.fifo", "dead-events")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Senders:
    """Who may send events to the hub's inbound bus, by its policy."""

    accounts: frozenset[str] = frozenset()
    organizations: bool = False
    """The policy admits an organization, whose accounts it does not name."""

    def lacks(self, account: str) -> bool:
        """Whether the policy certainly does not admit an account."""
        return not self.organizations and account not in self.accounts


@dataclass(frozen=True, slots=True)
class GoldenKey:
    """A key that encrypts an AMI that is promoted or shared, and its policy."""

    facts: KeyFacts
    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventMapping:
    """A worker's event source mapping. ``most``: how many invocations it may run at once."""

    state: str
    most: int


@dataclass(frozen=True, slots=True)
class Health:
    """What was read. A member that is None could not be read; ``unread`` says why, by the member's name."""

    sources: Mapping[str, Mapping[str, EventMapping]] | None = None
    """Worker -> UUID of its event source mapping -> the mapping."""
    off: Sequence[str] | None = None
    """Functions without which nothing ends, and which never run: their reserved concurrency is 0."""
    schedules: Mapping[str, str] | None = None
    """Rule of the stack with a schedule -> its state."""
    free: int | None = None
    """The account's quota of concurrent Lambda executions in the Region, without what functions have reserved."""
    dead: Mapping[str, int] | None = None
    """Queue -> messages in it."""
    subscriptions: Mapping[str, str] | None = None
    """Endpoint -> ARN of the subscription, or what SNS says instead while it is not confirmed."""
    topic: str = ""
    """ARN of the topic of the notices."""
    alarms: Mapping[str, Mapping[str, str]] | None = None
    """ARN of a topic that the alarms notify -> its subscriptions, as above."""
    senders: Senders | None = None
    keys: Mapping[str, GoldenKey] = field(default_factory=dict)
    """By ARN. Topics and keys that could not be read are in ``unread`` by their ARN."""
    parameters: Mapping[str, str] | None = None
    """Those of the hub's stack."""
    monitor: Mapping[str, str] | None = None
    """Those of the access monitor's stack; empty if there is no such stack."""
    unread: Mapping[str, str] = field(default_factory=dict)
    open_tables: Sequence[str] | None = None
    """Tables without a policy, so that IAM alone decides who writes them."""
    public_images: str | None = None
    """State of the account's block of public access for AMIs in the Region."""


def read(connection: Connection, keys: Iterable[str] = ()) -> Health:
    """Read the hub's state, and the source keys with these ARNs."""
    prefix, unread = f"ami-promoter-{connection.region}", {}
    topic = str(Arn(connection.partition, "sns", connection.region, connection.account, f"{prefix}-notices"))

    def tried(name: str, ask: Callable[[], _T]) -> _T | None:
        try:
            return ask()
        except errors() as error:
            unread[name] = str(error)
            return None

    tables = connection.table, connection.config_table, connection.members_table
    topics = tried("alarms", lambda: _alarm_topics(connection, f"{prefix}-{DEAD[0]}"))
    return Health(
        tried("sources", lambda: {name: _mappings(connection, f"{prefix}-{name}") for name in WORKERS}),
        tried("off", lambda: [one for one in (*WORKERS, *ON_SCHEDULE) if _is_off(connection, f"{prefix}-{one}")]),
        tried("schedules", lambda: _schedules(connection)),
        tried("free", lambda: _free(connection)),
        tried("dead", lambda: {f"{prefix}-{name}": _waiting(connection, f"{prefix}-{name}") for name in DEAD}),
        tried("subscriptions", lambda: _subscriptions(connection, topic)),
        topic,
        None if topics is None else {one: tried(one, partial(_subscriptions, connection, one)) or {} for one in topics},
        tried("senders", lambda: _senders(connection, f"{prefix}-inbound")),
        {key: seen for key in keys if (seen := tried(key, partial(_key, connection, key))) is not None},
        tried("parameters", lambda: _parameters(connection, STACK)),
        tried("monitor", lambda: _parameters_if_there(connection, MONITOR_STACK)),
        unread,
        tried("writers", lambda: [name for name in tables if not _has_policy(connection, name)]),
        tried("public_images", lambda: _public_images(connection)),
    )


def _public_images(connection: Connection) -> str:
    return str(connection.client("ec2").get_image_block_public_access_state()["ImageBlockPublicAccessState"])


def _has_policy(connection: Connection, table: str) -> bool:
    arn = str(Arn(connection.partition, "dynamodb", connection.region, connection.account, f"table/{table}"))
    try:
        return bool(connection.dynamodb.get_resource_policy(ResourceArn=arn)["Policy"])
    except connection.dynamodb.exceptions.PolicyNotFoundException:
        return False


def _key(connection: Connection, arn: str) -> GoldenKey:
    kms: Any = connection.client("kms", Arn.parse(arn).region)
    facts = KeyFacts.from_describe(kms.describe_key(KeyId=arn)["KeyMetadata"])
    return GoldenKey(facts, codec.parsed_json(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]))


def _senders(connection: Connection, bus: str) -> Senders:
    shown = connection.client("events").describe_event_bus(Name=bus)
    accounts, organizations = set(), False
    for one in statements(codec.parsed_json(shown.get("Policy") or "{}")):
        conditions = one.get("Condition", {}).get("StringEquals", {})
        organizations = organizations or "aws:PrincipalOrgID" in conditions
        accounts |= {Arn.parse(name).account or name for name in aws_principals(one.get("Principal"))}
    return Senders(frozenset(accounts), organizations)


def _parameters(connection: Connection, name: str) -> dict[str, str]:
    (stack,) = connection.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", ())}


def _parameters_if_there(connection: Connection, name: str) -> dict[str, str]:
    try:
        return _parameters(connection, name)
    except sdk.ClientError as error:
        # CloudFormation has no error code of its own for this.
        if "does not exist" in str(error):
            return {}
        raise


def _mappings(connection: Connection, function: str) -> dict[str, EventMapping]:
    pages = connection.client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=function)
    return {
        one["UUID"]: EventMapping(one["State"], one.get("ScalingConfig", {}).get("MaximumConcurrency", UNLIMITED))
        for page in pages
        for one in page["EventSourceMappings"]
    }


def _is_off(connection: Connection, function: str) -> bool:
    reserved = connection.client("lambda").get_function_concurrency(FunctionName=function)
    return bool(reserved.get("ReservedConcurrentExecutions") == 0)


def _schedules(connection: Connection) -> dict[str, str]:
    pages = connection.client("events").get_paginator("list_rules").paginate(NamePrefix=f"{STACK}-")
    return {one["Name"]: one["State"] for page in pages for one in page["Rules"] if "ScheduleExpression" in one}


def _free(connection: Connection) -> int:
    limits = connection.client("lambda").get_account_settings()["AccountLimit"]
    return int(limits["UnreservedConcurrentExecutions"])


def _waiting(connection: Connection, queue: str) -> int:
    sqs: Any = connection.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _alarm_topics(connection: Connection, queue: str) -> list[str]:
    """Return the topics of the alarm on one of the hub's queues; all its alarms notify the same."""
    cloudwatch: Any = connection.client("cloudwatch")
    found = cloudwatch.describe_alarms_for_metric(
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
    )["MetricAlarms"]
    return sorted({arn for one in found for arn in one["AlarmActions"] if Arn.parse(arn).service == "sns"})


def _subscriptions(connection: Connection, topic: str) -> dict[str, str]:
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return {
        f"{one['Protocol']} {one['Endpoint']}": str(one["SubscriptionArn"])
        for page in pages
        for one in page["Subscriptions"]
    }
