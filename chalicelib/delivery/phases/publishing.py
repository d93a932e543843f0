"""Publishing: protect the AMI, release the shares for its copies, name it, then send the notice.

After it comes ``shared``, in share mode: the target can use the hub's AMI until a withdrawal or a date ends that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery import naming
from chalicelib.delivery.attempts import CopyStarted
from chalicelib.delivery.common_changes import again
from chalicelib.delivery.model import NOT_PROTECTED, Delivery, DeliveryState
from chalicelib.delivery.phase import CancelAsked, Command, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases.ending import (
    ENDING,
    RECALL,
    OutcomeNotified,
    beside,
    beside_in,
    last_refused,
    late_copy,
    notify,
    over,
    recall,
    tidied_by,
    withdraw,
)
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads

PUBLISH, DELIVERED = StateEntry(DeliveryState.PUBLISHING), StateEntry(DeliveryState.DELIVERED)
SHARED = StateEntry(DeliveryState.SHARED)

PROTECT_TRIES = 5
"""With the waits between the tries, two and a half minutes: the notice of a successful delivery waits no longer."""


class ProtectImage(Command):
    """EnableImageDeregistrationProtection, without a cooldown: an administrator can turn it off at any time."""


class ImageProtected(DeliveryEvent):
    """The new AMI has deregistration protection."""


class LookAtEnd(Command):
    """Read the applied file's end date again, because the known end date has passed."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class EndSeen(DeliveryEvent):
    """The end date of sharing (epoch seconds) was read from the applied file; 0: it may no longer be shared.

    ``again_at``: the file could not be read, and when to read it again; ``until`` is then the date that is known.
    """

    until: int
    again_at: int = 0


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    return (*beside(delivery, now), *(looks_at_end(delivery, now) or _publishes(delivery, now)))


def _publishes(delivery: Delivery, now: int) -> tuple[Command, ...]:
    if now < delivery.next_try:
        return ()
    if _to_protect(delivery):
        return (ProtectImage(),)
    if to_name := naming.steps(delivery):
        return to_name
    waits_for_others = delivery.holdings.holds_copy or delivery.cleanup.to_delete
    return () if waits_for_others else (notify(delivery, now),)


def _to_protect(delivery: Delivery) -> bool:
    """Whether its AMI must be protected first. From now on the service never removes it."""
    return delivery.wants_protection and not delivery.image.protected and delivery.unprotected is None


def _may_cancel(delivery: Delivery) -> bool:
    """Whether it may: what is shared always, to close its shares; a copy if recalled, with nothing left to remove.

    Such a copy may be unprotected, and no parameter need name it yet.
    """
    if delivery.in_share_mode:
        return True
    return delivery.recall_asked and not (delivery.holdings.holds_copy or delivery.cleanup.to_delete)


def _cancelled(event: CancelAsked, delivery: Delivery, now: int) -> Delivery:
    if delivery.in_share_mode:
        return withdraw(delivery, now, expired=event.expired, why=event.why)
    return recall(delivery, now)


def _protected(_event: ImageProtected, delivery: Delivery, now: int) -> Delivery:
    return replace(delivery.with_image(protected=True), tries=0, next_try=now)


def _refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step == ProtectImage.__name__:
        return _not_protected(event, delivery, now)
    return last_refused(event, delivery, now)


def _not_protected(event: Refused, delivery: Delivery, now: int) -> Delivery:
    """Continue without protection: the delivery does not fail for that, and records why."""
    if event.kind is RefusalKind.THROTTLED and delivery.tries < PROTECT_TRIES:
        return again(delivery, now, schedule.step(schedule.RETRIES, delivery.tries), last_refusal=event.fault)
    faults = (*delivery.faults, _unprotected(delivery, event.fault))
    return replace(delivery, faults=faults, last_refusal=None, tries=0, next_try=now)


def _unprotected(delivery: Delivery, refusal: Fault) -> Fault:
    """Return the fault of a delivered AMI without protection, which principals in the target can deregister."""
    return Fault(
        NOT_PROTECTED,
        f"{delivery.where}, {delivery.image.id}",
        f"The AMI is delivered, without deregistration protection. {refusal.what}",
        "Protect it with that account's credentials: `aws ec2 enable-image-deregistration-protection --image-id "
        f"{delivery.image.id} --region {delivery.target.region}`. If the role may not do it, deploy this version's "
        "deploy/target.yaml there; or write `protect: false` in the targets file.",
    )


# --- the end of what is shared ----------------------------------------------------------------------------------------


def end_date(delivery: Delivery) -> int | None:
    """Return until when it is shared, as far as known (epoch seconds); None: for good."""
    return delivery.share_mode.ends_at or delivery.target.until or None


def end_due(delivery: Delivery) -> int | None:
    """Return when to read the end date (epoch seconds); None: there is none."""
    end = end_date(delivery) if delivery.in_share_mode else None
    return None if end is None else max(end, delivery.share_mode.next_read)


def looks_at_end(delivery: Delivery, now: int) -> tuple[Command, ...]:
    """List the read of its end date, if that is due."""
    due = end_due(delivery)
    return (LookAtEnd(),) if due is not None and now >= due else ()


def end_seen(event: EndSeen, delivery: Delivery, now: int) -> Delivery:
    """Withdraw it if its date has come, or wait for the date that the file has now."""
    if event.again_at:
        return replace(delivery, share_mode=replace(delivery.share_mode, next_read=event.again_at))
    if event.until > now:
        return replace(delivery, share_mode=replace(delivery.share_mode, ends_at=event.until))
    return withdraw(delivery, now, expired=True)


PHASES = {
    DeliveryState.PUBLISHING: Phase(
        on={
            CopyStarted: leads(late_copy, PUBLISH),
            **beside_in(PUBLISH),
            ImageProtected: leads(_protected, PUBLISH),
            naming.ImageOffered: leads(naming.offered, PUBLISH),
            naming.PointerSeen: leads(naming.seen, PUBLISH),
            naming.ParameterChanged: leads(naming.changed, PUBLISH),
            OutcomeNotified: leads(over, PUBLISH, DELIVERED, SHARED),
            Refused: leads(_refused, PUBLISH),
            EndSeen: leads(end_seen, PUBLISH, *ENDING),
            CancelAsked: leads(_cancelled, RECALL, *ENDING),
        },
        outstanding=_outstanding,
        deadline=tidied_by,
        looks=lambda delivery, _now: naming.looks(delivery),
        may_cancel=_may_cancel,
    ),
    SHARED.state: Phase(
        on={CancelAsked: leads(_cancelled, *ENDING), EndSeen: leads(end_seen, SHARED, *ENDING)},
        outstanding=looks_at_end,
        deadline=end_date,
        may_last=True,
    ),
}
