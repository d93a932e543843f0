"""The state machine of a promotion: from a tag to deliveries, and to one summary when all have ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from chalicelib.core import pace
from chalicelib.core.addresses import digest
from chalicelib.core.errors import IllegalEvent
from chalicelib.core.faults import Fault
from chalicelib.core.promotion.model import Child, Promotion, State
from chalicelib.core.targets import Resolution, Target

CHUNK = 20
"""Deliveries written by one command: well inside a function's time."""

PENDING_DEADLINE = 24 * pace.HOUR
"""For how long an AMI may stay pending, or EC2 unreadable, before the promotion gives up."""

NEWS = ("tag", "image", "seen", "retry", "members")
"""Hints that are worth a look at the tag: its own event, the AMI's, discovery's, an operator's wish, the resolver's.

``retry`` is "when:account,account": what failed is tried again, there alone or, without accounts, everywhere.
"""

WORTH_A_LOOK = 3
"""From the third poll on, a running promotion also looks at its tag: the event of its removal may be lost."""

# --- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookAtTag:
    """Read the AMI, its state and the tag in force from EC2."""


@dataclass(frozen=True, slots=True)
class Examine:
    """Resolve the value by the targets file; read and check the whole source. Opens nothing."""

    value: str


@dataclass(frozen=True, slots=True)
class Expand:
    """Write a chunk of deliveries, put-if-absent, and ring them; ended ones that failed are opened again.

    ``plan`` names the items that hold the targets' settings; ``chunk`` counts from 0.
    """

    plan: str
    chunk: int


@dataclass(frozen=True, slots=True)
class CancelOthers:
    """Ask every running or shared delivery whose target is not in ``keep`` ("account/region") to end.

    ``withdraw``: and every shared one.
    """

    keep: frozenset[str]
    withdraw: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """Read the marks that the deliveries left."""


@dataclass(frozen=True, slots=True)
class TellRefused:
    """One notice that lists every fault of the value or the source."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class TellSummary:
    """One notice when all is over."""

    children: tuple[Child, ...]


Command = LookAtTag | Examine | Expand | CancelOthers | Count | TellRefused | TellSummary

# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagSeen:
    """What EC2 shows: ``value`` None means no tag. ``image_state`` None means that the hub owns no such AMI."""

    value: str | None
    image_state: str | None
    image_name: str = ""
    ours: bool = False
    """It bears our delivery tag: we made it, so it never triggers."""


@dataclass(frozen=True, slots=True)
class Examined:
    """The value names these targets, and the source can go to them; or the faults, all of them."""

    value: str
    places: tuple[str, ...]
    plan: str
    digest: str
    faults: tuple[Fault, ...]
    retry: bool
    """Whether there is anything new to do: a target that no delivery has, or one that failed."""
    members: int = 0
    """The listing of the organisation that was used."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """So many deliveries, from the cursor on, exist and have been rung. ``later``: those that are failing just now."""

    count: int
    later: tuple[str, ...] = ()
    standing: bool = False
    """Whether there are targets among them with which the AMI is to be shared."""


@dataclass(frozen=True, slots=True)
class OthersCancelled:
    """The deliveries that are not wanted any longer know it."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The marks as they are now."""

    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class RefusedTold:
    """The notice of the faults is out."""


@dataclass(frozen=True, slots=True)
class SummaryTold:
    """The summary is out, where there was anything to sum up. ``standing``: some deliveries rest in ``shared``."""

    standing: bool = False


@dataclass(frozen=True, slots=True)
class Hindered:
    """A command was not carried out: a throttle, an outage, a denial of our own role."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator has paused new promotions: the same again in a while, however long that lasts."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The AMI stayed pending, or EC2 unreadable, for too long."""


Event = (
    TagSeen
    | Examined
    | Expanded
    | OthersCancelled
    | Counted
    | RefusedTold
    | SummaryTold
    | Hindered
    | Paused
    | DeadlinePassed
)

S = State

TRANSITIONS: Mapping[State, Mapping[type, frozenset[State]]] = {
    S.REQUESTED: {
        TagSeen: frozenset({S.REQUESTED, S.RESOLVING, S.OVER}),
        Hindered: frozenset({S.REQUESTED}),
        DeadlinePassed: frozenset({S.RESOLVING}),
    },
    S.RESOLVING: {
        TagSeen: frozenset({S.RESOLVING, S.RUNNING, S.OVER}),
        Examined: frozenset({S.RESOLVING, S.EXPANDING, S.RUNNING}),
        RefusedTold: frozenset({S.RUNNING}),
        Hindered: frozenset({S.RESOLVING}),
        Paused: frozenset({S.RESOLVING}),
        DeadlinePassed: frozenset({S.RESOLVING}),
    },
    S.EXPANDING: {
        Expanded: frozenset({S.EXPANDING, S.RUNNING}),
        Hindered: frozenset({S.EXPANDING}),
        Paused: frozenset({S.EXPANDING}),
    },
    S.RUNNING: {
        TagSeen: frozenset({S.RUNNING, S.RESOLVING}),
        OthersCancelled: frozenset({S.RUNNING}),
        Counted: frozenset({S.RUNNING, S.EXPANDING}),
        SummaryTold: frozenset({S.OVER}),
        Hindered: frozenset({S.RUNNING}),
    },
    S.OVER: {
        TagSeen: frozenset({S.OVER, S.RESOLVING, S.RUNNING}),
        Hindered: frozenset({S.OVER}),
    },
}
"""Where each event may lead. An event that is missing from a state's row is illegal there, and parks the record."""


def place(target: Target) -> str:
    """Name a target in a set: "account/region"."""
    return f"{target.account}/{target.region}"


def started(ami: str, hub: str, region: str, now: int) -> Promotion:
    """Return a promotion that nobody has looked at yet."""
    return Promotion(ami, hub, region, created_at=now, next_try=now, since=now, due_at=now)


def baseline(ami: str, hub: str, region: str, value: str, now: int) -> Promotion:
    """Return the promotion of an AMI that was tagged before this service first looked: it moves only by an event.

    By any event, however late: its wake may have waited while discovery looked.
    """
    why = "It was tagged before this service was installed; tag it again to promote it."
    return Promotion(ami, hub, region, created_at=now, state=S.OVER, value=value, why=why, since=now)


def heard(promotion: Promotion, now: int) -> tuple[Event, ...]:
    """Return what the clock brings."""
    waiting = promotion.state in (S.REQUESTED, S.RESOLVING) and not promotion.faults
    if waiting and now >= promotion.since + PENDING_DEADLINE:
        return (DeadlinePassed(),)
    return ()


def outstanding(promotion: Promotion, now: int) -> tuple[Command, ...]:
    """List what is left to do now, from the record alone. Safe to ask, and to obey, again."""
    if now < promotion.hindered_until:
        return ()
    due = now >= promotion.next_try
    news = any(promotion.hint(name) is not None for name in NEWS)
    match promotion.state:
        case S.REQUESTED:
            return (LookAtTag(),) if due or news else ()
        case S.RESOLVING if promotion.faults:
            return (TellRefused(promotion.faults),) if due else ()
        case S.RESOLVING if promotion.candidate is None:
            return (LookAtTag(),) if due or news else ()
        case S.RESOLVING:
            return (Examine(promotion.candidate),) if due and promotion.candidate is not None else ()
        case S.EXPANDING:
            return (Expand(promotion.plan, promotion.cursor // CHUNK),) if due else ()
        case S.RUNNING:
            return _running(promotion, due=due, news=news)
        case _:
            return (LookAtTag(),) if news or (promotion.absent_since and due) else ()


def _running(promotion: Promotion, *, due: bool, news: bool) -> tuple[Command, ...]:
    if news or (promotion.absent_since and due):
        return (LookAtTag(),)
    if promotion.cancelling and due:
        return (CancelOthers(frozenset(promotion.places), promotion.withdrawing),)
    if due and promotion.tries >= WORTH_A_LOOK:
        return (LookAtTag(), Count())
    if due or promotion.hint("ended") is not None:
        return (Count(),)
    return ()


def absorb(promotion: Promotion, event: Event, now: int) -> Promotion:
    """Return the promotion as it is after the event. Raises IllegalEvent where the table has no such edge."""
    allowed = TRANSITIONS[promotion.state].get(type(event))
    if allowed is None:
        raise IllegalEvent(str(promotion.key), promotion.state, type(event).__name__)
    after = _apply(event, promotion, now)
    if after.state not in allowed:
        raise IllegalEvent(str(promotion.key), promotion.state, f"{type(event).__name__} leading to {after.state}")
    return replace(after, due_at=_due_at(after))


def _due_at(promotion: Promotion) -> int | None:
    if promotion.state is S.OVER and not promotion.absent_since:
        return None
    return max(promotion.next_try, promotion.hindered_until)


def _to(promotion: Promotion, state: State, now: int, **changes: Any) -> Promotion:
    since = promotion.since if state is promotion.state else now
    return replace(promotion, **{"state": state, "tries": 0, "next_try": now, "since": since, **changes})


def _wait(promotion: Promotion, now: int, seconds: int, **changes: Any) -> Promotion:
    return replace(promotion, tries=promotion.tries + 1, next_try=now + seconds, **changes)


def _hear(promotion: Promotion, *names: str) -> Promotion:
    news = {name: promotion.hints[name] for name in names if name in promotion.hints}
    return replace(promotion, heard={**promotion.heard, **news})


@singledispatch
def _apply(event: Any, promotion: Promotion, now: int) -> Promotion:
    raise TypeError(f"no rule for {type(event).__name__}")


@_apply.register
def _(event: TagSeen, promotion: Promotion, now: int) -> Promotion:
    wish = promotion.hint("retry")
    again = _tagged_again(promotion) or wish is not None
    moved = promotion.hint("members") is not None
    only = tuple(filter(None, (wish or "").partition(":")[2].split(",")))
    promotion = replace(_hear(promotion, *NEWS), only=only if again else promotion.only)
    promotion = replace(promotion, image_name=event.image_name or promotion.image_name)
    useless = event.image_state == "disabled" and promotion.standing and promotion.state in (S.RUNNING, S.OVER)
    if event.image_state is None or (useless and not again):
        return _gone(promotion, now)
    if event.ours:
        return _over_if_idle(promotion, now, "We made this AMI ourselves; it is never promoted on.")
    if event.value is None:
        return _untagged(promotion, now)
    promotion = replace(promotion, absent_since=0, refused_told="" if again else promotion.refused_told)
    if event.image_state == "pending" and promotion.state in (S.REQUESTED, S.RESOLVING, S.OVER):
        state = S.RESOLVING
        waiting = promotion if promotion.state is state else _to(promotion, state, now)
        return _wait(waiting, now, pace.step(pace.POLLS, waiting.tries), candidate=None, refresh=False)
    if event.value == promotion.value and not (moved or _worth_again(promotion, again=again)):
        return _over_if_idle(promotion, now, promotion.why)
    resting = promotion.state in (S.RUNNING, S.OVER)
    refresh = event.value == promotion.value and (resting or promotion.refresh) and not again
    return _to(promotion, S.RESOLVING, now, candidate=event.value, faults=(), read_at=now, refresh=refresh)


def _tagged_again(promotion: Promotion) -> bool:
    """Whether an unheard event tells of a change that no look can have shown: the event may be a day late (law 5)."""
    hint = promotion.hint("tag")
    return hint is not None and happened_at(hint) > promotion.read_at


def tag_hint(version: int, at: int | None) -> str:
    """Write a tag event down: its version, by which newer ones are known, and when the tag changed, if it says."""
    return f"{version:012d}" if at is None else f"{version:012d}@{at}"


def happened_at(hint: str) -> float:
    """Return when the tag changed; an event that does not say is taken for one of just now."""
    _, _, at = hint.partition("@")
    return int(at) if at.isdigit() else math.inf


def _worth_again(promotion: Promotion, *, again: bool) -> bool:
    """Tagged again with the same value: worth examining for those that failed, but only on a new event."""
    return promotion.state in (S.REQUESTED, S.RESOLVING) or again


def _over_if_idle(promotion: Promotion, now: int, why: str) -> Promotion:
    if promotion.state is S.REQUESTED:
        return _to(promotion, S.OVER, now, why=why)
    if promotion.state is S.RESOLVING:
        return _to(promotion, S.RUNNING, now, candidate=None)
    return promotion


def _gone(promotion: Promotion, now: int) -> Promotion:
    """The AMI is not there, or not the hub's. A running promotion goes on with what is already known."""
    idle = promotion.state in (S.RUNNING, S.OVER)
    if idle and (not promotion.standing or promotion.withdrawing):
        return replace(promotion, absent_since=0)
    if not _believed(promotion, now):
        return _absent(promotion, now)
    promotion = replace(promotion, absent_since=0)
    if idle:
        why = "The AMI is gone or disabled."
        return _to(promotion, S.RUNNING, now, cancelling=True, withdrawing=True, why=why)
    return _over_if_idle(promotion, now, "The hub owns no such AMI (any longer).")


def _untagged(promotion: Promotion, now: int) -> Promotion:
    """Absence in an eventually consistent read is weak evidence (law 5); once believed, seeing it again is no news."""
    known = promotion.value is None and not promotion.refused_told and not promotion.reopen
    if known and promotion.state in (S.RUNNING, S.OVER):
        return replace(promotion, absent_since=0)
    if not _believed(promotion, now):
        return _absent(promotion, now)
    promotion = replace(promotion, absent_since=0, reopen=())
    if promotion.state is S.OVER and not promotion.standing:
        return replace(promotion, value=None, refused_told="")
    cancelling = promotion.cancelling or bool(promotion.places)
    removed = replace(promotion, value=None, places=(), cancelling=cancelling, refused_told="")
    if promotion.state in (S.RUNNING, S.OVER):
        return _to(removed, S.RUNNING, now, why="Its tag was removed.")
    return _over_if_idle(removed, now, "It bears no tag.")


def _believed(promotion: Promotion, now: int) -> bool:
    return bool(promotion.absent_since) and now >= promotion.absent_since + pace.ABSENCE


def _absent(promotion: Promotion, now: int) -> Promotion:
    since = promotion.absent_since or now
    return replace(promotion, absent_since=since, next_try=since + pace.ABSENCE)


@_apply.register
def _(event: Examined, promotion: Promotion, now: int) -> Promotion:
    promotion = replace(promotion, candidate=None)
    if event.faults:
        if digest(*(str(fault) for fault in event.faults), event.value) == promotion.refused_told:
            return _to(promotion, S.RUNNING, now)
        return _to(promotion, S.RESOLVING, now, candidate=event.value, faults=event.faults)
    same: dict[str, Any] = {
        "refused_value": None,
        "withdrawing": False,
        "value": event.value,
        "places": event.places,
        "plan": event.plan,
        "digest": event.digest,
        "members": event.members,
    }
    cancelling = promotion.cancelling or bool(set(promotion.places) - set(event.places))
    if not event.retry:
        return _to(promotion, S.RUNNING, now, cancelling=cancelling, refused_told="", only=(), **same)
    return _to(
        promotion,
        S.EXPANDING,
        now,
        episode=promotion.episode + 1,
        cursor=0,
        cancelling=cancelling,
        refused_told="",
        **same,
    )


@_apply.register
def _(_event: RefusedTold, promotion: Promotion, now: int) -> Promotion:
    told = digest(*(str(fault) for fault in promotion.faults), promotion.candidate or "")
    why = f"The value {promotion.candidate!r} was refused: {len(promotion.faults)} fault(s)."
    return _to(
        promotion,
        S.RUNNING,
        now,
        candidate=None,
        refused_told=told,
        refused_value=promotion.candidate,
        why=why,
    )


@_apply.register
def _(event: Expanded, promotion: Promotion, now: int) -> Promotion:
    cursor = promotion.cursor + event.count
    reopen = tuple(dict.fromkeys((*promotion.reopen, *event.later)))
    state = S.RUNNING if cursor >= len(promotion.places) else S.EXPANDING
    only = () if state is S.RUNNING else promotion.only
    standing = promotion.standing or event.standing
    return _to(promotion, state, now, cursor=cursor, why="", faults=(), reopen=reopen, only=only, standing=standing)


@_apply.register
def _(_event: OthersCancelled, promotion: Promotion, now: int) -> Promotion:
    return replace(promotion, cancelling=False, next_try=now)


@_apply.register
def _(event: Counted, promotion: Promotion, now: int) -> Promotion:
    """Wait for the last one's mark. What was cancelled and is wanted again (its tag was put back) starts anew."""
    promotion = _hear(promotion, "ended")
    if any(to_end(promotion, child) for child in event.children):
        return _wait(promotion, now, pace.step(pace.POLLS, promotion.tries))
    if wanted_again(promotion, event.children):
        refresh = promotion.refresh and not promotion.reopen
        return _to(promotion, S.EXPANDING, now, episode=promotion.episode + 1, cursor=0, reopen=(), refresh=refresh)
    return _wait(promotion, now, 0)


def to_end(promotion: Promotion, child: Child) -> bool:
    """Whether a delivery is still to come to its end, or to its rest."""
    unwanted = promotion.withdrawing or f"{child.account}/{child.region}" not in promotion.places
    return child.state == "running" or (child.state == "shared" and unwanted)


def behind(promotion: Promotion, value: str, resolution: Resolution) -> bool:
    """Whether a change of the organisation moves the targets of what is in force, and nobody has said so yet.

    Also one whose value was refused for the organisation's sake, and would not be now.
    """
    if str(resolution.members) in (promotion.heard.get("members"), promotion.hints.get("members")):
        return False
    if value == promotion.refused_value:
        its_sake = any(fault.code.startswith("organization-") for fault in promotion.faults)
        return its_sake and not resolution.faults and resolution.waits is None
    if value != promotion.value or not promotion.digest or resolution.members <= promotion.members:
        return False
    wanted, have = {place(target) for target in resolution.targets}, set(promotion.places)
    return bool(resolution.faults) or bool(have - wanted) or (resolution.back_fill and bool(wanted - have))


def wanted_again(promotion: Promotion, children: tuple[Child, ...]) -> bool:
    """Whether a delivery that the value in force names was ended by its tag, or was failing when it was asked again."""
    return not promotion.withdrawing and any(
        child.state in ("cancelled", "withdrawn") or (child.state == "failed" and child.delivery in promotion.reopen)
        for child in children
        if f"{child.account}/{child.region}" in promotion.places
    )


@_apply.register
def _(event: SummaryTold, promotion: Promotion, now: int) -> Promotion:
    after = _to(promotion, S.OVER, now, summarised=promotion.episode, reopen=(), standing=event.standing)
    return replace(after, next_try=max(now, promotion.absent_since + pace.ABSENCE))


@_apply.register
def _(_event: Hindered, promotion: Promotion, now: int) -> Promotion:
    wait = pace.step(pace.RETRIES, promotion.tries)
    return _wait(promotion, now, wait, hindered_until=now + wait)


@_apply.register
def _(_event: Paused, promotion: Promotion, now: int) -> Promotion:
    return replace(promotion, next_try=now + pace.POLLS[-1], since=now)


@_apply.register
def _(_event: DeadlinePassed, promotion: Promotion, now: int) -> Promotion:
    fault = Fault(
        "source-never-available",
        promotion.where,
        "For 24 hours the AMI was pending, or could not be read.",
        "See in EC2 why it is not available, and in the function `act` what was refused; then tag it again.",
    )
    return _to(promotion, S.RESOLVING, now, candidate=promotion.candidate or promotion.value or "", faults=(fault,))
