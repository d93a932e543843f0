"""What each CloudFormation resource type does in the simulator."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

from awsim.api import AwsError
from awsim.cfn.model import Made, Stack, TemplateError
from awsim.functions import EventSource, Function
from awsim.iam import Iam
from awsim.rules import Rules, rule
from awsim.runtime import package
from awsim.services import buses
from awsim.services.cloudwatch import CloudWatch
from awsim.services.events import EventBridge
from awsim.services.lambda_ import Lambda
from awsim.services.organizations import Organizations
from awsim.services.sns import Sns
from awsim.services.sqs import Sqs

NAMED_ONCE = rule(
    "cfn-role-name-is-taken-once",
    "A named IAM role belongs to one stack: a second stack, also in another Region of the account, fails. "
    "[aws-facts, later reading, VERIFIED]",
)
NAME_TAKEN = rule(
    "cfn-name-that-exists-fails-the-creation",
    "A resource with a fixed name cannot be made while something outside of its stack has that name, also where an "
    "earlier stack of the same template left it. [CloudFormation user guide, troubleshooting: resource already exists]",
)
BLOCKED_BEFORE = rule(
    "cfn-snapshot-block-that-stands-fails-the-creation",
    "AWS::EC2::SnapshotBlockPublicAccess cannot be made where the Region's block is on already, set by a person or "
    "left by an earlier stack. [no source; the resource's identifier is the account, so one stands: UNVERIFIED]",
)


class StackServices(Protocol):
    """The services of a world in which a stack is deployed, and its stacks."""

    stacks: dict[tuple[str, str, str], Stack]
    """(account, Region, name) -> stack; failed ones too, until somebody deletes them."""
    rules: Rules
    iam: Iam
    sqs: Sqs
    sns: Sns
    lambda_: Lambda
    events: EventBridge
    organizations: Organizations
    cloudwatch: CloudWatch

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a client of an account's root."""
        ...


Properties = dict[str, Any]
Maker = Callable[["_StackPlace", Properties], Made]
TYPES: dict[str, tuple[Maker, frozenset[str]]] = {}
"""Resource type -> the function that creates it, and the properties that it knows."""

BASIC_EXECUTION = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}


@dataclass(frozen=True, slots=True)
class _StackPlace:
    """The account, Region and logical id of a resource."""

    world: StackServices
    stack: Stack
    logical: str
    folder: Path

    @property
    def known(self) -> Made | None:
        """What an earlier deployment of the stack has made of this resource."""
        stack = self.world.stacks.get((self.stack.account, self.stack.region, self.stack.name))
        return stack.resources.get(self.logical) if stack else None

    @property
    def new(self) -> bool:
        """Whether the stack has not made this resource in an earlier deployment."""
        return self.known is None

    @property
    def generated(self) -> str:
        """The name that CloudFormation would generate: different in each Region, as IAM's names are."""
        return f"{self.stack.name}-{self.logical}-{zlib.crc32(self.stack.region.encode()):08X}"

    def arn(self, service: str, rest: str) -> str:
        """Return an ARN in this account and Region."""
        return f"arn:aws:{service}:{self.stack.region}:{self.stack.account}:{rest}"

    def client(self, service: str) -> Any:
        """Return a client of the stack's owner."""
        return self.world.client(service, self.stack.account, self.stack.region)


def make(world: StackServices, stack: Stack, logical: str, resource: Mapping[str, Any], folder: Path) -> Made:
    """Create a resource from its evaluated properties, or update it.

    Relative paths start at ``folder``. Raises TemplateError, which names the resource and the reason.
    """
    kind, properties = resource["Type"], resource["Properties"]
    maker, known = TYPES[kind]
    unknown = set(properties) - known
    if unknown:
        raise TemplateError(f"{logical} ({kind}): the simulator does not know the properties {sorted(unknown)}")
    place = _StackPlace(world, stack, logical, folder)
    try:
        _check_name(place, kind, properties)
        made = maker(place, properties)
        made.type, made.deletion = kind, resource.get("DeletionPolicy", made.deletion)
        return made
    except (AwsError, ClientError) as refused:
        where = f"stack {stack.name} in {stack.account}, {stack.region}"
        raise TemplateError(f"{where}: {logical} ({kind}) cannot be made: {refused}") from refused


def _check_name(place: _StackPlace, kind: str, properties: Properties) -> None:
    if not place.new or kind not in _NAMED or not place.world.rules.on(NAME_TAKEN):
        return
    member, stands = _NAMED[kind]
    if member in properties and stands(place, properties[member]):
        raise AwsError("AlreadyExists", f"{properties[member]} already exists in {place.stack.account}")


def _alias_stands(place: _StackPlace, name: str) -> bool:
    pages = place.client("kms").get_paginator("list_aliases").paginate()
    return any(alias["AliasName"] == name for page in pages for alias in page["Aliases"])


def _rule_stands(place: _StackPlace, name: str) -> bool:
    here = (bus for bus in place.world.events.buses.values() if bus.arn.startswith(place.arn("events", "")))
    return any(name in bus.rules for bus in here)


_NAMED: dict[str, tuple[str, Callable[[_StackPlace, str], bool]]] = {
    "AWS::DynamoDB::Table": (
        "TableName",
        lambda place, name: name in place.client("dynamodb").list_tables()["TableNames"],
    ),
    "AWS::SQS::Queue": ("QueueName", lambda place, name: place.arn("sqs", name) in place.world.sqs.queues),
    "AWS::SNS::Topic": ("TopicName", lambda place, name: place.arn("sns", name) in place.world.sns.topics),
    "AWS::Events::EventBus": (
        "Name",
        lambda place, name: place.arn("events", f"event-bus/{name}") in place.world.events.buses,
    ),
    "AWS::Events::Rule": ("Name", _rule_stands),
    "AWS::Lambda::Function": (
        "FunctionName",
        lambda place, name: place.arn("lambda", f"function:{name}") in place.world.lambda_.functions,
    ),
    "AWS::KMS::Alias": ("AliasName", _alias_stands),
}
"""Type -> the property that names it, and whether one of that name stands. Roles are compared by their owner, and
CloudWatch Logs refuses a group that exists."""


def _type(kind: str, known: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        TYPES[kind] = (maker, frozenset(known.split()))
        return maker

    return register


# --- Lambda ---


@_type(
    "AWS::Lambda::Function",
    "FunctionName Code Handler Role Runtime Timeout MemorySize Environment Tags DeadLetterConfig Description "
    "ReservedConcurrentExecutions RecursiveLoop Architectures LoggingConfig TracingConfig EphemeralStorage PackageType",
)
def _function(place: _StackPlace, given: Properties) -> Made:
    name = given.get("FunctionName", place.generated)
    function = Function(
        name,
        place.stack.account,
        place.stack.region,
        given["Role"],
        given["Handler"],
        package(_code(place, given["Code"]), place.world.lambda_.stateless),
        int(given.get("Timeout", 3)),
        int(given.get("MemorySize", 128)),
        given["Runtime"],
        {key: str(value) for key, value in given.get("Environment", {}).get("Variables", {}).items()},
        given.get("DeadLetterConfig", {}).get("TargetArn"),
        int(given["ReservedConcurrentExecutions"]) if "ReservedConcurrentExecutions" in given else None,
    )
    function.recursion = given.get("RecursiveLoop", function.recursion)
    place.world.lambda_.put(function)
    return Made(name, {"Arn": function.arn})


def _code(place: _StackPlace, code: str | Mapping[str, str]) -> Path:
    if isinstance(code, str):
        return place.folder / code
    if code.get("S3Bucket") == "local":
        return Path(code["S3Key"])
    stack = place.stack
    return _kept(from_bucket(place.world, stack.account, stack.region, code["S3Bucket"], code["S3Key"]))


def from_bucket(world: StackServices, account: str, region: str, bucket: str, key: str) -> bytes:
    """Return what an account reads from a bucket. Raises TemplateError."""
    try:
        content: bytes = world.client("s3", account, region).get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as refused:
        raise TemplateError(f"s3://{bucket}/{key}: {refused}") from refused
    return content


@functools.cache
def _kept(content: bytes) -> Path:
    """Keep a package as a file until the process ends."""
    directory = tempfile.mkdtemp(prefix="sandbox-bucket-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    file = Path(directory, "package.zip")
    file.write_bytes(content)
    return file


@_type("AWS::Lambda::Permission", "FunctionName Action Principal SourceArn SourceAccount")
def _permission(place: _StackPlace, given: Properties) -> Made:
    condition: dict[str, Any] = {}
    if "SourceArn" in given:
        condition["ArnLike"] = {"aws:SourceArn": given["SourceArn"]}
    if "SourceAccount" in given:
        condition["StringEquals"] = {"aws:SourceAccount": given["SourceAccount"]}
    function = _named_function(place, given)
    statement = {
        "Sid": place.generated,
        "Effect": "Allow",
        "Principal": {"Service": given["Principal"]},
        "Action": given["Action"],
        "Resource": function.arn,
        "Condition": condition,
    }
    function.policy[:] = [old for old in function.policy if old["Sid"] != place.generated] + [statement]
    return Made(place.generated)


@_type(
    "AWS::Lambda::EventSourceMapping",
    "EventSourceArn FunctionName BatchSize ScalingConfig FunctionResponseTypes Enabled MaximumBatchingWindowInSeconds "
    "Tags",
)
def _source(place: _StackPlace, given: Properties) -> Made:
    if ":sqs:" not in given["EventSourceArn"]:
        raise TemplateError(
            f"{place.logical}: the simulator plays queues as event sources only, not {given['EventSourceArn']}"
        )
    source = EventSource(
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{place.stack.account}/{place.stack.region}/{place.generated}")),
        given["EventSourceArn"],
        _named_function(place, given),
        int(given.get("BatchSize", 10)),
        int(given.get("ScalingConfig", {}).get("MaximumConcurrency", 1000)),
        partial="ReportBatchItemFailures" in given.get("FunctionResponseTypes", []),
        enabled=str(given.get("Enabled", True)).lower() == "true",
    )
    place.world.lambda_.add_source(source, int(given.get("MaximumBatchingWindowInSeconds", 0)))
    return Made(source.id, {"Id": source.id})


@_type(
    "AWS::Lambda::EventInvokeConfig",
    "FunctionName Qualifier MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig",
)
def _invoke_config(place: _StackPlace, given: Properties) -> Made:
    function = _named_function(place, given)
    function.retries = int(given.get("MaximumRetryAttempts", 2))
    function.longest_age = int(given.get("MaximumEventAgeInSeconds", 21600))
    function.on_failure = given.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return Made(place.generated)


def _named_function(place: _StackPlace, given: Properties) -> Function:
    name = given["FunctionName"].rsplit(":function:", 1)[-1]
    return place.world.lambda_.functions[place.arn("lambda", f"function:{name}")]


# --- IAM and KMS ---


@_type(
    "AWS::IAM::Role",
    "RoleName AssumeRolePolicyDocument Policies ManagedPolicyArns MaxSessionDuration Description PermissionsBoundary "
    "Tags",
)
def _role(place: _StackPlace, given: Properties) -> Made:
    world, account = place.world, place.stack.account
    name = given.get("RoleName", place.generated)
    owner = f"{place.stack.region}/{place.stack.name}/{place.logical}"
    known = world.iam.roles.get(f"arn:aws:iam::{account}:role/{name}")
    if known is not None and world.rules.on(NAMED_ONCE) and known.tags.get("aws:cloudformation:logical-id") != owner:
        raise TemplateError(
            f"{place.logical}: role {name} already exists in account {account}; a role can belong to one stack"
        )
    policies = {policy["PolicyName"]: policy["PolicyDocument"] for policy in given.get("Policies", [])}
    managed = given.get("ManagedPolicyArns", [])
    if set(managed) - {BASIC_EXECUTION}:
        raise TemplateError(f"{place.logical}: the simulator does not have the managed policies {managed}")
    if managed:
        policies["managed"] = {"Version": "2012-10-17", "Statement": [LOGS]}
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])} | {"aws:cloudformation:logical-id": owner}
    longest = timedelta(seconds=int(given.get("MaxSessionDuration", 3600)))
    boundary = given.get("PermissionsBoundary", "")
    trust = given["AssumeRolePolicyDocument"]
    role = world.iam.put_role(account, name, trust, policies, longest=longest, tags=tags, boundary=boundary)
    return Made(name, {"Arn": role.arn, "RoleId": role.id})


@_type("AWS::IAM::Policy", "PolicyName PolicyDocument Roles")
def _policy(place: _StackPlace, given: Properties) -> Made:
    for name in given["Roles"]:
        arn = f"arn:aws:iam::{place.stack.account}:role/{name}"
        place.world.iam.roles.put_policy(arn, given["PolicyName"], given["PolicyDocument"])
    return Made(place.generated)


@_type("AWS::IAM::ManagedPolicy", "ManagedPolicyName PolicyDocument Roles Description")
def _managed_policy(place: _StackPlace, given: Properties) -> Made:
    policy = f"arn:aws:iam::{place.stack.account}:policy/{given.get('ManagedPolicyName', place.generated)}"
    place.world.iam.roles.managed[policy] = given["PolicyDocument"]
    for name in given.get("Roles", []):
        arn = f"arn:aws:iam::{place.stack.account}:role/{name}"
        place.world.iam.roles.attach(arn, place.generated, given["PolicyDocument"])
    return Made(policy)


@_type("AWS::Organizations::Policy", "Name Description Type TargetIds Content")
def _control_policy(place: _StackPlace, given: Properties) -> Made:
    organization = place.world.organizations.of(place.stack.account)
    if organization is None or organization.management != place.stack.account:
        raise TemplateError(f"{place.logical}: {place.stack.account} is no organization's management account")
    if given["Type"] != "SERVICE_CONTROL_POLICY":
        raise TemplateError(f"{place.logical}: the simulator plays service control policies only")
    place.world.organizations.attach(organization, given["Name"], given["Content"], given.get("TargetIds", []))
    made = f"p-{zlib.crc32(given['Name'].encode()):08x}"
    return Made(made, {"Id": made})


@_type(
    "AWS::KMS::Key",
    "KeyPolicy Description EnableKeyRotation Tags KeySpec KeyUsage Enabled PendingWindowInDays MultiRegion "
    "RotationPeriodInDays",
)
def _key(place: _StackPlace, given: Properties) -> Made:
    client = place.client("kms")
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in given.get("Tags", [])]
    policy = {"Policy": json.dumps(given["KeyPolicy"])} if "KeyPolicy" in given else {}
    if place.known is not None:
        if policy:
            client.put_key_policy(KeyId=place.known.ref, PolicyName="default", **policy)
        return place.known
    made = client.create_key(Description=given.get("Description", ""), Tags=tags, **policy)["KeyMetadata"]
    return Made(made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})


@_type("AWS::KMS::Alias", "AliasName TargetKeyId")
def _alias(place: _StackPlace, given: Properties) -> Made:
    kms = place.client("kms")
    (kms.create_alias if place.new else kms.update_alias)(**given)
    return Made(given["AliasName"])


# --- DynamoDB, SQS, SNS ---

TABLE_CREATE = (
    "TableName AttributeDefinitions KeySchema BillingMode GlobalSecondaryIndexes ProvisionedThroughput "
    "StreamSpecification DeletionProtectionEnabled"
)


@_type(
    "AWS::DynamoDB::Table",
    f"{TABLE_CREATE} PointInTimeRecoverySpecification SSESpecification TimeToLiveSpecification Tags TableClass "
    "ResourcePolicy",
)
def _table(place: _StackPlace, given: Properties) -> Made:
    name = given.get("TableName", place.generated)
    client = place.client("dynamodb")
    arn = place.arn("dynamodb", f"table/{name}")
    made_before = name in client.list_tables()["TableNames"]
    if not made_before:
        wanted = {key: given[key] for key in TABLE_CREATE.split() if key in given} | {"TableName": name}
        if "StreamSpecification" in wanted:
            wanted["StreamSpecification"] = {"StreamEnabled": True, **wanted["StreamSpecification"]}
        client.create_table(**wanted)
        if given.get("TimeToLiveSpecification", {}).get("Enabled"):
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=given["TimeToLiveSpecification"])
        if given.get("PointInTimeRecoverySpecification"):
            client.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification=given["PointInTimeRecoverySpecification"]
            )
    if "ResourcePolicy" in given:
        policy = json.dumps(given["ResourcePolicy"]["PolicyDocument"])
        client.put_resource_policy(ResourceArn=arn, Policy=policy)
    elif made_before:
        with suppress(client.exceptions.ResourceNotFoundException):  # it had none
            client.delete_resource_policy(ResourceArn=arn)
    return Made(name, {"Arn": arn})


QUEUE_ATTRIBUTES = (
    "FifoQueue ContentBasedDeduplication DeduplicationScope FifoThroughputLimit DelaySeconds VisibilityTimeout "
    "MessageRetentionPeriod ReceiveMessageWaitTimeSeconds MaximumMessageSize RedrivePolicy RedriveAllowPolicy "
    "KmsMasterKeyId KmsDataKeyReusePeriodSeconds SqsManagedSseEnabled"
)


@_type("AWS::SQS::Queue", f"QueueName Tags {QUEUE_ATTRIBUTES}")
def _queue(place: _StackPlace, given: Properties) -> Made:
    name = given.get("QueueName", place.generated)
    attributes = {key: _attribute(given[key]) for key in QUEUE_ATTRIBUTES.split() if key in given}
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
    queue = place.world.sqs.create(place.stack.account, place.stack.region, name, attributes, tags)
    queue.attributes.update(attributes)
    return Made(queue.url, {"Arn": queue.arn, "QueueName": queue.name, "QueueUrl": queue.url})


@_type("AWS::SQS::QueuePolicy", "Queues PolicyDocument")
def _queue_policy(place: _StackPlace, given: Properties) -> Made:
    for url in given["Queues"]:
        name = url.rsplit("/", 1)[1]
        queue = place.world.sqs.queue(place.stack.account, place.stack.region, name)
        queue.attributes["Policy"] = json.dumps(given["PolicyDocument"])
    return Made(place.generated)


@_type("AWS::SNS::Topic", "TopicName DisplayName KmsMasterKeyId Subscription Tags")
def _topic(place: _StackPlace, given: Properties) -> Made:
    topic = place.world.sns.create(place.stack.account, place.stack.region, given.get("TopicName", place.generated))
    for one in given.get("Subscription", []):
        if one["Endpoint"] not in {old.endpoint for old in topic.subscriptions}:
            place.world.sns.subscribe(topic.arn, one["Protocol"], one["Endpoint"])
    return Made(topic.arn, {"TopicArn": topic.arn, "TopicName": topic.arn.rsplit(":", 1)[1]})


@_type("AWS::SNS::Subscription", "TopicArn Protocol Endpoint FilterPolicy FilterPolicyScope RawMessageDelivery")
def _subscription(place: _StackPlace, given: Properties) -> Made:
    attributes: dict[str, str] = {
        key: _attribute(given[key])
        for key in ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery")
        if key in given
    }
    new = place.world.sns.subscribe(given["TopicArn"], given["Protocol"], given["Endpoint"], attributes)
    return Made(new.arn)


@_type("AWS::SNS::TopicPolicy", "Topics PolicyDocument")
def _topic_policy(place: _StackPlace, given: Properties) -> Made:
    for arn in given["Topics"]:
        place.world.sns.topics[arn].policy = given["PolicyDocument"]
    return Made(place.generated)


# --- EventBridge ---


@_type("AWS::Events::EventBus", "Name Description Tags Policy")
def _bus(place: _StackPlace, given: Properties) -> Made:
    bus = place.world.events.create(place.stack.account, place.stack.region, given["Name"])
    if "Policy" in given:
        bus.policy = given["Policy"]
    return Made(bus.name, {"Arn": bus.arn, "Name": bus.name})


@_type("AWS::Events::EventBusPolicy", "EventBusName StatementId Statement Action Principal Condition")
def _bus_policy(place: _StackPlace, given: Properties) -> Made:
    bus = place.world.events.create(place.stack.account, place.stack.region, given.get("EventBusName", "default"))
    if "Statement" not in given:
        raise TemplateError(
            f"{place.logical}: write the policy as a Statement; the simulator does not play the older form"
        )
    new = {**given["Statement"], "Sid": given["StatementId"]}
    old = [one for one in (bus.policy or {}).get("Statement", []) if one.get("Sid") != given["StatementId"]]
    bus.policy = {"Version": "2012-10-17", "Statement": [*old, new]}
    return Made(given["StatementId"])


@_type("AWS::Events::Rule", "Name Description EventBusName EventPattern ScheduleExpression State Targets")
def _rule(place: _StackPlace, given: Properties) -> Made:
    events, account, region = place.world.events, place.stack.account, place.stack.region
    name = given.get("Name", place.generated)
    bus = given.get("EventBusName", "default")
    arn = bus if bus.startswith("arn:") else place.arn("events", f"event-bus/{bus}")
    if arn not in events.buses and not arn.endswith("/default"):
        raise TemplateError(f"{place.logical}: there is no event bus {bus} in {account}, {region}")
    events.default(account, region)
    state = given.get("State", "ENABLED")
    new = buses.EventRule(
        name,
        arn,
        given.get("EventPattern"),
        given.get("ScheduleExpression"),
        state != "DISABLED",
        reads=state == buses.WITH_READS,
    )
    events.put_rule(new)
    new.targets.clear()
    try:
        for target in given.get("Targets", []):
            events.put_target(new, buses.target(target))
    except AwsError:
        if place.new:
            events.buses[arn].rules.pop(name)
        raise
    return Made(name if arn.endswith("/default") else f"{bus}|{name}", {"Arn": new.arn})


@_type("AWS::EC2::SnapshotBlockPublicAccess", "State")
def _block_snapshots(place: _StackPlace, given: Properties) -> Made:
    account, ec2 = place.stack.account, place.client("ec2")
    stands = ec2.get_snapshot_block_public_access_state()["State"] != "unblocked"
    if place.new and stands and place.world.rules.on(BLOCKED_BEFORE):
        raise AwsError("AlreadyExists", f"The block of public access for snapshots is on already in {account}")
    ec2.enable_snapshot_block_public_access(State=given["State"])
    return Made(account, {"AccountId": account})


# --- What only watches: kept, not played ---


@_type("AWS::Logs::LogGroup", "LogGroupName RetentionInDays KmsKeyId Tags LogGroupClass")
def _log_group(place: _StackPlace, given: Properties) -> Made:
    name = given.get("LogGroupName", place.generated)
    if place.new:
        place.client("logs").create_log_group(logGroupName=name)
    return Made(name, {"Arn": place.arn("logs", f"log-group:{name}:*")})


@_type(
    "AWS::CloudWatch::Alarm",
    "AlarmName AlarmDescription ActionsEnabled AlarmActions OKActions InsufficientDataActions ComparisonOperator "
    "DatapointsToAlarm Dimensions EvaluationPeriods ExtendedStatistic MetricName Metrics Namespace Period Statistic "
    "Threshold TreatMissingData Unit Tags",
)
def _alarm(place: _StackPlace, given: Properties) -> Made:
    name = given.get("AlarmName", place.generated)
    arn = place.arn("cloudwatch", f"alarm:{name}")
    place.world.cloudwatch.put(place.stack.account, place.stack.region, {**given, "AlarmName": name, "AlarmArn": arn})
    return Made(name, {"Arn": arn})


@_type("AWS::CloudWatch::Dashboard", "DashboardName DashboardBody")
def _dashboard(place: _StackPlace, given: Properties) -> Made:
    json.loads(given["DashboardBody"])  # a dashboard that is no JSON fails in AWS too
    return Made(given.get("DashboardName", place.generated))


@_type("AWS::Logs::QueryDefinition", "Name QueryString LogGroupNames")
def _query(place: _StackPlace, _given: Properties) -> Made:
    return Made(place.generated)


def _attribute(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
