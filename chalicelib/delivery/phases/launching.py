"""Launching: one instance from the new AMI must start in the target before anybody is notified of the AMI.

It begins after the AMI was compared, and in share mode after the shares opened; its end leads to ``publishing``. In
copy mode the shares for the copies are closed by then, or close meanwhile: a boot keeps no permission open.

An AMI that failed is removed as one that differs from its source. One that could not be tested stays, unpublished.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.delivery import instances
from chalicelib.delivery.attempts import CopyStarted
from chalicelib.delivery.common_changes import again
from chalicelib.delivery.instances import EndInstances, InstanceSeen, InstancesEnded, InstanceStarted, RunInstance
from chalicelib.delivery.model import Delivery, DeliveryState
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, Phase, Refused, StateEntry
from chalicelib.delivery.phases import trouble
from chalicelib.delivery.phases.ending import ENDING, beside, beside_in, cancelled, fail, keep, try_later, withdraw
from chalicelib.delivery.phases.publishing import PUBLISH, EndSeen, end_seen, looks_at_end
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import leads

LAUNCH = StateEntry(DeliveryState.LAUNCHING)
NEXT = (LAUNCH, PUBLISH)
"""Where a complete AMI leads."""

AGAIN_AFTER = 2 * schedule.MINUTE
"""Seconds until another instance is started, after one whose key was not open yet."""

_STEPS = (RunInstance.__name__, instances.LookAtInstance.__name__, EndInstances.__name__)


def complete(delivery: Delivery, now: int) -> Delivery:
    """Test the AMI, where the target wants that, and then publish it."""
    if delivery.target.launch_test is not None:
        return LAUNCH(delivery, now)
    untested = _none_kept(delivery)
    left = delivery.launch.may_run  # by an earlier episode, whose settings had a launch test
    return LAUNCH(untested.with_launch(result="stopped", next_look=now), now) if left else PUBLISH(untested, now)


def _none_kept(delivery: Delivery) -> Delivery:
    """Nothing waits for a test any more. A copy that did stays in a target that uses the hub's own by now: name it."""
    left = (delivery.launch.kept,) if delivery.in_share_mode and delivery.launch.kept else ()
    return delivery.with_launch(kept="").with_cleanup(leftovers=(*delivery.cleanup.leftovers, *left))


def _outstanding(delivery: Delivery, now: int) -> tuple[Command, ...]:
    return (*beside(delivery, now), *(looks_at_end(delivery, now) or _steps(delivery, now)))


def _steps(delivery: Delivery, now: int) -> tuple[Command, ...]:
    if delivery.launch.result:
        return instances.terminations(delivery, now)
    if now < delivery.next_try:
        return ()
    attempt = instances.attempt_under_way(delivery)
    return (instances.LookAtInstance(),) if attempt and attempt.id else (RunInstance(),)


def _started(event: InstanceStarted, delivery: Delivery, now: int) -> Delivery:
    """Look first when the checks can be ok; they send no event."""
    if delivery.launch.result:  # another run has answered before
        return instances.started(event, delivery, now)
    after = instances.started(event, delivery, now).with_launch(impaired_since=0)
    return replace(after, tries=1, next_try=now + schedule.POLLS[0], clear_since=None)


def _seen(event: InstanceSeen, delivery: Delivery, now: int) -> Delivery:
    attempt = instances.attempt_under_way(delivery)
    if delivery.launch.result or attempt is None or attempt.id != event.id:  # another run has answered before
        return delivery
    verdict = instances.verdict(delivery, event, now)
    if verdict is None:
        return _undecided(event, delivery, now)
    if verdict.fault is None:
        return _published(_none_kept(delivery.with_launch(result="passed")), now)
    if instances.too_early(delivery, event):
        if event.state != "terminated":
            return again(delivery, now, schedule.SECOND_LOOK_AFTER)
        known = delivery.launch.attempts[:-1]
        return again(delivery.with_launch(attempts=known, tries=0), now, AGAIN_AFTER)
    if verdict.result == "untested":
        return _untested(delivery, now, verdict.fault)
    console = str.__str__(event.console)  # the text itself: ``ConsoleEnd`` shows only its length
    return fail(delivery.with_launch(result="failed", console=console), now, verdict.fault)


def _undecided(event: InstanceSeen, delivery: Delivery, now: int) -> Delivery:
    """Look again; soon where the instance does not show, as two looks must agree that it is gone (invariant 5)."""
    known = delivery.with_launch(impaired_since=instances.impaired_since(delivery, event, now))
    if not event.state:
        return again(known, now, schedule.SECOND_LOOK_AFTER, clear_since=delivery.clear_since or now)
    ends_at = (event.launched_at or now) + instances.test_of(delivery).within
    wait = min(schedule.step(schedule.POLLS, delivery.tries), max(ends_at - now, schedule.SECOND_LOOK_AFTER))
    return again(known, now, wait, clear_since=None)


def _untested(delivery: Delivery, now: int, *faults: Fault) -> Delivery:
    """Keep the copy, which took hours, unpublished. What is shared closes: for another test it opens in seconds."""
    over = delivery.with_launch(result="untested")
    if delivery.in_share_mode:
        return fail(over, now, *faults)
    return keep(over.with_launch(kept=delivery.image.id or ""), now, *faults)


def _ended(event: InstancesEnded, delivery: Delivery, now: int) -> Delivery:
    return _published(instances.ended(event, delivery, now), now)


def _published(delivery: Delivery, now: int) -> Delivery:
    """Publish it when no instance can exist any more. If it was recalled meanwhile, that begins there."""
    return delivery if delivery.launch.may_run else PUBLISH(delivery, now)


def _refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step not in _STEPS:
        return try_later(event, delivery, now)
    if event.step == EndInstances.__name__:
        return _published(instances.terminate_later(delivery, now, event.fault), now)
    runs = event.step == RunInstance.__name__
    after = instances.refused(event, delivery) if runs else delivery
    if delivery.launch.result:
        return after
    why = (instances.untested(delivery, event.fault.what), event.fault)
    steps = _waits(event, delivery, now) if runs else _look_waits(event, delivery, now)
    if not steps:
        return _untested(after, now, *why)
    return again(after, now, schedule.step(steps, delivery.tries), last_refusal=event.fault)


def _waits(event: Refused, delivery: Delivery, now: int) -> tuple[int, ...]:
    """Return the waits before another call; none if the target does not let the instance start."""
    begun = delivery.last_look.since or delivery.entered[LAUNCH.state]
    if now >= begun + instances.test_of(delivery).within:
        return ()
    if event.kind is RefusalKind.THROTTLED:
        return tuple(schedule.RETRIES)
    if event.kind in (RefusalKind.ROLE, RefusalKind.LIMIT):
        return tuple(schedule.POLLS)
    visible = event.kind is RefusalKind.NOT_YET and now < begun + schedule.NOT_YET_FOR
    return tuple(schedule.NOT_YET) if visible else ()


def _look_waits(event: Refused, delivery: Delivery, now: int) -> tuple[int, ...]:
    """A look is tried until the deadline, and after it for as long as an instance may take."""
    since = delivery.last_look.since
    if since and now >= since + instances.test_of(delivery).within:
        return ()
    return tuple(schedule.RETRIES if event.kind is RefusalKind.THROTTLED else schedule.POLLS)


def _deadline(delivery: Delivery) -> int | None:
    """Twice the time that is allowed, as capacity may come late, and an hour; then only its instance must end."""
    if delivery.launch.result:
        return None
    return delivery.entered[LAUNCH.state] + 2 * instances.test_of(delivery).within + schedule.IMAGE_DEADLINE


def _too_long(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    """Try once more, as the service itself may have been off (invariant 6): then it ends by what it sees."""
    last = "" if delivery.last_refusal is None else f" {delivery.last_refusal.what}"
    fault = instances.untested(delivery, f"the launch test has lasted until its deadline.{last}")
    return trouble.await_look(delivery, fault, now)


def _may_cancel(delivery: Delivery) -> bool:
    """A shared AMI at any time, as its shares must close. A copy that is finished stays, unless it is recalled."""
    if delivery.in_share_mode:
        return True
    return not delivery.launch.result and delivery.recall_asked


def _end_seen(event: EndSeen, delivery: Delivery, now: int) -> Delivery:
    """A date does not wait for the test: what is shared closes, and then its instance ends."""
    after = end_seen(event, delivery, now)
    return after.with_launch(result="stopped") if after.ending else after


def _cancelled(event: CancelAsked, delivery: Delivery, now: int) -> Delivery:
    stopped = delivery.with_launch(result="stopped")
    if not delivery.in_share_mode:
        return _published(stopped.with_launch(kept=delivery.image.id or ""), now)
    return withdraw(stopped, now, expired=True) if event.expired else cancelled(event, stopped, now)


PHASES = {
    LAUNCH.state: Phase(
        on={
            CopyStarted: leads(trouble.late_copy, LAUNCH, *ENDING),
            **beside_in(LAUNCH),
            InstanceStarted: leads(_started, LAUNCH),
            InstanceSeen: leads(_seen, *NEXT, *ENDING),
            InstancesEnded: leads(_ended, *NEXT),
            Refused: leads(_refused, *NEXT, *ENDING),
            EndSeen: leads(_end_seen, LAUNCH, *ENDING),
            CancelAsked: leads(_cancelled, *NEXT, *ENDING),
            DeadlinePassed: leads(_too_long, LAUNCH),
        },
        outstanding=_outstanding,
        deadline=_deadline,
        may_cancel=_may_cancel,
    )
}
