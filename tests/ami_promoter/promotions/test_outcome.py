"""The outcome of a promotion, for commands that wait for it."""

import pytest

from ami_promoter.promotions.outcome import outcome
from ami_promoter.terminal.exits import Exit
from chalicelib.promotion.model import MOST_FAULTS

DEV, PROD = "111111111111", "222222222222"
FAULT = {"code": "c", "where": "w", "what": "It is wrong.", "cure": "Mend it."}

RECALL = {"at": "09:00", "by": "jane", "why": "Bad."}


def a_page(*states, state="over", **changes):
    """Build what `promotion_data.page` returns: deliveries to DEV, then PROD, in these states."""
    deliveries = [
        {"account": account, "region": "us-east-1", "state": one, "parked": ""}
        for account, one in zip((DEV, PROD), states, strict=False)
    ]
    page = {
        "parked": "",
        "seen_value": "dev",
        "looks_again": False,
        "refused": False,
        "faults": [],
        "withdrawn": {},
        "recall": None,
        "state": state,
        "why": "",
    }
    return {**page, "deliveries": deliveries, **changes}


@pytest.mark.parametrize(
    ("page", "tag", "targets", "expected", "says"),
    [
        (None, "dev", (), None, "not seen the tag yet"),
        (a_page("delivered"), "other", (), None, "not seen the tag's present value"),
        (a_page("delivered", "shared"), "dev", (), Exit.OK, "All 2 targets have the AMI."),
        (a_page("delivered"), "dev", (), Exit.OK, "Its target has the AMI."),
        (a_page("delivered", "copying", state="running"), "dev", (), None, "1 of 2 deliveries has not ended"),
        (a_page("delivered", "copying", state="running"), "dev", (DEV,), Exit.OK, "Its target has the AMI."),
        (a_page("delivered", "copying", state="running"), "dev", (f"{PROD}/us-east-1",), None, "1 of 1"),
        (a_page("delivered", "failed"), "dev", (), Exit.FAILED, "1 of 2 deliveries failed."),
        (a_page("failed", "cancelled"), "dev", (), Exit.FAILED, "1 of 2 deliveries failed."),
        (a_page("delivered", "cancelled"), "dev", (), Exit.CANCELLED, "1 of 2 deliveries was cancelled"),
        (a_page("delivered", "recalled", recall=RECALL), "dev", (), Exit.CANCELLED, "recalled at 09:00 by jane: Bad."),
        (
            a_page("delivered", "recalling", state="running", recall=RECALL),
            "dev",
            (),
            None,
            "1 of 2 deliveries has not",
        ),
        (a_page(recall=RECALL), "dev", (), Exit.CANCELLED, "The AMI was recalled at 09:00 by jane: Bad."),
        (a_page(recall=RECALL), "dev", (DEV,), Exit.CANCELLED, "no delivery: the AMI was recalled at 09:00 by jane"),
        (a_page("withdrawn", seen_value=None), None, (), Exit.CANCELLED, "withdrawn"),
        (a_page(seen_value=None, why="Its tag was removed."), None, (), Exit.CANCELLED, "Its tag was removed."),
        (a_page("delivered"), "dev", (PROD,), Exit.FAILED, f"There is no delivery to {PROD}."),
        (a_page("delivered", state="running"), "dev", (PROD,), None, f"no delivery to {PROD} yet"),
        (a_page("delivered", refused=True, faults=[FAULT]), "dev", (), Exit.FAILED, "It is wrong. Mend it."),
        (a_page("delivered", faults=[FAULT]), "dev", (), Exit.FAILED, "1 account cannot receive the AMI"),
        (a_page("delivered", faults=[FAULT] * MOST_FAULTS), "dev", (), Exit.FAILED, "20 or more accounts cannot"),
        (a_page("delivered", state="running"), "dev", (), None, "The promotion has not ended yet."),
        (a_page("delivered", looks_again=True), "dev", (), None, "not looked again"),
        (a_page("delivered", "failed", state="comparing"), "dev", (PROD,), None, "is checking"),
        (a_page("delivered", state="comparing", refused=True, faults=[FAULT]), "dev", (), None, "is checking"),
        (a_page(parked="IllegalEvent"), "dev", (), Exit.FAILED, "parked: IllegalEvent"),
    ],
)
def test_how_it_came_out(page, tag, targets, expected, says):
    """Failed comes before cancelled; there is no outcome until the tag's present value has been processed."""
    found = outcome(page, tag, targets)

    assert found.exit is expected
    assert says in found.why


def test_a_parked_delivery_is_a_failure():
    """It continues only when a person unparks it, so the command does not wait."""
    page = a_page("copying", "delivered", state="running")
    page["deliveries"][0]["parked"] = "IllegalEvent"

    assert outcome(page, "dev").exit is Exit.FAILED
