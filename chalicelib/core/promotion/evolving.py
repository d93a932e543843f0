"""What each event changes on a promotion. ``machine.TRANSITIONS`` says which states can follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any

from chalicelib.core.errors import IllegalEvent
from chalicelib.core.faults import Fault, count
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion import machine
from chalicelib.core.promotion.model import RUNNING, Plan, Promotion, PromotionState, TrackedDelivery
from chalicelib.core.records import schedule
from chalicelib.core.records.addresses import digest

PENDING_DEADLINE = 24 * schedule.HOUR
"""The promotion gives up after this time if the AMI is still pending, or a check cannot read what it needs."""

TRIES_BEFORE_DEADLINE = 10
"""It also needs so many refusals in a row: one after an outage proves nothing (invariant 6)."""

S = PromotionState


def started(ami: str, hub: str, region: str, now: int) -> Promotion:
    """Return a new promotion."""
    return Promotion(ami, hub, region, created_at=now, next_try=now, since=now, due_at=now)


def baseline(ami: str, hub: str, region: str, value: str, now: int) -> Promotion:
    """Return the promotion of an AMI that was tagged before the service first looked. It waits for a tag event."""
    why = "It was tagged before this service was installed; tag it again to promote it."
    return Promotion(ami, hub, region, created_at=now, state=S.OVER, value=value, why=why, since=now)


def evolve(promotion: Promotion, event: ev.Event, now: int) -> Promotion:
    """Return the promotion after an event. Raises IllegalEvent if the table does not allow the transition."""
    allowed = machine.TRANSITIONS[promotion.state].get(type(event))
    if allowed is None:
        raise IllegalEvent(str(promotion.key), promotion.state, type(event).__name__)
    after = _apply(event, promotion, now)
    if after.state not in allowed:
        raise IllegalEvent(str(promotion.key), promotion.state, f"{type(event).__name__} leading to {after.state}")
    return replace(after, due_at=machine.due_at(after))


def _to(promotion: Promotion, state: PromotionState, now: int, **changes: Any) -> Promotion:
    since = promotion.since if state is promotion.state else now
    return replace(promotion, **{"state": state, "tries": 0, "next_try": now, "since": since, **changes})


def _wait(promotion: Promotion, now: int, seconds: int, **changes: Any) -> Promotion:
    return replace(promotion, tries=promotion.tries + 1, next_try=now + seconds, **changes)


def _handle(promotion: Promotion, *names: str) -> Promotion:
    news = {name: promotion.inbox[name] for name in names if name in promotion.inbox}
    return replace(promotion, handled={**promotion.handled, **news})


@singledispatch
def _apply(event: Any, promotion: Promotion, now: int) -> Promotion:
    raise TypeError(f"no rule for {type(event).__name__}")


# --- the tag ---------------------------------------------------------------------------------------------------------


@_apply.register
def _on_tag_seen(event: ev.TagSeen, promotion: Promotion, now: int) -> Promotion:
    wish = promotion.unread("retry")
    again = _tagged_again(promotion) or wish is not None
    moved = promotion.unread("generation") is not None
    only = tuple(filter(None, (wish or "").partition(":")[2].split(",")))
    promotion = replace(promotion, tagged_at=max(promotion.tagged_at, *_tag_events(promotion, now)))
    promotion = replace(_handle(promotion, *machine.NEWS), only=only if again else promotion.only)
    promotion = replace(promotion, restarts=0 if again else promotion.restarts)
    since = promotion.seen_since if event.value == promotion.seen_value and promotion.seen_since else now
    promotion = replace(promotion, image_name=event.image_name or promotion.image_name, look_blocked_until=0)
    promotion = replace(promotion, seen_value=event.value, seen_since=since, has_paused=False)
    if event.image_state is None or (event.image_state == "disabled" and promotion.standing):
        return _gone(promotion, now)
    if event.value is None:
        return _untagged(promotion, now)
    promotion = replace(promotion, absent_since=0, refused_for="" if again else promotion.refused_for)
    promotion = replace(promotion, withdrawing=promotion.withdrawing and not again)  # who is just ending starts again
    if event.own:
        return _refused(promotion, event.value, (_made_by_service(promotion),), now)
    if event.image_state == "pending" and promotion.state in (S.REQUESTED, S.RESOLVING, S.OVER):
        return _pending(promotion, event.value, now)
    unread = promotion.state is S.REQUESTED or (promotion.state is S.RESOLVING and promotion.candidate is None)
    known = (promotion.value, promotion.refused_value) if promotion.candidate is None else (promotion.candidate,)
    if event.value in known and not (again or moved or unread):
        return promotion
    same = event.value == promotion.value and not again
    refresh = same and (promotion.refresh or promotion.state not in (S.RESOLVING, S.EXPANDING))
    fresh: dict[str, Any] = {"candidate": event.value, "resolved": False, "to_notify": ()}
    # The event of the same value, written again, may be on its way.
    fresh["read_at"] = promotion.read_at if same else now
    fresh["tagged_since"] = promotion.tagged_since or not same
    fresh["blocked_until"] = 0  # what was refused for another value delays no removal
    fresh["unfinished"] = promotion.unfinished or promotion.resolved or promotion.state is S.EXPANDING
    fresh["only"] = promotion.only if again or same else ()  # an operator's word about another value
    return _to(promotion, S.RESOLVING, now, refresh=refresh and promotion.state is not S.REQUESTED, **fresh)


def _tagged_again(promotion: Promotion) -> bool:
    """Whether an unread tag event reports a change that no look can have shown: an event may be a day late."""
    unread = promotion.unread("tag")
    return unread is not None and happened_at(unread) > promotion.read_at


def _tag_events(promotion: Promotion, now: int) -> tuple[int, ...]:
    """Return when the tag was written by the unread tag events; a time in the future counts as now."""
    at = happened_at(promotion.unread("tag") or "")
    written = promotion.unread("written") or ""
    return (0 if math.isinf(at) else min(int(at), now), min(int(written), now) if written.isdigit() else 0)


def tag_entry(version: int, at: int | None, event: str) -> str:
    """Return a tag event as an inbox entry: its version, when the tag changed (if known), and its id."""
    return f"{version:012d}{'' if at is None else f'@{at}'}#{event}"


def happened_at(unread: str) -> float:
    """Return when the tag changed; infinity if the event does not say."""
    _, _, at = unread.partition("#")[0].partition("@")
    return int(at) if at.isdigit() else math.inf


def looked_for(promotion: Promotion) -> tuple[str, int]:
    """Return the reason to read the tag: the event's id, and when the tag changed (0: not known)."""
    unread = promotion.unread("tag") or ""
    at = happened_at(unread)
    return unread.partition("#")[2], 0 if at == math.inf else int(at)


def noted_value(promotion: Promotion) -> str | None:
    """Return the tag's value that discovery or an operator has seen since the last look; None: none."""
    unread = promotion.unread("seen")
    return None if unread is None else unread.partition(":")[2]


def _pending(promotion: Promotion, value: str, now: int) -> Promotion:
    if promotion.state is not S.OVER and now >= promotion.since + PENDING_DEADLINE:
        return _refused(promotion, value, (_never_available(promotion),), now)
    waiting = promotion if promotion.state is S.RESOLVING else _to(promotion, S.RESOLVING, now)
    return _wait(
        waiting,
        now,
        schedule.step(schedule.POLLS, waiting.tries),
        candidate=None,
        resolved=False,
        to_notify=(),
        refresh=False,
    )


def _idle(promotion: Promotion, now: int, why: str) -> Promotion:
    """Stop checking the value; running deliveries continue."""
    if promotion.state is S.REQUESTED:
        return _to(promotion, S.OVER, now, why=why)
    if promotion.state is S.RESOLVING:
        return _to(promotion, S.RUNNING, now, candidate=None, resolved=False, to_notify=())
    return promotion


def _gone(promotion: Promotion, now: int) -> Promotion:
    """Handle a missing or unusable AMI. Running deliveries continue by what is known; standing shares end."""
    settled = promotion.state in (S.EXPANDING, S.RUNNING, S.OVER)
    if promotion.state is S.OVER and not promotion.standing:
        return _untagged(promotion, now)
    if settled and (not promotion.standing or promotion.withdrawing):
        return replace(promotion, absent_since=0)
    if not _believed(promotion, now):
        return _absent(promotion, now)
    promotion = replace(promotion, absent_since=0)
    if promotion.standing:
        ends: dict[str, Any] = {"cancelling": True, "cancelled_to": "", "withdrawing": True}
        ends |= {"candidate": None, "resolved": False, "to_notify": ()}
        return _to(promotion, S.RUNNING, now, why="The AMI is gone or disabled.", **ends)
    promotion = replace(promotion, source_refused=True)  # what was cancelled begins no more of an AMI that is gone
    return _idle(promotion, now, "The hub does not own this AMI, or no longer does.")


def _untagged(promotion: Promotion, now: int) -> Promotion:
    """Absence in an eventually consistent read is weak evidence; once confirmed, further reads change nothing."""
    settled = promotion.state in (S.EXPANDING, S.RUNNING, S.OVER)
    if settled and promotion.value is None and not promotion.plan and not promotion.refused_for:
        return replace(promotion, absent_since=0)
    if not _believed(promotion, now):
        return _absent(promotion, now)
    nobody: dict[str, Any] = {"value": None, "plan": "", "planned": 0, "places": "", "source_refused": False}
    nobody["unfinished"] = False
    nobody |= {"candidate": None, "resolved": False, "to_notify": (), "refused_for": "", "absent_since": 0}
    nobody |= {"approval": False, "approval_digest": ""}
    nobody |= {"refused_value": None, "faults": (), "withdrawn": {}, "in_force_since": now}
    removed = replace(promotion, **nobody)
    if promotion.state is S.OVER and not promotion.standing:
        return removed
    removed = replace(removed, cancelling=promotion.cancelling or bool(promotion.plan), cancelled_to="")
    if settled:
        return _to(removed, S.RUNNING, now, why="Its tag was removed.")
    return _idle(removed, now, "It has no tag.")


def _believed(promotion: Promotion, now: int) -> bool:
    return bool(promotion.absent_since) and now >= promotion.absent_since + schedule.SECOND_LOOK_AFTER


def _absent(promotion: Promotion, now: int) -> Promotion:
    since = promotion.absent_since or now
    return replace(promotion, absent_since=since, next_try=since + schedule.SECOND_LOOK_AFTER)


# --- value and source ------------------------------------------------------------------------------------------------


@_apply.register
def _on_resolved(event: ev.Resolved, promotion: Promotion, now: int) -> Promotion:
    """Put a valid value into force, and end the deliveries that it no longer names.

    A value that names fewer targets counts after two looks. What was refused and is still in the tag stays known.
    """
    if event.faults:
        still = promotion if event.still is None else _planned(promotion, event.still)
        refused = _refused(still, event.value, event.faults, now)
        return replace(refused, refused_by_organization=event.by_organization)
    believed_from = promotion.seen_since + schedule.SECOND_LOOK_AFTER
    if event.removals and now < believed_from:  # the look may have been a stale one: it is taken again
        return _to(promotion, S.RESOLVING, believed_from, candidate=None)
    stands = promotion.seen_value not in (None, event.value) and promotion.seen_value == promotion.refused_value
    notified = bool(event.blocked) or stands
    in_force = replace(
        _planned(promotion, event),
        value=event.value,
        refused_value=promotion.refused_value if stands else None,
        in_force_since=promotion.in_force_since if event.value == promotion.value else promotion.read_at,
        tagged_at=promotion.tagged_with(event.value),
        source_refused=False,
        unfinished=False,
        faults=promotion.faults if notified else (),
        blocked=event.blocked,
    )
    if event.additions:
        return _to(in_force, S.RESOLVING, now, resolved=True)
    done: dict[str, Any] = {"candidate": None, "only": (), "to_notify": _news(in_force, event.blocked)}
    return _to(in_force, S.RUNNING, now, refused_for=promotion.refused_for if notified else "", **done)


def _planned(promotion: Promotion, event: ev.Resolved) -> Promotion:
    """Put the plan of a value into force, and end the deliveries that it no longer names."""
    others = promotion.plan not in ("", event.plan)
    return replace(
        promotion,
        plan=event.plan,
        planned=event.planned,
        places=event.places,
        digest=event.digest,
        members=event.members,
        withdrawn=event.withdrawn,
        approval=event.approval,
        cancelling=promotion.cancelling or others,
        cancelled_to="" if others else promotion.cancelled_to,
    )


@_apply.register
def _on_withdrawals_read(event: ev.WithdrawalsRead, promotion: Promotion, now: int) -> Promotion:
    """Ask the withdrawn deliveries to end. Asking again is harmless."""
    promotion = replace(_handle(promotion, machine.WITHDRAW), withdrawn=event.withdrawn)
    if not event.withdrawn or promotion.state is S.REQUESTED:
        return promotion
    ends: dict[str, Any] = {"cancelling": True, "cancelled_to": ""}
    if promotion.state is S.OVER:
        return _to(promotion, S.RUNNING, now, **ends) if promotion.standing else promotion
    return replace(promotion, **ends)


@_apply.register
def _on_examined(event: ev.Examined, promotion: Promotion, now: int) -> Promotion:
    """Start the additions if the source passed its checks; EC2 has seven minutes to show what it does not show yet."""
    if event.partial and promotion.tries < len(schedule.NOT_YET):
        return _wait(promotion, now, schedule.step(schedule.NOT_YET, promotion.tries))
    notified = bool(promotion.blocked) or promotion.refused_value is not None
    if event.faults:
        refused = replace(promotion, source_refused=True)
        return _refused(refused, promotion.candidate or "", (*promotion.blocked, *event.faults), now)
    return _to(
        replace(promotion, candidate=None, resolved=False),
        S.EXPANDING,
        now,
        episode=promotion.episode + 1,
        source=event.source,
        tagged_since=False,
        cursor=0,
        unfinished=False,
        source_refused=False,
        withdrawing=False,
        faults=promotion.faults if notified else (),
        to_notify=_news(promotion, promotion.blocked),
        refused_for=promotion.refused_for if notified else "",
    )


def _refused(promotion: Promotion, value: str, faults: tuple[Fault, ...], now: int) -> Promotion:
    """Notify of the faults, unless that was done; what runs continues."""
    if _named(faults, value) != promotion.refused_for:
        return _to(promotion, S.RESOLVING, now, candidate=value, to_notify=faults)
    if promotion.state in (S.REQUESTED, S.RESOLVING):
        return _go_on(promotion, value, faults, now)
    return promotion


def _go_on(promotion: Promotion, refused: str | None, faults: tuple[Fault, ...], now: int, **changes: Any) -> Promotion:
    """Give up a value that was refused, and continue with the one in force.

    Discovery does not wake a promotion for a refused value. It does wake one whose AMI becomes available. If the value
    was understood, only its source was refused.
    """
    if not promotion.resolved:
        changes["refused_value"] = None if faults == (_never_available(promotion),) else refused
    if promotion.unfinished and not promotion.resolved:
        begun = {"candidate": promotion.value, "resolved": True, "refresh": True}
        return _to(promotion, S.RESOLVING, now, **begun, **changes)
    state = S.RUNNING if promotion.state is S.RESOLVING else S.OVER
    return _to(promotion, state, now, candidate=None, resolved=False, unfinished=False, **changes)


def _news(promotion: Promotion, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Return the faults unless a notice has reported exactly these."""
    return () if _named(faults, promotion.value or "") == promotion.refused_for else faults


def _named(faults: Iterable[Fault], value: str) -> str:
    return digest(*(str(fault) for fault in faults), value)


@_apply.register
def _on_refused_notified(_event: ev.RefusedNotified, promotion: Promotion, now: int) -> Promotion:
    value = promotion.candidate if promotion.candidate is not None else promotion.value or ""
    named = _named(promotion.to_notify, value)
    notified = replace(promotion, to_notify=(), faults=promotion.to_notify, refused_for=named, next_try=now, tries=0)
    if promotion.state is not S.RESOLVING:
        return notified
    why = f"The value {value!r} was refused: {count(len(promotion.to_notify), 'fault')}."
    return _go_on(notified, promotion.candidate, promotion.to_notify, now, why=why)


def _never_available(promotion: Promotion) -> Fault:
    return Fault(
        "source-never-available",
        promotion.where,
        "For 24 hours the AMI was pending, or could not be read.",
        "Look in EC2 why it is not available, and in the log of `worker` what was refused; then tag it again.",
    )


def _made_by_service(promotion: Promotion) -> Fault:
    return Fault(
        "source-made-by-service",
        promotion.where,
        "It has the tag ami-promoter:delivery, so the service made it. The service never promotes an AMI that it made.",
        "Tag its source AMI instead. If this one was built from a copy, and only inherited the tag: remove "
        "its ami-promoter:* tags and tag it again.",
    )


# --- deliveries ------------------------------------------------------------------------------------------------------


@_apply.register
def _on_expanded(event: ev.Expanded, promotion: Promotion, now: int) -> Promotion:
    cursor = promotion.cursor + event.count
    state = S.RUNNING if cursor >= promotion.planned else S.EXPANDING
    only = () if state is S.RUNNING else promotion.only
    standing = promotion.standing or event.standing
    return _to(promotion, state, now, cursor=cursor, why="", only=only, standing=standing)


@_apply.register
def _on_others_cancelled(event: ev.OthersCancelled, promotion: Promotion, now: int) -> Promotion:
    return replace(promotion, cancelling=bool(event.upto), cancelled_to=event.upto, next_try=now)


@_apply.register
def _on_approval_asked(event: ev.ApprovalAsked, promotion: Promotion, now: int) -> Promotion:
    return replace(
        promotion,
        approval_seen_for=promotion.asks_about,
        approval_digest=event.digest,
        approval_asked=event.once or promotion.approval_asked,
        next_try=now,
        tries=0,
    )


@_apply.register
def _on_counted(event: ev.Counted, promotion: Promotion, now: int) -> Promotion:
    """Wait for the last end. What was cancelled and is wanted again (its tag was put back) is resolved again."""
    if event.wanted_again and not event.to_end:
        refresh = (promotion.refresh or promotion.state is S.OVER) and not event.asked_again
        restarts = promotion.restarts
        wait = schedule.step(schedule.POLLS, restarts - 1) if restarts else 0
        begun = replace(promotion, candidate=promotion.value, resolved=False, refresh=refresh, restarts=restarts + 1)
        return _to(begun, S.RESOLVING, now, next_try=now + wait)
    if promotion.state is S.OVER:
        return replace(promotion, tries=0)
    if now < promotion.next_try:  # it was woken, and goes on waiting
        return promotion
    wait = schedule.step(schedule.POLLS, promotion.tries) if event.to_end else 0
    return _wait(promotion, now, wait)


@_apply.register
def _on_summary_notified(event: ev.SummaryNotified, promotion: Promotion, now: int) -> Promotion:
    said = replace(promotion, standing=event.standing, summarised=promotion.episode)
    if promotion.state is S.OVER:
        return replace(said, tries=0)
    if promotion.cancelling:  # the look before it showed that the tag is gone: what was delivered is unmarked first
        return replace(said, next_try=now)
    after = _to(promotion, S.OVER, now, summarised=promotion.episode, standing=event.standing, restarts=0)
    return replace(after, next_try=max(now, promotion.absent_since + schedule.SECOND_LOOK_AFTER))


def to_end(promotion: Promotion, tracked: TrackedDelivery, plan: Plan) -> bool:
    """Whether a delivery is still to end: it has neither ended nor reached ``shared``."""
    return tracked.state == RUNNING or (tracked.state == "shared" and unwanted(promotion, tracked, plan))


def unwanted(promotion: Promotion, tracked: TrackedDelivery, plan: Plan) -> bool:
    """Whether the value in force does not name a delivery, or its AMI is gone."""
    return promotion.withdrawing or tracked.place not in plan


def wanted_again(promotion: Promotion, tracked: TrackedDelivery, plan: Plan) -> bool:
    """Whether a delivery that the value in force names was ended by its tag, or failed while a retry was requested."""
    if promotion.withdrawing or promotion.source_refused or tracked.place not in plan.wanted:
        return False
    return tracked.state in ("cancelled", "withdrawn") or asked_again(promotion, tracked)


def asked_again(promotion: Promotion, tracked: TrackedDelivery) -> bool:
    """Whether a delivery has failed for which a retry was requested while it was failing."""
    return tracked.state == "failed" and tracked.asked_again == promotion.episode > 0


# --- trouble ---------------------------------------------------------------------------------------------------------


@_apply.register
def _on_blocked(event: ev.Blocked, promotion: Promotion, now: int) -> Promotion:
    waited = now >= promotion.since + PENDING_DEADLINE and promotion.tries >= TRIES_BEFORE_DEADLINE
    if waited and promotion.state in (S.REQUESTED, S.RESOLVING) and not promotion.to_notify:
        value = promotion.candidate or promotion.value or ""
        return _refused(promotion, value, (_never_available(promotion),), now)
    until = now + schedule.step(schedule.RETRIES, promotion.tries)
    if not event.look:
        return replace(promotion, tries=promotion.tries + 1, next_try=until, blocked_until=until)
    return replace(promotion, tries=promotion.tries + 1, look_blocked_until=until)


@_apply.register
def _on_paused(_event: ev.Paused, promotion: Promotion, now: int) -> Promotion:
    return replace(promotion, next_try=now + schedule.POLLS[-1], since=now, has_paused=True)
