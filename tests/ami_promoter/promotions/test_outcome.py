"""The outcome of a promotion, for commands that wait for it."""

import pytest

from ami_promoter.promotions.outcome import outcome
from ami_promoter.terminal.report import Exit
from chalicelib.engine.faults import MOST_FAULTS
from tests.ami_promoter.shown import a_delivery, a_page

DEV, PROD = "111111111111", "222222222222"
FAULT = {"code": "c", "where": "w", "what": "It is wrong.", "cure": "Mend it."}
OF_PROD = {**FAULT, "where": f"account {PROD}"}

RECALL = {"at": "09:00", "by": "jane", "why": "Bad."}


def ended(*states, **changes):
    """Build a promotion that is over, with deliveries to DEV, then PROD, in these states."""
    deliveries = [a_delivery(account, one) for account, one in zip((DEV, PROD), states, strict=False)]
    return a_page(deliveries, **({"state": "over"} | changes))


@pytest.mark.parametrize(
    ("page", "tag", "targets", "expected", "says"),
    [
        (None, "dev", (), None, "not seen the tag yet"),
        (ended("delivered"), "other", (), None, "not seen the tag's present value"),
        (ended("delivered", "shared"), "dev", (), Exit.OK, "All 2 targets have the AMI."),
        (ended("delivered"), "dev", (), Exit.OK, "Its target has the AMI."),
        (ended("delivered", "copying", state="running"), "dev", (), None, "1 of 2 deliveries has not ended"),
        (ended("delivered", "copying", state="running"), "dev", (DEV,), Exit.OK, "Its target has the AMI."),
        (ended("delivered", "copying", state="running"), "dev", (f"{PROD}/us-east-1",), None, "1 of 1"),
        (ended("delivered", "failed"), "dev", (), Exit.FAILED, "1 of 2 deliveries failed."),
        (ended("failed", "cancelled"), "dev", (), Exit.FAILED, "1 of 2 deliveries failed."),
        (ended("delivered", "cancelled"), "dev", (), Exit.CANCELLED, "1 of 2 deliveries was cancelled"),
        (ended("delivered", "recalled", recall=RECALL), "dev", (), Exit.CANCELLED, "recalled at 09:00 by jane: Bad."),
        (
            ended("recalled", "recalled", recall=RECALL),
            "dev",
            (),
            Exit.CANCELLED,
            "2 of 2 deliveries were recalled.",
        ),
        (ended("cancelled", "withdrawn"), "dev", (), Exit.CANCELLED, "2 of 2 deliveries were cancelled or withdrawn."),
        (ended("delivered", "recalling", state="running", recall=RECALL), "dev", (), None, "1 of 2 deliveries has not"),
        (ended(recall=RECALL), "dev", (), Exit.CANCELLED, "The AMI was recalled at 09:00 by jane: Bad."),
        (ended(recall=RECALL), "dev", (DEV,), Exit.CANCELLED, "no delivery: the AMI was recalled at 09:00 by jane"),
        (ended("withdrawn", seen_value=None), None, (), Exit.CANCELLED, "withdrawn"),
        (ended(seen_value=None, why="Its tag was removed."), None, (), Exit.CANCELLED, "Its tag was removed."),
        (ended("delivered"), "dev", (PROD,), Exit.FAULT, f"There is no delivery to {PROD}."),
        (
            ended("delivered", faults=[FAULT] * MOST_FAULTS),
            "dev",
            (PROD,),
            Exit.FAILED,
            f"There is no delivery to {PROD}.",
        ),
        (ended(seen_value=None, why="It is gone."), None, (DEV,), Exit.CANCELLED, "It is gone."),
        (ended("delivered", state="running"), "dev", (PROD,), None, f"no delivery to {PROD} yet"),
        (ended("delivered", refused=True, faults=[FAULT]), "dev", (), Exit.FAILED, "It is wrong. Mend it."),
        (ended("delivered", faults=[FAULT]), "dev", (), Exit.FAILED, "1 account cannot receive the AMI"),
        (ended("delivered", faults=[FAULT]), "dev", (DEV,), Exit.OK, "Its target has the AMI."),
        (ended("cancelled", faults=[FAULT]), "dev", (DEV,), Exit.FAILED, "1 account cannot receive the AMI"),
        (ended("cancelled", faults=[OF_PROD]), "dev", (DEV,), Exit.CANCELLED, "1 delivery was cancelled"),
        (ended("cancelled", faults=[OF_PROD]), "dev", (PROD,), Exit.FAILED, "There is no delivery to"),
        (ended("delivered", "cancelled", faults=[OF_PROD]), "dev", (PROD,), Exit.FAILED, "1 account cannot receive"),
        (ended("delivered", faults=[FAULT] * MOST_FAULTS), "dev", (), Exit.FAILED, "20 or more accounts cannot"),
        (ended("delivered", state="running"), "dev", (), None, "The promotion has not ended yet."),
        (ended("delivered", looks_again=True), "dev", (), None, "not looked again"),
        (ended("delivered", "failed", state="comparing"), "dev", (PROD,), None, "is checking"),
        (ended("delivered", state="comparing", refused=True, faults=[FAULT]), "dev", (), None, "is checking"),
        (ended(parked="IllegalEvent"), "dev", (), Exit.FAILED, "parked: IllegalEvent"),
    ],
)
def test_how_it_came_out(page, tag, targets, expected, says):
    """Failed comes before cancelled; there is no outcome until the tag's present value has been processed."""
    found = outcome(page, tag, targets)

    assert found.exit is expected
    assert says in found.why


def a_wave(after, group, state, **changes):
    """Build a wave of one target that waits for one failed delivery."""
    wave = {"after": after, "groups": [group], "state": state, "most_failed": 0, "pending": 0, "succeeded": 1}
    return {**wave, "failed": [f"{DEV}/us-east-1"], "waiting": 1, "opens_at": "09:00", **changes}


@pytest.mark.parametrize("targets", [(), (PROD,)])
def test_a_stopped_wave_is_a_failure(targets):
    """Nothing goes on before somebody repairs what failed, so the command does not wait; nor for what comes after."""
    stopped = a_wave("dev", "qa", "stopped")
    later = a_wave("qa", "prod", "waits", pending=1)
    page = ended("failed", "awaiting-wave", state="running", waves=[stopped, later])

    found = outcome(page, "dev", targets)
    assert found.exit is Exit.FAILED
    assert found.why == "The wave dev -> qa is stopped: 1 of `dev` failed, 0 may."


@pytest.mark.parametrize(
    ("other", "waves"),
    [
        ("delivered", [a_wave("dev", "qa", "stopped"), a_wave("canary", "eu", "soaks")]),
        ("delivered", [a_wave("dev", "qa", "stopped", waiting=0), a_wave("canary", "eu", "waits", pending=0)]),
        ("copying", [a_wave("dev", "qa", "stopped")]),
    ],
)
def test_beside_a_stopped_wave_what_can_go_on_is_awaited(other, waves):
    """Another wave can still open, or another delivery end: the outcome is not known."""
    assert outcome(ended(other, "awaiting-wave", state="running", waves=waves), "dev").exit is None


def test_a_parked_delivery_is_a_failure():
    """It continues only when a person unparks it, so the command does not wait."""
    page = ended("copying", "delivered", state="running")
    page["deliveries"][0]["parked"] = "IllegalEvent"

    assert outcome(page, "dev").exit is Exit.FAILED
