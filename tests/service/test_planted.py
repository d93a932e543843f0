"""Someone in a target makes snapshots with all predictable tags of the service, under the target's key."""

import pytest

from chalicelib.core.records import addresses
from tests.service.cloud import HUB, REGION, CloudBehavior
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


def assert_theirs_is_left_alone(hub: Hub, planted: set[str]) -> None:
    """The AMI consists of the service's copies; the planted snapshots still exist, and a report names them."""
    assert hub.outcomes()[AMI, A] == "delivered", hub.faults()
    (image,) = hub.cloud.images.values()
    assert not set(image.copies) & planted
    assert planted <= {copy.id for copy in hub.cloud.copies.values() if not copy.deleted}
    (reported,) = [notice for notice in hub.cloud.notices if notice["event"] == "delivery.delivered"]
    assert reported["image"] == image.id


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.parametrize("call", [None, *CALLS])
def test_planted_snapshots_are_never_used_wherever_it_dies(method, call):
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
    while len(hub.cloud.live_copies()) < len(SNAPSHOTS):
        at, act = hub._next()
        hub.cloud.now = max(hub.cloud.now, at)
        act()
    planted = plant(hub)
    hub.cloud.tag(AMI, None)
    assert hub.ended()[AMI, A] == "cancelled"
    assert {copy.id for copy in hub.cloud.live_copies()} == planted
    (reported,) = [notice for notice in hub.cloud.notices if notice["event"] == "delivery.cancelled"]
    assert planted == set(reported["leftovers"])
