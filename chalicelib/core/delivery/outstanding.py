"""Lists what is left to do for a delivery, from its record alone, and when to look again."""

from __future__ import annotations

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import methods
from chalicelib.core.delivery.deadlines import (
    deadline,
    deadline_acted,
    gives_up,
    late,
    released_from,
    reopens,
    waits_for_shares,
)
from chalicelib.core.delivery.model import ENDED, Copy, CopyState, Delivery, DeliveryState
from chalicelib.core.delivery.slot_use import begun, free_slots, slots, slots_asked_text, starved, unused_slots
from chalicelib.core.records import schedule
from chalicelib.core.records.wakes import FAILED_COPY

LISTED_FOR = 60
"""How old the last list of all copies in the target may be when a try starts (seconds).

The first try needs a list, too: the record may be from a backup, and the copy may exist already."""


def needs_shares(delivery: Delivery) -> bool:
    """Whether the shares for the copies must stay open for this delivery (invariant 1).

    Standing shares do not count.
    """
    if delivery.state in (DeliveryState.OPENING, DeliveryState.COPYING):
        return True
    if delivery.state is DeliveryState.STOPPING:
        return not delivery.cleanup.deletes_accepted
    if methods.of(delivery).reads_source(delivery):
        return True
    if delivery.target.release_when == "registered":
        return delivery.state in (DeliveryState.REGISTERING, DeliveryState.VERIFYING)
    return False


def outstanding(delivery: Delivery, now: int) -> tuple[do.Command, ...]:
    """List what is left to do now, from the record alone. Listing and executing can be repeated.

    While copying it asks for slots last: if the time ends within the list, intended copies must have come before,
    or each try would only use up a slot.
    """
    if delivery.state in ENDED:
        return ()
    due = now >= delivery.next_try
    first: list[do.Command] = []
    last: list[do.Command] = []
    reported = slots_asked_text(delivery)
    if delivery.state is DeliveryState.WAITING:
        if now >= delivery.slots.next_ask or delivery.slots.asked != reported:
            return (_ask(delivery),)
        return (do.LookAtSlots(),)
    if delivery.slots.asked not in ("", reported) or (starved(delivery, now) and now >= delivery.slots.next_ask):
        (last if delivery.state is DeliveryState.COPYING else first).append(_ask(delivery))
    elif starved(delivery, now):
        last.append(do.LookAtSlots())
    if delivery.state is DeliveryState.TIDYING and delivery.shares.held:
        first.append(do.ReleaseShares())
    elif delivery.shares.holds_copy and not needs_shares(delivery) and now >= released_from(delivery):
        first.append(do.ReleaseShares(all=False))
    if delivery.cleanup.to_delete and due and delivery.state not in (DeliveryState.STOPPING, DeliveryState.TIDYING):
        first.append(do.DeleteSnapshots(delivery.cleanup.to_delete))
    return (*first, *_step(delivery, now, due=due), *last)


def looks(delivery: Delivery, _now: int) -> tuple[do.Command, ...]:
    """List what a woken delivery reads: its approval, the hub's own copy, or who waits for a slot."""
    if delivery.state is DeliveryState.AWAITING_APPROVAL:
        return (do.LookAtApproval(),)
    if delivery.state is DeliveryState.COPYING and _said_of_copies(delivery) and not _worth_looking_now(delivery):
        return (do.AskWhoWaits(),)
    return (do.AskHubCopy(),) if waits_for_hub_copy(delivery) else ()


def waits_for_hub_copy(delivery: Delivery) -> bool:
    """Whether the hub's own copy in this Region must exist first."""
    return (
        delivery.state is DeliveryState.REQUESTED
        and bool(delivery.hub_copy.delivery)
        and not delivery.hub_copy.snapshots
    )


def _ask(delivery: Delivery) -> do.AskSlots:
    wanted, done = slots(delivery)
    return do.AskSlots(wanted, begun(delivery), done, delivery.slots.limited_at)


def _step(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:  # noqa: C901, PLR0911, PLR0912 - a row a state
    if delivery.state is DeliveryState.COPYING:
        return _copying(delivery, now, due=due)
    if delivery.state is DeliveryState.OPENING:
        return _opening(delivery, now, due=due)
    if not due and not _nudged(delivery):
        return ()
    match delivery.state:
        case DeliveryState.AWAITING_APPROVAL:
            return (do.LookAtApproval(),)
        case DeliveryState.REQUESTED if waits_for_hub_copy(delivery):
            return (do.AskHubCopy(),)
        case DeliveryState.REQUESTED:
            return (do.CheckTarget(),)
        case DeliveryState.CHECKING:
            return (do.CheckTarget(),) if delivery.waiting_notified else (do.NotifyWaiting(),)
        case DeliveryState.REGISTERING if delivery.request.discarding:
            return (do.DiscardImage(),)
        case DeliveryState.REGISTERING if not delivery.copies_listed_again and any(
            c.tries > 1 or c.adopted for c in delivery.copies
        ):
            return (do.FindCopies(),)
        case DeliveryState.REGISTERING:
            return (do.RegisterImage(),) if delivery.request.intended_at is None else (do.FindImage(),)
        case DeliveryState.VERIFYING:
            if delivery.image.available_at is None:
                return (do.VerifyImage(),)
            untagged = methods.of(delivery).copies_image and not delivery.image.tagged
            return (do.TagCopies(),) if untagged else (do.CarryDeprecation(),)
        case DeliveryState.STOPPING:
            return (do.FindLeftovers(),)
        case DeliveryState.TIDYING:
            if not delivery.cleanup.done:
                return (do.FindLeftovers(),)
            if delivery.shares.held:
                return ()
            if delivery.ending is DeliveryState.WITHDRAWN and not delivery.shares.gone:
                return (do.LookAtClosing(),)
            return (do.NotifyOutcome(publish=not gives_up(delivery, now)),)
        case DeliveryState.SHARED:
            end = deadline(delivery)
            return (do.LookAtEnd(),) if end is not None and now >= end else ()
        case DeliveryState.PUBLISHING if _to_protect(delivery):
            return (do.ProtectImage(),)
        case DeliveryState.PUBLISHING:
            waits = delivery.shares.holds_copy or (delivery.cleanup.to_delete and not late(delivery, now))
            return () if waits else (do.NotifyOutcome(publish=not gives_up(delivery, now)),)
        case _:
            return ()


def _to_protect(delivery: Delivery) -> bool:
    """Whether its AMI must be protected first. From `publishing` on the service never removes it."""
    wanted = delivery.target.protect and not delivery.shared
    return wanted and not delivery.image.protected and delivery.image.unprotected is None


def _nudged(delivery: Delivery) -> bool:
    """Whether an event is a reason to look before the next scheduled look; after the last look it is not."""
    if delivery.state is DeliveryState.VERIFYING and delivery.image.available_at is None:
        return delivery.unread("image") is not None
    if delivery.state is DeliveryState.STOPPING or (
        delivery.state is DeliveryState.TIDYING and not delivery.cleanup.done
    ):
        return any(delivery.unread(f"look#{copy.source}") is not None for copy in delivery.copies)
    return False


def _opening(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:
    """Hold, then read the ledger, as shares may be open already. A wake carries no facts, so each one leads to a read.

    If it holds already, it reads first and holds again afterwards: an invocation with time for only one of the two must
    not always hold.
    """
    until = delivery.target.until and delivery.target.until + schedule.LEDGER_CLOSES_AFTER
    hold = do.HoldShares(delivery.copies_end + delivery.target.linger + schedule.LEDGER_CLOSES_AFTER, until)
    if not waits_for_shares(delivery) or (reopens(delivery) and not delivery.tries):
        return (hold,) if due else ()
    if not due or now >= delivery.copies_end:
        return (do.LookAtShares(),)
    return (hold,) if delivery.shares.continue_at else (do.LookAtShares(), hold)


def _copying(delivery: Delivery, now: int, *, due: bool) -> tuple[do.Command, ...]:
    if delivery.last_look.failure is not None:
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
    if reopens(delivery):
        return (*steps, *_opening(delivery, now, due=due))
    if due:
        ready = [c for c in delivery.copies if c.state is CopyState.WANTED and now >= c.not_before]
        ready = ready[: free_slots(delivery, now)]
        if any(now > copy.found_at + LISTED_FOR for copy in ready):
            return (*steps, do.FindCopies())
        steps.extend(do.StartCopy(copy.source) for copy in ready)
        if any(copy.state is CopyState.PENDING and now >= copy.next_look for copy in delivery.copies):
            steps.append(do.LookAtShares())  # at a poll: the shares may have been closed and refused since
    return tuple(steps)


def due_for_a_look(delivery: Delivery, now: int, *, due: bool) -> bool:
    """Whether a look at a running copy is due."""
    return due and any(copy.state is CopyState.PENDING and now >= copy.next_look for copy in delivery.copies)


def _said_of_copies(delivery: Delivery) -> list[str]:
    """Return the events about running copies that have not led to a look yet."""
    said = (delivery.unread(f"look#{copy.source}") for copy in delivery.copies if copy.state is CopyState.PENDING)
    return [one for one in said if one is not None]


def _worth_looking_now(delivery: Delivery) -> bool:
    """Whether events are a reason to look before it is due: one look for all copies, once each has an event.

    Look at once if a copy did not succeed, because it must be tried again, or if others wait for the free slots.
    """
    said = _said_of_copies(delivery)
    if delivery.slots.others_wait or any(one.startswith(FAILED_COPY) for one in said):
        return bool(said)
    return bool(said) and len(said) == sum(copy.state is not CopyState.COMPLETED for copy in delivery.copies)


def _worth_a_look(delivery: Delivery, copy: Copy, now: int) -> bool:
    if copy.state is not CopyState.PENDING:
        return False
    return now >= copy.next_look or delivery.unread(f"look#{copy.source}") is not None


def due_at(delivery: Delivery) -> int | None:
    """When to look again if no wake arrives. Never None while anything is outstanding.

    None for a delivery in ``shared`` without an end date: a withdrawal writes into its inbox, which makes it due.
    """
    if delivery.state in ENDED:
        return None
    times = [None if deadline_acted(delivery) else deadline(delivery)]
    if delivery.state is DeliveryState.WAITING:
        times.append(delivery.slots.next_ask)
    elif delivery.state is DeliveryState.SHARED:
        times = [end and max(end, delivery.next_try) for end in times]
    elif delivery.state is DeliveryState.COPYING and delivery.last_look.failure is not None:
        times.append(delivery.next_try)
    elif delivery.state is DeliveryState.COPYING:
        times.extend(_copy_due(delivery, copy) for copy in delivery.copies)
        if delivery.cleanup.to_delete or reopens(delivery):
            times.append(delivery.next_try)
    elif (
        delivery.state is not DeliveryState.PUBLISHING
        or not delivery.shares.holds_copy
        or delivery.cleanup.to_delete
        or _to_protect(delivery)
    ):
        times.append(delivery.next_try)  # otherwise it waits for its linger
    if delivery.shares.holds_copy and not needs_shares(delivery):
        times.append(released_from(delivery))
    return min((time for time in times if time is not None), default=None)


def _copy_due(delivery: Delivery, copy: Copy) -> int | None:
    if copy.state in (CopyState.INTENDED, CopyState.PENDING):
        return max(copy.next_look, delivery.next_try)
    if copy.state is CopyState.WANTED:
        return max(copy.not_before, delivery.next_try) if unused_slots(delivery) else delivery.slots.next_ask
    return None
