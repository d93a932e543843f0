"""Naming: offer the new AMI to the pointer of its family in the target, and wait until the pointer is right.

The notice of the delivery waits for that, but not for long: a pointer that cannot be moved fails no delivery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.common_changes import again
from chalicelib.delivery.model import Delivery, Naming
from chalicelib.delivery.phase import Command, DeliveryEvent
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.images import family
from chalicelib.images.image import SourceImage
from chalicelib.release.current import Release
from chalicelib.release.pointer import READ_BACK, VALID_WITHIN, Pointer
from chalicelib.targets.applied_file import Target

WAIT_FOR = VALID_WITHIN + 5 * schedule.MINUTE
"""For so long the notice waits: AWS may check a value for ten minutes, and one before it may be on its way."""


class OfferImage(Command):
    """Name the AMI as one of its family there, and wake the pointer."""


class LookAtPointer(Command):
    """Read whether the pointer is right."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class ParameterChanged(DeliveryEvent):
    """The applied file has these settings by now, and names the AMI so. ``over``: the parameter that was on record."""

    ssm_parameter: str
    family_tag: str
    naming: Naming
    over: str = ""


class ImageOffered(DeliveryEvent):
    """The pointer has the AMI, and was woken."""


@dataclass(frozen=True, slots=True)
class PointerSeen(DeliveryEvent):
    """The pointer was read. ``done``: the AMI counted, and nothing is left to write."""

    done: bool
    shows: str = ""
    fault: Fault | None = None
    pinned: str = ""


def begun(image: SourceImage, target: Target) -> Naming:
    """Return what names the AMI that a delivery to this target will make."""
    name = family.family_of(image.tags, target.family_tag)
    fault = family.fault(image.tags, target.family_tag, target.where) if target.ssm_parameter else None
    parameter = family.parameter_of(target.ssm_parameter, name)
    return Naming(name, parameter, fault=fault)


def renamed(delivery: Delivery, image: SourceImage, wanted: Target) -> Delivery:
    """Return it with the parameter that the applied file sets for its target now. It remembers those of before."""
    target = replace(delivery.target, ssm_parameter=wanted.ssm_parameter, family_tag=wanted.family_tag)
    now_named = begun(image, target)
    known = dict.fromkeys((*delivery.naming.before, delivery.naming.parameter))
    before = tuple(name for name in known if name not in ("", now_named.parameter))
    return replace(delivery, target=target, naming=replace(now_named, before=before))


def steps(delivery: Delivery) -> tuple[Command, ...]:
    """Return what is left to do for the pointer; nothing: the notice need not wait for it."""
    if delivery.naming.done or not delivery.naming.parameter:
        return ()
    return (LookAtPointer(),) if delivery.naming.offered_at else (OfferImage(),)


def looks(delivery: Delivery) -> tuple[Command, ...]:
    """Return what a wake asks for: the pointer wakes its deliveries when it is right."""
    return (LookAtPointer(),) if delivery.naming.offered_at and not delivery.naming.done else ()


def changed(event: ParameterChanged, delivery: Delivery, now: int) -> Delivery:
    """Let the AMI count for this parameter: the notice waits for that, too.

    If another run has read the file, too, the AMI may have been offered to what that has found: this is on record.
    """
    if event.over != delivery.naming.parameter:
        return delivery
    target = replace(delivery.target, ssm_parameter=event.ssm_parameter, family_tag=event.family_tag)
    return replace(delivery, target=target, naming=event.naming, tries=0, next_try=now)


def offered(_event: ImageOffered, delivery: Delivery, now: int) -> Delivery:
    """Look soon what came of it."""
    return replace(delivery.with_naming(offered_at=now), tries=0, next_try=now + READ_BACK[0])


def seen(event: PointerSeen, delivery: Delivery, now: int) -> Delivery:
    """Wait for a quarter of an hour at the most, then say so in the notice."""
    if not event.done and now < delivery.naming.offered_at + WAIT_FOR:
        return delivery if now < delivery.next_try else again(delivery, now, schedule.step(READ_BACK, delivery.tries))
    fault = event.fault if event.done else event.fault or _late(delivery)
    named = delivery.with_naming(done=True, shows=event.shows, fault=fault, pinned=event.pinned)
    return replace(named, tries=0, next_try=now)


def pointer(delivery: Delivery) -> Pointer:
    """Return the pointer of a delivery's AMI as it begins."""
    target, naming = delivery.target, delivery.naming
    return Pointer(target.account, target.region, naming.parameter, naming.family, delivery.hub)


def pointers(delivery: Delivery) -> list[Pointer]:
    """Return the pointers that may name a delivery's AMI: the present one, and those of before a renaming."""
    begun, names = pointer(delivery), (delivery.naming.parameter, *delivery.naming.before)
    return [replace(begun, parameter=one) for one in names if one]


def release(delivery: Delivery, image: SourceImage) -> Release:
    """Return a delivery's AMI as one of its family."""
    return Release(
        delivery.ami,
        image.creation_date or "",
        delivery.ami if delivery.in_share_mode else delivery.image.id or "",
        image.architecture or "",
        delivery.id,
        delivery.episode,
    )


def _late(delivery: Delivery) -> Fault:
    what = f"The parameter {delivery.naming.parameter} was not brought up to date within a quarter of an hour."
    cure = (
        f"Look at `ami-promoter status {delivery.ami}`, and at the function `worker`: its dead letters and errors. "
        f"Then `ami-promoter retry {delivery.ami} --account {delivery.target.account}`."
    )
    return Fault("pointer-late", delivery.where, what, cure)
