"""What the benchmark computes: the bound, DynamoDB's units, rates, alternatives, prices, the plot."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import bound, capacity, cost, plot
from bench.case import CALL_SECONDS, REGISTER_SECONDS, Case
from bench.idle import Idle
from bench.rates import TokenBucket
from bench.rivals import RIVALS, build_tool, orchestrator, script, state_machines
from bench.rivals.promotion import PlayedPromotion, promotion
from bench.table import dollars, duration, number, rough, rough_duration

ROOT = Path(__file__).parents[2]
REST = REGISTER_SECONDS + len(bound.CHAIN) * CALL_SECONDS


def test_the_bound_is_the_longest_copy_or_all_of_them_through_the_slots():
    """Copies run side by side, twenty at once."""
    assert bound.promotion([[600, 2440], [600, 900]]) == pytest.approx(2440 + 0.0 + REST)
    assert bound.copies([100] * 40) == 200
    assert bound.copies([100] * 40 + [500]) == 500


def test_the_bound_has_the_rate_of_grants_and_what_is_late():
    """Grants to a hundred accounts take two seconds; a grant that takes effect late delays its account."""
    assert bound.promotion([[600]] * 101) == pytest.approx(602 + REST)
    assert bound.promotion([[600], [600]], late=[0, 300]) == pytest.approx(900 + REST)
    assert bound.one_after_another([[600, 60], [600, 60]], 2) == pytest.approx(1200 + REST)


def test_what_ends_together_is_closed_with_one_call_and_nothing_waits_for_another():
    """For 500 accounts at most, and within the five seconds in which closings gather."""
    assert bound.closings([10, 12, 15, 15.1, 100]) == 3
    assert bound.closings([10.0] * 501) == 2
    assert bound.closings([]) == 0


def test_a_bucket_lets_so_many_at_once_and_then_so_many_a_second():
    """Fifty at once, then five a second."""
    bucket = TokenBucket()
    assert all(bucket.take(0) for _ in range(50))
    assert not bucket.take(0)
    assert [bucket.take(1) for _ in range(6)] == [True] * 5 + [False]
    assert TokenBucket(tokens=0).wait(0) == pytest.approx(0.2)


def test_units_are_counted_as_dynamodb_counts_them():
    """Names and values; a write unit is 1 KB, a read unit 4 KB."""
    item = {"pk": {"S": "a"}, "body": {"S": "x" * 2040}, "n": {"N": "12"}, "all": {"SS": ["ab", "c"]}}
    assert capacity.size(item) == 3 + 2044 + 4 + 6
    assert capacity.capacity_units(capacity.size(item), capacity.WRITE) == 3
    assert capacity.capacity_units(capacity.size(item), capacity.READ) == 1
    assert capacity.capacity_units(0, capacity.READ) == 1
    assert capacity.purpose_of(("t", "delivery#1", "history#0")) == "history"
    assert capacity.purpose_of(("t", "delivery#1", "record")) == "the delivery"


def test_one_function_is_killed_after_fifteen_minutes_and_leaves_shares_open():
    """It waits for each copy in turn."""
    short, long = PlayedPromotion([[600.0]]), PlayedPromotion([[600.0, 600.0]])
    assert (orchestrator.run(short).delivered, orchestrator.run(short).left_open) == (1, False)
    assert (orchestrator.run(long).delivered, orchestrator.run(long).left_open) == (0, True)
    assert orchestrator.run(PlayedPromotion([[600.0]] * 3)).seconds == pytest.approx(
        3 * orchestrator.run(short).seconds, 0.01
    )


def test_step_functions_take_three_transitions_every_half_minute():
    """And the longest copy's time, for any number of targets."""
    one, many = (state_machines.run(PlayedPromotion([[600.0]] * count)) for count in (1, 40))
    assert one.transitions == 3 + 3 * 20 + 3
    assert many.seconds == pytest.approx(one.seconds, 0.01)
    assert many.transitions == 40 * one.transitions


def test_a_build_tool_gives_up_after_half_an_hour():
    """A longer copy counts as not delivered."""
    assert build_tool.run(PlayedPromotion([[1700.0], [1900.0]])).delivered == 1


def test_a_script_copies_five_at_once():
    """The sixth waits until one has ended; the targets come one after another."""
    assert script.run(PlayedPromotion([[600.0] * 5])).seconds < 800
    assert 1200 < script.run(PlayedPromotion([[600.0] * 6])).seconds < 1500
    assert 1200 < script.run(PlayedPromotion([[600.0]] * 2)).seconds < 1400


def test_rivals_get_the_same_promotion_each_time():
    """One seed draws the copies, with the sizes of the case."""
    case = Case(10, volumes=3)
    assert promotion(case) == promotion(case)
    assert {(one.targets, one.calls > 0) for one in (play(promotion(case)) for play in RIVALS)} == {(10, True)}


def test_each_price_has_its_page_and_says_where_it_was_read():
    """On AWS's page, or on one that quotes it."""
    for name, one in cost.prices()["prices"].items():
        assert one["usd"] > 0, name
        assert one["source"].startswith("https://aws.amazon.com/"), name
        assert one["confirmed"] in {"aws", "other"}, name
        assert one["seen_at"].startswith("https://"), name


def test_alarms_and_dashboards_are_those_that_are_deployed():
    """Counted in the templates; an alarm on an expression costs as much as the metrics that it reads."""
    alarms, dashboards = cost.watchers()
    assert len(alarms) > 10
    assert dashboards == 1
    assert max(alarms) == 7
    assert min(alarms) == 1
    assert any(f"{sum(alarms)} metrics" in name for name in cost.watching(Idle(), alarms, 1))


def test_numbers_are_written_for_people():
    """With significant digits only."""
    assert [number(value) for value in (0, 0.123, 12.34, 1234.5)] == ["0", "0.12", "12.3", "1,234"]
    assert [duration(value) for value in (90, 600, 7300, 400_000)] == ["90 s", "10.0 min", "2.0 h", "4.6 days"]
    assert [dollars(value) for value in (0, 1.5, 0.25, 0.000123)] == ["$0", "$1.50", "$0.250", "$0.000123"]


def test_what_is_measured_once_in_a_simulator_is_written_with_two_digits():
    """The summary compares orders of magnitude; three digits would promise more."""
    assert [rough(value) for value in (0, 0.000449, 6.68, 48.4, 3094.6)] == ["0", "0.00045", "6.7", "48", "3,100"]
    assert [rough_duration(value) for value in (90, 2904, 25_300, 400_000)] == ["90 s", "48 min", "7.0 h", "4.6 days"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- bench -->\n(.*?)<!-- /bench -->", readme, re.DOTALL)
    assert re.findall(r"[1-9][0-9,.]*[1-9][0-9,.]*[1-9]", table.partition("---:|\n")[2]) == []


def test_a_plot_is_a_picture_with_a_line_for_each_name():
    """Well-formed SVG."""
    picture = ET.fromstring(  # noqa: S314 - this repository writes the SVG
        plot.chart("a < b", "targets", "minutes", {"one": [(1, 5), (10, 50)], "two": [(1, 1)]})
    )
    assert len(picture.findall(".//{*}polyline")) == 2


def test_the_readme_has_the_table_of_the_page():
    """One run writes both."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- bench -->\n(.*?)<!-- /bench -->", readme, re.DOTALL)
    assert table in (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
