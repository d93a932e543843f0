"""The EC2 of a world: its state, its operations, and what tests and the demo may ask of it directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import botocore.session

from awsim.api import AwsError, Call
from awsim.iam.need import LaunchFacts, ResourceFacts
from awsim.parts import Base, EventBus, KeyService, OrganizationMembers
from awsim.services.ec2 import (
    copies,
    facts,
    image_attributes,
    image_copies,
    image_sharing,
    images,
    instance_types,
    instances,
    launch_templates,
    lifecycle,
    networks,
    recycle_bin,
    references,
    register,
    retirement,
    seeds,
    settings,
    snapshot_sharing,
    snapshots,
    tags,
    volumes,
)
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.state import Boot, Ec2State, Pace

MODULES = (
    volumes,
    snapshots,
    copies,
    snapshot_sharing,
    register,
    images,
    image_copies,
    image_attributes,
    image_sharing,
    retirement,
    recycle_bin,
    instances,
    lifecycle,
    instance_types,
    networks,
    launch_templates,
    references,
    settings,
    tags,
)
OPERATIONS: Mapping[str, Operation] = {name: op for module in MODULES for name, op in module.OPERATIONS.items()}
_OURS = (
    "Image",
    "Snapshot",
    "Volume",
    "Tags",
    "LaunchTemplate",
    "Instance",
    "Subnet",
    "SecurityGroup",
    "ConsoleOutput",
)


class Ec2:
    """EC2's images, snapshots, volumes, tags, instances, subnets and templates, for every account and Region."""

    name = "ec2"

    def __init__(self, base: Base, kms: KeyService, events: EventBus, organizations: OrganizationMembers) -> None:
        self.state = Ec2State(base, kms, events, organizations)
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            name: _not_modelled for name in _all_operations() if any(ours in name for ours in _OURS)
        }
        self._operations.update({name: partial(self._answer, operation) for name, operation in OPERATIONS.items()})

    @property
    def pace(self) -> Pace:
        """How long things take; a test may set it."""
        return self.state.pace

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """Every operation on what the simulator plays of EC2; moto gets none of them."""
        return self._operations

    def _answer(self, operation: Operation, call: Call) -> Mapping[str, Any]:
        operation.check(call)
        return operation.handler(self.state, call)

    @contextmanager
    def stale(self, seconds: float, *operations: str) -> Iterator[None]:
        """Let reads (or only these operations) lag behind for some seconds."""
        state = self.state
        before, lags = state.lag, dict(state.lags)
        if operations:
            state.lags.update(dict.fromkeys(operations, seconds))
        else:
            state.lag = seconds
        try:
            yield
        finally:
            state.lag, state.lags = before, lags

    def seed_image(self, account: str, region: str, *, name: str, volumes: seeds.Volumes = (8,), **rest: Any) -> str:
        """Make an image with its snapshots; see ``seeds.seed_image``. Returns its id."""
        return seeds.seed_image(self.state, account, region, name=name, volumes=volumes, **rest)

    @property
    def boots(self) -> dict[str, Boot]:
        """AMI or account -> how instances of that AMI and its copies, or all of that account, come up."""
        return self.state.boots

    def seed_subnet(self, account: str, region: str, **more: Any) -> str:
        """Make a subnet and return its id; see ``networks.seed_subnet``."""
        return networks.seed_subnet(self.state, account, region, **more)

    def seed_group(self, subnet: str, *, name: str, tags: Mapping[str, str] | None = None) -> str:
        """Make a security group in a subnet's VPC and return its id."""
        return networks.seed_group(self.state, subnet, name=name, tags=tags)

    def launch_trouble(self, call: Call) -> str:
        """Return why the instance of a RunInstances call would not run now; see ``instances.launch_trouble``."""
        return instances.launch_trouble(self.state, call)

    def usable(self, account: str, region: str, image: str) -> bool:
        """Whether an id is that of an image that is available to an account in a Region now."""
        return settings.is_usable(self.state, account, region, image)

    def progress(self) -> list[facts.CopyProgress]:
        """Return every copy, with account, Region, source, percent and state."""
        return facts.progress(self.state)

    def foreign_permissions(self) -> list[facts.ForeignPermission]:
        """Return every permission on a snapshot or image for somebody other than its owner."""
        return facts.foreign_permissions(self.state)

    def shares_open(self) -> list[str]:
        """Return these permissions as lines of text."""
        return [str(permission) for permission in self.foreign_permissions()]

    def tags_of(self, resource_id: str, region: str) -> dict[str, str]:
        """Return the tags on a resource that its owner sees; empty if there is no such resource."""
        found = self.state.resource(resource_id, region)
        return self.state.tags_on(found.owner, resource_id) if found else {}

    def owner_of(self, resource_id: str, region: str) -> str | None:
        """Return the account that owns a resource; None if there is no such resource in the Region."""
        found = self.state.resource(resource_id, region)
        return found.owner if found else None

    def iam_facts(self, resource_id: str, region: str) -> ResourceFacts | None:
        """Return the facts of a resource that policies can test; None if the Region has no such resource."""
        return facts.iam_facts(self.state, resource_id, region)

    def launch_facts(self, call: Call) -> LaunchFacts:
        """Return what a call that launches, or is about a launch template, names."""
        return instances.launch_facts(self.state, call)

    def snapshots_of(self, image: str, region: str) -> tuple[str, ...]:
        """Return the ids of an image's snapshots; none if there is no such image in the Region."""
        found = self.state.images.get(image)
        return found.snapshots if found is not None and found.region == region else ()


@cache
def _all_operations() -> tuple[str, ...]:
    return tuple(botocore.session.get_session().get_service_model("ec2").operation_names)


def _not_modelled(call: Call) -> Mapping[str, Any]:
    why = f"The simulator does not model {call.operation}; it models {', '.join(sorted(OPERATIONS))}."
    raise AwsError("UnsupportedOperation", why)
