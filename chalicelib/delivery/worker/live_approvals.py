"""Whether an approver has approved what a delivery is about to open.

Like the share worker, it reads the applied file and the tag. What arrives is the source as it was examined, which is on
record; only what an approver has seen has the approval's digest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from chalicelib.delivery import naming, preflight
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phases.waiting import ApprovalSeen
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.ports import Records
from chalicelib.engine.waker import Clock
from chalicelib.images.arriving import ExaminedSource
from chalicelib.images.source_images import source_image
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.targets import approvals
from chalicelib.targets.applied_file import of_delivery
from chalicelib.targets.approvals import Asked
from chalicelib.targets.ports import Targets


@dataclass(eq=False)
class LiveApprovals:
    """Looks for the approvals of deliveries and promotions."""

    records: Records
    entitlements: LiveEntitlements
    targets: Targets
    clock: Clock
    last_source: Callable[[str], str]
    """Names an AMI's source as it was examined last; "": that cannot be read."""

    def look(self, delivery: Delivery) -> ApprovalSeen:
        """Read a delivery's approval. Raises Refusal if it cannot be read now."""
        place = delivery.target.place
        if self.other_settings(delivery):
            return ApprovalSeen(changed=True)
        given = self.targets.approvals(delivery.ami, [place]).get(place, ())
        if all(self.clock() >= one.until for one in given):
            return self._none(delivery)
        _, entitled = self.entitlements.now(delivery.ami)
        if isinstance(entitled, Fault):
            raise Refusal(RefusalKind.THROTTLED, entitled)
        live = entitled.targets.get(place)
        if live is None:  # the promotion and the pass over standing shares end a delivery that is no longer named
            return self._none(delivery)
        source = self.last_source(delivery.ami) or delivery.source
        examined = ExaminedSource(source_image(self.records, delivery.ami, source, delivery.key))
        wanted = approvals.digest_of(delivery.ami, examined, entitled.value, live)
        approved = approvals.allowing(given, wanted, self.clock())
        if approved is None:
            return self._none(delivery)
        changed = of_delivery(live) != of_delivery(delivery.target)
        named = naming.begun(examined.image, delivery.target)
        return ApprovalSeen(approved.by, changed=changed, source=source, naming=named)

    def _none(self, delivery: Delivery) -> ApprovalSeen:
        """Return that no approval counts; none is waited for if the AMI is gone or disabled, or its date has come."""
        return ApprovalSeen(gone=self.date_passed(delivery) or self.entitlements.gone(delivery.ami, delivery.where))

    def date_passed(self, delivery: Delivery) -> Fault | None:
        """Return that the date of its share has come; the date that the file has by now counts, also in a conflict."""
        target = delivery.target
        if not delivery.in_share_mode:
            return None
        until = self.targets.read().resolve(target.account, in_force=True).until(target.place)
        return next(iter(preflight.sharing_faults(replace(target, until=until or 0), self.clock())), None)

    def source_gone(self, delivery: Delivery) -> Fault | None:
        """Return that EC2 shows no source AMI that can be used; one look is weak evidence, and a refusal is none."""
        try:
            return self.entitlements.gone(delivery.ami, delivery.where)
        except Refusal:
            return None

    def other_settings(self, delivery: Delivery) -> bool:
        """Whether the applied file now gives the target other settings than the delivery has. May raise Refusal.

        The unit does not count: it depends on the groups in the tag's value. So do all settings of the hub's own copy:
        those of an OU, which may have the hub's account, count only if the value names it.
        """
        target = delivery.target
        if target.account == delivery.hub:
            _, entitled = self.entitlements.now(delivery.ami)
            live = None if isinstance(entitled, Fault) else entitled.targets.get(target.place)
        else:
            live = self.targets.read().resolve(target.account, in_force=True).by_place.get(target.place)
        return live is not None and of_delivery(replace(live, unit=target.unit)) != of_delivery(target)

    def ask(self, ami: str, source: str, running: Collection[str], before: Asked) -> tuple[Asked, Sequence[str]]:
        """Return what to ask an approver about an AMI and its source, and the targets that wait for the approval.

        ``running``: the targets ("account/region") whose deliveries have not ended. ``before``: what was asked last.
        Raises Refusal if it cannot be read now.
        """
        _, entitled = self.entitlements.now(ami, fresh=True)  # the tag's value has just changed
        if isinstance(entitled, Fault):
            raise Refusal(RefusalKind.THROTTLED, entitled)
        examined = ExaminedSource(source_image(self.records, ami, source, addresses.promotion(ami)))
        question = approvals.question(ami, examined, entitled.value, entitled.targets.values())
        given = self.targets.approvals(ami, question.targets)
        now = self.clock()
        waits = [place for place in approvals.waiting(question, given, now) if place in running]
        return approvals.asked_now(question, given, waits, before, now), waits
