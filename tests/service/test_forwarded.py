"""Whether a target's events arrive is written down when a delivery ends, once, for `doctor`."""

import pytest

from chalicelib.engine import addresses
from tests.service.arrivals import ALL_ON_TIME, LOST, ON_TIME, Arrivals
from tests.service.cloud import REGION, CloudBehavior
from tests.service.hub import Hub

ACCOUNT = "200000000001"
TAG_ALONE = Arrivals(events=(ON_TIME, LOST, LOST, LOST, LOST))
"""The first event is the tag's; those of the target are lost."""


def said(hub: Hub) -> dict[str, int]:
    """What is known of the target's events."""
    keys = (addresses.last_event(ACCOUNT, REGION), addresses.no_event(ACCOUNT, REGION))
    return {key.sk: item["at"] for key in keys if (item := hub.stores.records.get(key))}


@pytest.mark.parametrize(
    ("arrivals", "target", "known"),
    [
        (ALL_ON_TIME, {}, {"last-event"}),
        (ALL_ON_TIME, {"copy_method": "image"}, {"last-event"}),
        (TAG_ALONE, {}, {"no-event"}),
        (TAG_ALONE, {"copy_method": "image"}, {"no-event"}),
        (ALL_ON_TIME, {"mode": "share"}, set()),
    ],
)
def test_events_that_came_and_events_that_did_not(arrivals, target, known):
    """In share mode nothing is made in the target, so no event is missed."""
    hub = Hub((ACCOUNT,), arrivals=arrivals, behavior=CloudBehavior(copying=(120,)), target=target)
    hub.cloud.make_image("ami-0a", {"snap-0a": True, "snap-0b": True})
    hub.cloud.tag("ami-0a", "default")
    hub.run()

    assert said(hub).keys() == known
