"""One permission that a call needs, and what may be asked to work it out."""

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
    """An action on a resource, with the condition keys that this call gives it."""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)
    """Condition keys of this action, in lower case."""


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """What policies may ask about a resource: its ARN, and the values of ec2: and aws:ResourceTag condition keys."""

    arn: str
    owner: str
    tags: Mapping[str, str]
    conditions: Mapping[str, str]


class Ec2Facts(Protocol):
    """EC2, as far as policies ask about its resources."""

    def iam_facts(self, resource_id: str, region: str) -> ResourceFacts | None:
        """Return what policies may ask about a resource; None if there is no such resource in the Region."""
        ...

    def snapshots_of(self, image: str, region: str) -> tuple[str, ...]:
        """Return the ids of an image's snapshots; none if there is no such image in the Region."""
        ...


class OrganizationFacts(Protocol):
    """Organizations, as far as ARNs need it."""

    def id_of(self, account: str) -> str | None:
        """Return the id of the organization of an account."""
        ...


class TableFacts(Protocol):
    """Tables, as far as policies ask about their items."""

    def partition_key(self, account: str, region: str, table: str) -> str | None:
        """Return the name of a table's partition key; None if there is no such table."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table of needs may ask."""

    rules: Rules
    roles: Roles
    ec2: Ec2Facts
    organizations: OrganizationFacts
    tables: TableFacts


Needs = Callable[[Facts, Call], Iterable[NeededPermission]]
"""Works out what one call needs."""
