"""What an event changes on a delivery. Where it may lead is the table's business (``machine.TRANSITIONS``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods, permissions, proof
from chalicelib.core.delivery.machine import (
    QUEUE_LOOK,
    QUEUEING,
    TRANSITIONS,
    WORKING,
    begun,
    deadline,
    due_at,
    late,
    slots_text,
)
from chalicelib.core.delivery.methods import forget
from chalicelib.core.delivery.model import Copy, CopyState, Delivery, DeliveryState, ImageRequest, SlotRequest
from chalicelib.core.delivery.moves import again, each_copy, end, fail, to
from chalicelib.core.errors import IllegalEvent, RefusalKind
from chalicelib.core.faults import Fault, count
from chalicelib.core.records import schedule
from chalicelib.core.targets import approvals

PROTECT_TRIES = 5
"""With the waits between them, two and a half minutes: the notice of a good delivery waits no longer."""

VERIFY_TRIES = 3
"""Reads are eventually consistent, so one that shows a difference is not believed at once."""

ASKED_ANEW = 5 * schedule.MINUTE
"""For so long a share that opens may still say what was missing in an earlier episode."""

MOST_UNPROVEN = 20
"""So many are named: anybody in a target can make any number of them."""

LOOKS = tuple(step.__name__ for step in (do.FindCopies, do.LookAtCopies, do.FindImage, do.VerifyImage))
"""Commands that only read in the target."""


def evolve(delivery: Delivery, event: ev.Event, now: int) -> Delivery:
    """Return the delivery as it is after the event. Raises IllegalEvent where the table has no such edge."""
    allowed = TRANSITIONS[delivery.state].get(type(event))
    if allowed is None:
        raise IllegalEvent(str(delivery.key), delivery.state, type(event).__name__)
    after = _apply(event, _taken(delivery, event), now)
    if after.state not in allowed:
        raise IllegalEvent(str(delivery.key), delivery.state, f"{type(event).__name__} leading to {after.state}")
    if after.trouble is delivery.trouble and not isinstance(event, _SAYS_NOTHING):
        after = replace(after, trouble=None)
    return replace(after, due_at=due_at(after))


def _taken(delivery: Delivery, event: ev.Event) -> Delivery:
    """Count inbox entries as handled by the look that they caused, whatever came of it."""
    step = event.step if isinstance(event, ev.Refused) else type(event).__name__
    if step in (ev.ImageSeen.__name__, do.VerifyImage.__name__):
        names = ["image"]
    elif step in (
        ev.CopiesSeen.__name__,
        do.LookAtCopies.__name__,
        ev.LeftoversSeen.__name__,
        do.FindLeftovers.__name__,
    ):
        names = [f"look#{copy.source}" for copy in delivery.copies]
    else:
        return delivery
    news = {name: delivery.inbox[name] for name in names if delivery.unread(name) is not None}
    return replace(delivery, handled={**delivery.handled, **news}) if news else delivery


_SAYS_NOTHING = (
    ev.Refused,
    ev.LeftoversSeen,
    ev.WaitingNotified,
    ev.SlotsAsked,
    ev.SlotsSeen,
    ev.OthersWait,
    ev.SharesHeld,
    ev.SharesSeen,
    ev.DeadlinePassed,
    ev.CancelAsked,
)
"""Events after which the last refusal may still be the trouble; all others show that it is over."""


def started(delivery: Delivery, now: int) -> Delivery:
    """Prepare a new delivery, or a new episode of an ended one, for its first step."""
    first = DeliveryState.AWAITING_APPROVAL if approvals.needs(delivery.target) else DeliveryState.REQUESTED
    fresh = replace(delivery, state=first, entered={first: now}, next_try=now)
    return replace(fresh, due_at=due_at(fresh))


@singledispatch
def _apply(event: Any, delivery: Delivery, now: int) -> Delivery:
    raise TypeError(f"no rule for {type(event).__name__}")


# --- before anything is opened ---------------------------------------------------------------------------------------


@_apply.register
def _on_approval_seen(event: ev.ApprovalSeen, delivery: Delivery, now: int) -> Delivery:
    """Go on where it is approved. The settings of a delivery are those of its start: others need another one."""
    if event.changed:
        what = "The targets file gives this target other settings now than when the delivery began."
        cure = "The service starts it again with these settings."
        fault = Fault("settings-changed", delivery.where, what, cure)
        return end(delivery, DeliveryState.CANCELLED, (fault,), now)
    if event.by:
        return to(delivery, DeliveryState.REQUESTED, now, approved_by=event.by)
    if delivery.overdue is not None:
        return fail(delivery, now, delivery.overdue)
    if now < delivery.next_try:  # an early look is no try
        return delivery
    return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries))


@_apply.register
def _on_target_ready(event: ev.TargetReady, delivery: Delivery, now: int) -> Delivery:
    delivery = replace(delivery, key_arn=event.key_arn, trouble=None)
    delivery = replace(delivery, shares=permissions.needed(delivery))
    found = proof.copies(delivery, event.copies)
    delivery = _with_unproven(delivery, found)
    whole = methods.of(delivery).whole
    kept = tuple(share for share in delivery.shares if share.stays)
    if event.image and not (whole and event.unfinished):  # nothing is to be copied, and the AMI needs what stays
        accepted = event.image == delivery.accepted  # with its snapshots, though they are unproven
        there = replace(delivery, adopted=True, image=event.image, shares=kept)
        there = there.with_cleanup(unproven=()) if accepted else there
        return to(there, DeliveryState.OPENING if kept else DeliveryState.VERIFYING, now)
    if whole and event.image:  # a CopyImage that still runs: it needs its shares, and its snapshots are of use
        return to(delivery, DeliveryState.OPENING, now)
    if delivery.shared or whole:
        return to(delivery.with_deletions(seen.copy for seen in found.ours), DeliveryState.OPENING, now)
    wanted = replace(delivery, copies=tuple(Copy(snapshot.id, found_at=now) for snapshot in delivery.snapshots))
    wanted = _match(wanted, tuple(s for s in found.ours if s.key_arn == event.key_arn), now)
    wrong = tuple(s.copy for s in found.ours if s.key_arn != event.key_arn)
    wanted = wanted.with_deletions(wrong)  # of an earlier key
    if all(copy.state is CopyState.COMPLETED for copy in wanted.copies):
        return to(wanted, DeliveryState.OPENING if kept else DeliveryState.REGISTERING, now, shares=kept)
    return to(wanted, DeliveryState.WAITING, now)


def _with_unproven(delivery: Delivery, found: proof.Copies) -> Delivery:
    """Name what has the service's tags and no proof, so that a notice names it; the service leaves it alone."""
    names = sorted(one.copy for one in (*found.doubled, *found.unproven))
    return delivery.with_cleanup(unproven=tuple(names[:MOST_UNPROVEN]))


def _adopt_image(delivery: Delivery, image: str, now: int) -> Delivery:
    return to(delivery, DeliveryState.VERIFYING, now, image=image)


@_apply.register
def _on_hub_copy_seen(event: ev.HubCopySeen, delivery: Delivery, now: int) -> Delivery:
    if not event.copies and (overdue := _queued_out(delivery, now)):
        return fail(delivery, now, overdue)
    if not event.copies:
        if now < delivery.next_try:  # an early look is no try
            return delivery
        return again(delivery, now, _until_queued_out(delivery, now, schedule.step(schedule.POLLS, delivery.tries)))
    return replace(delivery, via_copies=dict(event.copies), via_key=event.key_arn, tries=0, next_try=now)


@_apply.register
def _on_target_unfit(event: ev.TargetUnfit, delivery: Delivery, now: int) -> Delivery:
    return fail(delivery, now, *event.faults)


@_apply.register
def _on_waiting_notified(_event: ev.WaitingNotified, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery, waiting_notified=True, next_try=now + schedule.step(schedule.POLLS, delivery.tries))


@_apply.register
def _on_slots_asked(event: ev.SlotsAsked, delivery: Delivery, now: int) -> Delivery:
    # Twice after a minute: the quota may have been woken for the first wish by the sweep that woke this delivery, too.
    wait = _until_queued_out(delivery, now, schedule.step(schedule.POLLS, max(delivery.slots.asks - 1, 0)))
    reported = slots_text(delivery, event.wanted, event.done, event.limited_at)
    asked = delivery.with_slots(asked=reported, asks=delivery.slots.asks + 1, next_ask=now + wait)
    return _with_slots(asked, event.granted, event.until, now)


@_apply.register
def _on_slots_seen(event: ev.SlotsSeen, delivery: Delivery, now: int) -> Delivery:
    return _with_slots(delivery, event.granted, event.until, now)


@_apply.register
def _on_others_wait(event: ev.OthersWait, delivery: Delivery, _now: int) -> Delivery:
    return delivery.with_slots(others_wait=event.waits)


def _with_slots(delivery: Delivery, granted: int, until: int, now: int) -> Delivery:
    """Go on with what was granted; copies of an earlier try that run already need no slot of their own."""
    leased = delivery.with_slots(granted=granted, until=until)
    wanting = any(copy.state is CopyState.WANTED for copy in delivery.copies)
    lacks = wanting and granted <= begun(delivery)
    if delivery.state is DeliveryState.WAITING and lacks and (overdue := _queued_out(delivery, now)):
        return fail(leased, now, overdue)
    if delivery.state is not DeliveryState.WAITING or lacks:
        return leased
    return to(leased.with_slots(asks=0, next_ask=now), DeliveryState.OPENING, now)


def _queued_out(delivery: Delivery, now: int) -> Fault | None:
    """Return the fault of a queue deadline after which it has been looked for long enough."""
    return delivery.overdue if now >= delivery.overdue_at + QUEUE_LOOK else None


def _until_queued_out(delivery: Delivery, now: int, wait: int) -> int:
    """Return a wait (seconds) that ends no later than the looks that follow a queue deadline."""
    queued_out = delivery.overdue is not None and delivery.state in QUEUEING
    return min(wait, max(delivery.overdue_at + QUEUE_LOOK - now, 0)) if queued_out else wait


# --- shares ----------------------------------------------------------------------------------------------------------


@_apply.register
def _on_shares_held(event: ev.SharesHeld, delivery: Delivery, now: int) -> Delivery:
    if event.upto:
        return replace(delivery, shares_at=event.upto, next_try=now)
    return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), shares_at=0)


@_apply.register
def _on_shares_seen(event: ev.SharesSeen, delivery: Delivery, now: int) -> Delivery:
    """Go on where all are open; the deadline is judged by this look: it may have opened while nobody could take one."""
    if delivery.state is DeliveryState.COPYING:
        if event.refused is None or delivery.overdue is not None:
            return delivery
        return replace(delivery, overdue=event.refused, overdue_at=now, next_try=now)  # what was copied is good
    if event.open:
        return _opened(replace(delivery, trouble=None), now)
    delivery = replace(delivery, blocked=event.blocked)
    if event.blocked is not None and event.blocked.code == approvals.NOT_APPROVED and now >= _share_worker_by(delivery):
        return end(delivery, DeliveryState.CANCELLED, (event.blocked,), now)  # its next episode asks for another one
    last = deadline(delivery)
    if last is not None and now >= last:
        return fail(delivery, now, _deadline_fault(delivery))
    return delivery if event.refused is None else fail(delivery, now, event.refused)


def _share_worker_by(delivery: Delivery) -> int:
    """By when the share worker has asked for the approval again; its earlier answer may be about the last episode."""
    return delivery.entered[DeliveryState.OPENING] + ASKED_ANEW


def _opened(delivery: Delivery, now: int) -> Delivery:
    if delivery.shared:
        return to(delivery, DeliveryState.PUBLISHING, now, opened_at=now)
    if delivery.adopted and delivery.image:
        return to(delivery, DeliveryState.VERIFYING, now, opened_at=now)
    copied = delivery.copies and all(copy.state is CopyState.COMPLETED for copy in delivery.copies)
    registers = copied or methods.of(delivery).whole
    return to(delivery, DeliveryState.REGISTERING if registers else DeliveryState.COPYING, now, opened_at=now)


@_apply.register
def _on_shares_released(event: ev.SharesReleased, delivery: Delivery, _now: int) -> Delivery:
    if event.upto:
        return replace(delivery, shares_at=event.upto)
    delivery = replace(delivery, shares_at=0)
    return replace(delivery, held=False, kept=delivery.kept and not event.all)


# --- copies ----------------------------------------------------------------------------------------------------------


@_apply.register
def _on_copy_started(event: ev.CopyStarted, delivery: Delivery, now: int) -> Delivery:
    known = next((copy for copy in delivery.copies if copy.source == event.source), None)
    if known is None or known.state is not CopyState.INTENDED or delivery.state is not DeliveryState.COPYING:
        if known is not None and known.copy == event.copy:  # now AWS itself has said so
            return each_copy(delivery, lambda copy: replace(copy, adopted=False) if copy is known else copy)
        return delivery.with_deletions([event.copy])
    return each_copy(
        replace(delivery, trouble=None, tries=0),
        lambda copy: (
            replace(copy, state=CopyState.PENDING, copy=event.copy, looks=0, next_look=now + schedule.POLLS[0])
            if copy.source == event.source
            else copy
        ),
    )


@_apply.register
def _on_copies_found(event: ev.CopiesFound, delivery: Delivery, now: int) -> Delivery:
    sorted_out = proof.copies(delivery, event.copies)
    delivery = _with_unproven(delivery, sorted_out)
    doubled = _in_doubt(delivery, sorted_out.doubled)
    if doubled:
        return fail(delivery, now, proof.doubled_fault(delivery.where, doubled))
    if delivery.state is DeliveryState.REGISTERING:
        return replace(_match(delivery, sorted_out.ours, now), copies_listed_again=True)
    found = each_copy(_match(delivery, sorted_out.ours, now), lambda copy: replace(copy, found_at=now))
    judged = _judge(_silent(found, now), sorted_out.ours, now)
    if judged.state is DeliveryState.COPYING and judged.overdue is not None:
        return fail(judged, now, judged.overdue)
    return judged


def _in_doubt(delivery: Delivery, doubled: tuple[ev.SeenCopy, ...]) -> tuple[ev.SeenCopy, ...]:
    """Return the bearers of one nonce of which one would be used. Those of an older attempt are just left."""
    if delivery.state is DeliveryState.COPYING:
        unsure = [copy.source for copy in delivery.copies if copy.state is CopyState.INTENDED or copy.adopted]
    else:
        unsure = [copy.source for copy in delivery.copies if copy.adopted]
    nonces = {one.nonce for one in map(delivery.attempt, unsure) if one is not None}
    used = {copy.copy for copy in delivery.copies if copy.adopted}
    nonces |= {one.nonce for one in doubled if one.copy in used}
    return tuple(one for one in doubled if one.nonce in nonces)


def _silent(delivery: Delivery, now: int) -> Delivery:
    """An intent that has not shown itself: wait for it, and believe that there is no copy on the second look only."""

    def judge(copy: Copy) -> Copy:
        if copy.state is not CopyState.INTENDED:
            return copy
        shown_by = (copy.intended_at or 0) + schedule.SILENCE
        if now >= shown_by and copy.looks:
            wait = schedule.step(schedule.POLLS, copy.tries - 2) if copy.tries > 1 else 0
            return replace(copy, state=CopyState.WANTED, looks=0, not_before=now + wait)
        return replace(copy, looks=copy.looks + 1, next_look=max(shown_by, now + schedule.SECOND_LOOK_AFTER))

    return each_copy(delivery, judge)


def _match(delivery: Delivery, seen: tuple[ev.SeenCopy, ...], now: int) -> Delivery:
    """Adopt the oldest live copy of each snapshot that the service made; delete extras and earlier errors."""
    useless: list[str] = []

    def match(copy: Copy) -> Copy:
        found = sorted((s for s in seen if s.source == copy.source), key=lambda s: (s.started_at, s.copy))
        if copy.state not in (CopyState.WANTED, CopyState.INTENDED):
            useless.extend(s.copy for s in found if s.copy != copy.copy)
            return copy
        live = [s for s in found if s.state in ("pending", "completed")]
        if copy.state is CopyState.INTENDED and not live:
            # One that ended in error at once is this intent's result all the same, and is judged as any other.
            live = [s for s in found if s.started_at >= (copy.intended_at or 0)]
        useless.extend(s.copy for s in found if s not in live[:1])
        if not live:
            return copy
        state = CopyState.COMPLETED if live[0].state == "completed" else CopyState.PENDING
        return replace(
            copy,
            state=state,
            copy=live[0].copy,
            adopted=True,
            tries=max(copy.tries, 1),
            looks=0,
            next_look=now + schedule.POLLS[0],
        )

    return each_copy(delivery, match).with_deletions(useless)


@_apply.register
def _on_copies_seen(event: ev.CopiesSeen, delivery: Delivery, now: int) -> Delivery:
    return _judge(delivery.with_slots(others_wait=False), event.copies, now, event.asked)


def _judge(delivery: Delivery, seen: tuple[ev.SeenCopy, ...], now: int, asked: tuple[str, ...] = ()) -> Delivery:
    """Draw the conclusions from what EC2 shows of the delivery's copies now."""
    shown = {s.copy: s for s in seen}
    faults: list[Fault] = []
    useless: list[str] = []

    def judge(copy: Copy) -> Copy:
        if copy.copy is None or copy.state not in (CopyState.PENDING, CopyState.COMPLETED):
            return copy
        found = shown.get(copy.copy)
        if found is None:
            return _missing(copy, now, faults, delivery) if copy.copy in asked else copy
        if found.state == "completed":
            if found.key_arn != delivery.key_arn:
                faults.append(_wrong_key(delivery, copy, found))
            return replace(copy, state=CopyState.COMPLETED, progress=100)
        if found.state == "pending":
            wait = schedule.step(schedule.POLLS, copy.looks)
            return replace(copy, looks=copy.looks + 1, next_look=now + wait, progress=found.progress)
        useless.append(found.copy)
        return _errored(copy, found, now, faults, delivery)

    judged = each_copy(delivery, judge).with_deletions(useless)
    if faults:
        return fail(judged, now, *faults)
    if judged.copies and all(copy.state is CopyState.COMPLETED for copy in judged.copies):
        return to(judged, DeliveryState.REGISTERING, now, trouble=None)
    return judged


def _missing(copy: Copy, now: int, faults: list[Fault], delivery: Delivery) -> Copy:
    """A copy that one look does not show may only be late to appear; one that two minutes do not show is gone."""
    if now < (copy.intended_at or 0) + schedule.SILENCE or copy.looks < VERIFY_TRIES:
        return replace(copy, looks=copy.looks + 1, next_look=now + schedule.POLLS[0])
    faults.append(
        Fault(
            "copy-vanished",
            delivery.where,
            f"The copy {copy.copy} of {copy.source} is gone.",
            "Somebody probably deleted it: look for DeleteSnapshot in that account's CloudTrail, then "
            "tag the AMI again.",
        )
    )
    return copy


def _wrong_key(delivery: Delivery, copy: Copy, found: ev.SeenCopy) -> Fault:
    return Fault(
        "copy-under-another-key",
        delivery.where,
        f"The copy {copy.copy} of {copy.source} is under {found.key_arn or 'no key'}, not {delivery.key_arn}.",
        "Check whether somebody moved the key's alias while the copy ran; then tag the AMI again.",
    )


def _errored(copy: Copy, found: ev.SeenCopy, now: int, faults: list[Fault], delivery: Delivery) -> Copy:
    """Key access that is not true yet fails a copy late and is no failure for ten minutes; anything else is one."""
    early = (copy.intended_at or now) - (delivery.opened_at or 0) <= schedule.NOT_YET_FOR
    if "not accessible" in found.message and early and copy.tries < methods.MAX_TRIES:
        wait = schedule.step(schedule.NOT_YET, copy.tries - 1)
        return replace(copy, state=CopyState.WANTED, copy=None, not_before=now + wait)
    faults.append(
        Fault(
            "copy-failed",
            delivery.where,
            f"The copy {found.copy} of {copy.source} ended in error: {found.message or 'no reason given'}.",
            methods.copy_cure(found.message, delivery.target.account),
        )
    )
    return replace(copy, state=CopyState.ERROR)


@_apply.register
def _on_snapshots_deleted(event: ev.SnapshotsDeleted, delivery: Delivery, _now: int) -> Delivery:
    left = tuple(one for one in delivery.cleanup.to_delete if one not in event.snapshots)
    return delivery.with_cleanup(to_delete=left)


# --- the new image ---------------------------------------------------------------------------------------------------


@_apply.register
def _on_image_registered(event: ev.ImageRegistered, delivery: Delivery, now: int) -> Delivery:
    if delivery.state in (DeliveryState.STOPPING, DeliveryState.TIDYING):
        return replace(delivery.with_cleanup(done=False), image=event.image, next_try=now)
    if event.image in delivery.request.discarded:  # an answer to an earlier try, late
        return delivery
    registered = _adopt_image(replace(delivery, trouble=None), event.image, now)
    return replace(registered, next_try=now + schedule.POLLS[0])  # EC2 says when it is available; a poll if it does not


@_apply.register
def _on_image_not_found(_event: ev.ImageNotFound, delivery: Delivery, now: int) -> Delivery:
    shown_by = (delivery.request.intended_at or 0) + schedule.SILENCE
    tried = methods.of(delivery).whole or (delivery.request.intended_at or 0) >= delivery.overdue_at
    if delivery.overdue is not None and tried:
        return fail(delivery, now, delivery.overdue)
    if now < shown_by:
        return replace(delivery, next_try=shown_by)
    if delivery.request.tries >= methods.MAX_TRIES:
        return fail(delivery, now, delivery.trouble or _never_registered(delivery))
    return replace(delivery.with_request(intended_at=None), next_try=now)


def _never_registered(delivery: Delivery) -> Fault:
    return Fault(
        "register-never-answered",
        delivery.where,
        f"RegisterImage was tried {count(delivery.request.tries, 'time')}, and no AMI {delivery.image_name} has come.",
        "Look at RegisterImage in that account's CloudTrail; then tag the AMI again.",
    )


@_apply.register
def _on_image_seen(event: ev.ImageSeen, delivery: Delivery, now: int) -> Delivery:
    if event.state in ("pending", "missing") and delivery.overdue is not None:
        return fail(delivery, now, delivery.overdue)
    if event.state == "missing":
        return methods.of(delivery).missing(delivery, now)
    if event.state == "pending":
        return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), clear_since=None)
    if event.state != "available":
        return methods.of(delivery).failed(delivery, event, now)
    if event.differences and delivery.tries + 1 < VERIFY_TRIES:
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries + 2))
    if event.differences:
        return fail(delivery, now, *event.differences)
    copies = tuple(Copy(source, CopyState.COMPLETED, copy, progress=100) for source, copy in event.copies)
    seen = replace(delivery, available_at=now, tries=0, next_try=now, copies=copies or delivery.copies)
    return seen.with_deletions(event.extras)


@_apply.register
def _on_image_discarded(_event: ev.ImageDiscarded, delivery: Delivery, now: int) -> Delivery:
    """Once more when all that the try has made must have shown itself; then its name and a new token are tried."""
    begun = delivery.request.whole_intended_at or 0
    if now < begun + schedule.SILENCE:
        return replace(delivery, tries=0, next_try=begun + schedule.SILENCE)
    not_before = begun + schedule.step(schedule.NOT_YET, len(delivery.request.discarded))
    gone = (*delivery.request.discarded, *([delivery.image] if delivery.image else []))
    fresh = replace(delivery, image=None).with_request(intended_at=None, discarding=False, discarded=gone, token="")
    if fresh.overdue is not None:
        return fail(fresh, now, fresh.overdue)
    return replace(fresh, tries=0, next_try=max(now, not_before))


@_apply.register
def _on_copies_tagged(_event: ev.CopiesTagged, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery, tagged=True, tries=0, next_try=now)


@_apply.register
def _on_deprecation_carried(_event: ev.DeprecationCarried, delivery: Delivery, now: int) -> Delivery:
    return to(delivery, DeliveryState.PUBLISHING, now)


@_apply.register
def _on_image_protected(_event: ev.ImageProtected, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery, protected=True, tries=0, next_try=now)


def _not_protected(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    """Go on without: a good delivery does not fail for its protection, and says why it has none."""
    if event.kind is RefusalKind.THROTTLED and delivery.tries < PROTECT_TRIES:
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries), trouble=event.fault)
    why = unprotected_fault(delivery, event.fault)
    return replace(delivery, unprotected=why, trouble=None, tries=0, next_try=now)


def unprotected_fault(delivery: Delivery, refusal: Fault) -> Fault:
    """Return the fault of an AMI that is delivered, and that anybody in the target who may deregister can remove."""
    return Fault(
        "image-not-protected",
        f"{delivery.where}, {delivery.image}",
        f"The AMI is delivered, without deregistration protection. {refusal.what}",
        "Protect it with that account's credentials: `aws ec2 enable-image-deregistration-protection --image-id "
        f"{delivery.image} --region {delivery.target.region}`. If the role may not do it, deploy this version's "
        "deploy/target.yaml there; or write `protect: false` in the targets file.",
    )


@_apply.register
def _on_outcome_notified(_event: ev.OutcomeNotified, delivery: Delivery, now: int) -> Delivery:
    over = to(delivery, delivery.ending or (DeliveryState.SHARED if delivery.shared else DeliveryState.DELIVERED), now)
    return over if over.state is DeliveryState.SHARED else _small(over)


def _small(over: Delivery) -> Delivery:
    """What is over is small: whom it was for, what came of it, and the nonces (invariant 4).

    ``key_arn`` and the copies are for those that copy from the hub's own, for `status` and for `reconcile`; what
    `status` needs to find its shares follows from the source and from how it was to be copied.
    """
    made = over.copies if over.ending is None else ()
    return replace(
        over,
        source_name="",
        groups=(),
        snapshots=(),
        entered={over.state: over.entered[over.state]},
        copies=tuple(Copy(copy.source, copy.state, copy.copy) for copy in made),
        shares=tuple(share for share in over.shares if share.stays),
        slots=SlotRequest(),
        request=ImageRequest(),
        trouble=None,
        hard_close_at=None,
        handled={},
    )


@_apply.register
def _on_end_seen(event: ev.EndSeen, delivery: Delivery, now: int) -> Delivery:
    if event.until > now:
        return replace(delivery, ends_at=event.until)
    return end(replace(delivery, expired=True), DeliveryState.WITHDRAWN, (), now)


# --- trouble ---------------------------------------------------------------------------------------------------------


@_apply.register
def _on_refused(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    if event.source is not None:
        return _copy_refused(event, delivery, now)
    if event.step == do.DeleteSnapshots.__name__ and event.kind is RefusalKind.DENIED:
        left = (*delivery.cleanup.leftovers, *delivery.cleanup.to_delete)
        return delivery.with_cleanup(leftovers=left, to_delete=())
    if event.step == do.ProtectImage.__name__ and delivery.state is DeliveryState.PUBLISHING:
        return _not_protected(event, delivery, now)
    if event.step == do.RegisterImage.__name__ and not event.unknown:
        if _is_old(delivery, event):
            return delivery
        delivery = methods.of(delivery).denied(delivery, event.nonce)
    if delivery.overdue_at and event.step == do.FindLeftovers.__name__ and delivery.state is DeliveryState.TIDYING:
        return _left_behind(replace(delivery, trouble=event.fault), now)
    if event.step == do.NotifyOutcome.__name__ and delivery.overdue is None and late(delivery, now):
        delivery = replace(delivery, overdue=event.fault, overdue_at=now)
    if event.kind is RefusalKind.ROLE and delivery.state is DeliveryState.REQUESTED:
        return to(delivery, DeliveryState.CHECKING, now, trouble=event.fault)
    if event.kind is RefusalKind.ROLE and delivery.overdue is not None and delivery.state is DeliveryState.CHECKING:
        return fail(delivery, now, delivery.overdue)
    steps = _waits(event, delivery, now)
    if steps:
        return again(delivery, now, schedule.step(steps, delivery.tries), trouble=event.fault)
    overdue = () if delivery.overdue is None else (delivery.overdue,)
    return fail(delivery, now, *overdue, event.fault)


_ONLY_WAITS = frozenset(
    {DeliveryState.AWAITING_APPROVAL, DeliveryState.STOPPING, DeliveryState.TIDYING, DeliveryState.PUBLISHING}
)
"""States that no refusal ends: their deadlines do."""


def _waits(event: ev.Refused, delivery: Delivery, now: int) -> Sequence[int]:
    """Return the waits before the command is tried again; none if the refusal is the end."""
    if delivery.state in _ONLY_WAITS or event.kind is RefusalKind.THROTTLED:
        return schedule.RETRIES
    if event.kind is RefusalKind.ROLE or (delivery.overdue is not None and event.step in LOOKS):
        return schedule.POLLS
    if delivery.overdue is not None:
        return ()
    if event.kind is RefusalKind.LIMIT:
        return schedule.POLLS
    method = methods.of(delivery) if event.step == do.RegisterImage.__name__ else methods.BY_SNAPSHOTS
    if event.kind is RefusalKind.NOT_YET and method.may_come_true(delivery, event, now):
        return schedule.NOT_YET
    return ()


def _is_old(delivery: Delivery, event: ev.Refused) -> bool:
    """Whether an answer is to an earlier attempt: another one has been intended since, and may have taken effect."""
    last = delivery.attempt(event.source or "")
    return bool(event.nonce) and last is not None and last.nonce != event.nonce


def _copy_refused(event: ev.Refused, delivery: Delivery, now: int) -> Delivery:
    """CopySnapshot was refused; or nobody knows, and then the intent stands until a look has been taken."""
    copy = next((c for c in delivery.copies if c.source == event.source and c.state is CopyState.INTENDED), None)
    if copy is None or delivery.state is not DeliveryState.COPYING or _is_old(delivery, event):
        return delivery  # old news: it came to a record that somebody else had moved on
    if event.unknown:
        return replace(delivery, trouble=event.fault)
    delivery = forget(delivery, event.nonce)
    early = now - (delivery.opened_at or 0) <= schedule.NOT_YET_FOR
    waits = {
        RefusalKind.THROTTLED: schedule.step(schedule.RETRIES, copy.tries - 1),
        RefusalKind.LIMIT: schedule.MINUTE,
        RefusalKind.ROLE: schedule.step(schedule.POLLS, copy.tries - 1),
    }
    if event.kind is RefusalKind.NOT_YET and early:
        waits[RefusalKind.NOT_YET] = schedule.step(schedule.RETRIES, copy.tries - 1)
    if event.kind not in waits:
        return fail(
            each_copy(delivery, lambda c: replace(c, state=CopyState.WANTED) if c is copy else c), now, event.fault
        )
    waiting = replace(copy, state=CopyState.WANTED, not_before=now + waits[event.kind])
    delivery = each_copy(delivery, lambda c: waiting if c is copy else c)
    limited = now if event.kind is RefusalKind.LIMIT else delivery.slots.limited_at
    return replace(delivery.with_slots(limited_at=limited), trouble=event.fault)


@_apply.register
def _on_cancel_asked(event: ev.CancelAsked, delivery: Delivery, now: int) -> Delivery:
    delivery = replace(delivery, expired=event.expired)
    return end(
        delivery,
        DeliveryState.WITHDRAWN if delivery.state is DeliveryState.SHARED else DeliveryState.CANCELLED,
        (),
        now,
    )


@_apply.register
def _on_deadline_passed(_event: ev.DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    if delivery.state is DeliveryState.STOPPING:
        return to(delivery.with_cleanup(leftovers=tuple(_may_be_left(delivery))), DeliveryState.TIDYING, now)
    if delivery.state is DeliveryState.TIDYING:
        if delivery.overdue_at:
            return _left_behind(delivery, now).with_cleanup(leftovers=tuple(_may_be_left(delivery)))
        return replace(delivery, overdue_at=now, next_try=now)
    if delivery.overdue is not None:  # nobody has been able to look since
        why = () if delivery.trouble is None else (delivery.trouble,)
        left = delivery.with_cleanup(done=True, leftovers=tuple(_may_be_left(delivery)))
        faults = (*delivery.faults, delivery.overdue, *why)
        return to(left, DeliveryState.TIDYING, now, ending=DeliveryState.FAILED, faults=faults)
    fault = _deadline_fault(delivery)
    begun = delivery.request.intended_at is not None or delivery.request.discarding
    never_begun = methods.of(delivery).whole and delivery.state is DeliveryState.REGISTERING and not begun
    if delivery.state in WORKING and not never_begun:
        return replace(delivery, overdue=fault, overdue_at=now, next_try=now)
    if delivery.state in QUEUEING:
        return replace(delivery.with_slots(next_ask=now), overdue=fault, overdue_at=now, next_try=now, tries=0)
    return fail(delivery, now, fault)


def _deadline_fault(delivery: Delivery) -> Fault:
    trouble = delivery.blocked or delivery.trouble
    last = "" if trouble is None else f" The last refusal was: {trouble.what}"
    return Fault(
        f"deadline-{delivery.state}",
        delivery.where,
        f"The state {delivery.state} has lasted until its deadline.{last}",
        _DEADLINE_CURE[delivery.state] if delivery.blocked is None else delivery.blocked.cure,
    )


def _left_behind(delivery: Delivery, now: int) -> Delivery:
    """End the cleanup with a look taken after its deadline, and name what is left."""
    why = () if delivery.trouble is None else (delivery.trouble,)
    done = replace(delivery.with_cleanup(done=True), tries=0, next_try=now, faults=(*delivery.faults, *why))
    return replace(done, overdue=None, overdue_at=0)


def _may_be_left(delivery: Delivery) -> Iterator[str]:
    """Name what was made there, or may have been: a person must remove it, as the service cannot look."""
    yield from (copy.copy or f"copy of {copy.source}" for copy in delivery.copies if copy.tries)
    if delivery.image or delivery.request.intended_at is not None:
        yield delivery.image or f"AMI {delivery.image_name}"


_DEADLINE_CURE = {
    DeliveryState.AWAITING_APPROVAL: "Nobody approved it. `ami-promoter approve`, then `ami-promoter retry`.",
    DeliveryState.REQUESTED: "Look at the function `worker`: its dead letters and errors; then tag the AMI again.",
    DeliveryState.CHECKING: "Deploy deploy/target.yaml there, with the targets file's external id; then tag again.",
    DeliveryState.WAITING: "Too many copies run there; raise queue_deadline in the targets file, or promote fewer.",
    DeliveryState.OPENING: "Look at the function `share-worker`: its dead letters and errors; then tag the AMI again.",
    DeliveryState.COPYING: "Look at the copies in that account; raise copy_deadline in the targets file if slow.",
    DeliveryState.REGISTERING: "Look for RegisterImage or CopyImage in that account's CloudTrail; then tag again.",
    DeliveryState.VERIFYING: "Look at the AMI in that account: it never became available. If CopyImage is slow, raise "
    "copy_deadline in the targets file; then tag the AMI again.",
}


@_apply.register
def _on_leftovers_seen(event: ev.LeftoversSeen, delivery: Delivery, now: int) -> Delivery:
    """What the service has left there. Two looks prove absence; a refused delete keeps no share open.

    If nothing is unfinished, the shares may close. If nothing is left, the cleanup is done.
    """
    before = delivery.cleanup.leftovers
    delivery = replace(delivery, trouble=event.trouble)
    delivery = delivery.with_cleanup(leftovers=event.left, unproven=event.unproven[:MOST_UNPROVEN])
    stopping = delivery.state is DeliveryState.STOPPING
    shown = bool(event.unfinished or _unseen(delivery, event, now)) if stopping else bool(event.left)
    if delivery.overdue_at and not stopping:
        return _left_behind(delivery, now)
    if shown:
        steps = schedule.POLLS if stopping else schedule.RETRIES[2:]
        return again(delivery, now, schedule.step(steps, delivery.tries), clear_since=None)
    since = delivery.clear_since
    if since is None or now < since + schedule.SECOND_LOOK_AFTER:
        wait = schedule.SECOND_LOOK_AFTER if since is None else since + schedule.SECOND_LOOK_AFTER - now
        return again(delivery, now, wait, clear_since=now if since is None else since)
    over = each_copy(delivery, lambda c: replace(c, state=CopyState.ERROR) if c.tries else c)
    return to(over.with_cleanup(done=not event.left and not before), DeliveryState.TIDYING, now)


def _unseen(delivery: Delivery, event: ev.LeftoversSeen, now: int) -> bool:
    """Whether something that the service began may exist and not show yet."""
    copies = any(
        copy.state is CopyState.INTENDED or (copy.copy is not None and copy.copy not in event.left)
        for copy in delivery.copies
        if copy.tries and now < (copy.intended_at or 0) + schedule.SILENCE
    )
    registered = delivery.request.intended_at if delivery.image is None else None
    whole = delivery.request.whole_intended_at or 0  # of CopyImage the snapshots' ids are not known
    intended = max(registered or 0, whole)
    return copies or now < intended + schedule.SILENCE
