"""Discovery and the promotions that it wakes: which accounts join or leave an OU, and what does not change."""

import itertools
from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import RefusalKind
from chalicelib.promotion.codec import PROMOTIONS
from chalicelib.promotion.wanted import wanted_targets
from chalicelib.targets.applied_file import AppliedFile, Directory, Target
from chalicelib.targets.departures import MembersReading, Missing, to_ask
from tests.service.cloud import REGION
from tests.service.gate import ProcessKilled
from tests.service.organization import ARN, FIVE, OU, A, B, C, OrganizationHub, hurried


def record(it):
    return PROMOTIONS.decode(it.hub.stores.records.read(addresses.promotion("ami-0a")))


def places(it):
    """The targets that the value in force names."""
    found = record(it)
    return sorted(wanted_targets(found, found.value, AppliedFile(it.cloud.directory), ()).targets)


def test_who_joins_gets_what_is_in_force_and_nothing_else_is_touched():
    """Delivered AMIs stay; a failed delivery is retried by a new tag only."""
    it = OrganizationHub(A, B)
    it.look()
    of_b = {"only": lambda delivery: delivery.target.account == B}
    it.hub.gate.refuse("target.keys", "describe", why=RefusalKind.DENIED, **of_b)
    it.tag()
    assert it.outcomes == {A: "delivered", B: "failed"}
    it.organization.accounts[C] = "ACTIVE"
    it.look(2)

    assert it.outcomes == {A: "delivered", B: "failed", C: "delivered"}
    assert (it.reported("delivery.delivered"), it.reported("delivery.failed"), it.reported("promotion.over")) == (
        2,
        1,
        2,
    )
    assert record(it).episode == 2

    it.look(3)
    assert (record(it).episode, it.reported("promotion.over")) == (2, 2)
    it.hub.gate.troubles.clear()
    it.tag(None)
    it.tag()
    assert it.outcomes == {A: "delivered", B: "delivered", C: "delivered"}


def test_without_back_fill_only_a_new_tag_brings_who_joined():
    """Not even if the share of another account is withdrawn meanwhile, for which the promotion compares again."""
    it = OrganizationHub(B, C, settings={"mode": "share"}, back_fill=False)
    it.cloud.directory = replace(it.cloud.directory, by_unit={"default": (Target("", REGION, mode="share"),)})
    it.look()
    it.tag()
    it.organization.accounts[A] = "ACTIVE"
    it.look(2)
    it.hub.withdraw("ami-0a", B)
    it.look(3)

    assert it.have == (A, B, C)
    assert it.outcomes == {B: "withdrawn", C: "shared"}
    it.tag(None)
    it.tag()
    assert it.outcomes[A] == "shared"


def test_a_recall_of_a_baseline_ami_and_its_lift_promote_nothing_to_an_ou_either():
    """Its accounts need no tag event of their own to join, but the AMI does."""
    it = OrganizationHub(A, B)
    it.hub.tagged_before("ami-0a")
    it.look(2)
    it.hub.recall("ami-0a")
    it.look(2)
    it.hub.lift_recall("ami-0a")
    it.look(3)
    assert it.outcomes == {}

    it.tag(None)
    it.tag()
    assert it.outcomes == {A: "delivered", B: "delivered"}


@pytest.mark.parametrize("back_fill", [False, True])
def test_what_waited_for_the_withdrawal_of_another_in_its_unit_begins_by_the_lift(back_fill):
    """The OU's launch permission would admit the withdrawn account, so nobody got it; the fault names the lift."""
    it = OrganizationHub(A, B, back_fill=back_fill)
    by_unit = Target("", REGION, mode="share", launch_permission="group")
    it.cloud.directory = replace(it.cloud.directory, by_unit={"default": (by_unit,)})
    it.look(2)
    it.cloud.tag("ami-0a", "default")
    it.hub.withdraw("ami-0a", A)
    it.hub.wait(3600)
    assert it.outcomes == {}

    it.hub.lift("ami-0a", A)
    it.hub.wait(3600)
    assert it.outcomes == {A: "shared", B: "shared"}


def test_a_delivery_to_an_account_that_left_is_cancelled_and_starts_again_when_it_comes_back():
    """Nothing of the cancelled delivery is left in the account."""
    it = OrganizationHub(A, B)
    it.cloud._copying = iter((60, 3 * 3600, 60, 60))
    it.look()
    it.cloud.tag("ami-0a", "default")
    it.hub.wait(600)
    assert sorted(it.outcomes.values()) == ["copying", "delivered"]
    (slow,) = [account for account, state in it.outcomes.items() if state == "copying"]
    del it.organization.accounts[slow]
    it.look(5)
    it.hub.wait(4 * 3600)
    assert it.outcomes[slow] == "cancelled"
    assert [copy.account for copy in it.cloud.copies.values() if copy.state == "pending"] == []

    it.organization.accounts[slow] = "ACTIVE"
    it.look(2)
    assert set(it.outcomes.values()) == {"delivered"}


def test_a_value_tagged_before_anybody_has_read_the_organization_waits():
    """The value is neither refused nor taken for an empty one."""
    it = OrganizationHub(A)
    it.cloud.tag("ami-0a", "default")
    it.hub.wait(200)
    assert (it.outcomes, it.cloud.notices) == ({}, [])
    it.look(2)
    assert it.outcomes == {A: "delivered"}


def test_a_value_refused_for_the_organizations_sake_goes_on_when_it_can_be_read():
    """It needs no new tag; a value refused for another reason still does."""
    it = OrganizationHub(A)
    it.organization.refuse = [RefusalKind.DENIED]
    it.look()
    it.tag("default")
    it.cloud.make_image("ami-0b", {"snap-01": True})
    it.cloud.tag("ami-0b", "nobody")
    it.look()
    assert it.reported("promotion.refused") == 2
    it.look(3)
    assert it.outcomes == {A: "delivered"}
    assert it.reported("promotion.refused") == 2


def test_reading_goes_on_where_time_was_up_or_aws_was_busy():
    """Page by page over several runs; until all is read, the previous membership is in force."""
    it = OrganizationHub(A, B, C)
    it.look(time_left=hurried(1))
    it.organization.refuse = [None, RefusalKind.THROTTLED]
    it.look()
    assert it.have == ()
    before = it.organization.calls
    it.look()
    assert it.have == (A, B, C)
    assert it.organization.calls == before + 3  # two accounts, and no OUs: what was read is not read again


def test_who_left_is_asked_about_though_every_reading_takes_nearly_all_the_time_of_its_run():
    """Each run has 240 seconds, of which the calls of one reading leave twenty: the next run asks, and removes it."""
    it = OrganizationHub(A, B, C)
    it.look(3)
    del it.organization.accounts[B]
    for _ in range(8):
        before = it.organization.calls
        it.look(time_left=lambda before=before: 240 - 44 * (it.organization.calls - before))
    assert it.have == (A, C)


def test_a_unit_that_cannot_be_read_keeps_whom_it_has_and_is_notified_of():
    """Neither AccessDenied nor an outage empties it."""
    it = OrganizationHub(A, B)
    it.look()
    it.organization.refuse = [RefusalKind.DENIED] * 50
    it.look(6)
    it.organization.refuse = [RefusalKind.DENIED, None] * 50
    it.look(6)
    assert it.have == (A, B)
    (_, troubles) = [args[2:] for name, args in it.hub.telemetry.reported if name == "organization"][-1]
    assert list(troubles) == [OU]
    it.organization.refuse = []
    it.look()
    assert [args[3] for name, args in it.hub.telemetry.reported if name == "organization"][-1] == {}


def test_no_answer_about_an_account_is_no_evidence_that_it_left():
    """The account stays until AWS says where it is."""
    it = OrganizationHub(A, B)
    it.look()
    del it.organization.accounts[B]
    it.look(2)
    for _ in range(4):
        it.organization.refuse = [None] * 4 + [RefusalKind.DENIED]
        it.look()
    assert it.have == (A, B)
    it.organization.refuse = []
    it.look(2)
    assert it.have == (A,)
    assert ("left", (B, "default", "it is no longer in the organization")) in it.hub.telemetry.reported


def test_a_conflict_that_a_move_has_made_is_notified_once_and_changes_nothing():
    """One notice names the conflict; the delivered AMIs stay."""
    it = OrganizationHub(A, settings={"linger": 60})
    it.look()
    it.tag("default other")
    assert it.outcomes == {A: "delivered", C: "delivered"}
    it.organization.accounts[C] = "ACTIVE"
    it.look(4)

    (refused,) = it.hub.notified("promotion.refused")
    assert [fault["code"] for fault in refused["faults"]] == ["organization-conflict"]
    assert it.outcomes == {A: "delivered", C: "delivered"}
    assert it.reported("promotion.over") == 1


@pytest.mark.parametrize("value", ["default", "other"])
def test_a_targets_file_without_units_asks_nobody_and_a_change_concerns_only_who_names_the_unit(value):
    """A promotion of another group is not woken."""
    it = OrganizationHub(A)
    it.look()
    it.tag(value)
    version = it.hub.stores.records.read(addresses.promotion("ami-0a")).version
    it.organization.accounts[B] = "ACTIVE"
    it.look(2)
    assert (it.hub.stores.records.read(addresses.promotion("ami-0a")).version == version) == (value == "other")

    it.cloud.directory = Directory({"other": (C,)}, {C: (Target(C, REGION),)})
    before = it.organization.calls
    it.look(3)
    assert it.organization.calls == before


def kill_at_write(it, number, *, after):
    """Kill the resolver before or after its write of this number."""
    writes = itertools.count(1)

    def killing(real):
        def write(*args):
            is_killed = next(writes) == number
            written = None if is_killed and not after else real(*args)
            if is_killed:
                raise ProcessKilled
            return written

        return write

    it.members_store.save, it.members_store.publish = killing(it.members_store.save), killing(it.members_store.publish)


def look_on(it, times):
    """Look so many times, whether it is killed or not."""
    for _ in range(times):
        try:
            it.look()
        except ProcessKilled:
            it.hub.wait(FIVE)


@pytest.mark.parametrize("killed_at", range(1, 9))
def test_a_resolver_that_is_killed_anywhere_loses_nothing_but_time(killed_at):
    """Killed between any two writes: accounts join and leave all the same, and each AMI is delivered once."""
    it = OrganizationHub(A, B, most_leaving="1")
    it.look()
    it.tag()
    del it.organization.accounts[B]
    it.organization.accounts[C] = "ACTIVE"
    kill_at_write(it, killed_at, after=False)
    look_on(it, 8)

    assert it.have == (A, C)
    assert it.outcomes == {A: "delivered", B: "delivered", C: "delivered"}
    assert it.reported("delivery.delivered") == 3
    assert places(it) == [f"{A}/{REGION}", f"{C}/{REGION}"]


@pytest.mark.parametrize("killed_at", range(1, 13))
def test_a_resolver_that_is_killed_lets_no_more_accounts_leave_than_the_limit(killed_at):
    """Killed after each write: who left counts, and the next one of the same day waits for a person."""
    it = OrganizationHub(A, B, C, most_leaving="1")
    it.look(2)
    kill_at_write(it, killed_at, after=True)
    for gone in (C, B):
        del it.organization.accounts[gone]
        look_on(it, 6)

    assert it.have == (A, B)
    reading, _ = it.members_store.reading()
    assert [one.account for one in reading.left] == [C]
    assert reading.held_in == {"default": (B,)}


def test_two_runs_of_the_resolver_do_not_spoil_each_others_reading():
    """The slower run writes nothing."""
    it = OrganizationHub(A)
    reading, version = it.members_store.reading()
    it.look()
    assert not it.members_store.save(reading, version)
    it.members_store.version += 1  # another run writes while the next one reads
    stale, it.members_store.reading = it.members_store.reading, lambda: (reading, version)
    it.look()
    it.members_store.reading = stale
    assert it.have == (A,)
    assert it.cloud.directory.membership.units[OU].arn == ARN


def test_many_units_are_found_however_short_the_runs_are():
    """A file that names forty OUs: each run reads some, and the next one continues there."""
    it = OrganizationHub(A)
    units = {f"ou-ab12-{number:08d}": ("default",) for number in range(40)}
    groups = {**it.cloud.directory.groups, "default": tuple(units)}
    named = replace(it.cloud.directory.organization, units=units)
    it.cloud.directory = replace(it.cloud.directory, groups=groups, organization=named)
    for _ in range(60):
        calls = it.organization.calls
        it._members.run(time_left=hurried(5))
        assert it.organization.calls - calls <= 7
        it.cloud.now += 1

    assert {unit.accounts for unit in it.cloud.directory.membership.units.values()} == {(A,)}
    assert len(it.cloud.directory.membership.units) == 40


def test_whose_place_is_not_known_yet_is_asked_before_all_others():
    """A run may have time for few accounts, and some accounts may wait long for an operator."""
    known = Missing(OU, A, 1, 2, 2, "it is no longer in the organization")
    missing = {one.name: one for one in (known, Missing(OU, B, 1, 2, 2), Missing(OU, C, 1, 1))}
    assert to_ask(MembersReading(missing=missing)) == [B, A]
