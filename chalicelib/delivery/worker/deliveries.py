"""The executor of deliveries: calls the target, the ledger and the copy quota, and sends notices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from chalicelib.delivery import (
    attempts,
    forwarded,
    holdings,
    leftovers,
    machine,
    naming,
    notices,
    permissions,
    preflight,
    proof,
    slots,
)
from chalicelib.delivery.codecs import quota_to_store
from chalicelib.delivery.copy_quota import CopyQuota, SlotLease
from chalicelib.delivery.model import Delivery, NeededShare
from chalicelib.delivery.phase import Command, DeliveryEvent, Refused
from chalicelib.delivery.phases import checking, copying, ending, imaging, publishing, waiting
from chalicelib.delivery.ports import (
    SlotLeases,
    TargetImages,
    TargetInstances,
    TargetKeys,
    TargetRoles,
    TargetSnapshots,
    TrackedDeliveries,
)
from chalicelib.delivery.tags import image_tags, snapshot_tags
from chalicelib.delivery.template_rights import template_old
from chalicelib.delivery.tracked import RUNNING, TrackedDelivery
from chalicelib.delivery.worker import hub_copies, launches, naming_and_recall
from chalicelib.delivery.worker.live_approvals import LiveApprovals
from chalicelib.delivery.worker.live_waves import LiveWaves
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.budget import Budget, slices
from chalicelib.engine.errors import ParkRecord, Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Resource
from chalicelib.engine.ports import Notices, Records
from chalicelib.engine.runner import Machine
from chalicelib.engine.waker import Clock, Waker
from chalicelib.images import comparison, deprecation, names
from chalicelib.images.image import SourceImage
from chalicelib.images.source_images import source_image
from chalicelib.release.worker.pointers import RecordedPointers
from chalicelib.sharing import key_policy
from chalicelib.sharing.entitlement import end_in_force
from chalicelib.sharing.ports import Ledger
from chalicelib.sharing.share import DELIVERED_AMIS, Holding, Purpose, Share
from chalicelib.targets.ports import Targets

SHARES_AT_ONCE = 3
"""Shares that are held or released together: few enough that there is always time for the first ones."""

CALLS_FOR_SHARES = 11
"""Calls for that: a release or six to hold, two writes for each resource, and one or two messages that wake all."""
CALLS_TO_DELETE = 2
"""DeleteSnapshot; and of one that is gone, a look whether it is."""


def delivery_machine(draw: Callable[[], str]) -> Machine[Delivery, Command, DeliveryEvent]:
    """Return the machine of deliveries. ``draw`` returns a nonce: a random text that cannot be guessed."""

    def record_intent(record: Delivery, commands: Sequence[Command], now: int) -> Delivery:
        nonces = [draw() for command in commands if command.makes]
        return machine.record_intent(record, tuple(commands), now, nonces)

    return Machine(
        outstanding=machine.outstanding,
        evolve=machine.evolve,
        due_events=machine.due_events,
        looks=machine.looks,
        record_intent=record_intent,
        enters_history=machine.enters_history,
        between_writes=lambda command: command.between_writes,
        intended_call=lambda record, command: command.intended_call(record),
        has_attempt=lambda record, command: command.attempt(record) is not None,
        results_count=lambda before, after: before.episode == after.episode,
    )


@dataclass(eq=False)
class DeliveryExecutor:
    """Executes a delivery's commands."""

    records: Records
    waker: Waker
    clock: Clock
    leases: SlotLeases
    ledger: Ledger
    tracked: TrackedDeliveries
    targets: Targets
    snapshots: TargetSnapshots
    images: TargetImages
    instances: TargetInstances
    keys: TargetKeys
    roles: TargetRoles
    notices: Notices
    approvals: LiveApprovals
    waves: LiveWaves
    pointers: RecordedPointers
    partition: str
    region: str
    trigger_tag: str
    _sources: dict[tuple[str, str], SourceImage] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._naming_and_recall = naming_and_recall.NamingAndRecallCommands(
            self.pointers, self.targets, self.images, self.roles, self._image, self.clock
        )
        self._launches = launches.LaunchCommands(self.instances, self._image, self.clock)

    def execute(self, record: Delivery, command: Command, budget: Budget) -> DeliveryEvent:
        """Execute one command; a refusal comes back as an event."""
        try:
            return self._execute_one(record, command, budget)
        except Refusal as refusal:
            source = command.source if isinstance(command, copying.StartCopy) else None
            step, nonce = type(command).__name__, command.nonce(record)
            return Refused(step, refusal.kind, refusal.fault, source, refusal.unknown, nonce)

    def _execute_one(self, delivery: Delivery, command: Command, budget: Budget) -> DeliveryEvent:  # noqa: C901, PLR0911, PLR0912 - one case each
        match command:
            case checking.CheckTarget():
                return self._check(delivery, budget)
            case checking.NotifyAwaitingRole():
                self.notices.publish(notices.waiting_for_role(delivery, self.clock()))
                return checking.AwaitingRoleNotified()
            case waiting.LookAtWave():
                return self.waves.look(delivery)
            case waiting.LookAtApproval():
                return self.approvals.look(delivery)
            case checking.AskHubCopy():
                return hub_copies.look(self.records, self.snapshots, delivery, budget)
            case slots.AskSlots():
                return self._ask_slots(delivery)
            case slots.LookAtSlots():
                lease = self.leases.lease(delivery.copy_quota, delivery.id)
                if lease is None or lease.episode != delivery.episode:
                    return slots.SlotsSeen(0, 0)
                return slots.SlotsSeen(lease.granted, lease.until)
            case copying.LookIfAwaited() if self._waits(delivery.copy_quota) is False:
                return copying.NobodyWaits()
            case holdings.HoldShares():
                return self._hold(delivery, budget)
            case holdings.LookAtShares():
                return self._look_at_shares(delivery)
            case holdings.ReleaseShares(everything):
                return self._release(delivery, budget, everything=everything)
            case ending.LookAtClosing():
                places = [(share.resource, share.share_name) for share in delivery.holdings.needed]
                return ending.ClosingSeen(permissions.still_open(self.ledger.find(places)))
            case copying.StartCopy(source):
                if self.snapshots.role(delivery) != delivery.target.role_name:
                    raise Refusal(RefusalKind.THROTTLED, _renamed(delivery))  # the next list of copies sees to it
                snapshot = next(s for s in self._image(delivery).snapshots if s.id == source)
                return attempts.CopyStarted(source, self.snapshots.copy(delivery, snapshot), delivery.nonce(source))
            case attempts.FindCopies() | copying.LookIfAwaited():
                return self._find(delivery, budget)
            case leftovers.DeleteSnapshots(useless):
                return self._delete(delivery, useless, budget)
            case attempts.RegisterImage():
                return self._register(delivery, budget)
            case imaging.DiscardImage():
                own = proof.copies(delivery, self.snapshots.find(delivery, budget=budget)).own
                made = [one.id for one in own if one.source == proof.UNKNOWN]
                self.images.deregister(delivery, delivery.image.id or "")
                self.snapshots.delete(delivery, made)
                return imaging.ImageDiscarded()
            case imaging.FindImage():
                found = proof.named(delivery, self.images.named(delivery, budget))
                return attempts.ImageRegistered(found.own, found.nonce) if found.own else imaging.ImageNotFound()
            case imaging.VerifyImage():
                return self._verify(delivery, budget)
            case imaging.FinishImage():
                return self._finish(delivery)
            case publishing.ProtectImage():
                self.images.protect(delivery)
                return publishing.ImageProtected()
            case ending.RemoveLeftovers():
                return self._remove_leftovers(delivery, budget)
            case publishing.LookAtEnd():
                return self._look_at_end(delivery)
            case ending.NotifyOutcome(publish):
                if (changed := self._naming_and_recall.parameter_changed(delivery)) is not None:
                    return changed
                self._note_events(delivery)
                if publish:
                    self.notices.publish(notices.outcome(delivery, self.clock()))
                self._hand_over(delivery)
                self._end_tracked(delivery)
                return ending.OutcomeNotified(delivery.outcome)
            case _ if isinstance(command, launches.LaunchCommand):
                return self._launches.execute(delivery, command)
            case _ if isinstance(command, naming_and_recall.NamingOrRecall):
                return self._naming_and_recall.execute(delivery, command)
            case _:
                raise NotImplementedError(command)

    def _find(self, delivery: Delivery, budget: Budget) -> attempts.CopiesFound:
        ids = proof.running(delivery)
        copies = self.snapshots.find(delivery, budget=budget, ids=ids)
        role = self.snapshots.role(delivery) if copying.starts(delivery) else ""
        return attempts.CopiesFound(copies, role, by_ids=bool(ids))

    def _delete(self, delivery: Delivery, useless: Sequence[str], budget: Budget) -> DeliveryEvent:
        """Delete snapshots while there is time. After a refusal it returns those that are deleted, if any."""
        done: list[str] = []
        for one in budget.each(useless, CALLS_TO_DELETE):
            try:
                self.snapshots.delete(delivery, [one])
            except Refusal:
                if not done:
                    raise
                break
            done.append(one)
        return leftovers.SnapshotsDeleted(tuple(done))

    def _remove_leftovers(self, delivery: Delivery, budget: Budget) -> ending.LeftoversSeen:
        if ending.list_unfinished(delivery):
            ids = proof.to_delete(delivery)
            copies = self.snapshots.find(delivery, budget=budget, ids=ids) if ids else ()
            return replace(self._remove(delivery, proof.removal(delivery, (), copies, ids), budget), by_ids=True)
        images, copies = self.images.of_delivery(delivery, budget), self.snapshots.find(delivery, budget=budget)
        return self._remove(delivery, proof.removal(delivery, images, copies), budget.whole)

    def _remove(self, delivery: Delivery, plan: proof.Removal, budget: Budget) -> ending.LeftoversSeen:
        """Remove each AMI and copy by a call of its own, while there is time; what shows comes first.

        EC2 deletes a copy that still runs when it ends [aws-facts, VERIFIED]. A copy whose deletion it has accepted
        waits for the others: a late list may still show it, and EC2 refuses a second deletion, as its tags are gone.
        """
        refusal, deleted, accepted = None, list[str](), {*delivery.cleanup.deleted}
        left = {*plan.copies} & {*plan.showing} - accepted
        copies = [one for one in plan.copies if not left or one not in accepted]
        for image in plan.images:
            refusal = _fault_of(partial(self.images.deregister, delivery, image)) or refusal
        for copy in budget.each(sorted(copies, key=lambda one: one not in left), CALLS_TO_DELETE):
            why = _fault_of(partial(self.snapshots.delete, delivery, [copy]))
            refusal = why or refusal
            if copy in left and why is None:
                deleted.append(copy)
            left.discard(copy)
        return ending.LeftoversSeen(
            plan.showing, plan.unfinished, refusal, plan.unproven, plan.learnt, tuple(deleted), more=bool(left)
        )

    def _check(self, delivery: Delivery, budget: Budget) -> DeliveryEvent:
        gone = self.approvals.source_gone(delivery) if delivery.awaits_target else None
        if gone is not None:
            raise Refusal(RefusalKind.ROLE, gone)
        if not self.roles.in_file(delivery):
            what = "The applied targets file no longer contains this account."
            cure = "Add it to the file, apply it, and tag the AMI again; or leave it out of the tag's value."
            return checking.TargetUnfit((Fault("target-dropped", delivery.where, what, cure),))
        without_roles, roles_faults = self._check_service_roles(delivery)
        if roles_faults:
            return checking.TargetUnfit(roles_faults)
        place, unplaced = self._launches.check(delivery)
        subnet, group = next(iter(place.subnets), ""), next(iter(place.groups), "")
        if delivery.in_share_mode:
            found = self._check_for_share(delivery, unplaced)
        else:
            found = self._check_for_copy(delivery, unplaced, budget)
        if not isinstance(found, checking.TargetReady):
            return found
        return replace(found, without_roles=without_roles, subnet=subnet, group=group)

    def _check_service_roles(self, delivery: Delivery) -> tuple[bool, tuple[Fault, ...]]:
        """Return whether the target goes without the default's service-linked role; and why it is unfit for its own."""
        target, keys = delivery.target, delivery.source_keys if delivery.in_share_mode else ()
        foreign = preflight.roles_on_foreign_keys(target, delivery.hub, keys)
        if foreign is not None:
            return (True, ()) if target.roles_by_default else (False, (foreign,))
        missing = self.roles.missing(delivery) if target.service_linked_roles else ()
        without = preflight.default_roles_missing(target, delivery.ami, missing) is not None
        return without, () if without else preflight.roles_missing(target, missing)

    def _check_for_share(self, delivery: Delivery, unplaced: tuple[Fault, ...]) -> DeliveryEvent:
        ended = preflight.sharing_faults(delivery.target, self.clock())
        faults = (*ended, *self._policy_faults(delivery), *unplaced)
        return checking.TargetUnfit(faults) if faults else checking.TargetReady("")

    def _check_for_copy(self, delivery: Delivery, unplaced: tuple[Fault, ...], budget: Budget) -> DeliveryEvent:
        """Check what only a copy needs: the role's rights, key and name, and what is there already.

        ``unplaced``: why its launch test cannot run there.
        """
        allows = self.roles.allows(delivery)
        faults = template_old(delivery.target, allows) if allows is not None else ()
        if faults:
            return checking.TargetUnfit(faults)
        key, key_trouble = self.keys.describe(delivery)
        shown, image = self.images.named(delivery, budget), self._image(delivery)
        named, name = proof.named(delivery, shown), names.image_name(delivery.target.ami_name, image)
        kept = delivery.launch.kept
        if kept and name != delivery.image_name and not proof.is_there(kept, shown):
            return checking.KeptImageMissed(name)
        copies = self.snapshots.find(delivery, budget=budget)
        tags = {image.id: image_tags(delivery, image, self.trigger_tag, "a nonce")}
        tags |= {one.id: snapshot_tags(delivery, one, self.trigger_tag, "a nonce") for one in image.snapshots}
        faults = preflight.target_faults(
            delivery.target,
            key,
            tags,
            delivery.image_name,
            named.other,
            key_trouble,
            unproven=proof.unproven_faults(delivery, named),
        )
        faults += (*self._policy_faults(delivery), *unplaced)
        if faults or key is None:
            return checking.TargetUnfit(faults)
        return checking.TargetReady(
            key.arn,
            image=named.own,
            nonce=named.nonce,
            copies=copies,
            note=_keys_seen(self.keys.source_keys(delivery)),
            unfinished=named.unfinished,
        )

    def _policy_faults(self, delivery: Delivery) -> tuple[Fault, ...]:
        """Return why the policies of the source's keys cannot take the statements that this delivery needs."""
        hub_sid = key_policy.hub_sid(delivery.hub, self.region)
        wanted = permissions.in_policies(delivery, self.partition, hub_sid)
        if not wanted:
            return ()
        texts = self.keys.policies(delivery, wanted)
        return tuple(
            fault
            for key in wanted
            for fault in key_policy.faults(key, delivery.hub, self.region, texts[key], wanted[key])
        )

    def _ask_slots(self, delivery: Delivery) -> DeliveryEvent:
        request = slots.request(delivery, self.clock())
        lease = self.leases.ask(delivery.copy_quota, request)
        again = slots.is_asked(delivery)
        if delivery.ending is not None:
            self._pass_on_slots(delivery)
        elif self._must_wake_quota(delivery, lease, again=again):
            fresh = CopyQuota(delivery.target.account, delivery.target.region)
            cause = f"{delivery.id}:{delivery.episode}:{request.wanted}:{request.done}:{self.clock()}"
            self.waker.wake(fresh.key, cause, fresh=quota_to_store(fresh, self.clock()))
        waits = delivery.awaits_target and again and lease.lacking > 0
        gone = self.approvals.source_gone(delivery) if waits else None
        return slots.SlotsAsked(request.wanted, request.done, lease.granted, lease.until, request.limited_at, gone)

    def _pass_on_slots(self, delivery: Delivery) -> None:
        """Leave the slots of a delivery that fails or is cancelled to the sweep, if another delivery waits for them.

        By wakes, deliveries that fail at once would pass the slots on to one another in one chain of invocations, which
        Lambda ends after 16 [aws-facts]; the sweep begins a new one within two minutes. The end of a copy passes its
        slot on by a wake: the event begins a chain, and the next copy ends it.
        """
        if self._waits(delivery.copy_quota) is not False:
            self.records.make_due(delivery.copy_quota, self.clock())

    def _must_wake_quota(self, delivery: Delivery, lease: SlotLease, *, again: bool) -> bool:
        """Whether the quota's worker must look.

        It must if this delivery asks for a slot. If it asks again, only if the quota's record does not say yet that a
        delivery waits, as its worker then looks by itself. If it gives a slot back, only if another delivery waits.
        """
        if again:
            return lease.lacking > 0 and not self._waits(delivery.copy_quota)
        return lease.lacking > 0 or self._waits(delivery.copy_quota) is not False

    def _waits(self, quota: RecordKey) -> bool | None:
        """Whether a delivery waits for a slot; None if the quota's record cannot be read (its worker repairs it)."""
        try:
            stored = self.records.read(quota)
        except ParkRecord:
            return None
        return stored is not None and bool(stored.body.get("full"))

    def _hold(self, delivery: Delivery, budget: Budget) -> DeliveryEvent:
        role = self.snapshots.role(delivery)
        if role != delivery.target.role_name:
            return holdings.RoleRenamed(role)
        needed, done = delivery.holdings.needed, delivery.holdings.continue_at
        for _ in budget.each(needed[done:], CALLS_FOR_SHARES):
            some = needed[done : done + SHARES_AT_ONCE]
            wanted = [(self._wanted(delivery, share), _holding(delivery, share)) for share in some]
            held = self.ledger.hold_all(wanted)
            self._wake_resources(delivery, some[:held], "hold")
            done += held
            if done >= len(needed):
                break
        upto = _upto(delivery, done)
        looks = not upto and not permissions.is_first(delivery)
        return holdings.SharesHeld(upto, self._look_at_shares(delivery) if looks else None)

    def _look_at_shares(self, delivery: Delivery) -> holdings.SharesSeen:
        wanted = [(share.resource, share.share_name, delivery.id) for share in delivery.holdings.needed]
        return permissions.seen(delivery, self.ledger.find_for(wanted))

    def _wanted(self, delivery: Delivery, share: NeededShare) -> Share:
        return Share(
            resource=share.resource,
            share_name=share.share_name,
            account=permissions.receiver(delivery, share),
            grantee=permissions.grantee(delivery, share, self.partition),
            last_closing_at=0 if share.standing else holdings.last_closing_at(delivery),
        )

    def _keep_own_key(self, delivery: Delivery) -> None:
        """Leave the grants on the target's own key to one holder for all AMIs that are delivered there.

        They stay with the AMIs for good: with a holding for each AMI, the share worker would read ever more of them.
        Those of an AMI that was recalled untested close, as nothing was delivered.
        """
        ledger = self.ledger
        own = [share for share in delivery.holdings.needed if Resource.parse(share.resource).on_own_key]
        theirs = [(share.resource, share.share_name, DELIVERED_AMIS) for share in own]
        kept = {(one.resource, one.share_name) for one in (ledger.find_for(theirs) if own else ()) if one.holdings}
        for share in own:
            mine = _holding(delivery, share)
            if (share.resource, share.share_name) not in kept and not delivery.launch.kept:
                wanted = self._wanted(delivery, share)
                ledger.hold(wanted, replace(mine, delivery=DELIVERED_AMIS, episode=1))
            ledger.release(share.resource, share.share_name, mine)
        if delivery.launch.kept:
            self._wake_resources(delivery, own, "release")

    def _release(self, delivery: Delivery, budget: Budget, *, everything: bool) -> DeliveryEvent:
        done = delivery.holdings.continue_at
        for some in budget.each(slices(delivery.holdings.needed[done:], SHARES_AT_ONCE), CALLS_FOR_SHARES):
            over = [share for share in some if everything or not share.standing]
            for share in over:
                self.ledger.release(share.resource, share.share_name, _holding(delivery, share))
            self._wake_resources(delivery, over, "release")
            done += len(some)
        return holdings.SharesReleased(everything, _upto(delivery, done))

    def _wake_resources(self, delivery: Delivery, shares: Iterable[NeededShare], what: str) -> None:
        cause = f"{delivery.id}:{delivery.episode}:{what}:{self.clock()}"
        self.waker.wake_resources(dict.fromkeys(share.resource for share in shares), cause)

    def _register(self, delivery: Delivery, budget: Budget) -> DeliveryEvent:
        """Register or copy the image. If the name is taken, an earlier call whose answer was lost may have taken it."""
        images = self.images
        make = images.copy if delivery.copies_image else images.register
        try:
            return attempts.ImageRegistered(make(delivery, self._image(delivery)), delivery.nonce())
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.NAME_TAKEN:
                raise
            named = proof.named(delivery, images.named(delivery, budget))
            if named.own:
                return attempts.ImageRegistered(named.own, named.nonce)
            for fault in proof.unproven_faults(delivery, named):
                raise Refusal(RefusalKind.DENIED, fault) from refusal
            if named.other is None:
                free = preflight.name_not_free(delivery.where, delivery.image_name)
                raise Refusal(RefusalKind.NOT_YET, free) from refusal
            what = (
                f"The name {delivery.image_name!r} belongs to {named.other}, "
                "which this service did not make for this AMI."
            )
            fault = Fault("ami-name-taken", delivery.where, what, refusal.fault.cure)
            raise Refusal(RefusalKind.DENIED, fault) from refusal

    def _verify(self, delivery: Delivery, budget: Budget) -> DeliveryEvent:
        image = self._image(delivery)
        seen = self.images.see(delivery, image)
        if seen.raw is None:
            return imaging.ImageSeen("missing")
        if seen.raw["State"] != "available":
            reason = (seen.raw.get("StateReason") or {}).get("Message", "")
            return imaging.ImageSeen(seen.raw["State"], reason=reason)
        named = comparison.copies_by_device(image, seen.raw)
        copies, listed, own = self._copies_of_image(delivery, named, budget)
        tags = image_tags(delivery, image, self.trigger_tag)
        differences = comparison.differences(
            image, seen.raw, seen.attributes, copies, name=delivery.image_name, tags=tags
        )
        checked = {copy.id for copy in delivery.copies}  # when they ended
        keys = {one: listed.get(one) for one in sorted(set(copies.values()) - checked)}
        wrong = [_under_another_key(delivery, one, key) for one, key in keys.items() if key != delivery.key_arn]
        faults = (*differences, *wrong)
        if not delivery.copies_image:
            finished = deprecation.deprecate_at(image, self.clock()) is None
            return imaging.ImageSeen("available", faults, finished=finished)
        sources = {device.name: device.snapshot_id or "" for device in image.devices}
        pairs = tuple((sources[device], copy) for device, copy in named.items())
        return imaging.ImageSeen("available", faults, copies=pairs, extras=tuple(sorted(own - set(named.values()))))

    def _copies_of_image(
        self, delivery: Delivery, named: Mapping[str, str], budget: Budget
    ) -> tuple[Mapping[str, str], Mapping[str, str], frozenset[str]]:
        """Return the copies of which the new AMI must be made: by device for CopyImage, else by source snapshot.

        Besides, the keys of the copies that EC2 lists, and which of these are the delivery's own. EC2 is not asked if
        all are on record. ``named``: those that the AMI names, by device.
        """
        by_device = named if delivery.copies_image else {}
        on_record = {copy.source: copy.id for copy in delivery.copies if copy.id}
        used: set[str | None] = {*by_device.values()} or {copy.id for copy in delivery.copies}
        all_known = bool(delivery.copies) and used <= set(on_record.values())
        shown = () if all_known else self.snapshots.find(delivery, budget=budget)
        own = proof.copies(delivery, shown).own
        # CopyImage's AMI itself names its snapshots, and an operator accepts an AMI together with its snapshots.
        listed = shown if by_device or delivery.image.id == delivery.accepted else own
        # Of several copies of one snapshot, such as one that failed and could not be deleted, the AMI's own counts.
        by_source = {copy.source: copy.id for copy in sorted(listed, key=lambda copy: copy.id in named.values())}
        keys = {copy.id: copy.key_arn for copy in listed}
        return by_device or {**by_source, **on_record}, keys, frozenset(one.id for one in own)

    def _finish(self, delivery: Delivery) -> DeliveryEvent:
        image = self._image(delivery)
        if delivery.copies_image:
            self.snapshots.tag(delivery, image)
        at = deprecation.deprecate_at(image, self.clock())
        if at is not None:
            self.images.deprecate(delivery, at)
        return imaging.ImageFinished()

    def _look_at_end(self, delivery: Delivery) -> publishing.EndSeen:
        """Read the end date from the applied file. If it cannot be read for a day, the delivery's own date counts."""
        now, known = self.clock(), publishing.end_date(delivery) or 0
        resolution = self.targets.read().resolve(delivery.target.account, in_force=True)
        if not resolution.understood and now < known + schedule.LAST_LOOK_WITHIN:
            return publishing.EndSeen(known, again_at=now + schedule.POLLS[-1])
        date = resolution.until(delivery.target.place) if resolution.understood else None
        return publishing.EndSeen(end_in_force(date, now))

    def _hand_over(self, delivery: Delivery) -> None:
        """Give what an AMI that stays needs to a holder of its own; take what a withdrawal ends from its pointers."""
        if delivery.keeps_image:
            self._keep_own_key(delivery)
        elif delivery.withdraws and delivery.began_publishing:  # from then on it may have been offered
            for pointer in naming.pointers(delivery):
                self.pointers.take_back(pointer, delivery.ami, delivery.id, delivery.episode)

    def _end_tracked(self, delivery: Delivery) -> None:
        """Track it as ended, and wake who waits for that: its promotion, and deliveries that copy from its AMI."""
        target = delivery.target
        running = TrackedDelivery(delivery.id, target.account, target.region, delivery.episode, RUNNING)
        tracked = running.ended(delivery, self.clock())
        if self.tracked.end(delivery.ami, tracked):
            cause = f"{delivery.id}:{delivery.episode}:{tracked.state}"
            self.waker.wake(addresses.promotion(delivery.ami), cause)
        if target.account == delivery.hub:
            hub_copies.wake_waiting(self.waker, self.tracked, delivery)

    def _note_events(self, delivery: Delivery) -> None:
        """Record whether events arrived from the target: one write for each delivery instead of one for each event."""
        place, last = (delivery.target.account, delivery.target.region), forwarded.last_event_at(delivery)
        if last is not None:
            self.records.put(addresses.last_event(*place), {"at": last})
        elif forwarded.expected(delivery):
            self.records.put(addresses.no_event(*place), {"at": self.clock()})

    def _image(self, delivery: Delivery) -> SourceImage:
        """Read the source as it was examined, once for the deliveries of one promotion: its name is its digest."""
        which = (delivery.ami, delivery.source)
        if which not in self._sources:
            self._sources = {which: source_image(self.records, *which, delivery.key)}
        return self._sources[which]


def _fault_of(call: Callable[[], None]) -> Fault | None:
    try:
        call()
    except Refusal as refusal:
        return refusal.fault
    return None


def _under_another_key(delivery: Delivery, copy: str, key: str | None) -> Fault:
    what = f"It is encrypted under {key or 'an unknown key'}, not {delivery.key_arn}."
    cure = "The AMI is removed. Check whether somebody moved the key's alias; then tag the AMI again."
    return Fault("copy-under-another-key", f"{delivery.where}, {copy}", what, cure)


def _renamed(delivery: Delivery) -> Fault:
    what = f"The targets file has renamed {delivery.target.role_name}: the new role may not use the source's key yet."
    return Fault("role-renamed", delivery.where, what, "Nothing to do: the service opens it, and then copies.")


def _upto(delivery: Delivery, done: int) -> int:
    """Return the number of shares done, at which the next run continues; 0: all are done."""
    return done if done < len(delivery.holdings.needed) else 0


def _keys_seen(seen: Mapping[str, str]) -> str:
    """Say what is known of source keys that their owners open; only the copy shows whether the role may decrypt."""
    return " ".join(
        f"{key}: {words or 'the role may describe it'}; whether it may decrypt, only the copy shows."
        for key, words in sorted(seen.items())
    )


def _holding(delivery: Delivery, share: NeededShare) -> Holding:
    target = delivery.target
    dated = share.standing and delivery.in_share_mode and target.until  # what a copied AMI needs stays with it
    end = target.until + schedule.LEDGER_CLOSES_AFTER if dated else 0
    purpose = Purpose.STANDING if share.standing else Purpose.COPY
    return Holding(delivery.ami, target.account, target.region, delivery.id, delivery.episode, purpose, end)
