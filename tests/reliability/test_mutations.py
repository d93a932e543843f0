"""Each check can fail: a package without the protection breaks an invariant, or does not end in time."""

import re
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tests.reliability.ending import AT_ONCE_SECONDS, SEEDS
from tests.reliability.modes import BY_POLICY, BY_POLICY_FAILED, COPY_IMAGE, DEREGISTERED, NARROWED, WITHDRAWN
from tests.reliability.packages import MUTATIONS as FOLDER
from tests.reliability.packages import mutated_package, mutation_of, raising
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
from tests.reliability.scenario_run import TIMED_OUT
from tests.reliability.scenarios import AT_ONCE, CANCELLED, DELIVERED, FAILED, Scenario


@dataclass(frozen=True)
class PackageMutation:
    """The injections and the scenario in which a mutation shows, and all that the machine says then."""

    says: tuple[str, ...]
    plan: RunPlan
    scenario: Scenario = DELIVERED
    in_time: float = float("inf")
    besides: str = ""
    """A message that may come, too: it depends on the order of the calls of two invocations."""
    seeds: Sequence[int] = ()
    """Seeds to try for the plan, until one shows the mutation: some orders of two invocations' calls do."""


def dying(function: str, operation: str, when: str, nth: int = 1) -> RunPlan:
    """A kill at one kind of call."""
    return RunPlan((FunctionCrash(nth, when, function, operation),))


def under(messages, seed=SEEDS[0]) -> RunPlan:
    """A message injection of ``test_order``."""
    return RunPlan(messages=messages, seed=seed)


BROKEN = "an invariant is broken"
WORDS = {
    r"^\d\d:\d\d:\d\d: ": "",
    r"arn:aws:kms:[\w:-]+/[0-9a-f-]{36}": "the key",
    r"\b(snap|ami)-[0-9a-f]{17}\b": r"\1",
    r"\b[0-9a-f]{20,64}\b": "id",
    "(the key's policy is now) .*": r"\1 another",
}
"""What stands for ids and times in a message."""
KEY, ROLE = "the key", "arn:aws:iam::222222222222:role"
SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
SNAPSHOT = "snap of 111111111111 in us-east-1 to UserId 222222222222"
COPY_GRANT = f"{KEY} grant id to {ROLE}/AmiCopyRole"
STATEMENTS = [
    f"{KEY} statement AmiPromoter111111111111useast1To222222222222{audience} for arn:aws:iam::222222222222:root"
    for audience in ("Account", "AccountLook", "Roles")
]
SHARED = [f"{KEY} grant id to {ROLE}/{SCALING}", *STATEMENTS, SNAPSHOT, SNAPSHOT]
"""All that is open to an account in share mode, without the launch permission."""
TO_BOTH = [
    "ami of 111111111111 in us-east-1 to UserId 222222222222",
    f"{KEY} grant id to {ROLE.replace('2', '3')}/{SCALING}",
    SHARED[0],
    *STATEMENTS,
    *(one.replace("222222222222", "333333333333") for one in STATEMENTS),
    SNAPSHOT,
    SNAPSHOT.replace("222222222222", "333333333333"),
    SNAPSHOT,
    SNAPSHOT.replace("222222222222", "333333333333"),
]
ILLEGAL = "ami-promoter-us-east-1-share-worker error: IllegalEvent"
UNWRITTEN = "snap is copied without an intent on record (invariant 3)"
UNEXPECTED = "is not expected in state closed."
FAILED_AND_OVER = "told [('delivery.failed', 'id'), ('promotion.over', 'id')]"
TWICE = (
    "told [('delivery.failed', 'id'), ('delivery.failed', 'id'), ('promotion.over', 'id'), ('promotion.over', 'id')]",
)


def left_open(*shares: str) -> tuple[str, ...]:
    """The machine's messages about shares that stay open."""
    return tuple(f"left open: {share}" for share in shares)


MUTATIONS = {
    "forgets_intents": [PackageMutation((BROKEN, UNWRITTEN), RunPlan())],
    "does_not_look_for_copies": [
        PackageMutation((BROKEN, "2 live copies for ('id', 'snap')"), dying("worker", "CopySnapshot", "after"))
    ],
    "does_not_look_for_images": [
        PackageMutation(
            ("0 AMIs", "snapshots set(), used set()", "states {'222222222222': 'failed'}", FAILED_AND_OVER),
            dying("worker", "RegisterImage", "after"),
        )
    ],
    "keeps_shares_on_failure": [
        PackageMutation(left_open(COPY_GRANT, SNAPSHOT, SNAPSHOT), RunPlan(), CANCELLED),
    ],
    "believes_its_intents": [
        PackageMutation(
            (
                *left_open(SNAPSHOT),
                f"{ILLEGAL}: resource#snapshot#snap, share#222222222222: PermissionRemoved {UNEXPECTED}",
                f"{ILLEGAL}: resource#key#{KEY}#222222222222, share#id-AmiCopyRole: LookedAfter {UNEXPECTED}",
            ),
            dying("share-worker", "ModifySnapshotAttribute", "before", 3),
        )
    ],
    "renames_grants": [PackageMutation(left_open(COPY_GRANT), dying("share-worker", "CreateGrant", "after"))],
    "overwrites_shares": [PackageMutation(left_open(SNAPSHOT), under(SHARE_WORKER_TWICE), seeds=range(1, 19))],
    "discovers_nothing": [PackageMutation(("nobody has looked at the tagged AMI",), under(NO_EVENTS))],
    "sweep_wakes_nothing": [
        PackageMutation(
            (f"nobody looks at what is due: resource#grants#{KEY}", "nobody looks at what is due: promotion#ami"),
            under(NO_WAKES),
        )
    ],
    "counts_every_tag_event_as_new": [
        PackageMutation(TWICE, under(THREE_TIMES), FAILED),
        PackageMutation(TWICE, under(SHUFFLED), FAILED),
        PackageMutation(TWICE, under(A_DAY_LATE), FAILED),
    ],
    "writes_look_ups_late": [PackageMutation(("late",), under(EARLY), AT_ONCE, AT_ONCE_SECONDS)],
    "last_writer_wins": [
        PackageMutation((BROKEN, "2 live copies for ('id', 'snap')"), under(WORKER_TWICE), besides=UNWRITTEN)
    ],
    "withdraws_one_share": [
        PackageMutation(
            (f"open: {sorted(SHARED)}", "the key's policy is now another", *left_open(*SHARED)), RunPlan(), WITHDRAWN
        ),
        PackageMutation((f"open: {sorted(TO_BOTH)}",), RunPlan(), NARROWED),
    ],
    "writes_no_ledger_intent": [
        PackageMutation(
            (BROKEN, f"resource#policy#{KEY}, 222222222222 is changed while its share is wanted (invariant 3)"),
            RunPlan(),
            BY_POLICY,
        )
    ],
    "renames_copied_images": [
        PackageMutation(
            (
                "states {'222222222222': 'failed'}",
                FAILED_AND_OVER,
                "0 AMIs in 222222222222, us-east-1",
                "snapshots set(), used set() in 222222222222, us-east-1",
            ),
            dying("worker", "CopyImage", "after"),
            COPY_IMAGE,
        )
    ],
    "revokes_no_role_grants": [
        PackageMutation(("1 grants to Auto Scaling on the target's key",), RunPlan(), BY_POLICY_FAILED)
    ],
    "ignores_standing_shares": [
        PackageMutation(
            (
                *(f"open, and nobody is entitled: {share}" for share in SHARED),
                "preexisting, and gone: ami of 111111111111 in us-east-1 to UserId 444444444444",
            ),
            under(NO_EVENTS),
            DEREGISTERED,
        )
    ],
}
CASES = [(name, mutation) for name, mutations in MUTATIONS.items() for mutation in mutations]
every_case = pytest.mark.parametrize(
    ("name", "mutation"), CASES, ids=[f"{name}-{mutation.plan}" for name, mutation in CASES]
)


def test_every_mutation_has_a_case():
    """A file that no case plays would show nothing."""
    assert {path.stem for path in FOLDER.glob("*.py")} == set(MUTATIONS)


@every_case
def test_a_wrong_package_is_found_out(machine, tmp_path, name, mutation):
    """By these messages and no others; the built package passes ``test_order`` with the same message injections."""
    package = mutated_package(tmp_path, mutation_of(name))
    for plan in (mutation.plan, *(replace(mutation.plan, seed=seed) for seed in mutation.seeds)):
        (found,) = machine.play(mutation.scenario.name, [plan], package)
        if said(found, mutation) == [*mutation.says]:
            break
    assert said(found, mutation) == [*mutation.says], str(found)

    if mutation.plan.crashes:
        (right,) = machine.play(mutation.scenario.name, [mutation.plan])
        assert said(right, mutation) == []


@every_case
def test_a_package_that_does_not_start_is_found_out_as_such(machine, tmp_path, name, mutation):
    """Where a mutation no longer fits the code, its case fails."""
    unfit = mutated_package(tmp_path, "from chalicelib import what_was_renamed")
    (found,) = machine.play(mutation.scenario.name, [mutation.plan], unfit)
    (why,) = said(found, mutation)
    assert why.startswith("the package does not start: ImportError(")
    assert why not in mutation.says


@pytest.mark.parametrize(
    ("name", "mutation"), [(name, first) for name, (first, *_) in MUTATIONS.items()], ids=MUTATIONS
)
def test_a_mutation_that_only_raises_fails_its_case(machine, tmp_path, name, mutation):
    """What the mutation replaces raises: a case that passed so would show that the code is called, and no more."""
    (found,) = machine.play(mutation.scenario.name, [mutation.plan], mutated_package(tmp_path, raising(name)))
    assert said(found, mutation) != [*mutation.says]
    assert any("error: Replaced: by the meta-test" in problem for problem in found.problems), str(found)


def said(outcome, mutation):
    """What is wrong with an outcome, without ids and times; that the time was over is no finding."""
    late = ["late"] if outcome.ended > mutation.in_time else []
    found = [without_ids(problem) for problem in (*outcome.problems, *late) if problem != TIMED_OUT]
    return [problem for problem in found if problem != mutation.besides]


def without_ids(problem):
    """Put words for what differs from run to run, and for the text of a key's policy."""
    for pattern, word in WORDS.items():
        problem = re.sub(pattern, word, problem, flags=re.DOTALL)
    if problem.startswith("open: ["):  # listed by ids, which differ
        return f"open: {sorted(literal_eval(problem.removeprefix('open: ')))}"
    return problem
