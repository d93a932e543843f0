"""The two ways to create a target's own AMI. The record names one; the machine calls it where they differ.

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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import preflight
from chalicelib.core.delivery.model import Attempt, Delivery, DeliveryState
from chalicelib.core.delivery.moves import again, fail, to
from chalicelib.core.faults import Fault
from chalicelib.core.records import schedule

NAME_NOT_FREE = preflight.name_not_free("", "").code
"""Fault code: the name is taken, but no AMI shows it. A deregistered AMI keeps its name for a while."""

MAX_TRIES = 8
"""Tries of one copy, or of registering; after the last one a person must act."""


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


@dataclass(frozen=True)
class CopyMethod:
    """One way to make the AMI, as functions of a delivery. Times are epoch seconds."""

    copies_image: bool
    """Whether one call copies the AMI and all its snapshots."""
    reads_source: Callable[[Delivery], bool]
    """Whether creating the AMI needs the shares, so that it can be stopped."""
    copied_at: Callable[[Delivery], int | None]
    """When the last copy ended; None: it has not ended."""
    image_deadline: Callable[[Delivery], int]
    """When the AMI must be created and verified."""
    intended: Callable[[Delivery, str, int], Delivery]
    """(delivery, nonce, now): record the intent to create the AMI."""
    denied: Callable[[Delivery, str], Delivery]
    """(delivery, nonce): remove the intent, as AWS has refused the call with this nonce."""
    may_come_true: Callable[[Delivery, ev.Refused, int], bool]
    """(delivery, refusal, now): whether to call again, because the missing access may only be late."""
    missing: Callable[[Delivery, int], Delivery]
    """(delivery, now): a look does not show the AMI."""
    failed: Callable[[Delivery, ev.ImageSeen, int], Delivery]
    """(delivery, what was seen, now): a look shows the AMI in a state that is neither pending nor available."""


def of(delivery: Delivery) -> CopyMethod:
    """Return the method that the record names."""
    return _METHODS[delivery.method]


def forget(delivery: Delivery, nonce: str) -> Delivery:
    """Drop an attempt: AWS has refused it, so nothing has its nonce."""
    return replace(delivery, attempts=tuple(one for one in delivery.attempts if one.nonce != nonce))


def _intended(delivery: Delivery, nonce: str, now: int) -> Delivery:
    fresh = delivery.with_request(intended_at=now, tries=delivery.request.tries + 1)
    attempt = Attempt(nonce, "", now, episode=delivery.episode)
    return replace(fresh, attempts=(*fresh.attempts, attempt)) if nonce else fresh


def _image_failed(delivery: Delivery, seen: ev.ImageSeen) -> Fault:
    cure = "It is removed. Look at the AMI's state reason in that account's CloudTrail; then tag the AMI again."
    if seen.state == "disabled":
        cure = f"Enable it there (aws ec2 enable-image --image-id {delivery.image.id}); then tag the AMI again."
    what = f"The AMI {delivery.image.id} is {seen.state}, not available. {seen.reason}".rstrip()
    return Fault("registered-image-failed", delivery.where, what, cure)


# --- CopySnapshot for each, then RegisterImage, which takes seconds and reads the copies alone -----------------------


def _registering_since(delivery: Delivery) -> int | None:
    return delivery.entered.get(DeliveryState.REGISTERING)


def _an_hour_each(delivery: Delivery) -> int:
    return (
        max(delivery.entered.get(DeliveryState.REGISTERING, 0), delivery.entered.get(DeliveryState.VERIFYING, 0))
        + schedule.IMAGE_DEADLINE
    )


BY_SNAPSHOTS = CopyMethod(
    copies_image=False,
    reads_source=lambda _delivery: False,
    copied_at=_registering_since,
    image_deadline=_an_hour_each,
    intended=_intended,
    denied=lambda delivery, nonce: forget(delivery, nonce).with_request(intended_at=None),
    may_come_true=lambda delivery, _refused, _now: delivery.tries < MAX_TRIES,
    missing=lambda delivery, now: again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), clear_since=None),
    failed=lambda delivery, seen, now: fail(delivery, now, _image_failed(delivery, seen)),
)


# --- CopyImage: it reads the source until its AMI is available, and may fail late ------------------------------------


def _reads_source(delivery: Delivery) -> bool:
    running = delivery.state in (DeliveryState.REGISTERING, DeliveryState.VERIFYING) and not delivery.image.adopted
    return running and delivery.image.available_at is None


def _copies_and_tagging(delivery: Delivery) -> int:
    if DeliveryState.OPENING not in delivery.entered:  # nothing is copied: the AMI existed already
        return _an_hour_each(delivery)
    tagging = 0 if delivery.image.available_at is None else delivery.image.available_at + schedule.IMAGE_DEADLINE
    return max(delivery.copies_end, tagging)


def _image_copy_intended(delivery: Delivery, nonce: str, now: int) -> Delivery:
    token = delivery.request.token  # the same AMI again: its nonce stays valid
    fresh = _intended(delivery, "" if token else nonce, now)
    return fresh.with_request(copy_image_intended_at=now, token=token or nonce)


def _image_copy_may_come_true(delivery: Delivery, refused: ev.Refused, now: int) -> bool:
    if refused.fault.code == NAME_NOT_FREE:
        return delivery.tries < MAX_TRIES
    return now - (delivery.shares.opened_at or 0) <= schedule.NOT_YET_FOR


def _image_copy_missing(delivery: Delivery, now: int) -> Delivery:
    """A copy that one look does not show may appear late; it counts as gone after two minutes."""
    since = delivery.clear_since
    if since is None or now < since + schedule.SILENCE:
        return again(delivery, now, schedule.POLLS[0], clear_since=now if since is None else since)
    fault = Fault(
        "copy-vanished",
        delivery.where,
        f"The AMI {delivery.image.id}, a copy of {delivery.ami}, is gone.",
        "Somebody probably deregistered it: look for DeregisterImage in that account's CloudTrail, "
        "then tag the AMI again.",
    )
    return fail(delivery, now, fault)


def _image_copy_failed(delivery: Delivery, seen: ev.ImageSeen, now: int) -> Delivery:
    """Try again within ten minutes: it may have failed because key or permission were not effective yet."""
    fault = _image_failed(delivery, seen)
    if seen.state != "failed":
        return fail(delivery, now, fault)
    early = (delivery.request.copy_image_intended_at or 0) - (delivery.shares.opened_at or 0) <= schedule.NOT_YET_FOR
    late_access = any(words in seen.reason for words in ("not accessible", "internal error"))
    if early and late_access and not delivery.image.adopted and delivery.last_look.failure is None:
        return to(delivery.with_request(discarding=True), DeliveryState.REGISTERING, now)
    return fail(
        delivery,
        now,
        Fault(
            "image-copy-failed",
            fault.where,
            fault.what,
            f"It is removed. {copy_cure(seen.reason, delivery.target.account)}",
        ),
    )


BY_IMAGE = CopyMethod(
    copies_image=True,
    reads_source=_reads_source,
    copied_at=lambda delivery: _registering_since(delivery) if delivery.image.adopted else delivery.image.available_at,
    image_deadline=_copies_and_tagging,
    intended=_image_copy_intended,
    denied=lambda delivery, _nonce: delivery.with_request(
        intended_at=None
    ),  # the SDK may repeat the call with its token
    may_come_true=_image_copy_may_come_true,
    missing=_image_copy_missing,
    failed=_image_copy_failed,
)

_METHODS: Mapping[str, CopyMethod] = {"snapshots": BY_SNAPSHOTS, "image": BY_IMAGE}
