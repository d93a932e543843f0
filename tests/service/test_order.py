"""The order of events and wakes does not matter: doubled, shuffled, early, late or lost, they lead to the same end."""

import pytest
from hypothesis import example, given, settings

from tests.service.arrivals import NOTHING_COMES, Arrivals
from tests.service.cloud import CloudBehavior
from tests.service.scenes import HubSetup, all_delivered, scenes
from tests.stores import on_dynamodb

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


@given(scenes(most_accounts=1, most_snapshots=2))
@settings(max_examples=2)
def test_any_order_comes_to_the_same_end_on_dynamodb(scene):
    """The same on the real stores."""
    with on_dynamodb() as stores:
        all_delivered(scene.play(stores=stores, watchful=False))


@pytest.mark.parametrize("amis", [((0,),), ((0, 1, 2, 3), (2, 3))])
def test_the_sweep_alone_is_enough(amis):
    """With every event lost, and every wake but the sweep's own, all is delivered (invariant 6)."""
    all_delivered(HubSetup(accounts=2, amis=amis, arrivals=NOTHING_COMES).play())
