"""The order of things does not matter: events and rings doubled, shuffled, early, late or lost lead to the same end."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.service.scenes import Scene, all_delivered, scenes
from tests.service.weather import NOTHING_COMES
from tests.stores import on_dynamodb


@given(scenes())
@settings(max_examples=150)
def test_any_order_comes_to_the_same_end(scene):
    """Whatever becomes of events and rings, every target gets its one AMI, and nothing stays open or is left over."""
    all_delivered(scene.play())


@given(scenes(most_accounts=2, most_snapshots=2))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_comes_to_the_same_end_on_dynamodb(credentials, scene):
    """What holds for the stores in memory holds for the real ones."""
    with on_dynamodb() as stores:
        all_delivered(scene.play(stores=stores))


@pytest.mark.parametrize("amis", [((0,),), ((0, 1, 2, 3), (2, 3))])
def test_the_sweep_alone_is_enough(amis):
    """With every event lost, and every ring but the sweep's own, all is delivered all the same (law 6)."""
    all_delivered(Scene(accounts=2, amis=amis, weather=NOTHING_COMES).play())
