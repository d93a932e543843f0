"""OUs from the targets file to the membership in force, and what ``members`` shows and accepts."""

from dataclasses import replace

import pytest

from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.departures import Left, MembersReading, Missing, UnreadUnit
from chalicelib.targets.organization import Membership, Organization, Unit
from chalicelib.targets.store.members_table import MembersTable
from tests.ami_promoter.a_hub import CONFIG, MEMBERS

HUB, A, B, C = (str(n) * 12 for n in (9, 1, 2, 3))
ORGANIZATION, OU, OTHER = "o-a1b2c3d4e5", "ou-ab12-11111111", "ou-ab12-22222222"
ARN = f"arn:aws:organizations::900000000000:ou/{ORGANIZATION}/"
FILE = f"""\
defaults: {{linger: 10m}}
organization: {{id: {ORGANIZATION}, most_leaving: 3, back_fill: false}}
groups:
  dev: [{OU}, "{A}", organization]
  prod: {{members: ["{ARN}{OTHER}"], role_name: Golden}}
accounts:
  "{B}": {{linger: 0}}
"""


def test_ous_are_compiled_to_their_ids_with_the_settings_that_their_accounts_will_have():
    """Defaults, then the group's settings, then the account's own, for each account that an OU may bring."""
    found = compile_targets(FILE, "t.yaml", HubPlace("us-east-1", HUB))

    assert isinstance(found, Directory)
    assert found.groups == {"dev": (A, ORGANIZATION, OU), "prod": (OTHER,)}
    assert found.organization == Organization(
        ORGANIZATION, {ORGANIZATION: ("dev",), OU: ("dev",), OTHER: ("prod",)}, most_leaving="3", back_fill=False
    )
    wanted = {"dev": [("", "AmiCopyRole", 600)], "prod": [("", "Golden", 600)]}
    assert {g: [(t.account, t.role_name, t.linger) for t in ts] for g, ts in found.by_unit.items()} == wanted
    expected = {"dev": [(B, "AmiCopyRole", 0)], "prod": [(B, "Golden", 0)]}
    assert {g: [(t.account, t.role_name, t.linger) for t in ts] for g, ts in found.own[B].items()} == expected


@pytest.fixture
def applied(client, file, run):
    """The file is in force, and discovery has read an OU."""
    said = run("targets", "apply", "--yes", file(FILE)).out
    assert "+ group dev: 1 account and 2 units of the organization" in said
    assert "2 groups, 2 accounts, 3 units.\n" in said
    members = MembersTable(client, MEMBERS, CONFIG)
    trouble = UnreadUnit(1_767_600_000, Fault("organization-unreadable", "organization", "It was refused.", "Ask."))
    reading = MembersReading(
        read_at={OU: 1_767_603_600},
        missing={f"{OU}/{C}": Missing(OU, C, 1_767_603_000, 1_767_603_600, 2, "its state is CLOSED")},
        held={B: ("dev",), C: ("dev",)},
        left=(Left(1_767_600_000, A, ("prod",), "it is now in r-ab12"),),
        troubles={OTHER: trouble},
    )
    assert members.publish(Membership(), Membership(units={OU: Unit(ARN + OU, (B, C))}), reading, 0)
    return members


def test_members_shows_whom_ous_have_who_left_and_what_cannot_be_read(applied, run):
    """In words; ``status`` begins with what is wrong."""
    assert run("targets", "members").lines == [
        f"Organization {ORGANIZATION}:",
        f"  {ORGANIZATION} (dev): not read yet",
        f"  {OU} (dev): 2 accounts: {B} {C}; read 2026-01-05T09:00:00Z",
        f"  {OTHER} (prod): not read yet",
        f"Not found in {OU} since 2026-01-05T08:50:00Z: {C} (its state is CLOSED)",
        f"Left `prod` 2026-01-05T08:00:00Z: {A} (it is now in r-ab12)",
        *(
            wrong := [
                f"{OTHER} cannot be read since 2026-01-05T08:00:00Z: organization: It was refused. Ask.",
                (
                    f"Too many accounts left `dev` at once: 2 accounts: {B} {C}. They stay targets until you run "
                    "`ami-promoter targets members accept`."
                ),
            ]
        ),
    ]
    assert run("status").lines[:2] == wrong
    assert run("targets", "members", "--json").data["held"] == {"dev": [B, C]}


@pytest.mark.parametrize("words", [["status"], ["report", "-o", "page.html"]])
def test_damaged_members_hide_nothing_else(applied, client, tmp_path, run, words):
    """Somebody has deleted an item: what an operator looks at first says so, and shows the rest."""
    for item in client.scan(TableName=MEMBERS)["Items"]:
        if item["sk"]["S"].startswith("accounts#"):
            client.delete_item(TableName=MEMBERS, Key={name: item[name] for name in ("pk", "sk")})

    said = run(*words)

    page = tmp_path / "page.html"
    shown = page.read_text(encoding="utf-8") if page.exists() else said.out + said.err
    assert "members of the OUs are not those that" in shown


def test_accept_lets_those_go_that_are_held_and_nobody_else(applied, run):
    """All of them, or one after the other before discovery reads again: what was accepted of one stands."""
    assert "is not among the accounts that wait" in run("targets", "members", "accept", "--account", A).out
    assert applied.accepted(0) == frozenset()
    assert run("targets", "members", "accept", "--account", C).out.startswith(f"Accepted: {C}.")
    assert applied.accepted(0) == {C}
    assert run("targets", "members", "accept", "--account", B).out.startswith(f"Accepted: {B}.")
    assert applied.accepted(0) == {B, C}
    assert run("targets", "members", "accept").out.startswith(f"Accepted: {B} {C}.")
    assert applied.accepted(0) == {B, C}


def test_what_was_accepted_stands_though_the_account_is_not_held_at_the_moment(applied, run):
    """At the last reading Organizations did not say where it is: it is missing, and waits for nobody."""
    applied.accept([C], "somebody", 4_000_000_000)
    reading, version = applied.reading()
    assert applied.save(replace(reading, held={B: ("dev",)}), version)
    run("targets", "members", "accept", "--account", B)

    assert applied.accepted(0) == {B, C}


def test_a_damaged_acceptance_accepts_nobody_and_the_next_one_replaces_it(applied, client, run):
    """Neither the command nor discovery stops at it."""
    applied.accept([C], "somebody", 4_000_000_000)
    (item,) = (one for one in client.scan(TableName=CONFIG)["Items"] if one["pk"]["S"] == "departures")
    client.put_item(TableName=CONFIG, Item={**item, "body": {"S": "["}})
    assert applied.accepted(0) == frozenset()

    run("targets", "members", "accept", "--account", B)
    assert applied.accepted(0) == {B}


def test_without_ous_there_is_nothing_to_show(client, run):
    """`members` says that the file names no OU."""
    assert run("targets", "members").out == "The targets file in force names no OU.\n"


def test_what_changes_for_accounts_that_ous_bring_is_shown_before_it_is_applied(applied, file, run):
    """The group's settings, and those of the organization."""
    name = file(FILE.replace("Golden", "Gold").replace("back_fill: false", "back_fill: true"))
    said = run("targets", "diff", name).out

    assert "~ accounts that units bring into prod, us-east-1\n    role_name: Golden -> Gold\n" in said
    assert "~ organization\n    back_fill: false -> true\n" in said
    found = run("targets", "diff", name, "--json").data
    assert found["organization"] == {"back_fill": {"from": False, "to": True}}
    assert [(one["group"], list(one["settings"])) for one in found["by_unit"]] == [("prod", ["role_name"])]
