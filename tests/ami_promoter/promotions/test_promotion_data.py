"""What `status` works out from records."""

import pytest

from ami_promoter.promotions.promotion_data import page, progress_at, seconds_left
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


def a_record(**body):
    """Build a promotion's record as the command line reads it: without members that have their default."""
    return {**body, "_item": {"pk": "promotion#ami-1"}}


def a_withdrawn_delivery():
    return {"state": "withdrawn", "target": {"account": "1" * 12, "region": "us-east-1"}, "_item": {}}


@pytest.mark.parametrize(
    ("body", "candidate"),
    [
        ({"state": "resolving", "seen_value": "dev prod", "value": "dev"}, "dev prod"),
        ({"state": "resolving", "seen_value": "dev"}, "dev"),
        ({"state": "resolving", "seen_value": "dev", "value": "dev"}, None),
        ({"state": "running", "seen_value": "dve", "value": "dev", "refused_value": "dve"}, None),
    ],
)
def test_the_value_that_is_being_checked(body, candidate):
    """The tag's, while it is resolved and differs from that in force."""
    assert page(a_record(**body), (), (), 0)["candidate"] == candidate


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"refused_value": "dve"}, True),
        ({"refused_value": ""}, True),
        ({"unfit": "9c1f", "inputs": "9c1f"}, True),
        ({"unfit": "9c1f", "inputs": "74ab"}, False),
        ({}, False),
    ],
)
def test_whether_value_or_source_is_refused(body, refused):
    """The source counts as refused for what it was examined for, and no longer when that has changed."""
    assert page(a_record(**body), (), (), 0)["refused"] is refused


@pytest.mark.parametrize(
    ("body", "because"),
    [
        ({"value": "dev", "generation": 2, "gone": 2}, "The AMI is gone or disabled."),
        (
            {"value": "dev", "generation": 3, "gone": 2},
            "The tag's value and the applied targets file no longer name it.",
        ),
        ({"why": "Its tag was removed."}, "Its tag was removed."),
    ],
)
def test_why_a_share_was_withdrawn(body, because):
    """An AMI that is gone keeps its value in force, until it is tagged again."""
    (one,) = page(a_record(**body), [a_withdrawn_delivery()], (), 0)["deliveries"]

    assert one["cancelled_because"] == because
