"""Who holds which access key: account roots and role sessions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from awsim.api import Caller, Clock

SECRET = "sandbox-secret"
"""Every secret access key. The simulator listens on 127.0.0.1 and does not check signatures."""

LONGEST_LAMBDA_SESSION = timedelta(hours=12)


class Accounts:
    """The credentials of one world.

    Each account has a root, whose access key is ``AKIA`` + account id + ``ROOT``; nobody has to create it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._callers: dict[str, tuple[Caller, str | None]] = {}
        self._numbers = itertools.count(1)
        self.closed: set[str] = set()
        """Accounts that are closed or never existed: other services do not see them."""

    def root(self, account: str) -> Caller:
        """Return the root of an account, which may do everything there."""
        key = f"AKIA{account}ROOT"
        if key not in self._callers:
            self._callers[key] = (Caller(account, f"arn:aws:iam::{account}:root", key), None)
        return self._callers[key][0]

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
        """Make credentials for a session of a role; return (caller, key, secret, token).

        The calling service checks whether the session is allowed: STS for AssumeRole; Lambda needs no check.
        """
        number = next(self._numbers)
        key, token = f"ASIA{number:016d}", f"token-{number:016d}"
        account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
        caller = Caller(
            account=account,
            arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            access_key=key,
            role_arn=role_arn,
            session_policies=tuple(policies),
            expires=expires or self._clock.now + LONGEST_LAMBDA_SESSION,
            function=function,
            source_function=source_function,
        )
        self._callers[key] = (caller, token)
        return caller, key, SECRET, token

    def find(self, key: str, token: str | None) -> Caller | None:
        """Return the caller of an access key; None if it is unknown or its session token is wrong."""
        if key.startswith("AKIA") and key.endswith("ROOT") and key[4:16].isdigit():
            return self.root(key[4:16])
        caller, expected = self._callers.get(key, (None, None))
        return caller if token == expected else None
