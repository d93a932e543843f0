"""The page ``docs/reference/permissions.md``: each permission with its reason, from the policies and reasons.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse

from tools import reach

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / ".chalice" / "policies"
REASONS = POLICIES / "reasons.yaml"
TARGET_ROLES = {"Role": "target role", "GrantRole": "target grant role", "ForwardRole": "target forwarding role"}
ORGANIZATION_ROLES = {"Role": "organization read role"}
HUB_REGION_ROLES = {"ForwardRole": "hub forwarding role"}
ELSEWHERE = {"target.yaml": TARGET_ROLES, "organization.yaml": ORGANIZATION_ROLES, "hub-region.yaml": HUB_REGION_ROLES}
"""Templates for other accounts and Regions -> their roles, by logical id."""
DATA_KEY = "functions under a data key"
NOT_FUNCTIONS = (*TARGET_ROLES.values(), *ORGANIZATION_ROLES.values(), *HUB_REGION_ROLES.values(), DATA_KEY)
EVERY = "every function"
ATTACHED = {
    "EnterAdmittedAccounts": "worker and share-worker",
    "GrantOnSourceKeys": "share-worker",
    "ShareGoldenSnapshots": "share-worker",
    "QueuesUnderDataKey": DATA_KEY,
    "TablesUnderDataKey": DATA_KEY,
    "TopicUnderDataKey": DATA_KEY,
}
"""Policies of .chalice/extras.yaml that are attached to functions' roles -> those functions."""

INTRO = """\
# Permissions

<!-- Generated: tools/permissions.py writes this page from the policies and .chalice/policies/reasons.yaml (`make docs`). -->

*This page is generated from the policies.*

Who can do what, and why.
`R`, `HUB` and `TARGET` stand for the hub's Region, the hub's account and the target's account.
Each function has a role of its own with one hand-written policy (`.chalice/policies/`).
The roles in a target are in `deploy/target.yaml`; the role in the organization's management account is in `deploy/organization.yaml`, and that of another Region of the hub in `deploy/hub-region.yaml`.

- No function can write the applied file and the pause (table `ami-promoter-R-config`).
  Only `discover` can write the OUs' members (`-members`).
- A function that receives events writes nothing: it sends wakes, and reads look-ups at most.
- Only `discover` can read an organization, and no function can change one.
- Only `worker` can copy and register in a target; only `share-worker` can open or close a share. No function can do both.
  `share-worker` enters a target with a role that makes grants for service-linked roles and nothing else.
  Each session is narrowed by a session policy ([security](../explanation/security.md#trust)).
- `access-monitor` and `drift-audit` exist only with the parameter `AccessMonitoring`.
  They read the ledger and write to a table of their own (`-findings`), each its own items; no other function can write there.
- No function can make a snapshot public.
- Only `share-worker` can change a key policy, and only of the keys in the parameter `PolicyKeyArns`.
  That parameter is empty by default, and the statements that name it then do not exist.

What a person needs for each verb of the command line is in [its reference](cli.md).
"""

REACH = """
## What stolen credentials reach

An attacker who runs code in a function has its role; this is what the role reaches, whatever the function's own code does.
A "no" is tried with that function's credentials in a test (`tests/scenarios/test_reach.py`).
How far a "yes" goes is in the function's table below.

{table}"""


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


def statements() -> Iterator[Statement]:
    """Every statement of the hub's functions and of the target's roles, in the order of the files."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    for function, settings in config["stages"]["hub"]["lambda_functions"].items():
        document = json.loads((ROOT / ".chalice" / settings["iam_policy_file"]).read_text(encoding="utf-8"))
        yield from _parse(function, document)
    extras = yaml_parse((ROOT / ".chalice" / "extras.yaml").read_text(encoding="utf-8"))["Resources"]
    for name, functions in ATTACHED.items():
        yield from _parse(functions, extras[name]["Properties"]["PolicyDocument"])
    for file, roles in ELSEWHERE.items():
        template = yaml_parse((ROOT / "deploy" / file).read_text(encoding="utf-8"))
        for name, role in roles.items():
            for policy in template["Resources"][name]["Properties"]["Policies"]:
                yield from _parse(role, policy["PolicyDocument"])


def reasons() -> dict[str, dict[str, str]]:
    """Read the reasons: role -> Sid -> one sentence or two."""
    read: dict[str, dict[str, str]] = yaml.safe_load(REASONS.read_text(encoding="utf-8"))
    return read


def reason(statement: Statement, known: Mapping[str, Mapping[str, str]]) -> str | None:
    """Why this statement is there; None if nobody said."""
    return known.get(statement.role, {}).get(statement.sid) or (
        None if statement.role in NOT_FUNCTIONS else known[EVERY].get(statement.sid)
    )


def page() -> str:
    """Return the text of docs/reference/permissions.md."""
    known, every = reasons(), list(statements())
    functions = list(dict.fromkeys(it.role for it in every if it.role not in NOT_FUNCTIONS and not it.denied))
    text, role = INTRO + REACH.format(table=reach.table(functions, every)), ""
    for statement in every:
        if statement.role != role:
            role = statement.role
            text += f"\n## {_heading(role, denied=statement.denied)}\n\n"
            text += "| statement | actions | on | only if | why |\n| --- | --- | --- | --- | --- |\n"
        own = {
            **dict.fromkeys(TARGET_ROLES.values(), "TARGET"),
            **dict.fromkeys(ORGANIZATION_ROLES.values(), "MANAGEMENT"),
        }.get(statement.role, "HUB")
        cells = (
            f"{statement.sid} (**denies**)" if statement.denied else statement.sid,
            "<br>".join(f"`{action}`" for action in statement.actions),
            ("all but " if statement.all_but else "")
            + "<br>".join(f"`{_readable(resource, own)}`" for resource in statement.resources),
            "<br>".join(_conditions(statement.condition, own)),
            reason(statement, known) or "**nobody said**",
        )
        text += f"| {' | '.join(cells)} |\n"
    return text


def _heading(role: str, *, denied: bool) -> str:
    if role == DATA_KEY:
        return "What functions may do besides, with the parameter `DataKeyArn`"
    if role in NOT_FUNCTIONS:
        return role
    named = " and ".join(f"`{one}`" for one in role.split(" and "))
    return f"What {named} may not do at all" if denied else f"Function {named}"


def _parse(role: str, document: Mapping[str, Any]) -> Iterator[Statement]:
    for written in document["Statement"]:
        choices = written.get("Fn::If", [written])
        item = next(one for one in choices if isinstance(one, Mapping) and "Sid" in one)
        actions, denied = item["Action"], item["Effect"] == "Deny"
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
        )


def _condition(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a condition; of one that only a parameter brings, what it is then."""
    given: Mapping[str, Any] = condition.get("Fn::If", (None, condition))[1]
    return given


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


def _conditions(condition: Mapping[str, Any], own: str) -> Iterator[str]:
    for operator, tests in condition.items():
        for key, value in tests.items():
            values = value if isinstance(value, list) else [value]
            yield f"`{key}` {operator} " + ", ".join(f"`{_readable(one, own)}`" for one in values)


def _readable(value: Any, own: str) -> str:
    """Write an ARN or an intrinsic as a person would; ``own`` stands for the stack's own account."""
    if isinstance(value, Mapping):
        (function, argument), *_ = value.items()
        if function == "Fn::If":
            return f"{_readable(argument[2], own)} (or {_readable(argument[1], own)})"
        value = {"Ref": f"${{{argument}}}", "Fn::GetAtt": "the key that the stack makes"}.get(function, argument)
    for name, short in {
        "${AWS::Partition}": "aws",
        "${AWS::Region}": "R",
        "${HubRegion}": "R",
        "${HubAccountId}": "HUB",
        "${AWS::AccountId}": own,
        "${TargetRoleName}": "AmiCopyRole",
        "${RoleName}": "AmiCopyRole",
        "${OrganizationReadRoleName}": "AmiOrganizationRead",
        "${SourceKeyArns}": "SourceKeyArns",
        "${GoldenTagValue}": "GoldenTagValue",
        "${TargetAccounts}": "TargetAccounts",
        "${OrganizationId}": "OrganizationId (if it is given)",
        "${PolicyKeyArns}": "PolicyKeyArns",
        "${DataKeyArn}": "DataKeyArn",
    }.items():
        value = value.replace(name, short)
    return str(value)
