"""Which rights of a target's copy role a delivery needs, and which of them an older template lacks. Pure.

The hub asks the role for its own policy (GetRolePolicy) before it opens anything: a right that came with a later
``deploy/target.yaml`` would otherwise be missed in the middle of a delivery, while the shares are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.sharing.policy_text import listed, statements
from chalicelib.targets.applied_file import Target

POLICY = "ami-promoter"
"""Name of the copy role's inline policy in ``deploy/target.yaml``."""
LAUNCH_POLICY = f"{POLICY}-launch"
"""Name of the launch role's."""
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
PARAMETER = ("ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter")
"""What a pointer needs for its parameter. No delivery needs it: it is delivered without."""


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
    return tuple(sorted({action for one in _statements(document) for action in listed(one.get("Action", "*"))}))


def parameters(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns of the parameters' names for which a policy allows all that a pointer needs."""
    found = [{_name(resource) for resource in _resources(document, action)} for action in PARAMETER]
    return tuple(sorted(set.intersection(*found) - {""}))


def launch_types(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the instance types that a launch role's policy lets it run; empty: all, or it says nothing of them."""
    conditions = [one.get("Condition", {}).get("StringEquals", {}) for one in _statements(document)]
    return tuple(sorted({kind for one in conditions for kind in listed(one.get("ec2:InstanceType", []))}))


def closed_keys(document: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that a launch role's policy does not let EBS use: not allowed, or denied as no key of these."""
    allows = list(_resources(document, "kms:CreateGrant"))
    only = [listed(one["NotResource"]) for one in _statements(document, "Deny") if "NotResource" in one]
    return tuple(
        key
        for key in keys
        if not any(fnmatchcase(key, one) for one in allows)
        or not all(any(fnmatchcase(key, one) for one in listed) for listed in only)
    )


def lacking(target: Target, actions: Iterable[str]) -> tuple[str, ...]:
    """Return what the target needs and none of the allowed actions covers."""
    patterns = tuple(actions)
    return tuple(one for one in needed(target) if not _covers(patterns, one))


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
    return (Fault("target-template-old", target.where, what, cure),)


def _statements(document: Mapping[str, Any], effect: str = "Allow") -> Iterator[Mapping[str, Any]]:
    return (one for one in statements(document) if one.get("Effect") == effect)


def _resources(document: Mapping[str, Any], action: str) -> Iterator[str]:
    for one in _statements(document):
        if _covers(listed(one.get("Action", "*")), action):
            yield from listed(one.get("Resource", "*"))


def _covers(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def _name(resource: str) -> str:
    """Return the part of a parameter's ARN that is its name; "" of another resource's."""
    arn = Arn.parse(resource)
    return "*" if resource == "*" else arn.resource.removeprefix("parameter") if arn.service == "ssm" else ""
