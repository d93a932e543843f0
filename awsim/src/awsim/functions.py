"""Lambda's data: functions, invocations, event source mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from awsim.kernel import Kernel, Timer
from awsim.runtime import Environment, Package


@dataclass(slots=True, eq=False)
class Function:
    """A deployed function, with its idle execution environments."""

    name: str
    account: str
    region: str
    role: str
    handler: str
    package: Package
    timeout: int = 3
    memory: int = 128
    runtime: str = "python3.13"
    variables: Mapping[str, str] = field(default_factory=dict)
    dead_letters: str | None = None
    """ARN of the queue for asynchronous events that failed for good."""
    reserved: int | None = None
    recursion: str = "Terminate"
    """``RecursiveLoop``: whether Lambda ends a chain in which it runs too often; or "Allow"."""
    policy: list[Mapping[str, Any]] = field(default_factory=list)
    """Statements of its resource policy."""
    retries: int = 2
    longest_age: int = 21600
    on_failure: str | None = None
    running: int = 0
    idle: list[Environment] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"


@dataclass(slots=True, eq=False)
class Invocation:
    """One run of a function."""

    id: str
    function: str
    event: Any
    began: datetime
    cold: bool = False
    attempt: int = 1
    ended: datetime | None = None
    outcome: str = "running"
    """running, ok, error, timeout, crashed."""
    result: Any = None
    error: str = ""
    """Type and text of the error, as Lambda reports it."""
    lines: list[str] = field(default_factory=list)
    trace: str = ""
    """The trace header that its calls send."""
    in_chain: int = 1
    """The how-manieth run of its function in one chain of messages and calls it is."""

    @property
    def log(self) -> str:
        """Everything that it printed."""
        return "".join(self.lines)

    @property
    def metrics(self) -> list[Mapping[str, Any]]:
        """The metrics that it printed in CloudWatch's embedded format."""
        parsed = (json.loads(line) for line in self.log.splitlines() if line.startswith("{") and '"_aws"' in line)
        return list(parsed)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.ended is not None


@dataclass(slots=True, eq=False)
class EventSource:
    """A queue whose messages invoke a function."""

    id: str
    queue: str
    function: Function
    batch_size: int = 10
    concurrency: int = 1000
    partial: bool = False
    """Whether the function reports which messages of a batch failed."""
    enabled: bool = True
    running: int = 0
    poll: Timer | None = None


class Context:
    """The second argument of a handler."""

    function_version = "$LATEST"
    identity = None
    client_context = None

    def __init__(self, kernel: Kernel, function: Function, invocation: Invocation) -> None:
        self.function_name = function.name
        self.invoked_function_arn = function.arn
        self.memory_limit_in_mb = str(function.memory)
        self.aws_request_id = invocation.id
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = f"{invocation.began:%Y/%m/%d}/[$LATEST]{invocation.id.replace('-', '')}"
        self._kernel = kernel
        self._began = kernel.now
        self._timeout = function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds of virtual time before Lambda stops the invocation."""
        used = (self._kernel.now - self._began).total_seconds()
        return max(0, int((self._timeout - used) * 1000))
