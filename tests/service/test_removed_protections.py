"""Each protection is needed: in memory, the service without it fails the named scene, by the registry's exact message.

The same scene passes with it.
"""

import pytest

from tests.protections.changes import CHANGES, make
from tests.protections.registry import PROTECTIONS, RIGHT, InMemory, changes_of, shown
from tests.protections.wrong_parts import all_raising, found_out, passes_for, raising_stores
from tests.stores import in_memory

pytestmark = pytest.mark.thorough

CASES = shown(InMemory)
every_case = pytest.mark.parametrize(("name", "scene"), CASES, ids=[name for name, _ in CASES])


def test_every_change_is_of_a_protection_and_every_protection_is_changed_and_shown():
    """What no scene shows, or no change removes, would prove nothing."""
    removed = {name for name, it in PROTECTIONS.items() if (it.parts, it.stores, it.changes) != (RIGHT, in_memory, ())}

    assert CHANGES.keys() | removed == PROTECTIONS.keys()
    assert not CHANGES.keys() & removed
    assert all(it.shows for it in PROTECTIONS.values())


@every_case
def test_without_it_the_scene_fails(monkeypatch, name, scene):
    """It fails by the named message, and by no other."""
    without = PROTECTIONS[name]
    make(without.anyway, monkeypatch.setattr)
    make(changes_of(name), monkeypatch.setattr)
    with found_out(scene.says):
        scene.play(without.parts, without.stores)


@every_case
def test_if_it_only_raises_the_test_above_fails(monkeypatch, name, scene):
    """What does not do without the protection, but raises, shows nothing."""
    without = PROTECTIONS[name]
    make(without.anyway, monkeypatch.setattr)
    make(changes_of(name), monkeypatch.setattr, raising=True)
    parts, stores = all_raising(without.parts), raising_stores(without.stores)
    assert not passes_for(scene.says, lambda: scene.play(parts, stores))


@every_case
def test_with_it_the_scene_passes(monkeypatch, name, scene):
    """Only this protection makes the difference."""
    make(PROTECTIONS[name].anyway, monkeypatch.setattr)
    scene.play(RIGHT, in_memory)
