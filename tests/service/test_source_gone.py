"""The source AMI is deregistered or disabled between its tag and the opening: what never opens ends within minutes."""

from dataclasses import replace

import pytest

from chalicelib.engine.errors import RefusalKind
from chalicelib.targets.applied_file import Directory
from tests.service.cloud import CloudBehavior, refusal, source_key
from tests.service.gate import PortTrouble
from tests.service.hub import Hub
from tests.service.world import WITHOUT_END

A, AMI, OTHER = "200000000001", "ami-00", "ami-01"
MINUTE, HOUR = 60, 3600
SNAPSHOTS = {f"snap-{number:02}": True for number in range(20)}
FEW = 150
"""Invocations that an AMI of 20 snapshots may take from its deregistration to its end: each of its 22 resources is
looked at twice, and let go."""


def a_hub(**changes) -> Hub:
    """A hub with an AMI of 20 snapshots, as many as may be copied at once, and another of one snapshot."""
    hub = Hub((A,), behavior=CloudBehavior(copying=(1800,)), **changes)
    hub.cloud.make_image(AMI, SNAPSHOTS)
    hub.cloud.make_image(OTHER, {"snap-90": True})
    return hub


def come_to(state: str, tagged_after: int = 0, **changes) -> Hub:
    """A hub that was tagged, after so many seconds, when its delivery has come to this state."""
    hub = a_hub(**changes).wait(tagged_after)
    hub.cloud.tag(AMI, A)
    hub.until_state(AMI, A, state)
    return hub


def deregister(hub: Hub) -> None:
    """Deregister the AMI; EventBridge says so."""
    hub.cloud.set_state(AMI, "deregistered")


def with_its_snapshots(hub: Hub) -> None:
    """Delete its snapshots, too."""
    deregister(hub)
    hub.cloud.permissions = {place for place in hub.cloud.permissions if place[0] not in SNAPSHOTS}


def disable(hub: Hub) -> None:
    """Disable it."""
    hub.cloud.set_state(AMI, "disabled")


GOES = {"deregistered": deregister, "with its snapshots": with_its_snapshots, "disabled": disable}


def ends_soon(hub: Hub) -> None:
    """Its delivery fails within minutes, with a notice that says why; nothing stays open, and few invocations do it."""
    began, so_far = hub.cloud.now, len(hub.invocations)
    hub.run(until=began + 5 * MINUTE)
    assert hub.outcomes()[AMI, A] == "failed", hub.faults()
    assert [one.partition(":")[0] for one in hub.faults()] == ["source-gone"]
    assert len(hub.invocations) - so_far <= FEW
    assert {snapshot for snapshot, _ in hub.cloud.permissions}.isdisjoint(SNAPSHOTS)
    hub.run()


@pytest.mark.parametrize("how", GOES)
@pytest.mark.parametrize("state", ["requested", "opening"])
def test_what_can_never_open_ends_within_minutes(state, how):
    """Before its target was checked, or while its shares are to be opened: by events, or by the sweep alone."""
    hub = come_to(state)
    GOES[how](hub)
    ends_soon(hub)


def test_the_sweep_alone_ends_it_too():
    """Every event and every other wake is lost."""
    hub = come_to("opening")
    hub._event_fates = iter(lambda: (), None)
    hub._wake_fate = lambda cause: (0,) if cause.startswith("sweep:") else ()
    deregister(hub)
    hub.wait(15 * MINUTE)

    assert hub.outcomes()[AMI, A] == "failed"
    assert [one.partition(":")[0] for one in hub.faults()] == ["source-gone"]


@pytest.mark.parametrize("how", GOES)
def test_while_it_waits_for_a_slot_it_is_asked_about_too(how):
    """Another AMI's twenty copies run for hours: it ends without a slot, at one of its looks for one."""
    hub = a_hub()
    hub.cloud._copying = iter(lambda: 4 * HOUR, None)
    hub.cloud.make_image(large := "ami-02", {f"snap-{number}": False for number in range(60, 80)})
    hub.cloud.tag(large, A)
    hub.until_state(large, A, "copying")
    hub.cloud.tag(AMI, A)
    hub.until_state(AMI, A, "awaiting-slot")
    GOES[how](hub)
    ends_soon_within = 20 * MINUTE
    hub.wait(ends_soon_within)

    assert hub.outcomes()[AMI, A] == "failed"
    assert [one.partition(":")[0] for one in hub.faults()] == ["source-gone"]
    assert hub.ended()[large, A] == "delivered"


def without_a_role() -> Hub:
    """A hub whose delivery waits for the copy role."""
    hub = a_hub()
    hub.gate.refuse("target.keys", "describe", why=RefusalKind.ROLE)
    hub.cloud.tag(AMI, A)
    hub.until_state(AMI, A, "awaiting-role")
    return hub


@pytest.mark.parametrize("how", GOES)
def test_while_it_waits_for_its_role_it_is_asked_about_too(how):
    """Nobody deploys the target's stack: it ends long before its queue deadline."""
    hub = without_a_role()
    GOES[how](hub)
    hub.wait(30 * MINUTE)

    assert hub.outcomes()[AMI, A] == "failed"
    assert hub.faults()[-1].startswith("source-gone:")


def test_its_slots_go_to_the_next_ami():
    """It asked for all twenty; the other AMI waits behind it, and is delivered long before a queue deadline."""
    hub = come_to("opening", target={"queue_deadline": HOUR})
    deregister(hub)
    hub.cloud.tag(OTHER, A)
    ends_soon(hub)

    assert hub.outcomes()[OTHER, A] == "delivered"


@pytest.mark.parametrize("settings", [{"copy_method": "image"}, {"key_access": "policy"}, {"mode": "share"}], ids=str)
def test_in_every_mode(settings):
    """CopyImage, statements in the key's policy; in share mode the promotion may withdraw it first."""
    hub = come_to("opening", target=settings)
    deregister(hub)
    hub.wait(10 * MINUTE)

    assert hub.outcomes()[AMI, A] in ("failed", "cancelled")
    assert hub.cloud.permissions | hub.cloud.launches == set()
    hub.run()


def test_copies_that_run_go_on_and_so_do_those_that_still_wait_for_a_slot():
    """Deregistered while the first ones run; its snapshots are there. The shares stay open until the last has ended."""
    hub = a_hub()
    hub.cloud.behavior = CloudBehavior(limit=5)
    hub.cloud.tag(AMI, A)
    hub.until_state(AMI, A, "copying")
    hub.wait(20)
    deregister(hub)

    assert hub.ended()[AMI, A] == "delivered"


def test_looks_within_half_a_minute_that_do_not_show_it_are_no_evidence():
    """EC2 leaves it out of its answers for 25 seconds, in which the sweep is a reason to look again."""
    hub = come_to("opening", tagged_after=45)
    hub.cloud.gone.add(AMI)
    hub.wait(25)
    hub.cloud.gone.remove(AMI)

    assert hub.ended()[AMI, A] == "delivered", hub.faults()


def test_one_look_that_does_not_show_it_ends_no_wait_for_the_role():
    """EC2 leaves it out of the first of these looks; an hour later somebody deploys the target's stack."""
    hub = without_a_role()
    hub.cloud.gone.add(AMI)
    hub.wait(90)
    hub.cloud.gone.remove(AMI)
    hub.wait(HOUR)
    assert hub.outcomes()[AMI, A] == "awaiting-role"

    hub.gate.troubles = []
    assert hub.ended()[AMI, A] == "delivered"


def test_a_refused_look_is_no_evidence():
    """EC2 of the hub answers nothing for an hour: the delivery waits, and is delivered."""
    hub = come_to("opening")
    lasts = hub.cloud.now + HOUR
    down = refusal(RefusalKind.THROTTLED, "Unavailable")
    hub.gate.troubles.append(PortTrouble("source", "tag", down, WITHOUT_END, only=lambda *_: hub.cloud.now < lasts))
    hub.run(until=lasts)
    assert hub.outcomes()[AMI, A] == "opening"

    assert hub.ended()[AMI, A] == "delivered"


def test_while_copies_run_an_open_statement_is_never_closed_for_that():
    """Both AMIs that hold a key's statement are gone while the file renames the role; the first one's copy runs."""
    hub = a_hub(target={"key_access": "policy"})
    hub.cloud.hub_snapshots["snap-90"]["KmsKeyId"] = source_key(0)
    hub.cloud.tag(OTHER, A)
    hub.until_state(OTHER, A, "copying")
    hub.wait(20)
    renamed = (replace(hub.cloud.directory.accounts[A][0], role_name="Renamed"),)
    hub.cloud.directory = Directory({"default": (A,)}, {A: renamed})
    hub.cloud.tag(AMI, A)
    hub.until_state(AMI, A, "opening")
    hub.cloud.gone |= {OTHER, AMI}

    assert hub.ended() == {(AMI, A): "failed", (OTHER, A): "delivered"}
