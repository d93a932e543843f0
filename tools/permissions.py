"""The page ``docs/reference/permissions.md``: each permission with its reason and its test, from .chalice/policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tools import needed, reach
from tools.policies import (
    ALL_FUNCTIONS,
    DATA_KEY,
    NOT_FUNCTIONS,
    ONLY_IF,
    ORGANIZATION_ROLES,
    POLICIES,
    TARGET_ROLES,
    Statement,
    conditions,
    statements,
)

REASONS = POLICIES / "reasons.yaml"
EVERY = "every function"
INTRO = """\
# Permissions

<!-- Generated: tools/permissions.py writes this page from the policies, and from reasons.yaml, needed.yaml and unexercised.yaml in .chalice/policies (`make docs`). -->

*This page is generated from the policies.*

For the person who reviews the roles: what each can do, and why.
[Security](../explanation/security.md) says what follows from it.
`R`, `HUB` and `TARGET` stand for the hub's Region, the hub's account and the target's account, and `/PREFIX/` for the parameter `ParameterPrefix`.
Each function has a role of its own with one hand-written policy (`.chalice/policies/`).
The roles in a target are in `deploy/target.yaml`; the role in the organization's management account is in `deploy/organization.yaml`, and that of another Region of the hub in `deploy/hub-region.yaml`.

- No function can write the applied file, the pause, withdrawals, recalls, rollbacks or approvals (table `ami-promoter-R-config`).
  Only `discover` can write the OUs' members (`-members`).
- A function that receives events writes nothing: it sends wakes, and reads look-ups at most.
- Only `discover` can list an organization. `share-worker`, `access-monitor` and `drift-audit` can ask it about an account, and by its read role they could list it.
  No function can change one.
- Only `worker` can copy and register in a target; only `share-worker` can open or close a share. No function can do both.
  In a target `share-worker` assumes a role that makes grants for service-linked roles and nothing else.
  A session policy narrows each session ([security](../explanation/security.md#trust)).
- `access-monitor` and `drift-audit` exist only with the stack of the access monitor.
  They read the ledger and write to a table of their own (`-findings`); no other function can write there.
- In a target `worker` reaches Parameter Store only below `ParameterPrefix` of `deploy/target.yaml`, and without that parameter not at all.
  It can disable and enable AMIs that it made only with `AllowDisable`, and see what names an AMI only with `AllowUseReport`.
  It launches by a role of its own, which exists only with `LaunchTest`, and copies and registers by the other.
- No function can make a snapshot public.
- Only `share-worker` can change a key policy, and only of the keys in the parameter `PolicyKeyArns`.
  That parameter is empty by default, and the statements that name it then do not exist.

**Needed by** names, for each action and condition, a test in `tests/scenarios/` or `tests/stories/` that fails without it: `python -m tests.scenarios.without_permission` takes it out and runs that test, and so does `make soak`.
Where the simulator does not ask for a permission, it says what at AWS does.
`make test` fails on an action or a condition that no call of a scenario needed and that has no such reason.

What a person needs for each verb of the command line is in [its reference](cli.md).
"""

REACH = """
## What stolen credentials reach

An attacker who runs code in a function has its role; this is what the role reaches, whatever the function's own code does.
A test tries each "no" with that function's credentials (`tests/scenarios/test_reach.py`).
The function's table below says for which resources a "yes" holds.

{table}"""


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
    known, every, tests = reasons(), list(statements()), {**needed.excuses(), **needed.proofs()}
    functions = list(dict.fromkeys(it.role for it in every if it.role not in NOT_FUNCTIONS and not it.denied))
    text, role = INTRO + REACH.format(table=reach.table(functions, every)), ""
    for statement in every:
        if statement.role != role:
            role = statement.role
            text += f"\n## {_heading(role, denied=statement.denied)}\n\n"
            text += "| statement | actions | on | only if | why | needed by |\n| --- | --- | --- | --- | --- | --- |\n"
        own = {
            **dict.fromkeys(TARGET_ROLES.values(), "TARGET"),
            **dict.fromkeys(ORGANIZATION_ROLES.values(), "MANAGEMENT"),
        }.get(statement.role, "HUB")
        cells = (
            f"{statement.sid} (**denies**)" if statement.denied else statement.sid,
            ("all but " if statement.all_actions_but else "")
            + "<br>".join(f"`{action}`" for action in statement.actions),
            ("all but " if statement.all_but else "")
            + "<br>".join(f"`{_readable(resource, own)}`" for resource in statement.resources),
            "<br>".join(_conditions(statement.condition, own)),
            reason(statement, known) or "**nobody said**",
            "<br>".join(_needed_by(statement, tests)),
        )
        text += f"| {' | '.join(cells)} |\n"
    return text


def _needed_by(statement: Statement, tests: Mapping[needed.Permission, str]) -> Iterator[str]:
    """Say which test needs each action and condition; what has one test in common stands together."""
    by_test: dict[str, list[str]] = {}
    for what in (*(() if statement.denied else statement.actions), *conditions(statement)):
        text = tests.get((statement.role, statement.sid, what), "**nobody knows**")
        by_test.setdefault(f"`{text.partition('[')[0]}`" if "::test_" in text else text, []).append(what)
    for text, several in by_test.items():
        yield text if len(by_test) == 1 else f"{', '.join(map(_short, several))}: {text}"


def _short(what: str) -> str:
    """Name an action by itself, and a condition by its key."""
    return f"`{what.rpartition(' ')[2]}`" if what.startswith(ONLY_IF) else f"`{what}`"


def _heading(role: str, *, denied: bool) -> str:
    if role == DATA_KEY:
        return "What functions may do besides, with the parameter `DataKeyArn`"
    if role == ALL_FUNCTIONS:
        return "What no function's role may do outside its function"
    if role in NOT_FUNCTIONS:
        return role
    named = " and ".join(f"`{one}`" for one in role.split(" and "))
    return f"What {named} may not do at all" if denied else f"Function {named}"


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
        "${OrganizationReadRoleArn}": "OrganizationReadRoleArn",
        "${SourceKeyArns}": "SourceKeyArns",
        "${ParameterPrefix}": "/PREFIX/",
        "${LaunchTestTypes}": "LaunchTestTypes",
        "${GoldenTagValue}": "GoldenTagValue",
        "${TargetAccounts}": "TargetAccounts",
        "${OrganizationId}": "OrganizationId (if it is given)",
        "${PolicyKeyArns}": "PolicyKeyArns",
        "${DataKeyArn}": "DataKeyArn",
        "${Function}": "FUNCTION",
    }.items():
        value = value.replace(name, short)
    return str(value)
