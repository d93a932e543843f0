"""Deploys a template: parameters, conditions, intrinsic functions, order, outputs.

A SAM template is translated first. What a resource type does stands in ``resources``; a type, property or function
that is not known is an error, never ignored.
"""

from __future__ import annotations

import copy
import functools
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml

from awsim.cfn import removal, resources
from awsim.cfn.model import Made, Stack, TemplateError
from awsim.cfn.resources import StackServices
from awsim.rules import rule

LONG_VALUES = rule(
    "cloudformation-parameter-value-4096", "A parameter's value may have 4,096 bytes. [CloudFormation quotas]"
)
LONGEST_VALUE = 4096
DELETE_FIRST = rule(
    "cfn-rolled-back-stack-must-be-deleted",
    "A stack whose creation was rolled back cannot be updated; it must be deleted before the next attempt. "
    "[CloudFormation user guide, stack status codes: ROLLBACK_COMPLETE, ROLLBACK_FAILED]",
)

_VARIABLE = re.compile(r"\$\{(!?)([A-Za-z0-9:._]+)\}")
_GONE = object()


def deploy(
    world: StackServices,
    template: Mapping[str, Any] | Path,
    account: str,
    region: str,
    stack: str,
    parameters: Mapping[str, str],
) -> Stack:
    """Create a stack from a template, or update it. Raises TemplateError, AwsError.

    A creation that fails is rolled back, and the stack stays; an update that fails stays as far as it came.
    Relative paths in the template start at its file, or at the working directory if it was not read from a file.
    """
    if isinstance(template, Path):
        body, folder = read(template), template.parent
    else:
        body, folder = dict(template), Path()
    long = [name for name, value in parameters.items() if len(str(value).encode()) > LONGEST_VALUE]
    if long and world.rules.on(LONG_VALUES):
        raise TemplateError(f"{', '.join(long)}: a parameter's value may have {LONGEST_VALUE} bytes")
    values = _parameters(body, parameters)
    known = world.stacks.get((account, region, stack))
    if known is not None and known.status.startswith("ROLLBACK") and world.rules.on(DELETE_FIRST):
        raise TemplateError(f"stack {stack} is in {known.status} state and can not be updated: delete it first")
    if "Transform" in body:
        given = {name: value for name, value in values.items() if isinstance(value, str)}
        body = _translated(json.dumps(body), json.dumps(given), str(folder.resolve()), region)
    given = {name: _text(value) for name, value in values.items()}
    return _Deployment(world, body, Stack(stack, account, region, parameters=given), values, folder).run()


def read(path: Path) -> dict[str, Any]:
    """Read a template, JSON or YAML, short forms (``!Ref``) included."""
    loaded: dict[str, Any] = pickle.loads(_read(path, path.stat().st_mtime_ns))  # noqa: S301 - written below
    return loaded


def parsed(text: str) -> dict[str, Any]:
    """Return a template from its text, as ``read`` does from its file."""
    template: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    return template


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that knows CloudFormation's short forms."""


@functools.cache
def _read(path: Path, _version: int) -> bytes:
    """Return a template pickled: each deployment gets a copy of its own, and unpickling takes a fifth of copying."""
    return pickle.dumps(parsed(path.read_text(encoding="utf-8")))


def _short(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


@functools.cache
def _translated_text(body: str, parameters: str, folder: str, region: str) -> str:
    # Here, as they take a second to import and plain CloudFormation needs neither.
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    template = json.loads(body)
    for resource in [template.get("Globals", {}).get("Function", {}), *template["Resources"].values()]:
        properties = resource.get("Properties", resource)
        if isinstance(properties.get("CodeUri"), str):
            properties["CodeUri"] = {"Bucket": "local", "Key": str(Path(folder, properties["CodeUri"]))}
    translator = Translator({}, Parser(), boto_session=boto3.session.Session(region_name=region))
    return json.dumps(translator.translate(template, json.loads(parameters)))


def _translated(body: str, parameters: str, folder: str, region: str) -> dict[str, Any]:
    """Translate SAM to CloudFormation, once in a process for the same input."""
    done: dict[str, Any] = json.loads(_translated_text(body, parameters, folder, region))
    return done


def _parameters(body: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Check parameters against their declarations. Raises TemplateError listing every problem."""
    declared: Mapping[str, Mapping[str, Any]] = body.get("Parameters", {})
    problems = [
        f"{name}: the template has no such parameter; it has {sorted(declared)}"
        for name in given
        if name not in declared
    ]
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        text = given.get(name, declaration.get("Default"))
        if text is None:
            problems.append(f"{name}: needs a value ({declaration.get('Description', 'no default')})")
            continue
        text = str(text)
        problems += [f"{name}: {problem}" for problem in _parameter_problems(declaration, text)]
        listed = declaration["Type"] == "CommaDelimitedList" or declaration["Type"].startswith("List<")
        values[name] = [part.strip() for part in text.split(",")] if listed else text
    if problems:
        raise TemplateError("these parameters cannot be used:\n  " + "\n  ".join(problems))
    return values


def _parameter_problems(declaration: Mapping[str, Any], text: str) -> Iterator[str]:
    suggestion = declaration.get("ConstraintDescription", "")
    allowed = [str(value) for value in declaration.get("AllowedValues", [])]
    if allowed and text not in allowed:
        yield f"{text!r} is not one of {allowed} {suggestion}".rstrip()
    pattern = declaration.get("AllowedPattern")
    if pattern and declaration["Type"] == "CommaDelimitedList":
        bad = [part for part in text.split(",") if not re.fullmatch(pattern, part.strip())]
        if bad:
            yield f"{bad} do not match {pattern} {suggestion}".rstrip()
    elif pattern and not re.fullmatch(pattern, text):
        yield f"{text!r} does not match {pattern} {suggestion}".rstrip()
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            yield f"{text!r} is not a number"
        elif not float(declaration.get("MinValue", text)) <= float(text) <= float(declaration.get("MaxValue", text)):
            bounds = f"{declaration.get('MinValue')} and {declaration.get('MaxValue')}"
            yield f"{text} is not between {bounds} {suggestion}".rstrip()
    elif not int(declaration.get("MinLength", 0)) <= len(text) <= int(declaration.get("MaxLength", len(text))):
        yield f"{text!r} is too short or too long {suggestion}".rstrip()


class _Deployment:
    """One deployment of a template."""

    def __init__(
        self, world: StackServices, body: Mapping[str, Any], stack: Stack, values: Mapping[str, Any], folder: Path
    ) -> None:
        self.world = world
        self.stack = stack
        self.folder = folder
        self._body = body
        self._resources: Mapping[str, Mapping[str, Any]] = body.get("Resources", {})
        self._conditions: dict[str, bool] = {}
        self._making: list[str] = []
        self._values = {
            **values,
            "AWS::AccountId": stack.account,
            "AWS::Region": stack.region,
            "AWS::StackName": stack.name,
            "AWS::StackId": f"arn:aws:cloudformation:{stack.region}:{stack.account}:stack/{stack.name}/1",
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _GONE,
        }

    def run(self) -> Stack:
        """Create all resources whose conditions hold, and compute the outputs."""
        self._check_rules()
        wanted = [name for name, resource in self._resources.items() if self._stands(resource)]
        unknown = {str(self._resources[name]["Type"]) for name in wanted} - set(resources.TYPES)
        if unknown:
            raise TemplateError(f"the simulator does not play the resource types {sorted(unknown)}")
        place = (self.stack.account, self.stack.region, self.stack.name)
        try:
            for name in wanted:
                self.resource(name)
            for name, output in self._body.get("Outputs", {}).items():
                if self._stands(output):
                    self.stack.outputs[name] = str(self.value(copy.deepcopy(output["Value"])))
        except TemplateError as failed:
            if place in self.world.stacks:
                raise
            self.world.stacks[place] = self.stack
            raise TemplateError(f"{failed}\n{removal.roll_back(self.world, self.stack)}") from failed
        self.world.stacks[place] = self.stack
        return self.stack

    def _check_rules(self) -> None:
        problems = [
            assertion.get("AssertDescription", f"rule {name} does not hold")
            for name, one in self._body.get("Rules", {}).items()
            if "RuleCondition" not in one or self._holds(one["RuleCondition"])
            for assertion in one["Assertions"]
            if not self._holds(assertion["Assert"])
        ]
        if problems:
            raise TemplateError("these parameters cannot be used:\n  " + "\n  ".join(problems))

    def resource(self, name: str) -> Made:
        """Return a resource; create it, and what it needs, if it does not exist yet."""
        if name in self.stack.resources:
            return self.stack.resources[name]
        resource = self._resources.get(name)
        if resource is None or not self._stands(resource):
            raise TemplateError(f"{name} is referred to by {self._making}, and is not in the stack")
        if name in self._making:
            raise TemplateError(f"circular dependency: {' -> '.join([*self._making, name])}")
        self._making.append(name)
        needed = resource.get("DependsOn", [])
        for other in [needed] if isinstance(needed, str) else needed:
            if self._stands(self._resources.get(other, {})):
                self.resource(other)
        ready = {**resource, "Properties": self.value(resource.get("Properties", {}))}
        self.stack.resources[name] = made = resources.make(self.world, self.stack, name, ready, self.folder)
        self._making.pop()
        return made

    def value(self, node: Any) -> Any:
        """Evaluate a value: compute its intrinsic functions and leave out what is NoValue."""
        if isinstance(node, list):
            return [value for one in node if (value := self.value(one)) is not _GONE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                function = getattr(self, f"_{name[4:].lower()}", None)
                if function is None:
                    raise TemplateError(f"{self._making}: the simulator does not play {name}")
                return function(argument)
        return {key: value for key, one in node.items() if (value := self.value(one)) is not _GONE}

    def _stands(self, part: Mapping[str, Any]) -> bool:
        return "Condition" not in part or self._condition(part["Condition"])

    def _condition(self, name: str) -> bool:
        if name not in self._conditions:
            if name not in self._body.get("Conditions", {}):
                raise TemplateError(f"there is no condition {name}")
            self._conditions[name] = self._holds(self._body["Conditions"][name])
        return self._conditions[name]

    def _holds(self, node: Mapping[str, Any]) -> bool:
        ((name, argument),) = node.items()
        if name == "Condition":
            return self._condition(argument)
        if name == "Fn::Equals":
            left, right = (self.value(one) for one in argument)
            return _text(left) == _text(right)
        if name == "Fn::Not":
            return not self._holds(argument[0])
        if name == "Fn::And":
            return all(self._holds(one) for one in argument)
        if name == "Fn::Or":
            return any(self._holds(one) for one in argument)
        raise TemplateError(f"{name} cannot stand in a condition")

    def _ref(self, name: str) -> Any:
        return self._values[name] if name in self._values else self.resource(name).ref

    def _getatt(self, argument: Any) -> str:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        made = self.resource(name)
        if attribute not in made.attributes:
            raise TemplateError(f"{name} has no attribute {attribute}; the simulator knows {sorted(made.attributes)}")
        return made.attributes[attribute]

    def _sub(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], self.value(argument[1]))

        def fill(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(own[name])
            if "." in name and name not in self._values:
                return self._getatt(name)
            return str(self._ref(name))

        return _VARIABLE.sub(fill, text)

    def _join(self, argument: Any) -> str:
        return str(argument[0]).join(str(one) for one in self.value(argument[1]))

    def _split(self, argument: Any) -> list[str]:
        return str(self.value(argument[1])).split(argument[0])

    def _select(self, argument: Any) -> Any:
        return self.value(argument[1])[int(self.value(argument[0]))]

    def _if(self, argument: Any) -> Any:
        name, yes, no = argument
        return self.value(yes if self._condition(name) else no)

    def _findinmap(self, argument: Any) -> Any:
        first, second, third = self.value(argument)
        return self._body["Mappings"][first][second][third]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)
