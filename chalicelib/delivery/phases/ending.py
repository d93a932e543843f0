"""Any end other than delivered: remove what was made in the target, release the shares, send the last notice.

``stopping`` waits until unfinished copies have ended or are gone, ``tidying`` removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.delivery import attempts, holdings, instances, leftovers, proof, slots
from chalicelib.delivery.attempts import CopyStarted, ImageRegistered
from chalicelib.delivery.common_changes import again, copy_entries, each_copy, extended, looks_again, without_entries
from chalicelib.delivery.model import Attempt, CopyState, Delivery, DeliveryState, LastLook, Recalled, reduced
from chalicelib.delivery.phase import CancelAsked, Command, DeadlinePassed, DeliveryEvent, Phase, Refused, StateEntry
from chalicelib.delivery.preflight import LIST_UNFINISHED
from chalicelib.engine import schedule
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.transitions import Row, leads
from chalicelib.sharing import holders
from chalicelib.sharing.entitlement import SETTINGS_CHANGED

STOP, TIDY = StateEntry(DeliveryState.STOPPING), StateEntry(DeliveryState.TIDYING)
RECALL, RECALLED = StateEntry(DeliveryState.RECALLING), StateEntry(DeliveryState.RECALLED)
ENDING = (STOP, TIDY)
"""Where trouble leads: a delivery that has begun something in the target stops first."""

CLOSING_LOOKS = (schedule.SILENCE, schedule.SECOND_LOOK_AFTER)
"""Waits between reads of the ledger while permissions close.

Two minutes after a removal the sweep wakes share worker and delivery at once, and the delivery reads first: from then
on it reads with each sweep.
"""

SHOWS_WITHIN = 10 * schedule.MINUTE
"""For this time a look at an AMI may not show yet that its deprecation date or its state was changed."""

MOST_REFUSALS = 2
"""After this many refused deletions, the shares of a stopping delivery close anyway (invariant 1)."""
THROTTLED_FOR = 30 * schedule.MINUTE
"""After this time a throttle, or no answer, counts as one of them: it may last for hours."""


@dataclass(frozen=True, slots=True)
class RemoveLeftovers(Command):
    """List everything in the target that has this delivery's tag, and remove it; see ``list_unfinished``."""


@dataclass(frozen=True, slots=True)
class LookAtClosing(Command):
    """Read in the ledger whether looks at AWS miss the permissions that it has released."""

    between_writes = False


@dataclass(frozen=True, slots=True)
class NotifyOutcome(Command):
    """Send the last notice, unless the service gave it up (``publish`` false); then write the tracked delivery."""

    publish: bool = True


@dataclass(frozen=True, slots=True)
class LeftoversSeen(DeliveryEvent):
    """What this delivery created and still exists was listed; ``unfinished``: copies that still run.

    ``refusal``: why AWS refused a removal. ``unproven``: resources with the service's tags that stay, as nothing proves
    them or they may be in use. ``learnt``: attempts, with what they have made. ``deleted``: copies whose deletion EC2
    has accepted. ``more``: there was no time to ask for the deletion of all. ``by_ids``: only what is on record was
    looked at.
    """

    left: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    refusal: Fault | None = None
    unproven: tuple[str, ...] = ()
    learnt: tuple[Attempt, ...] = ()
    deleted: tuple[str, ...] = ()
    more: bool = False
    by_ids: bool = False
    keeps_refusal = True


@dataclass(frozen=True, slots=True)
class ClosingSeen(DeliveryEvent):
    """The released shares were read in the ledger. ``open``: the resources on which AWS may still show one."""

    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeNotified(DeliveryEvent):
    """The last notice was sent, and the outcome is in the tracked delivery."""

    outcome: DeliveryState


# --- the ways in ------------------------------------------------------------------------------------------------------


def fail(delivery: Delivery, now: int, *faults: Fault) -> Delivery:
    """Turn towards ``failed``."""
    return _end(delivery, DeliveryState.FAILED, faults, now)


def cancel(delivery: Delivery, now: int, *faults: Fault) -> Delivery:
    """Turn towards ``cancelled``."""
    return _end(delivery, DeliveryState.CANCELLED, faults, now)


def withdraw(delivery: Delivery, now: int, *, expired: bool, why: str = "") -> Delivery:
    """Turn towards ``withdrawn``, if its AMI is shared. ``expired``: the date of the targets file has come."""
    because = "The date `until` of the targets file has come." if expired else why
    over = replace(delivery, share_mode=replace(delivery.share_mode, expired=expired), because=because)
    return _end(over, DeliveryState.WITHDRAWN, (), now)


def recall(delivery: Delivery, now: int) -> Delivery:
    """Turn towards ``recalled``: its AMI stays, and is deprecated.

    If a lift has just restored the AMI, a look may still show it as recalled: then the record says what was restored.
    """
    known = delivery.recall if now < delivery.recall.restored_at + SHOWS_WITHIN else Recalled()
    return RECALL(replace(delivery, ending=RECALLED.state, recall=known, faults=()), now)


def begin_again(delivery: Delivery, now: int) -> Delivery:
    """Turn towards ``cancelled``, because it keeps the settings of its start: the promotion begins it again."""
    what = "The settings of this target in the targets file have changed since the delivery began."
    cure = "The service starts it again with these settings."
    return cancel(delivery, now, Fault(SETTINGS_CHANGED, delivery.where, what, cure))


def give_up(delivery: Delivery, now: int, failure: Fault) -> Delivery:
    """Fail without removing anything, because the target has refused every look; list what may be left."""
    why = () if delivery.last_refusal is None else (delivery.last_refusal,)
    left = delivery.with_cleanup(done=True, leftovers=tuple(_may_be_left(delivery)))
    return _tidy(leftovers.stay(left), now, ending=DeliveryState.FAILED, faults=(*delivery.faults, failure, *why))


def keep(delivery: Delivery, now: int, *faults: Fault, begins_again: bool = False) -> Delivery:
    """Fail, but leave the AMI there: nothing shows that it is wrong, and another episode can continue with it.

    ``begins_again``: it is cancelled instead, and begins again as soon as it is wanted.
    """
    stays = delivery.with_cleanup(done=True, leftovers=(*delivery.cleanup.leftovers, delivery.image.id or ""))
    ending = DeliveryState.CANCELLED if begins_again else DeliveryState.FAILED
    return _tidy(stays, now, ending=ending, faults=(*delivery.faults, *faults))


def leaves_image(delivery: Delivery) -> bool:
    """Whether its AMI stays however it ends: it may be in use since an earlier episode. It is reported."""
    return delivery.image.adopted and delivery.image.id != delivery.launch.kept


def cancelled(event: CancelAsked, delivery: Delivery, now: int) -> Delivery:
    """End it, as the tag, the applied file or an operator asks."""
    share_mode = replace(delivery.share_mode, expired=event.expired)
    return cancel(replace(delivery, share_mode=share_mode, because=event.why), now)


CANCELS: Row[Delivery] = {CancelAsked: leads(cancelled, *ENDING)}
"""In the row of each state in which it can still be cancelled."""


def _end(delivery: Delivery, ending: DeliveryState, faults: tuple[Fault, ...], now: int) -> Delivery:
    asked = delivery.request.intended_at or delivery.request.copy_image_intended_at
    made = delivery.image.id or asked or any(copy.tries or copy.id for copy in delivery.copies)
    changes: dict[str, Any] = {"ending": ending, "faults": (*delivery.faults, *faults)}
    if leaves_image(delivery):
        left = proof.left_there(delivery).with_cleanup(done=True, leftovers=(delivery.image.id or "",))
        return _tidy(left, now, **changes)
    return STOP(delivery, now, **changes) if made else _tidy(delivery.with_cleanup(done=True), now, **changes)


def _tidy(delivery: Delivery, now: int, **changes: Any) -> Delivery:
    """Begin to tidy. No copy counts as running any more, so its slot is given back."""
    over = each_copy(delivery, lambda copy: replace(copy, state=CopyState.ERROR) if copy.tries else copy)
    return TIDY(over, now, **changes)


# --- beside the steps of several phases -------------------------------------------------------------------------------


def beside(delivery: Delivery, now: int, *, released: bool = True) -> tuple[Command, ...]:
    """List what gives back slots, shares for copies (if ``released``) and snapshots that it no longer needs."""
    releases = holdings.releases(delivery, now) if released else ()
    return (*slots.reports(delivery), *releases, *leftovers.deletes(delivery, now))


def beside_in(state: StateEntry) -> Row[Delivery]:
    """Return the part of a state's row for what comes of the commands of ``beside``."""
    return {
        slots.SlotsAsked: leads(slots.asked, state),
        holdings.SharesReleased: leads(holdings.released, state),
        leftovers.SnapshotsDeleted: leads(leftovers.deleted, state),
    }


# --- stopping and tidying ---------------------------------------------------------------------------------------------


def late_copy(event: CopyStarted, delivery: Delivery, _now: int) -> Delivery:
    """CopySnapshot answered late: what it made is not used."""
    return attempts.answered_late(event, delivery)[0]


def _late_image(event: ImageRegistered, delivery: Delivery, now: int) -> Delivery:
    known = proof.with_answer(delivery, event.nonce, "", event.image).with_image(id=event.image)
    left = (*delivery.cleanup.leftovers, event.image)  # until a look shows what is left
    return replace(known.with_cleanup(done=False, clear=False, leftovers=left), next_try=now)


def _stopping(delivery: Delivery, now: int) -> tuple[Command, ...]:
    looks = (RemoveLeftovers(),) if now >= delivery.next_try or _has_news(delivery) else ()
    released = holdings.releases(delivery, now) if delivery.cleanup.deletes_accepted else ()
    return (*instances.terminations(delivery, now), *slots.reports(delivery), *released, *looks)


def _tidying(delivery: Delivery, now: int) -> tuple[Command, ...]:
    releases = (holdings.ReleaseShares(),) if delivery.holdings.held else ()
    useless = leftovers.deletes(delivery, now) if delivery.cleanup.done else ()
    terminations = instances.terminations(delivery, now)
    return (*slots.reports(delivery), *releases, *terminations, *useless, *_last_steps(delivery, now))


def _last_steps(delivery: Delivery, now: int) -> tuple[Command, ...]:
    due = now >= delivery.next_try
    if not delivery.cleanup.done:
        return (RemoveLeftovers(),) if due or _has_news(delivery) else ()
    if not (due and _is_tidy(delivery)):
        return ()
    if delivery.withdraws and delivery.holdings.needed:
        return (LookAtClosing(),)
    return (notify(delivery, now),)


def _is_tidy(delivery: Delivery) -> bool:
    """Whether nothing is left to remove, to release or to terminate: then the notice says how it ended."""
    left = delivery.cleanup.to_delete  # also copies of an earlier episode that this one did not use
    return delivery.cleanup.done and not (left or delivery.holdings.held or delivery.launch.may_run)


def _has_news(delivery: Delivery) -> bool:
    """Whether an event about a copy is a reason to look before the next scheduled look."""
    return any(name in delivery.inbox for name in copy_entries(delivery))


def tidied_by(delivery: Delivery) -> int:
    """Return the deadline of a delivery that only has to release its shares and to send its last notice."""
    return max(delivery.entered[delivery.state], holdings.released_from(delivery)) + schedule.TIDYING_DEADLINE


def _stopping_too_long(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    return _tidy(delivery.with_cleanup(leftovers=tuple(_may_be_left(delivery))), now)


def _tidying_too_long(_event: DeadlinePassed, delivery: Delivery, now: int) -> Delivery:
    if delivery.last_look.since:
        return _left_behind(delivery, now).with_cleanup(leftovers=tuple(_may_be_left(delivery)))
    return replace(delivery, last_look=LastLook(since=now), next_try=now)


def _left_behind(delivery: Delivery, now: int) -> Delivery:
    """End the cleanup with a look after its deadline, and record the leftovers."""
    why = () if delivery.last_refusal is None else (delivery.last_refusal,)
    done = delivery.with_cleanup(done=True)
    return replace(done, tries=0, next_try=now, faults=(*delivery.faults, *why), last_look=LastLook())


def _may_be_left(delivery: Delivery) -> Iterator[str]:
    """Name what was or may have been created there. The service cannot read the target, so a person must remove it."""
    yield from (copy.id or f"copy of {copy.source}" for copy in delivery.copies if copy.tries)
    if delivery.image.id or delivery.request.intended_at is not None:
        yield delivery.image.id or f"AMI {delivery.image_name}"


def list_unfinished(delivery: Delivery) -> bool:
    """Whether the last list of what is there did not end: then what is on record is removed before the next one."""
    return delivery.last_refusal is not None and delivery.last_refusal.code == LIST_UNFINISHED


def _removed_by_ids(event: LeftoversSeen, delivery: Delivery, now: int) -> Delivery:
    """List next, and again by ids if there was no time for all. The shares wait for no list that can show no more."""
    delivery = delivery.with_cleanup(deleted=(*delivery.cleanup.deleted, *event.deleted))
    if event.refusal is not None:
        delivery = _delete_refused(delivery)
    elif event.more:
        return replace(delivery, next_try=now)
    elif proof.all_known(delivery) and not _may_run(delivery, event, now):
        delivery = delivery.with_cleanup(deletes_accepted=True)
    return replace(delivery, last_refusal=event.refusal, next_try=now)


def _may_run(delivery: Delivery, event: LeftoversSeen, now: int) -> bool:
    """Whether a copy runs whose deletion EC2 has not accepted: it shows, or is so new that it need not show yet."""
    new = {one.id for one in delivery.attempts if now < one.at + schedule.SILENCE}
    return not proof.to_delete(delivery).isdisjoint({*event.left, *new})


def _listed(event: LeftoversSeen, delivery: Delivery) -> Delivery:
    delivery = proof.with_attempts(replace(delivery, last_refusal=event.refusal), event.learnt)
    unproven = event.unproven[: leftovers.MOST_UNPROVEN]
    deleted = tuple(dict.fromkeys((*delivery.cleanup.deleted, *event.deleted)))
    known = without_entries(delivery, copy_entries(delivery))
    return known.with_cleanup(leftovers=event.left, unproven=unproven, deleted=deleted)


def _seen_stopping(event: LeftoversSeen, delivery: Delivery, now: int) -> Delivery:
    """Tidy once nothing is unfinished. The shares may close before: if all deletions were accepted, or two refused."""
    if event.by_ids:
        return _removed_by_ids(event, delivery, now)
    before, delivery = delivery.cleanup.leftovers, _listed(event, delivery)
    unseen = _unseen(delivery, event, now)
    if event.refusal is not None:
        delivery = _delete_refused(delivery)
    elif event.more:
        return replace(delivery, next_try=now, clear_since=None)
    elif not unseen:
        delivery = delivery.with_cleanup(deletes_accepted=True)
    if event.unfinished or unseen:
        return again(delivery, now, schedule.step(schedule.POLLS, delivery.tries), clear_since=None)
    return _after_two_looks(event, delivery, now, before)


def _seen_tidying(event: LeftoversSeen, delivery: Delivery, now: int) -> Delivery:
    """Look again until nothing is left."""
    if event.by_ids:
        return _removed_by_ids(event, delivery, now)
    before, delivery = delivery.cleanup.leftovers, _listed(event, delivery)
    if event.more and event.refusal is None:
        return replace(delivery, next_try=now, clear_since=None)
    if delivery.last_look.since:
        return _left_behind(delivery, now)
    if event.left:
        return again(delivery, now, schedule.step(schedule.RETRIES[2:], delivery.tries), clear_since=None)
    return _after_two_looks(event, delivery, now, before)


def _after_two_looks(event: LeftoversSeen, delivery: Delivery, now: int, before: tuple[str, ...]) -> Delivery:
    """Go on once two looks have found nothing to wait for (invariant 5). ``before``: the leftovers of the last look."""
    second_look = looks_again(delivery, now, schedule.SECOND_LOOK_AFTER, schedule.SECOND_LOOK_AFTER)
    if second_look is not None:
        return second_look
    done = not event.left and not before
    clear = done and not event.unproven and event.refusal is None
    return _tidy(delivery.with_cleanup(done=done, clear=clear), now)


def _delete_refused(delivery: Delivery) -> Delivery:
    """Count a refused deletion; after two, the shares close without waiting for the rest."""
    refused = delivery.cleanup.deletes_refused + 1
    enough = delivery.cleanup.deletes_accepted or refused >= MOST_REFUSALS
    return delivery.with_cleanup(deletes_refused=refused, deletes_accepted=enough)


def _unseen(delivery: Delivery, event: LeftoversSeen, now: int) -> bool:
    """Whether a copy or an AMI that the service began may exist and not show yet."""
    copies = any(
        copy.state is CopyState.INTENDED or (copy.id is not None and copy.id not in event.left)
        for copy in delivery.copies
        if now < delivery.intended_at(copy.source) + schedule.SILENCE
    )
    registered = delivery.request.intended_at if delivery.image.id is None else None
    by_copy_image = delivery.request.copy_image_intended_at or 0  # the ids of CopyImage's snapshots are not known
    intended = max(registered or 0, by_copy_image)
    return copies or now < intended + schedule.SILENCE


def _instances_ended(event: instances.InstancesEnded, delivery: Delivery, now: int) -> Delivery:
    return _go_on(instances.ended(event, delivery, now), now)


def _go_on(delivery: Delivery, now: int) -> Delivery:
    """Send the last notice at once when only an instance was waited for."""
    return replace(delivery, next_try=now) if delivery.cleanup.done and not delivery.launch.may_run else delivery


def _closing_seen(event: ClosingSeen, delivery: Delivery, now: int) -> Delivery:
    """Say that it was withdrawn only when looks at AWS have missed it; after an hour, say what is still open."""
    if event.open and now < extended(delivery, tidied_by(delivery)):
        return again(delivery, now, schedule.step(CLOSING_LOOKS, delivery.tries))
    faults = (holders.still_open(delivery.where, event.open),) if event.open else ()
    gone = delivery.with_holdings(needed=())
    return replace(gone, faults=(*delivery.faults, *faults), tries=0, next_try=now)


def try_later(event: Refused, delivery: Delivery, now: int) -> Delivery:
    """Try again later. For states that end by their deadline, not by a refusal."""
    delivery, handled = attempts.refused(event, delivery)
    if handled:
        return delivery
    wait = schedule.step(schedule.RETRIES, delivery.tries)
    return again(delivery, now, wait, last_refusal=event.fault)


def _stopping_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step == instances.EndInstances.__name__:
        return instances.terminate_later(delivery, now, event.fault)
    if event.step == RemoveLeftovers.__name__:
        delivery = without_entries(delivery, copy_entries(delivery))
        if event.kind is not RefusalKind.THROTTLED or now >= delivery.entered[STOP.state] + THROTTLED_FOR:
            delivery = _delete_refused(delivery)
    return try_later(event, delivery, now)


def _tidying_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    if event.step == instances.EndInstances.__name__:
        return _go_on(instances.terminate_later(delivery, now, event.fault), now)
    if event.step == RemoveLeftovers.__name__:
        delivery = without_entries(delivery, copy_entries(delivery))
        if delivery.last_look.since:
            return _left_behind(replace(delivery, last_refusal=event.fault), now)
    return last_refused(event, delivery, now)


# --- the last notice --------------------------------------------------------------------------------------------------


def notify(delivery: Delivery, now: int) -> NotifyOutcome:
    """Return the last notice. It is given up two hours after the deadline, if it was refused in the last of them.

    An outage of the service does not count.
    """
    failed = delivery.last_look.failure is not None
    return NotifyOutcome(publish=not (failed and now >= delivery.last_look.since + schedule.NOTICE_DEADLINE))


def last_refused(event: Refused, delivery: Delivery, now: int) -> Delivery:
    """Try again later. Past the deadline, a snapshot whose deletion is refused stays, and the notice names it.

    A notice that is refused over an hour after the deadline is tried for another hour.
    """
    last = tidied_by(delivery)
    if event.step == leftovers.DeleteSnapshots.__name__ and now >= last:
        return leftovers.stay(delivery)
    late = now >= extended(delivery, last) + schedule.NOTICE_DEADLINE
    if event.step == NotifyOutcome.__name__ and delivery.last_look.failure is None and late:
        delivery = replace(delivery, last_look=LastLook(event.fault, now))
    return try_later(event, delivery, now)


def over(event: OutcomeNotified, delivery: Delivery, now: int) -> Delivery:
    """Enter the state that the notice says. If another invocation has changed how it ends meanwhile, notify again."""
    if event.outcome is not delivery.outcome:
        return delivery
    after = StateEntry(delivery.outcome)(delivery, now)
    return reduced(after) if after.ended else after


def _over_if_tidy(event: OutcomeNotified, delivery: Delivery, now: int) -> Delivery:
    """As ``over``; but a late answer may have shown more to remove since the notice was sent: then notify again."""
    return over(event, delivery, now) if _is_tidy(delivery) else delivery


OVER = tuple(map(StateEntry, (DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.WITHDRAWN)))

PHASES = {
    DeliveryState.STOPPING: Phase(
        on={
            CopyStarted: leads(late_copy, STOP),
            ImageRegistered: leads(_late_image, STOP),
            instances.InstanceStarted: leads(instances.started, STOP),
            instances.InstancesEnded: leads(instances.ended, STOP),
            slots.SlotsAsked: leads(slots.asked, STOP),
            holdings.SharesReleased: leads(holdings.released, STOP),
            LeftoversSeen: leads(_seen_stopping, STOP, TIDY),
            Refused: leads(_stopping_refused, STOP),
            DeadlinePassed: leads(_stopping_too_long, TIDY),
        },
        outstanding=_stopping,
        deadline=lambda delivery: holdings.last_closing_at(delivery) if delivery.began_opening else tidied_by(delivery),
    ),
    DeliveryState.TIDYING: Phase(
        on={
            CopyStarted: leads(late_copy, TIDY),
            ImageRegistered: leads(_late_image, TIDY),
            instances.InstanceStarted: leads(instances.started, TIDY),
            instances.InstancesEnded: leads(_instances_ended, TIDY),
            **beside_in(TIDY),
            ClosingSeen: leads(_closing_seen, TIDY),
            LeftoversSeen: leads(_seen_tidying, TIDY),
            OutcomeNotified: leads(_over_if_tidy, TIDY, *OVER),
            Refused: leads(_tidying_refused, TIDY),
            DeadlinePassed: leads(_tidying_too_long, TIDY),
        },
        outstanding=_tidying,
        deadline=tidied_by,
        deadline_acts=lambda delivery: not delivery.cleanup.done,
    ),
}
