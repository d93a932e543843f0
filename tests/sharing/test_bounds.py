"""Which receivers the hub's stack admits [invariant 8]."""

import pytest

from chalicelib.sharing.bounds import NOT_ADMITTED, Bounds

A, B, HUB = "222222222222", "333333333333", "111111111111"
OURS, THEIRS = "o-a1b2c3d4e5", "o-zzzzzzzzzz"


def arn(kind: str, organization: str) -> str:
    """An OU's or organization's ARN as launch permissions name it."""
    unit = "/ou-ab12-11111111" if kind == "ou" else ""
    return f"arn:aws:organizations::900000000000:{kind}/{organization}{unit}"


UNITS = [arn(kind, one) for kind in ("ou", "organization") for one in (OURS, THEIRS)]


@pytest.mark.parametrize(
    ("bounds", "admitted"),
    [
        (Bounds(), {A, B, *UNITS}),
        (Bounds(frozenset({A, HUB})), {A}),
        (Bounds(frozenset({HUB}), OURS), {A, B, arn("ou", OURS), arn("organization", OURS)}),
        (Bounds(frozenset({A, HUB}), THEIRS), {A, B, arn("ou", THEIRS), arn("organization", THEIRS)}),
    ],
    ids=["neither parameter", "accounts alone", "an organization", "both"],
)
def test_who_is_admitted(bounds, admitted):
    """With accounts alone no unit is: nobody can say which accounts it has."""
    assert {one for one in (A, B, *UNITS) if bounds.admits(one)} == admitted


def test_the_fault_names_receiver_parameter_and_cure():
    """For a person at three in the morning."""
    bounds = Bounds(frozenset({A}))
    fault = bounds.fault("resource#image#ami-1", B)

    assert fault is not None
    assert fault.code == NOT_ADMITTED
    assert B in fault.where
    assert "TargetAccounts" in fault.what
    assert "deploy the hub" in fault.cure
    assert bounds.fault("resource#image#ami-1", A) is None
