"""How events change a delivery while its AMI is created, compared, protected and published."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import copying, methods, proof
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery.model import Copy, CopyState, Delivery, DeliveryState, ImageRequest, SlotRequest
from chalicelib.core.delivery.moves import Handlers, again, end, fail, to
from chalicelib.core.errors import RefusalKind
from chalicelib.core.faults import Fault, count
from chalicelib.core.records import schedule

PROTECT_TRIES = 5
"""With the waits between the tries, two and a half minutes: the notice of a successful delivery waits no longer."""


def _adopt_image(delivery: Delivery, image: str, now: int) -> Delivery:
    return to(delivery.with_image(id=image), DeliveryState.VERIFYING, now)


def _on_image_registered(event: ev.ImageRegistered, delivery: Delivery, now: int) -> Delivery:
    delivery = proof.answered(delivery, event.nonce, "", event.image)
    if delivery.state in (DeliveryState.STOPPING, DeliveryState.TIDYING):
        return replace(delivery.with_cleanup(done=False, clear=False).with_image(id=event.image), next_try=now)
    if event.image in delivery.request.discarded:  # an answer to an earlier try, late
        return delivery
    registered = _adopt_image(replace(delivery, last_refusal=None), event.image, now)
    return replace(
        registered, next_try=now + schedule.POLLS[0]
    )  # an event reports when it is available; without one a poll finds it


def _on_image_not_found(_event: ev.ImageNotFound, delivery: Delivery, now: int) -> Delivery:
    shown_by = (delivery.request.intended_at or 0) + schedule.SILENCE
    tried = methods.of(delivery).copies_image or (delivery.request.intended_at or 0) >= delivery.last_look.since
    if delivery.last_look.failure is not None and tried:
        return fail(delivery, now, delivery.last_look.failure)
    if now < shown_by:
        return replace(delivery, next_try=shown_by)
    if delivery.request.tries >= methods.MAX_TRIES:
        return fail(delivery, now, delivery.last_refusal or _never_registered(delivery))
    return replace(delivery.with_request(intended_at=None), next_try=now)


def _never_registered(delivery: Delivery) -> Fault:
    return Fault(
        "register-never-answered",
        delivery.where,
        f"RegisterImage was tried {count(delivery.request.tries, 'time')}, and no AMI {delivery.image_name} exists.",
        "Look at RegisterImage in that account's CloudTrail; then tag the AMI again.",
    )


def _on_image_seen(event: ev.ImageSeen, delivery: Delivery, now: int) -> Delivery:
    if event.state in ("pending", "missing") and delivery.last_look.failure is not None:
        return fail(delivery, now, delivery.last_look.failure)
    if event.state == "missing":
        return methods.of(delivery).missing(delivery, now)
    if event.state == "pending":
        return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), clear_since=None)
    if event.state != "available":
        return methods.of(delivery).failed(delivery, event, now)
    if event.differences and delivery.tries + 1 < copying.VERIFY_TRIES:
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries + 2))
    if event.differences:
        return fail(delivery, now, *event.differences)
    copies = tuple(Copy(source, CopyState.COMPLETED, copy, progress=100) for source, copy in event.copies)
    seen = proof.settled(delivery, event.copies).with_image(available_at=now).with_deletions(event.extras)
    return replace(seen, tries=0, next_try=now, copies=copies or delivery.copies)


def _on_image_discarded(_event: ev.ImageDiscarded, delivery: Delivery, now: int) -> Delivery:
    """Try again with the name and a new token, once every resource of the last try must be visible."""
    begun = delivery.request.copy_image_intended_at or 0
    if now < begun + schedule.SILENCE:
        return replace(delivery, tries=0, next_try=begun + schedule.SILENCE)
    not_before = begun + schedule.step(schedule.NOT_YET, len(delivery.request.discarded))
    gone = (*delivery.request.discarded, *([delivery.image.id] if delivery.image.id else []))
    fresh = delivery.with_image(id=None).with_request(intended_at=None, discarding=False, discarded=gone, token="")
    if fresh.last_look.failure is not None:
        return fail(fresh, now, fresh.last_look.failure)
    return replace(fresh, tries=0, next_try=max(now, not_before))


def _on_copies_tagged(_event: ev.CopiesTagged, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery.with_image(tagged=True), tries=0, next_try=now)


def _on_deprecation_carried(_event: ev.DeprecationCarried, delivery: Delivery, now: int) -> Delivery:
    return to(delivery, DeliveryState.PUBLISHING, now)


def _on_image_protected(_event: ev.ImageProtected, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery.with_image(protected=True), tries=0, next_try=now)


def not_protected(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    """Continue without protection: the delivery does not fail for that, and records why."""
    if event.kind is RefusalKind.THROTTLED and delivery.tries < PROTECT_TRIES:
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries), last_refusal=event.fault)
    why = unprotected_fault(delivery, event.fault)
    return replace(delivery.with_image(unprotected=why), last_refusal=None, tries=0, next_try=now)


def unprotected_fault(delivery: Delivery, refusal: Fault) -> Fault:
    """Return the fault of a delivered AMI without protection, which principals in the target can deregister."""
    return Fault(
        "image-not-protected",
        f"{delivery.where}, {delivery.image.id}",
        f"The AMI is delivered, without deregistration protection. {refusal.what}",
        "Protect it with that account's credentials: `aws ec2 enable-image-deregistration-protection --image-id "
        f"{delivery.image.id} --region {delivery.target.region}`. If the role may not do it, deploy this version's "
        "deploy/target.yaml there; or write `protect: false` in the targets file.",
    )


def _on_outcome_notified(_event: ev.OutcomeNotified, delivery: Delivery, now: int) -> Delivery:
    over = to(delivery, delivery.ending or (DeliveryState.SHARED if delivery.shared else DeliveryState.DELIVERED), now)
    return over if over.state is DeliveryState.SHARED else _small(over)


def _small(over: Delivery) -> Delivery:
    """Reduce an ended delivery to its target, its result and its nonces (invariant 4).

    ``key_arn`` and the copies are for those that copy from the hub's own, for `status` and for `reconcile`; what
    `status` needs to find its shares follows from the source and from how it was to be copied.
    """
    made = over.copies if over.ending is None else ()
    standing = tuple(share for share in over.shares.needed if share.standing)
    return replace(
        over,
        source_name="",
        groups=(),
        snapshots=(),
        entered={over.state: over.entered[over.state]},
        copies=tuple(Copy(copy.source, copy.state, copy.copy) for copy in made),
        shares=replace(over.shares, needed=standing, last_closing_at=None),
        slots=SlotRequest(),
        request=ImageRequest(),
        last_refusal=None,
        handled={},
    )


def _on_end_seen(event: ev.EndSeen, delivery: Delivery, now: int) -> Delivery:
    if event.again_at:
        return replace(delivery, next_try=event.again_at)
    if event.until > now:
        return replace(delivery, sharing=replace(delivery.sharing, ends_at=event.until))
    over = replace(delivery, sharing=replace(delivery.sharing, expired=True))
    return end(over, DeliveryState.WITHDRAWN, (), now)


HANDLERS: Handlers = {
    ev.ImageRegistered: _on_image_registered,
    ev.ImageNotFound: _on_image_not_found,
    ev.ImageSeen: _on_image_seen,
    ev.ImageDiscarded: _on_image_discarded,
    ev.CopiesTagged: _on_copies_tagged,
    ev.DeprecationCarried: _on_deprecation_carried,
    ev.ImageProtected: _on_image_protected,
    ev.OutcomeNotified: _on_outcome_notified,
    ev.EndSeen: _on_end_seen,
}
