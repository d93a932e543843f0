"""CloudFormation's API, as far as it shows stacks; moto answers the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from awsim.api import AwsError, Call
from awsim.cfn.model import Stack


class CloudFormation:
    """The stacks that ``World.deploy`` has made."""

    name = "cloudformation"

    def __init__(self, stacks: Mapping[tuple[str, str, str], Stack]) -> None:
        self._stacks = stacks

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers; see awsim.api.Service."""
        return {"DescribeStacks": self._describe}

    def _describe(self, call: Call) -> Mapping[str, Any]:
        name = call.params.get("StackName", "")
        found = [
            stack
            for (account, region, _), stack in self._stacks.items()
            if (account, region) == (call.caller.account, call.region) and name in ("", stack.name)
        ]
        if name and not found:
            raise AwsError("ValidationError", f"Stack with id {name} does not exist")
        return {"Stacks": [_shown(stack, call) for stack in found]}


def _shown(stack: Stack, call: Call) -> Mapping[str, Any]:
    return {
        "StackName": stack.name,
        "CreationTime": call.at,
        "StackStatus": stack.status,
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in stack.parameters.items()],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in stack.outputs.items()],
    }
