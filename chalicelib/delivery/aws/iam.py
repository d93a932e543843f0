"""Looks for service-linked roles and the grant role in a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.delivery.aws.session_policies import Work
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.template_rights import POLICY, allowed
from chalicelib.engine.aws.refusals import code_of
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import last_part
from chalicelib.targets.applied_file import grant_role


class AwsTargetRoles:
    """The port ``TargetRoles``."""

    def __init__(self, sessions: TargetSessions) -> None:
        self._sessions = sessions

    def in_file(self, delivery: Delivery) -> bool:
        return self._sessions.role(delivery.target.account) is not None

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """If the session may not ask IAM, CreateGrant's refusal names a missing role later."""
        return self.look(delivery)[0]

    def allows(self, delivery: Delivery) -> Sequence[str] | None:
        policy = self._sessions.role_policy_if_allowed(delivery, "look", self._sessions.role_name(delivery), POLICY)
        return None if policy is None else allowed(policy)

    def policy(self, delivery: Delivery) -> Mapping[str, Any]:
        """Return the copy role's policy, for `doctor`. Raises Refusal."""
        return self._sessions.role_policy(delivery, "check", self._sessions.role_name(delivery), POLICY)

    def look(self, delivery: Delivery, work: Work = "roles") -> tuple[Sequence[str], Mapping[str, Fault]]:
        """Return the missing roles, and the roles that the session may not read, with IAM's message."""
        iam = self._sessions.client("iam", work, delivery)
        missing: list[str] = []
        denied: dict[str, Fault] = {}
        for role in (grant_role(self._sessions.role_name(delivery)), *delivery.target.service_linked_roles):
            try:
                with self._sessions.as_refusal("GetRole", f"{delivery.where}, {role}"):
                    iam.get_role(RoleName=last_part(role))
            except Refusal as refusal:
                if code_of(refusal) == "NoSuchEntity":
                    missing.append(role)
                elif refusal.kind is RefusalKind.DENIED:
                    denied[role] = refusal.fault
                else:
                    raise
        return missing, denied
