"""One permission that a call needs, and the facts that it is computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from awsim.api import Call
from awsim.iam.match import Values
from awsim.iam.roles import Roles
from awsim.rules import Rules


@dataclass(frozen=True, slots=True)
class NeededPermission:
    """An action on a resource, with the call's condition keys."""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)
    """The condition keys of this action, in lower case."""


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """What policies can test of a resource: its ARN, and its ec2: and aws:ResourceTag condition keys."""

    arn: str
    owner: str
    tags: Mapping[str, str]
    conditions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaunchFacts:
    """What a call that launches, or is about a launch template, names."""

    image: str
    """Id of the AMI that it means; "" if there is none."""
    parameter: str
    """The parameter that names the AMI; "" if the call names it by id."""
    template: str
    """Id of the launch template; "" if there is none."""
    subnet: str = ""
    """Id of the subnet of a launch; "" if it has none."""
    groups: tuple[str, ...] = ()
    """Ids of the security groups of a launch."""
    instance: Mapping[str, Values] = field(default_factory=dict)
    """The condition keys of the new instance, in lower case."""
    interface: Mapping[str, Values] = field(default_factory=dict)
    """Those of its network interface."""
    volumes: tuple[Mapping[str, Values], ...] = ()
    """Those of each of its volumes."""


class Ec2Facts(Protocol):
    """The facts of EC2 that policies can test."""

    def iam_facts(self, resource_id: str, region: str) -> ResourceFacts | None:
        """Return a resource's facts; None if the Region has no such resource."""
        ...

    def snapshots_of(self, image: str, region: str) -> tuple[str, ...]:
        """Return the ids of an image's snapshots; none if there is no such image in the Region."""
        ...

    def launch_facts(self, call: Call) -> LaunchFacts:
        """Return what a call that launches, or is about a launch template, names."""
        ...


class OrganizationFacts(Protocol):
    """The facts of Organizations that ARNs need."""

    def id_of(self, account: str) -> str | None:
        """Return the id of the organization of an account."""
        ...


class TableFacts(Protocol):
    """The facts of tables that policies can test."""

    def partition_key(self, account: str, region: str, table: str) -> str | None:
        """Return the name of a table's partition key; None if there is no such table."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts from which needed permissions are computed."""

    rules: Rules
    roles: Roles
    ec2: Ec2Facts
    organizations: OrganizationFacts
    tables: TableFacts


def parameter_arn(call: Call, name: str) -> str:
    """Return a parameter's ARN: without a version, and a leading slash is not doubled."""
    return f"arn:aws:ssm:{call.region}:{call.caller.account}:parameter/{name.partition(':')[0].lstrip('/')}"


Needs = Callable[[Facts, Call], Iterable[NeededPermission]]
"""Computes the permissions that a call needs."""
