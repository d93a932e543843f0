"""Lanes run side by side, and one lane may even be worked on twice at once: call by call, it must not matter."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.scenes import all_delivered, scenes

DUETS = st.lists(st.sampled_from(["alone", "twin", "other"]), min_size=1, max_size=8)
ORDER = st.lists(st.booleans(), min_size=1, max_size=12).filter(any)


@given(scenes(most_accounts=2, most_snapshots=2), DUETS, ORDER)
@settings(max_examples=40)
def test_two_invocations_at_once_come_to_the_same_end(scene, duets, order):
    """One lane twice, or two lanes, their calls shuffled into each other in any way.

    Key access is true at once: a copy that errors within the second in which both runs of one lane work on it can be
    taken up after it was deleted, and then fails its delivery.
    """
    scene = replace(scene, nature=replace(scene.nature, access=(0,)))
    all_delivered(scene.play(duets=duets, order=order), told_once=False)
