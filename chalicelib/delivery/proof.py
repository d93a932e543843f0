"""Finds a delivery's own resources in a target: by the ids on its record, and by the nonces of its attempts.

The tags that name hub, promotion and delivery can be predicted, so principals in a target can put them on another
snapshot or AMI. A nonce is random for each attempt, and nobody can know it before the call has created the resource.
From then on it can be read there, and written on another resource. So it is proof only until AWS's answer, or a look,
has shown the id of what the attempt made; then that id is proof.

======================================  ======================================================================
what a look shows                       what the service does
======================================  ======================================================================
its id is on record                     its own: AWS's answer, or an earlier look, gave the id
so, but an episode has left it          its own, and never removed: it may be in use
the only one with an open nonce         its own: adopted, or deleted if an older attempt made it
two with one open nonce                 neither adopted nor deleted; a fault names both
some with the nonce of CopyImage's AMI  its own, until the AMI is available and names its snapshots
a nonce whose resource is another       left alone, as if it had none
the delivery's tag, none of its nonces  left alone; an AMI with the name is a fault, until an operator accepts it
======================================  ======================================================================

A nonce is open until that id is on record; that of an adopted snapshot stays open, as another may show late. What is
more than five minutes older than the attempt does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from chalicelib.delivery.model import Attempt, CopyState, Delivery
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault

UNKNOWN = "?"
"""The source of a snapshot of CopyImage's AMI, until that is available: its tags prove nothing."""

CLOCKS_DIFFER = 5 * schedule.MINUTE
"""How much older than its intent a resource may appear to be."""


@dataclass(frozen=True, slots=True, repr=False)
class SeenCopy:
    """One copy as the target's EC2 shows it now. ``state`` is EC2's word."""

    id: str
    source: str
    state: str
    progress: int = 0
    message: str = ""
    started_at: int = 0
    key_arn: str = ""
    nonce: str = ""
    """The ``ami-promoter:attempt`` tag that it has."""

    def __repr__(self) -> str:
        """Say it shortly, for history."""
        return f"{self.id} of {self.source}: {self.state} {self.message or f'{self.progress} %'}"


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One AMI as the target's EC2 shows it now, found by name or by the delivery's tag. ``state`` is EC2's word."""

    id: str
    state: str
    delivery: str = ""
    """The ``ami-promoter:delivery`` tag that it has."""
    nonce: str = ""
    """The ``ami-promoter:attempt`` tag that it has."""
    created_at: int = 0


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
    nonce: str = ""
    """The nonce that this AMI has."""
    other: str | None = None
    """Another AMI, without the delivery's tag."""
    unproven: str | None = None
    """An AMI that has the delivery's tag but no proof."""
    unfinished: bool = False
    """Whether the delivery's own AMI is not available."""


def copies(delivery: Delivery, seen: Iterable[SeenCopy]) -> Copies:
    """Sort snapshots that have the delivery's tag: by their ids, else by the nonces that they have."""
    known = {copy.id for copy in delivery.copies if copy.id} | set(delivery.cleanup.to_delete)
    made = {one.id: one for one in delivery.attempts}
    adopted = {copy.id for copy in delivery.copies if copy.adopted}
    own, unproven = [], []
    bearers: dict[str, list[SeenCopy]] = defaultdict(list)
    for one in seen:
        attempt = _attempt(delivery, one.nonce, one.started_at)
        if one.id in made:  # somebody there may have changed the tag that names its source
            own.append(replace(one, source=made[one.id].source))
        elif one.id in known:
            own.append(one)
        elif attempt is None:
            unproven.append(one)
        elif attempt.source == "":  # CopyImage's: the tags do not say which snapshot is of which source
            (own if _shares_its_nonce(delivery, attempt) else unproven).append(replace(one, source=UNKNOWN))
        elif attempt.source != one.source or (attempt.id and attempt.id not in adopted):  # somebody there changed a tag
            unproven.append(one)
        else:
            bearers[one.nonce].append(one)
    doubled: list[SeenCopy] = []
    not_open = {one.nonce for one in own if one.id not in adopted}  # known by the id of the attempt, or of the copy
    for nonce, found in bearers.items():
        rivals = [*found, *(one for one in own if one.nonce == nonce)]
        if nonce in not_open:
            unproven.extend(found)
        elif len(rivals) == 1:
            own.extend(rivals)
        else:
            doubled.extend(rivals)
    return Copies(tuple(one for one in own if one not in doubled), tuple(doubled), tuple(unproven))


def running(delivery: Delivery) -> frozenset[str]:
    """Return the ids by which to look at running copies; none if it may have others than those on record.

    Also of those of its snapshots that could not be deleted: each look is a reason to try again.
    """
    runs = any(copy.state is CopyState.PENDING for copy in delivery.copies)
    known = all(copy.id and not copy.adopted for copy in delivery.copies) and all(one.id for one in delivery.attempts)
    left = {one.id for one in delivery.attempts if one.source} & {*delivery.cleanup.leftovers}
    return frozenset({*left, *(copy.id for copy in delivery.copies if copy.id)} if runs and known else ())


def _shares_its_nonce(delivery: Delivery, attempt: Attempt) -> bool:
    """Whether every snapshot with the nonce of an image's attempt is the delivery's own, as CopyImage gives it to all.

    Only in the attempt's episode, and until the AMI has shown which snapshots it has.
    """
    shown = any(one.nonce == attempt.nonce and one.source not in ("", UNKNOWN) for one in delivery.attempts)
    return delivery.method == "image" and attempt.at >= delivery.created_at and not shown


def in_doubt(delivery: Delivery, doubled: Iterable[SeenCopy]) -> tuple[SeenCopy, ...]:
    """Return the doubled snapshots of which the delivery would use one. Those of an older attempt are left alone."""
    unsure = [copy.source for copy in delivery.copies if copy.state is CopyState.INTENDED or copy.adopted]
    nonces = {one.nonce for one in map(delivery.attempt, unsure) if one is not None}
    used = {copy.id for copy in delivery.copies if copy.adopted}
    nonces |= {one.nonce for one in doubled if one.id in used}
    return tuple(one for one in doubled if one.nonce in nonces)


def known_copies(delivery: Delivery) -> frozenset[str]:
    """Return the ids of its copies that are on record."""
    attempts = {one.id for one in delivery.attempts if one.source and one.id}
    return frozenset(attempts | {copy.id for copy in delivery.copies if copy.id})


def open_nonces(delivery: Delivery) -> frozenset[str]:
    """Return the nonces of its attempts at a copy whose id is not on record."""
    return frozenset(one.nonce for one in delivery.attempts if one.source and not one.id)


def named(delivery: Delivery, shown: Iterable[ShownImage]) -> Named:
    """Return the AMIs with the new AMI's name.

    A deregistered AMI shows for a while, and keeps its name for minutes: nobody has to be asked for it.
    """
    there = [one for one in shown if one.state != "deregistered"]
    mine = [one for one in there if one.delivery == delivery.id]
    others = sorted(one.id for one in there if one not in mine)
    proven, unproven = images(delivery, mine)
    left = (one for one in proven if one.id not in delivery.request.discarded)
    # available ones first, then those being made, then failed ones
    best = min(left, key=lambda one: (one.state != "available", one.state != "pending", one.id), default=None)
    if best is not None:
        return Named(own=best.id, nonce=best.nonce, unfinished=best.state != "available")
    return Named(other=others[0] if others else None, unproven=unproven[0].id if unproven else None)


def is_there(image: str, shown: Iterable[ShownImage]) -> bool:
    """Whether a look shows an AMI that is not deregistered, whatever tags somebody there has given it."""
    return any(one.id == image and one.state != "deregistered" for one in shown)


def images(delivery: Delivery, shown: Iterable[ShownImage]) -> tuple[tuple[ShownImage, ...], tuple[ShownImage, ...]]:
    """Sort AMIs that have the delivery's tag into its own and the unproven ones; leave out what is deregistered."""
    there = [one for one in shown if one.state != "deregistered"]
    bearers: dict[str, list[str]] = defaultdict(list)
    for one in there:
        bearers[one.nonce].append(one.id)
    made = {one.id for one in delivery.attempts}
    known = {delivery.image.id, delivery.accepted, *delivery.request.discarded} | made

    def own(one: ShownImage) -> bool:
        if one.id in known:
            return True
        attempt = _attempt(delivery, one.nonce, one.created_at)
        open_ = attempt is not None and not attempt.source and not attempt.id
        return open_ and len(bearers[one.nonce]) == 1

    return tuple(one for one in there if own(one)), tuple(one for one in there if not own(one))


def _attempt(delivery: Delivery, nonce: str, made_at: int) -> Attempt | None:
    """Return the attempt that can have created a resource, by its nonce and its age."""
    found = next((one for one in delivery.attempts if one.nonce == nonce), None)
    return found if found is not None and made_at >= found.at - CLOCKS_DIFFER else None


@dataclass(frozen=True, slots=True)
class Removal:
    """What to remove in the target for a delivery, and what has its tag and stays."""

    images: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    showing: tuple[str, ...] = ()
    """Those that the list showed: a known id is removed even if a stale list does not show it."""
    unfinished: tuple[str, ...] = ()
    """Copies that still run."""
    unproven: tuple[str, ...] = ()
    learnt: tuple[Attempt, ...] = ()
    """Attempts whose resource was found by its nonce: with the id, so that nothing else can pass for it later."""


def removal(
    delivery: Delivery, shown: Sequence[ShownImage], seen: Sequence[SeenCopy], ids: Collection[str] | None = None
) -> Removal:
    """Return what to remove, without what the target may use: an AMI that an operator has accepted, and what was left.

    A copy whose deletion EC2 has accepted is removed again only if it has ended and still shows. ``ids``: only these
    copies were looked at.
    """
    there, strange = images(delivery, shown)
    found = copies(delivery, seen)
    left = {one.id for one in delivery.attempts if one.stays}
    in_use = {*left, delivery.accepted, ""}
    images_there = [one.id for one in there if one.id not in in_use]
    copies_there = [one for one in found.own if one.id not in in_use]
    its_image = {delivery.image.id or ""} - in_use
    its_copies = {copy.id or "" for copy in delivery.copies} - {*in_use, *delivery.cleanup.deleted}
    unproven = [one.id for one in strange] + [one.id for one in (*found.doubled, *found.unproven)]
    left_there = sorted(left & {*(one.id for one in there), *(one.id for one in found.own)})
    goes = {*(one.id for one in copies_there if _goes(delivery, one)), *its_copies}
    return Removal(
        images=tuple(sorted({*images_there, *its_image})),
        copies=tuple(sorted((goes if ids is None else goes & {*ids}) - {*unproven})),
        showing=(*images_there, *(one.id for one in copies_there)),
        unfinished=tuple(one.id for one in copies_there if one.state == "pending"),
        unproven=(*unproven, *left_there),
        learnt=learnt(delivery, found.own, there),
    )


def to_delete(delivery: Delivery) -> frozenset[str]:
    """Return the ids of its copies that can be deleted without a list, and whose deletion EC2 has not accepted yet.

    Of one that was adopted by its nonce only a list shows whether another has that nonce.
    """
    stays = {one.id for one in delivery.attempts if one.stays} | {one.id for one in delivery.copies if one.adopted}
    return known_copies(delivery) - stays - {*delivery.cleanup.deleted}


def all_known(delivery: Delivery) -> bool:
    """Whether a list can show no other copy that runs than those on record."""
    adopted = any(copy.adopted for copy in delivery.copies)
    return delivery.method == "snapshots" and not adopted and all(one.id for one in delivery.attempts if one.source)


def _goes(delivery: Delivery, copy: SeenCopy) -> bool:
    """Whether its deletion must be asked for, again if it has ended and shows all the same."""
    return copy.state != "pending" or copy.id not in delivery.cleanup.deleted


def begin(delivery: Delivery, nonce: str, source: str, now: int) -> Delivery:
    """Return it with a new attempt; ``source`` is "" for the image."""
    return replace(delivery, attempts=(*delivery.attempts, Attempt(nonce, source, now, episode=delivery.episode)))


def forget(delivery: Delivery, nonce: str) -> Delivery:
    """Drop an attempt: AWS has refused it, so nothing has its nonce."""
    return replace(delivery, attempts=tuple(one for one in delivery.attempts if one.nonce != nonce))


def with_answer(delivery: Delivery, nonce: str, source: str, made: str) -> Delivery:
    """Return it with the id that AWS's answer gives an attempt. It counts, whatever was found by the nonce before."""
    return with_attempts(
        delivery, [replace(one, id=made) for one in delivery.attempts if (one.nonce, one.source) == (nonce, source)]
    )


def learnt(delivery: Delivery, seen: Iterable[SeenCopy], shown: Iterable[ShownImage] = ()) -> tuple[Attempt, ...]:
    """Return the attempts whose resource a look has found, with its id. ``seen``, ``shown``: the delivery's own."""
    known = {one.id for one in delivery.attempts}
    new = [(one.nonce, one.source, one.id) for one in seen] + [(one.nonce, "", one.id) for one in shown]
    candidates = {(one.nonce, one.source): one for one in delivery.attempts if not one.id}
    # An attempt to make the image may be CopyImage, which makes snapshots with its nonce, too.
    candidates |= {(one.nonce, UNKNOWN): replace(one, source=UNKNOWN) for one in delivery.attempts if not one.source}
    found = [(candidates.get((nonce, source)), made) for nonce, source, made in new if made not in known]
    return tuple(replace(attempt, id=made) for attempt, made in found if attempt is not None)


def with_attempts(delivery: Delivery, some: Iterable[Attempt]) -> Delivery:
    """Return it with these attempts as they are now known. Those of ``UNKNOWN`` are added: CopyImage makes several."""
    some, there = list(some), {one.id for one in delivery.attempts}
    known = {(one.nonce, one.source): one for one in some if one.source != UNKNOWN}
    more = (one for one in some if one.source == UNKNOWN and one.id not in there)
    return replace(delivery, attempts=(*(known.get((one.nonce, one.source), one) for one in delivery.attempts), *more))


def with_snapshots(delivery: Delivery, made: Iterable[tuple[str, str]]) -> Delivery:
    """Return it with the snapshots of CopyImage's AMI, as (source, copy): each is proven by its own id from now on."""
    image = next((one for one in delivery.attempts if one.id == delivery.image.id), None)
    there = {one.id for one in delivery.attempts}
    if image is None:
        return delivery
    parts = (replace(image, source=source, id=copy) for source, copy in made if copy not in there)
    return replace(delivery, attempts=(*delivery.attempts, *parts))


def left_there(delivery: Delivery) -> Delivery:
    """Return it with its AMI, and all else that the AMI's episode made, marked so that no later episode removes it."""
    episodes = {one.episode for one in delivery.attempts if one.id == delivery.image.id}
    stays = {one.id for one in delivery.attempts if one.id and one.episode in episodes}
    return replace(
        delivery, attempts=tuple(replace(one, stays=True) if one.id in stays else one for one in delivery.attempts)
    )


def carried(before: Delivery, now: int) -> tuple[Attempt, ...]:
    """Return the attempts that the next episode of an ended delivery still knows (invariant 4).

    An episode's attempts go once a cleaning-up has found nothing, its own or a later one, a day after the last of them.
    What shows even later has no known nonce: the service leaves it alone and reports it.
    """
    if not before.cleanup.clear:
        return before.attempts
    last: dict[int, int] = {}
    for one in before.attempts:
        last[one.episode] = max(one.at, last.get(one.episode, 0))
    return tuple(one for one in before.attempts if now < last[one.episode] + schedule.NONCES_KEPT)


def doubled_fault(where: str, bearers: Collection[str]) -> Fault:
    """Return the fault of several snapshots with one nonce."""
    ids = ", ".join(sorted(bearers))
    return Fault(
        "attempt-doubled",
        where,
        f"The snapshots {ids} have the same ami-promoter:attempt tag, and only one of them can be this delivery's "
        "copy. Somebody in that account has copied the tag. The service has used and deleted none of them.",
        "Find out from that account's CloudTrail (CreateSnapshot, CopySnapshot, CreateTags) who made the other one, "
        "and delete both; then tag the AMI again.",
    )


def unproven_faults(delivery: Delivery, found: Named) -> tuple[Fault, ...]:
    """Return the fault of an AMI that has the name and the delivery's tags but no recorded nonce, if one was found."""
    image = found.unproven
    if image is None:
        return ()
    what = (
        f"The AMI {image} has the name {delivery.image_name!r} and this delivery's tags, but no ami-promoter:attempt "
        "tag of an attempt on record. Most likely it was made before the table was restored or the hub was set up "
        "again; it may also have been planted by somebody in that account."
    )
    cure = (
        f"Compare {image} and its snapshots with {delivery.ami}. If they are the same, accept it: `ami-promoter retry "
        f"{delivery.ami} --account {delivery.target.place} --accept {image}`. Otherwise deregister it there (aws ec2 "
        f"deregister-image --image-id {image}) and tag the AMI again."
    )
    return (Fault("image-unproven", delivery.where, what, cure),)
