"""What a value means where groups name OUs: which accounts, with which settings, through which OU."""

from dataclasses import replace

import pytest

from chalicelib.engine.faults import Fault
from chalicelib.targets import applied_items
from chalicelib.targets.applied_file import Directory, Retirement, Target, resolve
from chalicelib.targets.organization import Membership, Organization, Unit, allowance, is_unit, ways

REGION = "us-east-1"
HUB, A, B, C, LISTED = (str(n) * 12 for n in (1, 2, 3, 4, 5))
ORGANIZATION, ROOT, OUTER, INNER = "o-a1b2c3d4e5", "r-ab12", "ou-ab12-11111111", "ou-ab12-22222222"
ARN = {
    unit: f"arn:aws:organizations::900000000000:{kind}" for unit, kind in ((ORGANIZATION, "whole"), (OUTER, "outer"))
}
ARN |= {INNER: "arn:aws:organizations::900000000000:inner", ROOT: ARN[ORGANIZATION]}
HAVE = {ORGANIZATION: (HUB, A, B, C), ROOT: (HUB, A, B, C), OUTER: (A, B), INNER: (B,)}


def membership(*units: str) -> Membership:
    return Membership("1", {unit: Unit(ARN[unit], HAVE[unit]) for unit in units})


def directory(groups, *, read=(ORGANIZATION, ROOT, OUTER, INNER), own=None, settings=None) -> Directory:
    """Build what the command line compiles from such groups; ``settings`` by group."""
    settings = settings or {}
    by_unit = {
        name: (Target("", REGION, **settings.get(name, {})),)
        for name, members in groups.items()
        if any(map(is_unit, members))
    }
    units: dict[str, list[str]] = {}
    for name, members in groups.items():
        for unit in filter(is_unit, members):
            units.setdefault(unit, []).append(name)
    listed = {
        account: (Target(account, REGION, **settings.get(name, {})),)
        for name, members in groups.items()
        for account in members
        if not is_unit(account)
    }
    named = Organization(ORGANIZATION, {unit: tuple(names) for unit, names in units.items()})
    return Directory(groups, listed, by_unit, own or {}, named, membership(*read), (HUB, REGION))


def found(value, where):
    """Account -> the ARN of the OU through which it is a target."""
    resolution = resolve(value, where)
    assert resolution.faults == ()
    return {target.account: target.unit for target in resolution.targets}


def test_an_ou_means_its_accounts_and_a_launch_permission_may_name_it():
    """With its group's settings; an account that is also listed does not come through the OU."""
    where = directory({"dev": (LISTED, OUTER)}, settings={"dev": {"role_name": "Golden"}})

    assert found("dev", where) == {A: ARN[OUTER], B: ARN[OUTER], LISTED: ""}
    assert {target.role_name for target in resolve("dev", where).targets} == {"Golden"}
    assert resolve("dev", where).groups == {f"{a}/{REGION}": ("dev",) for a in (A, B, LISTED)}
    assert resolve("dev", where).members == "1"


def test_the_hub_in_its_own_organization_is_no_target():
    """The hub owns the AMI already; the file need not exclude it."""
    assert found("all", directory({"all": (ORGANIZATION,)})) == {
        A: ARN[ORGANIZATION],
        B: ARN[ORGANIZATION],
        C: ARN[ORGANIZATION],
    }


def test_of_several_units_the_smallest_is_the_way():
    """An OU before the root before the organization, in any order; a listed account id before all."""
    expected = {HUB: ARN[ROOT], A: ARN[OUTER], B: ARN[OUTER], C: ""}
    assert ways([ORGANIZATION, ROOT, OUTER, C], membership(ORGANIZATION, ROOT, OUTER)) == expected


def test_an_account_of_an_ou_can_be_named_by_its_id():
    """It is a target like any other, without an OU: the value names none."""
    assert found(f"{A}", directory({"dev": (OUTER,)})) == {A: ""}
    assert [fault.code for fault in resolve(C, directory({"dev": (OUTER,)})).faults] == ["unknown-account"]


def test_an_accounts_own_block_decides_over_the_group_that_an_ou_brings_it_into():
    """Defaults, then the group, then the account."""
    own = {A: {"dev": (Target(A, REGION, role_name="Mine", linger=60),)}}
    where = directory({"dev": (OUTER,)}, own=own, settings={"dev": {"linger": 60}})
    expected = {A: ("Mine", 60), B: ("AmiCopyRole", 60)}

    assert {t.account: (t.role_name, t.linger) for t in resolve("dev", where).targets} == expected


@pytest.mark.parametrize("value", ["dev", "prod", "dev prod", "prod,dev"])
def test_two_groups_of_an_account_that_differ_block_it_and_no_other_in_any_order(value):
    """An account was moved after the file was applied. The fault names it, and the settings that differ."""
    settings = {"dev": {"linger": 60}}
    found = resolve(value, directory({"dev": (OUTER,), "prod": (INNER,)}, settings=settings))
    (fault,) = found.blocked.values()

    assert found.understood
    assert [target.account for target in found.targets] == ([] if value == "prod" else [A])
    assert (fault.code, fault.where) == ("organization-conflict", f"account {B}")
    assert f"account {B} belongs to `dev` and `prod`, through the organization" in fault.what
    assert fault.what.endswith("they differ in `linger`.")


@pytest.mark.parametrize("value", ["dev", "prod", "dev prod"])
@pytest.mark.parametrize("other", [None, Retirement(9)])
def test_two_groups_that_differ_in_when_copies_are_retired_block_nobody_and_retire_nothing(value, other):
    """It is no setting of a delivery. In the account that is of one group alone, that one's counts."""
    settings = {"dev": {"retire": Retirement()}, "prod": {"retire": other}}
    found = resolve(value, directory({"dev": (OUTER,), "prod": (INNER,)}, settings=settings))
    rules = {target.account: target.retire for target in found.targets}

    assert found.blocked == {}
    assert rules == ({B: None} if value == "prod" else {A: Retirement(), B: None})


def test_two_groups_that_agree_or_are_decided_by_the_account_are_none():
    """As in the file itself."""
    mine = (Target(B, REGION, linger=5),)
    groups = {"dev": (OUTER,), "prod": (INNER,)}
    assert found("dev prod", directory(groups)) == {A: ARN[OUTER], B: ARN[OUTER]}
    decided = directory(groups, own={B: {"dev": mine, "prod": mine}}, settings={"dev": {"linger": 60}})
    assert [t.linger for t in resolve("dev prod", decided).targets] == [60, 5]


def test_a_unit_that_nobody_has_read_yet_is_waited_for_and_not_taken_for_empty():
    """There are neither targets nor faults until the first reading."""
    resolution = resolve("dev", directory({"dev": (OUTER, LISTED)}, read=(INNER,)))

    assert (resolution.targets, resolution.faults) == ((), ())
    assert resolution.waits is not None
    assert resolution.waits.code == "organization-not-read-yet"


def test_a_unit_that_could_not_be_read_says_why_to_whoever_tags():
    """Only for values that name the OU."""
    why = Fault("organization-unreadable", "there", "It was refused.", "Ask.")
    where = directory({"dev": (OUTER,), "prod": (INNER,), "other": (LISTED,)}, read=(INNER,))
    where = replace(where, membership=replace(where.membership, troubles={OUTER: why}))

    assert resolve("dev prod", where).faults == (why,)
    assert resolve(A, where).faults[0] == why
    assert found("prod", where) == {B: ARN[INNER]}
    assert found("other", where) == {LISTED: ""}


def test_a_directory_with_units_survives_its_items():
    """Membership and hub are not part of the file."""
    own = {A: {"dev": (Target(A, REGION, linger=5),)}}
    where = directory({"dev": (LISTED, OUTER)}, own=own)

    assert applied_items.from_items(applied_items.to_items(where)) == replace(
        where, membership=Membership(), hub=("", "")
    )


@pytest.mark.parametrize(
    ("most", "of", "allowed"), [("10%", 3, 1), ("10%", 100, 10), ("10%", 0, 0), ("0%", 50, 0), ("4", 9, 4), ("0", 9, 0)]
)
def test_a_share_of_a_group_is_rounded_up(most, of, allowed):
    """So that one account can always leave a small group; 0 means never without a person."""
    assert allowance(most, of) == allowed
