"""What a promotion costs in calls: within its limits, and as docs/reference/calls.md says."""

from collections import Counter
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


def test_a_promotion_without_a_family_a_launch_test_or_waves_makes_no_call_for_them():
    """38 calls, scheduled ones and no store's included: no parameter is read, nothing launched or disabled."""
    made = Counter(call.operation for call in calls.promote(1).calls if call.service not in calls.STORES)

    assert made == {
        "DescribeImages": 7,
        "DescribeSnapshots": 4,
        "DescribeKey": 2,
        "AssumeRole": 3,
        "GetRolePolicy": 1,
        "DescribeSnapshotAttribute": 6,
        "ModifySnapshotAttribute": 4,
        "CreateGrant": 1,
        "RevokeGrant": 1,
        "ListGrants": 1,
        "CopySnapshot": 2,
        "RegisterImage": 1,
        "EnableImageDeregistrationProtection": 1,
        "PutEvents": 2,
        "Publish": 2,
    }
    assert made.total() == 38


def test_the_page_is_what_the_sandbox_counts():
    """Another number of calls is a change for review. If this fails: `make docs`, and commit the result."""
    assert PAGE.read_text(encoding="utf-8") == calls.page()
