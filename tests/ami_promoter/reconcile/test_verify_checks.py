"""What ``verify`` says of what could not be read."""

import pytest

from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.verify_checks import SeenInTarget, checks
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place

KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@pytest.mark.parametrize("state", ["delivered", "shared"])
@pytest.mark.parametrize(
    ("where", "unseen"),
    [("snap-1", "snapshot-permissions"), ("ami-1", "launch-permission"), (KEY, "key-grants")],
)
def test_what_could_not_be_read_is_not_said_to_be_closed(state, where, unseen):
    """The check of these permissions, and no other, could not be made."""
    fault = Fault("not-seen", where, "It cannot be read.", "Repair that.")
    delivery = {"account": "111111111111", "region": "us-east-1", "state": state, "image": None}

    found = checks(
        delivery, SeenInTarget({Place("111111111111", "us-east-1"): TargetFacts(fault=fault)}, {}, unread=(fault,))
    )

    blind = [(one["check"], one["what"]) for one in found if one["passed"] is None and one["check"] != "answers"]
    assert blind == [(unseen, f"{where}: It cannot be read.")]
