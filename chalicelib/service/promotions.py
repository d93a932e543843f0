"""The executor of promotions: from the tag to the deliveries and one summary.

A command about many deliveries works in slices: it stops when time runs out, and its event says how far it came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from chalicelib.core import notices
from chalicelib.core.delivery.model import DeliveryState
from chalicelib.core.errors import LostRace, ParkRecord, Refusal, Unreadable
from chalicelib.core.faults import Fault
from chalicelib.core.images import arriving
from chalicelib.core.images.image import SourceImage
from chalicelib.core.promotion import commands as do
from chalicelib.core.promotion import events as ev
from chalicelib.core.promotion import evolving, machine
from chalicelib.core.promotion.head import places_digest
from chalicelib.core.promotion.model import BACK_AGAIN, NOTHING_LEFT, RUNNING, Plan, Promotion, TrackedDelivery
from chalicelib.core.records import addresses
from chalicelib.core.records.addresses import RecordKey
from chalicelib.core.targets import preflight
from chalicelib.core.targets.applied_file import Resolution, Target
from chalicelib.core.targets.approvals import needs
from chalicelib.core.targets.withdrawals import by_place, in_force
from chalicelib.ports.aws import Source
from chalicelib.ports.beside import TrackedDeliveries
from chalicelib.ports.ledger import Ledger
from chalicelib.ports.messaging import Notices
from chalicelib.ports.records import Records
from chalicelib.ports.targets import Targets
from chalicelib.service import copy_holdings
from chalicelib.service.approvals import LiveApprovals
from chalicelib.service.budget import Budget
from chalicelib.service.codecs import DELIVERIES, peek_all, source_image, write_source
from chalicelib.service.deliveries import notified_as
from chalicelib.service.expansion import Expansion
from chalicelib.service.plans import Plans
from chalicelib.service.runner import CALLS_OF_STEP, Machine
from chalicelib.service.waker import Clock, Waker

LOOKED_FOR = 20
"""Most deliveries tracked as running that one count reads."""


@dataclass(frozen=True, slots=True)
class PromotionPorts:
    """The ports of a promotion's executor, beside the records."""

    source: Source
    targets: Targets
    tracked: TrackedDeliveries
    ledger: Ledger
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
        self._plans = Plans(records, ports.targets, ports.tracked)
        self._expansion = Expansion(records, self._plans, ports.tracked, waker, clock)

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
                return ev.Paused() if self._paused() else self._expansion.run(promotion, plan, cursor, budget)
            case do.CancelOthers(plan, withdraw, after):
                return self._cancel(promotion, self._plans.read(promotion, plan), after, budget, withdraw=withdraw)
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
        """Whether an operator has paused new promotions. What runs continues, and removals take effect."""
        return self._ports.targets.paused()

    def _withdrawn(self, promotion: Promotion, values: Collection[str | None], tagged_at: int) -> Mapping[str, str]:
        return by_place(in_force(self._ports.targets.withdrawals(promotion.ami), values, tagged_at))

    # --- whom the value names ----------------------------------------------------------------------------------------

    def _resolve(self, promotion: Promotion, value: str) -> ev.Event:
        """Resolve a value by the applied file alone, and write the plan beside the record."""
        understood_before = value == promotion.value and bool(promotion.digest)
        resolution = self._ports.targets.read().resolve(value, in_force=understood_before)
        if resolution.waits is not None:
            return ev.Blocked(resolution.waits)
        if resolution.faults:  # the notice lists the source's faults as well
            by_organization = any(fault.code.startswith("organization-") for fault in resolution.faults)
            faults = (*resolution.faults, *self._source(promotion, ())[1])
            return ev.Resolved(value, faults, by_organization, still=self._still(promotion, value))
        before = self._plans.read(promotion, promotion.plan)
        if promotion.refresh and not (resolution.back_fill and resolution.members != promotion.members):
            resolution = resolution.only(before.wanted | before.blocked)
        withdrawn = self._withdrawn(promotion, {value}, promotion.tagged_with(value))
        resolution, before = resolution.without(withdrawn), self._plans.named(promotion, promotion.plan)
        still = before.without(withdrawn)
        blocked = [place for place in (*still.wanted, *still.blocked) if place.partition("/")[0] in resolution.blocked]
        return ev.Resolved(
            value,
            blocked=tuple(resolution.blocked.values()),
            plan=self._plans.write(promotion, resolution, blocked),
            planned=len(resolution.targets),
            places=places_digest(resolution.targets, resolution.blocked),
            digest=resolution.digest,
            members=resolution.members,
            removals=not before.wanted | before.blocked <= {*resolution.places, *blocked},
            additions=self._anything_to_do(promotion, resolution),
            withdrawn=withdrawn,
            approval=any(map(needs, resolution.targets)),
        )

    def _still(self, promotion: Promotion, refused: str) -> ev.Resolved | None:
        """Resolve the value in force, where another one is refused: a removal by file or members does not wait."""
        if promotion.value in (None, refused) or not promotion.digest:
            return None
        found = self._resolve(replace(promotion, refresh=True), promotion.value or "")
        return found if isinstance(found, ev.Resolved) and not found.faults else None

    def _anything_to_do(self, promotion: Promotion, resolution: Resolution) -> bool:
        states = {one.place: one.state for one in self._ports.tracked.all(promotion.ami)}
        again = BACK_AGAIN if promotion.refresh else NOTHING_LEFT
        if any((state := states.get(place, "new")) == "new" or state in again for place in resolution.places):
            return True
        waiting = (states.get(target.place) == RUNNING and needs(target) for target in resolution.targets)
        return not promotion.refresh and any(waiting)  # a tag event: the approver is asked about what is tagged now

    # --- the source --------------------------------------------------------------------------------------------------

    def _examine(self, promotion: Promotion) -> ev.Event:
        """Check the source for the targets of the plan, and write beside the record what is to arrive.

        What somebody tags later waits for a tag event: until then what was examined first counts, also for an account
        that joins.
        """
        image, faults = self._source(promotion, [target for target, _ in self._plans.targets(promotion)])
        if image is None or faults:
            return ev.Examined(faults, preflight.may_be_partial(faults))
        before = None if promotion.tagged_since or not promotion.source else self._examined_before(promotion)
        return ev.Examined(source=before or write_source(self._records, image))

    def _examined_before(self, promotion: Promotion) -> str | None:
        try:
            source_image(self._records, promotion.ami, promotion.source, promotion.key)
        except Unreadable:
            return None
        return promotion.source

    def _source(self, promotion: Promotion, targets: Sequence[Target]) -> tuple[SourceImage | None, tuple[Fault, ...]]:
        """Read and check the whole source; return it as it is kept on record, and its faults."""
        read = self._ports.source.examine(promotion.ami)
        if read is None:
            what = "The AMI is gone, or does not belong to the hub."
            return None, (Fault("source-gone", promotion.where, what, "Tag an AMI that the hub owns."),)
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
        return arriving.kept(image, self._trigger_tag), faults

    def _cancel(
        self, promotion: Promotion, plan: Plan, after: str, budget: Budget, *, withdraw: bool
    ) -> ev.OthersCancelled:
        """Ask deliveries to end, in the order of their ids, beginning after the id ``after``."""

        def ends(one: TrackedDelivery) -> bool:
            gone = one.state in (RUNNING, DeliveryState.SHARED) and one.place not in plan
            return gone or (withdraw and one.state == DeliveryState.SHARED)

        left = {one.delivery: one for one in self._ports.tracked.all(promotion.ami) if ends(one)}
        names, upto = sorted(name for name in left if name > after), ""
        for upto in budget.each(names, CALLS_OF_STEP):
            self._ask_to_end(promotion, left[upto])
        return ev.OthersCancelled("" if upto in names[-1:] else upto)

    def _ask_to_end(self, promotion: Promotion, one: TrackedDelivery) -> None:
        cause = f"cancel:{promotion.ami}:{promotion.episode}"
        self._waker.wake(addresses.delivery(one.delivery), cause, {"cancel": f"{one.episode}:{cause}"})

    def _ask_approval(self, promotion: Promotion) -> ev.ApprovalAsked:
        """Ask an approver about deliveries that have not ended. The notice's id is the same for the same question."""
        asked = self._ports.approvals.ask(promotion)
        running = {one.place for one in self._ports.tracked.all(promotion.ami) if one.state == RUNNING}
        waits = [place for place in asked.waits if place in running]
        if not waits:
            return ev.ApprovalAsked()
        if asked.once != promotion.approval_asked:
            said = notices.awaiting_approval(promotion, asked.question.digest, asked.once, waits, self._clock())
            self._ports.notices.publish(said)
        return ev.ApprovalAsked(asked.question.digest, asked.once)

    def _count(self, promotion: Promotion, budget: Budget) -> ev.Event:
        tracked = tuple(self._ports.tracked.all(promotion.ami))
        plan = self._plans.read(promotion, promotion.plan)
        if any(evolving.to_end(promotion, one, plan) for one in tracked):
            if promotion.tries >= machine.WORTH_A_LOOK:
                self._take_back(promotion, tracked, plan, budget)
                for one in budget.each(tracked, CALLS_OF_STEP):  # it may have opened after the others were asked
                    if one.state == DeliveryState.SHARED and evolving.unwanted(promotion, one, plan):
                        self._ask_to_end(promotion, one)
            return ev.Counted(to_end=True)
        again = [one for one in tracked if evolving.wanted_again(promotion, one, plan)]
        if again:
            return ev.Counted(wanted_again=True, asked_again=any(evolving.asked_again(promotion, one) for one in again))
        if tracked and promotion.summarised != promotion.episode:
            self._ports.notices.publish(notices.summary(promotion, tracked, self._clock()))
        return ev.SummaryNotified(any(one.state == DeliveryState.SHARED for one in tracked))

    def _take_back(self, promotion: Promotion, tracked: Sequence[TrackedDelivery], plan: Plan, budget: Budget) -> None:
        """Correct tracked deliveries whose new episode was never written, so that they would never end.

        The run that began the episode was killed, and the next run no longer wanted it, or counted it as running. A
        delivery that is wanted starts again; what one that is not wanted and cannot act holds for copies is released.
        """
        running = [one for one in tracked if one.state == RUNNING]
        start = promotion.tries * LOOKED_FOR % max(len(running), 1)
        some = {addresses.delivery(one.delivery): one for one in [*running[start:], *running[:start]][:LOOKED_FOR]}
        there = {before.key: before for before in peek_all(self._records, some, DELIVERIES)}
        for key in budget.each(some, CALLS_OF_STEP):
            one, before = some[key], there.get(key)
            if before is not None and before.ended and before.episode < one.episode:
                was = replace(one, episode=before.episode, state=notified_as(before))
                self._ports.tracked.take_back(promotion.ami, one, was)
                self._ports.tracked.ask_again(promotion.ami, one.delivery, promotion.episode)
            elif before is None and self._is_missing(key):
                never = replace(one, episode=0, state=DeliveryState.CANCELLED.value)
                self._ports.tracked.take_back(promotion.ami, one, never)
            elif before is None and one.place not in plan:
                ports = self._records, self._ports.ledger, self._waker, self._clock
                copy_holdings.release(*ports, promotion.ami, one, budget)

    def _is_missing(self, key: RecordKey) -> bool:
        try:
            return self._records.read(key) is None
        except ParkRecord:
            return False
