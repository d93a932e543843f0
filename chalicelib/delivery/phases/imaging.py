"""Imaging: create the AMI (``registering``), then compare, tag and deprecate it like its source (``verifying``).

There are two ways to create a target's own AMI, and the record names one.

=============================  =======================================  =======================================
what                           ``snapshots``                            ``image``
=============================  =======================================  =======================================
calls                          CopySnapshot for each, RegisterImage     CopyImage
copy slots                     one for each snapshot                    none
reads the source               until the last snapshot is copied        until the AMI is available
cancelled while it is made     finishes and stays                       is stopped
past its deadline              RegisterImage is tried once more         is not begun again
the nonce                      new for each call, dropped if denied     one for each AMI, as its client token
an AMI that does not show      is looked for until the deadline         is gone after two minutes
=============================  =======================================  =======================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery import preflight, proof
from chalicelib.delivery.attempts import CopiesFound, CopyStarted, FindCopies, ImageRegistered, RegisterImage
from chalicelib.delivery.common_changes import VERIFY_TRIES, again, looks_again, without_entries
from chalicelib.delivery.model import Copy, CopyState, Delivery, DeliveryState
from chalicelib.delivery.phase import Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.ending import CANCELS, ENDING, TIDY, beside, beside_in, fail, keep, leaves_image
from chalicelib.delivery.phases.launching import NEXT, complete
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads

REGISTER, VERIFY = StateEntry(DeliveryState.REGISTERING), StateEntry(DeliveryState.VERIFYING)

NAME_NOT_FREE = preflight.name_not_free("", "").code
"""Fault code: the name is taken, but no AMI shows it. A deregistered AMI keeps its name for a while."""

STILL_IN_USE = "aws-InvalidSnapshot.InUse"
"""Fault code: EC2 frees the snapshots of an AMI up to minutes after it was deregistered [aws-facts 8, VERIFIED]."""


class DiscardImage(Command):
    """Deregister the AMI of a failed try and delete its snapshots, so that another try can use its name."""


class FindImage(Command):
    """List AMIs by name and tag, for an intent without a known result."""

    between_writes = False


class VerifyImage(Command):
    """Read the new AMI and compare it with the source, field by field."""

    between_writes = False


class FinishImage(Command):
    """Give snapshots that CopyImage created their sources' tags; EnableImageDeprecation with the source's date."""


class ImageNotFound(DeliveryEvent):
    """This look found no AMI with the service's tag and name in the target."""

    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class ImageSeen(DeliveryEvent):
    """The new AMI was read: its state and, if it is available, how it differs from the source."""

    state: str
    differences: tuple[Fault, ...] = ()
    reason: str = ""
    """EC2's message, if the AMI failed."""
    copies: tuple[tuple[str, str], ...] = ()
    """(source snapshot, copy) by device, if CopyImage made them."""
    extras: tuple[str, ...] = ()
    """Further snapshots of this delivery that no device of the AMI uses."""
    finished: bool = False
    """Whether nothing is left to add: CopyImage did not make it, and the source has no deprecation date."""


class ImageDiscarded(DeliveryEvent):
    """The failed AMI is gone, or EC2 is removing it."""


class ImageFinished(DeliveryEvent):
    """Each snapshot has its own source's tags, and the new AMI the source's deprecation date, if that has one."""


# --- what is left to do -----------------------------------------------------------------------------------------------


def _registering(delivery: Delivery, now: int) -> tuple[Command, ...]:
    released = not _needs_shares(delivery)
    return (*beside(delivery, now, released=released), *((_creates(delivery),) if now >= delivery.next_try else ()))


def _creates(delivery: Delivery) -> Command:
    """Return what comes next. If a copy was tried twice, first list them once more: one that came late is deleted."""
    if delivery.image.id is not None:  # CopyImage's, which failed
        return DiscardImage()
    in_doubt = any(copy.tries > 1 or copy.adopted for copy in delivery.copies)
    if in_doubt and not all(copy.found_at for copy in delivery.copies):
        return FindCopies()
    return RegisterImage() if delivery.request.intended_at is None else FindImage()


def _verifying(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """Read the AMI until it was seen available, then finish it: from then on no event is a reason to look again."""
    due, unseen = now >= delivery.next_try, delivery.image.available_at is None
    others = beside(delivery, now, released=not _needs_shares(delivery))
    if not due and not (unseen and "image" in delivery.inbox):
        return others
    return (*others, VerifyImage() if unseen else FinishImage())


def _reads_source(delivery: Delivery) -> bool:
    """Whether the AMI is being made from the source: that needs the shares, and can be stopped."""
    return delivery.copies_image and not delivery.image.adopted and delivery.image.available_at is None


def _needs_shares(delivery: Delivery) -> bool:
    return _reads_source(delivery) or delivery.target.release_when == "registered"


def _deadline(delivery: Delivery) -> int:
    """An hour for each state; with CopyImage the copy deadline, and an hour for tagging."""
    since = (delivery.entered.get(entry.state, 0) for entry in (REGISTER, VERIFY))
    if not delivery.copies_image or not delivery.began_opening:  # nothing is copied: the AMI existed already
        return max(since) + schedule.IMAGE_DEADLINE
    available_at = delivery.image.available_at
    return max(delivery.copies_due_by, 0 if available_at is None else available_at + schedule.IMAGE_DEADLINE)


# --- registering ------------------------------------------------------------------------------------------------------


def _registered(event: ImageRegistered, delivery: Delivery, now: int) -> Delivery:
    delivery = proof.with_answer(delivery, event.nonce, "", event.image)
    if event.image in delivery.request.discarded:  # an answer to an earlier try, late
        return delivery
    registered = VERIFY(delivery.with_image(id=event.image), now)
    # an event reports when it is available; without one a poll finds it
    return replace(registered, next_try=now + schedule.POLLS[0])


def _not_found(_event: ImageNotFound, delivery: Delivery, now: int) -> Delivery:
    shown_by = (delivery.request.intended_at or 0) + schedule.SILENCE
    tried = delivery.copies_image or (delivery.request.intended_at or 0) >= delivery.last_look.since
    if delivery.last_look.failure is not None and tried:
        return fail(delivery, now, delivery.last_look.failure)
    if now < shown_by:
        return replace(delivery, next_try=shown_by)
    return replace(delivery.with_request(intended_at=None), next_try=now)


def _discarded(_event: ImageDiscarded, delivery: Delivery, now: int) -> Delivery:
    """Try again with the name and a new token, once every resource of the last try must be visible."""
    begun = delivery.request.copy_image_intended_at or 0
    if now < begun + schedule.SILENCE:
        return replace(delivery, tries=0, next_try=begun + schedule.SILENCE)
    not_before = begun + schedule.step(schedule.NOT_YET, len(delivery.request.discarded))
    gone = (*delivery.request.discarded, *([delivery.image.id] if delivery.image.id else []))
    fresh = delivery.with_image(id=None).with_request(intended_at=None, discarded=gone)
    if fresh.last_look.failure is not None:
        return fail(fresh, now, fresh.last_look.failure)
    return replace(fresh, tries=0, next_try=max(now, not_before))


def _registering_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    comes_true = None
    if event.step == DiscardImage.__name__ and event.fault.code == STILL_IN_USE:
        event = replace(event, kind=RefusalKind.NOT_YET)
    if event.step == RegisterImage.__name__ and delivery.copies_image and event.fault.code != NAME_NOT_FREE:
        comes_true = now - (delivery.holdings.opened_at or 0) <= schedule.NOT_YET_FOR
    looks = event.step in (FindCopies.__name__, FindImage.__name__)
    return trouble.refused(event, delivery, now, looks=looks, comes_true=comes_true)


_VERIFYING_CURE = (
    "Look at the AMI in that account: it never became available. If CopyImage is slow, raise "
    "copy_deadline in the targets file; then tag the AMI again."
)
_REGISTERING_CURE = "Look for RegisterImage or CopyImage in that account's CloudTrail; then tag again."
_look_once_more = trouble.looks_once_more(_REGISTERING_CURE)


def _registering_too_long(event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    begun = delivery.request.intended_at is not None or delivery.image.id is not None
    if delivery.copies_image and not begun and delivery.last_look.failure is None:
        return fail(delivery, now, trouble.deadline_fault(delivery, _REGISTERING_CURE))
    return _look_once_more(event, delivery, now)


# --- verifying --------------------------------------------------------------------------------------------------------


def _seen(event: ImageSeen, delivery: Delivery, now: int) -> Delivery:
    polls = schedule.POLLS[:1] if "image" in delivery.inbox else schedule.POLLS  # what an event says may show late
    delivery = without_entries(delivery, ["image"])
    if event.state in ("pending", "missing") and delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if event.state == "missing":
        return _missing(delivery, now)
    if event.state == "deregistered":  # EC2 shows it for a while; no look can miss it by mistake
        return _gone(delivery, now)
    if event.state == "pending":
        return again(delivery, now, schedule.step(polls, delivery.tries), clear_since=None)
    if event.state != "available":
        return _image_failed(event, delivery, now)
    if event.differences:
        return _differs(event, delivery, now)
    copies = tuple(Copy(source, CopyState.COMPLETED, copy, progress=100) for source, copy in event.copies)
    seen = proof.with_snapshots(delivery, event.copies).with_image(available_at=now).with_deletions(event.extras)
    if event.finished:
        return complete(seen, now)
    return replace(seen, tries=0, next_try=now, copies=copies or delivery.copies)


def _differs(event: ImageSeen, delivery: Delivery, now: int) -> Delivery:
    """Tags and attributes may show late; after three looks with a difference the AMI is removed, unless it stays."""
    looks, gone = delivery.image.differed + 1, f"(aws ec2 deregister-image --image-id {delivery.image.id})"
    if looks == VERIFY_TRIES and leaves_image(delivery):
        cure = f"It stays, as it may be in use, and the next try finds it: deregister it there {gone}; then tag again."
        return fail(delivery, now, *(replace(one, cure=cure) for one in event.differences))
    if looks == VERIFY_TRIES:
        return fail(delivery, now, *event.differences)
    return again(delivery.with_image(differed=looks), now, schedule.step(schedule.RETRIES, looks + 1))


def _missing(delivery: Delivery, now: int) -> Delivery:
    """Handle an AMI that a look misses: it may show late. CopyImage's is gone if looks miss it for two minutes."""
    if not delivery.copies_image:
        return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), clear_since=None)
    return looks_again(delivery, now, schedule.SILENCE, schedule.POLLS[0]) or _gone(delivery, now)


def _gone(delivery: Delivery, now: int) -> Delivery:
    """Fail; what is gone is no leftover that somebody could remove."""
    what = f"The AMI {delivery.image.id}, a copy of {delivery.ami}, is gone."
    cure = (
        "Somebody probably deregistered it: look for DeregisterImage in that account's CloudTrail, then tag the AMI "
        "again."
    )
    after = fail(delivery, now, Fault("copy-vanished", delivery.where, what, cure))
    left = tuple(one for one in after.cleanup.leftovers if one != delivery.image.id)
    return after.with_cleanup(leftovers=left)


def _image_failed(seen: ImageSeen, delivery: Delivery, now: int) -> Delivery:
    """Fail; but try CopyImage again if it came within ten minutes of the shares: access may not have been effective."""
    code, stays, image = "registered-image-failed", leaves_image(delivery), f"--image-id {delivery.image.id}"
    left = f"It stays: deregister it there (aws ec2 deregister-image {image})." if stays else "It is removed."
    cure = f"{left} Look at the AMI's state reason in that account's CloudTrail; then tag the AMI again."
    if seen.state == "disabled" and (stays or delivery.image.id == delivery.launch.kept):
        cure = f"Enable it there (aws ec2 enable-image {image}); then tag the AMI again."
    elif seen.state == "disabled":
        cure = f"{left} Look for DisableImage in that account's CloudTrail; then tag the AMI again."
    elif delivery.copies_image and seen.state == "failed":
        if _access_was_late(seen, delivery):
            return REGISTER(delivery, now)
        code, cure = "image-copy-failed", f"{left} {copy_cure(seen.reason, delivery.target.account)}"
    what = f"The AMI {delivery.image.id} is {seen.state}, not available. {seen.reason}".rstrip()
    fault = Fault(code, delivery.where, what, cure)
    if seen.state == "disabled" and delivery.image.id == delivery.launch.kept:
        return keep(delivery, now, fault)  # it can be tested once its owner has enabled it
    return fail(delivery, now, fault)


def _access_was_late(seen: ImageSeen, delivery: Delivery) -> bool:
    early = (delivery.request.copy_image_intended_at or 0) - (delivery.holdings.opened_at or 0) <= schedule.NOT_YET_FOR
    late_access = any(words in seen.reason for words in ("not accessible", "internal error"))
    return early and late_access and not delivery.image.adopted and delivery.last_look.failure is None


def copy_cure(message: str, account: str) -> str:
    """Return what to do about a copy that ended in error, from EC2's message [aws-facts 2, StateMessage]."""
    if "Source snapshot" in message:
        return (
            "The hub's snapshot was deleted, or is no longer shared with the account. Find out who did that in the hub "
            "from its CloudTrail (ModifySnapshotAttribute, DeleteSnapshot); then tag again."
        )
    return (
        f"`ami-promoter doctor --account {account}` checks the target's key and its policy. If the key is not "
        "accessible and it finds nothing, check that both keys are enabled, that the target's role may use them "
        "through EC2 (deploy/target.yaml allows it), and that no service control policy (SCP) of the target and no "
        "resource control policy (RCP) of a key's account denies it. Then tag again."
    )


def _verifying_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step == VerifyImage.__name__:
        # a list has just shown the AMI, but EC2 may not have each attribute yet; if it is gone, the next list says so
        after = trouble.refused(event, without_entries(delivery, ["image"]), now, looks=True, comes_true=True)
    else:
        after = trouble.refused(event, delivery, now)
    is_kept = delivery.image.id == delivery.launch.kept  # it can be tested once the target lets the service look again
    return keep(delivery, now, *after.faults) if after.ending is not None and is_kept else after


# --- the rows ---------------------------------------------------------------------------------------------------------

PHASES = {
    DeliveryState.REGISTERING: Phase(
        on={
            CopiesFound: leads(trouble.listed, REGISTER, *ENDING),
            CopyStarted: leads(trouble.late_copy, REGISTER, *ENDING),
            **beside_in(REGISTER),
            ImageRegistered: leads(_registered, VERIFY, REGISTER),
            ImageNotFound: leads(_not_found, REGISTER, *ENDING),
            ImageDiscarded: leads(_discarded, REGISTER, *ENDING),
            Refused: leads(_registering_refused, REGISTER, *ENDING),
            **CANCELS,
            DeadlinePassed: leads(_registering_too_long, REGISTER, *ENDING),
        },
        outstanding=_registering,
        deadline=_deadline,
        # an intended RegisterImage finishes, and its AMI stays; CopyImage is stopped
        may_cancel=lambda delivery: _reads_source(delivery) or delivery.request.intended_at is None,
    ),
    DeliveryState.VERIFYING: Phase(
        on={
            CopyStarted: leads(trouble.late_copy, VERIFY, *ENDING),
            **beside_in(VERIFY),
            ImageSeen: leads(_seen, VERIFY, REGISTER, *NEXT, *ENDING),
            ImageFinished: leads(lambda _event, delivery, now: complete(delivery, now), *NEXT),
            Refused: leads(_verifying_refused, VERIFY, *ENDING),
            **CANCELS,
            DeadlinePassed: leads(trouble.looks_once_more(_VERIFYING_CURE), VERIFY, TIDY),
        },
        outstanding=_verifying,
        deadline=_deadline,
        may_cancel=_reads_source,
    ),
}
