"""How a delivery holds and releases the shares that it needs; ``permissions`` says which these are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phase import Command, DeliveryEvent
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Handler


class HoldShares(Command):
    """Write a holding for every share, and wake the resources."""

    def intend(self, delivery: Delivery, _nonce: str, now: int) -> Delivery:
        """Record that its holdings may be in the ledger from now on."""
        stays = [share.standing for share in delivery.holdings.needed]
        for_copies = not all(stays) or not stays
        held = delivery.with_holdings(holds_copy=for_copies, holds_standing=any(stays))
        tries = delivery.tries + (delivery.holdings.continue_at == 0)
        return replace(held, tries=tries, next_try=now + schedule.step(schedule.POLLS, tries - 1))


class LookAtShares(Command):
    """Read the states of its shares in the ledger."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class ReleaseShares(Command):
    """Remove its holdings for copies, or ``all``, and wake the resources."""

    all: bool = True


@dataclass(frozen=True, slots=True)
class RoleRenamed(DeliveryEvent):
    """The targets file has another name for the copy role now; nothing was held for it yet."""

    role: str
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class SharesSeen(DeliveryEvent):
    """The states of its shares were read in the ledger."""

    open: bool
    """All are open."""
    refused: Fault | None = None
    """Why one of the shares will not open."""
    waits_for: Fault | None = None
    """Why the share worker cannot open one of the shares now."""
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class SharesHeld(DeliveryEvent):
    """The holdings are in the ledger: all (``upto`` 0), or those before ``upto`` if there was no time for more."""

    upto: int = 0
    seen: SharesSeen | None = None
    """Their states right after that: shares that others hold, too, may be open already. None: one of them cannot be."""
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class SharesReleased(DeliveryEvent):
    """The delivery's holdings are released: those for copies, or ``all``."""

    all: bool = True
    upto: int = 0
    """Those before this one, if there was no time for more (0: every one)."""


def last_closing_at(delivery: Delivery) -> int:
    """Return when its shares for copies close at the latest. Raises KeyError before it comes to open them."""
    return delivery.copies_due_by + delivery.target.linger + schedule.LEDGER_CLOSES_AFTER


def steps(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List how it comes to open shares: it holds them, which reads the ledger, too, until a read shows all open.

    After the first time it reads before it holds again: an invocation with time for only one of the two must not always
    hold.
    """
    due = now >= delivery.next_try
    if not delivery.tries:
        return (HoldShares(),) if due else ()
    if now >= delivery.copies_due_by:
        return (LookAtShares(),)
    if not due:
        return ()
    return (HoldShares(),) if delivery.holdings.continue_at else (LookAtShares(), HoldShares())


def held(event: SharesHeld, delivery: Delivery, now: int, *, look: Handler[Delivery]) -> Delivery:
    """Continue where there was no time for more, or by ``look`` if they were read; else wait for the share worker."""
    next_try = now if event.upto else delivery.next_try
    after = replace(delivery.with_holdings(continue_at=event.upto), next_try=next_try)
    return after if event.seen is None else look(event.seen, after, now)


def released(event: SharesReleased, delivery: Delivery, _now: int) -> Delivery:
    """Record which holdings are gone."""
    if event.upto:
        return delivery.with_holdings(continue_at=event.upto)
    standing = delivery.holdings.holds_standing and not event.all
    return delivery.with_holdings(continue_at=0, holds_copy=False, holds_standing=standing)


def released_from(delivery: Delivery) -> int:
    """Return when its shares for copies may close: the linger counts from the last copy's end, and a recall ends it."""
    since, over = delivery.copied_at, delivery.ending or delivery.recall_asked
    return 0 if since is None or over else since + delivery.target.linger


def releases(delivery: Delivery, now: int) -> tuple[ReleaseShares, ...]:
    """List the release of its holdings for copies, which it no longer needs, once their linger is over."""
    over = delivery.holdings.holds_copy and now >= released_from(delivery)
    return (ReleaseShares(all=False),) if over else ()
