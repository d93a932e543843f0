"""One pass over a promotion's deliveries, in slices: those that are not wanted end, and what is missing begins.

Every slice computes both again. The cursor only lets the pass come to its end whatever a single target does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chalicelib.delivery import instances, naming, preflight, proof, slots
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.machine import started as delivery_started
from chalicelib.delivery.model import (
    BY_RECALL,
    Delivery,
    HubCopy,
    Launch,
    Sharing,
    SlotRequest,
    WishToEnd,
    snapshots_of,
)
from chalicelib.delivery.phases.recalling import turned as delivery_turned
from chalicelib.delivery.ports import TrackedDeliveries
from chalicelib.delivery.tracked import CANCELLED, DELIVERED, FAILED, RECALLED, RUNNING, TrackedDelivery
from chalicelib.delivery.worker.deliveries import notified_as
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import LostRace, ParkRecord
from chalicelib.engine.ports import Records, Stored
from chalicelib.engine.runner import CALLS_OF_STEP
from chalicelib.engine.stored import peek_all
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images import names
from chalicelib.images.image import SourceImage
from chalicelib.images.source_images import source_image
from chalicelib.promotion import events as ev
from chalicelib.promotion import wave_counts
from chalicelib.promotion.model import BEGIN, END, EXAMINE, Promotion
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.promotion.worker import copy_holdings
from chalicelib.sharing.entitlement import launched_by
from chalicelib.sharing.ports import Ledger
from chalicelib.targets.applied_file import Target
from chalicelib.targets.approvals import needs

AT_ONCE = 20
"""New deliveries that are counted and woken together: two messages. So many running ones one comparison puts right."""
READ_AT_ONCE = 100
"""Deliveries that are read together: one call."""


CALLS_TO_TURN = CALLS_OF_STEP + 2
"""Calls for one delivery that is to end, or whose AMI is recalled or restored."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Begins:
    """A delivery that is to begin: its target, the groups that name it, if it waits for its wave, what is known."""

    target: Target
    groups: tuple[str, ...]
    waits: bool
    tracked: TrackedDelivery | None
    stored: Stored | None


@dataclass(eq=False)
class DeliveryPass:
    """Carries out the command ``Slice``."""

    records: Records
    tracked: TrackedDeliveries
    ledger: Ledger
    waker: Waker
    clock: Clock

    # --- what ends ---------------------------------------------------------------------------------------------------

    def end(
        self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery], budget: Budget
    ) -> ev.Sliced:
        """Ask deliveries to end, in the order of their ids, beginning after the cursor's."""
        after = promotion.cursor.removeprefix(END)
        left = [one for one in wanted.surplus(tracked, promotion) if one.delivery > after]
        upto = after
        for some in _together(left):
            there = self._read(some)
            for one in budget.each(some, CALLS_TO_TURN):
                upto = one.delivery
                if one.state in (DELIVERED, RECALLED):
                    self._turn(promotion, one, recalled=wanted.recalled)
                elif not self._put_right(promotion, one, there.get(upto)):
                    self._ask_to_end(promotion, wanted, one, there.get(upto), budget)
            if upto != some[-1].delivery:
                return _sliced(promotion, END + upto)
        inputs = wanted.inputs(promotion)
        missing = bool(wanted.missing(tracked, promotion)) and inputs != promotion.unfit
        return _sliced(promotion, EXAMINE if missing else "")

    def put_right(self, promotion: Promotion, running: Sequence[TrackedDelivery], budget: Budget) -> bool:
        """Correct some of the deliveries that are tracked as running, in turn; True if one was never written."""
        start = promotion.tries * AT_ONCE % max(len(running), 1)
        some = [*running[start:], *running[:start]][:AT_ONCE]
        there = self._read(some)
        right = [self._put_right(promotion, one, there.get(one.delivery)) for one in budget.each(some, CALLS_OF_STEP)]
        return any(right)

    def _read(self, some: Sequence[TrackedDelivery]) -> Mapping[str, Delivery]:
        found = peek_all(self.records, [addresses.delivery(one.delivery) for one in some], DELIVERIES)
        return {one.id: one for one in found}

    def _put_right(self, promotion: Promotion, one: TrackedDelivery, record: Delivery | None) -> bool:
        """Correct a delivery that is tracked as begun, and was never written: the run that began it was killed.

        Its generation is lost. It was to begin, so it begins again if it is wanted.
        """
        if one.state != RUNNING:
            return False
        if record is not None and record.ended and record.episode < one.episode:
            ended_at = record.entered.get(record.state, 0)
            was = replace(one, episode=record.episode, state=notified_as(record), generation=0, ended_at=ended_at)
        elif record is None and self._is_missing(addresses.delivery(one.delivery)):
            was = replace(one, episode=0, state=CANCELLED)
        else:
            return False
        self.tracked.take_back(promotion.ami, one, was)
        return True

    def _is_missing(self, key: RecordKey) -> bool:
        try:
            return self.records.read(key) is None
        except ParkRecord:
            return False

    def _turn(self, promotion: Promotion, one: TrackedDelivery, *, recalled: bool) -> None:
        """Begin the episode of a delivered AMI that recalls it, or restores it; its tracked delivery is written first.

        One that cannot be read, or is parked, stays as it is: an alarm tells of it.
        """
        key = addresses.delivery(one.delivery)
        try:
            stored = self.records.read(key)
            record = None if stored is None or stored.parked else DELIVERIES.decode(stored)
        except ParkRecord:
            return
        if stored is None or record is None or record.state != (DELIVERED if recalled else RECALLED):
            return
        fresh = delivery_turned(record, self.clock(), recalled=recalled, lift=promotion.inbox.get("lifted", ""))
        tagged = promotion.value is not None and not promotion.is_gone  # without that the lift raises no generation
        raises = tagged and not recalled and promotion.unread("lifted") is not None  # by its look, after this pass
        generation = promotion.newest + 1 if raises else promotion.generation_of(one.account, one.place)
        self.tracked.add(promotion.ami, replace(one, episode=fresh.episode, state=RUNNING, generation=generation))
        happened = ["Recalled by an operator" if recalled else "The recall was lifted"]
        if self.records.save(stored, DELIVERIES.encode(fresh), happened, self.clock()) is None:
            raise LostRace(str(key))
        self.waker.send(key, f"recall:{promotion.ami}:{fresh.episode}")

    def _ask_to_end(
        self,
        promotion: Promotion,
        wanted: WantedTargets,
        one: TrackedDelivery,
        record: Delivery | None,
        budget: Budget,
    ) -> None:
        """Ask it; what one that cannot act holds for its copies is released."""
        cause = f"cancel:{promotion.ami}:{promotion.inputs[:12]}:{promotion.tries}"  # asked again, it is news again
        why = wanted.why_it_ends(promotion, one.place)
        wish = WishToEnd(one.episode, f"{BY_RECALL if wanted.recalled else ''}{cause}", why)
        self.waker.wake(addresses.delivery(one.delivery), cause, {"cancel": str(wish)})
        if record is None:
            ports = self.records, self.ledger, self.waker, self.clock
            copy_holdings.release(*ports, promotion.ami, one, budget)

    # --- what begins -------------------------------------------------------------------------------------------------

    def begin(
        self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery], budget: Budget
    ) -> ev.Sliced:
        """Begin deliveries, in the order of their targets, beginning after the cursor's."""
        after = promotion.cursor.removeprefix(BEGIN)
        missing = {target.place: target for target in wanted.missing(tracked, promotion)}
        begun = {target.place: target for target in wanted.announced(tracked, promotion)}
        every = {**begun, **missing}.values()
        left = [target for target in sorted(every, key=_order) if _order(target) > after]
        known = {one.place: one for one in tracked}
        image = source_image(self.records, promotion.ami, promotion.source, promotion.key) if left else None
        upto, standing, new = after, False, list[tuple[RecordKey, str]]()
        for some in _together(left):
            there = self.records.read_all([addresses.delivery(_id(promotion, target)) for target in some])
            for target in budget.each(some, CALLS_OF_STEP):
                upto = _order(target)
                standing = standing or target.mode == "share"
                key = addresses.delivery(_id(promotion, target))
                named, waits = wanted.groups.get(target.place, ()), wanted.waves.of(target.account) is not None
                begins = _Begins(target, named, waits, known.get(target.place), there.get(key))
                if image is not None and self._begin(promotion, image, begins):
                    new.append((key, f"begin:{promotion.ami}:{promotion.episode}"))
                if len(new) == AT_ONCE:
                    self._wake(promotion, new)
            if upto != _order(some[-1]):
                break
        self._wake(promotion, new)
        if left and upto != _order(left[-1]):
            return _sliced(promotion, BEGIN + upto, standing=standing)
        asks = any(needs(target) for target in wanted.targets.values())
        return _sliced(promotion, "", standing=standing, newest=promotion.newest, asks=asks)

    def _wake(self, promotion: Promotion, new: list[tuple[RecordKey, str]]) -> None:
        """Count and wake new deliveries. If the run is killed before, they are due all the same, and a poll counts."""
        if new:
            self.tracked.count(promotion.ami, len(new))
            self.waker.wake_all(new)
            new.clear()

    def _begin(self, promotion: Promotion, image: SourceImage, what: _Begins) -> bool:
        """Announce a delivery's new episode by its tracked delivery, then write it; False: it is there already.

        A store that says "there was one" may have written it itself, so what is there counts.
        """
        target, one, stored = what.target, what.tracked, what.stored
        key = addresses.delivery(_id(promotion, target))
        announced = one is not None and one.state == RUNNING
        last = one.episode - announced if one is not None else 0
        if stored is None:
            fresh = self._announced(promotion, image, what, None, last + 1)
            by_sweep = self.clock() + schedule.WAKE_LOST  # if the wake that follows is lost
            if self.records.create(replace(DELIVERIES.encode(fresh), due_at=by_sweep), self.clock()):
                return True
        before = self._before(promotion, key, target, stored, announced=announced)
        if before is None:
            return False
        if not before.ended:
            if one is None or (one.state, one.episode) != (RUNNING, before.episode):
                self._catch_up(promotion, replace(before, target=target), one)
            return False
        turns = before.state in (DELIVERED, RECALLED)  # a killed run was to recall or restore it: it is put right
        if one is not None and announced and (turns or before.episode >= one.episode):
            return False  # or it has ended by now
        there = stored or self.records.read(key)
        if there is None:
            return False
        fresh = self._announced(promotion, image, what, before, max(before.episode, last) + 1)
        happened = [f"Reopened by episode {promotion.episode}"]
        write = DELIVERIES.encode(replace(fresh, inbox=there.inbox))
        if self.records.save(there, write, happened, self.clock()) is None:
            raise LostRace(str(key))
        return True

    def _announced(
        self, promotion: Promotion, image: SourceImage, what: _Begins, before: Delivery | None, episode: int
    ) -> Delivery:
        """Return a delivery as it begins, after writing that it is to begin.

        The mark is written before a standing share opens, so that the pass over standing shares compares the AMI.
        """
        fresh = self._fresh(promotion, image, what, before, episode)
        if fresh.shared:
            self.records.put(addresses.standing(promotion.ami), {"kind": "standing", "episode": promotion.episode})
        self.tracked.add(promotion.ami, _tracked(promotion, fresh.target, episode, what.tracked), count=False)
        return fresh

    def _before(
        self, promotion: Promotion, key: RecordKey, target: Target, stored: Stored | None, *, announced: bool
    ) -> Delivery | None:
        """Return the delivery that is there; one that is to begin and cannot be read counts as failed (invariant 7)."""
        try:
            there = stored or self.records.read(key)
            if there is not None and not there.parked:
                return DELIVERIES.decode(there)
        except ParkRecord:
            self.waker.send(key, f"begin:{promotion.ami}:{promotion.episode}")  # its own worker parks it
        if not announced:
            self._give_up(promotion, target)
        return None

    def _give_up(self, promotion: Promotion, target: Target) -> None:
        ident = _id(promotion, target)
        known = next((one for one in self.tracked.all(promotion.ami) if one.delivery == ident), None)
        failed = _tracked(promotion, target, 1 if known is None else known.episode + 1, known)
        self.tracked.add(promotion.ami, failed)
        self.tracked.end(promotion.ami, replace(failed, state=FAILED, ended_at=self.clock()))

    def _catch_up(self, promotion: Promotion, running: Delivery, one: TrackedDelivery | None) -> None:
        """Track a delivery that another run has begun."""
        self.tracked.add(promotion.ami, _tracked(promotion, running.target, running.episode, one))
        self.waker.send(running.key, f"begin:{promotion.ami}:{promotion.episode}")

    def _fresh(
        self, promotion: Promotion, image: SourceImage, what: _Begins, before: Delivery | None, episode: int
    ) -> Delivery:
        target = what.target
        method, why = preflight.method(target, image)
        copies = method == "snapshots" and target.mode == "copy"
        name = names.image_name(target.ami_name, image)
        if before is not None and before.launch.kept:
            name = before.image_name  # by which its AMI, which is still to be tested, is found there
        fresh = Delivery(
            id=_id(promotion, target),
            hub=promotion.hub,
            ami=promotion.ami,
            target=target,
            episode=episode,
            promotion_episode=promotion.episode,
            created_at=self.clock(),
            image_name=name,
            source_name=image.name or "",
            source=promotion.source,
            groups=what.groups,
            snapshots=snapshots_of(image),
            attempts=() if before is None else proof.carried(before, self.clock()),
            hub_copy=HubCopy(_via(promotion, target)),
            sharing=Sharing(launched_by=_launched_by(target)),
            slots=SlotRequest(slots.ASKING) if copies else SlotRequest(),
            method=method,
            method_why=why,
            launch=Launch() if before is None else instances.carried(before),
            naming=naming.begun(image, target),
        )
        return delivery_started(fresh, self.clock(), waits=what.waits)


def _together(every: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield them in parts that are read together."""
    for start in range(0, len(every), READ_AT_ONCE):
        yield every[start : start + READ_AT_ONCE]


def _order(target: Target) -> str:
    """Return the cursor of a target: the hub's own copies come first, as others wait for them."""
    return f"{bool(target.by_way_of):d}{target.place}"


def _sliced(
    promotion: Promotion, cursor: str, *, standing: bool = False, newest: int = 0, asks: bool = False
) -> ev.Sliced:
    return ev.Sliced(promotion.inputs, promotion.cursor, cursor, standing, newest, asks)


def _tracked(promotion: Promotion, target: Target, episode: int, before: TrackedDelivery | None) -> TrackedDelivery:
    return TrackedDelivery(
        delivery=_id(promotion, target),
        account=target.account,
        region=target.region,
        episode=episode,
        state=RUNNING,
        generation=promotion.generation_of(target.account, target.place),
        joined=wave_counts.joined(promotion, target, before),
    )


def _id(promotion: Promotion, target: Target) -> str:
    return addresses.delivery_id(promotion.hub, promotion.ami, target.account, target.region)


def _launched_by(target: Target) -> tuple[str, ...]:
    """Return the unit that the launch permission names instead of the account, if there is one."""
    named = launched_by(target)
    return (named,) if target.mode == "share" and named != target.account else ()


def _via(promotion: Promotion, target: Target) -> str:
    """Return the id of the delivery that makes the hub's own copy, if the target copies from it."""
    hub = target.by_way_of
    return addresses.delivery_id(promotion.hub, promotion.ami, hub, target.region) if hub else ""
