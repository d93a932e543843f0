"""Each protection is needed: in memory, the service without it fails the named scene, by the registry's exact message.

The same scene passes with it.
"""

import re

import pytest

from tests.protections.changes import CHANGES, make
from tests.protections.registry import PROTECTIONS, InMemory, changes_of, shown

pytestmark = pytest.mark.thorough

CASES = shown(InMemory)
every_case = pytest.mark.parametrize(("name", "scene"), CASES, ids=[name for name, _ in CASES])


def test_every_change_is_of_a_protection_and_every_protection_is_changed_and_shown():
    """What no scene shows, or no change removes, would prove nothing."""
    of_the_tests = {name for name, it in PROTECTIONS.items() if it.changes}

    assert CHANGES.keys() | of_the_tests == PROTECTIONS.keys()
    assert all(it.shows for it in PROTECTIONS.values())


def test_each_is_played_in_memory_and_against_the_package_or_says_why_not():
    """A reason that no longer holds goes with the scene that is added."""
    in_both = {name for name, it in PROTECTIONS.items() if len({type(one) is InMemory for one in it.shows}) == 2}

    assert {name for name, it in PROTECTIONS.items() if not it.alone} == in_both


@every_case
def test_without_it_the_scene_fails(monkeypatch, name, scene):
    """It fails by the named message, and by no other."""
    make((*PROTECTIONS[name].anyway, *changes_of(name)), monkeypatch.setattr)
    with pytest.raises(AssertionError, match=rf"(?s)\A(?:{scene.says})\Z"):
        scene.play()


@every_case
def test_if_it_only_raises_the_test_above_fails(monkeypatch, name, scene):
    """What does not do without the protection, but raises, shows nothing."""
    make(PROTECTIONS[name].anyway, monkeypatch.setattr)
    make(changes_of(name), monkeypatch.setattr, raising=True)
    said = ""
    try:
        scene.play()
    except AssertionError as error:
        said = str(error)
    except Exception:  # noqa: BLE001 - any other error makes the test above red, too
        return
    assert not re.fullmatch(scene.says, said, re.DOTALL)


@every_case
def test_with_it_the_scene_passes(monkeypatch, name, scene):
    """Only this protection makes the difference."""
    make(PROTECTIONS[name].anyway, monkeypatch.setattr)
    scene.play()
