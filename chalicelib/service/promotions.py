"""The executor of promotions: from the tag to the deliveries, and to one summary.

Each command that goes over many deliveries works in slices: it continues while there is time, and says how far it came.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from chalicelib.core import notices
from chalicelib.core.delivery.evolving import started as delivery_started
from chalicelib.core.delivery.model import ENDED, Delivery, DeliveryState, snapshots_of
from chalicelib.core.errors import LostRace, ParkRecord, Refusal, Unreadable
from chalicelib.core.faults import Fault
from chalicelib.core.images import names
from chalicelib.core.images.image import SourceImage
from chalicelib.core.promotion import commands as do
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion import evolving, machine
from chalicelib.core.promotion.head import places_digest
from chalicelib.core.promotion.model import EXPIRED, NO_PLAN, Plan, Promotion, TrackedDelivery
from chalicelib.core.records import addresses, codec
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.sharing.entitlement import launched_by
from chalicelib.core.targets import preflight
from chalicelib.core.targets.applied_file import Resolution, Target
from chalicelib.core.targets.approvals import needs
from chalicelib.core.targets.withdrawals import by_place, covering, in_force
from chalicelib.ports.aws import Source
from chalicelib.ports.beside import TrackedDeliveries
from chalicelib.ports.messaging import Notices
from chalicelib.ports.records import Records
from chalicelib.ports.targets import Targets
from chalicelib.service.approvals import LiveApprovals
from chalicelib.service.budget import Budget
from chalicelib.service.codecs import DELIVERIES, compact, parsed, peek, source_image
from chalicelib.service.deliveries import notified_as
from chalicelib.service.runner import CALLS_OF_STEP, Machine
from chalicelib.service.waker import Clock, Waker

RUNNING = "running"
NOTHING_LEFT = ("failed", "cancelled", "withdrawn", EXPIRED)
BACK_AGAIN = ("cancelled", "withdrawn")
"""The outcomes that start again if only file or members changed: those of an account that had left."""

LOOKED_FOR = 20
"""How many deliveries one count looks for, if they are tracked as running and the value does not name them."""
PLANNED = 200
"""Targets with their settings in one item: about 120 KB of the 400 that an item may have."""
WOKEN_AT_ONCE = 20
"""New deliveries that are counted and woken together: two messages."""
LISTED = 5000
"""Places ("account/region") in one item: about 120 KB."""


@dataclass(frozen=True, slots=True)
class PromotionPorts:
    """What a promotion's executor works with, beside the records."""

    source: Source
    targets: Targets
    tracked: TrackedDeliveries
    notices: Notices
    approvals: LiveApprovals


PROMOTION_MACHINE: Machine[Promotion, do.Command, ev.Event] = Machine(
    machine.outstanding, evolving.evolve, looks=machine.looks
)


class PromotionExecutor:
    """Executes a promotion's commands."""

    def __init__(
        self, records: Records, waker: Waker, clock: Clock, ports: PromotionPorts, *, trigger_tag: str
    ) -> None:
        self._records = records
        self._waker = waker
        self._clock = clock
        self._ports = ports
        self._trigger_tag = trigger_tag

    def execute(self, record: Promotion, command: do.Command, budget: Budget) -> ev.Event:
        """Execute one command; a refusal comes back as an event."""
        look = isinstance(command, do.LookAtTag)
        try:
            return self._execute_one(record, command, budget)
        except Refusal as refusal:
            return ev.Blocked(refusal.fault, look)
        except LostRace as race:
            what = f"{race} was written by another function at the same time."
            return ev.Blocked(Fault("lost-race", record.where, what, "The service tries again."), look)

    def _execute_one(self, promotion: Promotion, command: do.Command, budget: Budget) -> ev.Event:
        match command:
            case do.LookAtTag():
                read = self._ports.source.tag(promotion.ami)
                return ev.TagSeen(
                    read.value, read.image_state, read.image_name, read.own, *evolving.looked_for(promotion)
                )
            case do.ReadWithdrawals():
                values = {promotion.seen_value, promotion.value, evolving.noted_value(promotion)}
                return ev.WithdrawalsRead(self._withdrawn(promotion, values, promotion.tagged_at))
            case do.Resolve(value):
                return self._resolve(promotion, value)
            case do.Examine():
                return ev.Paused() if self._paused() else self._examine(promotion)
            case do.Expand(plan, cursor):
                return ev.Paused() if self._paused() else self._expand(promotion, plan, cursor, budget)
            case do.CancelOthers(plan, withdraw, after):
                return self._cancel(promotion, self._plan(promotion, plan), after, budget, withdraw=withdraw)
            case do.Count():
                return self._count(promotion, budget)
            case do.AskApproval():
                return self._ask_approval(promotion)
            case do.NotifyRefused(faults):
                self._ports.notices.publish(notices.refused(promotion, faults, self._clock()))
                return ev.RefusedNotified()
            case _:
                assert_never(command)

    def _paused(self) -> bool:
        """Whether an operator has paused new promotions (`ami-promoter pause`). What runs goes on, and removals."""
        return self._ports.targets.paused()

    def _withdrawn(self, promotion: Promotion, values: Collection[str | None], tagged_at: int) -> Mapping[str, str]:
        return by_place(in_force(self._ports.targets.withdrawals(promotion.ami), values, tagged_at))

    # --- whom the value names ----------------------------------------------------------------------------------------

    def _resolve(self, promotion: Promotion, value: str) -> ev.Event:
        """Resolve a value, and write whom it names beside the record. Needs nothing but the applied file."""
        understood_before = value == promotion.value and bool(promotion.digest)
        resolution = self._ports.targets.read().resolve(value, in_force=understood_before)
        if resolution.waits is not None:
            return ev.Blocked(resolution.waits)
        if resolution.faults:  # with those of the source, so that a person gets all at once
            by_organization = any(fault.code.startswith("organization-") for fault in resolution.faults)
            return ev.Resolved(value, (*resolution.faults, *self._source_faults(promotion, ())), by_organization)
        before = self._plan(promotion, promotion.plan)
        if promotion.refresh and not (resolution.back_fill and resolution.members != promotion.members):
            resolution = resolution.only(before.wanted | before.blocked)
        withdrawn = self._withdrawn(promotion, {value}, promotion.tagged_with(value))
        resolution, before = resolution.without(withdrawn), self._named(promotion, promotion.plan)
        still = before.without(withdrawn)
        blocked = [place for place in (*still.wanted, *still.blocked) if place.partition("/")[0] in resolution.blocked]
        return ev.Resolved(
            value,
            blocked=tuple(resolution.blocked.values()),
            plan=self._write_plan(promotion, resolution, blocked),
            planned=len(resolution.targets),
            places=places_digest(resolution.targets),
            digest=resolution.digest,
            members=resolution.members,
            removals=not before.wanted | before.blocked <= {*resolution.places, *blocked},
            additions=self._anything_to_do(promotion, resolution),
            withdrawn=withdrawn,
            approval=any(map(needs, resolution.targets)),
        )

    def _write_plan(self, promotion: Promotion, resolution: Resolution, blocked: Collection[str]) -> str:
        """Write the targets and their settings beside the record. What an earlier try wrote is skipped."""
        planned = [
            {"target": codec.encode(target), "groups": list(resolution.groups.get(target.place, ()))}
            for target in resolution.targets
        ]
        blocked = sorted(blocked)
        plan = addresses.digest(json.dumps([planned, blocked], sort_keys=True), length=16)
        items = {
            addresses.plan(promotion.ami, plan, number): compact(planned[start : start + PLANNED])
            for number, start in enumerate(range(0, len(planned), PLANNED))
        }
        listed = [*((place, True) for place in resolution.places), *((place, False) for place in blocked)]
        items |= {
            addresses.places(promotion.ami, plan, number): compact(_sorted_out(listed[start : start + LISTED]))
            for number, start in enumerate(range(0, max(len(listed), 1), LISTED))
        }
        found = self._records.list(addresses.promotion(promotion.ami).pk, f"plan#{plan}#")
        there = {key: item.get("body") for key, item in found}
        for key, body in items.items():
            if there.get(key) != body:  # it is new, or was damaged
                self._records.put(key, {"kind": "plan", "body": body})
        return plan

    def _plan(self, promotion: Promotion, plan: str) -> Plan:
        """Read whom a plan names, without those that an operator has withdrawn since."""
        return self._named(promotion, plan).without(promotion.withdrawn)

    def _named(self, promotion: Promotion, plan: str) -> Plan:
        """Read whom a plan names. One that is damaged names whom the value in force names by the file as it is now."""
        if not plan:
            return NO_PLAN
        try:
            return self._read_plan(promotion, plan)
        except Unreadable:
            named = self._ports.targets.read().resolve(promotion.value or "", in_force=True)
            if not named.understood:
                raise
            places = (entry.place for entry in self._ports.tracked.all(promotion.ami) if entry.account in named.blocked)
            return Plan(frozenset(named.places), frozenset(places))

    def _read_plan(self, promotion: Promotion, plan: str) -> Plan:
        found = self._records.list(addresses.promotion(promotion.ami).pk, f"plan#{plan}#places#")
        if not found:
            raise Unreadable(f"{promotion.key}: its plan {plan} is not on record. {_how_to_write_again(promotion)}")
        try:
            lists = [parsed(item, f"{promotion.key}: its plan {plan}") for _, item in found]
        except Unreadable as trouble:
            raise Unreadable(f"{trouble} {_how_to_write_again(promotion)}") from None
        wanted = frozenset(place for one in lists for place in one["wanted"])
        return Plan(wanted, frozenset(place for one in lists for place in one["blocked"]))

    def _anything_to_do(self, promotion: Promotion, resolution: Resolution) -> bool:
        states = {entry.place: entry.state for entry in self._ports.tracked.all(promotion.ami)}
        again = BACK_AGAIN if promotion.refresh else NOTHING_LEFT
        return any((state := states.get(place, "new")) == "new" or state in again for place in resolution.places)

    # --- the source --------------------------------------------------------------------------------------------------

    def _examine(self, promotion: Promotion) -> ev.Event:
        """Check the source for the targets of the plan."""
        return ev.Examined(self._source_faults(promotion, [target for target, _ in self._targets(promotion)]))

    def _source_faults(self, promotion: Promotion, targets: Sequence[Target]) -> tuple[Fault, ...]:
        """Read and check the whole source. Where it is in order, what was read is put beside the record."""
        read = self._ports.source.examine(promotion.ami)
        if read is None:
            what = "The AMI is gone, or does not belong to the hub."
            return (Fault("source-gone", promotion.where, what, "Tag an AMI that the hub owns."),)
        image, key_facts = read
        faults = (
            *preflight.source_faults(
                image,
                promotion.hub,
                key_facts,
                trigger_tag=self._trigger_tag,
                opens_keys=any(target.key_access != "none" for target in targets) or not targets,
            ),
            *preflight.method_faults(image, targets),
        )
        if not faults:
            self._records.put(
                addresses.source_image(promotion.ami), {"kind": "image", "body": compact(image.to_json())}
            )
        return faults

    # --- deliveries --------------------------------------------------------------------------------------------------

    def _targets(self, promotion: Promotion) -> Iterator[tuple[Target, tuple[str, ...]]]:
        for number in range(-(-promotion.planned // PLANNED)):
            yield from self._chunk(promotion, promotion.plan, number)

    def _chunk(self, promotion: Promotion, plan: str, number: int) -> list[tuple[Target, tuple[str, ...]]]:
        item = self._records.get(addresses.plan(promotion.ami, plan, number))
        try:
            planned = parsed(item, f"{promotion.key}: chunk {number} of its plan {plan}")
        except Unreadable as trouble:
            raise Unreadable(f"{trouble} {_how_to_write_again(promotion)}") from None
        return [(codec.decode(Target, one["target"]), tuple(one["groups"])) for one in planned]

    def _expand(self, promotion: Promotion, plan: str, cursor: int, budget: Budget) -> ev.Event:
        if not promotion.planned:
            return ev.Expanded(0)
        image = source_image(self._records, promotion.ami, promotion.key)
        done, standing, new = 0, False, list[tuple[RecordKey, str]]()
        chunk = self._chunk(promotion, plan, cursor // PLANNED)[cursor % PLANNED :]
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
        """Count and wake new deliveries. Where a run is killed before, they are due, and a poll counts the marks."""
        if new:
            self._ports.tracked.count(promotion.ami, len(new))
            self._waker.wake_all(new)
            new.clear()

    def _begin(self, promotion: Promotion, image: SourceImage, target: Target, groups: tuple[str, ...]) -> bool:
        """Put a delivery that is not there, in as few calls as may be: a thousand are put one after another.

        False: it is there after all; its mark is as it was before.
        """
        fresh = self._fresh(promotion, image, target, groups, _id(promotion, target), None)
        entry = TrackedDelivery(fresh.id, target.account, target.region, fresh.episode, RUNNING)
        self._note_standing(promotion, fresh)
        marked = self._ports.tracked.add(promotion.ami, entry, count=False)
        if self._records.create(DELIVERIES.encode(fresh), self._clock()):
            return True
        if marked:
            self._ports.tracked.count(promotion.ami, 1)
            never = replace(entry, episode=0, state=DeliveryState.CANCELLED.value)
            self._ports.tracked.take_back(promotion.ami, entry, never)
        return False

    def _note_standing(self, promotion: Promotion, fresh: Delivery) -> None:
        """Write that shares will stand, before any opens: the pass over standing shares looks after them."""
        if fresh.shared:
            note = {"kind": "standing", "episode": promotion.episode}
            self._records.put(addresses.standing(promotion.ami), note)

    def _deliver(self, promotion: Promotion, image: SourceImage, target: Target, groups: tuple[str, ...]) -> None:
        """Put a delivery that is not there; open an ended one that failed again. Each write may be repeated."""
        ident = _id(promotion, target)
        key = addresses.delivery(ident)
        try:
            stored = self._records.read(key)
            before = None if stored is None or stored.parked else DELIVERIES.decode(stored)
        except ParkRecord:  # its own worker parks it; it is one target's trouble (invariant 7)
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
        self._ports.tracked.add(
            promotion.ami, TrackedDelivery(ident, target.account, target.region, fresh.episode, RUNNING)
        )
        write = DELIVERIES.encode(fresh)
        if stored is None:
            self._records.create(write, self._clock())
        elif not self._records.save(stored, write, [f"Reopened by episode {promotion.episode}"], self._clock()):
            raise LostRace(str(key))
        self._waker.send(key, f"expand:{promotion.ami}:{promotion.episode}")

    def _starts(self, promotion: Promotion, target: Target, before: Delivery) -> bool:
        """Whether a delivery that is there starts again. One that is failing just now is asked again when it has."""
        passed_over = before.state is DeliveryState.FAILED and _passed_over(promotion, target)
        if passed_over and not self._is_between(promotion, target):
            return False
        if (
            before.state in (DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.WITHDRAWN)
            and before.promotion_episode < promotion.episode
        ):
            return True
        if before.ending is not None and before.state not in ENDED and before.promotion_episode < promotion.episode:
            self._ports.tracked.ask_again(promotion.ami, before.id, promotion.episode)
        self._waker.send(before.key, f"expand:{promotion.ami}:{promotion.episode}")
        return False

    def _is_between(self, promotion: Promotion, target: Target) -> bool:
        """Whether this is the hub's own copy, and a target that starts now is to copy from there."""
        if target.account != promotion.hub:
            return False
        after = [
            one for one, _ in self._targets(promotion) if (one.by_way_of, one.region) == (promotion.hub, target.region)
        ]
        if promotion.only:
            return any(not _passed_over(promotion, one) for one in after)
        states = {entry.place: entry.state for entry in self._ports.tracked.all(promotion.ami)}
        return any(states.get(one.place, RUNNING) in (RUNNING, *BACK_AGAIN) for one in after)

    def _give_up(self, promotion: Promotion, ident: str) -> None:
        """A delivery that was cancelled and cannot be read cannot start again: it counts as failed."""
        for entry in self._ports.tracked.all(promotion.ami):
            if entry.delivery == ident and entry.state == DeliveryState.CANCELLED:
                failed = replace(entry, episode=entry.episode + 1, state=DeliveryState.FAILED.value)
                self._ports.tracked.add(promotion.ami, failed)

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
            groups=groups,
            snapshots=snapshots_of(image),
            attempts=() if before is None else before.attempts,
            launched_by=_launched_by(target),
            via=_via(promotion, target),
            method=method,
            method_why=why,
        )
        return delivery_started(fresh, self._clock())

    def _cancel(
        self, promotion: Promotion, plan: Plan, after: str, budget: Budget, *, withdraw: bool
    ) -> ev.OthersCancelled:
        """Ask deliveries to end, in the order of their ids, from ``after`` on."""

        def ends(entry: TrackedDelivery) -> bool:
            gone = entry.state in (RUNNING, DeliveryState.SHARED) and entry.place not in plan
            return gone or (withdraw and entry.state == DeliveryState.SHARED)

        left = {entry.delivery: entry for entry in self._ports.tracked.all(promotion.ami) if ends(entry)}
        names, upto = sorted(name for name in left if name > after), ""
        for upto in budget.each(names, CALLS_OF_STEP):
            cause = f"cancel:{promotion.ami}:{promotion.episode}"
            self._waker.wake(addresses.delivery(upto), cause, {"cancel": f"{left[upto].episode}:{cause}"})
        return ev.OthersCancelled("" if upto in names[-1:] else upto)

    def _ask_approval(self, promotion: Promotion) -> ev.ApprovalAsked:
        """Ask an approver about deliveries that have not ended. The notice's id is the same for the same question."""
        asked = self._ports.approvals.ask(promotion.ami)
        running = {entry.place for entry in self._ports.tracked.all(promotion.ami) if entry.state == RUNNING}
        waits = [place for place in asked.waits if place in running]
        if not waits:
            return ev.ApprovalAsked()
        if asked.once != promotion.approval_asked:
            said = notices.awaiting_approval(promotion, asked.question.digest, asked.once, waits, self._clock())
            self._ports.notices.publish(said)
        return ev.ApprovalAsked(asked.question.digest, asked.once)

    def _count(self, promotion: Promotion, budget: Budget) -> ev.Event:
        tracked = tuple(self._ports.tracked.all(promotion.ami))
        plan = self._plan(promotion, promotion.plan)
        if any(evolving.to_end(promotion, entry, plan) for entry in tracked):
            if promotion.tries >= machine.WORTH_A_LOOK:
                self._take_back(
                    promotion,
                    [entry for entry in tracked if evolving.unwanted(promotion, entry, plan)],
                    budget,
                )
            return ev.Counted(to_end=True)
        again = [entry for entry in tracked if evolving.wanted_again(promotion, entry, plan)]
        if again:
            return ev.Counted(
                wanted_again=True,
                asked_again=any(evolving.asked_again(promotion, entry) for entry in again),
            )
        if tracked and promotion.summarised != promotion.episode:
            self._ports.notices.publish(notices.summary(promotion, tracked, self._clock()))
        return ev.SummaryNotified(any(entry.state == DeliveryState.SHARED for entry in tracked))

    def _take_back(self, promotion: Promotion, tracked: Sequence[TrackedDelivery], budget: Budget) -> None:
        """Put right the marks of deliveries that nobody wants, and that were never written: none will end.

        The run that announced one was killed, and then the tag, or an operator, named it no longer.
        """
        running = [entry for entry in tracked if entry.state == RUNNING]
        start = promotion.tries * LOOKED_FOR % max(len(running), 1)
        for entry in budget.each([*running[start:], *running[:start]][:LOOKED_FOR], CALLS_OF_STEP):
            key = addresses.delivery(entry.delivery)
            before = peek(self._records, key, DELIVERIES)
            if before is not None and before.ended and before.episode < entry.episode:
                mark = replace(entry, episode=before.episode, state=notified_as(before))
                self._ports.tracked.take_back(promotion.ami, entry, mark)
            elif before is None and self._is_missing(key):
                never = replace(entry, episode=0, state=DeliveryState.CANCELLED.value)
                self._ports.tracked.take_back(promotion.ami, entry, never)

    def _is_missing(self, key: RecordKey) -> bool:
        try:
            return self._records.read(key) is None
        except ParkRecord:
            return False


def _id(promotion: Promotion, target: Target) -> str:
    return addresses.delivery_id(promotion.hub, promotion.ami, target.account, target.region)


def _how_to_write_again(promotion: Promotion) -> str:
    return f"`ami-promoter retry {promotion.ami}` resolves the tag's value and writes the plan again."


def _sorted_out(listed: Sequence[tuple[str, bool]]) -> dict[str, list[str]]:
    return {
        "wanted": [place for place, wanted in listed if wanted],
        "blocked": [place for place, wanted in listed if not wanted],
    }


def _launched_by(target: Target) -> tuple[str, ...]:
    """Name the unit that the launch permission is to name, where the value's groups have the account by one."""
    named = launched_by(target)
    return (named,) if target.mode == "share" and named != target.account else ()


def _via(promotion: Promotion, target: Target) -> str:
    """Name the delivery that makes the hub's own copy first, where the target is to copy from there."""
    hub = target.by_way_of
    return addresses.delivery_id(promotion.hub, promotion.ami, hub, target.region) if hub else ""


def _passed_over(promotion: Promotion, target: Target) -> bool:
    """Whether a failed delivery is not meant: an operator asked for others, or only file or membership changed."""
    meant = {target.account, f"{target.account}/{target.region}"}
    return promotion.refresh or (bool(promotion.only) and meant.isdisjoint(promotion.only))
