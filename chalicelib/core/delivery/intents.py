"""The intents that are written on a delivery before its commands are executed (invariant 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import methods
from chalicelib.core.delivery.model import Attempt, CopyState, Delivery
from chalicelib.core.delivery.outstanding import due_at


def tells(before: Delivery, after: Delivery) -> bool:
    """Whether more has changed than the time of the next look and the copies' progress."""
    return _timeless(before) != _timeless(after)


def _timeless(delivery: Delivery) -> Delivery:
    copies = tuple(replace(copy, found_at=0, looks=0, next_look=0, progress=0) for copy in delivery.copies)
    timeless = replace(delivery, copies=copies, tries=0, next_try=0, due_at=None, handled={})
    return timeless.with_slots(asks=0, next_ask=0, until=0, others_wait=False)


MAKING = (do.StartCopy, do.RegisterImage)
"""Commands that create something in the target, each with its own nonce."""


def announced(delivery: Delivery, command: do.Command) -> str:
    """Return the API call and its resource for commands whose intent is recorded first; "" for other commands."""
    match command:
        case do.StartCopy(source):
            return f"CopySnapshot {source}"
        case do.RegisterImage():
            return "CopyImage" if methods.of(delivery).copies_image else "RegisterImage"
        case _:
            return ""


def record_intent(delivery: Delivery, wanted: tuple[do.Command, ...], now: int, nonces: Sequence[str]) -> Delivery:
    """Record the intent of every command that changes AWS, before the command is executed (invariant 3).

    ``nonces``: random texts, one for each of ``wanted`` that creates something (``MAKING``), in the same order.
    """
    left = iter(nonces)
    for command in wanted:
        nonce = next(left) if isinstance(command, MAKING) else ""
        match command:
            case do.StartCopy(source):
                attempt = Attempt(nonce, source, now, episode=delivery.episode)
                delivery = replace(delivery, attempts=(*delivery.attempts, attempt))
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
                # Requested and granted slots must be returned, even if the invocation ends before it records the grant.
                delivery = delivery.with_slots(asked=delivery.slots.asked or "asking")
            case do.RegisterImage():
                delivery = methods.of(delivery).intended(delivery, nonce, now)
            case do.HoldShares(last_closing_at):
                stays = [share.standing for share in delivery.shares.needed]
                delivery = delivery.with_shares(
                    holds_copy=not all(stays) or not stays,
                    holds_standing=any(stays),
                    last_closing_at=last_closing_at,
                )
            case _:
                pass
    return replace(delivery, due_at=due_at(delivery))
