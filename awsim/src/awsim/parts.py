"""What the parts of a world ask of each other, as small protocols without implementations.

A service gets a :class:`Base` and, by name, the few other services that it uses. Only the world creates them all.
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
    """Decides who may do what; IAM implements it."""

    @property
    def roles(self) -> RoleLookup:
        """The roles that have the policies."""
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
        """Return which policy of an organization denies it; "": none. ``owner``: the account of the key or role."""
        ...

    def identity(self, caller: Caller, ask: Ask) -> tuple[PolicyVerdict, PolicyVerdict]:
        """Return the verdicts of the caller's own policies, and of its session policies."""
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
        """Return the condition keys that every request has."""
        ...


class Credentials(Protocol):
    """The holders of access keys."""

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
        source_function: str | None = None,
        expires: datetime | None = None,
    ) -> tuple[Caller, str, str, str]:
        """Make credentials for a session of a role; returns (caller, key, secret, token)."""
        ...


class Injected(Protocol):
    """The injections that services must play."""

    def arrivals(self, source: str) -> list[float]:
        """Return after how many seconds an event of this source arrives, for each time that it does."""
        ...

    def loses(self, queue: str) -> bool:
        """Whether a message sent to a queue now is lost."""
        ...

    def twin(self, queue: str) -> bool:
        """Whether a queue gives a message to a second invocation as well."""
        ...

    def as_of(self, call: Call) -> datetime:
        """Return the time whose state a read shows."""
        ...


class Receiver(Protocol):
    """A function or topic that another service sends messages or events to."""

    def deliver(self, arn: str, body: str, *, principal: str, source_arn: str) -> None:
        """Deliver for a service (``events.amazonaws.com``). Raises AwsError if it is missing, or its policy forbids."""
        ...


class Queues(Protocol):
    """Queues, as other services use them."""

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
        """Send for a service. Raises AwsError if the queue is missing or its policy forbids."""
        ...


class EventBus(Protocol):
    """EventBridge, as services that emit events use it."""

    def emit(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        resources: Sequence[str],
        detail: Mapping[str, Any],
    ) -> None:
        """Send an event to an account's default bus; best effort."""
        ...


class DescribedKey(Protocol):
    """What EC2 needs to know about a key."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether it can be used."""
        ...

    @property
    def state(self) -> str:
        """KMS's KeyState."""
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
        """Return whether a service may call ``kms:...`` on a key for its caller now, and if not, why not."""
        ...


class ImageUse(Protocol):
    """EC2, as Systems Manager validates AMI ids with it."""

    def usable(self, account: str, region: str, image: str) -> bool:
        """Whether an id is that of an image that is available to an account in a Region now."""
        ...


class ParameterLookup(Protocol):
    """Parameter Store, as EC2 resolves parameters and looks for AMIs in them."""

    def value_of(self, account: str, region: str, name: str) -> tuple[str, str] | None:
        """Return the value and the data type that NAME or NAME:VERSION has now; None if there is none."""
        ...

    def images_in(self, account: str, region: str) -> list[tuple[str, str]]:
        """Return ARN and value of each parameter of data type aws:ec2:image."""
        ...


class OrganizationMembers(Protocol):
    """Organizations, as sharing with an organization or OU needs it."""

    def contains(self, arn: str, account: str) -> bool:
        """Whether an account belongs to the organization, root or OU of an ARN."""
        ...

    def id_of(self, account: str) -> str | None:
        """Return the id of an account's organization."""
        ...


@dataclass(frozen=True, slots=True)
class Base:
    """What every service needs."""

    seed: int
    clock: Clock
    random: Random
    """The world's only random generator."""
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
