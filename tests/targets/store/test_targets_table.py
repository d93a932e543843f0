"""The applied targets file as the functions read it, against moto's DynamoDB."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, TargetsDamaged
from chalicelib.targets import applied_items, withdrawals
from chalicelib.targets.applied_file import NAME, Directory, Target
from chalicelib.targets.ports import FileVersion
from chalicelib.targets.store.targets_table import TargetsTable, partition
from chalicelib.targets.withdrawals import Withdrawal
from tests.targets.store.conftest import MEMBERS, TABLE, apply, put

SCHEMA = Path(__file__).parents[3] / "ami_promoter" / "targets_file" / "targets.schema.json"
DEV, PROD = "111111111111", "222222222222"
DIRECTORY = Directory(
    {"default": (DEV,), "all": (DEV, PROD)},
    {
        DEV: (Target(DEV, "us-east-1", role_name="Copier", external_id="x-1", tags={"a": "b"}),),
        PROD: (Target(PROD, "us-east-1"),),
    },
)


@pytest.fixture
def table(client) -> TargetsTable:
    """The applied file, as a function reads it."""
    return TargetsTable(client, TABLE, MEMBERS)


class RefusingReads:
    """A DynamoDB that refuses to read items, as with a disabled key; what stands behind it answers later."""

    def __init__(self, client):
        self._client = client
        self.refuses = True

    def __getattr__(self, name):
        if self.refuses and name in ("get_item", "batch_get_item", "query", "get_paginator"):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "KMS"}}, name)
        return getattr(self._client, name)


def test_names_that_cannot_be_read_delay_no_notice(client):
    """There are none then, and there are when the table answers again."""
    named = {account: (replace(DIRECTORY.accounts[account][0], name="dev"),) for account in (DEV, PROD)}
    apply(client, Directory(DIRECTORY.groups, named))
    slow = RefusingReads(client)
    table = TargetsTable(slow, TABLE, MEMBERS)
    assert table.names((DEV,)) == table.names((DEV, PROD)) == {}

    slow.refuses = False
    assert table.names((DEV,)) == {DEV: "dev"}
    assert table.names((DEV, PROD)) == {DEV: "dev", PROD: "dev"}


@pytest.mark.parametrize("name", ["x" * 100_000, "dev\x1b[2J", "dev\u202e", "d", " dev"])
def test_a_name_that_the_command_line_would_refuse_is_none(client, table, name):
    """Somebody wrote the items by hand; a notice with it could be larger than SNS takes."""
    apply(client, Directory(DIRECTORY.groups, {DEV: (replace(DIRECTORY.accounts[DEV][0], name=name),)}))
    assert table.names((DEV,)) == {}
    assert table.names((DEV, PROD)) == {}


def test_the_service_and_the_schema_allow_the_same_names():
    """The command line checks by the schema."""
    assert f'"pattern": "^{NAME}$"' in SCHEMA.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("attributes", "paused"),
    [(None, False), ({"paused": {"BOOL": True}}, True), ({"paused": {"BOOL": False}}, False), ({}, False)],
)
def test_the_switch_says_whether_promotions_are_paused(client, table, attributes, paused):
    """No item means not paused."""
    if attributes is not None:
        put(client, "switches", "promotions", **attributes)

    assert table.paused() is paused


def test_a_value_resolves_by_the_file_in_force(client, table):
    """Groups become targets with every setting of the file; no read returns a mixture of two files."""
    current = apply(client, DIRECTORY)

    found = table.read().resolve("all")

    assert found.targets == (*DIRECTORY.accounts[DEV], *DIRECTORY.accounts[PROD])
    assert (found.faults, found.digest) == ((), current.digest)

    apply(client, Directory({"default": (PROD,)}, {PROD: DIRECTORY.accounts[PROD]}), number=2)

    assert [target.account for target in table.read().resolve("").targets] == [PROD]
    assert [fault.code for fault in table.read().resolve("all").faults] == ["unknown-group"]


def test_role_and_external_id_are_read_live(client, table):
    """A corrected external id reaches a waiting delivery; an account that is not listed gives None."""
    apply(client, DIRECTORY)
    assert table.live(DEV) == ("Copier", "x-1")

    apply(client, Directory({}, {DEV: (Target(DEV, "us-east-1", external_id="x-2"),)}), number=2)

    assert (table.live(DEV), table.live(PROD)) == (("AmiCopyRole", "x-2"), None)


def test_names_are_read_with_what_is_read_anyway(client, table):
    """A name costs no call of its own after a look at the account; a damaged one delays nothing, and is none."""
    calls = []
    named = replace(DIRECTORY, accounts={DEV: (replace(DIRECTORY.accounts[DEV][0], name="dev"),), PROD: ()})
    assert table.names({DEV}) == {}
    current = apply(client, named)
    table.live(PROD)
    client.meta.events.register("before-call.dynamodb", lambda **_: calls.append(1))

    assert table.live(DEV) == ("Copier", "x-1")
    assert len(calls) == 1
    assert table.names({DEV}) == {DEV: "dev"}
    assert len(calls) == 1
    assert table.names({DEV, PROD}) == {DEV: "dev"}

    body = json.dumps([{"role_name": "Copier", "external_id": "x-1", "name": 5}])
    put(client, partition(current.version), f"account#{DEV}", body={"S": body})
    assert table.live(DEV) == ("Copier", "x-1")
    assert table.names({DEV}) == {}


def test_before_anything_is_applied_nobody_is_a_target(client, table):
    """A new installation refuses every value and says what to do."""
    found = table.read().resolve("dev")

    assert (found.targets, found.digest) == ((), "")
    assert [str(fault) for fault in found.faults] == [
        (
            "table ami-promoter-us-east-1-config: no targets file has been applied yet, so no account may receive an "
            "AMI. Write one and run `ami-promoter targets apply FILE`."
        )
    ]
    assert table.live(DEV) is None


def test_items_changed_by_hand_are_not_trusted(client, table):
    """With an account added to a group in the table, every value is refused."""
    current = apply(client, DIRECTORY)
    put(client, partition(current.version), "group#default", body={"S": f'["{DEV}","{PROD}"]'})

    found = table.read().resolve("default")

    assert found.targets == ()
    assert [str(fault) for fault in found.faults] == [
        (
            f"table {TABLE}, targets version {current.version}: the applied targets are not those that were applied: "
            "somebody changed or deleted items. Apply the file again with an `ami-promoter` of the hub's version: that "
            "writes all items again."
        )
    ]


def test_a_setting_of_a_newer_version_refuses_promotions_but_not_the_end_of_deliveries(client, table):
    """An unknown setting stops new promotions, but not what must be closed."""
    body = f'[{{"account":"{DEV}","region":"us-east-1","role_name":"R","external_id":"","colour":"red"}}]'
    items = {f"account#{DEV}": body}
    current = FileVersion.of(1, addresses.digest_of(items), "2026-01-05T09:00:00Z", "arn")
    put(client, partition(current.version), f"account#{DEV}", body={"S": body})
    pointer = {"version_number": {"N": "1"}, "digest": {"S": current.digest}}
    put(client, "targets", "current", **pointer, applied_at={"S": "t"}, applied_by={"S": "a"})

    assert [fault.code for fault in table.read().resolve(DEV).faults] == ["targets-damaged"]
    assert "Target has no colour" in table.read().resolve(DEV).faults[0].what
    assert table.live(DEV) == ("R", "")
    with pytest.raises(TargetsDamaged, match="cannot be read by this version"):
        table.directory(table.in_force())


@pytest.mark.parametrize("name", ["no!pe", "true", "-x", "1234567890123"])
def test_a_group_that_no_tag_can_name_is_damage_and_hides_no_other_target(client, table, name):
    """Somebody who writes the table adds it, with the right digest: nobody resolves by it, or compares it."""
    current = apply(client, replace(DIRECTORY, groups={**DIRECTORY.groups, name: ()}))

    assert table.content(current.version) is None
    assert [fault.code for fault in table.read().resolve(DEV).faults] == ["targets-damaged"]


def test_what_the_item_claims_is_cut(client, table):
    """Somebody who writes the table makes no notice too long by it, and no version that nobody can look up."""
    current = apply(client, DIRECTORY)
    wired = {name: {"S": "x" * 90_000} for name in ("digest", "applied_at", "applied_by")}
    put(client, "targets", "current", version_number={"N": "2"}, **wired)
    seen = table.in_force()

    assert (len(seen.version), len(seen.at), len(seen.by)) == (len(current.version), 40, 500)
    assert table.content(seen.version) is None


def test_every_read_is_consistent(client, table):
    """A file that was applied a moment ago counts."""
    apply(client, DIRECTORY)
    asked = []
    client.meta.events.register("before-parameter-build.dynamodb", lambda params, **_: asked.append(params))

    table.read().resolve("all")
    table.live(DEV)

    reads = [params.get("RequestItems", {}).get(TABLE, params) for params in asked]
    assert [read.get("ConsistentRead") for read in reads] == [True] * 4


def test_what_dynamodb_leaves_unanswered_is_asked_again(client):
    """Unanswered keys of a batch do not make an account a stranger."""
    apply(client, DIRECTORY)

    class Sparing:
        """Answers one key at a time."""

        def __getattr__(self, name):
            return getattr(client, name)

        def batch_get_item(self, RequestItems):  # noqa: N803 - as boto3 spells it
            ((table, request),) = RequestItems.items()
            first, *rest = request["Keys"]
            answer = client.batch_get_item(RequestItems={table: {**request, "Keys": [first]}})
            return {**answer, "UnprocessedKeys": {table: {**request, "Keys": rest}} if rest else {}}

    assert TargetsTable(Sparing(), TABLE, MEMBERS).live(DEV) == ("Copier", "x-1")


def test_more_accounts_than_a_page_takes_resolve(client, table):
    """DynamoDB reads a megabyte of items at once."""
    accounts = [f"{number:012d}" for number in range(100)]
    tags = {f"tag-{number}": "x" * 250 for number in range(45)}
    directory = Directory({"default": tuple(accounts)}, {a: (Target(a, "us-east-1", tags=tags),) for a in accounts})
    assert sum(map(len, applied_items.to_items(directory).values())) > 2**20
    apply(client, directory)

    assert [target.account for target in table.read().resolve("").targets] == accounts


def test_whom_operators_have_withdrawn_is_read_by_ami(client, table):
    """By account, or by account and Region; a damaged entry is for every value."""
    one = Withdrawal(f"{PROD}/us-east-1", 7, "arn:aws:iam::999999999999:root", "all")
    entries = {DEV: {"S": "no JSON"}, one.place: {"S": withdrawals.written(one)}}
    put(client, "withdrawals", "ami-0a", **entries)

    damaged, read = table.withdrawals("ami-0a")

    assert read == one
    assert (damaged.place, damaged.value) == (DEV, None)
    assert not table.withdrawals("ami-0b")


AMI = "ami-0a"


class LateIndex:
    """A client whose index shows what it showed at first."""

    def __init__(self, client):
        self._client, self._shown = client, None

    def query(self, **asked):
        self._shown = self._shown or self._client.query(**asked)
        return self._shown

    def batch_get_item(self, **asked):
        return self._client.batch_get_item(**asked)


def approve(client, author, place, **body):
    key = addresses.approval(author, AMI, place)
    given = {"digest": "d", "at": 1000, "until": 2000, **body}
    put(client, key.pk, key.sk, ami={"S": AMI}, body={"S": json.dumps(given)})
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def test_approvals_come_from_each_author_and_the_author_is_the_partition(client, table):
    """Two approvers, two targets, the newest last; a body that names another author, and a damaged one."""
    here, there = f"{DEV}/us-east-1", f"{PROD}/us-east-1"
    approve(client, "AROA2:joe", here, at=1500, by="arn:somebody")
    approve(client, "AROA1:jane", here)
    approve(client, "AROA1:jane", there)
    approve(client, "AROA3:eve", there, until=None)

    assert {place: [one.by for one in every] for place, every in table.approvals(AMI, [here, there]).items()} == {
        here: ["AROA1:jane", "AROA2:joe"],
        there: ["AROA1:jane"],
    }
    assert set(table.approvals(AMI, [here])) == {here}
    assert table.approvals("ami-0b", [here]) == {}


def test_what_an_operator_puts_into_the_index_is_no_approval(client, table):
    """Its attributes are an approval's; its partition is not."""
    place = f"{DEV}/us-east-1"
    body = json.dumps({"digest": "d", "at": 1000, "until": 2000})
    put(client, "targets#x", f"{AMI}/{place}", ami={"S": AMI}, body={"S": body})

    assert table.approvals(AMI, [place]) == {}


def test_an_approval_that_was_taken_back_is_gone_while_the_index_still_shows_it(client):
    """Each is read at its home."""
    place = f"{DEV}/us-east-1"
    key = approve(client, "AROA1:jane", place)
    table = TargetsTable(LateIndex(client), TABLE, MEMBERS)
    assert place in table.approvals(AMI, [place])
    client.delete_item(TableName=TABLE, Key=key)

    assert table.approvals(AMI, [place]) == {}


@pytest.mark.parametrize(
    "body", [{"S": "{"}, {"S": "[]"}, {"B": b"{}"}, {"N": "1"}, {"L": []}], ids=lambda body: next(iter(body))
)
def test_a_damaged_pin_is_a_fault_with_its_cure(client, table, body):
    """The parameter stays as it is until somebody rolls back again."""
    key = addresses.pin(DEV, "us-east-1", "base")
    put(client, key.pk, key.sk, body=body)

    with pytest.raises(Refusal, match="Its pin cannot be read") as refused:
        table.pin(DEV, "us-east-1", "base")
    assert refused.value.fault.code == "pin-damaged"
