"""What ``verify`` says of what could not be read, and of what the targets file does not ask for."""

import pytest

from ami_promoter.reconcile.facts import TargetFacts
from ami_promoter.reconcile.verify_checks import SeenInTarget, checks
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.inventory.machine import OwnImage

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


@pytest.mark.parametrize("wanted", [True, False])
def test_an_ami_is_to_be_protected_only_where_the_file_asks_for_it(wanted):
    """With `protect: false` there is no such check."""
    there = OwnImage("ami-1", "golden", "available", "d", "ami-0")
    delivery = {"account": "111111111111", "region": "us-east-1", "state": "delivered", "image": "ami-1"}
    delivery |= {"protect": wanted, "unprotected": None, "copies": [], "key": None}

    found = checks(delivery, SeenInTarget({Place("111111111111", "us-east-1"): TargetFacts((there,))}, {}))

    assert [one["passed"] for one in found if one["check"] == "protection"] == [False] * wanted
