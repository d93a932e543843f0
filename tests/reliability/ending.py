"""How soon a scenario must end, and a check that it does under message injections."""

from operator import attrgetter

import pytest

from tests.reliability.plans import RunPlan
from tests.reliability.scenarios import Scenario

SEEDS = (20260105, 1)
"""The seed decides in which order the calls of two concurrent invocations run."""
SEED = SEEDS[0]
LATER = 360
"""Seconds by which one kill may delay the end: 180 for its message, then a sweep, a second look, and a sweep."""
AT_ONCE_SECONDS = 40
"""Seconds if only AWS itself is waited for, without a look after a minute."""


def each(*scenarios: Scenario) -> pytest.MarkDecorator:
    """Run a test for each of these."""
    return pytest.mark.parametrize("scenario", scenarios, ids=attrgetter("name"))


def ended(machine, scenario, messages, seconds, *struck, seeds=SEEDS[:1]):
    """Assert that a scenario ends in time, and that the message injections happened."""
    for outcome in machine.play(scenario.name, [RunPlan(messages=messages, seed=seed) for seed in seeds]):
        assert not outcome.problems, str(outcome)
        assert outcome.seconds <= seconds, f"{outcome.seconds} s; {outcome}"
        for injection in struck:
            assert outcome.happened[injection] > 0
