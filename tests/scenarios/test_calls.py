"""What a promotion costs in calls: within its limits, and as docs/reference/calls.md says."""

from pathlib import Path

from tools import calls

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "calls.md"


def test_a_first_target_costs_no_more_than_it_may():
    """Two encrypted volumes; each event arrives on time and once."""
    one = calls.promote(1)
    assert one.bill.calls.total() <= calls.LIMITS["first"][0], one.bill.calls
    assert one.bill.invocations.total() <= calls.LIMITS["first"][1], one.bill.invocations


def test_a_further_target_that_closes_with_it_shares_the_ledgers_calls():
    """One call opens or closes each snapshot for all."""
    made, invocations = calls.further(calls.promote(1), calls.promote(calls.TOGETHER))
    assert made <= calls.LIMITS["further"][0]
    assert invocations <= calls.LIMITS["further"][1]


def test_a_further_target_that_closes_alone_costs_its_own_closing():
    """It costs nothing else."""
    made, _ = calls.further(calls.promote(1), calls.promote(calls.TOGETHER, together=False))
    assert made <= calls.LIMITS["apart"][0]


def test_the_page_is_what_the_sandbox_counts():
    """Another number of calls is a change for review. If this fails: `make docs`, and commit the result."""
    assert PAGE.read_text(encoding="utf-8") == calls.page()
