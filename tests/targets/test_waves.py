"""Who waits for whom, by the targets file and the members as they are now."""

from dataclasses import replace

import pytest

from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import AppliedFile, Directory, Target, resolve
from chalicelib.targets.applied_items import from_items, to_items
from chalicelib.targets.difference import difference, loosened
from chalicelib.targets.organization import NOT_READ_YET, Membership, Organization, Unit
from chalicelib.targets.waves import FileWaves, Wave

A, B, C, D = "111111111111", "222222222222", "333333333333", "444444444444"
OU = "ou-ab12-11111111"
HUB = "999999999999"


def file_of(groups, waves, units=None) -> Directory:
    """A file with these groups and waves; ``units``: the accounts of each unit that was read."""
    accounts = {one: (Target(one, "eu-central-1"),) for members in groups.values() for one in members if one.isdigit()}
    by_unit = {name: (Target("", "eu-central-1"),) for name, members in groups.items() if OU in members}
    named = Organization("o-a1b2c3d4e5", {OU: tuple(by_unit)}) if by_unit else None
    read = Membership("digest", {unit: Unit(f"arn:{unit}", tuple(found)) for unit, found in (units or {}).items()})
    return Directory(groups, accounts, by_unit, {}, named, read, (HUB, "eu-central-1"), waves)


CHAIN = file_of(
    {"dev": (A,), "qa": (B,), "prod": (C, D), "all": (A, B, C, D)},
    {"qa": Wave("dev"), "prod": Wave("qa", 3600, 1)},
)


def faults_of(value, directory=CHAIN, **how) -> list[str]:
    """The codes of a value's faults."""
    return [fault.code for fault in AppliedFile(directory).judge(value, **{"in_force": False, **how}).faults]


@pytest.mark.parametrize("value", ["dev qa prod", f"{A} {B} {C}", "all", "dev", "dev qa"])
def test_a_value_that_reaches_each_group_that_is_waited_for_has_no_fault(value):
    """Groups, account ids, or another group with the same accounts: the wave belongs to the account."""
    assert faults_of(value) == []


@pytest.mark.parametrize(("value", "lacks"), [("prod", "qa"), ("dev prod", "qa"), (C, "qa"), (f"qa {D}", "dev")])
def test_a_new_value_that_does_not_reach_a_group_is_refused(value, lacks):
    """The fault names the group; a value in force that a new file breaks is no such fault, as it was understood."""
    (fault,) = AppliedFile(CHAIN).judge(value, in_force=False).faults
    assert fault.code == "wave-not-reached"
    assert f"`{lacks}`" in fault.what
    assert faults_of(value, in_force=True) == []
    assert resolve(value, CHAIN).understood, "who asks for an account's settings names it alone"


def test_each_account_has_the_wave_of_its_group():
    """An account of two groups, of which one waits, waits."""
    waves = AppliedFile(CHAIN).waves
    assert [waves.of(one) for one in (A, B, C)] == [None, Wave("dev"), Wave("qa", 3600, 1)]
    assert waves.members("qa") == {B}
    assert waves.waiting(Wave("qa", 3600, 1).rule) == ["prod"]


def test_the_hubs_own_copies_never_wait():
    """Others copy from them: an account before the hub's wave would wait for the hub, and the hub for it."""
    waves = AppliedFile(file_of({"dev": (A,), "prod": (B, HUB)}, {"prod": Wave("dev")})).waves
    assert waves.of(HUB) is None
    assert waves.of(B) == Wave("dev")


def test_two_groups_with_different_waves_are_a_fault_of_the_account():
    """With the same settings they are not."""
    waves = {"qa": Wave("dev"), "prod": Wave("dev", 60)}
    both = AppliedFile(file_of({"dev": (A,), "qa": (B, C), "prod": (C,)}, waves)).waves
    assert both.of(B) == Wave("dev")
    assert both.of(C).code == "wave-conflict"
    same = AppliedFile(file_of({"dev": (A,), "qa": (B, C), "prod": (C,)}, dict.fromkeys(waves, Wave("dev")))).waves
    assert same.of(C) == Wave("dev")


@pytest.mark.parametrize(
    ("groups", "waves", "bad"),
    [
        ({"a": (A,)}, {"a": Wave("a")}, {A}),
        ({"a": (A,), "b": (B,)}, {"a": Wave("b"), "b": Wave("a")}, {A, B}),
        ({"a": (A,), "b": (B,), "c": (C,)}, {"a": Wave("c"), "b": Wave("a"), "c": Wave("b")}, {A, B, C}),
        ({"dev": (A, B), "prod": (B, C)}, {"prod": Wave("dev")}, {B}),
        ({"dev": (A,), "qa": (A, B), "prod": (C,)}, {"qa": Wave("prod"), "prod": Wave("dev")}, {A, C}),
    ],
)
def test_who_waits_for_itself_is_in_a_circle(groups, waves, bad):
    """Directly, by groups, or because an account is a member of two groups."""
    found = AppliedFile(file_of(groups, waves)).waves
    every = {one for members in groups.values() for one in members}
    assert {one for one in every if getattr(found.of(one), "code", "") == "wave-circle"} == bad
    assert any(found.circle(name) for name in groups) == (bad != {B})


def test_a_unit_that_was_not_read_yet_lets_nobody_pass():
    """Whether an account belongs to a later wave is not known until then, so each account waits, and no removal."""
    groups = {"dev": (A, B, HUB), "prod": (OU,), "late": (C,)}
    directory = file_of(groups, {"prod": Wave("dev"), "late": Wave("prod")})
    applied = AppliedFile(directory)
    assert [getattr(applied.waves.of(one), "code", "") for one in (A, C, HUB)] == [NOT_READ_YET, NOT_READ_YET, ""]
    assert applied.judge("dev", in_force=False).understood, "the value names dev alone, whoever waits for whom"
    assert [fault.code for fault in applied.waves.faults((A, C), "")] == [NOT_READ_YET]
    late = applied.judge("late", in_force=False)
    assert (late.faults, late.waits.code) == ((), NOT_READ_YET), "whether it reaches prod is not known yet"
    why = Fault("organization-unreadable", "there", "It was refused.", "Ask.")
    troubled = replace(directory, membership=replace(directory.membership, troubles={OU: why}))
    assert AppliedFile(troubled).waves.faults((A,), "") == (why,)
    read = file_of({"dev": (A,), "prod": (OU,)}, {"prod": Wave("dev")}, {OU: (B, A)})
    waves = AppliedFile(read).waves
    assert waves.of(B) == Wave("dev")
    assert waves.of(A).code == "wave-circle"
    assert [fault.code for fault in waves.faults((A, B), "")] == ["wave-circle"]


def test_a_file_without_waves_asks_nothing_of_its_groups():
    """Nobody waits, whatever is not known of units."""
    waves = AppliedFile(file_of({"prod": (OU,)}, {})).waves
    assert waves.of(A) is None
    assert waves.faults((A,), "") == ()


def test_waves_survive_their_items():
    """An item for each group that waits; a body of another shape is refused."""
    items = to_items(CHAIN)
    assert items["wave#prod"] == '{"after":"qa","most_failed":1,"soak":3600}'
    assert from_items(items).waves == CHAIN.waves
    with pytest.raises(ValueError, match="wave#prod"):
        from_items({**items, "wave#prod": '{"after":1}'})


def test_a_new_file_shows_its_waves_and_what_they_loosen():
    """Fewer seconds, more failures, another group or none ask for less; the opposite does not."""
    later = file_of(CHAIN.groups, {"qa": Wave("dev", 60), "prod": Wave("qa", 60, 2)})
    assert difference(CHAIN, later).waves == {
        "prod": (CHAIN.waves["prod"], later.waves["prod"]),
        "qa": (CHAIN.waves["qa"], later.waves["qa"]),
    }
    assert [one[:2] for one in loosened(CHAIN, later, ())] == [("group prod", "most_failed"), ("group prod", "soak")]
    none = file_of(CHAIN.groups, {})
    assert difference(CHAIN, none).waves == {"prod": (CHAIN.waves["prod"], None), "qa": (CHAIN.waves["qa"], None)}
    assert [one[:2] for one in loosened(CHAIN, none, ())] == [("group prod", "after"), ("group qa", "after")]
    assert loosened(none, CHAIN, ()) == ()
    assert not difference(CHAIN, CHAIN)


def test_an_account_that_leaves_its_wave_is_loosened_though_its_group_stays():
    """Into a group that waits for nobody, or for less; out of the file is none."""
    out = file_of({**CHAIN.groups, "prod": (C,)}, CHAIN.waves)
    assert loosened(CHAIN, out, ()) == ((f"account {D}", "after", "qa", ""),)
    sooner = file_of({**CHAIN.groups, "prod": (C,), "late": (D,)}, {**CHAIN.waves, "late": Wave("qa", 60, 1)})
    assert loosened(CHAIN, sooner, ()) == ((f"account {D}", "soak", "3600", "60"),)
    assert loosened(CHAIN, file_of({**CHAIN.groups, "prod": (C,), "all": (A, B, C)}, CHAIN.waves), ()) == ()
    same = file_of({**CHAIN.groups, "prod": (C,), "late": (D,)}, {**CHAIN.waves, "late": CHAIN.waves["prod"]})
    assert loosened(CHAIN, same, ()) == ()


def test_a_wave_has_a_name_by_its_settings():
    """So groups with the same ones wait for the same."""
    assert len({Wave("a").rule, Wave("a", 1).rule, Wave("a", 0, 1).rule, Wave("b").rule}) == 4
    assert FileWaves({"b": Wave("a"), "c": Wave("a")}, {"b": (), "c": ()}).waiting(Wave("a").rule) == ["b", "c"]


def test_a_person_may_name_an_account_or_a_group_that_waits_for_another():
    """`rollback --group prod`, a question about one account, a family's parameter there: nothing is promoted."""
    applied = AppliedFile(CHAIN, "digest")

    assert [one.account for one in applied.resolve("prod").targets] == [C, D]
    assert [one.account for one in applied.resolve(B).targets] == [B]
    assert [fault.code for fault in applied.resolve("stage").faults] == ["unknown-group"]
    assert [fault.code for fault in applied.judge("prod", in_force=False).faults] == ["wave-not-reached"]
