"""IAM's roles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from awsim.api import AwsError
from awsim.iam import policy
from awsim.iam.policy import Document
from awsim.rules import Rules, rule

INLINE_SIZE = rule(
    "iam-inline-policies-10240",
    "All inline policies of one role together may have 10,240 characters, white space not counted. [IAM quotas]",
)
MANAGED_SIZE = rule(
    "iam-managed-policy-6144",
    "A customer managed policy may have 6,144 characters, white space not counted; it does not count as an inline "
    "policy of the roles that it is attached to. [IAM quotas]",
)
LONGEST = 10_240
LONGEST_MANAGED = 6_144
MANAGED = "managed:"
"""Prefix of an attached policy's name among a role's policies."""


@dataclass(frozen=True, slots=True)
class Role:
    """One role. A role that is deleted and made again under the same name has another id."""

    account: str
    name: str
    id: str
    trust: Document
    policies: Mapping[str, Document] = field(default_factory=dict)
    longest: timedelta = timedelta(hours=1)
    tags: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    boundary: str = ""
    """ARN of the managed policy that is its permissions boundary; "": none."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"


class Roles:
    """All roles of all accounts. Names are unique in an account, in all Regions."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._roles: dict[str, Role] = {}
        self._made = 0
        self.managed: dict[str, Document] = {}
        """Managed policies by ARN."""
        self.edited: Callable[[str, Document], Document] = lambda _role, document: document
        """Changes the policies of the role with a name, for tests that show what a permission is needed for."""

    def put(
        self,
        account: str,
        name: str,
        trust: Document,
        policies: Mapping[str, Document] | None = None,
        *,
        longest: timedelta = timedelta(hours=1),
        tags: Mapping[str, str] | None = None,
        path: str = "/",
        boundary: str = "",
    ) -> Role:
        """Make or change a role; its id stays. Raises AwsError: MalformedPolicyDocument, LimitExceeded."""
        policy.parse(trust, resource_policy=True)
        for given_name, document in (policies or {}).items():
            try:
                policy.parse(document)
            except AwsError as refused:
                raise AwsError(
                    refused.code, f"policy {given_name} of role {name} in {account}: {refused.message}"
                ) from None
        if boundary and boundary not in self.managed:
            raise AwsError("NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable.", 404)
        self._check_size(name, policies or {})
        arn = f"arn:aws:iam::{account}:role{path}{name}"
        known = self._roles.get(arn)
        role = Role(
            account,
            name,
            known.id if known else self._new_id(arn),
            trust,
            {one: self.edited(name, document) for one, document in (policies or {}).items()},
            longest,
            dict(tags or {}),
            path,
            boundary,
        )
        self._roles[arn] = role
        return role

    def put_policy(self, arn: str, name: str, document: Document) -> None:
        """Add or replace one inline policy."""
        role = self._roles[arn]
        policies = {**role.policies, name: self.edited(role.name, policy.parse(document))}
        self._check_size(role.name, policies)
        self._roles[arn] = replace(role, policies=policies)

    def attach(self, arn: str, name: str, document: Document) -> None:
        """Attach a customer managed policy, or its new version. Raises AwsError: LimitExceeded."""
        size = _size(document)
        if size > LONGEST_MANAGED and self._rules.on(MANAGED_SIZE):
            raise AwsError("LimitExceeded", f"Cannot exceed quota for PolicySize: {LONGEST_MANAGED}; {name} has {size}")
        role = self._roles[arn]
        self._roles[arn] = replace(
            role, policies={**role.policies, MANAGED + name: self.edited(role.name, policy.parse(document))}
        )

    def _check_size(self, name: str, policies: Mapping[str, Document]) -> None:
        size = sum(_size(document) for one, document in policies.items() if not one.startswith(MANAGED))
        if size > LONGEST and self._rules.on(INLINE_SIZE):
            raise AwsError("LimitExceeded", f"Maximum policy size of {LONGEST} bytes exceeded for role {name}")

    def drop(self, arn: str) -> None:
        """Delete a role. Its sessions lose every permission, and a new role of the same name is another one."""
        self._roles.pop(arn, None)

    def get(self, arn: str | None) -> Role | None:
        """Return a role by its ARN."""
        return self._roles.get(arn or "")

    def named(self, account: str, name: str) -> Role | None:
        """Return an account's role by its name, whatever its path."""
        return next((role for role in self.all(account) if role.name == name), None)

    def all(self, account: str) -> list[Role]:
        """Return an account's roles."""
        return [role for role in self._roles.values() if role.account == account]

    def _new_id(self, arn: str) -> str:
        self._made += 1
        return "AROA" + hashlib.sha256(f"{arn}/{self._made}".encode()).hexdigest()[:17].upper()


def _size(document: Document) -> int:
    return len("".join(json.dumps(document).split()))
