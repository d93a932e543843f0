"""The permissions that each call needs: actions, resources, condition keys.

A call that is not in the table is refused to everybody but an account's root, so that a forgotten line shows. [Service
authorization reference, per service; aws-facts 2 for CopySnapshot]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from awsim.api import AwsError, Call
from awsim.iam import ec2_needs
from awsim.iam.match import Values
from awsim.iam.need import Facts, NeededPermission, Needs, parameter_arn
from awsim.rules import rule as declare


def of(facts: Facts, call: Call) -> list[NeededPermission] | None:
    """Return the permissions that a call needs; None if the table does not have the call."""
    found = TABLE.get(f"{call.service}:{call.operation}")
    return None if found is None else list(found(facts, call))


def nothing(_facts: Facts, _call: Call) -> list[NeededPermission]:
    """Return no permissions: everybody may call it, or its handler authorises."""
    return []


def _anywhere(action: str) -> Needs:
    def rule(_facts: Facts, _call: Call) -> list[NeededPermission]:
        return [NeededPermission(action, "*")]

    return rule


# --- DynamoDB ---


def _table_arn(call: Call, name: str, index: str | None = None) -> str:
    arn = name if name.startswith("arn:") else f"arn:aws:dynamodb:{call.region}:{call.caller.account}:table/{name}"
    return f"{arn}/index/{index}" if index else arn


LEADING = declare(
    "dynamodb-leading-keys",
    "dynamodb:LeadingKeys are the partition keys of the items that a call reads or writes; a Scan has none. "
    "[aws-facts, later reading, VERIFIED; for each operation of a transaction UNVERIFIED]",
)


def _leading(facts: Facts, call: Call, name: str, items: Iterable[Mapping[str, Any]]) -> dict[str, Values]:
    """Return the condition keys of a call on these items (or keys) of a table."""
    key = facts.tables.partition_key(call.caller.account, call.region, name.rpartition("/")[2])
    if key is None or not facts.rules.on(LEADING):
        return {}
    found = [str(next(iter(item[key].values()))) for item in items if key in item]
    return {"dynamodb:leadingkeys": found} if found else {}


def _queried(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the keys in a Query's condition as one item."""
    names, given = params.get("ExpressionAttributeNames", {}), params.get("ExpressionAttributeValues", {})
    equal = _EQUAL.findall(params.get("KeyConditionExpression", ""))
    return [{names.get(name, name): given[value] for name, value in equal if value in given}]


_EQUAL = re.compile(r"(#?\w+)\s*=\s*(:\w+)")


def _table(action: str) -> Needs:
    def rule(facts: Facts, call: Call) -> list[NeededPermission]:
        name, index = call.params["TableName"], call.params.get("IndexName")
        items = [call.params[part] for part in ("Item", "Key") if part in call.params]
        items += [] if index else _queried(call.params)
        return [NeededPermission(action, _table_arn(call, name, index), _leading(facts, call, name, items))]

    return rule


def _transaction(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem"}
    for item in call.params["TransactItems"]:
        for kind, body in item.items():
            name = body["TableName"]
            context = _leading(facts, call, name, [body.get("Item") or body.get("Key") or {}])
            yield NeededPermission(
                f"dynamodb:{actions.get(kind, 'ConditionCheckItem')}", _table_arn(call, name), context
            )


def _restore(_facts: Facts, call: Call) -> Iterator[NeededPermission]:
    """Yield the restore's own right on the source, and what it needs on the new table."""
    yield NeededPermission("dynamodb:RestoreTableToPointInTime", _table_arn(call, call.params["SourceTableName"]))
    for name in ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchWriteItem"):
        yield NeededPermission(f"dynamodb:{name}", _table_arn(call, call.params["TargetTableName"]))


_STATEMENT = re.compile(
    r'\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM|SELECT\s.*?\sFROM)\s+"?([\w.-]+)"?', re.IGNORECASE | re.DOTALL
)
PARTIQL = declare(
    "dynamodb-partiql-has-actions-of-its-own",
    "A PartiQL statement needs PartiQLInsert, PartiQLUpdate, PartiQLDelete or PartiQLSelect, not PutItem and the like. "
    "[DynamoDB developer guide, IAM policies with PartiQL, VERIFIED; without partition keys: the simulator's]",
)


def _statement(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    found = _STATEMENT.match(call.params["Statement"])
    if found is None:
        raise AwsError("ValidationException", "the simulator cannot read this statement")
    kind = found[1].split()[0].capitalize()
    usual = {"Insert": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Select": "Query"}[kind]
    action = f"PartiQL{kind}" if facts.rules.on(PARTIQL) else usual
    yield NeededPermission(f"dynamodb:{action}", _table_arn(call, found[2]))


def _named_by_arn(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        return [NeededPermission(action, call.params["ResourceArn"])]

    return rule


def _batch(action: str) -> Needs:
    def rule(facts: Facts, call: Call) -> Iterator[NeededPermission]:
        for name, asked in call.params["RequestItems"].items():
            if isinstance(asked, dict):
                items = asked.get("Keys", [])
            else:
                items = [part.get("Item") or part["Key"] for one in asked for part in one.values()]
            yield NeededPermission(action, _table_arn(call, name), _leading(facts, call, name, items))

    return rule


# --- Organizations ---


def _in_organization(action: str, name: str) -> Needs:
    """Return the ARN of an account, OU or root, with the caller's account; the handler checks who may ask."""

    def rule(facts: Facts, call: Call) -> list[NeededPermission]:
        asked = call.params[name]
        kind = {"o": "ou", "r": "root"}.get(asked[0], "account")
        found = facts.organizations.id_of(call.caller.account)
        there = found or "o-none"
        return [NeededPermission(action, f"arn:aws:organizations::{call.caller.account}:{kind}/{there}/{asked}")]

    return rule


# --- SQS, SNS, EventBridge, Lambda, SSM, logs, IAM, STS ---


def _queue(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        if "QueueUrl" in call.params:
            account, name = urlsplit(call.params["QueueUrl"]).path.strip("/").rsplit("/", 1)
        else:
            account = call.params.get("QueueOwnerAWSAccountId", call.caller.account)
            name = call.params["QueueName"]
        return [NeededPermission(action, f"arn:aws:sqs:{call.region}:{account}:{name}")]

    return rule


def _topic(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        return [NeededPermission(action, call.params.get("TopicArn") or call.params.get("TargetArn") or "*")]

    return rule


def _put_events(_facts: Facts, call: Call) -> Iterator[NeededPermission]:
    for entry in call.params["Entries"]:
        bus = entry.get("EventBusName", "default")
        arn = bus if bus.startswith("arn:") else f"arn:aws:events:{call.region}:{call.caller.account}:event-bus/{bus}"
        context = {"events:source": entry.get("Source", ""), "events:detail-type": entry.get("DetailType", "")}
        yield NeededPermission("events:PutEvents", arn, context)


def _event_rule(action: str, member: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        bus = call.params.get("EventBusName", "default").rpartition("/")[2]
        name = call.params[member] if bus == "default" else f"{bus}/{call.params[member]}"
        return [NeededPermission(action, f"arn:aws:events:{call.region}:{call.caller.account}:rule/{name}")]

    return rule


def _event_bus(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        name = call.params.get("Name", "default").rpartition("/")[2]
        return [NeededPermission(action, f"arn:aws:events:{call.region}:{call.caller.account}:event-bus/{name}")]

    return rule


def _function(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        name = call.params["FunctionName"]
        arn = name if name.startswith("arn:") else f"arn:aws:lambda:{call.region}:{call.caller.account}:function:{name}"
        return [NeededPermission(action, arn)]

    return rule


TAGS_AT_CREATION = declare(
    "ssm-tags-at-creation-need-add-tags",
    "PutParameter with Tags needs ssm:AddTagsToResource besides ssm:PutParameter. [a denial in "
    "pepperize/cdk-ssm-parameters-cross-region#442; hashicorp/terraform-provider-aws#17819]",
)
TAGS_TWICE = declare(
    "ssm-tagging-is-authorised-with-a-doubled-slash",
    "The tags of a parameter whose name begins with a slash are authorised on an ARN with that slash doubled, too: "
    "parameter//images/x. [a denial in pepperize/cdk-ssm-parameters-cross-region#442; that the usual ARN is needed as "
    "well UNVERIFIED]",
)


def _parameters(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> Iterator[NeededPermission]:
        path = call.params.get("Path")
        for name in call.params.get("Names") or [call.params.get("Name") or path]:
            yield NeededPermission(action, parameter_arn(call, name))

    return rule


def _put_parameter(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    """Yield the rights on the parameter; ec2:DescribeImages is asked for when the value is validated."""
    name, tags = call.params["Name"], call.params.get("Tags")
    context = {"ssm:overwrite": str(call.params.get("Overwrite", False)).lower(), **_parameter_tags(call)}
    yield NeededPermission("ssm:PutParameter", parameter_arn(call, name), context)
    if tags and facts.rules.on(TAGS_AT_CREATION):
        yield from _tagging(facts, call, "ssm:AddTagsToResource", name)


def _parameter_tags(call: Call) -> dict[str, Values]:
    tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or ()}
    return {
        **ec2_needs.asked_tags(tags),
        **({"aws:tagkeys": call.params["TagKeys"]} if "TagKeys" in call.params else {}),
    }


def _tagging(facts: Facts, call: Call, action: str, name: str) -> Iterator[NeededPermission]:
    yield NeededPermission(action, parameter_arn(call, name), _parameter_tags(call))
    if name.startswith("/") and facts.rules.on(TAGS_TWICE):
        doubled = parameter_arn(call, name).replace(":parameter/", ":parameter//")
        yield NeededPermission(action, doubled, _parameter_tags(call))


def _tags_of_parameter(action: str) -> Needs:
    def rule(facts: Facts, call: Call) -> Iterator[NeededPermission]:
        yield from _tagging(facts, call, action, call.params["ResourceId"])

    return rule


def _log(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        group, stream = call.params.get("logGroupName", "*"), call.params.get("logStreamName")
        arn = f"arn:aws:logs:{call.region}:{call.caller.account}:log-group:{group}"
        return [NeededPermission(action, f"{arn}:log-stream:{stream}" if stream else arn)]

    return rule


def _stacks(action: str) -> Needs:
    def rule(_facts: Facts, call: Call) -> list[NeededPermission]:
        name = call.params.get("StackName")
        arn = f"arn:aws:cloudformation:{call.region}:{call.caller.account}:stack/{name}/*"
        return [NeededPermission(action, arn if name else "*")]

    return rule


def _metric(_facts: Facts, call: Call) -> list[NeededPermission]:
    return [
        NeededPermission("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": call.params.get("Namespace", "")})
    ]


def _role(action: str) -> Needs:
    def rule(facts: Facts, call: Call) -> list[NeededPermission]:
        name = call.params["RoleName"]
        known = facts.roles.named(call.caller.account, name)
        return [NeededPermission(action, known.arn if known else f"arn:aws:iam::{call.caller.account}:role/{name}")]

    return rule


def _service_linked(_facts: Facts, call: Call) -> list[NeededPermission]:
    service = call.params["AWSServiceName"]
    arn = f"arn:aws:iam::{call.caller.account}:role/aws-service-role/{service}/*"
    return [NeededPermission("iam:CreateServiceLinkedRole", arn, {"iam:awsservicename": service})]


KMS = (
    "CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias DescribeKey DisableKey DisableKeyRotation "
    "EnableKey EnableKeyRotation GenerateDataKey GenerateDataKeyWithoutPlaintext GetKeyPolicy GetKeyRotationStatus "
    "ListAliases ListGrants ListKeys PutKeyPolicy RetireGrant RevokeGrant ScheduleKeyDeletion UpdateAlias"
)
DYNAMODB = "GetItem PutItem UpdateItem DeleteItem Query Scan DescribeTable UpdateTable DeleteTable CreateBackup"
TABLE_POLICIES = "GetResourcePolicy PutResourcePolicy DeleteResourcePolicy"
SQS = (
    "SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch ChangeMessageVisibility "
    "ChangeMessageVisibilityBatch GetQueueAttributes GetQueueUrl PurgeQueue"
)
ORGANIZATIONS = ("DescribeOrganization", "ListAccounts", "ListRoots")
"""Operations whose permission is on no resource."""

TABLE: dict[str, Needs] = {
    **ec2_needs.TABLE,
    "iam:GetAccountAuthorizationDetails": _anywhere("iam:GetAccountAuthorizationDetails"),
    "iam:GetRole": _role("iam:GetRole"),
    "iam:GetRolePolicy": _role("iam:GetRolePolicy"),
    "iam:CreateServiceLinkedRole": _service_linked,
    # STS and KMS ask for themselves: they look at the role's trust, at key policies and grants as well.
    "sts:GetCallerIdentity": nothing,
    "sts:AssumeRole": nothing,
    **{f"kms:{name}": nothing for name in KMS.split()},
    **{f"dynamodb:{name}": _table(f"dynamodb:{name}") for name in DYNAMODB.split()},
    "dynamodb:TransactWriteItems": _transaction,
    "dynamodb:TransactGetItems": _transaction,
    "dynamodb:ExecuteStatement": _statement,
    "dynamodb:RestoreTableToPointInTime": _restore,
    **{f"dynamodb:{name}": _named_by_arn(f"dynamodb:{name}") for name in TABLE_POLICIES.split()},
    "dynamodb:BatchGetItem": _batch("dynamodb:BatchGetItem"),
    "dynamodb:BatchWriteItem": _batch("dynamodb:BatchWriteItem"),
    **{f"sqs:{name}": _queue(f"sqs:{name.removesuffix('Batch')}") for name in SQS.split()},
    "sqs:ListQueues": _anywhere("sqs:ListQueues"),
    "sns:Publish": _topic("sns:Publish"),
    "sns:PublishBatch": _topic("sns:Publish"),
    "sns:GetTopicAttributes": _topic("sns:GetTopicAttributes"),
    "sns:ListSubscriptionsByTopic": _topic("sns:ListSubscriptionsByTopic"),
    "events:PutEvents": _put_events,
    "cloudtrail:LookupEvents": _anywhere("cloudtrail:LookupEvents"),
    "events:DescribeEventBus": _event_bus("events:DescribeEventBus"),
    "events:DescribeRule": _event_rule("events:DescribeRule", "Name"),
    "events:ListTargetsByRule": _event_rule("events:ListTargetsByRule", "Rule"),
    "events:ListRules": _anywhere("events:ListRules"),
    "lambda:Invoke": _function("lambda:InvokeFunction"),
    "lambda:GetAccountSettings": _anywhere("lambda:GetAccountSettings"),
    "lambda:GetFunctionConcurrency": _function("lambda:GetFunctionConcurrency"),
    "lambda:ListEventSourceMappings": _anywhere("lambda:ListEventSourceMappings"),
    "ssm:GetParameter": _parameters("ssm:GetParameter"),
    "ssm:GetParameters": _parameters("ssm:GetParameters"),
    "ssm:GetParametersByPath": _parameters("ssm:GetParametersByPath"),
    "ssm:PutParameter": _put_parameter,
    "ssm:DeleteParameter": _parameters("ssm:DeleteParameter"),
    "ssm:DescribeParameters": _anywhere("ssm:DescribeParameters"),
    "ssm:AddTagsToResource": _tags_of_parameter("ssm:AddTagsToResource"),
    "ssm:RemoveTagsFromResource": _tags_of_parameter("ssm:RemoveTagsFromResource"),
    "ssm:ListTagsForResource": _tags_of_parameter("ssm:ListTagsForResource"),
    "logs:CreateLogGroup": _log("logs:CreateLogGroup"),
    "logs:CreateLogStream": _log("logs:CreateLogStream"),
    "logs:PutLogEvents": _log("logs:PutLogEvents"),
    "logs:DescribeLogGroups": _log("logs:DescribeLogGroups"),
    "logs:FilterLogEvents": _log("logs:FilterLogEvents"),
    **{
        f"cloudformation:{name}": _stacks(f"cloudformation:{name}")
        for name in (
            "DescribeStacks",
            "GetTemplateSummary",
            "CreateChangeSet",
            "DescribeChangeSet",
            "ExecuteChangeSet",
            "DeleteStack",
        )
    },
    "cloudwatch:PutMetricData": _metric,
    "cloudwatch:GetMetricStatistics": _anywhere("cloudwatch:GetMetricStatistics"),
    "cloudwatch:ListMetrics": _anywhere("cloudwatch:ListMetrics"),
    "cloudwatch:DescribeAlarms": _anywhere("cloudwatch:DescribeAlarms"),
    "cloudwatch:DescribeAlarmsForMetric": _anywhere("cloudwatch:DescribeAlarmsForMetric"),
    **{f"organizations:{name}": _anywhere(f"organizations:{name}") for name in ORGANIZATIONS},
    "organizations:DescribeAccount": _in_organization("organizations:DescribeAccount", "AccountId"),
    "organizations:DescribeOrganizationalUnit": _in_organization(
        "organizations:DescribeOrganizationalUnit", "OrganizationalUnitId"
    ),
    "organizations:ListAccountsForParent": _in_organization("organizations:ListAccountsForParent", "ParentId"),
    "organizations:ListOrganizationalUnitsForParent": _in_organization(
        "organizations:ListOrganizationalUnitsForParent", "ParentId"
    ),
    "organizations:ListParents": _in_organization("organizations:ListParents", "ChildId"),
}
"""``service:Operation`` -> what it needs."""
