"""Finds a delivery's own resources in a target: only those with the nonce of one of its attempts.

The tags that name hub, promotion and delivery can be predicted, so principals in a target can put them on another
snapshot or AMI. A nonce is random for each attempt, and nobody can know it before the call has created the resource.

======================================  ======================================================================
what a look shows                       what the service does
======================================  ======================================================================
its id is on record                     its own: AWS's answer, or an earlier look, gave the id
the only one with a known nonce         its own: adopted, or deleted as the surplus of an older attempt
two with one nonce                      neither adopted nor deleted; a fault names both
the delivery's tag, none of its nonces  left alone; an AMI with the name is a fault, until an operator accepts it
======================================  ======================================================================

A resource that is more than five minutes older than its attempt does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from chalicelib.core.delivery.events import SeenCopy, ShownImage
from chalicelib.core.delivery.model import Attempt, Delivery
from chalicelib.core.faults import Fault
from chalicelib.core.records import schedule

CLOCKS_DIFFER = 5 * schedule.MINUTE
"""How much older than its intent a resource may appear to be."""


@dataclass(frozen=True, slots=True)
class Copies:
    """The snapshots that have the delivery's tag, sorted by what is known of them."""

    own: tuple[SeenCopy, ...] = ()
    doubled: tuple[SeenCopy, ...] = ()
    """Several snapshots with one nonce: the service does not know which of them is the delivery's."""
    unproven: tuple[SeenCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """Which AMIs have the name that the new AMI must get."""

    own: str | None = None
    """This delivery's AMI, if there is one; a failed one only if there is no other."""
    stranger: str | None = None
    """Another AMI, without the delivery's tag."""
    unproven: str | None = None
    """An AMI that has the delivery's tag but no nonce of its attempts."""
    unfinished: bool = False
    """Whether the delivery's own AMI is not available."""


def copies(delivery: Delivery, seen: Iterable[SeenCopy]) -> Copies:
    """Sort snapshots that have the delivery's tag."""
    known = {copy.copy for copy in delivery.copies if copy.copy} | set(delivery.cleanup.to_delete)
    own, unproven = [], []
    bearers: dict[str, list[SeenCopy]] = defaultdict(list)
    for one in seen:
        attempt = _attempt(delivery, one.nonce, one.started_at)
        if one.copy in known:
            own.append(one)
        elif attempt is None or attempt.source not in ("", one.source):
            unproven.append(one)
        elif attempt.source == "":  # CopyImage gives its nonce to every snapshot that it makes
            own.append(one)
        else:
            bearers[one.nonce].append(one)
    handled = {one.nonce for one in own if one.nonce and not _adopted(delivery, one.copy)}
    doubled = []
    for nonce, found in bearers.items():
        rivals = [*found, *(one for one in own if one.nonce == nonce)]
        if nonce in handled:  # AWS's answer said which is its own
            unproven.extend(found)
        elif len(rivals) == 1:
            own.extend(found)
        else:
            doubled.extend(rivals)
    left = set(doubled)
    return Copies(tuple(one for one in own if one not in left), tuple(doubled), tuple(unproven))


def _adopted(delivery: Delivery, copy: str) -> bool:
    return any(one.copy == copy and one.adopted for one in delivery.copies)


def named(delivery: Delivery, shown: Iterable[ShownImage]) -> Named:
    """Return the AMIs with the new AMI's name. A deregistered AMI shows for a while and keeps its name until then."""
    there = list(shown)
    mine = [one for one in there if one.delivery == delivery.id]
    others = sorted(one.id for one in there if one not in mine)
    proven, unproven = images(delivery, mine)
    best = min((one for one in proven if one.id not in delivery.request.discarded), key=_best, default=None)
    if best is not None:
        return Named(own=best.id, unfinished=best.state != "available")
    return Named(stranger=others[0] if others else None, unproven=unproven[0].id if unproven else None)


def images(delivery: Delivery, shown: Iterable[ShownImage]) -> tuple[tuple[ShownImage, ...], tuple[ShownImage, ...]]:
    """Sort AMIs that have the delivery's tag into its own and the unproven ones; leave out what is deregistered."""
    there = [one for one in shown if one.state != "deregistered"]
    bearers: dict[str, list[str]] = defaultdict(list)
    for one in there:
        bearers[one.nonce].append(one.id)
    known = {delivery.image.id, delivery.accepted, *delivery.request.discarded}

    def own(one: ShownImage) -> bool:
        if one.id in known:
            return True
        attempt = _attempt(delivery, one.nonce, one.created_at)
        return attempt is not None and attempt.source == "" and len(bearers[one.nonce]) == 1

    return tuple(one for one in there if own(one)), tuple(one for one in there if not own(one))


def _attempt(delivery: Delivery, nonce: str, made_at: int) -> Attempt | None:
    """Return the attempt that can have created a resource, by its nonce and its age."""
    found = next((one for one in delivery.attempts if one.nonce == nonce), None)
    return found if found is not None and made_at >= found.at - CLOCKS_DIFFER else None


def _best(one: ShownImage) -> tuple[bool, bool, str]:
    """Order the delivery's AMIs: available ones first, then those being made, then failed ones."""
    return one.state != "available", one.state != "pending", one.id


@dataclass(frozen=True, slots=True)
class Removal:
    """What to remove in the target for a delivery, and what has its tag and stays."""

    images: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    showing: tuple[str, ...] = field(default=())
    """Those that the list showed: a known id is removed even if a stale list does not show it."""
    unfinished: tuple[str, ...] = ()
    """Copies that still run."""
    unproven: tuple[str, ...] = ()


def removal(delivery: Delivery, shown: Sequence[ShownImage], seen: Sequence[SeenCopy]) -> Removal:
    """Return what to remove, without an AMI that an operator has accepted, because the target uses it."""
    there, strange = images(delivery, shown)
    made = [one.id for one in there if one.id != delivery.accepted]
    found = copies(delivery, seen)
    ids = {delivery.image.id} - {None, delivery.accepted}
    known = {copy.copy for copy in delivery.copies if copy.copy}
    kept = [one.id for one in strange] + [one.copy for one in (*found.doubled, *found.unproven)]
    return Removal(
        images=tuple(sorted({*made, *(str(one) for one in ids)})),
        copies=tuple(sorted({*(one.copy for one in found.own), *(str(one) for one in known)} - set(kept))),
        showing=(*made, *(one.copy for one in found.own)),
        unfinished=tuple(one.copy for one in found.own if one.state == "pending"),
        unproven=tuple(kept),
    )


def doubled_fault(where: str, bearers: Collection[SeenCopy]) -> Fault:
    """The fault of several snapshots with one nonce."""
    ids = ", ".join(sorted(one.copy for one in bearers))
    return Fault(
        "attempt-doubled",
        where,
        f"The snapshots {ids} have the same ami-promoter:attempt tag, and only one of them can be this delivery's "
        "copy. Somebody in that account has copied the tag. The service has used and deleted none of them.",
        "Find out from that account's CloudTrail (CreateSnapshot, CopySnapshot, CreateTags) who made the other one, "
        "and delete both; then tag the AMI again.",
    )


def unproven_fault(where: str, image: str, name: str, ami: str, account: str) -> Fault:
    """The fault of an AMI that has the name and the delivery's tags but no recorded nonce."""
    return Fault(
        "image-unproven",
        where,
        f"The AMI {image} has the name {name!r} and this delivery's tags, but no ami-promoter:attempt tag of an "
        "attempt on record. Most likely it was made before the table was restored or the hub was set up again; it may "
        "also have been planted by somebody in that account.",
        f"Compare {image} and its snapshots with {ami}. If they are the same, accept it: `ami-promoter retry {ami} "
        f"--account {account} --accept {image}`. Otherwise deregister it there (aws ec2 deregister-image --image-id "
        f"{image}) and tag the AMI again.",
    )
