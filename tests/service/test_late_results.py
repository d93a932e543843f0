"""A slow run of a delivery, beside others: the delivery ends and begins again before a call of that run is answered."""

from collections.abc import Callable

from chalicelib.delivery.phase import Command
from chalicelib.delivery.phases.checking import CheckTarget
from chalicelib.delivery.phases.waiting import LookAtApproval
from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import refusal, target_key
from tests.service.hub import Hub
from tests.service.organization import A
from tests.service.shared_ami import AMI, HOUR, untagged, when

THROTTLED = refusal(RefusalKind.THROTTLED, "Throttling")


def a_hub(**settings: object) -> Hub:
    return untagged((A,), target=settings)


def until(hub: Hub, state: str) -> None:
    """Let all go on beside the slow run until the delivery has a state: for seconds, as a run has half a minute."""
    for _ in range(25):
        hub.deliveries.run(hub.delivery_key(AMI, A), "beside", time_left=lambda: 30)
        if hub.outcomes() == {(AMI, A): state}:
            return
        hub.wait(1)
    raise TimeoutError(hub.outcomes())


def answered_late(hub: Hub, step: type[Command], meanwhile: Callable[[], object]) -> None:
    """Run the delivery; something happens between the next call of this kind and its answer."""
    when(hub, step, meanwhile, hub.deliveries)
    hub.deliveries.run(hub.delivery_key(AMI, A), "slow", time_left=lambda: 30)


def test_a_target_that_was_unfit_in_an_earlier_episode_fails_no_later_one():
    """Another run has found that its key is disabled. It is enabled, and an operator tries again."""
    hub = a_hub()
    hub.cloud.disabled.add(target_key(A))

    def again() -> None:
        until(hub, "failed")
        hub.cloud.disabled.clear()
        hub.gate.refuse("target.keys", "describe", why=RefusalKind.THROTTLED)
        hub.retry(AMI)
        until(hub, "requested")

    with hub.off("delivery"):
        hub.cloud.tag(AMI, "default")
        hub.wait(45)
    answered_late(hub, CheckTarget, again)
    assert hub.outcomes() == {(AMI, A): "requested"}
    hub.gate.troubles.clear()
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "delivered"}


def test_an_approval_of_an_earlier_episode_approves_no_later_one():
    """Another run has seen that the file has other settings now: what was approved does not count for them."""
    hub = a_hub(approval="required")
    hub.cloud.tag(AMI, "default")
    hub.wait(HOUR)
    hub.approve(AMI)

    def again() -> None:
        hub.cloud.change_targets(linger=60)
        until(hub, "cancelled")
        until(hub, "awaiting-approval")

    answered_late(hub, LookAtApproval, again)
    assert hub.outcomes() == {(AMI, A): "awaiting-approval"}
    hub.approve(AMI)
    assert hub.wait(HOUR).outcomes() == {(AMI, A): "delivered"}
