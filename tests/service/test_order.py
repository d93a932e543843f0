"""The order of events and wakes does not matter: doubled, shuffled, early, late or lost, they lead to the same end."""

import pytest
from hypothesis import example, given, settings

from tests.service.arrivals import Arrivals
from tests.service.cloud import CloudBehavior
from tests.service.scenes import HubSetup, all_delivered, scenes

pytestmark = pytest.mark.thorough

SLOW_HANDS = HubSetup(
    amis=((3, 0, 2, 1),),
    encrypted=(False, False, True, True),
    arrivals=Arrivals(events=((600,),), wakes=((0, 7),), hurry=7),
    behavior=CloudBehavior(copying=(0, 7200, 0, 1), registering=(300,), limit=1),
)
"""A scene in which every invocation runs out of time between its commands, with more copies than may run."""


@given(scenes())
@example(SLOW_HANDS)
@settings(max_examples=100)
def test_any_order_comes_to_the_same_end(scene):
    """Whatever happens to events and wakes, every target gets one AMI, and nothing stays open or is left over."""
    all_delivered(scene.play())
