"""Shared: the target can use the hub's AMI until a withdrawal or a date ends that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.phase import CancelAsked, Command, DeliveryEvent, Phase, StateEntry
from chalicelib.delivery.phases.ending import ENDS, withdraw
from chalicelib.engine.transitions import leads

SHARED = StateEntry(DeliveryState.SHARED)


@dataclass(frozen=True, slots=True)
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


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    end = end_date(delivery)
    return (LookAtEnd(),) if end is not None and now >= max(end, delivery.next_try) else ()


def _end_seen(event: EndSeen, delivery: Delivery, now: int) -> Delivery:
    if event.again_at:
        return replace(delivery, next_try=event.again_at)
    if event.until > now:
        return replace(delivery, sharing=replace(delivery.sharing, ends_at=event.until))
    return withdraw(delivery, now, expired=True)


def _withdrawn(event: CancelAsked, delivery: Delivery, now: int) -> Delivery:
    return withdraw(delivery, now, expired=event.expired, why=event.why)


PHASES = {
    DeliveryState.SHARED: Phase(
        on={CancelAsked: leads(_withdrawn, *ENDS), EndSeen: leads(_end_seen, SHARED, *ENDS)},
        outstanding=_outstanding,
        deadline=end_date,
        due=lambda delivery, end: (end and max(end, delivery.next_try),),
    )
}
