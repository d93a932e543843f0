"""The EC2 of a world: its state, its operations, and what tests and the demo may ask of it directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import botocore.session

from sandbox.api import AwsError, Call
from sandbox.rules import Rule, rule
from sandbox.services.ec2 import (
    copies,
    facts,
    image_attributes,
    image_copies,
    image_sharing,
    images,
    instances,
    register,
    retirement,
    seeds,
    snapshot_sharing,
    snapshots,
    tags,
    volumes,
)
from sandbox.services.ec2.operation import Operation
from sandbox.services.ec2.state import State

if TYPE_CHECKING:
    from sandbox.world import World

STALE = rule(
    "ec2-reads-may-be-stale",
    "EC2 reads are eventually consistent: a Describe may show what was a while ago [aws-facts 1c, VERIFIED]",
)
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
    instances,
    tags,
)
OPERATIONS: Mapping[str, Operation] = {name: op for module in MODULES for name, op in module.OPERATIONS.items()}
_OURS = ("Image", "Snapshot", "Volume", "Tags")


@dataclass(slots=True)
class Pace:
    """How long things take, in seconds of virtual time; AWS promises none of it, so tests may set it."""

    copy: float = 90
    copy_per_gib: float = 20
    copy_spread: float = 0.4
    """By how much the longest copy of a size differs from the shortest, as a share of the middle one."""
    copy_refused: float = 12
    """From the call to state ``error``, if a key or the source cannot be used."""
    snapshot: float = 60
    register: float = 4
    launch: float = 15
    """From RunInstances until the instance runs, or is terminated for want of a key."""
    token: float = 86_400
    """How long CopyImage remembers a client token."""
    name_freed: float = 60
    """From DeregisterImage until the name can be used again and the image is no longer shown."""


class Ec2:
    """EC2's images, snapshots, volumes, tags and launches, for every account and Region of a world.

    ``lag`` (seconds) makes every Describe show the state of so long ago; ``lags`` does so for single operations; both
    add to what ``world.faults.stale_reads`` asks for.
    ``closed_accounts`` are accounts that AWS no longer takes in a permission. ``deaf_removals`` is how many of the next
    removals of a snapshot permission answer success and remove nothing.
    """

    name = "ec2"

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = State(lambda: self.now, world.seed)
        self.pace = Pace()
        self.lag: float = 0
        self.lags: dict[str, float] = {}
        self.closed_accounts: set[str] = set()
        self.deaf_removals = 0
        self.copy_tokens: dict[tuple[str, str, str], image_copies.Remembered] = {}
        """(account, Region, client token) -> what CopyImage made for it."""
        self.encrypted_by_default: dict[tuple[str, str], str] = {}
        """(account, Region) -> the default EBS key, where EBS encryption is on by default."""
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            name: _not_modelled for name in _all_operations() if any(ours in name for ours in _OURS)
        }
        self._operations.update({name: partial(self._answer, operation) for name, operation in OPERATIONS.items()})

    @property
    def now(self) -> datetime:
        """Virtual time."""
        return self.world.kernel.now

    def on(self, rule_: Rule) -> bool:
        """Whether a rule is enforced now."""
        return self.world.rules.on(rule_)

    def after(self, seconds: float, what: Callable[[], object], label: str) -> None:
        """Do something later, in virtual time."""
        self.world.kernel.after(seconds, what, label)

    def operations(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """Every operation on images, snapshots, volumes and tags; those not modelled are refused, not left to moto."""
        return self._operations

    def _answer(self, operation: Operation, call: Call) -> Mapping[str, Any]:
        operation.check(call)
        return operation.handler(self, call)

    def moment(self, call: Call) -> datetime:
        """Return the time whose state this read shows. To be asked once per call: a fault may be for one call only."""
        as_of = self.world.faults.as_of(call) - timedelta(seconds=self.lags.get(call.operation, self.lag))
        return as_of if self.on(STALE) else self.now

    @contextmanager
    def stale(self, seconds: float, *operations: str) -> Iterator[None]:
        """Let reads (of these operations only, if any are named) lag behind for a while."""
        before, lags = self.lag, dict(self.lags)
        if operations:
            self.lags.update(dict.fromkeys(operations, seconds))
        else:
            self.lag = seconds
        try:
            yield
        finally:
            self.lag, self.lags = before, lags

    def seed_image(self, account: str, region: str, *, name: str, volumes: seeds.Volumes = (8,), **rest: Any) -> str:
        """Make an image with its snapshots, as if built long ago; see ``seeds.seed_image``. Returns its id."""
        return seeds.seed_image(self, account, region, name=name, volumes=volumes, **rest)

    def launch(self, account: str, region: str, image: str, by: str = "", **more: Any) -> str:
        """Say why a launch by a role (or the account's root) would not run now; see ``instances.launch``."""
        return instances.launch(self, account, region, image, by, **more)

    def progress(self) -> list[facts.CopyProgress]:
        """Every copy that there is, with account, Region, source, percent and state, for the demo to show."""
        return facts.progress(self)

    def foreign_permissions(self) -> list[facts.ForeignPermission]:
        """Every permission on a snapshot or image that is not its owner's, read from state."""
        return facts.foreign_permissions(self)

    def shares_open(self) -> list[str]:
        """Return the same, one line each."""
        return [str(permission) for permission in self.foreign_permissions()]

    def tags_of(self, resource_id: str, region: str, account: str | None = None) -> dict[str, str]:
        """Return the tags on a resource, as its owner (or another account) sees them; empty if there is none."""
        found = self.state.resource(resource_id, region)
        return self.state.tags_on(account or found.owner, resource_id) if found else {}

    def owner_of(self, resource_id: str, region: str) -> str | None:
        """Return the account that owns a resource; None if there is no such resource in the Region."""
        found = self.state.resource(resource_id, region)
        return found.owner if found else None

    def iam_facts(self, resource_id: str, region: str) -> facts.IamFacts | None:
        """Return what policies may ask about a resource; None if there is no such resource in the Region."""
        return facts.iam_facts(self, resource_id, region)


@cache
def _all_operations() -> tuple[str, ...]:
    return tuple(botocore.session.get_session().get_service_model("ec2").operation_names)


def _not_modelled(call: Call) -> Mapping[str, Any]:
    why = f"The sandbox does not model {call.operation}; it models {', '.join(sorted(OPERATIONS))}."
    raise AwsError("UnsupportedOperation", why)
