"""The pass over standing shares: compares what is held with the entitlement, and closes what nobody is entitled to.

The pass needs no record of a promotion or delivery: it reads the ledger, the tags in EC2, the applied file and the
members (invariant 1). It only closes. It compares an AMI when tag, file or members differ from its last comparison, and
once a day. A change of a tag counts after two looks that agree.

If a promotion is parked or damaged, the pass also asks its running deliveries to targets without entitlement to end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.model import BY_DATE, DeliveryState, EndRequest
from chalicelib.delivery.outcomes import EXPIRED
from chalicelib.delivery.ports import TrackedDeliveries
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import STANDING
from chalicelib.engine.budget import Budget, TimeLeft
from chalicelib.engine.errors import ParkRecord
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.engine.ports import Records, Telemetry, Write
from chalicelib.engine.rotation import Rotation
from chalicelib.engine.stored import fitting, peek
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images.ports import Source, Tagged
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.model import PromotionState
from chalicelib.promotion.wanted import NOT_NAMED
from chalicelib.promotion.worker import copy_holdings
from chalicelib.promotion.worker.tag_pass import DAMAGED, Heads, read_head
from chalicelib.sharing.entitlement import USELESS, Entitlement, entitlement, while_unknown
from chalicelib.sharing.head import Head
from chalicelib.sharing.ports import Ledger, StandingHolding
from chalicelib.targets.applied_file import AppliedFile
from chalicelib.targets.ports import Targets
from chalicelib.targets.withdrawals import WITHOUT_END, why_ended

CALLS = 8
"""Calls to end one holding: two wakes (a write and a message each), two releases, and a read of its delivery."""
E = TypeVar("E")
WITHDRAWN_AT = "withdrawn"
"""Member of a mark: when an operator withdrew an account; then the pass compares the AMI again."""
NO_TAG_OR_AMI = "Its tag was removed, or the AMI is gone or disabled."
AT_ONCE = 20
"""Holdings that the pass ends before it reads tag, file and members again."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a comparison has read. ``digests``: of file and members; ``since``: from when withdrawals count."""

    tag: str | None
    digests: str
    since: int


@dataclass(eq=False)
class StandingPass:
    """One pass over all AMIs that have standing shares."""

    records: Records
    ledger: Ledger
    source: Source
    targets: Targets
    tracked: TrackedDeliveries
    waker: Waker
    clock: Clock
    telemetry: Telemetry
    hub: str

    def run(self, found: Sequence[Tagged], heads: Heads, *, time_left: TimeLeft) -> None:
        """Compare each marked AMI. ``found``: the tagged AMIs, as EC2 listed them just now."""
        marks = {key.sk: item for key, item in self.records.list(STANDING, "ami-")}
        tagged = {one.ami: one.value for one in found if one.state not in USELESS}
        applied = self.targets.read()
        budget = Budget(time_left)

        def compare(some: list[str]) -> None:
            (ami,) = some
            self._compare(ami, dict(marks[ami]), heads.get(ami, DAMAGED), tagged.get(ami), applied, budget)

        Rotation(self.records, "standing").go(marks, compare, budget, CALLS)
        unmarked = heads.keys() - marks.keys()
        self._mark_stuck([ami for ami in unmarked if _moved(heads[ami], tagged.get(ami), applied.digests)], budget)

    def _compare(
        self, ami: str, mark: Mapping[str, Any], head: Head, tag: str | None, applied: AppliedFile, budget: Budget
    ) -> None:
        """Close what nobody is entitled to, unless all is as at the last comparison. ``tag``: None entitles nobody."""
        now = self.clock()
        compared = f"{tag}|{head.value}|{applied.digests}|{mark.get(WITHDRAWN_AT, '')}"
        if mark.get("compared") == compared and now < fitting(mark, "again_at", 0):
            return
        if "tag" not in mark or mark["tag"] != tag:  # None (no tag) differs from no entry
            self._write(ami, mark, {"tag": tag, "tag_since": now})
            return  # one look at a tag is no evidence
        # A damaged head does not say whether a tag event has ended a withdrawal: only what none ends is evidence.
        since = WITHOUT_END if head is DAMAGED else head.withdrawals_from
        given = tag, head.value, applied, self.targets.withdrawals(ami), since
        entitled = entitlement(*given)
        # The value that was last understood is not known, or whom it names.
        lost = head is DAMAGED and tag is not None and not applied.judge(tag, in_force=False).understood
        unknown = lost or isinstance(entitled, Fault)
        if unknown:
            self.telemetry.not_done("standing", f"{ami}: it is not known who is entitled to it")
            entitled = while_unknown(*given)
        if isinstance(entitled, Fault):
            return
        if now < fitting(mark, "tag_since", 0) + schedule.SECOND_LOOK_AFTER:
            return
        seen = _Seen(tag, applied.digests, head.withdrawals_from)
        if self._close_all(ami, mark, seen, entitled, budget) and not unknown:
            again_at = min([now + schedule.DAY, *entitled.dates_after(now)])
            self._write(ami, mark, {"compared": compared, "again_at": again_at})

    def _mark_stuck(self, amis: Collection[str], budget: Budget) -> None:
        """Mark running promotions that are parked or damaged, so that the next passes compare them."""

        def mark(some: list[str]) -> None:
            (ami,) = some
            if self._is_stuck(ami):
                self.records.put(addresses.standing(ami), {"kind": "standing", "episode": 0})

        if amis:
            Rotation(self.records, "stuck").go(amis, mark, budget, CALLS)

    def _is_stuck(self, ami: str) -> bool:
        return peek(self.records, addresses.promotion(ami), PROMOTIONS) is None

    def _reads(self, ami: str) -> str | None:
        """Read the tag of one AMI; None: it has none, or the AMI's state entitles nobody."""
        read = self.source.tag(ami)
        return None if read.image_state is None or read.image_state in USELESS else read.value

    def _close_all(self, ami: str, mark: Mapping[str, Any], seen: _Seen, entitled: Entitlement, budget: Budget) -> bool:
        """Release the holdings that are not entitled; True if there was time for all, and nothing changed meanwhile."""
        now = self.clock()
        held = [one for one in self.ledger.standing(ami) if not Resource.parse(one.resource).on_own_key]
        over = [one for one in held if not entitled.may_keep(one.holding.place, one.resource, one.share_name, now)]

        def is_current() -> bool:
            return not self._has_moved(ami, seen, entitled)

        closed = _all_done(over, lambda one: self._end(ami, one, seen.tag, entitled), is_current, budget)
        if not closed or not self._end_running(ami, seen.tag, entitled, is_current, budget):
            return False
        if not held:
            self._forget(ami, mark)
        return True

    def _end_running(
        self, ami: str, tag: str | None, entitled: Entitlement, is_current: Callable[[], bool], budget: Budget
    ) -> bool:
        """Ask running deliveries without entitlement to end, if the promotion cannot; True if all were asked."""
        if not self._is_stuck(ami):
            return True
        try:
            tracked = self.tracked.all(ami)
        except ParkRecord as error:
            self.telemetry.not_done("standing", str(error))
            return False
        over = [one for one in tracked if one.state == RUNNING and not entitled.may_go_on(one.place)]
        cause, unfinished = f"not-entitled:{self.clock() // schedule.MINUTE}", list[TrackedDelivery]()

        def ask(one: TrackedDelivery) -> None:
            request = EndRequest(one.episode, cause, _why(one.place, tag, entitled))
            self.waker.wake(addresses.delivery(one.delivery), cause, {"cancel": str(request)})
            is_lost = peek(self.records, addresses.delivery(one.delivery), DELIVERIES) is None
            if is_lost and not copy_holdings.release(self.records, self.ledger, self.waker, ami, one, budget):
                unfinished.append(one)

        return _all_done(over, ask, is_current, budget) and not unfinished

    def _has_moved(self, ami: str, seen: _Seen, entitled: Entitlement) -> bool:
        """Whether tag, file or members have changed since ``seen`` was read, or a tag event has ended a withdrawal.

        Without a tag, file and members do not count. The head is read again, as that may have been minutes ago.
        """
        if entitled.withdrawn and read_head(self.records, ami).withdrawals_from != seen.since:
            return True
        moved = seen.tag is not None and self.targets.digests() != seen.digests
        return moved or self._reads(ami) != seen.tag

    def _end(self, ami: str, one: StandingHolding, tag: str | None, entitled: Entitlement) -> None:
        """Release one delivery's holding. First ask the delivery to end, as it could hold the share again.

        The holding stays listed until the resource is woken, so that the next pass finds it if this run is killed.
        """
        held = one.holding
        expired = entitled.may_go_on(held.place) and 0 < entitled.date(held.place) <= self.clock()
        cause = f"not-entitled:{self.clock() // schedule.MINUTE}"
        request = EndRequest(held.episode, f"{BY_DATE if expired else ''}{cause}", _why(held.place, tag, entitled))
        self.waker.wake(addresses.delivery(held.delivery), cause, {"cancel": str(request)})
        self.ledger.release(one.resource, one.share_name, held, listed=True)
        self.waker.wake_resources([one.resource], f"{held.delivery}:{cause}")
        self.telemetry.share(one.resource, held.account, "released: not entitled", image=ami)
        self._mark_tracked(ami, held.delivery, EXPIRED if expired else DeliveryState.WITHDRAWN)
        self.ledger.release(one.resource, one.share_name, held)

    def _mark_tracked(self, ami: str, delivery: str, state: str) -> None:
        """Track the delivery as ended and notify its owners, if it is parked or damaged and cannot do so itself."""
        if peek(self.records, addresses.delivery(delivery), DELIVERIES) is not None:
            return
        try:
            tracked = self.tracked.all(ami)
        except ParkRecord:  # a damaged promotion delays no removal
            return
        for one in tracked:
            if one.delivery == delivery and one.outcome.stands:
                self._leave_notice(ami, one)
                self.tracked.end(ami, replace(one, state=state, image=""))

    def _leave_notice(self, ami: str, one: TrackedDelivery) -> None:
        """Create the record by which `worker` sends the notice, before the promotion counts the delivery."""
        key, now = addresses.withdrawal(one.delivery, one.episode), self.clock()
        known = {name: getattr(one, name) for name in ("delivery", "episode", "account", "region")}
        held = [each for each in self.ledger.standing(ami) if each.holding.delivery == one.delivery]
        shares = [[each.resource, each.share_name] for each in held if not Resource.parse(each.resource).on_own_key]
        body = {**known, "hub": self.hub, "source_image": ami, "shares": shares, "since": now}
        self.records.create(Write(key, "open", body, now), now)
        self.waker.send(key, "withdrawn")

    def _write(self, ami: str, mark: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        """Update the mark, unless a new episode has replaced it, or an operator has withdrawn an account meanwhile.

        Then the next pass compares the AMI again.
        """
        self.records.change(addresses.standing(ami), seen, {name: mark.get(name) for name in ("episode", WITHDRAWN_AT)})

    def _forget(self, ami: str, mark: Mapping[str, Any]) -> None:
        """Remove the mark, if the promotion that wrote it is over and shares nothing, or if there was no promotion.

        An operator may have recalled an AMI that was never promoted.
        """
        record = peek(self.records, addresses.promotion(ami), PROMOTIONS)
        over = record is not None and record.state is PromotionState.OVER and not record.standing
        if over or not self._is_known(ami):
            self.records.forget(addresses.standing(ami), {"episode": mark.get("episode")})

    def _is_known(self, ami: str) -> bool:
        """Whether a promotion of it is on record, also one that cannot be read: parked, damaged, or of a newer form."""
        try:
            return bool(self.records.read(addresses.promotion(ami)) or self.records.get(addresses.head(ami)))
        except ParkRecord:
            return True


def _moved(head: Head, tag: str | None, digests: str) -> bool:
    """Whether a promotion is yet to act on a change; so is one that cannot act. ``digests``: of file and members."""
    if head == DAMAGED:  # a promotion that can act writes its head again
        return True
    return head.moving and head.value is not None and (head.value, head.digests) != (tag, digests)


def _why(place: str, tag: str | None, entitled: Entitlement) -> str:
    """Return why a delivery is asked to end: a sentence. The tag of an AMI that is gone or disabled counts as none."""
    return why_ended(entitled.withdrawn, place, NO_TAG_OR_AMI if tag is None else NOT_NAMED)


def _all_done(items: Sequence[E], act: Callable[[E], None], is_current: Callable[[], bool], budget: Budget) -> bool:
    """Act on each item; False if time runs out, or ``is_current`` (asked before each slice) is false."""
    done = 0
    for one in budget.each(items, CALLS):
        if done % AT_ONCE == 0 and not is_current():
            return False
        act(one)
        done += 1
    return done == len(items)
