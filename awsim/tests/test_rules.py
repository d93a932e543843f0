"""Every rule of the simulator has a check, and every check can fail."""

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import suppress

import pytest

import awsim
from awsim.rules import ALL, Rule, Rules
from awsim.world import World
from platform_words import checks_of

Check = Callable[[World], None]


def _import_all() -> None:
    for module in pkgutil.walk_packages(awsim.__path__, "awsim."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


_import_all()
CHECKS = list(checks_of("checks_*.py"))


def test_every_rule_has_exactly_one_check() -> None:
    """A rule without a check, a check without a rule, and a rule with two checks are errors."""
    assert sorted(name for name, _ in CHECKS) == sorted(ALL)


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=[name for name, _ in CHECKS])
def test_rule_holds(world: World, name: str, check: Check) -> None:
    """With all rules on, the simulator behaves as the rule says."""
    check(world)


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=[name for name, _ in CHECKS])
def test_check_fails_without_its_rule(world: World, name: str, check: Check) -> None:
    """With the rule off, its check fails."""
    with world.rules.off(ALL[name]), pytest.raises(AssertionError):
        check(world)


class BrokenSimulatorError(RuntimeError):
    """Where a rule is asked, the simulator breaks."""


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=[name for name, _ in CHECKS])
def test_check_does_not_fail_in_a_broken_simulator(
    world: World, name: str, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no AssertionError makes the test above red: a rule that only raises proves nothing of its check."""
    on = Rules.on

    def breaks(rules: Rules, rule: Rule) -> bool:
        if rule is ALL[name]:
            raise BrokenSimulatorError
        return on(rules, rule)

    monkeypatch.setattr(Rules, "on", breaks)
    with suppress(RuntimeError):
        check(world)
