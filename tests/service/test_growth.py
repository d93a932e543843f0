"""What is finished costs nothing any more: beside an empty hub; ``python -m tests.service.growth`` for years."""

from __future__ import annotations

import pytest

from tests.service.growth import EMPTY, Growth, Size, grown, measure, must_be_flat, table


@pytest.fixture(scope="module")
def empty() -> Growth:
    """What a hub costs that has nothing behind it."""
    return measure(grown(EMPTY))


@pytest.mark.parametrize(
    "much",
    [
        Size(finished=2_000, keys=2, tagged=100, shared=20),
        Size(finished=20_000),
        Size(tagged=1_000),
        Size(shared=50),
    ],
    ids=["all of it", "closed shares on one key", "tagged", "shared"],
)
def test_what_is_behind_a_hub_costs_nothing_but_its_heads_and_standing_shares(empty, much):
    """A promotion, a minute of the sweep and a pass of discovery cost what they cost on an empty hub."""
    must_be_flat(empty, measure(grown(much)), much)


def test_the_table_says_it_for_each_hub(empty):
    """A row each, for docs/explanation/reliability.md."""
    text = table([("empty hub", empty), ("another", empty)])
    assert text.count("calls") == 6
