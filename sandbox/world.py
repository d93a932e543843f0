"""One embedded AWS: every account, every Region, one virtual clock.

``with World() as world:`` makes boto3, everywhere in this process, talk to the world instead of AWS, and stops the
clock at ``world.start``. One world at a time in a process.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import time_machine

from sandbox import moto_answers, moto_backend, wire
from sandbox.accounts import Accounts
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.iam import Iam
from sandbox.kernel import Kernel
from sandbox.rules import Rules
from sandbox.services.cloudtrail import CloudTrail
from sandbox.services.ec2 import Ec2
from sandbox.services.events import Events
from sandbox.services.kms import Kms
from sandbox.services.lambda_ import Lambda
from sandbox.services.organizations import Organizations
from sandbox.services.sns import Sns
from sandbox.services.sqs import Sqs
from sandbox.services.sts import Sts

if TYPE_CHECKING:
    from sandbox.api import Call, Caller, Service
    from sandbox.cfn import Stack

GARBAGE = (20_000, 20, 20)
"""How seldom to look for garbage: the models of AWS's services are half a million objects that stay, and looking
through them as often as Python does by itself takes a quarter of a scenario's time."""


class World:
    """All parts of one sandbox, wired.

    ``seed`` decides everything that AWS leaves open (ids, delays, order of events): the same seed and the same calls
    give the same run. ``start`` is the virtual time at which it begins.
    """

    def __init__(self, seed: int = 0, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) -> None:
        self.seed = seed
        self.start = start
        self.rules = Rules()
        self.calls: list[Call] = []
        self.accounts = Accounts(self)
        self.gateway = Gateway(self)
        self._stack = ExitStack()
        self._travel = time_machine.travel(start, tick=False)
        self.clock: time_machine.Traveller | None = None
        """The clock of this process while the world is entered; the kernel alone moves it."""
        self.kernel = Kernel(self)
        self.faults = Faults(self)
        self.iam = Iam(self)
        self.sts = Sts(self)
        self.kms = Kms(self)
        self.events = Events(self)
        self.sqs = Sqs(self)
        self.sns = Sns(self)
        self.lambda_ = Lambda(self)
        self.ec2 = Ec2(self)
        self.cloudtrail = CloudTrail(self)
        self.organizations = Organizations(self)
        played: tuple[Service, ...] = (
            self.iam,
            self.sts,
            self.kms,
            self.events,
            self.sqs,
            self.sns,
            self.lambda_,
            self.ec2,
            self.cloudtrail,
            self.organizations,
        )
        self.services = {service.name: service for service in played}
        """What the sandbox plays itself; everything else is moto's."""

    @property
    def now(self) -> datetime:
        """Virtual time, in UTC."""
        return self.kernel.now

    def __enter__(self) -> Self:
        """Take over the clock, the AWS transport, the common source of randomness and moto's state of this process."""
        with ExitStack() as stack:
            self.clock = self._travel.start()
            stack.callback(self._travel.stop)
            stack.callback(gc.set_threshold, *gc.get_threshold())
            gc.set_threshold(*GARBAGE)
            stack.callback(random.setstate, random.getstate())
            random.seed(self.seed)  # botocore's waits between its retries
            moto_backend.reset()
            moto_answers.patch()
            stack.enter_context(wire.installed(self))
            stack.enter_context(self.kernel.installed())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        """Give everything back."""
        self._stack.close()
        self.clock = None

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """Make (or reuse) a boto3 client with the credentials of an account's root."""
        return wire.client(service, region, self.accounts.root(account).access_key, None)

    def credentials(
        self,
        role_arn: str,
        session: str,
        *,
        policies: Sequence[Mapping[str, Any]] = (),
        function: str | None = None,
    ) -> tuple[Caller, str, str, str]:
        """Credentials of a role's session, made without asking its trust policy (as the Lambda service gets them).

        Returns (caller, access key id, secret access key, session token).
        """
        return self.accounts.issue(role_arn, session, policies=policies, function=function)

    def shares_open(self) -> list[str]:
        """Every foreign permission on a snapshot, image or key, by grant or policy, read from state, not the API."""
        return list(self._shares())

    def _shares(self) -> Iterator[str]:
        yield from self.ec2.shares_open()
        for grant in self.kms.open_grants():
            yield f"{grant.key_arn} grant {grant.id} to {grant.grantee}"
        for key_arn, sid, names in self.kms.keys.policies.foreign(self.kms.keys.keys.values()):
            yield f"{key_arn} statement {sid} for {names}"

    def deploy(
        self, template: Mapping[str, Any] | Path, account: str, region: str, stack: str, parameters: Mapping[str, str]
    ) -> Stack:
        """Bring up a CloudFormation template (SAM included) and return the stack with its outputs."""
        from sandbox import cfn

        return cfn.deploy(self, template, account, region, stack, parameters)
