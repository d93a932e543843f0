"""KMS's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from awsim.iam.policy import Document

SYMMETRIC = "SYMMETRIC_DEFAULT"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key's policy."""

    put_at: datetime
    works_from: datetime
    text: str
    document: Document
    roles: Mapping[str, str]
    """ARN of each role that it names -> id that the role had."""


@dataclass(slots=True)
class KmsKey:
    """A key of one account and Region."""

    account: str
    region: str
    id: str
    created: datetime
    description: str = ""
    spec: str = SYMMETRIC
    usage: str = "ENCRYPT_DECRYPT"
    manager: str = "CUSTOMER"
    """CUSTOMER, or AWS for aws/ebs."""
    switched_on: bool = True
    rotation: bool = False
    deletion: datetime | None = None
    """When it will be deleted, if that is scheduled."""
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    """Its policies, oldest first."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:kms:{self.region}:{self.account}:key/{self.id}"

    @property
    def state(self) -> str:
        """KMS's KeyState."""
        if self.deletion is not None:
            return "PendingDeletion"
        return "Enabled" if self.switched_on else "Disabled"

    @property
    def enabled(self) -> bool:
        """Whether it can be used."""
        return self.state == "Enabled"


@dataclass(slots=True)
class KmsGrant:
    """One grant on a key."""

    id: str
    key_arn: str
    name: str | None
    grantee: str
    """ARN of a role, a session or an account's root, or an account id."""
    grantee_id: str | None
    """Id that the grantee's role had when the grant was made; None for accounts."""
    retiring: str | None
    retiring_id: str | None
    """Id that the retiring principal's role then had; None for accounts, or if there is none."""
    issuer: str
    """The account that issued it."""
    operations: frozenset[str]
    constraints: Mapping[str, Mapping[str, str]]
    created: datetime
    works_from: datetime
    revoked: datetime | None = None
    works_until: datetime | None = None
    tokens: set[str] = field(default_factory=set)

    def works(self, now: datetime) -> bool:
        """Whether it is in effect now: late to begin, late to end."""
        return self.works_from <= now and (self.works_until is None or now < self.works_until)

    def listed(self, at: datetime) -> bool:
        """Whether ListGrants shows it."""
        return self.created <= at and (self.revoked is None or at < self.revoked)

    def same_as(self, other: Mapping[str, Any]) -> bool:
        """Whether another request has the same parameters."""
        return all(getattr(self, name) == value for name, value in other.items())

    def end(self, now: datetime, after: timedelta) -> None:
        """Revoke or retire it: no longer listed, and soon no longer in effect."""
        self.revoked, self.works_until = now, now + after

    @property
    def grantee_account(self) -> str:
        """Account of the grantee."""
        return self.grantee if self.grantee.isdigit() else self.grantee.split(":")[4]
