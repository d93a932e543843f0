"""The words that every part of the simulator shares: who calls, what is called, how it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated principal, as it was when its credentials were made.

    ``arn`` is what GetCallerIdentity says (``arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`` or
    ``arn:aws:iam::ACCOUNT:root``); ``role_arn`` is the role behind a session, else None.
    ``session_policies`` are parsed documents; a session may do only what they also allow.
    """

    account: str
    arn: str
    access_key: str
    role_arn: str | None = None
    session_policies: tuple[Mapping[str, Any], ...] = ()
    expires: datetime | None = None
    function: str | None = None
    """Name of the Lambda function whose execution environment holds these credentials."""


@dataclass(slots=True)
class Call:
    """One AWS call on its way through the gateway."""

    caller: Caller
    service: str
    """botocore's service name: ec2, kms, sts, sqs, sns, dynamodb, events, lambda."""
    operation: str
    """The API's own name: CopySnapshot."""
    params: dict[str, Any]
    """Parameters in botocore's shape, as one would pass them to the client method."""
    region: str
    at: datetime
    request_id: str
    error: str | None = None
    """AWS's error code if it was refused."""
    result: Mapping[str, Any] = field(default_factory=dict)
    invocation: str | None = None
    """Id of the Lambda invocation that made it."""
    invoked_by: str = ""
    """The AWS service that made it for the caller; "" if the caller did."""


class AwsError(Exception):
    """A refusal, in AWS's own code and words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Service(Protocol):
    """One AWS service, for all accounts and Regions of a world."""

    name: str

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """What it answers itself, by operation name; the rest goes to moto.

        A handler returns the response in botocore's shape, or raises AwsError.
        """
        ...


class Clock(Protocol):
    """Virtual time; the kernel is that."""

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        ...

    def after(self, seconds: float, what: Callable[[], object], label: str) -> object:
        """Let ``what`` happen in some virtual seconds."""
        ...

    def elapse(self, seconds: float) -> None:
        """Let a while pass, as an AWS call does."""
        ...
