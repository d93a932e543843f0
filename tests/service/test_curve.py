"""The programs that `make bench` runs in memory, with small numbers: what they measure, and that it does not grow."""

import pytest

from tests.service import curve, largest_promotion

pytestmark = pytest.mark.thorough


def test_a_delivery_costs_no_more_among_many():
    """Invocations and calls per delivery are equal; one call opens or closes a snapshot for many accounts."""
    few, many = curve.point(5), curve.point(20)
    assert many.invocations / 20 <= 1.1 * few.invocations / 5
    assert many.store_calls / 20 <= 1.1 * few.store_calls / 5
    assert many.aws_calls / 20 <= 1.1 * few.aws_calls / 5
    assert many.sharing <= 2 * 4


def test_no_invocation_outlives_a_function_or_takes_much():
    """Forty accounts in four Regions, twenty snapshots; `make bench` plays a thousand."""
    found = largest_promotion.expansion(40) | largest_promotion.delivery() | largest_promotion.opening(10)
    assert {"worker: promotion", "worker: delivery", "share-worker: snapshot", "sweep: sweep"} <= found.keys()
    assert all(megabytes < 10 and 0 < seconds < 30 for megabytes, seconds in found.values()), found
