"""`worker` is off for hours: what completed meanwhile is delivered, and a deadline acts on a fresh look."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from chalicelib.delivery.phases.awaiting_slot import QUEUE_LOOK
from chalicelib.engine.errors import RefusalKind
from chalicelib.entry.queue_consumer import WORKER_KINDS
from tests.service.cloud import INACCESSIBLE, CloudBehavior, refusal, target_key
from tests.service.gate import PortTrouble, ProcessKilled
from tests.service.hub import Hub

pytestmark = pytest.mark.thorough

A, AMI, HOUR, WITHOUT_END = "200000000001", "ami-00", 3600, 10**6

HELD: dict[str, tuple[str, str, bool]] = {
    "copying": ("target.snapshots", "find", False),
    "registering": ("target.images", "register", False),
    "registering, done unheard": ("target.images", "register", True),
    "registering by CopyImage": ("target.images", "copy", False),
    "registering by CopyImage, done unheard": ("target.images", "copy", True),
    "verifying": ("target.images", "see", False),
    "verifying by CopyImage": ("target.snapshots", "tag", False),
    "publishing": ("notices", "publish", False),
}
"""State -> a call (port, method) that fails once, so that the record rests there, and whether the call took effect."""


def off(hub: Hub, seconds: int) -> None:
    """Let time pass in which `worker` is killed at every invocation; AWS and all other functions continue."""
    with hub.off(*WORKER_KINDS):
        hub.wait(seconds)


def a_hub(method: str = "snapshots", settings: Mapping[str, object] = MappingProxyType({}), **behavior: object) -> Hub:
    """A hub whose AMI has been tagged."""
    slow = {"copying": (300,), "registering": (120,), **behavior}
    hub = Hub((A,), behavior=CloudBehavior(**slow), target={"copy_method": method, **settings})
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": False})
    hub.cloud.tag(AMI, A)
    return hub


def until_state(hub: Hub, state: str, more: int) -> None:
    """Run until the delivery is in a state, and this many steps more."""
    hub.until_state(AMI, A, state)
    for _ in range(more):
        if hub.outcomes()[AMI, A] == state:
            hub.step()


@pytest.mark.parametrize("hours", [2, 26])
@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize(
    ("method", "state"), [("snapshots", "copying"), ("snapshots", "verifying"), ("image", "verifying")]
)
def test_an_outage_of_the_service_destroys_no_good_work(method, state, steps, hours):
    """Off for 2 or 26 hours in any state: what was copied is registered, and the AMI is delivered."""
    hub = a_hub(method)
    until_state(hub, state, steps)

    assert_delivered_after(hub, hours)


@pytest.mark.parametrize("hours", [2, 26])
@pytest.mark.parametrize("held", HELD)
def test_an_outage_in_the_middle_of_a_step_destroys_no_good_work(held, hours):
    """A call got no answer, and `worker` is off for hours: it repeats the look before any deadline acts."""
    port, method, done = HELD[held]
    hub = a_hub("image" if "CopyImage" in held else "snapshots")
    refused = refusal(RefusalKind.THROTTLED, "RequestLimitExceeded", unknown=done)
    state = held.partition(" ")[0].strip(",")
    only = (lambda delivery: delivery.state == state) if method == "find" else (lambda *_: True)
    hub.gate.troubles = [PortTrouble(port, method, refused, after=done, only=only)]
    until_state(hub, state, 0)
    hub.until(lambda: not hub.gate.troubles[0].times)
    if held == "registering by CopyImage" and hours > 24:  # nothing was made, and its shares have ended meanwhile
        off(hub, hours * HOUR)
        hub.run()
        assert hub.outcomes()[AMI, A] == "failed"
        assert hub.cloud.live_copies() == []
        return

    assert_delivered_after(hub, hours)


def assert_delivered_after(hub: Hub, hours: int) -> None:
    """`worker` is off for this long; then the AMI is delivered, from the existing copies, with one notice."""
    before = {copy.id for copy in hub.cloud.copies.values()}
    off(hub, hours * HOUR)
    assert hub.ended()[AMI, A] == "delivered", hub.faults()
    assert {copy for image in hub.cloud.images.values() for copy in image.copies} >= before
    assert len(hub.cloud.images) == 1
    assert hub.cloud.permissions == set()
    assert hub.cloud.grants == {}
    reported = [notice["event"] for notice in hub.cloud.notices if notice["event"].startswith("delivery.")]
    assert reported == ["delivery.delivered"], "its owner is told, however late"


def waits_for_a_slot(copying: int) -> Hub:
    """Two AMIs for one account: the first one's twenty copies take all slots for this long, and the second waits."""
    hub = Hub((A,), behavior=CloudBehavior(copying=(*(copying,) * 20, 60)), target={"copy_deadline": 48 * HOUR})
    for ami, snapshots in ((AMI, range(20)), ("ami-01", (20,))):
        hub.cloud.make_image(ami, {f"snap-{number:02x}": True for number in snapshots})
        hub.cloud.tag(ami, A)
        hub.wait(HOUR)
    assert hub.outcomes() == {(AMI, A): "copying", ("ami-01", A): "awaiting-slot"}
    return hub


def test_a_slot_that_became_free_during_an_outage_of_all_functions_is_taken_however_late():
    """The queue deadline passed during the outage; the fresh look finds the slot."""
    hub = waits_for_a_slot(5 * HOUR)
    off(hub, 26 * HOUR)
    assert set(hub.ended().values()) == {"delivered"}, hub.faults()


def test_where_no_slot_is_free_the_queue_deadline_ends_it_soon_after():
    """The delivery asks once more, and waits only some minutes for the quota's answer."""
    hub = waits_for_a_slot(40 * HOUR)
    end = hub.cloud.now + 23 * HOUR
    assert hub.at(end - 60).outcomes()["ami-01", A] == "awaiting-slot"
    assert hub.at(end + QUEUE_LOOK + 120).outcomes()["ami-01", A] == "failed"
    assert [fault.partition(":")[0] for fault in hub.faults()] == ["deadline-awaiting-slot"]


def test_how_long_a_delivery_has_waited_is_reported_every_quarter_of_an_hour():
    """The alarm on deliveries that stand still watches the longest of each quarter."""
    hub = waits_for_a_slot(40 * HOUR)
    hub.telemetry.reported.clear()
    hub.wait(2 * HOUR)
    key = hub.delivery_key("ami-01", A)
    reported = [args[1] for name, args in hub.telemetry.reported if name == "in_state" and args[0] == key]
    assert reported[-1] >= 2 * HOUR
    assert all(later - earlier <= 900 for earlier, later in itertools.pairwise(reported))


@pytest.mark.parametrize("ends", ["in the outage", "never"])
def test_a_role_that_was_made_during_an_outage_of_all_functions_is_used_however_late(ends):
    """The queue deadline passed during the outage; the fresh look finds the role, or the delivery fails."""
    hub = a_hub()
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.ROLE, code="AccessDenied")
    until_state(hub, "awaiting-role", 3)
    if ends == "never":
        off(hub, 26 * HOUR)
    else:
        off(hub, 20 * HOUR)
        hub.gate.troubles = []
        off(hub, 6 * HOUR)
    assert hub.ended()[AMI, A] == ("failed" if ends == "never" else "delivered"), hub.faults()
    assert {fault.partition(":")[0] for fault in hub.faults()} <= {"deadline-awaiting-role", "aws-AccessDenied"}


def test_a_first_look_that_nobody_took_in_time_is_taken_however_late():
    """`worker` was off from the start."""
    hub = a_hub()
    until_state(hub, "requested", 0)
    off(hub, 26 * HOUR)
    assert hub.ended()[AMI, A] == "delivered", hub.faults()


@pytest.mark.parametrize("state", ["copying", "verifying"])
def test_where_the_target_refuses_the_look_for_a_day_it_fails_removes_nothing_and_lists_what_it_left(state):
    """Without the role the service cannot see whether the work is done, so it deletes none of it."""
    hub = a_hub(copying=(30 * HOUR,) if state == "copying" else (60,), registering=(2 * HOUR,))
    until_state(hub, state, 2)
    hub.gate.refuse("target.snapshots", "find", "delete", why=RefusalKind.ROLE)
    hub.gate.refuse("target.images", "see", "named", "of_delivery", "deregister", why=RefusalKind.ROLE)
    there = {copy.id for copy in hub.cloud.live_copies()} | set(hub.cloud.images)
    assert hub.ended()[AMI, A] == "failed"
    assert {copy.id for copy in hub.cloud.live_copies()} | set(hub.cloud.images) == there
    (reported,) = hub.notified("delivery.failed")
    assert there <= set(reported["leftovers"])
    assert f"deadline-{state}" in [fault["code"] for fault in reported["faults"]]
    assert hub.cloud.permissions == set()


@pytest.mark.parametrize("code", ["ThrottlingException", ""])
@pytest.mark.parametrize(
    ("port", "method"),
    [("targets", "read"), ("ledger", "hold_all"), ("ledger", "release"), ("slots", "ask"), ("records", "save")],
)
def test_throttling_by_the_services_tables_ends_no_delivery(port, method, code):
    """DynamoDB throttles in the middle of a command, repeatedly: SQS delivers the message again, and it continues."""
    unreachable = EndpointConnectionError(endpoint_url="https://dynamodb")
    error = ClientError({"Error": {"Code": code, "Message": "later"}}, "GetItem") if code else unreachable
    hub = a_hub()

    def dies(work: Callable[..., None]) -> Callable[..., None]:
        """Lambda reports the error; SQS delivers the message again, and discovery has its next time."""

        def run(*args: Any) -> None:
            try:
                work(*args)
            except (ClientError, BotoCoreError) as raised:
                raise ProcessKilled from raised

        return run

    hub._act, hub.discover = dies(hub._act), dies(hub.discover)
    hub.gate.troubles = [PortTrouble(port, method, error, times=4)]
    assert hub.ended()[AMI, A] == "delivered", hub.faults()
    assert hub.gate.troubles[0].times == 0
    assert hub.faults() == []


def left_in(hub: Hub) -> str:
    """Let the target's role be gone while an AMI is verified, until the delivery has failed; return that AMI."""
    until_state(hub, "verifying", 0)
    before = list(hub.gate.troubles)
    hub.gate.refuse("target.images", "see", "of_delivery", "deregister", why=RefusalKind.ROLE)
    assert hub.ended()[AMI, A] == "failed"
    hub.gate.troubles = before
    (left,) = hub.cloud.images
    return left


def tagged_again(hub: Hub) -> str:
    """Remove the tag, and write it again; return what becomes of the delivery."""
    hub.cloud.tag(AMI, None)
    hub.run()
    hub.cloud.tag(AMI, A)
    return hub.ended()[AMI, A]


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_an_ami_that_was_left_is_adopted_by_its_nonce_when_it_is_tagged_again_and_gets_its_grants(method):
    """The AMI was left because the role was gone; it is not registered again, and Auto Scaling can launch it."""
    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    hub = a_hub(method, {"service_linked_roles": (role,)})
    left = left_in(hub)
    assert hub.cloud.grants == {}

    assert tagged_again(hub) == "delivered", hub.faults()
    assert list(hub.cloud.images) == [left]
    assert [key for key, _ in hub.cloud.grants] == [target_key(A)]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_ami_that_was_left_is_compared_with_its_own_snapshots(reverse):
    """Copies that failed early are left beside them, as the target lets nobody delete snapshots.

    EC2 lists them in any order.
    """
    hub = Hub((A,), behavior=CloudBehavior(copying=(60,), registering=(60,)))
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": True})
    hub.cloud._fails = itertools.chain([INACCESSIBLE] * 2, itertools.repeat(""))
    hub.gate.refuse("target.snapshots", "delete", why=RefusalKind.DENIED)
    hub.cloud.tag(AMI, A)
    left = left_in(hub)
    assert sorted(copy.state for copy in hub.cloud.copies.values()) == ["completed"] * 2 + ["error"] * 2

    hub.cloud.copies = dict(sorted(hub.cloud.copies.items(), reverse=reverse))
    assert tagged_again(hub) == "delivered", hub.faults()
    assert set(hub.cloud.images) == {left}


def test_an_ami_that_was_left_whose_snapshot_somebody_has_untagged_is_a_fault():
    """Nothing shows any more that the service made this snapshot; the AMI stays, and the record is not parked."""
    hub = a_hub()
    left, untagged = left_in(hub), next(iter(hub.cloud.copies.values()))

    hub.cloud.copies[untagged.id] = replace(untagged, delivery="", nonce="")
    assert tagged_again(hub) == "failed"
    said = f"copy-differs: It is {untagged.id} and should be a copy of snap-00 that this delivery has made"
    assert hub.faults()[-1].startswith(said)
    assert f"deregister-image --image-id {left}" in hub.notified("delivery.failed")[-1]["faults"][0]["cure"]
    assert set(hub.cloud.images) == {left}


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_an_ami_that_was_left_as_it_differs_stays_when_a_later_try_under_another_name_is_cancelled(method):
    """It may be in use there: the outage left it, somebody changed it, and the file names the next one otherwise."""
    hub = a_hub(method)
    left = left_in(hub)
    hub.cloud.images[left].raw["BootMode"] = "uefi"
    assert tagged_again(hub) == "failed"
    assert hub.faults()[-1].startswith("copy-differs")

    hub.unwatched()  # two AMIs are there: people were notified of it
    hub.cloud.change_targets(ami_name="another-{source_name}", copy_method="image")
    hub.cloud.tag(AMI, None)
    hub.run()
    hub.cloud.tag(AMI, A)
    hub.until(lambda: len(hub.cloud.images) > 1)
    hub.cloud.tag(AMI, None)
    hub.run()
    assert hub.outcomes()[AMI, A] == "cancelled"
    assert set(hub.cloud.images) == {left}
    assert left in hub.cloud.notices[-2]["leftovers"]
