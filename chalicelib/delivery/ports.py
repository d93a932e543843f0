"""What a delivery needs: its target, and items beside its record that other workers write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.instances import InstanceSeen, LaunchSite, SeenInstance
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.proof import SeenCopy, ShownImage
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget
from chalicelib.engine.faults import Fault
from chalicelib.images.image import SourceImage, SourceSnapshot
from chalicelib.images.keys import KeyFacts


@dataclass(frozen=True, slots=True)
class SeenImage:
    """The new AMI as DescribeImages (``raw``; None: not shown) and DescribeImageAttribute show it."""

    raw: Mapping[str, Any] | None
    attributes: Mapping[str, Mapping[str, Any]]


class TargetSnapshots(Protocol):
    """Snapshots in one target, in a session limited to one delivery. Every method may raise Refusal."""

    def role(self, delivery: Delivery) -> str:
        """Return the name of the copy role, as the applied file has it now."""

    def find(self, delivery: Delivery, *, budget: Budget, ids: Collection[str] = ()) -> tuple[SeenCopy, ...]:
        """List every snapshot in the target that has the delivery's tag; a Refusal if there is no time for all pages.

        ``ids``: those that it has of these instead, by one call however many others there are.
        """

    def copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        """CopySnapshot, tagged at creation; returns the copy's id. Never retried by the SDK."""

    def tag(self, delivery: Delivery, image: SourceImage) -> None:
        """Give the snapshots that CopyImage made (the delivery's copies) the tags of their sources."""

    def delete(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        """Delete these; a missing one is not an error."""


class TargetImages(Protocol):
    """AMIs in one target, in a session limited to one delivery. Every method may raise Refusal."""

    def named(self, delivery: Delivery, budget: Budget) -> tuple[ShownImage, ...]:
        """List the AMIs with the delivery's AMI name there, also disabled or deregistered ones that still show."""

    def of_delivery(self, delivery: Delivery, budget: Budget) -> tuple[ShownImage, ...]:
        """List the AMIs in the target that have the delivery's tag, with any name."""

    def see(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        """Read the new AMI with its attributes."""

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        """RegisterImage, tagged at creation; returns the AMI's id. Never retried by the SDK."""

    def copy(self, delivery: Delivery, image: SourceImage) -> str:
        """CopyImage, tagged at creation; returns the AMI's id. Repeating an attempt sends the same client token."""

    def deprecate(self, delivery: Delivery, at: str) -> None:
        """EnableImageDeprecation (``at``: ISO 8601)."""

    def shown(self, delivery: Delivery) -> Mapping[str, Any] | None:
        """Describe the delivery's AMI, also a disabled one; None: EC2 does not show it."""

    def recall(self, delivery: Delivery, at: str, *, disable: bool) -> None:
        """EnableImageDeprecation (``at``: ISO 8601; "": not), and DisableImage; safe to repeat, and without the AMI."""

    def restore(self, delivery: Delivery) -> None:
        """EnableImage if the recall disabled it; then the deprecation date that it had, or none; see ``recall``."""

    def protect(self, delivery: Delivery) -> None:
        """EnableImageDeregistrationProtection, without a cooldown. Done again it changes nothing."""

    def deregister(self, delivery: Delivery, image: str) -> None:
        """Deregister this AMI; a missing one is not an error."""


class TargetInstances(Protocol):
    """The instances of launch tests in one target, as its launch role. Every method may raise Refusal."""

    def place(self, delivery: Delivery) -> LaunchSite:
        """Read where an instance would run, and what its type can run."""

    def run(self, delivery: Delivery, image: SourceImage) -> str:
        """RunInstances with the attempt's nonce as its client token; returns the instance's id."""

    def see(self, delivery: Delivery, instance: str) -> InstanceSeen:
        """Read an instance's state and status checks."""

    def console(self, delivery: Delivery, instance: str) -> str:
        """Return the end of an instance's console output, escaped; "" if EC2 has none."""

    def started(self, delivery: Delivery) -> tuple[SeenInstance, ...]:
        """List the instances that its attempts have started, by their client tokens."""

    def terminate(self, delivery: Delivery, instance: str) -> None:
        """Terminate it; if it is missing, that is not an error."""


class TargetKeys(Protocol):
    """KMS keys that a delivery needs. Every method may raise Refusal."""

    def describe(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return the facts of the target's key; or None and AWS's message if it refuses."""

    def source_keys(self, delivery: Delivery) -> Mapping[str, str]:
        """Describe the source's keys with the copy role, if the hub opens none (``key_access: none``).

        Returns for each key's ARN AWS's message of refusal, or "" if the role may describe the key.
        """

    def policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """Read the policies of source keys in the hub; returns for each ARN the text, or why it cannot be read."""


class TargetRoles(Protocol):
    """Roles in one target. May raise Refusal."""

    def in_file(self, delivery: Delivery) -> bool:
        """Whether the applied file still contains the account."""

    def missing(self, delivery: Delivery) -> Sequence[str]:
        """Return which service-linked roles ("SERVICE/NAME") and which grant role ("NAME") are missing there."""

    def allows(self, delivery: Delivery) -> Sequence[str] | None:
        """Return the actions that the copy role's own policy allows; None where that cannot be read."""


class SlotLeases(Protocol):
    """The leases of a copy quota: how many slots deliveries ask for, and have."""

    def ask(self, quota: RecordKey, request: SlotLease) -> SlotLease:
        """Write what a delivery wants and has done in its episode, renew its lease, and return the lease.

        Granted slots stay granted. A delivery without a lease in this episode gets the request's ``granted``, which is
        its running copies. A request that wants nothing more deletes the lease; one of an older episode changes
        nothing; both are returned as they are.
        """

    def leases(self, quota: RecordKey) -> Sequence[SlotLease]:
        """Read the leases of a quota."""

    def lease(self, quota: RecordKey, delivery: str) -> SlotLease | None:
        """Read a delivery's lease; None: it has none."""

    def grant(self, quota: RecordKey, lease: SlotLease) -> None:
        """Write ``granted`` and ``until``, if the lease's episode is the same and it has not been granted more."""

    def drop(self, quota: RecordKey, lease: SlotLease) -> None:
        """Delete a lease, unless its delivery has asked since it was read."""


class TrackedDeliveries(Protocol):
    """A promotion's tracked deliveries."""

    def add(self, ami: str, tracked: TrackedDelivery, *, count: bool = True) -> bool:
        """Write it, if it is absent or of an older episode. False: there was one.

        ``count``: also count it as running; else the caller counts several with ``count``.
        """

    def count(self, ami: str, more: int) -> int:
        """Count so many more deliveries as running, which ``add`` has written; returns how many run then."""

    def end(self, ami: str, tracked: TrackedDelivery) -> bool:
        """Write that a delivery has ended or is shared; True if it may be the last one running.

        A shared delivery is written again when it is withdrawn, a delivered one when it is recalled; and over an older
        episode, if ``take_back`` came in between. What ``add`` wrote of its generation and its parameter stays.
        """

    def rename(self, ami: str, delivery: str, ssm_parameter: str) -> None:
        """Write by which setting its AMI is named from now on."""

    def take_back(self, ami: str, tracked: TrackedDelivery, before: TrackedDelivery) -> None:
        """Write ``before``, of an older episode, if ``tracked`` has not changed: ``add`` announced it in vain."""

    def all(self, ami: str) -> Sequence[TrackedDelivery]:
        """Read them all."""
