"""Every statement of every role that the templates and ``.chalice/policies/`` make, as written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tools import extras

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / ".chalice" / "policies"
TARGET_ROLES = {
    "Role": "target role",
    "GrantRole": "target grant role",
    "LaunchRole": "target launch role",
    "ForwardRole": "target forwarding role",
}
ORGANIZATION_ROLES = {"Role": "organization read role"}
HUB_REGION_ROLES = {"ForwardRole": "hub forwarding role"}
ELSEWHERE = {"target.yaml": TARGET_ROLES, "organization.yaml": ORGANIZATION_ROLES, "hub-region.yaml": HUB_REGION_ROLES}
"""Templates for other accounts and Regions -> their roles, by logical id."""
ONLY_IF = "only if "
"""Begins a condition, where an action is named else."""
DATA_KEY = "functions under a data key"
ALL_FUNCTIONS = "all functions"
NOT_FUNCTIONS = (
    *TARGET_ROLES.values(),
    *ORGANIZATION_ROLES.values(),
    *HUB_REGION_ROLES.values(),
    DATA_KEY,
    ALL_FUNCTIONS,
)
ATTACHED = {
    "EnterAdmittedAccounts": "worker and share-worker",
    "ShareWithAdmittedAccounts": "share-worker",
    "GrantToAdmittedAccounts": "share-worker",
    "GrantOnSourceKeys": "share-worker",
    "ShareGoldenSnapshots": "share-worker",
    "QueuesUnderDataKey": DATA_KEY,
    "TablesUnderDataKey": DATA_KEY,
    "TopicUnderDataKey": DATA_KEY,
}
"""Policies of .chalice/extras/rights.yaml that are attached to functions' roles -> those functions."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one role's policy, as written."""

    role: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]
    condition: Mapping[str, Any]
    denied: bool = False
    """The actions are denied."""
    all_but: bool = False
    """On all resources but these."""
    all_actions_but: bool = False
    """All actions but these."""


def statements() -> Iterator[Statement]:
    """Every statement of the hub's functions and of the target's roles, in the order of the files."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    for function, settings in config["stages"]["hub"]["lambda_functions"].items():
        document = json.loads((ROOT / ".chalice" / settings["iam_policy_file"]).read_text(encoding="utf-8"))
        yield from _parse(function, document)
    yield from _parse(ALL_FUNCTIONS, json.loads((POLICIES / "every_function.json").read_text(encoding="utf-8")))
    attached = extras.read()["Resources"]
    for name, functions in ATTACHED.items():
        yield from _parse(functions, attached[name]["Properties"]["PolicyDocument"])
    for file, roles in ELSEWHERE.items():
        template = yaml_parse((ROOT / "deploy" / file).read_text(encoding="utf-8"))
        for name, role in roles.items():
            for policy in template["Resources"][name]["Properties"]["Policies"]:
                yield from _parse(role, policy["PolicyDocument"])


def conditions(statement: Statement) -> Iterator[str]:
    """Name each condition of a statement: ``only if OPERATOR KEY``."""
    for operator, tests in statement.condition.items():
        yield from (f"{ONLY_IF}{operator} {key}" for key in tests)


def _parse(role: str, document: Mapping[str, Any]) -> Iterator[Statement]:
    for written in document["Statement"]:
        choices = written.get("Fn::If", [written])
        item = next(one for one in choices if isinstance(one, Mapping) and "Sid" in one)
        actions, denied = item.get("Action") or item["NotAction"], item["Effect"] == "Deny"
        all_but = "NotResource" in item
        resources = _leaves(item["NotResource"]) if all_but else item["Resource"]
        yield Statement(
            role,
            item["Sid"],
            tuple(actions if isinstance(actions, list) else [actions]),
            tuple(resources if isinstance(resources, list) else [resources]),
            _condition(item.get("Condition", {})),
            denied,
            all_but,
            all_actions_but="NotAction" in item,
        )


def _condition(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a condition; of one that only a parameter brings, what it is then. Lists of parameters are taken apart."""
    given: Mapping[str, Any] = condition.get("Fn::If", (None, condition))[1]
    return {
        operator: {key: _leaves(value) if "Fn::Split" in str(value) else value for key, value in tests.items()}
        for operator, tests in given.items()
    }


def _leaves(value: Any) -> list[Any]:
    """Take apart a list that Fn::Split and Fn::Join put together: its ARNs and parameters."""
    match value:
        case {"Fn::Split": [_, whole]} | {"Fn::Join": [_, whole]}:
            return _leaves(whole)
        case {"Fn::Sub": [text, {"Admitted": _}]}:
            return [text.replace("Admitted", name) for name in ("AWS::AccountId", "TargetAccounts")]
        case {"Fn::If": [_, leaf, {"Ref": "AWS::NoValue"}]}:
            return [leaf]
        case list():
            return [leaf for one in value for leaf in _leaves(one)]
    return [value]
