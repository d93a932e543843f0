"""How events change a delivery while its snapshots are copied."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods, permissions, proof
from chalicelib.core.delivery.model import Copy, CopyState, Delivery, DeliveryState
from chalicelib.core.delivery.moves import Handlers, each_copy, fail, to
from chalicelib.core.faults import Fault
from chalicelib.core.records import schedule

VERIFY_TRIES = 3
"""Reads are eventually consistent, so a difference counts only after a second read."""

MOST_UNPROVEN = 20
"""A fault names at most this many, because principals in a target can create any number of them."""


def _on_copy_started(event: ev.CopyStarted, delivery: Delivery, now: int) -> Delivery:
    known = next((copy for copy in delivery.copies if copy.source == event.source), None)
    by_nonce = next((one.id for one in delivery.attempts if one.nonce == event.nonce), "")
    delivery = proof.answered(delivery, event.nonce, event.source, event.copy)
    if known is not None and known.adopted and known.copy == by_nonce != event.copy:
        return _mistaken(event, known, delivery, now)
    if known is None or known.state is not CopyState.INTENDED or delivery.state is not DeliveryState.COPYING:
        if known is not None and known.copy == event.copy:  # now AWS has confirmed it
            return each_copy(delivery, lambda copy: replace(copy, adopted=False) if copy is known else copy)
        return delivery.with_deletions([event.copy])
    return each_copy(
        replace(delivery, last_refusal=None, tries=0),
        lambda copy: (
            replace(copy, state=CopyState.PENDING, copy=event.copy, looks=0, next_look=now + schedule.POLLS[0])
            if copy.source == event.source
            else copy
        ),
    )


def _mistaken(event: ev.CopyStarted, known: Copy, delivery: Delivery, now: int) -> Delivery:
    """Fail: AWS's late answer says that what was adopted by its nonce is somebody else's."""
    ours = replace(known, copy=event.copy, adopted=False)
    right = each_copy(delivery, lambda copy: ours if copy is known else copy)
    if delivery.state not in (DeliveryState.COPYING, DeliveryState.REGISTERING, DeliveryState.VERIFYING):
        return right
    return fail(right, now, proof.doubled_fault(delivery.where, [str(known.copy), event.copy]))


def _on_copies_found(event: ev.CopiesFound, delivery: Delivery, now: int) -> Delivery:
    sorted_out = proof.copies(delivery, event.copies)
    delivery = with_unproven(delivery, sorted_out)
    doubled = _in_doubt(delivery, sorted_out.doubled)
    if doubled:
        return fail(delivery, now, proof.doubled_fault(delivery.where, [one.copy for one in doubled]))
    matched = match(delivery, sorted_out.own, now)
    if delivery.state is DeliveryState.REGISTERING:
        return replace(matched, copies_listed_again=True)
    found = each_copy(matched, lambda copy: replace(copy, found_at=now))
    judged = _judge(_silent(found, now), sorted_out.own, now)
    if judged.state is DeliveryState.COPYING and judged.last_look.failure is not None:
        return fail(judged, now, judged.last_look.failure)
    if judged.state is DeliveryState.COPYING and event.role not in ("", delivery.target.role_name):
        return permissions.renamed(judged, event.role, now)
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
    """Wait for the copy of an intent; conclude only after the second look that no copy exists."""

    def judge(copy: Copy) -> Copy:
        if copy.state is not CopyState.INTENDED:
            return copy
        shown_by = (copy.intended_at or 0) + schedule.SILENCE
        if now >= shown_by and copy.looks:
            wait = schedule.step(schedule.POLLS, copy.tries - 2) if copy.tries > 1 else 0
            return replace(copy, state=CopyState.WANTED, looks=0, not_before=now + wait)
        return replace(copy, looks=copy.looks + 1, next_look=max(shown_by, now + schedule.SECOND_LOOK_AFTER))

    return each_copy(delivery, judge)


def match(delivery: Delivery, seen: tuple[ev.SeenCopy, ...], now: int) -> Delivery:
    """Adopt the oldest live copy of each snapshot that the service made; delete extras and earlier errors."""
    useless: list[str] = []
    answered = {one.id for one in delivery.attempts}

    def match(copy: Copy) -> Copy:
        found = sorted((s for s in seen if s.source == copy.source), key=lambda s: (s.started_at, s.copy))
        if copy.state not in (CopyState.WANTED, CopyState.INTENDED):
            useless.extend(s.copy for s in found if s.copy != copy.copy)
            return copy
        live = [s for s in found if s.state in ("pending", "completed")]
        if copy.state is CopyState.INTENDED and not live:
            # A copy that ended in error at once is this intent's result, too, and is handled like any other.
            live = [s for s in found if s.started_at >= (copy.intended_at or 0)]
        useless.extend(s.copy for s in found if s not in live[:1])
        if not live:
            return copy
        state = CopyState.COMPLETED if live[0].state == "completed" else CopyState.PENDING
        return replace(
            copy,
            state=state,
            copy=live[0].copy,
            adopted=live[0].copy not in answered,
            tries=max(copy.tries, 1),
            looks=0,
            next_look=now + schedule.POLLS[0],
        )

    return proof.keep(each_copy(delivery, match).with_deletions(useless), proof.learnt(delivery, seen))


def _on_copies_seen(event: ev.CopiesSeen, delivery: Delivery, now: int) -> Delivery:
    return _judge(delivery.with_slots(others_wait=False), event.copies, now, event.asked)


def _judge(delivery: Delivery, seen: tuple[ev.SeenCopy, ...], now: int, asked: tuple[str, ...] = ()) -> Delivery:
    """Update the delivery's copies from what EC2 shows now."""
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
        return to(judged, DeliveryState.REGISTERING, now, last_refusal=None)
    return judged


def _missing(copy: Copy, now: int, faults: list[Fault], delivery: Delivery) -> Copy:
    """A copy that one look does not show may appear late; a copy that looks for two minutes do not show is gone."""
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
    """Handle a failed copy. For ten minutes, missing key access may only be late and is not a failure."""
    opened_at = delivery.shares.opened_at
    early = opened_at is None or (copy.intended_at or now) - opened_at <= schedule.NOT_YET_FOR
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


def _on_snapshots_deleted(event: ev.SnapshotsDeleted, delivery: Delivery, _now: int) -> Delivery:
    left = tuple(one for one in delivery.cleanup.to_delete if one not in event.snapshots)
    return delivery.with_cleanup(to_delete=left)


def with_unproven(delivery: Delivery, found: proof.Copies) -> Delivery:
    """Record resources with the service's tags but no proof: a notice names them, and the service leaves them."""
    names = sorted(one.copy for one in (*found.doubled, *found.unproven))
    return delivery.with_cleanup(unproven=tuple(names[:MOST_UNPROVEN]))


HANDLERS: Handlers = {
    ev.CopyStarted: _on_copy_started,
    ev.CopiesFound: _on_copies_found,
    ev.CopiesSeen: _on_copies_seen,
    ev.SnapshotsDeleted: _on_snapshots_deleted,
}
