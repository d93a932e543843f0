"""Whether a target's events arrive is written down when a delivery ends, once, for `doctor`."""

from __future__ import annotations

import pytest

from chalicelib.core.records import addresses
from tests.service.cloud import REGION, Nature
from tests.service.hub import Hub
from tests.service.weather import FAIR, LOST, ON_TIME, Weather

ACCOUNT = "200000000001"
TAG_ALONE = Weather(events=(ON_TIME, LOST, LOST, LOST, LOST))
"""The first event is the tag's; those of the target are lost."""


def said(hub: Hub) -> dict[str, int]:
    """What is known of the target's events."""
    keys = (addresses.last_event(ACCOUNT, REGION), addresses.no_event(ACCOUNT, REGION))
    return {key.sk: item["at"] for key in keys if (item := hub.stores.records.get(key))}


@pytest.mark.parametrize(
    ("weather", "target", "known"),
    [
        (FAIR, {}, {"last-event"}),
        (FAIR, {"copy_method": "image"}, {"last-event"}),
        (TAG_ALONE, {}, {"no-event"}),
        (TAG_ALONE, {"copy_method": "image"}, {"no-event"}),
        (FAIR, {"mode": "share"}, set()),
    ],
)
def test_events_that_came_and_events_that_did_not(weather, target, known):
    """In share mode nothing is made in the target, so no event is missed."""
    hub = Hub((ACCOUNT,), weather=weather, nature=Nature(copying=(120,)), target=target)
    hub.cloud.make_image("ami-0a", {"snap-0a": True, "snap-0b": True})
    hub.cloud.tag("ami-0a", "default")
    hub.run()

    assert said(hub).keys() == known
