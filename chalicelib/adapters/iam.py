"""Service-linked roles in a target."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.adapters.refusals import code_of
from chalicelib.adapters.sts.target_sessions import TargetSessions
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.errors import Refusal, RefusalKind
from chalicelib.core.targets.applied_file import grant_role


class AwsTargetRoles:
    """The port ``TargetRoles``."""

    def __init__(self, sessions: TargetSessions) -> None:
        self._sessions = sessions

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """Where IAM may not be asked, the refusal of the grant says it."""
        iam = self._sessions.client("iam", "roles", delivery)
        copies_with, _ = self._sessions.role(delivery.target.account) or (delivery.target.role_name, "")
        missing = []
        for role in (grant_role(copies_with), *delivery.target.service_linked_roles):
            try:
                with self._sessions.as_refusal("GetRole", f"{delivery.where}, {role}"):
                    iam.get_role(RoleName=role.rpartition("/")[2])
            except Refusal as refusal:
                if code_of(refusal) == "NoSuchEntity":
                    missing.append(role)
                elif refusal.kind is not RefusalKind.DENIED:
                    raise
        return missing
