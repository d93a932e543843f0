"""What `status` works out from records."""

import pytest

from ami_promoter.promotions.promotion_data import progress_at, seconds_left
from ami_promoter.promotions.promotion_text import time_left

BEGAN = 1000


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (1120, "~6m left"),  # a quarter after two minutes
        (1300, "~3m left"),  # nobody has looked since, and the time runs all the same
        (1479, "~1s left"),
        (1500, "ends soon"),
    ],
)
def test_the_time_left_is_by_the_pace_until_the_last_look(now, said):
    """It shrinks between two looks, though the percentage does not move."""
    copy = {"state": "pending", "progress": 25, "looks": 2, "next_look": 1240}  # the second look was at 1120
    seen = progress_at(copy)

    assert seen == 1120
    assert time_left({"seconds_left": seconds_left(25, BEGAN, seen, now)}) == said


@pytest.mark.parametrize(
    "copy",
    [
        {"state": "pending", "progress": 0, "looks": 1, "next_look": 1120},
        {"state": "completed", "progress": 100, "looks": 1, "next_look": 1120},
        {"state": "pending", "progress": "x", "looks": 1, "next_look": 1120},
        {"state": "pending", "progress": 25},
        {},
    ],
)
def test_where_nothing_can_be_said_nothing_is(copy):
    """Before the first progress, after the end, and where the record is damaged."""
    assert progress_at(copy) is None
    assert seconds_left(copy.get("progress"), BEGAN, None, 1200) is None


@pytest.mark.parametrize(("progress", "began"), [(100, BEGAN), (25, None), (25, 1200)])
def test_no_pace(progress, began):
    """It has all moved, or it is not known when it began."""
    assert seconds_left(progress, began, 1120, 1200) is None
