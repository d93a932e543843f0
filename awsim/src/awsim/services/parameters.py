"""Parameter Store's data: parameters with their versions, tags and past, and what a name may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from awsim.api import AwsError, Call

TEXT, IMAGE = "text", "aws:ec2:image"
"""The data types that are played."""
KEPT = 100
"""Versions of a parameter that are kept."""
LONGEST = 1011
"""Characters that a parameter's ARN may have."""
DEEPEST = 15
"""Levels that a name may have."""
LARGEST = 4096
"""Bytes that a value may have."""
_LEVEL = re.compile(r"[a-zA-Z0-9_.-]+")

Place = tuple[str, str, str]
"""Account, Region and name of a parameter."""


@dataclass(frozen=True, slots=True)
class ParameterVersion:
    """One version of a parameter, which never changes."""

    name: str
    value: str
    number: int
    data_type: str
    description: str
    modified: datetime
    by: str
    """ARN of the caller who wrote it."""


@dataclass(slots=True)
class StoredParameter:
    """A parameter: its present versions, oldest first, its tags, and which versions it had at what time."""

    tags: dict[str, str] = field(default_factory=dict)
    _past: list[tuple[datetime, tuple[ParameterVersion, ...]]] = field(default_factory=list)

    def versions(self, at: datetime) -> tuple[ParameterVersion, ...]:
        """Return its versions at a time, oldest first; none if it did not exist."""
        return next((versions for since, versions in reversed(self._past) if since <= at), ())

    def current(self, at: datetime) -> ParameterVersion | None:
        """Return the newest version at a time."""
        versions = self.versions(at)
        return versions[-1] if versions else None

    def put(self, version: ParameterVersion, *, kept: int | None) -> None:
        """Add a version, and keep the newest ``kept``; None keeps all."""
        versions = (*self.versions(version.modified), version)
        self._past.append((version.modified, versions[-kept:] if kept else versions))

    def drop(self, at: datetime) -> None:
        """Delete it."""
        self._past.append((at, ()))
        self.tags = {}


def place(call: Call, name: str) -> Place:
    """Return where a name is, for a call."""
    return call.caller.account, call.region, name


def arn_of(where: Place) -> str:
    """Return a parameter's ARN: a name's leading slash is not doubled in it."""
    account, region, name = where
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}"


def check_name(where: Place) -> None:
    """Refuse a name that no parameter can have. Raises AwsError."""
    name = where[2]
    levels = name.removeprefix("/").split("/")
    if "/" in name and not name.startswith("/"):
        raise invalid("Parameter name must be a fully qualified name.")
    if levels[0].lower().startswith(("aws", "ssm")):
        raise invalid('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')
    if not all(_LEVEL.fullmatch(level) for level in levels) or len(arn_of(where)) > LONGEST:
        raise invalid(f"Parameter name: {name} is not valid: letters, numbers and .-_ in sub-paths divided by slashes.")
    if len(levels) > DEEPEST:
        why = f"A parameter name has at most {DEEPEST} levels."
        raise AwsError("HierarchyLevelLimitExceededException", why)


def invalid(why: str) -> AwsError:
    """Return the refusal of a request that is not valid."""
    return AwsError("ValidationException", why)


def not_found() -> AwsError:
    """Return the refusal of a parameter that does not exist: AWS says no more than its code [aws-facts 8, VERIFIED]."""
    return AwsError("ParameterNotFound", "")


def shown(where: Place, version: ParameterVersion, selector: str = "") -> dict[str, Any]:
    """Return a version as GetParameter shows it."""
    found: dict[str, Any] = {
        "Name": version.name,
        "Type": "String",
        "Value": version.value,
        "Version": version.number,
        "LastModifiedDate": version.modified,
        "ARN": arn_of(where),
        "DataType": version.data_type,
    }
    return {**found, "Selector": f":{selector}"} if selector else found


def described(where: Place, version: ParameterVersion) -> Mapping[str, Any]:
    """Return a version as DescribeParameters shows it: without its value."""
    seen = {name: value for name, value in shown(where, version).items() if name != "Value"}
    more = {"Description": version.description} if version.description else {}
    return {**seen, **more, "LastModifiedUser": version.by, "Tier": "Standard", "Policies": []}
