"""The benchmark with one target and ten, on the package, and the numbers that must not grow."""

import re
from pathlib import Path

import pytest

from bench import cost, matrix
from bench.calls_page import above_least
from bench.case import Case
from bench.rivals import orchestrator
from bench.rivals.promotion import promotion
from bench.run import MeasuredRun, measure
from bench.time_page import within
from demo import bill

pytestmark = pytest.mark.thorough

CALLS = Path(__file__).parents[2] / "docs" / "reference" / "calls.md"
ONE, TEN = matrix.SMALL
FLAT = 1.1


@pytest.fixture(scope="module")
def measured() -> dict[Case, MeasuredRun]:
    """The measurements of both."""
    return {case: measure(case) for case in (ONE, TEN)}


@pytest.mark.parametrize("case", [ONE, TEN], ids=str)
def test_every_target_is_delivered_to_within_two_percent_and_a_minute_of_the_bound(measured, case):
    """A promotion is never faster than the bound."""
    one = measured[case]
    assert one.delivered == case.deliveries
    assert one.bound <= one.seconds
    assert within(one), (one.seconds, one.bound)
    assert not one.throttled


def test_nothing_grows_with_the_number_of_targets(measured):
    """Calls, function time, units and invocations of one delivery, alone and among ten."""
    one, ten = measured[ONE], measured[TEN]
    for what in (
        lambda m: sum(m.hub_calls.values()) + sum(m.target_calls.values()),
        lambda m: m.billed,
        lambda m: sum(m.writes.values()),
        lambda m: sum(m.reads.values()),
        lambda m: sum(n for name, n in m.invocations.items() if name not in bill.ON_SCHEDULE),
    ):
        assert what(ten) / 10 <= FLAT * what(one)


def test_units_of_a_delivery_are_those_that_are_known(measured):
    """This shows a change that writes or reads more."""
    assert 200 < sum(measured[ONE].writes.values()) < 400
    assert 80 < sum(measured[ONE].reads.values()) < 212
    assert measured[ONE].stored_bytes < 30_000


def test_it_takes_a_hundredth_of_the_function_time_of_one_that_waits(measured):
    """Compared with an orchestrator that waits without limit."""
    for case, one in measured.items():
        assert orchestrator.run(promotion(case)).functions >= 100 * one.billed


def test_calls_are_few(measured):
    """At most 1.3 times the minimum; one call opens each snapshot for all accounts."""
    assert all(above_least(one) <= 1.3 for one in measured.values())
    assert measured[ONE].sharing == measured[ONE].least["ModifySnapshotAttribute"]


def test_the_least_is_that_of_the_page_of_calls(measured):
    """docs/reference/calls.md and the benchmark agree on each call."""
    rows = re.findall(r"^\| (\w+) \| \d+ \| (\d+) \| \d+ \| \d+ \|$", CALLS.read_text(encoding="utf-8"), re.MULTILINE)
    found = {name: int(least) for name, least in rows}
    assert found.pop("all") == sum(measured[ONE].least.values())
    assert found == measured[ONE].least


def test_a_delivery_costs_less_than_a_cent_and_less_than_a_month_of_its_snapshots(measured):
    """By list price."""
    parts = cost.delivery(measured[TEN])
    assert 0 < sum(parts.values()) < 0.01
    assert sum(parts.values()) < cost.storage(sum(TEN.sizes), 1)["snapshots, a month"]


def test_what_may_follow_a_copy_is_called_once_for_each_target():
    """A launch test, a parameter and waves; and what they cost at most."""
    case = Case(2, after_copy=True)
    one = measure(case)
    assert one.delivered == 2
    made = {**one.target_calls}
    for name, count in one.scheduled_calls.items():
        made[name] = made.get(name, 0) + count
    assert {name: made[name] for name in ("RunInstances", "TerminateInstances", "PutParameter")} == {
        "RunInstances": 2,
        "TerminateInstances": 2,
        "PutParameter": 2,
    }
    assert 60 < one.instance_seconds / 2 < 900
    assert sum(one.writes.values()) < 800
    assert sum(cost.delivery(one).values()) < 0.001
