"""Which rights of a target's copy role a delivery needs, and which of them an older template lacks. Pure.

The hub asks the role for its own policy (GetRolePolicy) before it opens anything: a right that came with a later
``deploy/target.yaml`` would otherwise be missed in the middle of a delivery, while the shares are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import Target

POLICY = "ami-promoter"
"""Name of the copy role's inline policy in ``deploy/target.yaml``."""
EVERY_COPY = (
    "ec2:CreateTags",
    "ec2:DeleteSnapshot",
    "ec2:DeregisterImage",
    "ec2:DescribeImages",
    "ec2:DescribeSnapshots",
    "ec2:EnableImageDeprecation",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
OF_METHOD = {"snapshots": ("ec2:CopySnapshot", "ec2:RegisterImage"), "image": ("ec2:CopyImage",)}
DISABLE = "ec2:DisableImage"
"""Allowed only with the template's parameter ``AllowDisable``."""
PROTECTION = "ec2:EnableImageDeregistrationProtection"


def needed(target: Target) -> Iterator[str]:
    """Yield the actions that a delivery to this target may use there as the copy role."""
    if target.mode != "copy":
        return
    yield from EVERY_COPY
    for method, actions in OF_METHOD.items():
        if target.copy_method in (method, "auto"):
            yield from actions
    if target.protect:
        yield PROTECTION


def allowed(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the actions that a policy's Allow statements name, with their wildcards.

    Resources, conditions and denials do not count: the question is which template the role is from.
    """
    statements = document.get("Statement", ())
    found = {
        action
        for one in ([statements] if isinstance(statements, Mapping) else statements)
        if one.get("Effect") == "Allow"
        for action in _listed(one.get("Action", "*"))
    }
    return tuple(sorted(found))


def lacking(target: Target, actions: Iterable[str]) -> tuple[str, ...]:
    """Return what the target needs and none of the allowed actions covers."""
    patterns = [action.lower() for action in actions]
    return tuple(one for one in needed(target) if not any(fnmatchcase(one.lower(), pattern) for pattern in patterns))


def template_old(target: Target, actions: Iterable[str]) -> tuple[Fault, ...]:
    """Return the fault of a target whose copy role lacks a right; none if it lacks none."""
    missing = lacking(target, actions)
    if not missing:
        return ()
    what = (
        f"The role {target.role_name} there does not allow {', '.join(missing)}: its template is older than the hub, "
        "or somebody has changed the role."
    )
    cure = (
        "Update the stack of deploy/target.yaml there (of OUs, that of deploy/target-stackset.yaml) with the file of "
        "the hub's version; then tag the AMI again."
    )
    return (Fault("target-template-old", f"account {target.account}, {target.region}", what, cure),)


def _listed(action: str | list[str]) -> list[str]:
    return [action] if isinstance(action, str) else action
