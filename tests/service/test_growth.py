"""What is finished costs nothing any more: beside an empty hub; ``python -m tests.service.growth`` for years."""

from __future__ import annotations

import pytest

from tests.service.growth import EMPTY, Growth, Size, grown, measure, table

SMALL = Size(finished=2_000, keys=2, tagged=100, shared=20)


@pytest.fixture(scope="module")
def empty() -> Growth:
    """What a hub costs that has nothing behind it."""
    return measure(grown(EMPTY))


@pytest.fixture(scope="module")
def small() -> Growth:
    """What one costs that has something behind it."""
    return measure(grown(SMALL))


def test_a_minute_of_the_sweep_costs_what_it_costs_on_an_empty_hub(empty, small):
    """However many deliveries have ended, and whatever rests in shared."""
    assert small.sweep.calls == empty.sweep.calls
    assert small.sweep.units <= empty.sweep.units + 2


def test_a_pass_of_discovery_grows_with_what_is_tagged_and_shared_alone(empty, small):
    """Not with what is finished."""
    many = SMALL.tagged + SMALL.shared
    assert sum(small.discovery.calls.values()) <= sum(empty.discovery.calls.values()) + 4 * many


def test_a_promotion_makes_no_more_calls_than_on_an_empty_hub(empty, small):
    """The same reads, writes and wakes."""
    assert sum(small.promotion.calls.values()) <= sum(empty.promotion.calls.values())


def test_the_table_says_it_for_each_hub(empty, small):
    """A row each, for docs/reliability.md."""
    text = table([("empty hub", empty), ("small hub", small)])
    assert text.count("calls") == 6
