"""Which withdrawals count, as the command line reads them from an AMI's record: as the service does."""

import pytest

from ami_promoter.hub.withdrawals import counts_from, in_force, over
from chalicelib.promotion.model import Promotion
from chalicelib.targets import withdrawals
from chalicelib.targets.withdrawals import WITHOUT_END, Withdrawal

DEV, PROD = "111111111111", "222222222222"


def a_promotion(**changes):
    """Build a promotion whose value has been in force since 1000, after another one until 900."""
    known = {"value": "dev", "seen_value": "dev", "in_force_since": 1000, "withdrawals_from": 900}
    return Promotion("ami-1", "123456789012", "us-east-1", **{**known, **changes})


def a_withdrawal(at, value="dev", place=DEV):
    return Withdrawal(place, at, "ann", value)


def as_the_service(promotion, found, value):
    """Return what the service takes into account when it has seen this value."""
    refused = value == promotion.refused_value
    counts = promotion.withdrawals_count_from(promotion.value if refused else value)
    return withdrawals.in_force(found, {value, promotion.value if refused else value}, counts)


@pytest.mark.parametrize(
    ("changes", "value", "one", "counts"),
    [
        ({}, "dev", a_withdrawal(1100), True),
        ({}, "dev", a_withdrawal(950), True),
        ({}, "dev", a_withdrawal(899), False),
        ({}, "dev prod", a_withdrawal(1100), False),
        ({}, "dev prod", a_withdrawal(1100, "dev prod"), True),
        ({}, "dev prod", a_withdrawal(999, "dev prod"), False),
        ({"refused_value": "dve", "seen_value": "dve"}, "dve", a_withdrawal(950), True),
        ({"refused_value": "dve", "seen_value": "dve"}, "dve", a_withdrawal(1100, "dve"), True),
        ({"value": None}, "dev", a_withdrawal(950), False),
        ({}, "dev", a_withdrawal(WITHOUT_END, None), True),
    ],
    ids=[
        "now",
        "before the value that is in force again",
        "before another value",
        "the tag has another value",
        "of a value that the service has not seen yet",
        "of that value when the tag had it long ago",
        "a value that is refused ends nothing",
        "withdrawn under the refused value",
        "the tag was removed since",
        "a damaged one",
    ],
)
def test_what_counts_is_what_the_service_takes_into_account(changes, value, one, counts):
    """Another value, or none, ends a withdrawal; the same value, however often it is written, does not."""
    promotion = a_promotion(**changes)

    assert (in_force([one], promotion, value) == (one,)) is counts
    assert (as_the_service(promotion, [one], value) == (one,)) is counts


def test_what_is_removed_has_ended_whatever_becomes_of_the_tags_present_value():
    """A value that the service has not seen yet may be refused, and then the earlier withdrawals still count.

    One that cannot be read has no end, whatever the record says.
    """
    record = a_promotion()
    found = [a_withdrawal(899), a_withdrawal(1100, place=PROD)]

    assert in_force(found, record, "dve") == ()
    assert over(found, record) == [DEV]
    assert over([a_withdrawal(WITHOUT_END, None)], a_promotion(withdrawals_from=WITHOUT_END + 1)) == []


def test_without_a_record_every_withdrawal_of_the_value_counts():
    """It may have been lost."""
    assert in_force([a_withdrawal(1), a_withdrawal(1, "prod")], None, "dev") == (a_withdrawal(1),)
    assert counts_from(None, "dev") == 0
