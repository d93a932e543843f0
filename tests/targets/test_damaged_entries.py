"""What an entry of the operators' table means that somebody has changed by hand."""

import json

import pytest
from boto3.dynamodb.types import Binary

from chalicelib.targets import approvals, recalls, withdrawals

DEV = "222222222222"
ENDLESS = "1e999"
"""A number of JSON that no whole number can hold."""
BINARY = Binary(b"{}")
"""A value of DynamoDB that is no text."""


@pytest.mark.parametrize(
    "text", [BINARY, "no JSON", "[]", "7", "{}", f'{{"at": {ENDLESS}, "by": "ann", "value": "dev"}}']
)
def test_a_damaged_withdrawal_stays_in_force(text):
    """So no damage brings an account back, and none stops the promotion, which would keep shares open."""
    found = withdrawals.read(DEV, text)

    assert withdrawals.in_force([found], {"dev"}, 10**10) == (found,)


def test_a_withdrawal_that_has_lost_its_value_is_for_every_value():
    """Until EC2 has shown another value since it was made."""
    found = withdrawals.read(DEV, '{"at": 7, "by": "ann", "value": null}')

    assert withdrawals.in_force([found], {"dev"}, 7) == (found,)
    assert not withdrawals.in_force([found], {"dev"}, 8)


@pytest.mark.parametrize(
    "text", [BINARY, "no JSON", "[]", "{}", f'{{"at": {ENDLESS}, "by": "ann", "why": "It is bad."}}']
)
def test_a_damaged_recall_stays_in_force(text):
    """It says that its entry cannot be read."""
    assert recalls.read(text).by == "an operator, by an entry that cannot be read"


@pytest.mark.parametrize("text", [BINARY, "no JSON", "[]", "{}", f'{{"digest": "d", "at": {ENDLESS}, "until": 9}}'])
def test_a_damaged_approval_approves_nothing(text):
    """Nor does it stop the delivery that asks for it."""
    assert approvals.read(f"{DEV}/us-east-1", "ann", text) is None


@pytest.mark.parametrize("changes", [{"made_at": None}, {"source": 7}, {"at": float("inf")}, {"held": True}])
def test_a_damaged_pin_is_refused(changes):
    """It must not be compared with releases: the pointer's run would raise each time, and park it."""
    pin = {"source": "ami-0a", "made_at": "2026-01-02T00:00:00.000Z", "at": 7, "by": "ann", "why": ""}
    with pytest.raises(ValueError, match="pin"):
        recalls.read_pin(json.dumps({**pin, **changes}))
