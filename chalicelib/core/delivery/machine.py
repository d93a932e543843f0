"""The state machine of a delivery: what may happen in which state, and what is left to do.

Three questions, three places. ``TRANSITIONS`` says where an event may lead; ``evolve`` (in ``evolving``) says
what an event changes; ``outstanding`` says what is left to do, from the record alone. So a crash loses nothing:
the next run reads the record and asks ``outstanding`` again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import events as ev
from chalicelib.core.delivery import methods
from chalicelib.core.delivery.model import ENDED, Attempt, Copy, CopyState, Delivery, DeliveryState
from chalicelib.core.records import schedule
from chalicelib.core.records.wakes import FAILED_COPY

S = DeliveryState

_END = frozenset({S.STOPPING, S.TIDYING})

WORKING = frozenset({S.AWAITING_APPROVAL, S.COPYING, S.REGISTERING, S.VERIFYING})
"""States in which a passed deadline acts only after one more look that shows the work unfinished."""

QUEUEING = frozenset({S.REQUESTED, S.CHECKING, S.WAITING})
"""States that the queue deadline ends, and only after one more look: what the delivery waits for may be there."""

QUEUE_LOOK = 10 * schedule.MINUTE
"""How long after the queue deadline it still looks for a slot, or for the hub's own copy (seconds).

After an outage other records must act first; the copy quota looks every five minutes.
"""

TRANSITIONS: Mapping[DeliveryState, Mapping[type, frozenset[DeliveryState]]] = {
    S.AWAITING_APPROVAL: {
        ev.ApprovalSeen: frozenset({S.AWAITING_APPROVAL, S.REQUESTED, S.TIDYING}),
        ev.Refused: frozenset({S.AWAITING_APPROVAL}),
        ev.CancelAsked: frozenset({S.TIDYING}),
        ev.DeadlinePassed: frozenset({S.AWAITING_APPROVAL, S.TIDYING}),
    },
    S.REQUESTED: {
        ev.HubCopySeen: frozenset({S.REQUESTED}) | _END,
        ev.TargetReady: frozenset({S.WAITING, S.OPENING, S.REGISTERING, S.VERIFYING}),
        ev.TargetUnfit: _END,
        ev.Refused: frozenset({S.REQUESTED, S.CHECKING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.REQUESTED, S.TIDYING}),
    },
    S.CHECKING: {
        ev.TargetReady: frozenset({S.WAITING, S.OPENING, S.REGISTERING, S.VERIFYING}),
        ev.TargetUnfit: _END,
        ev.Refused: frozenset({S.CHECKING}) | _END,
        ev.WaitingNotified: frozenset({S.CHECKING}),
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.CHECKING, S.TIDYING}),
    },
    S.WAITING: {
        ev.SlotsAsked: frozenset({S.WAITING, S.OPENING}) | _END,
        ev.SlotsSeen: frozenset({S.WAITING, S.OPENING}) | _END,
        ev.Refused: frozenset({S.WAITING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.WAITING, S.TIDYING}),
    },
    S.OPENING: {
        ev.SlotsAsked: frozenset({S.OPENING}),
        ev.SharesHeld: frozenset({S.OPENING}),
        ev.SharesSeen: frozenset({S.OPENING, S.COPYING, S.REGISTERING, S.VERIFYING, S.PUBLISHING}) | _END,
        ev.SnapshotsDeleted: frozenset({S.OPENING}),
        ev.Refused: frozenset({S.OPENING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: _END,
    },
    S.COPYING: {
        ev.SlotsAsked: frozenset({S.COPYING}),
        ev.SlotsSeen: frozenset({S.COPYING}),
        ev.OthersWait: frozenset({S.COPYING}),
        ev.CopyStarted: frozenset({S.COPYING}),
        ev.CopiesFound: frozenset({S.COPYING, S.REGISTERING}) | _END,
        ev.CopiesSeen: frozenset({S.COPYING, S.REGISTERING}) | _END,
        ev.SnapshotsDeleted: frozenset({S.COPYING}),
        ev.SharesSeen: frozenset({S.COPYING}),
        ev.Refused: frozenset({S.COPYING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.COPYING, S.TIDYING}),
    },
    S.REGISTERING: {
        ev.CopiesFound: frozenset({S.REGISTERING}) | _END,
        ev.CopyStarted: frozenset({S.REGISTERING}),
        ev.SlotsAsked: frozenset({S.REGISTERING}),
        ev.SharesReleased: frozenset({S.REGISTERING}),
        ev.SnapshotsDeleted: frozenset({S.REGISTERING}),
        ev.ImageRegistered: frozenset({S.VERIFYING, S.REGISTERING}),
        ev.ImageNotFound: frozenset({S.REGISTERING}) | _END,
        ev.ImageDiscarded: frozenset({S.REGISTERING}) | _END,
        ev.Refused: frozenset({S.REGISTERING}) | _END,
        ev.CancelAsked: frozenset({S.REGISTERING}) | _END,
        ev.DeadlinePassed: frozenset({S.REGISTERING}) | _END,
    },
    S.VERIFYING: {
        ev.CopyStarted: frozenset({S.VERIFYING}),
        ev.SlotsAsked: frozenset({S.VERIFYING}),
        ev.SharesReleased: frozenset({S.VERIFYING}),
        ev.SnapshotsDeleted: frozenset({S.VERIFYING}),
        ev.ImageSeen: frozenset({S.VERIFYING, S.REGISTERING}) | _END,
        ev.CopiesTagged: frozenset({S.VERIFYING}),
        ev.DeprecationCarried: frozenset({S.PUBLISHING}),
        ev.Refused: frozenset({S.VERIFYING}) | _END,
        ev.CancelAsked: _END,
        ev.DeadlinePassed: frozenset({S.VERIFYING, S.TIDYING}),
    },
    S.PUBLISHING: {
        ev.CopyStarted: frozenset({S.PUBLISHING}),
        ev.SlotsAsked: frozenset({S.PUBLISHING}),
        ev.SharesReleased: frozenset({S.PUBLISHING}),
        ev.SnapshotsDeleted: frozenset({S.PUBLISHING}),
        ev.ImageProtected: frozenset({S.PUBLISHING}),
        ev.OutcomeNotified: frozenset({S.DELIVERED, S.SHARED}),
        ev.Refused: frozenset({S.PUBLISHING}),
    },
    S.STOPPING: {
        ev.CopyStarted: frozenset({S.STOPPING}),
        ev.ImageRegistered: frozenset({S.STOPPING}),
        ev.SlotsAsked: frozenset({S.STOPPING}),
        ev.SharesReleased: frozenset({S.STOPPING}),
        ev.LeftoversSeen: _END,
        ev.Refused: frozenset({S.STOPPING}),
        ev.DeadlinePassed: frozenset({S.TIDYING}),
    },
    S.TIDYING: {
        ev.CopyStarted: frozenset({S.TIDYING}),
        ev.ImageRegistered: frozenset({S.TIDYING}),
        ev.SlotsAsked: frozenset({S.TIDYING}),
        ev.SharesReleased: frozenset({S.TIDYING}),
        ev.LeftoversSeen: frozenset({S.TIDYING}),
        ev.OutcomeNotified: frozenset({S.FAILED, S.CANCELLED, S.WITHDRAWN}),
        ev.Refused: frozenset({S.TIDYING}),
        ev.DeadlinePassed: frozenset({S.TIDYING}),
    },
    S.SHARED: {
        ev.CancelAsked: _END,
        ev.EndSeen: frozenset({S.SHARED}) | _END,
    },
    S.WITHDRAWN: {},
    S.DELIVERED: {},
    S.FAILED: {},
    S.CANCELLED: {},
}
"""Where each event may lead. An event that is missing from a state's row is illegal there, and parks the record."""


EXPIRED = "expired:"
"""Begins a request to end because the targets file's date has come; such a delivery is not started again by itself."""

LISTED_FOR = 60
"""How old a list of all copies there may be when a try starts (seconds).

The first try needs it too: the record may be from a backup, and the copy may exist already."""


def needs_shares(delivery: Delivery) -> bool:
    """Whether the shares for the copies must stay open for this delivery (invariant 1).

    Standing shares do not count.
    """
    if delivery.state in (S.OPENING, S.COPYING):
        return True
    if delivery.state is S.STOPPING:
        return not delivery.cleanup.deletes_accepted
    if methods.of(delivery).reads_source(delivery):
        return True
    if delivery.target.release_when == "registered":
        return delivery.state in (S.REGISTERING, S.VERIFYING)
    return False


def deadline(delivery: Delivery) -> int | None:
    """When the present state has lasted long enough, in epoch seconds. None: it has ended.

    If its deadline has passed: until when it tries to look at the target.
    """
    entered = delivery.entered
    if delivery.last_look_since:
        return delivery.last_look_since + schedule.LAST_LOOK_WITHIN
    match delivery.state:
        case S.AWAITING_APPROVAL:
            return entered[S.AWAITING_APPROVAL] + schedule.APPROVAL_DEADLINE
        case S.REQUESTED | S.CHECKING | S.WAITING:
            between = delivery.target.copy_deadline if delivery.via else 0
            return entered.get(S.REQUESTED, delivery.created_at) + between + delivery.target.queue_deadline
        case S.OPENING | S.COPYING:
            return delivery.copies_end
        case S.REGISTERING | S.VERIFYING:
            return methods.of(delivery).image_deadline(delivery)
        case S.STOPPING:
            return delivery.last_closing_at or entered[S.STOPPING] + schedule.TIDYING_DEADLINE
        case S.TIDYING | S.PUBLISHING:
            return max(entered[delivery.state], released_from(delivery)) + schedule.TIDYING_DEADLINE
        case S.SHARED:
            return delivery.ends_at or delivery.target.until or None
        case _:
            return None


def slots(delivery: Delivery) -> tuple[int, int]:
    """How many copy slots it wants in all, and how many of those are finished. One slot is one try of one copy."""
    tried = begun(delivery)
    live = sum(copy.state in (CopyState.INTENDED, CopyState.PENDING) for copy in delivery.copies)
    if delivery.state in (S.WAITING, S.OPENING, S.COPYING):
        return tried + sum(copy.state is CopyState.WANTED for copy in delivery.copies), tried - live
    if delivery.state is S.STOPPING:
        return tried, tried - live
    return tried, tried


def begun(delivery: Delivery) -> int:
    """How many slots it has used in this episode: one for each try of each copy."""
    return sum(copy.tries for copy in delivery.copies)


def slots_asked_text(delivery: Delivery) -> str:
    """What the copy quota should know, in one comparable text."""
    return slots_text(delivery, *slots(delivery), delivery.slots.limited_at or 0)


def slots_text(delivery: Delivery, wanted: int, done: int, limited_at: int) -> str:
    """Return what was asked of a copy quota, in one comparable text."""
    return f"{delivery.episode}:{wanted}:{done}:{limited_at}"


def due_events(delivery: Delivery, now: int) -> tuple[ev.Event, ...]:
    """Inbox entries and passed deadlines, as events; at most one at a time."""
    state = delivery.state
    if state in ENDED:
        return ()
    wish = delivery.fact("cancel")
    if wish is not None and _can_cancel(delivery):
        return (ev.CancelAsked(expired=wish.startswith(EXPIRED)),)
    last = deadline(delivery)
    judged = not _past_caring(delivery) and not waits_for_shares(delivery)
    if last is not None and now >= last and state is not S.SHARED and judged:
        return (ev.DeadlinePassed(),)
    return ()


def waits_for_shares(delivery: Delivery) -> bool:
    """Whether it waits until its shares are open. A look at the ledger decides that, and judges the deadline.

    They may have opened while no run could look.
    """
    return delivery.state is S.OPENING and (delivery.holds_copy or delivery.holds_standing)


def _can_cancel(delivery: Delivery) -> bool:
    """Whether it can still be cancelled. An intended RegisterImage finishes and stays; CopyImage is stopped."""
    if methods.of(delivery).reads_source(delivery):
        return True
    if delivery.state is S.REGISTERING:
        return delivery.request.intended_at is None
    return delivery.state not in (S.VERIFYING, S.PUBLISHING, S.STOPPING, S.TIDYING)


def _past_caring(delivery: Delivery) -> bool:
    """Whether the deadline has had its effect already."""
    if delivery.state is S.PUBLISHING:
        return True
    return delivery.state is S.TIDYING and delivery.cleanup.done


def outstanding(delivery: Delivery, now: int) -> tuple[do.Command, ...]:
    """List what is left to do now, from the record alone. Both asking and doing can be repeated.

    While copying it asks for slots last: if time runs out within the list, an intended copy must not be what is always
    left over, or each try would only use up a slot.
    """
    if delivery.state in ENDED:
        return ()
    due = now >= delivery.next_try
    first: list[do.Command] = []
    last: list[do.Command] = []
    reported = slots_asked_text(delivery)
    if delivery.state is S.WAITING:
        if now >= delivery.slots.next_ask or delivery.slots.asked != reported:
            return (_ask(delivery),)
        return (do.LookAtSlots(),)
    if delivery.slots.asked not in ("", reported) or (starved(delivery, now) and now >= delivery.slots.next_ask):
        (last if delivery.state is S.COPYING else first).append(_ask(delivery))
    elif starved(delivery, now):
        last.append(do.LookAtSlots())
    if delivery.state is S.TIDYING and (delivery.holds_copy or delivery.holds_standing):
        first.append(do.ReleaseShares())
    elif delivery.holds_copy and not needs_shares(delivery) and now >= released_from(delivery):
        first.append(do.ReleaseShares(all=False))
    if delivery.cleanup.to_delete and due and delivery.state not in (S.STOPPING, S.TIDYING):
        first.append(do.DeleteSnapshots(delivery.cleanup.to_delete))
    return (*first, *_step(delivery, now, due=due), *last)


def looks(delivery: Delivery, _now: int) -> tuple[do.Command, ...]:
    """List what it looks at when it is woken: its approval, the hub's own copy, or who waits for a slot."""
    if delivery.state is S.AWAITING_APPROVAL:
        return (do.LookAtApproval(),)
    if delivery.state is S.COPYING and _said_of_copies(delivery) and not _worth_looking_now(delivery):
        return (do.AskWhoWaits(),)
    return (do.AskHubCopy(),) if waits_for_hub_copy(delivery) else ()


def waits_for_hub_copy(delivery: Delivery) -> bool:
    """Whether the hub's own copy in this Region must be there first."""
    return delivery.state is S.REQUESTED and bool(delivery.via) and not delivery.via_copies


def _ask(delivery: Delivery) -> do.AskSlots:
    wanted, done = slots(delivery)
    return do.AskSlots(wanted, begun(delivery), done, delivery.slots.limited_at)


def released_from(delivery: Delivery) -> int:
    """From when its shares may close: the linger counts from the last copy's end."""
    since = methods.of(delivery).copied_at(delivery)
    return 0 if since is None or delivery.ending else since + delivery.target.linger


def _step(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:  # noqa: C901, PLR0911, PLR0912 - a row a state
    if delivery.state is S.COPYING:
        return _copying(delivery, now, due=due)
    if delivery.state is S.OPENING:
        return _opening(delivery, now, due=due)
    if not due and not _nudged(delivery):
        return ()
    match delivery.state:
        case S.AWAITING_APPROVAL:
            return (do.LookAtApproval(),)
        case S.REQUESTED if waits_for_hub_copy(delivery):
            return (do.AskHubCopy(),)
        case S.REQUESTED:
            return (do.CheckTarget(),)
        case S.CHECKING:
            return (do.CheckTarget(),) if delivery.waiting_notified else (do.NotifyWaiting(),)
        case S.REGISTERING if delivery.request.discarding:
            return (do.DiscardImage(),)
        case S.REGISTERING if not delivery.copies_listed_again and any(
            c.tries > 1 or c.adopted for c in delivery.copies
        ):
            return (do.FindCopies(),)
        case S.REGISTERING:
            return (do.RegisterImage(),) if delivery.request.intended_at is None else (do.FindImage(),)
        case S.VERIFYING:
            if delivery.available_at is None:
                return (do.VerifyImage(),)
            untagged = methods.of(delivery).whole and not delivery.tagged
            return (do.TagCopies(),) if untagged else (do.CarryDeprecation(),)
        case S.STOPPING:
            return (do.FindLeftovers(),)
        case S.TIDYING:
            if not delivery.cleanup.done:
                return (do.FindLeftovers(),)
            return (
                ()
                if delivery.holds_copy or delivery.holds_standing
                else (do.NotifyOutcome(publish=not _gives_up(delivery, now)),)
            )
        case S.SHARED:
            end = deadline(delivery)
            return (do.LookAtEnd(),) if end is not None and now >= end else ()
        case S.PUBLISHING if _to_protect(delivery):
            return (do.ProtectImage(),)
        case S.PUBLISHING:
            waits = delivery.holds_copy or (delivery.cleanup.to_delete and not late(delivery, now))
            return () if waits else (do.NotifyOutcome(publish=not _gives_up(delivery, now)),)
        case _:
            return ()


def _to_protect(delivery: Delivery) -> bool:
    """Whether its AMI must be protected first. From `publishing` on the service never removes it."""
    wanted = delivery.target.protect and not delivery.shared
    return wanted and not delivery.protected and delivery.unprotected is None


def late(delivery: Delivery, now: int) -> bool:
    """Whether it is an hour past its deadline. A notice that is refused after that is tried for another hour."""
    last = deadline(delivery)
    return delivery.pending_failure is not None or (last is not None and now >= last + schedule.GRACE)


def _gives_up(delivery: Delivery, now: int) -> bool:
    """Whether to give up the notice: it was refused for an hour after the deadline. An outage is no refusal."""
    return delivery.pending_failure is not None and now >= delivery.last_look_since + schedule.GRACE


def _nudged(delivery: Delivery) -> bool:
    """Whether an event is a reason to look before the next scheduled look. After the last look it is none."""
    if delivery.state is S.VERIFYING and delivery.available_at is None:
        return delivery.unread("image") is not None
    if delivery.state is S.STOPPING or (delivery.state is S.TIDYING and not delivery.cleanup.done):
        return any(delivery.unread(f"look#{copy.source}") is not None for copy in delivery.copies)
    return False


def _opening(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:
    """Hold, then look, as it may be open already. A wake carries no facts, so each wake leads to a look.

    If it holds already, it looks first and holds again after that: a run with time for one of the two must not always
    hold.
    """
    until = delivery.target.until and delivery.target.until + schedule.GRACE
    hold = do.HoldShares(delivery.copies_end + delivery.target.linger + schedule.GRACE, until)
    if not waits_for_shares(delivery):
        return (hold,) if due else ()
    if not due or now >= delivery.copies_end:
        return (do.LookAtShares(),)
    return (hold,) if delivery.shares_at else (do.LookAtShares(), hold)


def _copying(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:
    if delivery.pending_failure is not None:
        return (do.FindCopies(),) if due else ()
    steps: list[do.Command] = []
    lost = [copy for copy in delivery.copies if copy.state is CopyState.INTENDED]
    if lost:
        if due and any(now >= copy.next_look for copy in lost):
            steps.append(do.FindCopies())
        return tuple(steps)
    looks = tuple(copy.copy for copy in delivery.copies if copy.copy and _worth_a_look(delivery, copy, now))
    if looks and (due_for_a_look(delivery, now, due=due) or _worth_looking_now(delivery)):
        steps.append(do.LookAtCopies(looks))
    if due:
        ready = [c for c in delivery.copies if c.state is CopyState.WANTED and now >= c.not_before]
        ready = ready[: free_slots(delivery, now)]
        if any(now > copy.found_at + LISTED_FOR for copy in ready):
            return (*steps, do.FindCopies())
        steps.extend(do.StartCopy(copy.source) for copy in ready)
        if any(copy.state is CopyState.PENDING and now >= copy.next_look for copy in delivery.copies):
            steps.append(do.LookAtShares())  # at a poll; they may have been closed, and refused since
    return tuple(steps)


def due_for_a_look(delivery: Delivery, now: int, *, due: bool) -> bool:
    """Whether the clock asks for a look at a running copy."""
    return due and any(copy.state is CopyState.PENDING and now >= copy.next_look for copy in delivery.copies)


def _said_of_copies(delivery: Delivery) -> list[str]:
    """Return what events said of running copies that has led to no look yet."""
    said = (delivery.unread(f"look#{copy.source}") for copy in delivery.copies if copy.state is CopyState.PENDING)
    return [one for one in said if one is not None]


def _worth_looking_now(delivery: Delivery) -> bool:
    """Whether to look because of events, before it is due: one look for all copies, once events speak of each.

    At once where one did not succeed, as it is to be tried again, and where others wait for the slots that are free.
    """
    said = _said_of_copies(delivery)
    if delivery.slots.others_wait or any(one.startswith(FAILED_COPY) for one in said):
        return bool(said)
    return bool(said) and len(said) == sum(copy.state is not CopyState.COMPLETED for copy in delivery.copies)


def unused_slots(delivery: Delivery) -> int:
    """How many slots it was granted and has not used; one slot is one try of one copy."""
    return max(delivery.slots.granted - begun(delivery), 0)


def free_slots(delivery: Delivery, now: int) -> int:
    """How many copies it may start now: none on a lease that ends soon, as others may have got its slots by then."""
    return unused_slots(delivery) if now < delivery.slots.until - schedule.LEASE_MARGIN else 0


def starved(delivery: Delivery, now: int) -> bool:
    """Whether a copy cannot start for want of a slot."""
    wanting = any(copy.state is CopyState.WANTED for copy in delivery.copies)
    return delivery.state is S.COPYING and wanting and free_slots(delivery, now) == 0


def _worth_a_look(delivery: Delivery, copy: Copy, now: int) -> bool:
    if copy.state is not CopyState.PENDING:
        return False
    return now >= copy.next_look or delivery.unread(f"look#{copy.source}") is not None


def tells(before: Delivery, after: Delivery) -> bool:
    """Whether more has changed than when to look again, and how far the copies have come."""
    return _timeless(before) != _timeless(after)


def _timeless(delivery: Delivery) -> Delivery:
    copies = tuple(replace(copy, found_at=0, looks=0, next_look=0, progress=0) for copy in delivery.copies)
    timeless = replace(delivery, copies=copies, tries=0, next_try=0, due_at=None, handled={})
    return timeless.with_slots(asks=0, next_ask=0, until=0, others_wait=False)


MAKING = (do.StartCopy, do.RegisterImage)
"""Commands that make something in the target, each under a nonce of its own."""


def announced(delivery: Delivery, command: do.Command) -> str:
    """Return the call, and what it is about, whose intent is on the record before it is made; "" for other commands."""
    match command:
        case do.StartCopy(source):
            return f"CopySnapshot {source}"
        case do.RegisterImage():
            return "CopyImage" if methods.of(delivery).whole else "RegisterImage"
        case _:
            return ""


def record_intent(delivery: Delivery, wanted: tuple[do.Command, ...], now: int, nonces: Sequence[str]) -> Delivery:
    """Put the intent of every command that changes AWS on the record; it is written before it is done (invariant 3).

    ``nonces``: random texts that nobody can guess, one for each of ``wanted`` that makes something (``MAKING``), in
    turn.
    """
    left = iter(nonces)
    for command in wanted:
        nonce = next(left) if isinstance(command, MAKING) else ""
        match command:
            case do.StartCopy(source):
                delivery = replace(delivery, attempts=(*delivery.attempts, Attempt(nonce, source, now)))
                delivery = replace(
                    delivery,
                    copies=tuple(
                        replace(
                            copy,
                            state=CopyState.INTENDED,
                            intended_at=now,
                            tries=copy.tries + 1,
                            copy=None,
                            adopted=False,
                            looks=0,
                            next_look=now,
                        )
                        if copy.source == source
                        else copy
                        for copy in delivery.copies
                    ),
                )
            case do.AskSlots():
                # What was asked, and perhaps granted, must be given back, also if the run ends before it writes so.
                delivery = delivery.with_slots(asked=delivery.slots.asked or "asking")
            case do.RegisterImage():
                delivery = methods.of(delivery).intended(delivery, nonce, now)
            case do.HoldShares(last_closing_at):
                stays = [share.standing for share in delivery.shares]
                delivery = replace(
                    delivery,
                    holds_copy=not all(stays) or not stays,
                    holds_standing=any(stays),
                    last_closing_at=last_closing_at,
                )
            case _:
                pass
    return replace(delivery, due_at=due_at(delivery))


def due_at(delivery: Delivery) -> int | None:
    """When a run must look again although no wake arrived. Never None while anything is outstanding.

    None for one that rests in ``shared`` without an end: a withdrawal writes into its inbox, and that makes it due.
    """
    if delivery.state in ENDED:
        return None
    times = [None if _past_caring(delivery) else deadline(delivery)]
    if delivery.state is S.WAITING:
        times.append(delivery.slots.next_ask)
    elif delivery.state is S.SHARED:
        pass
    elif delivery.state is S.COPYING and delivery.pending_failure is not None:
        times.append(delivery.next_try)
    elif delivery.state is S.COPYING:
        times.extend(_copy_due(delivery, copy) for copy in delivery.copies)
        if delivery.cleanup.to_delete:
            times.append(delivery.next_try)
    elif (
        delivery.state is not S.PUBLISHING
        or not delivery.holds_copy
        or delivery.cleanup.to_delete
        or _to_protect(delivery)
    ):
        times.append(delivery.next_try)  # else it waits for its linger
    if delivery.holds_copy and not needs_shares(delivery):
        times.append(released_from(delivery))
    return min((time for time in times if time is not None), default=None)


def _copy_due(delivery: Delivery, copy: Copy) -> int | None:
    if copy.state in (CopyState.INTENDED, CopyState.PENDING):
        return max(copy.next_look, delivery.next_try)
    if copy.state is CopyState.WANTED:
        return max(copy.not_before, delivery.next_try) if unused_slots(delivery) else delivery.slots.next_ask
    return None
