"""Copying: start a copy of each snapshot, look at them until all are completed, try again what came too early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.delivery import attempts, holdings, leftovers, permissions, proof, slots
from chalicelib.delivery.attempts import CopiesFound, CopyStarted, FindCopies
from chalicelib.delivery.common_changes import MAX_TRIES, copy_entries, each_copy, without_entries
from chalicelib.delivery.model import Attempt, Copy, CopyState, Delivery, DeliveryState
from chalicelib.delivery.phase import Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.ending import CANCELS, ENDING, TIDY, fail
from chalicelib.delivery.phases.imaging import REGISTER, copy_cure
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads
from chalicelib.engine.wakes import FAILED_COPY

COPY = StateEntry(DeliveryState.COPYING)
_CURE = "Look at the copies in that account; raise copy_deadline in the targets file if slow."

LISTED_FOR = 60
"""How old the last list of all copies in the target may be when a try starts (seconds).

The first try needs a list, too: the record may be from a backup, and the copy may exist already."""

LATE = ("not accessible", "Source snapshot is not found")
"""What EC2 says of a copy in error where key access or a share is not there, or only late [aws-facts 2, VERIFIED]."""

SHARES_SEEN_FOR = schedule.HOUR
"""Seconds after its shares have opened for which the polls do not ask the ledger: most copies have ended by then."""


@dataclass(frozen=True, slots=True)
class StartCopy(Command):
    """CopySnapshot. Its intent is written first."""

    source: str
    makes = True

    def intend(self, delivery: Delivery, nonce: str, now: int) -> Delivery:
        """Begin an attempt."""

        def begin(copy: Copy) -> Copy:
            if copy.source != self.source:
                return copy
            fresh = replace(copy, adopted=False, tries=copy.tries + 1, missed_since=0)
            return replace(fresh, state=CopyState.INTENDED, next_look=now)

        return each_copy(proof.begin(delivery, nonce, self.source, now), begin)

    def attempt(self, delivery: Delivery) -> Attempt | None:
        """Return the last try that AWS has not refused."""
        return delivery.under_way(self.source)

    def intended_call(self, _delivery: Delivery) -> str:
        """Name the call and the snapshot."""
        return f"CopySnapshot {self.source}"


class LookIfAwaited(Command):
    """As ``FindCopies``, if another delivery waits for a slot in the target, which an ended copy would free."""

    between_writes = False


class NobodyWaits(DeliveryEvent):
    """No other delivery needs a slot there."""

    keeps_refusal = True


# --- what is left to do -----------------------------------------------------------------------------------------------


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """Ask for slots last: if the time ends within the list, copies that have slots must have been started before.

    Otherwise each try would only use up a slot.
    """
    return (*leftovers.deletes(delivery, now), *_copies(delivery, now), *_slots(delivery, now))


def _slots(delivery: Delivery, now: int) -> tuple[Command, ...]:
    wants = any(copy.state is CopyState.WANTED for copy in delivery.copies)
    starved = wants and not slots.free(delivery, now)
    asks = (delivery.slots.asked and not slots.is_asked(delivery)) or (starved and now >= delivery.slots.next_ask)
    return (slots.AskSlots(),) if asks else ()


def _copies(delivery: Delivery, now: int) -> tuple[Command, ...]:
    due = now >= delivery.next_try
    if delivery.last_look.failure is not None:
        return (FindCopies(),) if due else ()
    lost = [copy for copy in delivery.copies if copy.state is CopyState.INTENDED]
    if lost:
        return (FindCopies(),) if due and any(now >= copy.next_look for copy in lost) else ()
    poll = _polls(delivery, now)
    looks = (FindCopies(),) if poll or _worth_looking_now(delivery) else ()
    if _reopens(delivery):
        return (*looks, *holdings.steps(delivery, now))
    if looks:  # the shares may have been closed and refused since
        asks = poll and now >= (delivery.holdings.opened_at or 0) + SHARES_SEEN_FOR
        return (*looks, holdings.LookAtShares()) if asks else looks
    ready = [c for c in delivery.copies if due and c.state is CopyState.WANTED and now >= c.next_look]
    ready = ready[: slots.free(delivery, now)]
    if any(now > copy.found_at + LISTED_FOR for copy in ready):
        return (FindCopies(),)
    return tuple(StartCopy(copy.source) for copy in ready)


def starts(delivery: Delivery) -> bool:
    """Whether it has copies to start: then the name of the copy role counts."""
    return any(copy.state is CopyState.WANTED for copy in delivery.copies)


def _polls(delivery: Delivery, now: int) -> bool:
    pending = (copy for copy in delivery.copies if copy.state is CopyState.PENDING)
    return now >= delivery.next_try and any(now >= copy.next_look for copy in pending)


def _reopens(delivery: Delivery) -> bool:
    """Whether its next copies wait until its shares are open again, because the file has renamed the copy role."""
    return delivery.holdings.opened_at is None


def _said_of_copies(delivery: Delivery) -> list[str]:
    """Return the events about running copies that have not led to a look yet."""
    running = (f"look#{copy.source}" for copy in delivery.copies if copy.state is CopyState.PENDING)
    return [delivery.inbox[name] for name in running if name in delivery.inbox]


def _worth_looking_now(delivery: Delivery) -> bool:
    """Whether events are a reason to look before it is due: one look for all copies, once each has an event.

    Look at once if a copy did not succeed, because it must be tried again.
    """
    said = _said_of_copies(delivery)
    if any(one.startswith(FAILED_COPY) for one in said):
        return True
    return bool(said) and len(said) == sum(copy.state is not CopyState.COMPLETED for copy in delivery.copies)


def _has_its_look(delivery: Delivery, copy: Copy, now: int) -> bool:
    """Whether a running copy waits for this look: its time has come, or an event about it."""
    if copy.state is not CopyState.PENDING:
        return False
    return now >= copy.next_look or f"look#{copy.source}" in delivery.inbox


def _looks(delivery: Delivery, now: int) -> Iterator[Command]:
    """Look if somebody waits for its slots, where an event alone is no reason; and at what its copies wait for."""
    if _said_of_copies(delivery) and not _worth_looking_now(delivery) and not _polls(delivery, now):
        yield LookIfAwaited()
    if slots.lacks(delivery):
        yield slots.LookAtSlots()
    if _reopens(delivery) and delivery.tries:
        yield holdings.LookAtShares()


# --- starting and finding copies --------------------------------------------------------------------------------------


def _started(event: CopyStarted, delivery: Delivery, now: int) -> Delivery:
    known = next((copy for copy in delivery.copies if copy.source == event.source), None)
    if known is None or known.state is not CopyState.INTENDED:
        return trouble.late_copy(event, delivery, now)
    next_look = now + schedule.COPY_POLLS[0]
    running = replace(known, state=CopyState.PENDING, id=event.copy, missed_since=0, next_look=next_look)
    after = each_copy(delivery, lambda copy: running if copy is known else copy)
    return replace(proof.with_answer(after, event.nonce, event.source, event.copy), tries=0)


def _found(event: CopiesFound, delivery: Delivery, now: int) -> Delivery:
    found = trouble.listed(event, delivery, now)
    if found.ending is not None:
        return found
    judged = _judge(found if event.by_ids else _silent(found, now), event.copies, now)
    judged = without_entries(judged, copy_entries(judged))
    if judged.state is not COPY.state:
        return judged
    if judged.last_look.failure is not None:
        return fail(judged, now, judged.last_look.failure)
    wanted = any(copy.state is CopyState.WANTED for copy in judged.copies)
    renamed = wanted and event.role not in ("", delivery.target.role_name)
    return permissions.renamed(judged, event.role, now) if renamed else judged


def _silent(delivery: Delivery, now: int) -> Delivery:
    """Wait for the copies of intents; only after two looks that missed one, conclude that it does not exist."""

    def not_shown(copy: Copy) -> Copy:
        if copy.state is not CopyState.INTENDED:
            return copy
        since = copy.missed_since or now
        last = max(delivery.intended_at(copy.source) + schedule.SILENCE, since + schedule.SECOND_LOOK_AFTER)
        if now < last:
            return replace(copy, missed_since=since, next_look=last)
        wait = schedule.step(schedule.POLLS, copy.tries - 2) if copy.tries > 1 else 0
        return replace(copy, state=CopyState.WANTED, next_look=now + wait)

    return each_copy(delivery, not_shown)


# --- looking at copies ------------------------------------------------------------------------------------------------


def _judge(delivery: Delivery, seen: tuple[proof.SeenCopy, ...], now: int) -> Delivery:
    """Update the delivery's copies from what EC2 shows now."""
    shown = {s.id: s for s in seen}
    faults: list[Fault] = []
    useless: list[str] = []

    def as_shown(copy: Copy) -> Copy:
        if copy.id is None or copy.state not in (CopyState.PENDING, CopyState.COMPLETED):
            return copy
        found = shown.get(copy.id)
        if found is None:
            return _missing(copy, now, faults, delivery) if copy.state is CopyState.PENDING else copy
        copy = replace(copy, missed_since=0)
        if found.state == "completed":
            if found.key_arn != delivery.key_arn:
                faults.append(_wrong_key(delivery, copy, found))
            return replace(copy, state=CopyState.COMPLETED, progress=100, found_at=0, next_look=0)
        if found.state == "pending" and not _has_its_look(delivery, copy, now):
            return copy
        if found.state == "pending":
            soon = f"look#{copy.source}" in delivery.inbox  # an event says that it has ended, which may show late
            return replace(copy, next_look=now + schedule.COPY_POLLS[0 if soon else -1], progress=found.progress)
        useless.append(found.id)
        return _errored(copy, found, now, faults, delivery)

    judged = each_copy(delivery, as_shown).with_deletions(useless)
    if faults:
        return fail(judged, now, *faults)
    if judged.copies and all(copy.state is CopyState.COMPLETED for copy in judged.copies):
        return REGISTER(judged, now)
    return judged


def _missing(copy: Copy, now: int, faults: list[Fault], delivery: Delivery) -> Copy:
    """Handle a copy that a look misses: it may show late. If looks miss it for two minutes, it is gone."""
    since = copy.missed_since or now
    if now < since + schedule.SILENCE:
        return replace(copy, missed_since=since, next_look=now + schedule.POLLS[0])
    what = f"The copy {copy.id} of {copy.source} is gone."
    cure = "Somebody probably deleted it: look for DeleteSnapshot in that account's CloudTrail, then tag the AMI again."
    faults.append(Fault("copy-vanished", delivery.where, what, cure))
    return copy


def _wrong_key(delivery: Delivery, copy: Copy, found: proof.SeenCopy) -> Fault:
    what = f"The copy {copy.id} of {copy.source} is under {found.key_arn or 'no key'}, not {delivery.key_arn}."
    cure = "Check whether somebody moved the key's alias while the copy ran; then tag the AMI again."
    return Fault("copy-under-another-key", delivery.where, what, cure)


def _errored(copy: Copy, found: proof.SeenCopy, now: int, faults: list[Fault], delivery: Delivery) -> Copy:
    """Handle a failed copy. For ten minutes, a missing share or key access may only be late and is not a failure."""
    opened_at = delivery.holdings.opened_at
    early = opened_at is None or (delivery.intended_at(copy.source) or now) - opened_at <= schedule.NOT_YET_FOR
    late = any(words in found.message for words in LATE)
    if late and early and copy.tries < MAX_TRIES:
        wait = schedule.step(schedule.NOT_YET, copy.tries - 1)
        return replace(copy, state=CopyState.WANTED, id=None, progress=0, next_look=now + wait)
    what = f"The copy {found.id} of {copy.source} ended in error: {found.message or 'no reason given'}."
    faults.append(Fault("copy-failed", delivery.where, what, copy_cure(found.message, delivery.target.account)))
    return replace(copy, state=CopyState.ERROR)


# --- shares and refusals ----------------------------------------------------------------------------------------------


def _shares_seen(event: holdings.SharesSeen, delivery: Delivery, now: int) -> Delivery:
    """Go on if its shares are open again. If one was refused, look at the copies once more: finished ones are good."""
    if event.open and _reopens(delivery):
        return replace(delivery.with_holdings(opened_at=now), tries=0, next_try=now)
    if event.refused is None or delivery.last_look.failure is not None:
        return delivery
    return trouble.await_look(delivery, event.refused, now)


def _refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.source is not None:
        return _copy_refused(event, delivery, now)
    looks = event.step in (FindCopies.__name__, LookIfAwaited.__name__)
    news = copy_entries(delivery) if looks else ()
    return trouble.refused(event, without_entries(delivery, news), now, looks=looks)


def _copy_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    """Handle a refusal of CopySnapshot. If its effect is unknown, the intent stays until a look."""
    copy = next((c for c in delivery.copies if c.source == event.source and c.state is CopyState.INTENDED), None)
    if copy is None or attempts.is_old(delivery, event):
        return delivery  # ignore it: another worker has changed the record since
    if event.unknown:
        return replace(delivery, last_refusal=event.fault)
    early = _reopens(delivery) or now - (delivery.holdings.opened_at or 0) <= schedule.NOT_YET_FOR
    waits = {
        RefusalKind.THROTTLED: schedule.step(schedule.RETRIES, copy.tries - 1),
        RefusalKind.LIMIT: schedule.MINUTE,
        RefusalKind.ROLE: schedule.step(schedule.POLLS, copy.tries - 1),
    }
    if early:
        waits[RefusalKind.NOT_YET] = schedule.step(schedule.RETRIES, copy.tries - 1)
    wait = waits.get(event.kind)
    wanted = replace(copy, state=CopyState.WANTED, next_look=now + (wait or 0))
    delivery = each_copy(proof.forget(delivery, event.nonce), lambda c: wanted if c is copy else c)
    if wait is None:
        return fail(delivery, now, event.fault)
    limited = now if event.kind is RefusalKind.LIMIT else delivery.slots.limited_at
    return replace(delivery.with_slots(limited_at=limited), last_refusal=event.fault)


PHASES = {
    DeliveryState.COPYING: Phase(
        on={
            slots.SlotsAsked: leads(slots.asked, COPY),
            slots.SlotsSeen: leads(slots.seen, COPY),
            NobodyWaits: leads(lambda _event, delivery, _now: delivery, COPY),
            CopyStarted: leads(_started, COPY, *ENDING),
            CopiesFound: leads(_found, COPY, REGISTER, *ENDING),
            leftovers.SnapshotsDeleted: leads(leftovers.deleted, COPY),
            holdings.RoleRenamed: leads(
                lambda event, delivery, now: permissions.renamed(delivery, event.role, now), COPY
            ),
            holdings.SharesHeld: leads(partial(holdings.held, look=_shares_seen), COPY),
            holdings.SharesSeen: leads(_shares_seen, COPY),
            Refused: leads(_refused, COPY, *ENDING),
            **CANCELS,
            DeadlinePassed: leads(trouble.looks_once_more(_CURE), COPY, TIDY),
        },
        outstanding=_outstanding,
        deadline=lambda delivery: delivery.copies_due_by,
        looks=lambda delivery, now: tuple(_looks(delivery, now)),
    )
}
