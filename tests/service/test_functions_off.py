"""Each function is off for 2 and for 26 hours, from each state on: no completed work is lost."""

from itertools import product
from random import Random

import pytest

from tests.service.outages import HOURS, Outage, outages, states
from tests.service.slow_cases import MODES

pytestmark = pytest.mark.thorough

SAMPLE = 4
"""How many of up to twelve outages of a function in a mode are played; `make soak` plays all."""


@pytest.mark.parametrize(
    ("function", "mode"),
    [*product(["share-worker", "sweep", "discover", "events"], ["snapshots", "share"]), *product(["worker"], MODES)],
)
def test_an_outage_delays_and_that_is_all(function, mode):
    """All is delivered or shared, no account loses access, and shares close late by no more than the outage.

    What completed while the worker was off is registered; what did not fails at its deadline, and a new tag delivers
    it.
    """
    found = list(outages([mode], [function]))
    for outage in Random(f"{mode} {function}").sample(found, min(len(found), SAMPLE)):
        play(outage)


def test_the_states_of_each_mode_are_all_seen():
    """The harness works: an outage begins in each state in which a delivery can rest for a while."""
    assert {"requested", "awaiting-slot", "opening", "copying", "verifying", "delivered"} <= set(states("snapshots"))
    assert set(states("share")) >= {"requested", "opening", "shared"}
    assert states("share", ending=True)[-1] == "withdrawn"
    assert max(HOURS) > 24, "longer than any deadline"


def play(outage: Outage) -> None:
    """Play an outage; a failure names it."""
    try:
        outage.play()
    except AssertionError as failure:
        raise AssertionError(f"{outage}: {failure}") from failure
