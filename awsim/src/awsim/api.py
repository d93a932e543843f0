"""What every part of the simulator uses: callers, calls, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated principal.

    ``arn`` is what GetCallerIdentity returns (``arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`` or
    ``arn:aws:iam::ACCOUNT:root``); ``role_arn`` is the role behind a session, else None. ``session_policies`` are
    parsed documents, which limit what the session may do.
    """

    account: str
    arn: str
    access_key: str
    role_arn: str | None = None
    session_policies: tuple[Mapping[str, Any], ...] = ()
    expires: datetime | None = None
    function: str | None = None
    """Name of the Lambda function whose execution environment holds these credentials."""
    source_function: str | None = None
    """ARN of the Lambda function that the session's token names."""


@dataclass(slots=True)
class Call:
    """One AWS call."""

    caller: Caller
    service: str
    """The service's name in botocore: ec2, kms, sts, sqs, sns, dynamodb, events, lambda."""
    operation: str
    """The API's own name: CopySnapshot."""
    params: dict[str, Any]
    """The parameters as the client method takes them."""
    region: str
    at: datetime
    request_id: str
    error: str | None = None
    """AWS's error code, if the call was refused."""
    result: Mapping[str, Any] = field(default_factory=dict)
    invocation: str | None = None
    """Id of the Lambda invocation that made it."""
    invoked_by: str = ""
    """The AWS service that made it for the caller; "" if the caller did."""
    trace: str = ""
    """Its trace header, which the SDK sends inside Lambda."""


class AwsError(Exception):
    """A refusal, with AWS's code and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Service(Protocol):
    """One AWS service, for all accounts and Regions of a world."""

    name: str

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that it answers itself, by name; moto answers the others.

        A handler returns the response in botocore's shape, or raises AwsError.
        """
        ...


class Clock(Protocol):
    """Virtual time; the kernel implements it."""

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC."""
        ...

    def after(self, seconds: float, what: Callable[[], object], label: str) -> object:
        """Call ``what`` in some virtual seconds."""
        ...

    def elapse(self, seconds: float) -> None:
        """Let some virtual seconds pass, as an AWS call does."""
        ...
