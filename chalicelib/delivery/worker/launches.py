"""What a delivery's executor does for a launch test: looks where it can run, starts its instance, reads and ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.delivery import instances, preflight
from chalicelib.delivery.instances import ConsoleEnd, InstanceSeen, InstancesEnded, InstanceStarted, LaunchSite
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.phase import DeliveryEvent
from chalicelib.delivery.ports import TargetInstances
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.waker import Clock
from chalicelib.images.image import SourceImage
from chalicelib.targets.applied_file import launch_role

LaunchCommand = instances.RunInstance | instances.LookAtInstance | instances.EndInstances


@dataclass(eq=False)
class LaunchCommands:
    """Executes these commands of a delivery."""

    instances: TargetInstances
    source: Callable[[Delivery], SourceImage]
    clock: Clock

    def check(self, delivery: Delivery) -> tuple[LaunchSite, tuple[Fault, ...]]:
        """Return where its launch test can run, and why it cannot; nothing is asked where it has none.

        Raises Refusal; of kind ROLE, like one of the copy role, if the launch role cannot be assumed.
        """
        if delivery.target.launch_test is None:
            return LaunchSite(), ()
        try:
            place = self.instances.place(delivery)
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.ROLE:
                raise
            raise Refusal(refusal.kind, _no_role(delivery, refusal.fault)) from refusal
        target, source = delivery.target, self.source(delivery)
        faults = (*preflight.launch_site_faults(target, place), *preflight.does_not_fit(target, source, place))
        return place, faults

    def execute(self, delivery: Delivery, command: LaunchCommand) -> DeliveryEvent:
        """Execute one. May raise Refusal."""
        match command:
            case instances.RunInstance():
                nonce = command.nonce(delivery)
                return InstanceStarted(self.instances.run(delivery, self.source(delivery)), nonce)
            case instances.LookAtInstance():
                return self._look(delivery)
            case instances.EndInstances():
                return self._end(delivery)

    def _look(self, delivery: Delivery) -> InstanceSeen:
        attempt = instances.attempt_under_way(delivery)
        instance = attempt.id if attempt else ""
        seen = self.instances.see(delivery, instance)
        verdict = instances.verdict(delivery, seen, self.clock())
        if verdict is None or verdict.result != "failed":
            return seen
        try:
            return replace(seen, console=ConsoleEnd(self.instances.console(delivery, instance)))
        except Refusal:
            return seen

    def _end(self, delivery: Delivery) -> InstancesEnded:
        """Those that EC2 is ending are left until it shows them terminated. One that is refused delays no other.

        A known id is terminated even if a stale list does not show it.
        """
        seen, refused = self.instances.started(delivery), None
        known = {one.id for one in delivery.launch.attempts if one.id} | {one.id for one in seen}
        for instance in sorted(known - {one.id for one in seen if one.state in instances.OVER}):
            try:
                self.instances.terminate(delivery, instance)
            except Refusal as refusal:
                refused = refusal.fault
        return InstancesEnded(seen, refused)


def _no_role(delivery: Delivery, refusal: Fault) -> Fault:
    role = launch_role(delivery.target.role_name)
    cure = (
        f"If there is no {role}, deploy deploy/target.yaml with LaunchTest=true, or leave `launch_test` out of the "
        f"targets file. {refusal.cure}"
    )
    return Fault("launch-role-not-assumable", delivery.where, refusal.what, cure)
