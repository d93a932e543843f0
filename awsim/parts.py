"""What the parts of a world ask of each other: small protocols, and no part that implements them.

A service gets a :class:`Base` and, by name, the few other services that it speaks to. The world alone makes them all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Protocol

from awsim.api import Call, Caller, Clock
from awsim.iam.decisions import Decision
from awsim.iam.match import Values
from awsim.iam.policy import Ask, Document, PolicyVerdict
from awsim.iam.roles import Role
from awsim.rules import Rule, Rules


class RoleLookup(Protocol):
    """The roles of all accounts."""

    def get(self, arn: str | None) -> Role | None:
        """Return a role by its ARN."""
        ...


class Policies(Protocol):
    """Who may do what; IAM is that."""

    @property
    def roles(self) -> RoleLookup:
        """The roles that policies hang on."""
        ...

    def decide(
        self,
        caller: Caller,
        action: str,
        resource: str,
        *,
        region: str,
        context: Mapping[str, Values] | None = None,
        resource_policy: Document | None = None,
    ) -> Decision:
        """Decide by identity, session and resource policies."""
        ...

    def guarded(self, caller: Caller, ask: Ask, owner: str = "") -> str:
        """Say which policy of an organization denies it; "" if none. ``owner``: the account of the key or role."""
        ...

    def identity(self, caller: Caller, ask: Ask) -> tuple[PolicyVerdict, PolicyVerdict]:
        """What the caller's own policies say, and what its session policies say."""
        ...

    def service_may(
        self,
        service: str,
        document: Document | None,
        action: str,
        resource: str,
        context: Mapping[str, Values] | None = None,
    ) -> bool:
        """Whether a resource's policy lets an AWS service do something to it."""
        ...

    def context(self, caller: Caller, region: str) -> dict[str, Values]:
        """Condition keys that every request has."""
        ...


class Credentials(Protocol):
    """Who holds which access key."""

    @property
    def closed(self) -> Collection[str]:
        """Accounts that other services do not see."""
        ...

    def issue(
        self,
        role_arn: str,
        session: str,
        *,
        policies: Sequence[Mapping[str, Any]] = (),
        function: str | None = None,
        expires: datetime | None = None,
    ) -> tuple[Caller, str, str, str]:
        """Make credentials for a session of a role; returns (caller, key, secret, token)."""
        ...


class Injected(Protocol):
    """What a test asked to go wrong, as far as services must play it."""

    def arrivals(self, source: str) -> list[float]:
        """After how many seconds an event of this source arrives, once for each time it does."""
        ...

    def loses(self, queue: str) -> bool:
        """Whether a message sent to a queue now gets lost."""
        ...

    def twin(self, queue: str) -> bool:
        """Whether a message that a queue gives out now goes to a second invocation as well."""
        ...

    def as_of(self, call: Call) -> datetime:
        """The moment whose state a read shows."""
        ...


class Receiver(Protocol):
    """What takes a message or an event from another service: a function, a topic."""

    def deliver(self, arn: str, body: str, *, principal: str, source_arn: str) -> None:
        """Hand over for a service (``events.amazonaws.com``). Raises AwsError if it is not there or may not be."""
        ...


class Queues(Protocol):
    """Queues, as other services reach them."""

    def deliver(
        self,
        arn: str,
        body: str,
        *,
        principal: str,
        source_arn: str,
        group: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Send for a service. Raises AwsError if no queue is there or its policy forbids."""
        ...


class EventBus(Protocol):
    """Where services tell what happened."""

    def emit(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        resources: Sequence[str],
        detail: Mapping[str, Any],
    ) -> None:
        """Tell an account's default bus; best effort."""
        ...


class DescribedKey(Protocol):
    """What EC2 needs to know of a key."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether it can be used."""
        ...

    @property
    def spec(self) -> str:
        """KMS's KeySpec."""
        ...

    @property
    def manager(self) -> str:
        """CUSTOMER, or AWS."""
        ...


class KeyService(Protocol):
    """KMS, as EC2 uses it for its callers."""

    def describe(self, account: str, region: str, key_id: str) -> DescribedKey:
        """Return the key that an id, alias or ARN means. Raises AwsError."""
        ...

    def may_use(
        self,
        caller: Caller,
        action: str,
        key_arn: str,
        via_service: str = ...,
        context: Mapping[str, Values] | None = None,
    ) -> tuple[bool, str]:
        """Whether a service may do ``kms:...`` to a key for its caller now, and if not, why not."""
        ...


class OrganizationMembers(Protocol):
    """Organizations, as sharing by organization or OU needs it."""

    def contains(self, arn: str, account: str) -> bool:
        """Whether an account belongs to what an ARN names."""
        ...

    def id_of(self, account: str) -> str | None:
        """Return the id of an account's organization."""
        ...


@dataclass(frozen=True, slots=True)
class Base:
    """The base of every service. It contains no service."""

    seed: int
    clock: Clock
    random: Random
    """The one source of chance of a world, drawn from in the order of what happens."""
    rules: Rules
    policies: Policies
    credentials: Credentials
    injected: Injected

    @property
    def now(self) -> datetime:
        """Virtual time, in UTC."""
        return self.clock.now

    def on(self, rule: Rule) -> bool:
        """Whether a rule is enforced now."""
        return self.rules.on(rule)
