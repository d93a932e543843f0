"""Each check can fail: a package without the protection breaks an invariant, or does not end in time."""

from dataclasses import dataclass

import pytest

from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS
from tests.reliability.modes import BY_POLICY, BY_POLICY_FAILED, COPY_IMAGE, DEREGISTERED, NARROWED, WITHDRAWN
from tests.reliability.packages import mutated_package
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


@dataclass(frozen=True)
class PackageMutation:
    """The injections and the scenario in which a mutation shows, and the machine's message."""

    says: str
    plan: RunPlan
    scenario: Scenario = DELIVERED
    in_time: float = float("inf")


def dying(function: str, operation: str, when: str, nth: int = 1) -> RunPlan:
    """A kill at one kind of call."""
    return RunPlan((FunctionCrash(nth, when, function, operation),))


def under(messages, seed=SEEDS[0]) -> RunPlan:
    """A message injection of ``test_order``."""
    return RunPlan(messages=messages, seed=seed)


MUTATIONS = {
    "forgets_intents": [PackageMutation("without an intent on record", RunPlan())],
    "does_not_look_for_copies": [PackageMutation("2 live copies", dying("worker", "CopySnapshot", "after"))],
    "does_not_look_for_images": [PackageMutation("'failed'", dying("worker", "RegisterImage", "after"))],
    "keeps_shares_on_failure": [PackageMutation("left open: [", RunPlan(), CANCELLED)],
    "believes_its_intents": [
        PackageMutation("left open", dying("share-worker", "ModifySnapshotAttribute", "before", 3))
    ],
    "renames_grants": [PackageMutation("left open", dying("share-worker", "CreateGrant", "after"))],
    "overwrites_shares": [PackageMutation("left open", under(SHARE_WORKER_TWICE, 15))],
    "discovers_nothing": [PackageMutation("not within", under(NO_EVENTS))],
    "sweep_wakes_nothing": [PackageMutation("not within", under(NO_WAKES))],
    "counts_every_tag_event_as_new": [
        PackageMutation("told", under(THREE_TIMES), FAILED),
        PackageMutation("told", under(SHUFFLED), FAILED),
        PackageMutation("told", under(A_DAY_LATE), FAILED),
    ],
    "writes_look_ups_late": [PackageMutation("late", under(EARLY), AT_ONCE, AT_ONCE_SECONDS)],
    "last_writer_wins": [PackageMutation("2 live copies", under(WORKER_TWICE))],
    "withdraws_one_share": [
        PackageMutation("left open", RunPlan(), WITHDRAWN),
        PackageMutation("open: [", RunPlan(), NARROWED),
    ],
    "writes_no_ledger_intent": [PackageMutation("is changed while its share is wanted", RunPlan(), BY_POLICY)],
    "renames_copied_images": [PackageMutation("failed", dying("worker", "CopyImage", "after"), COPY_IMAGE)],
    "revokes_no_role_grants": [PackageMutation("1 grants to Auto Scaling", RunPlan(), BY_POLICY_FAILED)],
    "ignores_standing_shares": [PackageMutation("not within", under(NO_EVENTS), DEREGISTERED)],
}
CASES = [(name, mutation) for name, mutations in MUTATIONS.items() for mutation in mutations]


@pytest.mark.parametrize(("name", "mutation"), CASES, ids=[f"{name}-{mutation.plan}" for name, mutation in CASES])
def test_a_wrong_package_is_found_out(machine, tmp_path, name, mutation):
    """Its message is the expected one; the built package passes ``test_order`` with the same message injections."""
    (found,) = machine.play(mutation.scenario.name, [mutation.plan], mutated_package(name, tmp_path))
    assert mutation.says in said(found, mutation)

    if mutation.plan.crashes:
        (right,) = machine.play(mutation.scenario.name, [mutation.plan])
        assert said(right, mutation) == ""


def said(outcome, mutation):
    """What is wrong with an outcome."""
    late = [f"late: {outcome.ended} s"] if outcome.ended > mutation.in_time else []
    return "\n".join([*outcome.problems, *late])
