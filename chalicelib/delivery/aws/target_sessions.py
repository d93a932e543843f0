"""Clients for one target: a session of its copy role, limited to one delivery and one kind of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.delivery import preflight
from chalicelib.delivery.aws.session_policies import Work, policy
from chalicelib.delivery.model import Delivery
from chalicelib.engine.aws import sdk
from chalicelib.engine.aws.refusals import CURES
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.images.aws.shapes import pages
from chalicelib.targets.applied_file import launch_role
from chalicelib.targets.ports import Targets

ROLE_READ_FOR = 15
"""Seconds for which role name and external id are cached: about one invocation."""


class TargetSessions:
    """Makes the clients that the adapters of one target share."""

    def __init__(self, sessions: Sessions, targets: Targets, partition: str) -> None:
        self._sessions = sessions
        self._targets = targets
        self._partition = partition
        self._roles: dict[str, tuple[float, tuple[str, str] | None]] = {}
        self.as_refusal, self.now = sessions.as_refusal, sessions.now

    def client(
        self,
        service: str,
        work: Work,
        delivery: Delivery,
        snapshots: Sequence[str] = (),
        *,
        region: str = "",
        once: bool = False,
        looks: bool = False,
    ) -> Any:
        """Return a client of the role in the delivery's account, narrowed to one kind of work on its own resources.

        ``snapshots``: the sources to be copied. ``region``: "" for the target's. ``once``: the SDK does not retry.
        ``looks``: the caller only looks, with a session that may also be for more.
        To look and to copy, the role is that of the delivery's record, and if that cannot be assumed, the one that the
        file names now; to change anything else it is the file's, as the former role may have lost its rights.
        """
        account, target = delivery.target.account, delivery.target

        def assumed(named: tuple[str, str]) -> Any:
            role, external_id = named
            role = launch_role(role) if work in ("launch", "instance") else role
            return self._sessions.assumed(
                service,
                region or target.region,
                str(Arn(self._partition, "iam", "", account, f"role/{role}")),
                external_id,
                f"ami-promoter-{delivery.id}",
                policy(work, delivery, snapshots, self._partition),
                wider=policy(work, delivery, None, self._partition),
                once=once,
            )

        recorded = (target.role_name, target.external_id)
        if self._is_known(account) or not (looks or work in ("look", "copy", "image")):
            return assumed(self.role(account) or recorded)
        try:
            return assumed(recorded)
        except Refusal as refusal:
            live = self.role(account) if refusal.kind is RefusalKind.ROLE else None
            if live in (None, recorded):
                raise
        return assumed(live)

    def listed(
        self, ec2: Any, what: str, delivery: Delivery, budget: Budget, **asked: Any
    ) -> Sequence[Mapping[str, Any]]:
        """List snapshots or images (``what``) while the invocation has time; raise a Refusal if that ends before."""
        call, found = f"Describe{what.capitalize()}", list[Mapping[str, Any]]()
        with self.as_refusal(call, delivery.where):
            for number, page in enumerate(pages(ec2, what, **asked), 1):
                found += page[what.capitalize()]
                if page.get("NextToken") and not budget.whole.allows():
                    unfinished = preflight.list_unfinished(delivery.where, delivery.target.region, call, number)
                    raise Refusal(RefusalKind.THROTTLED, unfinished)
        return found

    def role_name(self, delivery: Delivery) -> str:
        """Return the copy role's name: the file's, or that of the delivery's record if the file lacks the account."""
        return (self.role(delivery.target.account) or (delivery.target.role_name,))[0]

    def role_policy(self, delivery: Delivery, work: Work, role: str, name: str) -> Mapping[str, Any]:
        """Return an inline policy of a role there. Raises Refusal."""
        iam = self.client("iam", work, delivery)
        with self.as_refusal("GetRolePolicy", f"{delivery.where}, {role}"):
            document: Mapping[str, Any] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            return document

    def role_policy_if_allowed(self, delivery: Delivery, work: Work, role: str, name: str) -> Mapping[str, Any] | None:
        """As ``role_policy``; None if that is refused, as older templates do not allow it: it blocks no delivery."""
        try:
            return self.role_policy(delivery, work, role, name)
        except Refusal as refusal:
            if refusal.kind is RefusalKind.ROLE:
                raise
            return None

    def _is_known(self, account: str) -> bool:
        return account in self._roles and self.now() < self._roles[account][0]

    def role(self, account: str) -> tuple[str, str] | None:
        """Read role name and external id, once for the calls of one invocation.

        An error of that read does not concern the target, and ends no delivery: it is tried again, whatever its code.
        """
        if not self._is_known(account):
            try:
                self._roles = {account: (self.now() + ROLE_READ_FOR, self._targets.live(account))}
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                what = f"GetItem was not answered: {error}."
                fault = Fault("aws-throttled", "the hub, the applied targets file", what, CURES[RefusalKind.THROTTLED])
                raise Refusal(RefusalKind.THROTTLED, fault) from error
        return self._roles[account][1]
