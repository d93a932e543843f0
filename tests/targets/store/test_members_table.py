"""The OUs' members in the table, and the applied file as it is read together with them."""

import random
from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal
from chalicelib.engine.faults import Fault
from chalicelib.engine.schedule import DAY
from chalicelib.targets import applied_items
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.departures import Left, MembersReading, Missing, UnreadUnit
from chalicelib.targets.organization import Membership, Organization, Unit
from chalicelib.targets.store.members_table import MembersTable
from chalicelib.targets.store.targets_table import TargetsTable
from tests.targets.store.conftest import MEMBERS, TABLE, apply

OU, OTHER = "ou-ab12-11111111", "ou-ab12-22222222"
ARN = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/"
LISTED, A, B, STRANGER = "555555555555", "222222222201", "222222222202", "999999999999"
REGION = "us-east-1"
ONE = Membership(units={OU: Unit(ARN + OU, (A, B)), OTHER: Unit(ARN + OTHER, (B,))})
FILE = Directory(
    {"dev": (LISTED, OU)},
    {LISTED: (Target(LISTED, REGION, role_name="Listed"),), B: (Target(B, REGION, external_id="mine"),)},
    {"dev": (Target("", REGION, role_name="Group", external_id="x"),)},
    {B: {"dev": (Target(B, REGION, role_name="Group", external_id="mine"),)}},
    Organization("o-a1b2c3d4e5", {OU: ("dev",)}),
)


@pytest.fixture
def members(client):
    """The store under test."""
    return MembersTable(client, MEMBERS, TABLE)


def test_members_follow_each_other_and_leave_nothing_of_the_last(members):
    """An account that no longer belongs to them has no item left."""
    before = members.membership()
    assert before == Membership()
    for accounts in ((A, B), (A,), (B,), (), (A,)):
        after = Membership(units={OU: Unit(ARN + OU, accounts)})
        assert members.publish(before, after, *members.reading())
        before = members.membership()
        assert before.units == after.units
        units = {one: members.units_of(one) for one in (A, B, STRANGER)}
        assert units == {A: (), B: (), STRANGER: (), **dict.fromkeys(accounts, (OU,))}


def test_members_are_known_by_their_content_also_in_a_table_that_begins_again(members, client):
    """The cure of ``organization-damaged`` deletes all items; B has left when `discover` reads the OU again.

    A warm function, heads and marks must see other members; where nobody left, they see the same and do no work.
    """
    apply(client, FILE)
    assert members.publish(Membership(), ONE, *members.reading())
    warm = TargetsTable(client, TABLE, MEMBERS)
    before = warm.read()
    assert {one.account for one in before.resolve("dev").targets} == {LISTED, A, B}

    def read_again(units):
        """Delete all members, as the cure says, and publish what is read then."""
        for item in client.scan(TableName=MEMBERS)["Items"]:
            client.delete_item(TableName=MEMBERS, Key={"pk": item["pk"], "sk": item["sk"]})
        assert members.publish(members.membership(), Membership(units=units), *members.reading())
        after = warm.read()
        assert warm.digests() == after.digests
        return after

    without = read_again({OU: Unit(ARN + OU, (A,)), OTHER: ONE.units[OTHER]})
    assert {one.account for one in without.resolve("dev").targets} == {LISTED, A}
    assert without.digests != before.digests
    assert without.resolve("dev").members != before.resolve("dev").members

    assert read_again(ONE.units).digests == before.digests


def test_only_one_of_two_that_publish_at_once_is_in_force(members):
    """The slower one gets an error."""
    assert members.publish(Membership(), ONE, *members.reading())
    assert not members.publish(Membership(), Membership(), *members.reading())
    before = members.membership()
    assert members.publish(before, Membership(), *members.reading())
    assert not members.publish(before, ONE, *members.reading())


def test_members_and_the_reading_that_found_them_are_written_together_or_not_at_all(members):
    """A departure that is in force is one that counts against the limit, whatever happened to the writer."""
    left = MembersReading(left=(Left(5, B, ("dev",), "it is no longer in the organization"),))
    assert members.publish(Membership(), ONE, MembersReading(), 0)
    before = members.membership()
    assert not members.publish(before, Membership(), left, 0), "another run has written the reading"
    assert (members.membership(), members.reading()) == (before, (MembersReading(), 1))

    assert members.publish(before, Membership(), left, 1)
    assert members.reading() == (left, 2)
    assert not members.publish(before, ONE, MembersReading(), 2), "another run has written the members"
    assert members.reading() == (left, 2)


def test_a_listing_is_written_whole_or_not_at_all(members, client):
    """Thousands of accounts in one call: the writer is killed before or after it, never in the middle."""
    members.publish(Membership(), ONE, *members.reading())
    asked = []
    client.meta.events.register("before-parameter-build.dynamodb", lambda params, **_: asked.append(params))
    many = tuple(f"{number:012d}" for number in range(5000))
    assert members.publish(members.membership(), Membership(units={OU: Unit(ARN + OU, many)}), *members.reading())

    assert [len(params["TransactItems"]) for params in asked if "TransactItems" in params] == [67]
    assert members.membership().units[OU].accounts == many


def test_items_changed_by_hand_are_not_trusted(members, client):
    """With a stranger in an item, every value with an OU is refused, and nothing is published over it."""
    members.publish(Membership(), ONE, *members.reading())
    apply(client, FILE)
    item = {"pk": {"S": "members"}, "sk": {"S": f"accounts#{int(STRANGER) % 64:02d}"}}
    client.put_item(TableName=MEMBERS, Item={**item, "body": {"S": f'{{"{STRANGER}":["{OU}"]}}'}})

    with pytest.raises(Refusal, match="changed or deleted items"):
        members.membership()
    assert [f.code for f in TargetsTable(client, TABLE, MEMBERS).read().resolve("dev").faults] == [
        "organization-damaged"
    ]


def test_what_was_read_is_written_by_one_at_a_time(members):
    """Two runs of discovery do not overwrite each other."""
    reading, version = members.reading()
    assert (reading, version) == (MembersReading(), 0)
    second = MembersReading(read_at={OU: 7})
    assert members.save(second, 0)
    assert not members.save(MembersReading(), 0)
    assert members.reading() == (second, 1)
    assert members.save(MembersReading(), 1)
    assert not members.save(second, 1)


def test_a_whole_organization_may_be_missing_at_once(members):
    """Somebody moves an OU of 10,000 accounts in five groups, after another: what was read of them is an item.

    If it could not be written, nobody could accept the departures, and accounts that join would get nothing.
    """
    why, groups = f"it is now in {OTHER}", ("dev", "eu", "prod", "qa", "us")
    many = [f"{number:012d}" for number in random.Random(1).sample(range(10**12), 20_000)]
    gone = [Missing(OU, account, 1_800_000_000, 1_800_000_600, 2, why) for account in many[:10_000]]
    reading = MembersReading(
        missing={one.name: one for one in gone},
        held={one.account: groups for one in gone},
        left=tuple(Left(1_800_000_600, account, groups, why, accepted=True) for account in many[10_000:]),
    )
    assert members.save(reading, 0)
    assert members.reading() == (reading, 1)
    assert members.publish(Membership(), ONE, reading, 1)
    assert members.reading() == (reading, 2)


def test_what_a_person_accepted_holds_for_a_day(members):
    """Accounts that leave later need another acceptance."""
    members.accept([A], "arn:aws:iam::111111111111:root", 1000)
    assert members.accepted(1000 + DAY - 1) == {A}
    assert members.accepted(1000 + DAY) == frozenset()


def test_role_and_external_id_of_an_account_that_a_unit_brings_are_its_groups_or_its_own(members, client):
    """Read live, as for the accounts that the file lists; an account that left has none."""
    apply(client, FILE)
    members.publish(Membership(), ONE, *members.reading())
    table = TargetsTable(client, TABLE, MEMBERS)
    expected = [("Listed", ""), ("Group", "x"), ("Group", "mine"), None]

    assert [table.live(one) for one in (LISTED, A, B, STRANGER)] == expected
    members.publish(members.membership(), Membership(), *members.reading())
    assert (table.live(A), table.live(B)) == (None, ("AmiCopyRole", "mine"))


def test_a_fault_says_why_a_unit_is_refused_now_though_the_other_one_was_read(members, client):
    """First it was not read yet, then not found, then nobody may ask; the members in force stay the same."""
    groups, units = {**FILE.groups, "other": (OTHER,)}, {OU: ("dev",), OTHER: ("other",)}
    by_unit = {**FILE.by_unit, "other": FILE.by_unit["dev"]}
    apply(client, replace(FILE, groups=groups, by_unit=by_unit, organization=Organization("o-a1b2c3d4e5", units)))
    read, warm = Membership(units={OTHER: Unit(ARN + OTHER, (B,))}), TargetsTable(client, TABLE, MEMBERS)
    members.publish(Membership(), read, MembersReading(), 0)
    found = [warm.read().resolve("dev").waits.code]
    for code in ("organization-no-unit", "organization-unreadable"):
        _, version = members.reading()
        why = MembersReading(troubles={OU: UnreadUnit(5, Fault(code, "there", "It was refused.", "Ask."))})
        members.save(why, version)
        found += [fault.code for fault in warm.read().resolve("dev").faults]
    assert found == ["organization-not-read-yet", "organization-no-unit", "organization-unreadable"]


def test_a_value_resolves_to_whom_the_units_have(members, client):
    """And to whom the file lists; members are no part of the file's digest."""
    apply(client, FILE)
    table = TargetsTable(client, TABLE, MEMBERS, ("111111111111", REGION))
    members.publish(Membership(), ONE, *members.reading())
    expected = {(LISTED, ""), (A, ARN + OU), (B, ARN + OU)}
    assert {(t.account, t.unit) for t in table.read().resolve("dev").targets} == expected
    assert table.groups() == FILE.groups
    assert table.organization() == FILE.organization
    assert addresses.digest_of(applied_items.to_items(FILE)) == table.read().resolve("dev").digest
