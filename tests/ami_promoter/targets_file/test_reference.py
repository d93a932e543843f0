"""The schema, the settings of a target and docs/reference/settings.md say the same."""

import dataclasses
import re
from pathlib import Path

import pytest

from ami_promoter.targets_file.settings import BUILT_IN, is_duration, table
from ami_promoter.terminal.report import duration
from chalicelib.targets.applied_file import Target

ROOT = Path(__file__).parents[3]
FAULTS = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
SETTINGS = table()

WRITTEN_AS = {"by_way_of_hub": "by_way_of"}
"""Settings that have another name in a target, which has the hub's account where the file says `true`."""


def built_in(name):
    """Return a target's default, as the file would write it."""
    value = BUILT_IN[WRITTEN_AS.get(name, name)]
    if is_duration(name):
        return duration(value)
    if name == "by_way_of_hub":
        return bool(value)
    return list(value) if isinstance(value, tuple) else value


def test_every_setting_of_a_target_can_be_written_and_nothing_else():
    """The schema has each setting of a target; `regions` stands for its Region.

    Resolving sets its OU, and the compiler whether its roles are the default. Only an account can have a name.
    """
    beside = {"account", "region", "unit", "roles_by_default", "name"}
    settings = {field.name for field in dataclasses.fields(Target)} - beside

    assert settings | {"regions"} == {WRITTEN_AS.get(name, name) for name in SETTINGS}


@pytest.mark.parametrize(
    "name", sorted(SETTINGS.keys() - {"regions", "external_id", "until", "ssm_parameter", "retire", "launch_test"})
)
def test_defaults_are_the_same_everywhere(name):
    """The schema's default is the built-in one; the guide's, where it says more, begins with it."""
    said = SETTINGS[name]["row"].get("default")

    assert SETTINGS[name]["default"] == built_in(name)
    assert said is None or said.startswith(f"`{SETTINGS[name]['default']}`; ")


def test_every_setting_has_a_description():
    """An editor shows the description, the guide a row."""
    assert [name for name, rule in SETTINGS.items() if not {"description", "row"} <= rule.keys()] == []


def test_every_fault_is_documented():
    """The tables have each code that the command line and the trigger can report."""
    sources = [*(ROOT / "ami_promoter").rglob("*.py"), ROOT / "chalicelib" / "targets" / "applied_file.py"]
    codes = {
        code for path in sources for code in re.findall(r'"((?:targets|trigger|unknown)-[a-z-]+)"', path.read_text())
    }

    assert len(codes) > 20
    assert {code for code in codes - {"unknown-ami"} if f"`{code}`" not in FAULTS} == set()
