"""Someone in a target makes snapshots with all predictable tags of the service, under the target's key."""

import itertools
from dataclasses import replace

import pytest

from chalicelib.engine import addresses, schedule
from tests.service.cloud import HUB, INACCESSIBLE, REGION, CloudBehavior
from tests.service.gate import PortCrash
from tests.service.hub import Hub

A, AMI, SNAPSHOTS = "200000000001", "ami-00", ("snap-00", "snap-01")
CALLS = range(0, 120, 3)
"""The calls, over the whole run, at which the process is killed."""


def a_hub(method: str, **changes: object) -> Hub:
    """A hub whose AMI waits to be tagged."""
    behavior = CloudBehavior(copying=(300,), registering=(60,), lag=(0, 40))
    hub = Hub((A,), behavior=behavior, target={"copy_method": method}, **changes)
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": False})
    return hub


def plant(hub: Hub) -> set[str]:
    """Make a completed snapshot for each of the source's."""
    delivery = addresses.delivery_id(HUB, AMI, A, REGION)
    return {hub.cloud.plant_copy(A, source, delivery) for source in SNAPSHOTS}


def plant_with_nonces(hub: Hub) -> set[str]:
    """Make a completed snapshot for each of the source's, with the attempt's tag that the service's own copy had."""
    delivery = addresses.delivery_id(HUB, AMI, A, REGION)
    known = {copy.source: copy for copy in hub.cloud.copies.values() if copy.nonce}
    assert set(known) == set(SNAPSHOTS)
    return {
        hub.cloud.plant_copy(A, source, delivery, copy.nonce, whole=copy.by_copy_image)
        for source, copy in known.items()
    }


def assert_theirs_is_left_alone(hub: Hub, planted: set[str]) -> None:
    """The AMI consists of the service's copies; the planted snapshots still exist, and a report names them."""
    assert hub.outcomes()[AMI, A] == "delivered", hub.faults()
    (image,) = hub.cloud.images.values()
    assert not set(image.copies) & planted
    assert planted <= {copy.id for copy in hub.cloud.copies.values() if not copy.deleted}
    (reported,) = hub.notified("delivery.delivered")
    assert reported["image"] == image.id


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.parametrize("call", [None, *CALLS])
def test_planted_snapshots_are_never_used_wherever_it_is_killed(method, call):
    """They exist before the tag is set: the service makes its own copies, once, whatever crashes."""
    hub = a_hub(method, crashes=[] if call is None else [PortCrash(call, after=True)], watchful=False)
    hub.invariants.watch = lambda *_: None  # it takes a planted copy for its own
    hub.gate.watch = hub.invariants.watch
    planted = plant(hub)
    hub.cloud.tag(AMI, A)
    hub.run()

    assert_theirs_is_left_alone(hub, planted)
    assert len(hub.cloud.live_copies()) == 4


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_what_is_planted_while_a_delivery_is_cancelled_is_not_deleted(method):
    """Only snapshots with an attempt's nonce are deleted."""
    hub = a_hub(method)
    hub.cloud.tag(AMI, A)
    hub.until(lambda: len(hub.cloud.live_copies()) >= len(SNAPSHOTS))
    planted = plant(hub)
    hub.cloud.tag(AMI, None)
    assert hub.ended()[AMI, A] == "cancelled"
    assert {copy.id for copy in hub.cloud.live_copies()} == planted
    (reported,) = hub.notified("delivery.cancelled")
    assert planted == set(reported["leftovers"])


# --- with the nonce of an attempt that is over -----------------------------------------------------------------------


def until_copies_run(hub: Hub) -> None:
    """Play until a copy of each snapshot runs, and a quarter of a minute more: their answers are on record."""
    hub.until(lambda: len(hub.cloud.live_copies()) >= len(SNAPSHOTS))
    hub.wait(15)


@pytest.mark.parametrize("again", ["snapshots", "image"])
@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_a_snapshot_with_the_nonce_of_a_cancelled_attempt_is_never_used(method, again):
    """Copies run with their tags; untagged, the service deletes them; somebody writes these tags on other snapshots.

    Tagged again, also by the other copy method, the service copies everything again, and names theirs.
    """
    hub = a_hub(method)
    hub.cloud.tag(AMI, A)
    until_copies_run(hub)
    hub.cloud.tag(AMI, None)
    assert hub.ended()[AMI, A] == "cancelled"
    assert hub.cloud.live_copies() == []
    planted = plant_with_nonces(hub)
    hub.invariants.planted |= planted
    hub.cloud.change_targets(copy_method=again)
    hub.cloud.tag(AMI, A)
    hub.run()

    assert_theirs_is_left_alone(hub, planted)
    assert len(hub.cloud.live_copies()) == 4


def test_a_snapshot_with_the_nonce_of_a_copy_that_ended_in_error_is_never_used():
    """The key is not accessible yet: the copies end in error, and the service tries again with other nonces."""
    hub = a_hub("snapshots")
    hub.cloud.behavior = CloudBehavior(fails=(INACCESSIBLE,))
    hub.cloud._fails = itertools.chain([INACCESSIBLE] * 2, itertools.repeat(""))
    hub.cloud.tag(AMI, A)
    hub.until(lambda: hub.cloud.copies and all(copy.state == "error" for copy in hub.cloud.copies.values()))
    planted = plant_with_nonces(hub)
    hub.invariants.planted |= planted
    hub.run()

    assert_theirs_is_left_alone(hub, planted)


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_an_ami_with_the_nonce_of_an_attempt_that_is_over_is_never_adopted(method):
    """The copy differs and is removed; somebody registers another AMI with its name and tags; tagged again."""
    hub = a_hub(method)
    hub.cloud._registering = itertools.repeat(900)
    hub.cloud.tag(AMI, A)
    hub.until(lambda: bool(hub.cloud.images))
    (made,) = hub.cloud.images.values()
    hub.wait(15)  # its answer is on record
    made.raw["State"] = "failed"
    assert hub.ended()[AMI, A] == "failed"
    assert hub.cloud.images == {}
    theirs = replace(made, id="ami-0planted", copies=(), raw={**made.raw, "ImageId": "ami-0planted"})
    theirs.raw["State"] = "available"
    hub.cloud.images[theirs.id] = theirs
    hub.cloud.tag(AMI, None)
    hub.run()
    hub.cloud.tag(AMI, A)
    hub.run()

    assert hub.outcomes()[AMI, A] == "failed"
    assert list(hub.cloud.images) == [theirs.id]
    assert any("image-unproven" in fault for fault in hub.faults())


# --- of an episode whose nonces have gone ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_a_copy_that_shows_after_its_nonce_has_gone_is_never_used_or_deleted(method):
    """The copies are cancelled and gone; two days later one of them shows after all, and the AMI is tagged again."""
    hub = a_hub(method, watchful=False)
    hub.cloud.tag(AMI, A)
    until_copies_run(hub)
    late = hub.cloud.live_copies()[0]
    hub.cloud.tag(AMI, None)
    assert hub.ended()[AMI, A] == "cancelled"
    assert hub.cloud.live_copies() == []
    hub.wait(2 * schedule.DAY)
    late.state, late.deleted = "completed", False
    hub.invariants.planted.add(late.id)
    hub.cloud.tag(AMI, A)
    hub.run()

    assert_theirs_is_left_alone(hub, {late.id})
    (reported,) = hub.notified("delivery.delivered")
    assert late.id in reported["leftovers"]
