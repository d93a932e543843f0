"""Each check of the machine can fail: a package without the protection breaks an invariant, or does not end in time.

A scenario or story fails with it by its own assertion; it passes with the built package where it stands.
"""

import re
from ast import literal_eval
from dataclasses import replace
from pathlib import Path

import pytest

from tests.protections.registry import Packaged, Simulated, shown
from tests.reliability.packages import changed_package, mutated_package
from tests.reliability.plans import RunPlan
from tests.reliability.scenario_run import TIMED_OUT, install
from tests.reliability.scenarios import DELIVERED

pytestmark = pytest.mark.thorough

WORDS = {
    r"^\d\d:\d\d:\d\d: ": "",
    r"arn:aws:kms:[\w:-]+/[0-9a-f-]{36}": "the key",
    r"\b(snap|ami|i)-[0-9a-f]{17}\b": r"\1",
    r"\b[0-9a-f]{20,64}\b": "id",
    "resource#.* opens for": "a share opens for",
    "(the key's policy is now) .*": r"\1 another",
}
"""What stands in a message for ids, times, and whichever of a delivery's shares opens first."""
CASES = shown(Packaged)
FIRST = dict(reversed(CASES))
"""The first case of each protection."""
SCENES = shown(Simulated)
every_case = pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case.plan}" for name, case in CASES])


@every_case
def test_a_wrong_package_is_found_out(machine, tmp_path, name, case):
    """By these messages and no others; the built package passes ``test_order`` with the same message injections."""
    package = mutated_package(tmp_path, name)
    for plan in (case.plan, *(replace(case.plan, seed=seed) for seed in case.seeds)):
        (found,) = machine.play(case.scenario.name, [plan], package)
        if said(found, case) == [*case.says]:
            break
    assert said(found, case) == [*case.says], str(found)

    if case.plan.crashes:
        (right,) = machine.play(case.scenario.name, [case.plan])
        assert said(right, case) == []


def test_a_package_that_does_not_start_is_found_out_as_such(machine, tmp_path):
    """Where a change no longer fits the code, each of its cases fails: it ends before the scenario's first act."""
    unfit = changed_package(tmp_path, "from chalicelib import what_was_renamed")
    (found,) = machine.play(DELIVERED.name, [RunPlan()], unfit)
    (why,) = found.problems
    assert why.startswith("the package does not start: ImportError(")
    assert not [name for name, case in CASES if why in case.says]


@pytest.mark.parametrize(("name", "case"), FIRST.items(), ids=FIRST)
def test_a_change_that_only_raises_fails_its_case(machine, tmp_path, name, case):
    """What the change replaces raises: a case that passed so would show that the code is called, and no more."""
    (found,) = machine.play(case.scenario.name, [case.plan], mutated_package(tmp_path, name, raising=True))
    assert said(found, case) != [*case.says]
    assert any("error: Replaced: by the meta-test" in problem for problem in found.problems), str(found)


@pytest.mark.parametrize(("name", "it"), SCENES, ids=[name for name, _ in SCENES])
def test_a_wrong_package_fails_its_scene(scene, tmp_path, name, it):
    """By this message and no other; a change that only raises fails the same protection's scene in memory."""
    install(scene, Path(mutated_package(tmp_path, name)))
    with pytest.raises(AssertionError, match=rf"(?s)\A(?:{it.says})\Z"):
        it.play(scene)


def said(outcome, case):
    """What is wrong with an outcome, without ids and times; that the time was over is no finding."""
    late = ["late"] if outcome.ended > case.in_time else []
    found = [without_ids(problem) for problem in (*outcome.problems, *late) if problem != TIMED_OUT]
    return [problem for problem in found if problem != case.besides]


def without_ids(problem):
    """Put words for what differs from run to run, and for the text of a key's policy."""
    for pattern, word in WORDS.items():
        problem = re.sub(pattern, word, problem, flags=re.DOTALL)
    if problem.startswith("open: ["):  # listed by ids, which differ
        return f"open: {sorted(literal_eval(problem.removeprefix('open: ')))}"
    return problem
