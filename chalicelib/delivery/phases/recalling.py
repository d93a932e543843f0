"""Recalling: an operator takes a delivered AMI back; and restoring, if that is lifted.

The pointer moves first, then the copy in the target is deprecated, and disabled where the target's template allows it.
Nothing is deregistered. Disabling removes launch permissions for good, which no restoring brings back
[aws-facts, Added end of November 2026, VERIFIED].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.delivery.common_changes import again, looks_again
from chalicelib.delivery.model import Delivery, DeliveryState, LastLook, Naming, Recalled
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.phases.ending import (
    RECALL,
    RECALLED,
    TIDY,
    NotifyOutcome,
    OutcomeNotified,
    keep,
    last_refused,
    notify,
    over,
    recall,
)
from chalicelib.delivery.phases.publishing import PUBLISH
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault, without_afterwards
from chalicelib.engine.transitions import leads
from chalicelib.images.deprecation import has_come

RESTORE = StateEntry(DeliveryState.RESTORING)
NOT_DONE = "recall-not-done"
"""Fault code of a recall, or its lift, that the account has refused for a day."""


@dataclass(frozen=True, slots=True)
class LookAtCopy(Command):
    """Read the AMI's state and deprecation date, and what the operator and the target's role say.

    The first look wakes the pointer of its family there, so that it moves before the AMI is deprecated.
    """

    between_writes = False


@dataclass(frozen=True, slots=True)
class RecallCopy(Command):
    """EnableImageDeprecation as of now, unless it is deprecated already, and DisableImage if the role allows it."""

    deprecate: bool
    disable: bool

    def intended_call(self, _delivery: Delivery) -> str:
        """Name the first call, for the history."""
        if self.deprecate:
            return "EnableImageDeprecation"
        return "DisableImage" if self.disable else ""


@dataclass(frozen=True, slots=True)
class RestoreCopy(Command):
    """EnableImage if it may be disabled; then the former deprecation date, or none."""

    def intended_call(self, delivery: Delivery) -> str:
        """Name the first call, for the history."""
        if delivery.recall.may_disable:
            return "EnableImage"
        return "EnableImageDeprecation" if delivery.recall.deprecated_before else "DisableImageDeprecation"


@dataclass(frozen=True, slots=True)
class CopySeen(DeliveryEvent):
    """The AMI in the target as it was before the recall; ``there``: whether EC2 shows it."""

    there: bool
    deprecated_at: str = ""
    may_disable: bool = False
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class CopyRecalled(DeliveryEvent):
    """The AMI is deprecated, and ``disabled`` if so."""

    disabled: bool


@dataclass(frozen=True, slots=True)
class CopyRestored(DeliveryEvent):
    """The AMI is as it was before the recall, except for launch permissions that disabling removed."""


def begun(delivery: Delivery, now: int, *, recalled: bool, lift: str = "") -> Delivery:
    """Return an ended delivery's next episode: it recalls what was delivered or kept, or restores what was recalled.

    What a given up recall has seen counts when it is tried again: it may have changed the AMI. ``lift``: the operator's
    request to lift the recall, so that people are notified again of what refuses a new one.
    """
    fresh = replace(delivery, entered={}, faults=(), last_look=LastLook())
    next_one = replace(fresh, episode=delivery.episode + 1, ending=None)
    if not delivery.keeps_image:
        left = tuple(one for one in delivery.cleanup.leftovers if one != delivery.launch.kept)
        next_one = next_one.with_image(id=delivery.launch.kept).with_cleanup(leftovers=left).with_holdings(needed=())
    if recalled:
        return _again(next_one, now) if delivery.recall.seen else recall(next_one, now)
    if not (delivery.recall.seen or delivery.recall.lift or delivery.recall.restored_at):  # nothing was changed
        return _publish_again(next_one, now)
    refused = _codes(delivery) if lift and lift == delivery.recall.lift else ""
    restored = RESTORE(next_one.with_recall(lift=lift, refused=refused), now)
    # a call of the recall may still be under way
    return replace(restored, next_try=max(now, delivery.entered.get(RECALLED.state, 0) + schedule.SILENCE))


def _codes(delivery: Delivery) -> str:
    return " ".join(fault.code for fault in delivery.faults)


def _recalling(delivery: Delivery, now: int) -> tuple[Command, ...]:
    known = delivery.recall
    if now < delivery.next_try:
        return ()
    if known.done:
        repeated = known.refused and known.refused == _codes(delivery)
        return (NotifyOutcome(publish=False) if repeated else notify(delivery, now),)
    if not known.seen:
        return (LookAtCopy(),)
    # a date that has come stays, as EC2 would not take it again from a lift
    return (RecallCopy(not has_come(known.deprecated_before, now), known.may_disable),)


def _seen(event: CopySeen, delivery: Delivery, now: int) -> Delivery:
    """Keep what the first look that shows the AMI has found: a later one may show the recall itself.

    If the AMI is deprecated already, its pointer may be about to end that, or may have, and EC2 does not show it yet.
    """
    if delivery.recall.seen or delivery.recall.done:
        return delivery
    delivery = delivery.with_recall(by=event.by, why=event.why)
    if not event.there:
        return _missed(delivery, now)
    known = delivery.recall
    before = known.deprecated_before if known.restored_at else event.deprecated_at
    may_disable = known.may_disable or event.may_disable
    sure_at = delivery.entered[RECALL.state] + schedule.SILENCE
    if delivery.naming.parameter and not may_disable and has_come(before, now) and now < sure_at:
        return again(delivery, now, sure_at - now)
    return replace(
        delivery.with_recall(seen=True, deprecated_before=before, may_disable=may_disable), tries=0, next_try=now
    )


def _missed(delivery: Delivery, now: int) -> Delivery:
    """Two looks that miss the AMI prove that it is gone (invariant 5): nothing is left to recall."""
    gone = replace(delivery.with_recall(done=True), tries=0, next_try=now)
    return looks_again(delivery, now, schedule.SECOND_LOOK_AFTER, schedule.SECOND_LOOK_AFTER) or gone


def _recalled(event: CopyRecalled, delivery: Delivery, now: int) -> Delivery:
    """Recall it once more if a lift has just restored it: a call of that lift may still be under way."""
    lift_over = delivery.recall.restored_at and delivery.recall.restored_at + schedule.SILENCE
    done = delivery.with_recall(done=now >= lift_over, disabled=event.disabled)
    return replace(done, tries=0, next_try=max(now, lift_over), last_look=LastLook())


def _refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    """Try again until the deadline: what the target refuses may be allowed later."""
    if event.step == NotifyOutcome.__name__:
        return last_refused(event, delivery, now)
    # a new tag begins nothing here: `retry`, or the service itself, tries again
    fault = replace(event.fault, cure=without_afterwards(event.fault.cure))
    refused = replace(delivery, last_refusal=fault)
    since = delivery.last_look.since
    if since and (event.kind is not RefusalKind.THROTTLED or now >= since + schedule.LAST_LOOK_WITHIN):
        return _given_up(refused, now)
    return again(refused, now, schedule.step(schedule.POLLS, delivery.tries))


def _too_long(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    """Try once more: the service itself may have been off (invariant 6)."""
    return replace(delivery, last_look=LastLook(since=now), next_try=now)


def _given_up(delivery: Delivery, now: int) -> Delivery:
    faults = (_not_done(delivery), *((delivery.last_refusal,) if delivery.last_refusal else ()))
    done = delivery.with_recall(done=True)
    given_up = replace(done, faults=faults, tries=0, next_try=now, last_look=LastLook())
    return given_up if delivery.state is RECALL.state else RECALL(replace(given_up, ending=RECALLED.state), now)


def _restored(_event: CopyRestored, delivery: Delivery, now: int) -> Delivery:
    known = delivery.recall
    restored = _publish_again(delivery, now)
    return restored.with_recall(
        deprecated_before=known.deprecated_before, may_disable=known.may_disable, restored_at=now
    )


def _again(delivery: Delivery, now: int) -> Delivery:
    """Recall it again. The first look's dates count; a lift may have enabled the AMI, or may do so yet."""
    known = delivery.with_recall(done=False, seen=False, refused="", restored_at=now)
    return RECALL(replace(known, ending=RECALLED.state), now)


def _publish_again(delivery: Delivery, now: int) -> Delivery:
    """Publish it; but one that was recalled untested stays unpublished, and begins again if it is wanted."""
    known = delivery.naming
    naming = known  # without a parameter, its fault says why it has none
    if known.parameter:
        naming = Naming(known.family, known.parameter, before=known.before)
    restored = replace(delivery, recall=Recalled(), naming=naming, last_look=LastLook())
    if not delivery.launch.kept:
        return PUBLISH(restored, now)
    return keep(restored, now, _still_untested(delivery), begins_again=True)


def _still_untested(delivery: Delivery) -> Fault:
    what = f"The recall was lifted, and the AMI {delivery.image.id} stays there untested."
    cure = "Nothing to do: it is tested again as soon as the tag names the target and nobody withdraws it."
    return Fault("launch-still-untested", delivery.where, what, cure)


def _not_done(delivery: Delivery) -> Fault:
    done, then = "restored", "the service tries again by itself"
    if delivery.state is RECALL.state:
        done, then = "deprecated", f"then `ami-promoter retry {delivery.ami} --account {delivery.target.place}`"
    what = f"{delivery.image.id} could not be {done} within a day: the account refuses it."
    cure = f"Repair what refuses it there; {then}."
    return Fault(NOT_DONE, delivery.where, what, cure)


def _deadline(delivery: Delivery) -> int:
    return delivery.entered[delivery.state] + schedule.LAST_LOOK_WITHIN


PHASES = {
    RECALL.state: Phase(
        on={
            CopySeen: leads(_seen, RECALL),
            CopyRecalled: leads(_recalled, RECALL),
            OutcomeNotified: leads(over, RECALL, RECALLED),
            Refused: leads(_refused, RECALL),
            DeadlinePassed: leads(_too_long, RECALL),
        },
        outstanding=_recalling,
        deadline=_deadline,
        deadline_acts=lambda delivery: not (delivery.recall.done or delivery.last_look.since),
    ),
    RESTORE.state: Phase(
        on={
            CopyRestored: leads(_restored, PUBLISH, TIDY),
            Refused: leads(_refused, RESTORE, RECALL),
            CancelAsked: leads(lambda _event, delivery, now: _again(delivery, now), RECALL),
            DeadlinePassed: leads(_too_long, RESTORE),
        },
        outstanding=lambda delivery, now: (RestoreCopy(),) if now >= delivery.next_try else (),
        deadline=_deadline,
        deadline_acts=lambda delivery: not delivery.last_look.since,
        may_cancel=lambda delivery: delivery.recall_asked,
    ),
}
