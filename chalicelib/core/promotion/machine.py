"""The state machine of a promotion: which events can happen in which state, and what is left to do.

Removals are apart from additions. A value that is understood takes effect: the promotion asks deliveries that it no
longer names to end at once (``CancelOthers``), also while the source fails its checks, promotions are paused, or
another account has a fault; new deliveries wait for these. A look at the tag comes before everything but a removal that
is under way.
"""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.core.promotion import commands as do
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion.model import Promotion, PromotionState

NEWS = ("tag", "image", "seen", "retry", "written", "generation")
"""Inbox entries that ask for a look at the tag: its own event, the AMI's, discovery's, an operator's request, and a
change of file or membership. ``retry`` is "when:account,account": what failed is tried again, there or everywhere.
``written``: when an operator's command wrote the tag; that is a tag event, too (its own may be lost).
"""

WITHDRAW = "withdraw"
"""Inbox entry: an operator has withdrawn accounts; the operators' table says which."""

WORTH_A_LOOK = 3
"""After so many polls a running promotion also reads its tag, because the event of its removal can be lost."""

S = PromotionState

TRANSITIONS: Mapping[PromotionState, Mapping[type, frozenset[PromotionState]]] = {
    S.REQUESTED: {
        ev.WithdrawalsRead: frozenset({S.REQUESTED}),
        ev.TagSeen: frozenset({S.REQUESTED, S.RESOLVING, S.OVER}),
        ev.Blocked: frozenset({S.REQUESTED, S.RESOLVING}),
    },
    S.RESOLVING: {
        ev.WithdrawalsRead: frozenset({S.RESOLVING}),
        ev.TagSeen: frozenset({S.RESOLVING, S.RUNNING}),
        ev.OthersCancelled: frozenset({S.RESOLVING}),
        ev.Resolved: frozenset({S.RESOLVING, S.RUNNING}),
        ev.Examined: frozenset({S.RESOLVING, S.EXPANDING, S.RUNNING}),
        ev.RefusedNotified: frozenset({S.RESOLVING, S.RUNNING}),
        ev.Blocked: frozenset({S.RESOLVING}),
        ev.Paused: frozenset({S.RESOLVING}),
    },
    S.EXPANDING: {
        ev.WithdrawalsRead: frozenset({S.EXPANDING}),
        ev.TagSeen: frozenset({S.EXPANDING, S.RESOLVING, S.RUNNING}),
        ev.OthersCancelled: frozenset({S.EXPANDING}),
        ev.RefusedNotified: frozenset({S.EXPANDING}),
        ev.Expanded: frozenset({S.EXPANDING, S.RUNNING}),
        ev.Blocked: frozenset({S.EXPANDING}),
        ev.Paused: frozenset({S.EXPANDING}),
    },
    S.RUNNING: {
        ev.WithdrawalsRead: frozenset({S.RUNNING}),
        ev.TagSeen: frozenset({S.RUNNING, S.RESOLVING}),
        ev.OthersCancelled: frozenset({S.RUNNING}),
        ev.RefusedNotified: frozenset({S.RUNNING}),
        ev.ApprovalAsked: frozenset({S.RUNNING}),
        ev.Counted: frozenset({S.RUNNING, S.RESOLVING}),
        ev.SummaryNotified: frozenset({S.RUNNING, S.OVER}),
        ev.Blocked: frozenset({S.RUNNING}),
    },
    S.OVER: {
        ev.WithdrawalsRead: frozenset({S.OVER, S.RUNNING}),
        ev.TagSeen: frozenset({S.OVER, S.RESOLVING, S.RUNNING}),
        ev.Counted: frozenset({S.OVER, S.RESOLVING}),
        ev.SummaryNotified: frozenset({S.OVER}),
        ev.Blocked: frozenset({S.OVER}),
    },
}
"""State -> event -> the states that can follow. An event that a state does not have is illegal and parks the record."""


def outstanding(promotion: Promotion, now: int) -> tuple[do.Command, ...]:
    """List the commands that are left, from the record alone. Each is safe to repeat."""
    if promotion.unread(WITHDRAW) is not None:
        return (do.ReadWithdrawals(),)
    if promotion.cancelling:
        return (do.CancelOthers(promotion.plan, promotion.withdrawing, promotion.cancelled_to),)
    due = now >= promotion.next_try
    may_look = now >= promotion.look_blocked_until
    if may_look and (has_news(promotion) or (due and _waits_for_look(promotion))):
        return (do.LookAtTag(),)
    if promotion.state is S.REQUESTED or now < promotion.blocked_until:
        return ()
    if promotion.state is S.OVER:  # what was shared may have been withdrawn for a change of file or membership
        return (do.Count(),) if due and _count_again(promotion) else ()
    if promotion.to_notify:
        return (do.NotifyRefused(promotion.to_notify),) if due else ()
    if promotion.state is S.RUNNING:
        return _running(promotion, due=due, may_look=may_look)
    if not due or _needs_look(promotion):
        return ()
    if promotion.state is S.EXPANDING:
        return (do.Expand(promotion.plan, promotion.cursor),)
    return (do.Examine(),) if promotion.resolved else (do.Resolve(promotion.candidate or ""),)


def _running(promotion: Promotion, *, due: bool, may_look: bool) -> tuple[do.Command, ...]:
    examined = promotion.source != ""  # else nothing is known that could be approved
    if due and promotion.approval and examined and promotion.approval_seen_for != promotion.asks_about:
        return (do.AskApproval(),)
    if due and may_look and promotion.tries >= WORTH_A_LOOK:
        return (do.LookAtTag(), do.Count())
    return (do.Count(),) if due else ()


def looks(promotion: Promotion, now: int) -> tuple[do.Command, ...]:
    """List the looks of a promotion that was woken: its deliveries end by themselves."""
    withdrawing = promotion.cancelling or promotion.unread(WITHDRAW) is not None
    if withdrawing or promotion.to_notify or now < promotion.blocked_until:
        return ()
    waits = promotion.state is S.RUNNING or (promotion.state is S.OVER and promotion.standing)
    return (do.Count(),) if waits else ()


def _count_again(promotion: Promotion) -> bool:
    """Whether an ended promotion could not count its deliveries the last time."""
    return promotion.standing and bool(promotion.tries)


def has_news(promotion: Promotion) -> bool:
    """Whether an inbox entry asks for a look at the tag."""
    return any(promotion.unread(name) is not None for name in NEWS)


def _waits_for_look(promotion: Promotion) -> bool:
    """Whether the promotion must look at its tag when it is due: the event of its removal can be lost."""
    return _needs_look(promotion) or bool(promotion.absent_since) or promotion.has_paused


def _needs_look(promotion: Promotion) -> bool:
    """Whether the tag must be read before anything else."""
    resolving = promotion.state is S.RESOLVING and promotion.candidate is None and not promotion.to_notify
    return promotion.state is S.REQUESTED or resolving


def due_at(promotion: Promotion) -> int | None:
    """Return when to look again if no wake arrives; None: it has ended, and nothing is in doubt."""
    looks = has_news(promotion)
    if promotion.unread(WITHDRAW) is not None:
        return promotion.since
    if promotion.state is S.OVER and not promotion.absent_since and not looks:
        return promotion.next_try if _count_again(promotion) else None
    if promotion.cancelling:
        return promotion.next_try
    times = [promotion.look_blocked_until] if looks else []
    if _waits_for_look(promotion):
        times.append(max(promotion.next_try, promotion.look_blocked_until))
    if promotion.state is not S.OVER and not _needs_look(promotion):
        times.append(max(promotion.next_try, promotion.blocked_until))
    return min(times, default=None)
