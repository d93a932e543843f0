"""Starts ministack, mended where it stands in the way, and with a journal of every call that it authorised.

Runs in `.venv-ministack`, as a program, and knows nothing of the project. Every mend has its reason beside it; each
reaches into private names, so requirements/ministack.in pins the release. The journal goes to the file that
``SECOND_OPINION_JOURNAL`` names: one JSON object per decision, and one per call that a service refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_actions, iam_evaluator, lambda_runtime  # type: ignore[import-not-found]
from ministack.core.responses import get_account_id, get_region  # type: ignore[import-not-found]
from ministack.services import ec2, eventbridge  # type: ignore[import-not-found]
from ministack.services.cloudformation import changesets, engine, provisioners, stacks  # type: ignore[import-not-found]


def main() -> int:
    """Mend, then serve until killed."""
    for mend in (
        journal_decisions,
        journal_refusals,
        functions_see_their_package_only,
        conditions_may_join,
        bus_policies_can_be_deployed,
        alarms_over_several_metrics_can_be_deployed,
        image_and_snapshot_arns_name_no_account,
        tagging_an_image_is_an_event,
    ):
        mend()
    app.main()
    return 0


# ---- A window, no mends ---------------------------------------------------------------------------------------------


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

    for module in (changesets, engine, stacks):
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


# ---- Authorisation --------------------------------------------------------------------------------------------------


def image_and_snapshot_arns_name_no_account() -> None:
    """AWS's ARNs of images and snapshots have no account in them; the emulator's have, so right policies denied."""
    extract = iam_actions.extract_resource_arn

    def without_account(service: str, *rest: Any) -> Any:
        arn = extract(service, *rest)
        parts = arn.split(":", 5)
        if service == "ec2" and len(parts) == 6 and parts[5].startswith(("image/", "snapshot/")):
            return ":".join([*parts[:4], "", parts[5]])
        return arn

    iam_actions.extract_resource_arn = without_account


# ---- Events ---------------------------------------------------------------------------------------------------------


def tagging_an_image_is_an_event() -> None:
    """The emulator sends no events of EC2 or of tags, and refuses to let anybody else send them, as AWS does."""
    versions: dict[str, int] = {}

    def with_event(action: str) -> Callable[[Any], Any]:
        act = ec2._ACTION_MAP[action]

        def change(parameters: Any) -> Any:
            answer = act(parameters)
            keys = [tag["Key"] for tag in ec2._parse_tags(parameters)]
            for image in ec2._parse_member_list(parameters, "ResourceId"):
                if image.startswith("ami-"):
                    versions[image] = versions.get(image, 0) + 1
                    tell(image, keys, versions[image])
            return answer

        return change

    def tell(image: str, keys: list[str], version: int) -> None:
        detail = {
            "service": "ec2",
            "resource-type": "image",
            "version": version,
            "changed-tag-keys": keys,
            "tags": {tag["Key"]: tag.get("Value", "") for tag in ec2._tags.get(image, [])},
        }
        entry = {
            "Source": "aws.tag",
            "DetailType": "Tag Change on Resource",
            "Resources": [f"arn:aws:ec2:{get_region()}:{get_account_id()}:image/{image}"],
            "Detail": json.dumps(detail),
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    for action in ("CreateTags", "DeleteTags"):
        ec2._ACTION_MAP[action] = with_event(action)


if __name__ == "__main__":
    sys.exit(main())
