"""What each event changes on a promotion. The table in ``machine`` says where that can lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine import schedule
from chalicelib.engine.faults import Fault, listed
from chalicelib.engine.transitions import Entry
from chalicelib.engine.wakes import TagEntry
from chalicelib.promotion import events as ev
from chalicelib.promotion.model import (
    BEGIN,
    END,
    END_AGAIN,
    EXAMINE,
    MADE_HERE,
    NEVER_AVAILABLE,
    NO_PASS,
    WORTH_A_LOOK,
    PartOfPass,
    Promotion,
    PromotionState,
    Retry,
)
from chalicelib.targets.recalls import recalled
from chalicelib.targets.withdrawals import EVERYWHERE

PENDING_DEADLINE = 24 * schedule.HOUR
"""After this time people are notified that the AMI is still pending, or that a check cannot read what it needs."""

TRIES_BEFORE_DEADLINE = 10
"""The deadline also needs so many refusals in a row: one after an outage proves nothing (invariant 6)."""

MOST_NAMED = 2500
"""Most targets with a generation of their own: they take 103 KB of an item's 400."""

S = PromotionState


class PromotionEntry(Entry[Promotion, PromotionState]):
    """The way into a state of a promotion."""

    __slots__ = ()

    def enter(self, promotion: Promotion, now: int) -> Promotion:
        """Enter the state, with its count of tries at zero."""
        since = promotion.since if self.state is promotion.state else now
        return replace(promotion, state=self.state, tries=0, next_try=now, since=since)


REQUEST, COMPARE, ADJUST, RUN, FINISH = map(PromotionEntry, S)


def started(ami: str, hub: str, region: str, now: int) -> Promotion:
    """Return a new promotion."""
    return Promotion(ami, hub, region, next_try=now, since=now)


def baseline(ami: str, hub: str, region: str, value: str, now: int) -> Promotion:
    """Return the promotion of an AMI that was tagged before the service first looked. It waits for a tag event."""
    fresh = Promotion(ami, hub, region, state=S.OVER, since=now)
    return replace(fresh, value=value, seen_value=value, seen_since=now, looked_at=now)


def _wait(promotion: Promotion, now: int, seconds: int, **changes: Any) -> Promotion:
    return replace(promotion, tries=promotion.tries + 1, next_try=now + seconds, **changes)


def _handled(promotion: Promotion, answers: Mapping[str, str]) -> Promotion:
    return replace(promotion, handled={**promotion.handled, **answers})


# --- the tag ---------------------------------------------------------------------------------------------------------


def on_tag_seen(event: ev.TagSeen, promotion: Promotion, now: int) -> Promotion:
    """Compare again if the look shows anything new.

    A look that misses the tag, or the AMI, counts once a second one agrees; until then it answers no inbox entry.
    """
    if event.starting_point not in ("", promotion.starting_point):
        return promotion
    gone = event.image_state is None or (event.image_state == "disabled" and promotion.standing)
    shown = None if gone else event.value
    news = {name for name, entry in event.answers.items() if entry != promotion.handled.get(name)}
    doubted = _doubted(event, promotion, news, now, missed=shown is None)
    all_again, named = _asked(promotion, event.answers, news - doubted.keys())
    answered = {name: entry for name, entry in event.answers.items() if name not in doubted}
    seen = replace(
        _handled(promotion, answered),
        doubted=doubted,
        image_name=event.image_name or promotion.image_name,
        seen_value=shown,
        seen_since=promotion.seen_since if shown == promotion.seen_value and promotion.seen_since else now,
        looked_at=now,
        look_after=0,
    )
    if gone:
        return _gone(seen, now, promotion)
    if event.value is None:
        return _untagged(seen, now, promotion)
    raised = _lifted(seen, event.answers["lifted"]) if "lifted" in news else seen
    if all_again or promotion.awaits_restored or _is_new(event.value, promotion):
        raised = _raised(raised, generation=max(now, raised.newest + 1), compare_after=0)
    elif named and raised.generation:  # one of the baseline waits for a tag event
        raised = _raised_for(raised, named)
    if event.own:
        return _made_here(raised, event.value, now)
    if not raised.newest:  # it is of the baseline
        return raised
    if event.image_state == "pending" and raised.state in (S.REQUESTED, S.COMPARING, S.OVER):
        return _pending(raised, now)
    changed = raised is not seen or "file" in news or event.value != promotion.seen_value
    waited = raised.state is S.REQUESTED or raised.awaits_ami
    return COMPARE(raised, now) if changed or waited else raised


def _is_new(value: str, promotion: Promotion) -> bool:
    """Whether the promotion did not know this value before the look."""
    if promotion.state in (S.REQUESTED, S.COMPARING, S.ADJUSTING) and value == promotion.seen_value:
        return False
    return value not in (promotion.value, promotion.refused_value)


def _doubted(event: ev.TagSeen, promotion: Promotion, news: set[str], now: int, *, missed: bool) -> Mapping[str, str]:
    """Return the new inbox entries that this look does not answer, as it may be stale: each waits for one more look.

    If it ``missed`` the tag or the AMI, all are in doubt; else only a tag event that says another value.
    """
    unsure = news
    if not missed:
        said = TagEntry.parse(event.answers.get("tag", ""))
        unsure = news & {"tag"} if said.contradicts(event.value) else set()
    second = now >= promotion.looked_at + schedule.SECOND_LOOK_AFTER
    found = promotion.doubted if second else {}
    return {name: event.answers[name] for name in unsure if event.answers[name] != found.get(name)}


def _asked(promotion: Promotion, answers: Mapping[str, str], news: set[str]) -> tuple[bool, list[str]]:
    """Return whether the generation of all targets is to rise, and else the targets that an operator's retry names.

    An event may be a day late: one that a look can have shown is no news.
    """
    wish = Retry.parse(answers["retry"]).places if "retry" in news else None
    tagged = TagEntry.parse(answers["tag"]) if "tag" in news else None
    event = tagged is not None and (tagged.at is None or tagged.at > promotion.generation)
    return event or wish == [], wish or []


def _lifted(promotion: Promotion, entry: str) -> Promotion:
    """Raise the generation of what a lift names: what failed begins again, and nothing that had not begun.

    An AMI of the baseline stays as it is.
    """
    if not promotion.generation:
        return promotion
    raised = _raised_for(promotion, Retry.parse(entry).places or [EVERYWHERE])
    if promotion.passed_generation < promotion.newest:
        return raised
    return replace(raised, passed_generation=raised.newest)  # so that no target counts as one that is yet to begin


def _raised_for(promotion: Promotion, places: Iterable[str]) -> Promotion:
    """Raise the generation of these targets, or that of all (``EVERYWHERE``).

    Where the record has no room for them beside those of earlier retries, all targets get the newest of these: what
    failed before begins again anywhere.
    """
    named = dict.fromkeys(places, promotion.newest + 1)
    retries = {**promotion.retries, **named}
    if len(retries) > MOST_NAMED:
        retries = {EVERYWHERE: promotion.newest, **named}
    return _raised(promotion, retries=retries)


def _raised(promotion: Promotion, **generations: Any) -> Promotion:
    """Raise generations; people are notified again of faults that persist."""
    return replace(promotion, restarts=0, faults=(), **generations)


def _made_here(promotion: Promotion, value: str, now: int) -> Promotion:
    fault = Fault(
        MADE_HERE,
        promotion.where,
        "It has the tag ami-promoter:delivery, so the service made it. The service never promotes an AMI that it made.",
        "Tag its source AMI instead. If this one was built from a copy, and only inherited the tag: remove "
        "its ami-promoter:* tags and tag it again.",
    )
    refused = replace(promotion, refused_value=value, faults=(fault,))
    busy = promotion.state in (S.COMPARING, S.ADJUSTING)
    return refused if busy or not refused.unnotified else RUN(refused, now)


def _pending(promotion: Promotion, now: int) -> Promotion:
    """Wait for the AMI; after a day notify people, and leave it to discovery to see it become available."""
    if promotion.state is S.REQUESTED and now >= promotion.since + PENDING_DEADLINE:
        return FINISH(_with_faults(promotion, (_never_available(promotion),)), now)
    waiting = promotion if promotion.state is S.REQUESTED else REQUEST(promotion, now)
    return _wait(waiting, now, schedule.step(schedule.POLLS, waiting.tries))


def _gone(promotion: Promotion, now: int, before: Promotion) -> Promotion:
    """Handle a missing or unusable AMI. Running deliveries continue by what is known; standing shares end.

    ``before``: the promotion before this look.
    """
    if promotion.state is S.REQUESTED or (promotion.state is S.OVER and not promotion.standing):
        return _untagged(promotion, now, before, gone=True)
    if promotion.is_gone:
        return replace(promotion, seen_value=before.seen_value, seen_since=before.seen_since)
    if not promotion.is_believed:
        return _await_second_look(promotion)
    shown = promotion.value  # these looks do not say what its tag is
    return COMPARE(promotion, now, seen_value=shown, gone_generation=promotion.newest)


def _untagged(promotion: Promotion, now: int, before: Promotion, *, gone: bool = False) -> Promotion:
    """Handle a missing tag: its value is no longer in force, once two looks agree. Further looks change nothing.

    ``before``: the promotion before this look. ``gone``: the AMI is missing as well.
    """
    confirmed = before.looked_at and before.seen_value is None and before.is_believed
    if confirmed and promotion.state is not S.REQUESTED and promotion.value is None:
        return promotion
    if not promotion.is_believed:
        return _await_second_look(promotion)
    removed = _without_value(promotion, now, gone=gone)
    if promotion.state is S.REQUESTED:
        return FINISH(removed, now)
    if promotion.state is S.OVER and not promotion.standing:
        return removed
    return COMPARE(removed, now)


def _without_value(promotion: Promotion, now: int, *, gone: bool) -> Promotion:
    """Return the promotion without a value in force. If the AMI is gone and comes back tagged, no withdrawal ends."""
    nothing: dict[str, Any] = {"value": None, "refused_value": None, "seen_value": None, "places": ""}
    nothing |= {"failed": 0, "faults": ()}
    if gone:
        since = promotion.in_force_since if promotion.value is None else promotion.withdrawals_from
        since = max(since, 1)  # 0: no look has found anything yet
        kept = {"value": None if promotion.newest else promotion.value}  # the baseline waits for a tag event as before
        gone_now = {"gone_generation": promotion.newest, "in_force_since": since}
        return replace(promotion, **(nothing | kept | gone_now))
    return replace(promotion, in_force_since=now, withdrawals_from=promotion.in_force_since, **nothing)


def _await_second_look(promotion: Promotion) -> Promotion:
    return replace(promotion, next_try=promotion.seen_since + schedule.SECOND_LOOK_AFTER)


# --- what is wanted, and what there is -------------------------------------------------------------------------------


def on_compared(event: ev.Compared, promotion: Promotion, now: int) -> Promotion:
    """Begin a pass if something differs; else wait for the last end, and be over.

    A value that names fewer targets counts after two looks. A pass that is complete is not repeated for the same
    inputs, except for what was cancelled meanwhile, and for what has not ended after several polls.
    """
    if (event.starting_point, event.pass_reached) != (promotion.starting_point, promotion.pass_reached):
        return promotion
    if event.unbelieved:
        return _not_believed(promotion, event, now)
    fresh = event.inputs != promotion.inputs or bool(promotion.cursor)
    asked_often = promotion.tries >= WORTH_A_LOOK
    compared = _with_result(promotion, event)
    wakes = event.running and compared.last_part and (promotion.cursor or _opens(event.waves, promotion.waves))
    if event.surplus and fresh:
        return ADJUST(compared, now, cursor=END)
    if event.surplus and asked_often and not wakes:
        return ADJUST(compared, now, cursor=END_AGAIN, tries=promotion.tries)
    if event.missing and event.inputs != promotion.unfit:
        restarts = 0 if fresh else promotion.restarts + 1
        wait = schedule.step(schedule.POLLS, restarts - 2) if restarts > 1 else 0
        goes_on = event.inputs == promotion.inputs and promotion.cursor.part is PartOfPass.BEGIN
        cursor = BEGIN if goes_on else EXAMINE  # a pass whose source was examined goes on, in its own episode
        return ADJUST(compared, now, cursor=cursor, restarts=restarts, next_try=now + wait)
    waits = event.missing or recalled(event.withdrawn)  # all that a recall kept out begins when it is lifted
    if event.file and not waits and event.refused is None:
        compared = replace(compared, passed_generation=max(promotion.passed_generation, promotion.newest))
    if wakes:
        return ADJUST(compared, now, cursor=compared.last_part)
    compared = replace(compared, cursor=NO_PASS)
    if event.summarised and not compared.unnotified:
        return _over(compared, event, now)
    return _wait_for_ends(compared, event, now)


def _over(promotion: Promotion, event: ev.Compared, now: int) -> Promotion:
    over: dict[str, Any] = {"summarised_episode": promotion.episode, "standing": event.standing}
    over |= {"tries": 0, "restarts": 0}
    if promotion.state is S.OVER:
        return replace(promotion, **over)
    if promotion.awaits_restored:  # discovery finds it from now on, as one that was tagged
        promotion = _without_value(promotion, now, gone=True)
    return FINISH(promotion, now, next_try=max(now, promotion.absent_since + schedule.SECOND_LOOK_AFTER), **over)


def _wait_for_ends(promotion: Promotion, event: ev.Compared, now: int) -> Promotion:
    """Wait for deliveries to end; the polls come by ever longer steps."""
    if promotion.state is not S.RUNNING:
        wait = schedule.POLLS[0] if event.running or event.surplus else 0
        return RUN(promotion, now, next_try=now + wait)
    if now < promotion.next_try:  # it was woken before the poll
        return promotion
    wait = schedule.step(schedule.POLLS, promotion.tries) if event.running or event.surplus else 0
    return _wait(promotion, now, min(wait, schedule.WAVE_POLLS) if event.awaited else wait)


def _not_believed(promotion: Promotion, event: ev.Compared, now: int) -> Promotion:
    """Look again, as the look may have been a stale one; what an operator has withdrawn ends meanwhile."""
    answered = _handled(promotion, event.answers)
    if event.surplus and (event.inputs != promotion.inputs or promotion.cursor):
        return ADJUST(answered, now, inputs=event.inputs, unfit_since=0, cursor=END)
    look_at = max(now, promotion.seen_since + schedule.SECOND_LOOK_AFTER)
    return COMPARE(answered, now, next_try=look_at, tries=1)


def _with_result(promotion: Promotion, event: ev.Compared) -> Promotion:
    understood = bool(event.file)
    return replace(
        _handled(with_value(promotion, event), event.answers),
        # whom the value names
        inputs=event.inputs,
        file=event.file or promotion.file,
        places=event.places if understood else promotion.places,
        left_out=event.left_out,
        unfit_since=promotion.unfit_since if event.inputs == promotion.unfit else 0,
        # how far its deliveries are
        standing=promotion.standing or event.standing,
        failed=event.failed if understood or event.value is None else promotion.failed,
        waves=event.waves,
        asked=event.asked or promotion.asked,
    )


def with_value(promotion: Promotion, event: ev.Compared) -> Promotion:
    """Return the promotion with its value, which is in force from now on if it is understood, and with its faults."""
    unfit = event.inputs == promotion.unfit and event.refused is None
    unread = promotion.cursor == EXAMINE and promotion.never_available and event.missing and not event.faults
    # What is on record of the source stays: people know that, and a comparison does not read the source.
    found = promotion.faults if unfit or unread else event.faults
    counts = event.file and event.refused is None
    is_new = event.value != promotion.value and event.value == promotion.seen_value
    return replace(
        _with_faults(promotion, found),
        value=event.value,
        refused_value=event.refused,
        valid_generation=promotion.generation if counts else promotion.valid_generation,
        retries=promotion.retried if counts else promotion.retries,
        in_force_since=promotion.seen_since if is_new else promotion.in_force_since,
        withdrawals_from=promotion.withdrawals_count_from(event.value),
    )


def _opens(waves: Mapping[str, WaveProgress], before: Mapping[str, WaveProgress]) -> bool:
    """Whether it has become known, or has changed, when one of the waves opens."""
    return any(one.opens_at and one != before.get(name) for name, one in waves.items())


def _with_faults(promotion: Promotion, faults: tuple[Fault, ...]) -> Promotion:
    """Return it with these faults. Once there are none, people are notified of the next ones, whatever these are."""
    some = listed(faults, promotion.where, f"`ami-promoter plan {promotion.ami}` lists all.")
    return replace(promotion, faults=some, notified=promotion.notified if faults else "")


def on_examined(event: ev.Examined, promotion: Promotion, now: int) -> Promotion:
    """Begin what is missing if the source passed its checks. EC2 has seven minutes to show all of it."""
    if event.inputs != promotion.inputs or promotion.cursor != EXAMINE:
        return promotion
    since = promotion.unfit_since or now
    if event.partial and now < since + sum(schedule.NOT_YET):
        return _wait(promotion, now, schedule.step(schedule.NOT_YET, promotion.tries), unfit_since=since)
    if event.unfit:
        # The next comparison goes on with the last part of the pass.
        return RUN(_with_faults(promotion, event.faults), now, unfit_since=since, cursor=promotion.last_part)
    examined = {"cursor": BEGIN, "source": event.source, "source_generation": event.generation}
    return ADJUST(promotion, now, episode=promotion.episode + 1, unfit_since=0, **examined)


def on_sliced(event: ev.Sliced, promotion: Promotion, now: int) -> Promotion:
    """Go on with the pass, or wait for its deliveries."""
    if (event.inputs, event.after) != (promotion.inputs, promotion.cursor):
        return promotion
    sliced = replace(promotion, cursor=event.cursor, standing=promotion.standing or event.standing)
    if event.cursor:
        return ADJUST(sliced, now, tries=promotion.tries if event.cursor.part is PartOfPass.END_AGAIN else 0)
    passed = max(promotion.passed_generation, event.newest)
    woken, again = event.after.part is PartOfPass.WAKE, event.after.part is PartOfPass.END_AGAIN
    if sliced.last_part and not (woken or again):
        return ADJUST(sliced, now, passed_generation=passed, cursor=sliced.last_part)
    if event.asks or woken:  # the next comparison asks an approver
        return RUN(sliced, now, passed_generation=passed)
    tries = promotion.tries + 1 if again else 0
    next_try = now + schedule.step(schedule.POLLS, tries)
    return RUN(sliced, now, passed_generation=passed, tries=tries, next_try=next_try)


def on_refused_notified(event: ev.RefusedNotified, promotion: Promotion, now: int) -> Promotion:
    """Write down of which faults people know."""
    notified = event.faulty if promotion.faults else ""  # another run may have found them gone meanwhile
    return replace(promotion, notified=notified, next_try=now, tries=0)


# --- trouble ---------------------------------------------------------------------------------------------------------


def on_not_executed(event: ev.NotExecuted, promotion: Promotion, now: int) -> Promotion:
    """Try again later, without end: an outage ends. After a day people are notified, once."""
    if event.pass_reached not in ("", promotion.pass_reached):
        return promotion
    waited = now >= promotion.since + PENDING_DEADLINE and promotion.tries >= TRIES_BEFORE_DEADLINE
    if waited and promotion.state in (S.REQUESTED, S.COMPARING, S.ADJUSTING):
        # it takes the place of the faults of an unfit source, so that one is to be examined again
        promotion = replace(_with_faults(promotion, (_never_available(promotion),)), unfit_since=0)
    until = now + schedule.step(schedule.RETRIES, promotion.tries)
    if event.look:
        return replace(promotion, tries=promotion.tries + 1, look_after=until)
    compare_after = promotion.compare_after if event.later else until
    return replace(promotion, tries=promotion.tries + 1, next_try=until, compare_after=compare_after)


def on_paused(event: ev.Paused, promotion: Promotion, now: int) -> Promotion:
    """Ask again every quarter of an hour; that time counts for no deadline."""
    if event.pass_reached != promotion.pass_reached:
        return promotion
    wait = 0 if promotion.unnotified and not promotion.tries else schedule.POLLS[-1]  # the notice does not wait for it
    return replace(promotion, tries=max(promotion.tries, 1), next_try=now + wait, since=now)


def _never_available(promotion: Promotion) -> Fault:
    return Fault(
        NEVER_AVAILABLE,
        promotion.where,
        "For 24 hours the AMI was pending, or could not be read.",
        "Look in EC2 why it is not available, and in the log of `worker` what was refused. The promotion begins when "
        "the AMI is available and can be read.",
    )
