"""Writes the deliveries of a promotion, and starts a new episode of those to retry."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.delivery import proof
from chalicelib.core.delivery.evolving import started as delivery_started
from chalicelib.core.delivery.model import ENDED, Delivery, DeliveryState, HubCopy, Sharing, snapshots_of
from chalicelib.core.errors import LostRace, ParkRecord
from chalicelib.core.images import names
from chalicelib.core.images.image import SourceImage
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion.model import BACK_AGAIN, RUNNING, Promotion, TrackedDelivery
from chalicelib.core.records import addresses
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.sharing.entitlement import launched_by
from chalicelib.core.targets import preflight
from chalicelib.core.targets.applied_file import Target
from chalicelib.core.targets.withdrawals import covering
from chalicelib.ports.beside import TrackedDeliveries
from chalicelib.ports.records import Records, Stored
from chalicelib.service.budget import Budget
from chalicelib.service.codecs import DELIVERIES, source_image
from chalicelib.service.plans import Plans
from chalicelib.service.runner import CALLS_OF_STEP
from chalicelib.service.waker import Clock, Waker

WOKEN_AT_ONCE = 20
"""New deliveries that are counted and woken together: two messages."""


class Expansion:
    """Carries out the command ``Expand``."""

    def __init__(self, records: Records, plans: Plans, tracked: TrackedDeliveries, waker: Waker, clock: Clock) -> None:
        self._records = records
        self._plans = plans
        self._tracked = tracked
        self._waker = waker
        self._clock = clock

    def run(self, promotion: Promotion, plan: str, cursor: int, budget: Budget) -> ev.Expanded:
        """Begin deliveries from ``cursor`` on, as many as there is time for."""
        if not promotion.planned:
            return ev.Expanded(0)
        image = source_image(self._records, promotion.ami, promotion.source, promotion.key)
        done, standing, new = 0, False, list[tuple[RecordKey, str]]()
        chunk = self._plans.behind(promotion, plan, cursor)
        there = self._records.read_all([addresses.delivery(_id(promotion, target)) for target, _ in chunk])
        for target, groups in budget.each(chunk, CALLS_OF_STEP):
            done += 1
            if covering(promotion.withdrawn, target.place) is not None:
                continue
            key = addresses.delivery(_id(promotion, target))
            if key not in there and self._begin(promotion, image, target, groups):
                new.append((key, f"expand:{promotion.ami}:{promotion.episode}"))
            else:
                self._deliver(promotion, image, target, groups)
            standing = standing or target.mode == "share"
            if len(new) == WOKEN_AT_ONCE:
                self._wake(promotion, new)
        self._wake(promotion, new)
        return ev.Expanded(done, standing)

    def _wake(self, promotion: Promotion, new: list[tuple[RecordKey, str]]) -> None:
        """Count and wake new deliveries. If the run is killed before, they are due all the same, and a poll counts."""
        if new:
            self._tracked.count(promotion.ami, len(new))
            self._waker.wake_all(new)
            new.clear()

    def _begin(self, promotion: Promotion, image: SourceImage, target: Target, groups: tuple[str, ...]) -> bool:
        """Write a new delivery in few calls, as a plan may have a thousand.

        False: another run wrote it first, and then the tracked delivery becomes what it was; or it was there before.
        """
        fresh = self._fresh(promotion, image, target, groups, _id(promotion, target), None)
        tracked = TrackedDelivery(fresh.id, target.account, target.region, fresh.episode, RUNNING)
        self._note_standing(promotion, fresh)
        if not self._tracked.add(promotion.ami, tracked, count=False):
            return False
        if self._records.create(DELIVERIES.encode(fresh), self._clock()):
            return True
        self._tracked.count(promotion.ami, 1)
        never = replace(tracked, episode=0, state=DeliveryState.CANCELLED.value)
        self._tracked.take_back(promotion.ami, tracked, never)
        return False

    def _note_standing(self, promotion: Promotion, fresh: Delivery) -> None:
        """Mark the AMI before a standing share opens, so that the pass over standing shares compares it."""
        if fresh.shared:
            note = {"kind": "standing", "episode": promotion.episode}
            self._records.put(addresses.standing(promotion.ami), note)

    def _deliver(self, promotion: Promotion, image: SourceImage, target: Target, groups: tuple[str, ...]) -> None:
        """Write a delivery that is not there, or start an ended one again. Each write may be repeated."""
        ident = _id(promotion, target)
        key = addresses.delivery(ident)
        try:
            stored = self._records.read(key)
            before = None if stored is None or stored.parked else DELIVERIES.decode(stored)
        except ParkRecord:  # one target's trouble (invariant 7): its own worker parks it
            self._waker.send(key, f"expand:{promotion.ami}:{promotion.episode}")
            self._give_up(promotion, ident)
            return
        if stored is not None and stored.parked:
            self._give_up(promotion, ident)
            return
        if before is not None and not self._starts(promotion, target, before):
            return
        fresh = self._fresh(promotion, image, target, groups, ident, before)
        self._note_standing(promotion, fresh)
        fresh = self._track(promotion, fresh, stored)
        write = DELIVERIES.encode(fresh)
        if stored is None:
            self._records.create(write, self._clock())
        elif not self._records.save(stored, write, [f"Reopened by episode {promotion.episode}"], self._clock()):
            raise LostRace(str(key))
        self._waker.send(key, f"expand:{promotion.ami}:{promotion.episode}")

    def _track(self, promotion: Promotion, fresh: Delivery, stored: Stored | None) -> Delivery:
        """Track a new episode. Its number is above that of a record which is gone, or was given up as unreadable."""
        target = fresh.target
        tracked = TrackedDelivery(fresh.id, target.account, target.region, fresh.episode, RUNNING)
        if self._tracked.add(promotion.ami, tracked):
            return fresh
        known = next((one for one in self._tracked.all(promotion.ami) if one.delivery == fresh.id), tracked)
        now = self._records.read(fresh.key)
        if (now and now.version) != (stored and stored.version):
            return fresh  # another run has begun it
        number = known.episode + (known.state != RUNNING)
        self._tracked.add(promotion.ami, replace(tracked, episode=number))
        return replace(fresh, episode=number)

    def _starts(self, promotion: Promotion, target: Target, before: Delivery) -> bool:
        """Whether an existing delivery starts again. One that is failing now starts again after it has failed."""
        dated = before.state is DeliveryState.WITHDRAWN and before.sharing.expired
        passed_over = (before.state is DeliveryState.FAILED or dated) and _passed_over(promotion, target)
        if passed_over and not self._is_between(promotion, target):
            return False
        if (
            before.state in (DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.WITHDRAWN)
            and before.promotion_episode < promotion.episode
        ):
            return True
        if before.ending is not None and before.state not in ENDED and before.promotion_episode < promotion.episode:
            self._tracked.ask_again(promotion.ami, before.id, promotion.episode)
        self._waker.send(before.key, f"expand:{promotion.ami}:{promotion.episode}")
        return False

    def _is_between(self, promotion: Promotion, target: Target) -> bool:
        """Whether this is the hub's own copy, and a target that starts now will copy from it."""
        if target.account != promotion.hub:
            return False
        after = [
            one
            for one, _ in self._plans.targets(promotion)
            if (one.by_way_of, one.region) == (promotion.hub, target.region)
        ]
        if promotion.only:
            return any(not _passed_over(promotion, one) for one in after)
        states = {one.place: one.state for one in self._tracked.all(promotion.ami)}
        return any(states.get(one.place, RUNNING) in (RUNNING, *BACK_AGAIN) for one in after)

    def _give_up(self, promotion: Promotion, ident: str) -> None:
        """Count a delivery as failed that must start again, but cannot be read."""
        for one in self._tracked.all(promotion.ami):
            if one.delivery == ident and one.state in BACK_AGAIN:
                failed = replace(one, episode=one.episode + 1, state=DeliveryState.FAILED.value)
                self._tracked.add(promotion.ami, failed, count=False)

    def _fresh(
        self,
        promotion: Promotion,
        image: SourceImage,
        target: Target,
        groups: tuple[str, ...],
        ident: str,
        before: Delivery | None,
    ) -> Delivery:
        method, why = preflight.method(target, image)
        fresh = Delivery(
            id=ident,
            hub=promotion.hub,
            ami=promotion.ami,
            target=target,
            episode=1 if before is None else before.episode + 1,
            promotion_episode=promotion.episode,
            created_at=self._clock(),
            image_name=names.image_name(target.ami_name, image),
            source_name=image.name or "",
            source=promotion.source,
            groups=groups,
            snapshots=snapshots_of(image),
            attempts=() if before is None else proof.carried(before, self._clock()),
            hub_copy=HubCopy(_via(promotion, target)),
            sharing=Sharing(launched_by=_launched_by(target)),
            method=method,
            method_why=why,
        )
        return delivery_started(fresh, self._clock())


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


def _passed_over(promotion: Promotion, target: Target) -> bool:
    """Whether a delivery that failed or expired stays ended: a person named others, or only file or members changed."""
    meant = {target.account, f"{target.account}/{target.region}"}
    return promotion.refresh or (bool(promotion.only) and meant.isdisjoint(promotion.only))
