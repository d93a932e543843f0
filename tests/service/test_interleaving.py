"""Events and wakes in any order, message groups side by side, one group even twice at once: the result is the same."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.service.arrivals import Arrivals
from tests.service.cloud import CloudBehavior
from tests.service.scenes import HubSetup, all_delivered, scenes

pytestmark = pytest.mark.thorough

DUETS = st.lists(st.sampled_from(["alone", "twin", "other"]), min_size=1, max_size=8)
ORDER = st.lists(st.booleans(), min_size=1, max_size=12).filter(any)


SLOW_HANDS = HubSetup(
    amis=((3, 0, 2, 1),),
    encrypted=(False, False, True, True),
    arrivals=Arrivals(events=((600,),), wakes=((0, 7),), hurry=7),
    behavior=CloudBehavior(copying=(0, 7200, 0, 1), registering=(300,), limit=1),
)
"""A scene in which every invocation runs out of time between its commands, with more copies than may run."""
ERRORS_AT_ONCE = HubSetup(behavior=CloudBehavior(copying=(0,), access=(20,)))
"""The grant has not taken effect yet, so the copy has ended in error before CopySnapshot answers."""


@given(scenes())
@example(SLOW_HANDS)
@settings(max_examples=100)
def test_any_order_comes_to_the_same_end(scene):
    """Events and wakes doubled, shuffled, early, late or lost: every target gets one AMI, and nothing stays open."""
    all_delivered(scene.play())


@given(scenes(most_accounts=2, most_snapshots=2), DUETS, ORDER)
@example(ERRORS_AT_ONCE, ["twin"], [False, True])
@settings(max_examples=40)
def test_two_invocations_at_once_come_to_the_same_end(scene, pairings, order):
    """One message group twice, or two message groups; their calls alternate in any order."""
    all_delivered(scene.play(pairings=pairings, order=order), notified_once=False)
