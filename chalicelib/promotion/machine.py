"""The state machine of a promotion: which events can happen in which state, and what is left to do.

A promotion is level-triggered: whatever woke it, it compares what is wanted with what there is, and one pass makes
these agree. The pass first asks deliveries to end. That waits for nothing: not for the source's checks, a pause,
another account's fault, or a look at the tag. What is missing begins afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib.engine import schedule, transitions
from chalicelib.engine.transitions import Row, leads
from chalicelib.promotion import commands as do
from chalicelib.promotion import events as ev
from chalicelib.promotion import evolving
from chalicelib.promotion.evolving import ADJUST, COMPARE, FINISH, REQUEST, RUN, PromotionEntry
from chalicelib.promotion.model import EXAMINE, WORTH_A_LOOK, PartOfPass, Promotion, PromotionState

NEWS = ("tag", "image", "seen", "retry", "lifted", "file")
"""Inbox entries that ask for a look at the tag: its own event, the AMI's, discovery's, an operator's request, the end
of a withdrawal or recall, and a change of file or membership. ``retry`` names targets (``Retry``): what failed there
begins again, and what is missing begins. ``lifted``, in the same form: what had begun there begins again.
"""

WITHDRAW, RECALL = "withdraw", "recall"
"""Inbox entries: withdrawals or a recall of this AMI have changed; the operators' table has them.

``recall`` may name targets (``Retry``, by AWS's clock in seconds) whose recall was given up: it is tried again there.
"""

S = PromotionState


def _in_each(entry: PromotionEntry) -> Row[Promotion]:
    """Return the events that keep every state."""
    return {
        ev.RefusedNotified: leads(evolving.on_refused_notified, entry),
        ev.NotExecuted: leads(evolving.on_not_executed, entry),
    }


_COMPARED: Row[Promotion] = {ev.Compared: leads(evolving.on_compared, COMPARE, ADJUST, RUN, FINISH)}

TRANSITIONS: Mapping[PromotionState, Row[Promotion]] = {
    S.REQUESTED: {ev.TagSeen: leads(evolving.on_tag_seen, REQUEST, COMPARE, RUN, FINISH), **_in_each(REQUEST)},
    S.COMPARING: {ev.TagSeen: leads(evolving.on_tag_seen, REQUEST, COMPARE), **_COMPARED, **_in_each(COMPARE)},
    S.ADJUSTING: {
        ev.TagSeen: leads(evolving.on_tag_seen, ADJUST, COMPARE),
        **_COMPARED,
        ev.Examined: leads(evolving.on_examined, ADJUST, RUN),
        ev.Sliced: leads(evolving.on_sliced, ADJUST, RUN),
        **_in_each(ADJUST),
        ev.Paused: leads(evolving.on_paused, ADJUST),
    },
    S.RUNNING: {ev.TagSeen: leads(evolving.on_tag_seen, RUN, COMPARE), **_COMPARED, **_in_each(RUN)},
    S.OVER: {ev.TagSeen: leads(evolving.on_tag_seen, REQUEST, COMPARE, RUN, FINISH), **_COMPARED, **_in_each(FINISH)},
}


def evolve(promotion: Promotion, event: ev.Event, now: int) -> Promotion:
    """Return the promotion after the event. Raises IllegalEvent if the table does not allow the transition."""
    return transitions.evolve(TRANSITIONS, promotion, event, now)


def outstanding(promotion: Promotion, now: int) -> tuple[do.PromotionCommand, ...]:
    """List the commands that are left, from the record alone. Each is safe to repeat."""
    due = now >= promotion.next_try
    may_compare = now >= promotion.compare_after
    may_look, asked_at = now >= promotion.look_after, _asked_at(promotion)
    is_to_look = may_look and ((asked_at is not None and now >= asked_at) or (due and needs_look(promotion)))
    if _asks_to_end(promotion):
        if not due:
            return ()
        slice_ = do.Slice(promotion.cursor)
        # After a refusal it looks as well: if nobody knows whom the value names, the tag's removal is still news.
        return (slice_, do.LookAtTag()) if is_to_look and promotion.tries else (slice_,)
    if withdraws(promotion) and may_compare:
        return (do.Compare(),)
    if is_to_look:
        return (do.LookAtTag(),)
    if not may_compare or not due:
        return ()
    if not promotion.unnotified or _examines_first(promotion):
        return _next_of_state(promotion, may_look=may_look)
    if promotion.state is S.COMPARING:  # no removal waits for a notice
        return (do.Compare(), do.NotifyRefused())
    return (do.NotifyRefused(),)


def _examines_first(promotion: Promotion) -> bool:
    """Whether the source is examined before people are notified, so that one notice lists its faults, too.

    If that is refused, or has to wait, the notice does not.
    """
    examines = promotion.state is S.ADJUSTING and promotion.cursor == EXAMINE
    return examines and not promotion.tries and not needs_look(promotion)


def _next_of_state(promotion: Promotion, *, may_look: bool) -> tuple[do.PromotionCommand, ...]:
    """List what the state itself asks for, when it is due and no inbox entry or notice comes first."""
    if needs_look(promotion):
        return ()
    match promotion.state:
        case S.COMPARING:
            return (do.Compare(),)
        case S.ADJUSTING:
            return (do.Examine(),) if promotion.cursor == EXAMINE else (do.Slice(promotion.cursor),)
        case S.RUNNING:
            looks_too = may_look and promotion.tries >= WORTH_A_LOOK
            return (do.LookAtTag(), do.Compare()) if looks_too else (do.Compare(),)
        case _:  # what was shared may have been withdrawn for a change of file or membership
            return (do.Compare(),) if _compares_again(promotion) else ()


def looks(promotion: Promotion, now: int) -> tuple[do.PromotionCommand, ...]:
    """List what a wake alone leads to: a comparison, as a delivery may have ended."""
    if promotion.unnotified or now < promotion.compare_after:
        return ()
    waits = promotion.state is S.RUNNING or (promotion.state is S.OVER and promotion.standing)
    return (do.Compare(),) if waits else ()


def enters_history(before: Promotion, after: Promotion) -> bool:
    """Whether the history gets an entry: not for a look, or a comparison, that shows nothing new."""
    quiet: dict[str, Any] = {"tries": 0, "next_try": 0, "looked_at": 0, "handled": {}, "doubted": {}}
    return replace(before, **quiet) != replace(after, **quiet)


def _asks_to_end(promotion: Promotion) -> bool:
    """Whether the pass asks deliveries to end. News waits unless that was refused, as a comparison follows anyway."""
    return promotion.state is S.ADJUSTING and promotion.cursor.part in (PartOfPass.END, PartOfPass.END_AGAIN)


def withdraws(promotion: Promotion) -> bool:
    """Whether a withdrawal or a recall is still to be compared with its deliveries."""
    is_untagged = promotion.state is S.OVER and promotion.value is None
    waits = promotion.state is S.REQUESTED or promotion.awaits_ami
    if waits or promotion.is_of_baseline_and_gone or (is_untagged and not promotion.file):  # nothing has ever begun
        return False
    if promotion.unread(RECALL) is not None:
        return True
    withdrawn = promotion.unread(WITHDRAW) is not None
    return withdrawn and promotion.newest > 0 and not is_untagged  # else nothing runs, and nothing is shared


def _compares_again(promotion: Promotion) -> bool:
    """Whether a promotion that is over has standing shares, and could not compare the last time."""
    return promotion.standing and bool(promotion.tries)


def has_news(promotion: Promotion) -> bool:
    """Whether an inbox entry asks for a look at the tag."""
    return any(promotion.unread(name) is not None for name in NEWS)


def _asked_at(promotion: Promotion) -> int | None:
    """Return from when an inbox entry asks for a look at the tag: the second one half a minute after the first."""
    if not has_news(promotion):
        return None
    first = any(promotion.unread(name) not in (None, promotion.doubted.get(name)) for name in NEWS)
    return 0 if first else promotion.looked_at + schedule.SECOND_LOOK_AFTER


def needs_look(promotion: Promotion) -> bool:
    """Whether the tag must be read when it is due, before anything else: the event of its removal can be lost."""
    waited = bool(promotion.tries) and promotion.looked_at < promotion.next_try
    busy = promotion.state in (S.COMPARING, S.ADJUSTING)
    return promotion.state is S.REQUESTED or bool(promotion.absent_since) or (busy and waited)


def due_at(promotion: Promotion) -> int | None:
    """Return when to look again if no wake arrives; None: it has ended, and nothing is in doubt."""
    if _asks_to_end(promotion):
        return promotion.next_try
    asked_at = _asked_at(promotion)
    times = [] if asked_at is None else [max(asked_at, promotion.look_after)]
    if withdraws(promotion):
        times.append(promotion.compare_after or promotion.since)
    rests = promotion.state is S.OVER and not (promotion.absent_since or promotion.unnotified)
    if not rests or _compares_again(promotion):
        looks_first = needs_look(promotion) and not promotion.unnotified
        after = promotion.look_after if looks_first else promotion.compare_after
        times.append(max(promotion.next_try, after))
    return min(times, default=None)
