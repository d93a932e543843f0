"""One AWS in this process: every account, every Region, one virtual clock.

``with World() as world:`` makes boto3, everywhere in this process, talk to the world instead of AWS, and stops the
clock at ``world.start``. One world at a time in a process.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import time_machine

from awsim import cfn, moto_answers, moto_backend, wire
from awsim.accounts import Accounts
from awsim.api import AwsError, Call, Service
from awsim.cfn import Stack
from awsim.gateway import Gateway
from awsim.iam import Iam
from awsim.iam.authorisation import Authorisation
from awsim.iam.need import Facts
from awsim.injections import Injections
from awsim.kernel import Kernel
from awsim.parts import Base
from awsim.rules import Rules
from awsim.services.cloudtrail import CloudTrail
from awsim.services.cloudwatch import CloudWatch, Logs
from awsim.services.ec2 import Ec2
from awsim.services.events import EventBridge
from awsim.services.kms import Kms
from awsim.services.lambda_ import Lambda
from awsim.services.organizations import Organizations
from awsim.services.sns import Sns
from awsim.services.sqs import Sqs
from awsim.services.ssm import Ssm
from awsim.services.sts import Sts

GARBAGE = (20_000, 20, 20)
"""Thresholds for a rarer garbage collection: the models of AWS's services are half a million objects that stay, and
with Python's thresholds scanning them takes a quarter of a scenario's time."""


class World:
    """All parts of one simulator, connected.

    ``seed`` decides everything that AWS leaves open (ids, delays, order of events): the same seed and the same calls
    give the same run. ``start`` is the virtual time at which it begins.
    """

    def __init__(self, seed: int = 0, start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) -> None:
        self.seed = seed
        self.start = start
        self.rules = Rules()
        self.kernel = kernel = Kernel(seed, start, self.rules)
        self.accounts = Accounts(kernel)
        self.injections = Injections(kernel)
        self.iam = Iam(kernel, self.rules)
        base = Base(seed, kernel, kernel.random, self.rules, self.iam, self.accounts, self.injections)
        self.organizations = Organizations(base)
        self.iam.controls = self.organizations.controls_of
        self.sts = Sts(base, self.organizations)
        self.kms = Kms(base)
        self.sqs = Sqs(base)
        self.lambda_ = Lambda(base, kernel, self.sqs)
        self.sqs.watchers.append(self.lambda_.queue_changed)
        self.sns = Sns(base, self.sqs, self.lambda_)
        self.events = EventBridge(base, self.sqs, {"lambda": self.lambda_, "sns": self.sns}, self.organizations)
        self.ec2 = Ec2(base, self.kms, self.events, self.organizations)
        self.ssm = Ssm(base, self.events, self.ec2)
        self.ec2.state.parameters = self.ssm
        self.calls: list[Call] = []
        self.cloudtrail = CloudTrail(base, self.calls, self.events, self.ec2.owner_of)
        self.cloudwatch = CloudWatch(base, self.lambda_.invocations, self.sqs.queues)
        self.stacks: dict[tuple[str, str, str], Stack] = {}
        played: tuple[Service, ...] = (
            self.iam,
            self.sts,
            self.kms,
            self.events,
            self.sqs,
            self.sns,
            self.lambda_,
            self.ec2,
            self.ssm,
            self.cloudtrail,
            self.cloudwatch,
            Logs(self.lambda_.invocations),
            cfn.CloudFormation(self),
            self.organizations,
        )
        """What the simulator plays itself; everything else is moto's."""
        self.tables = tables = moto_backend.Tables()
        facts = Facts(self.rules, self.iam.roles, self.ec2, self.organizations, tables)
        policies = {
            "sqs": self.sqs.resource_policy,
            "sns": self.sns.resource_policy,
            "events": self.events.resource_policy,
            "lambda": self.lambda_.resource_policy,
            "dynamodb": tables.resource_policy,
        }
        self.authorisation = Authorisation(self.iam, facts, policies)
        self.gateway = Gateway(kernel, self.rules, self.accounts, self.authorisation, played, self.calls)
        self.gateway.before.append(self.injections.before)
        self.gateway.after.append(self.cloudtrail.called)
        self.ec2.state.on_key_use.append(self.cloudtrail.used)
        self.gateway.after.append(self.injections.after)
        self._travel = time_machine.travel(start, tick=False)
        self._stack = ExitStack()

    @property
    def now(self) -> datetime:
        """Virtual time, in UTC."""
        return self.kernel.now

    def __enter__(self) -> Self:
        """Take over this process's clock, AWS transport, shared random generator and moto state."""
        with ExitStack() as stack:
            clock = self._travel.start()
            stack.callback(self._travel.stop)
            stack.callback(gc.set_threshold, *gc.get_threshold())
            gc.set_threshold(*GARBAGE)
            stack.callback(random.setstate, random.getstate())
            random.seed(self.seed)  # botocore's waits between its retries
            moto_backend.reset()
            moto_answers.patch()
            stack.enter_context(wire.installed(self.gateway, self.kernel))
            stack.enter_context(self.kernel.installed(clock))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        """Restore these."""
        self._stack.close()

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client with the credentials of an account's root."""
        return wire.client(service, region, self.accounts.root(account).access_key, None)

    def launch(self, account: str, region: str, image: str, by: str = "", **more: Any) -> str:
        """Return why an instance would not run if it were launched now; "" if it would.

        ``image`` may be ``resolve:ssm:NAME``, or "" for that of a LaunchTemplate in ``more``. ``by`` is the name, with
        its path, of a role of the account (``aws-service-role/autoscaling.amazonaws.com/...``), or "" for the account's
        root; ``more`` are parameters of RunInstances. Nothing is launched, and no time passes.
        """
        caller = self.accounts.root(account)
        if by:
            arn = f"arn:aws:iam::{account}:role/{by}"
            if self.iam.roles.get(arn) is None:
                raise LookupError(f"there is no role {arn}")
            caller, *_ = self.accounts.issue(arn, "launch")
        params = {"ImageId": image, "MinCount": 1, "MaxCount": 1, **more}
        call = Call(caller, "ec2", "RunInstances", params, region, self.now, "a-try")
        try:
            self.authorisation.check(call)
            return self.ec2.launch_trouble(call)
        except AwsError as refused:
            return f"{refused.code}: {refused.message}"

    def shares_open(self) -> list[str]:
        """Return every permission on a snapshot, image or key for another account, by grant or policy, from state."""
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
        """Deploy a CloudFormation template (SAM included) and return the stack with its outputs."""
        return cfn.deploy(self, template, account, region, stack, parameters)

    def delete_stack(self, account: str, region: str, stack: str) -> None:
        """Delete a stack. Raises KeyError if there is none, TemplateError."""
        cfn.delete(self, account, region, stack)
