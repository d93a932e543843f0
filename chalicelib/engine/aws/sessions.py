"""Clients of the function's own role, and of roles in targets.

One botocore session serves all accounts, because loading EC2's model takes 150 ms and a session's clients share it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from chalicelib.engine.aws import legible, sdk
from chalicelib.engine.aws.refusals import STALE_CREDENTIALS, as_refusal, code_of, too_large
from chalicelib.engine.calls import NO_ANSWER, MadeCall, changes
from chalicelib.engine.errors import Refusal
from chalicelib.engine.stored import compact


@cache
def _config(*, once: bool) -> sdk.Config:
    """``once``: for calls that have no client token: the SDK's retry would double them (invariant 4)."""
    attempts, seconds = (1, 12) if once else (2, 5)
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    return sdk.Config(connect_timeout=2, read_timeout=seconds, retries=retries)


SESSION_SECONDS = 3600
"""Role chaining is capped at one hour [aws-facts 6, VERIFIED]."""
RENEW_BEFORE = 300
KEPT = 64
MOST_CALLS = 1000
"""Most calls that are remembered until ``take_calls``; a command makes far fewer."""
WRITTEN_DOWN = ("ec2", "kms", "ssm")
"""AWS services whose calls are remembered: by these the service changes targets and shares."""
MOST_REFUSED = 256
"""Most policies that are remembered as too large, so that the next session asks with the wider one."""


def session_policy(*statements: Mapping[str, Any]) -> str:
    """Write a session policy, as short as it can be: STS limits its length."""
    return compact({"Version": "2012-10-17", "Statement": statements})


class Sessions:
    """Makes clients. It keeps a role's credentials, per session policy, until shortly before they end."""

    def __init__(
        self, region: str, clock: Callable[[], float], packed: Callable[[str, int], None] = lambda _role, _size: None
    ) -> None:
        """``packed`` gets, for each new session, the role's ARN, and how many percent of STS's limit its policy took.

        STS's figure is the only measure of that limit [aws-facts, STS session policies].
        """
        self._packed = packed
        self._refused: set[str] = set()
        self._botocore = sdk.get_session()
        self._calls: deque[MadeCall] = deque(maxlen=MOST_CALLS)
        self._botocore.register(legible.EVENT, legible.make_legible)
        for service in WRITTEN_DOWN:
            self._botocore.register(f"response-received.{service}", self._answered)
        self._region = region
        self._clock = clock
        self._own: dict[tuple[str, str, bool], Any] = {}
        self._roles: OrderedDict[tuple[str, ...], tuple[float, dict[str, str], dict[Any, Any]]] = OrderedDict()

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._clock()

    def take_calls(self) -> Sequence[MadeCall]:
        """Return the calls since this was last asked that change AWS, and forget them; see ``TakeCalls``."""
        taken = tuple(self._calls)
        self._calls.clear()
        return taken

    def _answered(self, event_name: str, parsed_response: Mapping[str, Any] | None, **_rest: Any) -> None:
        """Record each try of a call that botocore reports, with the request id of its answer or without one."""
        operation = event_name.rpartition(".")[2]
        if not changes(operation):
            return
        if parsed_response is None:
            self._calls.append(MadeCall(operation, error=NO_ANSWER))
            return
        request_id = parsed_response.get("ResponseMetadata", {}).get("RequestId", "")
        self._calls.append(MadeCall(operation, str(request_id), str(parsed_response.get("Error", {}).get("Code", ""))))

    def own(self, service: str, *, once: bool = False, region: str = "") -> Any:
        """Return a client of the function's own role, in the hub's Region unless another is named."""
        place = region or self._region
        if (service, place, once) not in self._own:
            self._own[service, place, once] = self._botocore.create_client(
                service, region_name=place, config=_config(once=once)
            )
        return self._own[service, place, once]

    def assumed(
        self,
        service: str,
        region: str,
        role_arn: str,
        external_id: str,
        name: str,
        policy: str,
        *,
        wider: str = "",
        once: bool = False,
    ) -> Any:
        """Return a client of another account's role, limited by a session policy. Raises Refusal (ROLE) if refused.

        ``wider``: the policy to try if STS refuses the first one for its size; "" if there is none.
        """
        narrow = policy not in self._refused or not wider
        credentials, clients = self._credentials(role_arn, external_id, name, policy if narrow else wider, wider)
        if (service, region, once) not in clients:
            clients[service, region, once] = self._botocore.create_client(
                service, region_name=region, config=_config(once=once), **credentials
            )
        return clients[service, region, once]

    @contextmanager
    def as_refusal(self, step: str, where: str) -> Iterator[None]:
        """Turn errors into refusals; after credentials that are not good any more, no session is used again."""
        try:
            with as_refusal(step, where):
                yield
        except Refusal as refusal:
            if code_of(refusal) in STALE_CREDENTIALS:
                self.forget()
            raise

    def forget(self) -> None:
        """Drop every assumed session: one of them was refused as expired."""
        self._roles.clear()

    def _credentials(
        self, role_arn: str, external_id: str, name: str, policy: str, wider: str
    ) -> tuple[dict[str, str], dict[Any, Any]]:
        wanted = (role_arn, external_id, name, policy)
        kept = self._roles.get(wanted)
        if kept is not None and self._clock() < kept[0]:
            return kept[1], kept[2]
        request: dict[str, Any] = {
            "RoleArn": role_arn,
            "RoleSessionName": name,
            "DurationSeconds": SESSION_SECONDS,
            **({"ExternalId": external_id} if external_id else {}),
        }
        with as_refusal("AssumeRole", role_arn, sts=True):
            try:
                answer = self.own("sts").assume_role(Policy=policy, **request)
            except sdk.ClientError as error:
                if not too_large(error) or wider in ("", policy):
                    raise
                self._refused = {policy, *self._refused} if len(self._refused) < MOST_REFUSED else {policy}
                answer = self.own("sts").assume_role(Policy=wider, **request)
        self._packed(role_arn, int(answer.get("SessionTokenUtilization", answer.get("PackedPolicySize", 0))))
        given = answer["Credentials"]
        credentials = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        clients: dict[Any, Any] = {}
        self._roles[wanted] = (given["Expiration"].timestamp() - RENEW_BEFORE, credentials, clients)
        while len(self._roles) > KEPT:
            self._roles.popitem(last=False)
        return credentials, clients
