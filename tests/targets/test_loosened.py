"""Where a new version of the targets file asks for less than the one before."""

from dataclasses import replace

import pytest

from chalicelib.targets.applied_file import Directory, LaunchTest, Target
from chalicelib.targets.difference import departing, loosened
from chalicelib.targets.organization import Membership, Organization, Unit

A, B, HERE = "111111111111", "222222222222", "us-east-1"
OU = "ou-ab12-11111111"
STRICT = Target(
    A,
    HERE,
    approval="required",
    until=100,
    source_tags=("team",),
    external_id="x",
    copy_deadline=60,
    launch_test=LaunchTest("t3.micro"),
)


def file(*targets, **parts):
    """A file that lists these targets in one group."""
    accounts = {one.account: (one,) for one in targets}
    return Directory({"all": tuple(accounts), **parts.pop("groups", {})}, accounts, **parts)


def found(before, after, departed=()):
    """What is loosened: (where, setting)."""
    return [one[:2] for one in loosened(before, after, departed)]


@pytest.mark.parametrize(
    "change",
    [
        {"approval": "none"},
        {"protect": False},
        {"launch_test": None},
        {"mode": "share"},
        {"until": 0},
        {"until": 200},
        {"grantee": "account"},
        {"share_snapshots": True},
        {"launch_permission": "group"},
        {"release_when": "registered"},
        {"copy_deadline": 61},
        {"linger": 1},
        {"external_id": ""},
        {"source_tags": ("team", "cost")},
        {"source_tags": ("*",)},
    ],
    ids=str,
)
def test_each_setting_that_guards_something_is_named_and_the_way_back_is_silent(change):
    """The stricter value is no news for a page."""
    ((setting, _),) = change.items()
    before, after = file(STRICT), file(replace(STRICT, **change))

    assert found(before, after) == [(f"{A}/{HERE}", setting)]
    assert found(after, before) == []


def test_what_guards_nothing_and_who_is_new_is_no_loosening():
    """A name, a tag, a retry's time; a new target, with an approval or without."""
    after = replace(STRICT, name="dev", ami_name="other", tags={"a": "b"}, queue_deadline=10**6, role_name="Copier")

    assert found(file(STRICT), file(after, Target(B, HERE))) == []


def test_an_account_that_goes_and_comes_back_without_its_approval_is_named():
    """In two versions, neither of which takes an approval from a target that both have; also if it comes by an OU."""
    listed, without, again = (
        file(STRICT),
        file(Target(B, HERE)),
        file(Target(B, HERE), replace(STRICT, approval="none")),
    )
    departed = departing(listed, without, ())
    named = Organization("o-a1b2c3d4e5", {OU: ("brought",)})
    members = Membership("1", {OU: Unit("arn:ou", (A,))})
    by_unit = {"brought": (replace(STRICT, account="", approval="none"),)}
    parts = {"groups": {"brought": (OU,)}, "by_unit": by_unit, "organization": named, "membership": members}
    brought = file(Target(B, HERE), **parts)

    assert found(listed, without) == []
    assert departed == (f"{A}/{HERE}",)
    for after in (again, brought):
        assert found(without, after, departed) == [(f"{A}/{HERE}", "approval")]
        assert departing(without, after, departed) == ()
    assert departing(without, file(Target(B, HERE)), departed) == departed


def test_a_group_and_the_organization_count_although_no_account_has_joined_yet():
    """An account that joins later gets the looser settings; a share and a number of `most_leaving` are compared."""

    def with_unit(most_leaving, **changed):
        named = Organization("o-a1b2c3d4e5", {OU: ("all",)}, most_leaving=most_leaving)
        by_unit = {"all": (replace(STRICT, account="", **changed),)}
        return Directory({"all": (OU,)}, {}, by_unit, organization=named)

    strict = with_unit("10%")
    assert found(strict, with_unit("10%", approval="none")) == [(f"group all, {HERE}", "approval")]
    assert found(strict, with_unit("20%")) == [("organization", "most_leaving")]
    assert found(strict, with_unit("90")) == [("organization", "most_leaving")]
    assert found(strict, with_unit("5%")) == []


def test_a_unit_that_the_organization_does_not_name_hides_no_other_target():
    """Somebody who writes the table adds a group with it, which no tag needs to name."""
    after = file(replace(STRICT, approval="none"), groups={"other": (OU,)})
    assert found(file(STRICT), after) == [(f"{A}/{HERE}", "approval")]
