"""CloudFormation's API, as ``aws cloudformation`` uses it: what stacks are there, change sets, and deletion.

A change set is executed at once, in no virtual time; what cannot be deployed is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from awsim.api import AwsError, Call
from awsim.cfn import deployment, removal
from awsim.cfn.model import Stack, TemplateError
from awsim.cfn.resources import StackServices, from_bucket


@dataclass(frozen=True, slots=True)
class _ChangeSet:
    """A change that was asked for and not made yet: the template's text, and the parameters' values."""

    stack: str
    template: str
    parameters: Mapping[str, str]


class CloudFormation:
    """The stacks of a world."""

    name = "cloudformation"

    def __init__(self, world: StackServices) -> None:
        self._world = world
        self._changes: dict[tuple[str, str, str], _ChangeSet] = {}

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers; see awsim.api.Service."""
        return {
            "DescribeStacks": self._describe,
            "GetTemplateSummary": self._summary,
            "CreateChangeSet": self._create_change_set,
            "DescribeChangeSet": self._describe_change_set,
            "ExecuteChangeSet": self._execute,
            "DeleteStack": self._delete,
        }

    def _describe(self, call: Call) -> Mapping[str, Any]:
        name = call.params.get("StackName", "")
        found = [
            stack
            for (account, region, _), stack in self._world.stacks.items()
            if (account, region) == (call.caller.account, call.region)
            and name in ("", stack.name, _arn(call, stack.name))
        ]
        if name and not found:
            raise AwsError("ValidationError", f"Stack with id {name} does not exist")
        return {"Stacks": [_shown(stack, call) for stack in found]}

    def _summary(self, call: Call) -> Mapping[str, Any]:
        """Answer which parameters a stack's template has."""
        (stack,) = self._describe(call)["Stacks"]
        return {"Parameters": [{"ParameterKey": one["ParameterKey"]} for one in stack["Parameters"]]}

    def _create_change_set(self, call: Call) -> Mapping[str, Any]:
        name, stack = call.params["ChangeSetName"], call.params["StackName"]
        before = self._world.stacks.get((call.caller.account, call.region, stack))
        known = before.parameters if before else {}
        values = {
            one["ParameterKey"]: known[one["ParameterKey"]] if one.get("UsePreviousValue") else one["ParameterValue"]
            for one in call.params.get("Parameters", ())
        }
        self._changes[call.caller.account, call.region, name] = _ChangeSet(stack, self._template(call), values)
        return {"Id": name, "StackId": _arn(call, stack)}

    def _template(self, call: Call) -> str:
        """Return the template's text: a parameter of the call, or an object whose address is one."""
        if "TemplateURL" not in call.params:
            return str(call.params["TemplateBody"])
        _, bucket, key = urlsplit(call.params["TemplateURL"]).path.split("/", 2)
        return from_bucket(self._world, call.caller.account, call.region, bucket, key).decode()

    def _change(self, call: Call) -> _ChangeSet:
        name = call.params["ChangeSetName"]
        change = self._changes.get((call.caller.account, call.region, name))
        if change is None:
            raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
        return change

    def _describe_change_set(self, call: Call) -> Mapping[str, Any]:
        self._change(call)
        return {
            "ChangeSetName": call.params["ChangeSetName"],
            "Status": "CREATE_COMPLETE",
            "ExecutionStatus": "AVAILABLE",
        }

    def _execute(self, call: Call) -> Mapping[str, Any]:
        change, place = self._change(call), (call.caller.account, call.region)
        updated = (*place, change.stack) in self._world.stacks
        try:
            stack = deployment.deploy(
                self._world, deployment.parsed(change.template), *place, change.stack, change.parameters
            )
        except TemplateError as refused:
            raise AwsError("ValidationError", str(refused)) from refused
        stack.status = "UPDATE_COMPLETE" if updated else stack.status
        return {}

    def _delete(self, call: Call) -> Mapping[str, Any]:
        place = (call.caller.account, call.region, call.params["StackName"])
        try:
            if place in self._world.stacks:
                removal.delete(self._world, *place)
        except TemplateError as refused:
            raise AwsError("ValidationError", str(refused)) from refused
        return {}


def _arn(call: Call, stack: str) -> str:
    return f"arn:aws:cloudformation:{call.region}:{call.caller.account}:stack/{stack}/1"


def _shown(stack: Stack, call: Call) -> Mapping[str, Any]:
    return {
        "StackName": stack.name,
        "StackId": _arn(call, stack.name),
        "CreationTime": call.at,
        "StackStatus": stack.status,
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in stack.parameters.items()],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in stack.outputs.items()],
    }
