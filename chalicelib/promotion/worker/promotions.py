"""The executor of promotions: from the tag to the deliveries and one summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from chalicelib.delivery import preflight
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.ports import TrackedDeliveries
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.errors import LostRace, Refusal, RefusalKind, Unreadable
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Notices, Records
from chalicelib.engine.runner import Machine
from chalicelib.engine.stored import peek_all
from chalicelib.engine.waker import Clock, Waker
from chalicelib.engine.wakes import TagEntry
from chalicelib.images import arriving
from chalicelib.images.image import SourceImage
from chalicelib.images.ports import Source
from chalicelib.images.source_images import source_image, write_source
from chalicelib.promotion import commands as do
from chalicelib.promotion import events as ev
from chalicelib.promotion import evolving, machine, notices, wave_counts
from chalicelib.promotion.model import WORTH_A_LOOK, PartOfPass, Promotion
from chalicelib.promotion.wanted import WantedTargets, wanted_targets
from chalicelib.promotion.wave_counts import WaveCount
from chalicelib.promotion.worker.passes import READ_AT_ONCE, DeliveryPass
from chalicelib.sharing.entitlement import SOURCE_GONE
from chalicelib.sharing.ports import Ledger
from chalicelib.targets.applied_file import AppliedFile, Target
from chalicelib.targets.approvals import Asked
from chalicelib.targets.ports import Targets
from chalicelib.targets.waves import FileWaves, Wave
from chalicelib.targets.withdrawals import Withdrawal

PROMOTION_MACHINE: Machine[Promotion, do.PromotionCommand, ev.Event] = Machine(
    machine.outstanding, machine.evolve, looks=machine.looks, enters_history=machine.enters_history
)


@dataclass(eq=False)
class PromotionExecutor:
    """Executes a promotion's commands."""

    records: Records
    waker: Waker
    clock: Clock
    source: Source
    targets: Targets
    tracked: TrackedDeliveries
    ledger: Ledger
    notices: Notices
    approvals: LiveApprovals
    trigger_tag: str

    def __post_init__(self) -> None:
        self._pass = DeliveryPass(self.records, self.tracked, self.ledger, self.waker, self.clock)

    def execute(self, record: Promotion, command: do.PromotionCommand, budget: Budget) -> ev.Event:
        """Execute one command; a refusal comes back as an event."""
        try:
            return self._execute_one(record, command, budget)
        except Refusal as refusal:
            fault = refusal.fault
        except LostRace as race:
            what = f"{race} was written by another function at the same time."
            fault = Fault("lost-race", record.where, what, "The service tries again.")
        if isinstance(command, do.LookAtTag):
            return ev.NotExecuted(fault, look=True)
        return ev.NotExecuted(fault, later=not isinstance(command, do.Compare), pass_reached=record.pass_reached)

    def _execute_one(self, promotion: Promotion, command: do.PromotionCommand, budget: Budget) -> ev.Event:
        match command:
            case do.LookAtTag():
                return self._look(promotion)
            case do.Compare():
                return self._compare(promotion, budget)
            case do.Examine():
                return self._examine(promotion, budget)
            case do.Slice():
                return self._slice(promotion, budget)
            case do.NotifyRefused():
                self.notices.publish(notices.refused(promotion, self.clock()))
                return ev.RefusedNotified(promotion.faulty)
            case _:
                assert_never(command)

    def _look(self, promotion: Promotion) -> ev.TagSeen:
        read = self.source.tag(promotion.ami)
        caused = TagEntry.parse(promotion.unread("tag") or "")
        return ev.TagSeen(
            value=read.value,
            image_state=read.image_state,
            image_name=read.image_name,
            own=read.own,
            event=caused.event,
            changed_at=caused.at or 0,
            answers=_answers(promotion, *machine.NEWS),
            starting_point=promotion.starting_point,
        )

    # --- what is wanted, and what there is ---------------------------------------------------------------------------

    def _wanted_by(self, record: Promotion, shown: str | None, withdrawals: Sequence[Withdrawal]) -> WantedTargets:
        """Return whom the AMI is for if its tag has this value, by the applied file and members as they are now."""
        applied = AppliedFile() if shown is None else self.targets.read()
        return wanted_targets(record, shown, applied, withdrawals)

    def _wanted(self, record: Promotion, tracked: Sequence[TrackedDelivery]) -> tuple[WantedTargets, Promotion]:
        """Return whom the AMI is for, and the promotion as that value has it.

        A value that names fewer targets, or ends a withdrawal, counts after two looks; until then, the one in force.
        """
        withdrawals = self.targets.withdrawals(record.ami)
        wanted = self._wanted_by(record, record.value_by_looks, withdrawals)
        if wanted.value not in (None, record.value) and not record.is_believed:
            before = self._wanted_by(record, record.value, withdrawals)
            lifts = bool(before.entitled.withdrawn.keys() - wanted.entitled.withdrawn.keys())
            surplus = (one for one in wanted.surplus(tracked, record) if not wanted.renames(one, record))
            if lifts or wanted.leaves_out(surplus):
                wanted = replace(before, unbelieved=True)
        return wanted, record.of_value(refused=wanted.refused is not None)

    def _compare(self, record: Promotion, budget: Budget) -> ev.Compared:
        tracked = self._tracked(record, budget)
        wanted, promotion = self._wanted(record, tracked)
        inputs, surplus = wanted.inputs(promotion), wanted.surplus(tracked, promotion)
        if wanted.waits is not None and not surplus:
            raise Refusal(RefusalKind.THROTTLED, wanted.waits)
        begin = wanted.missing(tracked, promotion)
        compared = ev.Compared(
            value=wanted.value,
            refused=wanted.refused,
            inputs=inputs,
            file=wanted.file,
            places=wanted.places,
            withdrawn=wanted.entitled.withdrawn,
            left_out=wanted.left_out(tracked, promotion),
            unbelieved=wanted.unbelieved,
            surplus=bool(surplus),
            missing=bool(begin) or self._examines_again(promotion, wanted, tracked),
            running=any(one.state == RUNNING for one in tracked),
            standing=any(one.outcome.stands for one in tracked),
            failed=sum(one.failed and one.place in wanted.targets for one in tracked),
            asked=self._ask_approval(promotion, wanted, tracked),
            faults=self._all_faults(promotion, wanted, inputs),
            waves=promotion.waves,
            answers=_answers(promotion, machine.WITHDRAW, machine.RECALL),
            starting_point=record.starting_point,
            pass_reached=record.pass_reached,
        )
        if not (wanted.unknown or wanted.unbelieved):
            compared = self._with_waves(compared, promotion, wanted, tracked, begin, surplus)
        left = (
            compared.running
            or compared.surplus
            or (compared.missing and inputs != promotion.unfit)
            or evolving.with_value(record, compared).unnotified
            or wanted.unbelieved
        )
        # a command of its own would send what another run has changed meanwhile: a recall, or a value that is over
        if not left and tracked and promotion.summarised_episode != promotion.episode:
            self.notices.publish(notices.summary(promotion, tracked, self.clock()))
        return replace(compared, summarised=not left)

    def _tracked(self, promotion: Promotion, budget: Budget) -> Sequence[TrackedDelivery]:
        """Read the tracked deliveries. After several polls, first correct those that were never written."""
        tracked = tuple(self.tracked.all(promotion.ami))
        running = [one for one in tracked if one.state == RUNNING]
        waited = promotion.tries >= WORTH_A_LOOK and bool(running)
        if waited and self._pass.put_right(promotion, running, budget):
            return tuple(self.tracked.all(promotion.ami))
        return tracked

    def _examines_again(self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery]) -> bool:
        """Whether an approver is to be asked, and the source has not been examined since the last tag event."""
        return promotion.source_generation < promotion.generation and wanted.waits_for_approval(tracked)

    def _all_faults(self, promotion: Promotion, wanted: WantedTargets, inputs: str) -> tuple[Fault, ...]:
        """Return the faults of a refused value and, first, of its source: one notice lists both.

        They are found once for these inputs.
        """
        if wanted.refused is None or promotion.made_here:
            return wanted.faults
        if promotion.faults and inputs == promotion.inputs and not promotion.never_available:
            return promotion.faults
        try:
            return (*self._source(promotion, ())[1], *wanted.faults)
        except Refusal:  # a comparison waits for no examination
            return wanted.faults

    def _ask_approval(
        self, promotion: Promotion, wanted: WantedTargets, tracked: Sequence[TrackedDelivery]
    ) -> Asked | None:
        """Ask an approver about deliveries that have not ended. Return what was asked; None: nothing waits.

        It asks once the source of the last tag event is examined. If AWS refuses a read, the next comparison asks.
        """
        examined = promotion.source_generation >= promotion.generation or wanted.inputs(promotion) == promotion.unfit
        if not (promotion.source and examined and wanted.waits_for_approval(tracked)):
            return None
        running = {one.place for one in tracked if one.state == RUNNING}
        try:
            asked, waits = self.approvals.ask(promotion.ami, promotion.source, running, promotion.asked)
        except Refusal:
            return promotion.asked
        if not waits:
            return None
        if asked != promotion.asked:
            self.notices.publish(notices.awaiting_approval(promotion, asked, waits, self.clock()))
        return asked

    # --- its waves ---------------------------------------------------------------------------------------------------

    def _with_waves(
        self,
        compared: ev.Compared,
        promotion: Promotion,
        wanted: WantedTargets,
        tracked: Sequence[TrackedDelivery],
        begin: Sequence[Target],
        surplus: Sequence[TrackedDelivery],
    ) -> ev.Compared:
        """Return the comparison with how far the waves are, after one notice of the failures that stop one.

        While deliveries are to end, and until the notice is sent, the wave is not known to be stopped.
        """
        found = wave_counts.counts(wanted, tracked, begin, promotion)
        progress, notified = {}, {one.stopped for one in promotion.waves.values()}
        for count in found:
            reached = count.progress
            if reached.stopped and reached.stopped not in notified:
                reached = WaveProgress() if surplus else self._notify_stopped(promotion, wanted, count, tracked)
            progress[wanted.waves.name(count.wave)] = reached
        awaited = wave_counts.under_way(found, wanted.waves, progress, self.clock())
        faults = compared.faults
        if not promotion.is_gone and wanted.refused is None:
            ending = {one.delivery for one in surplus}
            stay = [one for one in tracked if one.state == RUNNING and one.delivery not in ending]
            faults = (*faults, *self._not_begun(wanted, found, begin, stay))
        return replace(compared, waves=progress, awaited=awaited, faults=faults)

    def _notify_stopped(
        self, promotion: Promotion, wanted: WantedTargets, count: WaveCount, tracked: Sequence[TrackedDelivery]
    ) -> WaveProgress:
        """Send the notice. If AWS refuses it, the next comparison sends it, and the wave does not open meanwhile."""
        waiting = [one.place for one in tracked if one.state == RUNNING and wanted.waves.of(one.account) == count.wave]
        groups = wanted.waves.waiting(count.wave.rule)
        try:
            self.notices.publish(notices.wave_stopped(promotion, count, groups, waiting, self.clock()))
        except Refusal:
            return WaveProgress()
        return count.progress

    def _not_begun(
        self,
        wanted: WantedTargets,
        found: Iterable[WaveCount],
        begin: Sequence[Target],
        running: Sequence[TrackedDelivery],
    ) -> list[Fault]:
        """Return a fault for each wave that never opens, if a delivery waits for it or will."""
        never = wave_counts.never_open(found, wanted)
        awaited = [wave for wave in never if self._is_awaited(wave, wanted.waves, begin, running)]
        return [wave_counts.not_begun(wave, wanted.waves) for wave in awaited]

    def _is_awaited(
        self, wave: Wave, file: FileWaves, begin: Iterable[Target], running: Iterable[TrackedDelivery]
    ) -> bool:
        """Whether a delivery waits for a wave, or will when it begins. Others went on when the wave was open."""
        if any(file.of(target.account) == wave for target in begin):
            return True
        keys = [addresses.delivery(one.delivery) for one in running if file.of(one.account) == wave]
        some = (one for few in slices(keys, READ_AT_ONCE) for one in peek_all(self.records, few, DELIVERIES))
        return any(one.awaits_wave for one in some)

    # --- the pass ----------------------------------------------------------------------------------------------------

    def _slice(self, record: Promotion, budget: Budget) -> ev.Event:
        """Go on with the pass, or compare again if the inputs are others by now."""
        tracked = tuple(self.tracked.all(record.ami))
        wanted, promotion = self._wanted(record, tracked)
        if wanted.inputs(promotion) != record.inputs:
            return self._compare(record, budget)
        match record.cursor.part:
            case PartOfPass.END | PartOfPass.END_AGAIN:
                return self._pass.end(promotion, wanted, tracked, budget)
            case PartOfPass.WAKE:
                return self._pass.wake(promotion, wanted.waves, tracked, budget)
        if self.targets.paused():
            return ev.Paused(record.pass_reached)
        return self._pass.begin(promotion, wanted, tracked, budget)

    # --- the source --------------------------------------------------------------------------------------------------

    def _examine(self, record: Promotion, budget: Budget) -> ev.Event:
        """Check the source for the wanted targets, and write beside the record what is to arrive.

        A later change of the source waits for a tag event: until then what was examined first counts, also for an
        account that joins.
        """
        if self.targets.paused():
            return ev.Paused(record.pass_reached)
        wanted = self._wanted_by(record, record.value_by_looks, self.targets.withdrawals(record.ami))
        promotion = record.of_value(refused=wanted.refused is not None)
        inputs = wanted.inputs(promotion)
        if inputs != record.inputs:
            return self._compare(record, budget)
        image, faults = self._source(promotion, tuple(wanted.targets.values()))
        if image is None or faults:
            partial = any(fault.code == preflight.SNAPSHOT_MISSING for fault in faults)
            return ev.Examined((*faults, *wanted.faults), unfit=True, partial=partial, inputs=inputs)
        before = None
        if promotion.source and promotion.source_generation >= promotion.generation:
            before = self._examined_before(promotion)
        source = before or write_source(self.records, image)
        return ev.Examined(source=source, generation=promotion.generation, inputs=inputs)

    def _examined_before(self, promotion: Promotion) -> str | None:
        try:
            source_image(self.records, promotion.ami, promotion.source, promotion.key)
        except Unreadable:
            return None
        return promotion.source

    def _source(self, promotion: Promotion, targets: Sequence[Target]) -> tuple[SourceImage | None, tuple[Fault, ...]]:
        """Read and check the whole source; return it as it is kept on record, and its faults."""
        read = self.source.examine(promotion.ami)
        if read is None:
            what = "The AMI is gone, or does not belong to the hub."
            return None, (Fault(SOURCE_GONE, promotion.where, what, "Tag an AMI that the hub owns."),)
        image, key_facts = read
        faults = (
            *preflight.source_faults(image, promotion.hub, key_facts, targets, trigger_tag=self.trigger_tag),
            *preflight.method_faults(image, targets),
        )
        return arriving.kept(image, self.trigger_tag), faults


def _answers(promotion: Promotion, *names: str) -> Mapping[str, str]:
    """Return the inbox entries that a command answers: those that came before it."""
    return {name: promotion.inbox[name] for name in names if name in promotion.inbox}
