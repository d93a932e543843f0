"""Shared: the target can use the hub's AMI until a withdrawal or a date ends that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.phase import CancelAsked, Command, DeliveryEvent, Phase, StateEntry
from chalicelib.delivery.phases.ending import ENDS, withdraw
from chalicelib.engine.transitions import leads

SHARED = StateEntry(DeliveryState.SHARED)


class LookAtEnd(Command):
    """Read the applied file's end date again, because the known end date has passed."""

    acts = False


@dataclass(frozen=True, slots=True)
class EndSeen(DeliveryEvent):
    """The end date of sharing (epoch seconds) was read from the applied file; 0: it may no longer be shared.

    ``again_at``: the file could not be read, and when to read it again; ``until`` is then the date that is known.
    """

    until: int
    again_at: int = 0


def end_date(delivery: Delivery) -> int | None:
    """Return until when it is shared, as far as known (epoch seconds); None: for good."""
    return delivery.sharing.ends_at or delivery.target.until or None


def end_due(delivery: Delivery) -> int | None:
    """Return when to read the end date (epoch seconds); None: there is none."""
    end = end_date(delivery) if delivery.shared else None
    return None if end is None else max(end, delivery.sharing.next_read)


def looks_at_end(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List the read of its end date, if that is due."""
    due = end_due(delivery)
    return (LookAtEnd(),) if due is not None and now >= due else ()


def end_seen(event: EndSeen, delivery: Delivery, now: int) -> Delivery:
    """Withdraw it if its date has come, or wait for the date that the file has now."""
    if event.again_at:
        return replace(delivery, sharing=replace(delivery.sharing, next_read=event.again_at))
    if event.until > now:
        return replace(delivery, sharing=replace(delivery.sharing, ends_at=event.until))
    return withdraw(delivery, now, expired=True)


def withdrawn(event: CancelAsked, delivery: Delivery, now: int) -> Delivery:
    """Withdraw it, as the tag, the applied file or an operator asks."""
    return withdraw(delivery, now, expired=event.expired, why=event.why)


PHASES = {
    DeliveryState.SHARED: Phase(
        on={CancelAsked: leads(withdrawn, *ENDS), EndSeen: leads(end_seen, SHARED, *ENDS)},
        outstanding=looks_at_end,
        deadline=end_date,
    )
}
