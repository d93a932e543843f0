"""Whom the hub's stack admits as receivers, whatever file and records say (invariant 8).

IAM holds the share worker to the same accounts for snapshots and grants. It has no condition for launch permissions and
key policies, nor one on a receiver's organization.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn

NOT_ADMITTED = "receiver-not-admitted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The stack's parameters TargetAccounts and OrganizationId; with neither, everybody is admitted."""

    accounts: frozenset[str] = frozenset()
    organization: str = ""

    def admits(self, receiver: str) -> bool:
        """Whether an account (12 digits), or the ARN of an OU or organization, may receive anything.

        Under an organization every account is admitted here: only AWS Organizations knows its members.
        """
        if not (self.accounts or self.organization) or receiver in self.accounts:
            return True
        named = Arn.parse(receiver).path[1] if receiver.startswith("arn:") else self.organization
        return bool(named) and named == self.organization

    def fault(self, resource: str, receiver: str) -> Fault | None:
        """Return the fault of a receiver that is not admitted."""
        if self.admits(receiver):
            return None
        what = f"Nothing is shared: the hub's parameters TargetAccounts and OrganizationId do not have {receiver}."
        cure = (
            "If it is a target, add it to TargetAccounts, deploy the hub, and tag the AMI again. If not, correct the "
            "targets file; and see in CloudTrail who wrote it, or the service's tables."
        )
        return Fault(NOT_ADMITTED, f"{resource}, {receiver}", what, cure)
