"""Clients for one target: a session of its role, narrowed to one delivery and one kind of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chalicelib.adapters.refusals import STALE_CREDENTIALS, code_of, read, told
from chalicelib.adapters.session_policies import Work, policy
from chalicelib.adapters.sessions import Sessions
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.errors import Refusal
from chalicelib.ports import Targets

ROLE_READ_FOR = 15
"""Seconds for which role name and external id are used as they were read: about one invocation."""


class TargetSessions:
    """What every part of ``TargetAccount`` works with."""

    def __init__(self, sessions: Sessions, targets: Targets, partition: str, trigger_tag: str, hub_region: str) -> None:
        self._sessions = sessions
        self._hub_region = hub_region
        self._targets = targets
        self._partition = partition
        self._trigger_tag = trigger_tag
        self._roles: dict[str, tuple[float, tuple[str, str] | None]] = {}

    @contextmanager
    def _told(self, step: str, where: str) -> Iterator[None]:
        """Turn errors into refusals; credentials that are not good any more are not used again."""
        try:
            with told(step, where):
                yield
        except Refusal as refusal:
            if code_of(refusal) in STALE_CREDENTIALS:
                self._sessions.forget()
            raise

    def _client(
        self,
        service: str,
        work: Work,
        delivery: Delivery,
        snapshots: Sequence[str] = (),
        *,
        region: str = "",
        once: bool = False,
    ) -> Any:
        account = delivery.target.account
        role, external_id = self._role(account) or (delivery.target.role_name, delivery.target.external_id)
        return self._sessions.assumed(
            service,
            region or delivery.target.region,
            f"arn:{self._partition}:iam::{account}:role/{role}",
            external_id,
            f"ami-promoter-{delivery.id}",
            policy(work, delivery, snapshots, self._partition),
            wider=policy(work, delivery, None, self._partition),
            once=once,
        )

    def _role(self, account: str) -> tuple[str, str] | None:
        """Read role name and external id, once for the calls of one invocation."""
        now = self._sessions.now()
        if account not in self._roles or now >= self._roles[account][0]:
            with read("GetItem", "the applied targets file"):
                self._roles = {account: (now + ROLE_READ_FOR, self._targets.live(account))}
        return self._roles[account][1]
