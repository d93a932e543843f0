"""Each check can fail: a package without the protection breaks an invariant, or does not end in time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.reliability.modes import BY_POLICY, BY_POLICY_FAILED, DEREGISTERED, NARROWED, WHOLE, WITHDRAWN
from tests.reliability.packages import wrong_package
from tests.reliability.plans import (
    A_DAY_LATE,
    EARLY,
    NO_EVENTS,
    NO_WAKES,
    SHARE_WORKER_TWICE,
    SHUFFLED,
    THREE_TIMES,
    WORKER_TWICE,
    FunctionCrash,
    RunPlan,
)
from tests.reliability.scenarios import AT_ONCE, CANCELLED, DELIVERED, FAILED, Scenario
from tests.reliability.test_order import AT_ONCE_SECONDS, SEEDS


@dataclass(frozen=True)
class Loss:
    """The faults and the scenario in which a loss shows, and the machine's message."""

    says: str
    plan: RunPlan
    scenario: Scenario = DELIVERED
    in_time: float = float("inf")


def dying(function: str, operation: str, when: str, nth: int = 1) -> RunPlan:
    """A kill at one kind of call."""
    return RunPlan((FunctionCrash(nth, when, function, operation),))


def under(weather, seed=SEEDS[0]) -> RunPlan:
    """A message fault of ``test_order``."""
    return RunPlan(weather=weather, seed=seed)


LOSSES = {
    "forgets_intents": [Loss("without an intent on record", RunPlan())],
    "does_not_look_for_copies": [Loss("2 live copies", dying("worker", "CopySnapshot", "after"))],
    "does_not_look_for_images": [Loss("'failed'", dying("worker", "RegisterImage", "after"))],
    "keeps_shares_on_failure": [Loss("left open: [", RunPlan(), CANCELLED)],
    "believes_its_intents": [Loss("left open", dying("share-worker", "ModifySnapshotAttribute", "before", 3))],
    "names_grants_anew": [Loss("left open", dying("share-worker", "CreateGrant", "after"))],
    "shares_carelessly": [Loss("left open", under(SHARE_WORKER_TWICE, 15))],
    "discovers_nothing": [Loss("not within", under(NO_EVENTS))],
    "sleeps": [Loss("not within", under(NO_WAKES))],
    "takes_arrivals_for_news": [
        Loss("told", under(THREE_TIMES), FAILED),
        Loss("told", under(SHUFFLED), FAILED),
        Loss("told", under(A_DAY_LATE), FAILED),
    ],
    "finds_copies_afterwards": [Loss("late", under(EARLY), AT_ONCE, AT_ONCE_SECONDS)],
    "last_writer_wins": [Loss("2 live copies", under(WORKER_TWICE))],
    "withdraws_the_first": [Loss("left open", RunPlan(), WITHDRAWN), Loss("open: [", RunPlan(), NARROWED)],
    "shares_off_the_books": [Loss("is changed while its share is wanted", RunPlan(), BY_POLICY)],
    "names_whole_copies_anew": [Loss("failed", dying("worker", "CopyImage", "after"), WHOLE)],
    "leaves_service_roles_in": [Loss("1 grants to Auto Scaling", RunPlan(), BY_POLICY_FAILED)],
    "forgets_what_stands": [Loss("not within", under(NO_EVENTS), DEREGISTERED)],
}
CASES = [(wrong, loss) for wrong, losses in LOSSES.items() for loss in losses]


@pytest.mark.parametrize(("wrong", "loss"), CASES, ids=[f"{wrong}-{loss.plan}" for wrong, loss in CASES])
def test_a_wrong_package_is_found_out(machine, tmp_path, wrong, loss):
    """Its message is the expected one; the built package passes ``test_order`` with the same message faults."""
    (found,) = machine.play(loss.scenario.name, [loss.plan], wrong_package(wrong, tmp_path))
    assert loss.says in said(found, loss)

    if loss.plan.crashes:
        (right,) = machine.play(loss.scenario.name, [loss.plan])
        assert said(right, loss) == ""


def said(outcome, loss):
    """What is wrong with an outcome."""
    late = [f"late: {outcome.ended} s"] if outcome.ended > loss.in_time else []
    return "\n".join([*outcome.problems, *late])
