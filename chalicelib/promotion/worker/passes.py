"""One pass over a promotion's deliveries, in slices: what is not wanted ends, what is missing begins, waves open.

Every slice computes surplus and missing again. The cursor only makes sure that each target has its turn, and that the
pass ends although a delivery may be surplus or missing again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.delivery import instances, naming, preflight, proof, slots
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.machine import started as delivery_started
from chalicelib.delivery.model import (
    BY_RECALL,
    Delivery,
    DeliveryState,
    EndRequest,
    Launch,
    Recalled,
    SlotRequest,
    snapshots_of,
)
from chalicelib.delivery.phases.recalling import begun as recall_begun
from chalicelib.delivery.ports import TrackedDeliveries
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.errors import LostRace, NewerSchema, ParkRecord
from chalicelib.engine.ports import Records, Stored
from chalicelib.engine.runner import CALLS_OF_STEP
from chalicelib.engine.stored import is_missing, peek_all
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images import names
from chalicelib.images.image import SourceImage
from chalicelib.images.source_images import source_image
from chalicelib.promotion import events as ev
from chalicelib.promotion import wave_counts
from chalicelib.promotion.model import EXAMINE, NO_PASS, Cursor, Promotion
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.promotion.worker import copy_holdings
from chalicelib.release.worker.pointers import RecordedPointers
from chalicelib.sharing.ports import Ledger
from chalicelib.targets.applied_file import Target
from chalicelib.targets.approvals import needs
from chalicelib.targets.waves import FileWaves, Wave

AT_ONCE = 20
"""New deliveries that are counted and woken together: two messages. Also: running ones that one comparison puts right.
"""
READ_AT_ONCE = 100
"""Deliveries that are read together: one call."""

CALLS_TO_END = CALLS_OF_STEP + 3
"""Calls for one delivery that is to end, or whose AMI is recalled, restored or renamed."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What is known of a delivery that is to begin an episode.

    ``groups``: those that name its target. ``waits``: whether it waits for its wave. ``stored``: its record, if it was
    found together with those of others.
    """

    key: RecordKey
    target: Target
    groups: tuple[str, ...]
    waits: bool
    tracked: TrackedDelivery | None
    stored: Stored | None

    @property
    def announced(self) -> int:
        """The episode that a run has tracked as begun, and may have been killed before it wrote; 0: there is none."""
        return self.tracked.episode if self.tracked is not None and self.tracked.state == RUNNING else 0

    @property
    def last_episode(self) -> int:
        """The last tracked episode before the one that is to begin; 0: there was none."""
        if self.tracked is None:
            return 0
        return self.announced - 1 if self.announced else self.tracked.episode


@dataclass(eq=False)
class DeliveryPass:
    """Carries out the command ``Slice``."""

    records: Records
    tracked: TrackedDeliveries
    ledger: Ledger
    waker: Waker
    clock: Clock

    def __post_init__(self) -> None:
        self._pointers = RecordedPointers(self.records, self.waker, self.clock)

    # --- what ends ---------------------------------------------------------------------------------------------------

    def end(
        self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery], budget: Budget
    ) -> ev.Sliced:
        """Ask deliveries to end, in the order of their ids, beginning after the cursor's."""
        after = promotion.cursor.after
        left = [one for one in wanted.surplus(tracked, promotion) if one.delivery > after]
        upto = after
        for some in slices(left, READ_AT_ONCE):
            there = self._read(some)
            for one in budget.each(some, CALLS_TO_END):
                upto = one.delivery
                if wanted.renames(one, promotion):
                    self._rename(promotion, one, wanted.targets[one.place])
                elif not one.may_end:
                    self._recall_or_restore(promotion, one, recalled=wanted.recalled)
                elif not self._put_right(promotion, one, there.get(upto)):
                    self._ask_to_end(promotion, wanted, one, there.get(upto), budget)
            if upto != some[-1].delivery:
                return _sliced(promotion, replace(promotion.cursor, after=upto))
        inputs = wanted.inputs(promotion)
        missing = bool(wanted.missing(tracked, promotion)) and inputs != promotion.unfit
        return _sliced(promotion, EXAMINE if missing else NO_PASS)

    def put_right(self, promotion: Promotion, running: Sequence[TrackedDelivery], budget: Budget) -> bool:
        """Correct deliveries that are tracked as running and were never written. True if there were any.

        It looks at some each time, beginning where the last try of the promotion stopped.
        """
        start = promotion.tries * AT_ONCE % max(len(running), 1)
        some = [*running[start:], *running[:start]][:AT_ONCE]
        there = self._read(some)
        right = [self._put_right(promotion, one, there.get(one.delivery)) for one in budget.each(some, CALLS_OF_STEP)]
        return any(right)

    def _read(self, some: Sequence[TrackedDelivery]) -> Mapping[str, Delivery]:
        found = peek_all(self.records, [addresses.delivery(one.delivery) for one in some], DELIVERIES)
        return {one.id: one for one in found}

    def _put_right(self, promotion: Promotion, one: TrackedDelivery, record: Delivery | None) -> bool:
        """Correct a delivery that is tracked as begun and was never written, as the run that began it was killed.

        Track it as it was before; but of no generation, or as cancelled, so that it begins again if it is wanted.
        """
        if one.state != RUNNING:
            return False
        if record is not None and record.ended and record.episode < one.episode:
            was = replace(one, episode=record.episode, generation=0).ended(record, record.entered.get(record.state, 0))
        elif record is None and is_missing(self.records, addresses.delivery(one.delivery)):
            was = replace(one, episode=0, state=DeliveryState.CANCELLED, image="")
        else:
            return False
        self.tracked.take_back(promotion.ami, one, was)
        return True

    def _recall_or_restore(self, promotion: Promotion, one: TrackedDelivery, *, recalled: bool) -> None:
        """Begin the episode that recalls a delivered AMI, or restores it; the tracked delivery is written first.

        A delivery that is parked or cannot be read stays as it is: an alarm reports it.
        """
        if (found := self._over(one)) is None:
            return
        stored, record = found
        record = replace(record, episode=max(record.episode, one.episode))  # later ones could not begin: see `_give_up`
        fresh = recall_begun(record, self.clock(), recalled=recalled, lift=promotion.inbox.get("lifted", ""))
        generation = promotion.generation_of(one.account, one.place)
        self.tracked.add(promotion.ami, replace(one, episode=fresh.episode, state=RUNNING, generation=generation))
        happened = ["Recalled by an operator" if recalled else "The recall was lifted"]
        if self.records.save(stored, DELIVERIES.encode(fresh), happened, self.clock()) is None:
            raise LostRace(str(record.key))
        self.waker.send(record.key, f"recall:{promotion.ami}:{fresh.episode}")

    def _over(self, one: TrackedDelivery) -> tuple[Stored, Delivery] | None:
        """Read a delivery that is over or shared; None: its record says something else, or is parked or damaged."""
        try:
            stored = self.records.read(addresses.delivery(one.delivery))
            record = None if stored is None or stored.parked else DELIVERIES.decode(stored)
        except ParkRecord:
            return None
        return (stored, record) if stored and record and record.state == one.state else None

    def _rename(self, promotion: Promotion, one: TrackedDelivery, wanted: Target) -> None:
        """Let what a target has count for the parameter that the file sets now. Repeating is safe.

        The record comes first: from then on a recall, or the end of a share, takes the AMI from there. The pointer does
        the rest. A parameter of before stays as it is.
        """
        if (found := self._over(one)) is None:
            return
        stored, record = found
        try:
            image = source_image(self.records, promotion.ami, record.source, record.key)
        except ParkRecord:
            return
        renamed = naming.renamed(record, image, wanted)
        if renamed.naming.parameter:
            renamed = renamed.with_naming(offered_at=self.clock(), done=True)
        happened = [f"Named by {renamed.naming.parameter or 'no parameter'}"]
        if self.records.save(stored, DELIVERIES.encode(renamed), happened, self.clock()) is None:
            raise LostRace(str(record.key))
        if renamed.naming.parameter:
            self._pointers.offer(naming.pointer(renamed), naming.release(renamed, image))
        self.tracked.rename(promotion.ami, one.delivery, wanted.ssm_parameter)

    def _ask_to_end(
        self,
        promotion: Promotion,
        wanted: WantedTargets,
        one: TrackedDelivery,
        record: Delivery | None,
        budget: Budget,
    ) -> None:
        """Ask a delivery to end. If it cannot act, release what it holds for its copies."""
        cause = f"cancel:{promotion.ami}:{promotion.inputs[:12]}:{promotion.tries}"  # each try is news to the delivery
        why = wanted.why_it_ends(promotion, one.place)
        request = EndRequest(one.episode, f"{BY_RECALL if wanted.recalled else ''}{cause}", why)
        self.waker.wake(addresses.delivery(one.delivery), cause, {"cancel": str(request)})
        if record is None:
            copy_holdings.release(self.records, self.ledger, self.waker, promotion.ami, one, budget)

    # --- what begins -------------------------------------------------------------------------------------------------

    def begin(
        self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery], budget: Budget
    ) -> ev.Sliced:
        """Begin deliveries, in the order of their targets, beginning after the cursor's."""
        after = promotion.cursor.after
        missing = {target.place: target for target in wanted.missing(tracked, promotion)}
        announced = {target.place: target for target in wanted.announced(tracked, promotion)}
        every = sorted({**announced, **missing}.values(), key=_order)
        left = [target for target in every if _order(target) > after]
        if not left:
            return _all_begun(promotion, wanted, standing=False)
        image = source_image(self.records, promotion.ami, promotion.source, promotion.key)
        known = {one.place: one for one in tracked}
        upto, standing, new = after, False, list[RecordKey]()
        for some in slices(left, READ_AT_ONCE):
            keys = {target.place: addresses.delivery(_id(promotion, target)) for target in some}
            there = self.records.read_all(keys.values())
            for target in budget.each(some, CALLS_OF_STEP):
                upto = _order(target)
                standing = standing or target.mode == "share"
                key, groups = keys[target.place], wanted.groups.get(target.place, ())
                waits = wanted.waves.of(target.account) is not None
                beginning = _Beginning(key, target, groups, waits, known.get(target.place), there.get(key))
                if self._begin(promotion, image, beginning):
                    new.append(key)
                if len(new) == AT_ONCE:
                    self._count_and_wake(promotion, new)
            if upto != _order(some[-1]):
                break
        self._count_and_wake(promotion, new)
        if upto != _order(left[-1]):
            return _sliced(promotion, replace(promotion.cursor, after=upto), standing=standing)
        return _all_begun(promotion, wanted, standing=standing)

    def _count_and_wake(self, promotion: Promotion, new: list[RecordKey]) -> None:
        """Count and wake new deliveries. If a run is killed before, they are due all the same, and polls find them."""
        if new:
            self.tracked.count(promotion.ami, len(new))
            self.waker.wake_all([(key, _cause(promotion)) for key in new])
            new.clear()

    def _begin(self, promotion: Promotion, image: SourceImage, beginning: _Beginning) -> bool:
        """Begin a delivery's episode: announce it by the tracked delivery, then write it. False: none was to begin."""
        if beginning.stored is None and self._create(promotion, image, beginning):
            return True
        # If the store says that there was one, a repeat of this very call may have written it. So what is there counts.
        there, before = self._before(promotion, beginning)
        if there is None or before is None:
            return False
        if not before.ended:
            self._catch_up(promotion, before, beginning)
            return False
        # What a run announced and did not write may have been a recall, or its lift: ``put_right`` takes that back.
        if beginning.announced and (before.keeps_image or before.episode >= beginning.announced):
            return False
        episode = max(before.episode, beginning.last_episode) + 1
        fresh = self._announced(promotion, image, beginning, before, episode)
        happened = [f"Reopened by episode {promotion.episode}"]
        write = DELIVERIES.encode(replace(fresh, inbox=there.inbox))
        if self.records.save(there, write, happened, self.clock()) is None:
            raise LostRace(str(beginning.key))
        return True

    def _create(self, promotion: Promotion, image: SourceImage, beginning: _Beginning) -> bool:
        """Announce and write a delivery that has no record yet; False: there is one."""
        fresh = self._announced(promotion, image, beginning, None, beginning.last_episode + 1)
        by_sweep = self.clock() + schedule.WAKE_LOST  # if the wake that follows is lost
        return self.records.create(replace(DELIVERIES.encode(fresh), due_at=by_sweep), self.clock())

    def _announced(
        self, promotion: Promotion, image: SourceImage, beginning: _Beginning, before: Delivery | None, episode: int
    ) -> Delivery:
        """Return a delivery as it begins, after writing that it is to begin.

        The mark is written before a standing share opens, so that the pass over standing shares compares the AMI.
        """
        fresh = self._fresh(promotion, image, beginning, before, episode)
        if fresh.in_share_mode:
            self.records.put(addresses.standing(promotion.ami), {"kind": "standing", "episode": promotion.episode})
        self.tracked.add(promotion.ami, _tracked(promotion, fresh.target, episode, beginning.tracked), count=False)
        return fresh

    def _before(self, promotion: Promotion, beginning: _Beginning) -> tuple[Stored | None, Delivery | None]:
        """Return the delivery that is there. One that is to begin and cannot be read counts as failed (invariant 7).

        But one that a newer version wrote counts as running: when that version reads it, ``put_right`` takes this back.
        """
        try:
            there = beginning.stored or self.records.read(beginning.key)
            if there is not None and not there.parked:
                return there, DELIVERIES.decode(there)
        except NewerSchema:
            return None, None
        except ParkRecord:
            self.waker.send(beginning.key, _cause(promotion))  # its own worker parks it
        if not beginning.announced:
            self._give_up(promotion, beginning.target)
        return None, None

    def _give_up(self, promotion: Promotion, target: Target) -> None:
        """Track a delivery as failed that cannot begin."""
        ident = _id(promotion, target)
        known = next((one for one in self.tracked.all(promotion.ami) if one.delivery == ident), None)
        failed = _tracked(promotion, target, 1 if known is None else known.episode + 1, known)
        failed = replace(failed, image="" if known is None else known.image)
        self.tracked.add(promotion.ami, failed)
        self.tracked.end(promotion.ami, replace(failed, state=DeliveryState.FAILED, ended_at=self.clock()))

    def _catch_up(self, promotion: Promotion, running: Delivery, beginning: _Beginning) -> None:
        """Track a delivery that another run has begun, unless that run has tracked it."""
        if beginning.announced != running.episode:
            self.tracked.add(promotion.ami, _tracked(promotion, beginning.target, running.episode, beginning.tracked))
            self.waker.send(running.key, _cause(promotion))

    def _fresh(
        self, promotion: Promotion, image: SourceImage, beginning: _Beginning, before: Delivery | None, episode: int
    ) -> Delivery:
        target = beginning.target
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
            groups=beginning.groups,
            snapshots=snapshots_of(image),
            attempts=() if before is None else proof.carried(before, self.clock()),
            slots=SlotRequest(slots.ASKING) if copies else SlotRequest(),
            method=method,
            method_why=why,
            launch=Launch() if before is None else instances.carried(before),
            recall=Recalled() if before is None else before.recall,
            naming=naming.begun(image, target),
        )
        return delivery_started(fresh, self.clock(), waits=beginning.waits)

    # --- what goes on ------------------------------------------------------------------------------------------------

    def wake(
        self, promotion: Promotion, file: FileWaves, tracked: Iterable[TrackedDelivery], budget: Budget
    ) -> ev.Sliced:
        """Wake what waits for a wave, in the order of targets; not where it is unknown when the wave opens.

        Each also looks by itself, within the hour.
        """
        after = promotion.cursor.after
        closed = {name for name, one in promotion.waves.items() if not one.opens_at}

        def may_open(account: str) -> bool:
            wave = file.of(account)
            return not (isinstance(wave, Wave) and file.name(wave) in closed)

        left = [one for one in tracked if one.state == RUNNING and one.place > after and may_open(one.account)]
        left.sort(key=lambda one: one.place)
        upto = after
        for some in budget.each(slices(left, AT_ONCE), CALLS_OF_STEP):
            waiting = [one.key for one in self._read(some).values() if one.awaits_wave]
            self.waker.wake_all([(key, f"wave:{promotion.ami}") for key in waiting])
            upto = some[-1].place
        done = not left or upto == left[-1].place
        return _sliced(promotion, NO_PASS if done else replace(promotion.cursor, after=upto))


def _order(target: Target) -> str:
    """Return a target's place in the cursor: "0PLACE"; "1PLACE", and so later, if it waits for the hub's own copy."""
    return f"{bool(target.by_way_of):d}{target.place}"


def _sliced(
    promotion: Promotion, cursor: Cursor, *, standing: bool = False, newest: int = 0, asks: bool = False
) -> ev.Sliced:
    return ev.Sliced(promotion.inputs, promotion.cursor, cursor, standing, newest, asks)


def _all_begun(promotion: Promotion, wanted: WantedTargets, *, standing: bool) -> ev.Sliced:
    asks = any(needs(target) for target in wanted.targets.values())
    return _sliced(promotion, NO_PASS, standing=standing, newest=promotion.newest, asks=asks)


def _cause(promotion: Promotion) -> str:
    return f"begin:{promotion.ami}:{promotion.episode}"


def _tracked(promotion: Promotion, target: Target, episode: int, before: TrackedDelivery | None) -> TrackedDelivery:
    return TrackedDelivery(
        delivery=_id(promotion, target),
        account=target.account,
        region=target.region,
        episode=episode,
        state=RUNNING,
        generation=promotion.generation_of(target.account, target.place),
        joined=wave_counts.joined(promotion, target, before),
        ssm_parameter=target.ssm_parameter,
    )


def _id(promotion: Promotion, target: Target) -> str:
    return addresses.delivery_id(promotion.hub, promotion.ami, target.account, target.region)
