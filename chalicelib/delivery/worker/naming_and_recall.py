"""What a delivery's executor does after the copy: its AMI's name there, its recall, and the end of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.delivery import naming
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phase import DeliveryEvent
from chalicelib.delivery.phases import recalling
from chalicelib.delivery.phases.ending import SHOWS_WITHIN
from chalicelib.delivery.ports import TargetImages, TargetRoles
from chalicelib.delivery.template_rights import DISABLE
from chalicelib.engine.errors import Misconfigured, Unreadable
from chalicelib.engine.waker import Clock
from chalicelib.images import deprecation
from chalicelib.images.image import SourceImage
from chalicelib.release.worker.pointers import RecordedPointers
from chalicelib.targets.applied_file import Target
from chalicelib.targets.approvals import needs
from chalicelib.targets.ports import Targets

NamingOrRecall = (
    naming.OfferImage | naming.LookAtPointer | recalling.LookAtCopy | recalling.RecallCopy | recalling.RestoreCopy
)


@dataclass(eq=False)
class NamingAndRecallCommands:
    """Executes these commands of a delivery."""

    pointers: RecordedPointers
    targets: Targets
    images: TargetImages
    roles: TargetRoles
    source: Callable[[Delivery], SourceImage]
    clock: Clock

    def execute(self, delivery: Delivery, command: NamingOrRecall) -> DeliveryEvent:
        """Execute one. May raise Refusal."""
        match command:
            case naming.OfferImage():
                self.pointers.offer(naming.pointer(delivery), naming.release(delivery, self.source(delivery)))
                return naming.ImageOffered()
            case naming.LookAtPointer():
                return self._look_at_pointer(delivery)
            case recalling.LookAtCopy():
                if not delivery.tries:
                    for pointer in naming.pointers(delivery):
                        self.pointers.wake(pointer.key, f"{delivery.id}:{delivery.episode}")
                return self._look_at_copy(delivery)
            case recalling.RecallCopy(deprecate, disable):
                now = self.clock()
                self.images.recall(delivery, deprecation.as_of(now, now) if deprecate else "", disable=disable)
                return recalling.CopyRecalled(disable)
            case recalling.RestoreCopy():
                self.images.restore(delivery)
                return recalling.CopyRestored()

    def parameter_changed(self, delivery: Delivery) -> naming.ParameterChanged | None:
        """Return the parameter that the file has set since a delivery began that is about to end well; None: the same.

        Copies and lingering shares may have taken hours, and a tag event meanwhile found a delivery that runs. One that
        the file no longer sets stays, and so does one that an approver has approved. A damaged file holds up no notice.
        """
        target = delivery.target
        if delivery.ending is not None or not delivery.naming.family:
            return None
        try:
            wanted = self.targets.read().target(target.account, target.region)
        except Misconfigured:
            return None
        if not isinstance(wanted, Target) or needs(wanted) or wanted.ssm_parameter in ("", target.ssm_parameter):
            return None
        named = naming.renamed(delivery, self.source(delivery), wanted).naming
        return naming.ParameterChanged(wanted.ssm_parameter, wanted.family_tag, named, delivery.naming.parameter)

    def _look_at_pointer(self, delivery: Delivery) -> naming.PointerSeen:
        pointer = self.pointers.look(naming.pointer(delivery).key)
        if pointer is None:
            return naming.PointerSeen(done=False)
        done = pointer.considers(delivery.id, delivery.episode)
        if not done and pointer.full:
            done = pointer.passes_over(naming.release(delivery, self.source(delivery)))
        return naming.PointerSeen(done, pointer.image, pointer.fault, str(pointer.pin or ""))

    def _look_at_copy(self, delivery: Delivery) -> recalling.CopySeen:
        recall, shown = self.targets.recall(delivery.ami), self.images.shown(delivery)
        by, why = (recall.by, recall.why) if recall else ("", "")
        if shown is None:
            return recalling.CopySeen(there=False, by=by, why=why)
        enabled = shown["State"] != "disabled"  # what its owner had disabled before stays so when this is lifted
        may_disable = enabled and DISABLE in (self.roles.allows(delivery) or ())
        before = shown.get("DeprecationTime") or self._date_not_shown_yet(delivery)
        return recalling.CopySeen(there=True, deprecated_at=before, may_disable=may_disable, by=by, why=why)

    def _date_not_shown_yet(self, delivery: Delivery) -> str:
        """Return the deprecation date that its delivery has just given the AMI, as EC2 may show it late; "": none.

        A recall does not wait for a damaged source.
        """
        made_at = delivery.image.available_at
        if made_at is None or self.clock() >= made_at + SHOWS_WITHIN:
            return ""
        try:
            return deprecation.deprecate_at(self.source(delivery), made_at) or ""
        except Unreadable:
            return ""
