"""Every call passes here: identify the caller, authorise, answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awsim import moto_backend, moto_refusals, protocol, traces
from awsim.accounts import Accounts
from awsim.api import AwsError, Call, Caller, Clock, Service
from awsim.iam.authorisation import Authorisation
from awsim.protocol import AwsRequest, Response
from awsim.rules import Rules, rule

EXPIRED = rule(
    "expired-credentials-refused",
    "Temporary credentials stop working when they expire: ExpiredToken (query), ExpiredTokenException (JSON), "
    "RequestExpired (EC2). [STS user guide; the spelling per service from public error reports]",
)
DRY_RUN = rule(
    "ec2-dry-run",
    "With DryRun EC2 checks the caller's permission and does nothing: DryRunOperation or UnauthorizedOperation; "
    "no KMS check is made. [aws-facts, ten facts 2]",
)

UNKNOWN_KEY = "The security token included in the request is invalid."


class Gateway:
    """Every AWS call of a world passes here.

    It needs no lock, because the kernel runs one thread at a time. ``before`` is called when a call arrives, before any
    check; ``after`` when it has taken effect or was refused, before the answer is returned. A hook may let virtual time
    pass, raise AwsError to refuse the call, or raise what kills its caller. ``calls`` gets each call when it arrives,
    and ``answered`` each answer.
    """

    def __init__(
        self,
        clock: Clock,
        rules: Rules,
        accounts: Accounts,
        authorisation: Authorisation,
        services: Sequence[Service],
        calls: list[Call],
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._accounts = accounts
        self._authorisation = authorisation
        self._services = {service.name: service for service in services}
        self._ids = itertools.count(1)
        self._calls = calls
        self.before: list[Callable[[Call], None]] = []
        self.after: list[Callable[[Call], None]] = []
        self.answered: list[Callable[[Call, Response], None]] = []

    def handle(self, method: str, url: str, headers: Mapping[str, Any], body: Any) -> Response:
        """Answer one HTTP request: (status, headers, body).

        May raise a BaseException of the kernel's that kills the caller, before or after the call takes effect.
        """
        number = next(self._ids)
        request_id = f"{number:08x}-0000-4000-8000-{number:012x}"
        try:
            request = protocol.parse(method, url, headers, body)
        except AwsError as refused:
            return protocol.error("sts", protocol.family(headers), refused, request_id)
        try:
            caller = self._authenticate(request)
        except AwsError as refused:
            return protocol.error(request.service, request.protocol, refused, request_id)
        call = Call(
            caller, request.service, request.operation, request.params, request.region, self._clock.now, request_id
        )
        call.trace = request.headers.get(traces.HEADER, "")
        return self._execute(call, request)

    def _execute(self, call: Call, request: AwsRequest) -> Response:
        self._calls.append(call)
        try:
            for hook in self.before:
                hook(call)
            call.at = self._clock.now
            self._authorisation.check(call)
            answer = self._answer(call, request)
        except AwsError as refused:
            answer = self._refused(call, request, refused)
        try:
            for hook in self.after:
                hook(call)
        except AwsError as refused:
            answer = self._refused(call, request, refused)
        for observer in self.answered:
            observer(call, answer)
        return answer

    @staticmethod
    def _refused(call: Call, request: AwsRequest, refused: AwsError) -> Response:
        call.error = refused.code
        return protocol.error(request.service, request.protocol, refused, call.request_id)

    def _answer(self, call: Call, request: AwsRequest) -> Response:
        if call.service == "ec2" and call.params.get("DryRun") and self._rules.on(DRY_RUN):
            raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        service = self._services.get(call.service)
        handler = service.operations().get(call.operation) if service is not None else None
        if handler is not None:
            call.result = handler(call)
            return protocol.result(request, call.result, call.request_id)
        if getattr(service, "exclusive", False):
            raise AwsError("NotImplemented", f"the simulator does not play {call.service}:{call.operation}", 501)
        if call.service == "dynamodb":
            moto_refusals.check(call, self._rules)
        status, headers, body = moto_backend.handle(request, call.caller.account)
        answer = status, {"x-amzn-requestid": call.request_id, **headers}, body
        call.error = error_code(answer)
        return answer

    def _authenticate(self, request: AwsRequest) -> Caller:
        caller = self._accounts.find(request.access_key, request.token)
        if caller is None:
            raise _refusal(request, "InvalidClientTokenId", UNKNOWN_KEY)
        if caller.expires is not None and self._clock.now >= caller.expires and self._rules.on(EXPIRED):
            raise _refusal(request, "ExpiredToken", "The security token included in the request is expired")
        return caller


def error_code(answer: Response) -> str | None:
    """Return AWS's error code from a serialised answer; None for a success."""
    status, headers, body = answer
    if status < 400:
        return None
    found = re.search(rb"<Code>([^<]*)</Code>", body)
    if found:
        return found.group(1).decode()
    kind = headers.get("x-amzn-query-error") or headers.get("x-amzn-errortype") or ""
    if not kind and body.startswith(b"{"):
        kind = str(json.loads(body).get("__type", ""))
    return kind.split(";")[0].split("#")[-1] or f"HTTP {status}"


def _refusal(request: AwsRequest, code: str, message: str) -> AwsError:
    """Return the same refusal in the wording of the protocol's services."""
    if request.protocol == "ec2":
        if code == "ExpiredToken":
            return AwsError("RequestExpired", "Request has expired.", 400)
        return AwsError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if request.protocol in {"query", "rest-xml"}:
        return AwsError(code, message, 403)
    names = {"InvalidClientTokenId": "UnrecognizedClientException", "ExpiredToken": "ExpiredTokenException"}
    return AwsError(names[code], message, 400)
