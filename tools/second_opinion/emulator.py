"""Starts ministack, patched where it stands in the way, and with a journal of every call that it authorised.

Runs in `.venv-ministack`, as a program, and knows nothing of the project. Every patch has its reason beside it; each
reaches into private names, so requirements/ministack.in pins the release. The journal goes to the file that
``SECOND_OPINION_JOURNAL`` names: one JSON object per decision, and one per call that a service refused.
"""

# ruff: noqa: SLF001 - what the emulator lacks can only be patched in its private parts

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_actions, iam_evaluator, lambda_runtime  # type: ignore[import-not-found]
from ministack.core.responses import get_account_id, get_region, request_scope  # type: ignore[import-not-found]
from ministack.services import ec2, eventbridge, kms, tagging  # type: ignore[import-not-found]
from ministack.services.cloudformation import (  # type: ignore[import-not-found]
    changesets,
    engine,
    handlers,
    provisioners,
    stacks,
)

from tools.second_opinion import emulator_ec2

ORGANIZATION = "o-a1b2c3d4e5"
"""The guide's, of which hub and target are members."""


def main() -> int:
    """Patch, then serve until killed."""
    for patch in (
        journal_decisions,
        journal_refusals,
        functions_see_their_package_only,
        conditions_may_join,
        bus_policies_can_be_deployed,
        alarms_over_several_metrics_can_be_deployed,
        settings_that_it_lacks_can_be_deployed,
        resources_are_named_as_in_aws,
        tags_of_what_is_made_count,
        tags_of_what_is_there_count,
        a_session_is_known_by_its_role,
        resources_are_of_the_organization,
        a_session_is_known_by_its_function,
        partitions_are_named,
        keys_name_their_account,
        a_batch_needs_the_right_to_one,
        requests_bring_their_context,
        events_reach_other_accounts,
        emulator_ec2.patch,
    ):
        patch()
    app.main()
    return 0


# ---- A window, no patches -------------------------------------------------------------------------------------------


def journal_decisions() -> None:
    """Write down who asked for what, and what the emulator's own evaluation of the policies said."""
    enforce = iam_evaluator.enforce

    def journalled(key: str, action: str, service: str, region: str, **rest: Any) -> Any:
        denied = enforce(key, action, service, region, **rest)
        caller = iam_evaluator.resolve_principal(key or "", get_account_id())
        write(
            {
                "caller": getattr(caller, "arn", "?"),
                "region": region,
                "action": action,
                "resource": rest.get("resource_arn", "*"),
                "allowed": denied is None,
                "why": "" if denied is None else str(denied),
            }
        )
        return denied

    iam_evaluator.enforce = journalled


def journal_refusals() -> None:
    """Write down every call that was authorised and refused all the same: what the emulator lacks shows here."""
    handlers = app.SERVICE_HANDLERS

    def journalled(service: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
            status, answer_headers, answer = await handler(method, path, headers, body, query)
            if status >= 400 and service != "s3":
                text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
                write({"refused": service, "status": status, "account": get_account_id(), "answer": text[:600]})
            return status, answer_headers, answer

        return handle

    for service, handler in list(handlers.items()):
        handlers[service] = journalled(service, handler)


def write(entry: Mapping[str, Any]) -> None:
    """Append to the journal; one short write, so lines of several threads do not mix."""
    with open(os.environ["SECOND_OPINION_JOURNAL"], "a", encoding="utf-8") as journal:  # noqa: PTH123
        journal.write(json.dumps({"at": time.time(), **entry}) + "\n")


# ---- Functions ------------------------------------------------------------------------------------------------------


def functions_see_their_package_only() -> None:
    """Workers share the emulator's interpreter, boto3 included: what the package lacks would not be missed."""
    lambda_runtime._PYTHON_WORKER_SCRIPT = (
        "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        + lambda_runtime._PYTHON_WORKER_SCRIPT
    )


# ---- CloudFormation -------------------------------------------------------------------------------------------------


def conditions_may_join() -> None:
    """Fn::Join is not evaluated inside a condition: a joined empty list did not equal an empty text."""

    def joined(value: Any, parameters: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [joined(item, parameters) for item in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Join" in value:
            between, items = value["Fn::Join"]
            if "Ref" in items:
                items = [item.strip() for item in parameters[items["Ref"]]["Value"].split(",")]
            return between.join(items)
        return {name: joined(item, parameters) for name, item in value.items()}

    def wrapped(evaluate: Callable[..., Any]) -> Callable[..., Any]:
        def with_joins(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
            return evaluate({**template, "Conditions": joined(template.get("Conditions", {}), parameters)}, parameters)

        return with_joins

    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = wrapped(module._evaluate_conditions)


def bus_policies_can_be_deployed() -> None:
    """AWS::Events::EventBusPolicy is not known: made through the emulator's own PutPermission."""

    def create(_logical: str, properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        sid, bus, statement = properties["StatementId"], properties["EventBusName"], properties["Statement"]
        asked = {"StatementId": sid, "EventBusName": bus}
        eventbridge._put_permission({**asked, **{k: statement.get(k) for k in ("Principal", "Action", "Condition")}})
        return f"{bus}|{sid}", {}

    def delete(_physical: str, properties: Mapping[str, Any]) -> None:
        eventbridge._remove_permission({k: properties[k] for k in ("StatementId", "EventBusName")})

    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {"create": create, "delete": delete}


def alarms_over_several_metrics_can_be_deployed() -> None:
    """Alarms over an expression are refused: the alarm is stored with its first metric alone."""
    record = provisioners._cw_metric_alarm_record

    def with_one_metric(name: str, properties: Mapping[str, Any]) -> Any:
        stats = [metric["MetricStat"] for metric in properties.get("Metrics", ()) if "MetricStat" in metric]
        if stats:
            properties = {
                **{k: v for k, v in properties.items() if k != "Metrics"},
                **stats[0]["Metric"],
                "Statistic": stats[0]["Stat"],
                "Period": stats[0]["Period"],
            }
        return record(name, properties)

    provisioners._cw_metric_alarm_record = with_one_metric


def settings_that_it_lacks_can_be_deployed() -> None:
    """Block public access for snapshots and saved log queries are not known: they are accepted, and do nothing."""

    def create(logical: str, _properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        return logical, {}

    def delete(_physical: str, _properties: Mapping[str, Any]) -> None:
        pass

    for kind in ("AWS::EC2::SnapshotBlockPublicAccess", "AWS::Logs::QueryDefinition"):
        provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "delete": delete}


# ---- Authorisation --------------------------------------------------------------------------------------------------


def resources_are_named_as_in_aws() -> None:
    """Right policies were denied for the resource they were evaluated on.

    AWS's ARNs of images and snapshots have no account in them, the emulator's have. A call that makes one is evaluated
    on no resource at all, and one that names a key by its alias on the alias instead of the key.
    """
    extract = iam_actions.extract_resource_arn
    made = {"CopySnapshot": "snapshot/*", "RegisterImage": "image/*"}

    def as_in_aws(service: str, *rest: Any) -> Any:
        arn = extract(service, *rest)
        *_, parameters, region, _account = rest
        if service == "kms" and ":alias/" in arn:
            key = kms._resolve_key(arn)
            return key["Arn"] if key else arn
        if service != "ec2":
            return arn
        action = iam_actions._query_param(parameters, "Action")
        if action in made:
            return f"arn:aws:ec2:{region}::{made[action]}"
        parts = arn.split(":", 5)
        if len(parts) == 6 and parts[5].startswith(("image/", "snapshot/")):
            return ":".join([*parts[:4], "", parts[5]])
        return arn

    def source_as_well(parameters: Any, region: str, account: str) -> Any:
        if iam_actions._query_param(parameters, "Action") == "CopySnapshot":
            source = iam_actions._query_param(parameters, "SourceSnapshotId")
            return [f"arn:aws:ec2:{region}::snapshot/*", f"arn:aws:ec2:{region}::snapshot/{source}"]
        return further(parameters, region, account)

    further = iam_actions.verified_access_resource_arns
    iam_actions.extract_resource_arn = as_in_aws
    iam_actions.verified_access_resource_arns = source_as_well


def a_batch_needs_the_right_to_one() -> None:
    """SendMessageBatch was denied: AWS knows no action of that name and asks for sqs:SendMessage.

    [SQS developer guide, API permissions; service authorization reference, Amazon SQS]
    """
    enforce = iam_evaluator.enforce

    def as_in_aws(key: str, action: str, *rest: Any, **more: Any) -> Any:
        return enforce(key, action.removesuffix("Batch") if action == "sqs:SendMessageBatch" else action, *rest, **more)

    iam_evaluator.enforce = as_in_aws


def tags_of_what_is_made_count() -> None:
    """aws:RequestTag does not see the tags that CopySnapshot and RegisterImage bring for what they make."""
    context = iam_actions.request_tag_context

    def with_tags(service: str, action: str, body: bytes, parameters: Any) -> Any:
        known = context(service, action, body, parameters)
        if action in ("ec2:CopySnapshot", "ec2:RegisterImage"):
            number = 1
            while key := iam_actions._query_param(parameters, f"TagSpecification.1.Tag.{number}.Key"):
                value = iam_actions._query_param(parameters, f"TagSpecification.1.Tag.{number}.Value")
                known |= {f"aws:RequestTag/{key}": value}
                number += 1
        return known

    iam_actions.request_tag_context = with_tags


def tags_of_what_is_there_count() -> None:
    """aws:ResourceTag does not see the tags of images and snapshots."""
    look_up = tagging.resource_tags

    def with_those_of_ec2(arn: str) -> Any:
        if not arn.startswith("arn:aws:ec2:"):
            return look_up(arn)
        return {tag["Key"]: tag["Value"] for tag in ec2._tags.get(arn.rpartition("/")[2]) or ()}

    tagging.resource_tags = with_those_of_ec2


def a_session_is_known_by_its_role() -> None:
    """aws:PrincipalArn is the role's ARN in AWS, and was the session's here: the trust of the target refused."""
    resolve = iam_evaluator._resolve_condition_key

    def by_role(key: str, context: Any) -> Any:
        value = resolve(key, context)
        if key.lower() == "aws:principalarn" and ":assumed-role/" in value:
            return value.replace(":sts:", ":iam:").replace(":assumed-role/", ":role/").rsplit("/", 1)[0]
        return value

    iam_evaluator._resolve_condition_key = by_role


def partitions_are_named() -> None:
    """dynamodb:LeadingKeys is missing, so that no function had its right to its own kinds of records."""
    context = iam_actions.request_tag_context

    def with_keys(service: str, action: str, body: bytes, parameters: Any) -> Any:
        known = context(service, action, body, parameters)
        keys = sorted(leading_keys(json.loads(body or b"{}"))) if service == "dynamodb" else []
        return {**known, "dynamodb:LeadingKeys": keys} if keys else known

    iam_actions.request_tag_context = with_keys


def leading_keys(request: Any) -> set[str]:
    """Return the partition keys that a request of DynamoDB names: of items, and of a query's condition."""
    if isinstance(request, list):
        return set().union(*map(leading_keys, request))
    if not isinstance(request, dict):
        return set()
    if condition := re.match(r"\W*\w+ ?= ?(:\w+)", request.get("KeyConditionExpression", "")):
        return set(request["ExpressionAttributeValues"][condition[1]].values())
    own = set(request["pk"].values()) if isinstance(request.get("pk"), dict) else set()
    return own.union(*map(leading_keys, request.values()))


def a_session_is_known_by_its_function() -> None:
    """lambda:SourceFunctionArn is missing, so that each function's role was denied to its own function."""
    resolve = iam_evaluator._resolve_condition_key

    def by_function(key: str, context: Any) -> Any:
        if key.lower() != "lambda:sourcefunctionarn":
            return resolve(key, context)
        caller = resolve("aws:PrincipalArn", context) or ""
        named = re.search(r"::(\d+):(?:assumed-)?role/(ami-promoter-([a-z]+-[a-z]+-\d)-[a-z-]+)", caller)
        return f"arn:aws:lambda:{named[3]}:{named[1]}:function:{named[2]}" if named else None

    iam_evaluator._resolve_condition_key = by_function


def resources_are_of_the_organization() -> None:
    """aws:ResourceOrgID is missing, so that the hub's own denial held for every target."""
    resolve = iam_evaluator._resolve_condition_key

    def by_resource(key: str, context: Any) -> Any:
        return ORGANIZATION if key.lower() == "aws:resourceorgid" else resolve(key, context)

    iam_evaluator._resolve_condition_key = by_resource


def keys_name_their_account() -> None:
    """DescribeKey leaves out AWSAccountId, which every key has in AWS."""
    metadata = kms._key_metadata

    def with_account(record: Mapping[str, Any]) -> Any:
        shown = metadata(record)
        return {"AWSAccountId": shown["Arn"].split(":")[4], **shown}

    kms._key_metadata = with_account


def requests_bring_their_context() -> None:
    """What PutEvents and CreateGrant ask for is not in the evaluation, so that right policies denied them."""
    context = iam_actions.request_tag_context

    def with_request(service: str, action: str, body: bytes, parameters: Any) -> Any:
        known = context(service, action, body, parameters)
        if action == "events:PutEvents":
            for entry in json.loads(body).get("Entries", [])[:1]:
                known |= {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
        elif action == "kms:CreateGrant":
            asked = json.loads(body)
            known |= {"kms:GranteePrincipal": asked["GranteePrincipal"], "kms:GrantOperations": asked["Operations"]}
        return known

    iam_actions.request_tag_context = with_request


# ---- Events ---------------------------------------------------------------------------------------------------------


def events_reach_other_accounts() -> None:
    """A bus of another account or Region is "not found": an event is carried there as it is, as AWS does.

    The bus policy is not asked: the emulator stores it, and evaluates none.
    """
    dispatch = eventbridge._dispatch_to_event_bus

    def carry(spec: Any, event: Mapping[str, Any], rule: Any, path: Any, payload: Any = None) -> None:
        if (spec.account_id, spec.region) == (get_account_id(), get_region()):
            dispatch(spec, event, rule, path, payload)
            return
        with request_scope(spec.account_id, spec.region):
            bus = spec.resource.split("/", 1)[1]
            if bus in eventbridge._event_buses:
                eventbridge._dispatch_event({**event, "EventBusName": bus})

    eventbridge._dispatch_to_event_bus = carry


if __name__ == "__main__":
    sys.exit(main())
