"""The names of accounts in a targets file."""

import pytest

from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from chalicelib.targets.applied_file import Directory, names
from chalicelib.targets.applied_items import from_items, to_items

DEV, PROD = "222222222222", "333333333333"
OU = "organization: {id: o-a1b2c3d4e5}\ngroups: {default: [ou-ab12-11111111]}\n"
LISTED = f'groups: {{default: ["{DEV}"]}}\n'


def compiled(text):
    """Compile a file for a hub that is no target."""
    return compile_targets(text, "targets.yaml", HubPlace("us-east-1", "111111111111"))


def named(account, settings):
    return f'accounts: {{"{account}": {settings}}}'


@pytest.mark.parametrize("above", [LISTED, OU], ids=["listed", "by a unit"])
def test_an_account_has_a_name_whether_the_file_or_a_unit_brings_it(above):
    """The applied items keep it."""
    directory = compiled(above + named(DEV, "{name: Dev of team-a}"))

    assert isinstance(directory, Directory)
    assert names(from_items(to_items(directory))) == {DEV: "Dev of team-a"}


def test_a_name_alone_makes_no_account_a_target():
    """An account of an OU that has a name leaves with its OU, as one without."""
    plain, with_name = compiled(OU), compiled(OU + named(PROD, "{name: prod}"))
    with_settings = compiled(OU + named(PROD, "{name: prod, linger: 5m}"))

    assert plain.accounts == with_name.accounts == {}
    assert with_settings.accounts.keys() == {PROD}


def test_a_name_that_no_group_can_use_is_a_fault():
    """Somebody meant to add a target."""
    (fault,) = compiled(LISTED + named(PROD, "{name: prod}"))

    assert fault.code == "targets-name-alone"
    assert fault.where == "targets.yaml:2:12"
    assert "`name` alone makes 333333333333 no target" in fault.what


@pytest.mark.parametrize("name", ["", "5", "x", "222222222222", "a (b)", "x" * 51, "dev "])
def test_a_name_is_short_text_that_can_stand_before_an_id(name):
    """No digits alone, which would read as an id; no parentheses."""
    (fault,) = compiled(LISTED + named(DEV, f'{{name: "{name}"}}'))

    assert fault.code == "targets-value"
    assert "2 to 50 characters" in f"{fault.what} {fault.cure}"


@pytest.mark.parametrize("block", ["defaults: {name: dev}", "groups: {default: {members: [x], name: dev}}"])
def test_only_an_account_has_a_name(block):
    """It is no setting of a group."""
    assert any("`name` is not a key here" in str(fault) for fault in compiled(block))
