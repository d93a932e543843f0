"""The calls that create something in a target: their answers, early, late or missing, and the lists that find it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery import leftovers, proof
from chalicelib.delivery.common_changes import each_copy
from chalicelib.delivery.model import Attempt, Copy, CopyState, Delivery
from chalicelib.delivery.phase import Command, DeliveryEvent, Refused
from chalicelib.delivery.proof import SeenCopy
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault


class RegisterImage(Command):
    """RegisterImage, or CopyImage. Its intent is written first."""

    makes = True

    def intend(self, delivery: Delivery, nonce: str, now: int) -> Delivery:
        """Begin an attempt. CopyImage of the same AMI again keeps its nonce, which is its client token."""
        fresh = delivery.with_request(intended_at=now)
        if not delivery.copies_image:
            return proof.begin(fresh, nonce, "", now)
        fresh = fresh.with_request(copy_image_intended_at=now)
        return fresh if self.attempt(delivery) else proof.begin(fresh, nonce, "", now)

    def attempt(self, delivery: Delivery) -> Attempt | None:
        """Return the call of this episode that may have made the AMI, or with its token may make it yet."""
        last = delivery.under_way()
        return None if last is not None and last.id in delivery.request.discarded else last

    def intended_call(self, delivery: Delivery) -> str:
        """Name the call."""
        return "CopyImage" if delivery.copies_image else "RegisterImage"


class FindCopies(Command):
    """List copies by tag, for intents without a known result; if it has the ids of all, look at those."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class CopyStarted(DeliveryEvent):
    """CopySnapshot answered the attempt with this nonce."""

    source: str
    copy: str
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class CopiesFound(DeliveryEvent):
    """The snapshots in the target with this delivery's tag were listed.

    ``role``: the name of the copy role now; "": it was not read, as no copy is to be started. ``by_ids``: only those
    that are on record were looked at.
    """

    copies: tuple[SeenCopy, ...]
    role: str = ""
    by_ids: bool = False


@dataclass(frozen=True, slots=True)
class ImageRegistered(DeliveryEvent):
    """RegisterImage or CopyImage answered the attempt with this nonce, or the AMI was found by it."""

    image: str
    nonce: str = ""


def answered_late(event: CopyStarted, delivery: Delivery) -> tuple[Delivery, tuple[Fault, ...]]:
    """Return the delivery after an answer of CopySnapshot that it no longer waits for, and a fault if that shows one.

    That is if the answer names another snapshot than was adopted by the nonce: the adopted one is somebody else's.
    """
    known = next((copy for copy in delivery.copies if copy.source == event.source), None)
    on_record = next((one.id for one in delivery.attempts if one.nonce == event.nonce), "")
    delivery = proof.with_answer(delivery, event.nonce, event.source, event.copy)
    mistaken = known is not None and known.adopted and known.id == on_record != event.copy
    if known is None or (known.id != event.copy and not mistaken):
        return delivery.with_deletions([event.copy]), ()
    ours = replace(known, id=event.copy, adopted=False)  # now AWS has confirmed it
    right = each_copy(delivery, lambda copy: ours if copy is known else copy)
    if not mistaken:
        return right, ()
    return right, (proof.doubled_fault(delivery.where, [str(known.id), event.copy]),)


def is_old(delivery: Delivery, event: Refused) -> bool:
    """Whether an answer belongs to an earlier attempt: a later one was intended and may have taken effect."""
    last = delivery.attempt(event.source or "")
    return bool(event.nonce) and last is not None and last.nonce != event.nonce


def refused(event: Refused, delivery: Delivery) -> tuple[Delivery, bool]:
    """Return the delivery after the refusal of a call, and whether nothing is left to do about that."""
    if event.source is not None:
        return delivery, True  # another worker has changed the record since CopySnapshot was intended
    if event.step == leftovers.DeleteSnapshots.__name__ and event.kind is RefusalKind.DENIED:
        return leftovers.stay(delivery), True
    if event.step != RegisterImage.__name__ or event.unknown:
        return delivery, False
    if is_old(delivery, event):
        return delivery, True
    if not delivery.copies_image:  # the SDK may repeat CopyImage with its token
        delivery = proof.forget(delivery, event.nonce)
    return delivery.with_request(intended_at=None), False


def match(delivery: Delivery, seen: tuple[SeenCopy, ...], now: int) -> Delivery:
    """Adopt the oldest live copy of each snapshot; delete extras and earlier errors. ``seen``: only its own copies."""
    useless: list[str] = []
    on_record = {one.id for one in delivery.attempts}

    def one_copy(copy: Copy) -> Copy:
        found = sorted((s for s in seen if s.source == copy.source), key=lambda s: (s.started_at, s.id))
        if copy.state not in (CopyState.WANTED, CopyState.INTENDED):
            useless.extend(s.id for s in found if s.id != copy.id)
            return copy
        live = [s for s in found if s.state in ("pending", "completed")]
        if copy.state is CopyState.INTENDED and not live:
            # A copy that ended in error at once is this intent's result, too, and is handled like any other.
            live = [s for s in found if s.started_at >= delivery.intended_at(copy.source)]
        useless.extend(s.id for s in found if s not in live[:1])
        if not live:
            return copy
        state = CopyState.COMPLETED if live[0].state == "completed" else CopyState.PENDING
        return replace(
            copy,
            state=state,
            id=live[0].id,
            adopted=live[0].id not in on_record,
            tries=max(copy.tries, 1),
            found_at=0,
            next_look=now + schedule.COPY_POLLS[0],
        )

    return proof.with_attempts(each_copy(delivery, one_copy).with_deletions(useless), proof.learnt(delivery, seen))
