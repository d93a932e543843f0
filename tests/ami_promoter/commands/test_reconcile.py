"""The output and exit status of ``reconcile``, ``retry`` and ``--unpark``; scenarios cover the targets."""

import json
from dataclasses import replace

import boto3
import pytest

from ami_promoter.hub.applied_targets import in_force
from ami_promoter.hub.aws import Connection
from ami_promoter.reconcile.view_reading import Looking
from ami_promoter.verbs import TerminalClock
from chalicelib.delivery.model import ACCEPTED
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.places import Resource
from chalicelib.engine.ports import Write
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.store.table import Table
from chalicelib.inventory.machine import LOOK, REMOVE, OwnSnapshot
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Organization
from tests.ami_promoter.a_hub import (
    AMI,
    MEMBERS,
    NINE,
    PROD,
    TABLE,
    a_delivery,
    apply,
    apply_accounts,
    promoted,
    read_unit,
    track,
    write,
)
from tests.fakes import copying, sharing

DEV, OU = PROD, "ou-ab12-11111111"
DELIVERY = addresses.delivery("0123456789abcdef0123")
ACCEPTED_AMI = "ami-00000000000000001"


def asleep(table):
    """Put a delivery without a due time: no worker would look at it again."""
    write(table, replace(a_delivery(DEV, "copying"), id=DELIVERY.name))


@pytest.fixture
def applied(table):
    """A targets file in force that lists one account."""
    apply_accounts(DEV)


def test_all_is_in_order(applied, run):
    """Exit status 0; the first line says that no target was checked."""
    assert run("admin", "reconcile", "--hub-only").lines == [
        "Looked at account 123456789012, us-east-1; no target was checked (--hub-only).",
        "No difference found in the hub.",
    ]


@pytest.mark.parametrize(
    ("directory", "where", "why"),
    [
        (None, f"account 123456789012, us-east-1, table {TABLE}-config", "no targets file has been applied yet"),
        (
            Directory(
                {"default": (OU,)},
                by_unit={"default": (Target("", "us-east-1"),)},
                organization=Organization("o-a1b2c3d4e5", {OU: ("default",)}),
            ),
            "organization",
            f"The service has not read yet which accounts {OU} has",
        ),
        (Directory({"default": ()}), "targets file", "no target to check"),
    ],
)
def test_it_never_says_that_all_is_in_order_where_no_target_was_asked(table, run, directory, where, why):
    """No file, an unread OU, or empty groups: the command says why, with exit status 4."""
    if directory is not None:
        apply(directory)

    said = run("admin", "reconcile", exits=4).words

    assert "0 of 0 targets answered" in said
    assert f"not-seen: {where}" in said
    assert why in said
    assert "No difference found" not in said


def test_what_holds_for_many_targets_is_said_once(table, run):
    """It names the first of them, and says whose words it shows; --wide shows each."""
    apply_accounts(*(f"{number:012d}" for number in range(1, 26)))
    now = [NINE]

    def asked(*words):
        clock = TerminalClock(sleep=lambda _: now.append(now[-1] + 61), now=lambda: now[-1])
        return run("admin", "reconcile", "--timeout", "1m", *words, exits=4, clock=clock).words

    said = asked()
    assert said.count("not-seen: ") == 1
    assert "account 000000000003, us-east-1 and 22 more Of account 000000000001, us-east-1: The target has not" in said
    assert "With `--wide` each difference is shown by itself." in said
    assert asked("--wide").count("not-seen: ") == 25


def test_a_share_that_has_closed_since_is_no_lost_entry(table):
    """Its opening is in the history for good, and its end in the archive alone: what shows afterwards is another's."""
    ledger, resource = DynamoLedger(table), addresses.snapshot_resource("snap-0a").pk
    ledger.hold(Share(resource, PROD, PROD), sharing("0123"))
    for number, state in enumerate((ShareState.OPENING, ShareState.OPEN, ShareState.CLOSING, ShareState.CLOSED)):
        (share,) = ledger.shares(resource)
        ledger.save([replace(share, state=state)], "a step", NINE + number)
    ledger.release(resource, PROD, sharing("0123"))
    ledger.archive(ledger.shares(resource), NINE + 9)

    assert not Looking(Connection("us-east-1"))._was_open(Resource.of("snap-0a"), PROD)


def test_whom_units_have_cannot_be_read_and_those_that_the_file_lists_are_asked(table, client):
    """A person changed the members: the command reports it, calls no account a stranger, and asks listed ones."""
    listed = {"333333333333": (Target("333333333333", "us-east-1"),)}
    organization = Organization("o-a1b2c3d4e5", {OU: ("default",)})
    apply(Directory({"default": (OU,)}, listed, {"default": (Target("", "us-east-1"),)}, organization=organization))
    read_unit(client, OU, DEV)
    Table(client, MEMBERS).update(addresses.RecordKey("members", "units"), "SET body = :body", {":body": "{}"})

    seen = in_force(Connection("us-east-1"))

    assert (seen.known, seen.places()) == (False, (("333333333333", "us-east-1"),))
    assert [(fault.code, "only the targets that the file itself lists" in fault.what) for fault in seen.faults] == [
        ("not-seen", True)
    ]


def test_everything_it_says_fits_80_columns(table, run, monkeypatch):
    """A longer name has a line of its own, so that it can be copied whole."""
    monkeypatch.setenv("COLUMNS", "80")
    key = boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"]
    resource = addresses.policy_resource(key).pk
    apply_accounts("333333333333")
    DynamoLedger(table).hold(Share(resource, DEV, DEV, state=ShareState.OPEN), copying("0123456789abcdef0123"))

    lines = run("admin", "reconcile", "--hub-only", exits=4).lines

    assert any(line.startswith("receiver-not-listed: ") for line in lines)
    assert [line for line in lines if len(line) > 80 and len(line.split()) > 1] == []


def test_it_only_says_what_it_would_do(table, applied, run):
    """Exit status 4, and nothing is changed."""
    asleep(table)

    assert run("admin", "reconcile", "--hub-only", exits=4).lines[1:] == [
        f"due-date-lost: {DELIVERY}",
        "    It is copying and in no index: no worker will look at it again.",
        "    --apply makes it due",
        "Of 1, 1 can be repaired: run the command with --apply.",
    ]
    assert "wake_at" not in table.get(DELIVERY)


def test_where_nothing_can_be_repaired_it_does_not_say_how(table, applied, run):
    """A parked record waits for a person."""
    asleep(table)
    DynamoRecords(table).park(DELIVERY, "a bug.", NINE)

    assert run("admin", "reconcile", "--hub-only", exits=4).lines[-1] == "Left: 1; an operator must act."


class WorkerOfOneTarget:
    """A clock that only waiting advances; meanwhile `worker` lists copies in PROD, and deletes all but the last."""

    def __init__(self, table, copies):
        self.now, self.table, self.copies, self.key = NINE, table, copies, addresses.inventory(PROD, "us-east-1")

    def sleep(self, seconds):
        """Answer the look, and then the order."""
        self.now += seconds
        asked, records = DynamoRecords(self.table).read(self.key).inbox, DynamoRecords(self.table)
        rows = [{"snapshot": codec.encode(one)} for one in self.copies]
        page = {"kind": "found", "run": asked[LOOK], "body": json.dumps(rows)}
        records.put(addresses.inventory_page(self.key, 0), page)
        body = json.loads(self.table.get(self.key)["body"]) | {"seen": asked[LOOK], "pages": 1}
        self.table.update(self.key, "SET body = :body", {":body": json.dumps(body)})
        if REMOVE in asked:
            order = addresses.inventory_order(self.key, asked[REMOVE], 0)
            done = [one | {"result": ""} for one in json.loads(self.table.get(order)["body"])]
            done[-1]["result"] = "an AMI uses it"
            self.table.update(order, "SET body = :body", {":body": json.dumps(done)})


def test_what_was_repaired_is_shown_apart_from_what_was_not(table, applied, run):
    """Of 26 equal differences one is left; exit status 4."""
    copies = [OwnSnapshot(f"snap-{n:017x}", "completed", DELIVERY.name, "snap-0a", 0, used=False) for n in range(26)]
    worker = WorkerOfOneTarget(table, copies)
    clock = TerminalClock(sleep=worker.sleep, now=lambda: worker.now)

    said = run("admin", "reconcile", "--apply", exits=4, clock=clock).words

    assert (said.count("copy-orphaned: "), said.count("deletes it: done")) == (2, 1)
    assert f"{copies[2].id} in account {PROD}, us-east-1 and 22 more Of {copies[0].id} in account {PROD}" in said
    assert f"copy-orphaned: {copies[25].id} in account {PROD}, us-east-1 It is a copy" in said
    assert said.count("deletes it: not done: an AMI uses it") == 1
    assert "Left: 1; an operator must act, or the next run repairs them." in said


def test_it_does_it_when_it_is_notified_to(table, applied, run):
    """Exit status 0; the record is due, and the next run finds nothing."""
    asleep(table)

    assert run("admin", "reconcile", "--hub-only", "--apply").lines[3:] == [
        "    makes it due: done",
        "Running records that look again now: 1.",
        "All differences are repaired, or will be: the functions finish within minutes.",
    ]
    assert "wake_at" in table.get(DELIVERY)
    run("admin", "reconcile", "--hub-only")


@pytest.mark.parametrize("kind", ["delivery", "pointer"])
def test_a_parked_record_goes_on_by_the_command_that_names_it(table, applied, run, kind):
    """Whatever its kind; afterwards it is due. `--unpark` of a record that is not parked is a fault."""
    records, key = DynamoRecords(table), DELIVERY
    if kind == "delivery":
        asleep(table)
    else:
        key = addresses.pointer(DEV, "us-east-1", "/golden/base")
        records.create(Write(key, "settled", {}, None), NINE)
    records.park(key, "IllegalEvent: a bug.", NINE)
    command = ("admin", "reconcile", "--unpark", str(key))
    said = run("admin", "reconcile", "--hub-only", exits=4).words
    assert f"`ami-promoter admin reconcile --unpark '{key}'`" in said

    assert run(*command).lines == [f"{key} continues within a minute."]

    assert (records.read(key).parked, "wake_at" in table.get(key)) == ("", True)
    run(*command, exits=1)


def test_a_damaged_record_does_not_keep_the_others_from_being_seen(table, applied, run):
    """The command reports it and the other differences."""
    asleep(table)
    other = addresses.promotion(AMI)
    DynamoRecords(table).create(Write(other, "running", {}, NINE), NINE)
    table.update(other, "SET body = :body", {":body": "{"})

    lines = run("admin", "reconcile", "--hub-only", exits=4).lines
    expected = [f"due-date-lost: {DELIVERY}", f"unreadable: {other}"]

    assert [line for line in lines if not line.startswith(" ")][1:-1] == expected


@pytest.mark.parametrize(
    ("value", "words", "code"),
    [
        (None, [], "no value of its tag is in force"),
        ("dev", ["--account", "222222222222"], "it has no delivery to 222222222222"),
    ],
)
def test_a_wish_that_makes_no_sense_is_a_fault(table, run, value, words, code):
    """Exit status 1, and nothing is changed."""
    DynamoRecords(table).create(Write(addresses.promotion(AMI), "over", {"ami": AMI, "value": value}, None), NINE)

    assert code in run("retry", AMI, *words, exits=1).err
    assert "wake_at" not in table.get(addresses.promotion(AMI))


def test_a_parked_promotion_that_is_tried_again_goes_on_where_it_was(table, run):
    """The sweep wakes it; nothing else begins, as nothing of it has failed."""
    key, records = addresses.promotion(AMI), DynamoRecords(table)
    records.create(Write(key, "adjusting", {"ami": AMI, "value": "dev"}, None), NINE)
    records.park(key, "its value cannot be read", NINE)

    assert run("retry", AMI).lines == [f"{key} was parked, and continues."]
    freed = records.read(key)
    assert (freed.parked, freed.scheduled is not None, freed.inbox) == ("", True, {})


def test_a_retry_writes_only_on_records_that_are_parked(table, run, monkeypatch):
    """Of a thousand targets: a write that is refused costs as much as another, and one after the other a minute."""
    promotion, records = addresses.promotion(AMI), DynamoRecords(table)
    records.create(Write(promotion, "running", {"ami": AMI, "value": "dev"}, None), NINE)
    keys = [addresses.delivery(f"d-{number}") for number in range(12)]
    for number, key in enumerate(keys):
        records.create(Write(key, "copying", {}, None), NINE)
        track(table, TrackedDelivery(f"d-{number}", f"{number:012d}", "us-east-1", 1, "running"))
    records.park(keys[3], "it cannot be read", NINE)
    written, unpark = [], DynamoRecords.unpark

    def counted(store, key, now):
        written.append(key)
        return unpark(store, key, now)

    monkeypatch.setattr(DynamoRecords, "unpark", counted)

    assert run("retry", AMI).lines == [f"{keys[3]} was parked, and continues."]
    assert (written, records.read(keys[3]).parked) == ([keys[3]], "")


@pytest.mark.parametrize(("place", "status"), [(DEV, 2), (f"{DEV}/eu-west-1", 0)])
def test_an_ami_is_accepted_in_the_one_region_that_has_it(table, run, place, status):
    """With deliveries in two Regions the account alone is not enough: the other one's delivery is left as it is."""
    failed = a_delivery(DEV, "failed")
    here, there = failed.id, addresses.delivery_id("123456789012", AMI, DEV, "eu-west-1")
    promoted(table, failed, replace(failed, id=there, target=Target(DEV, "eu-west-1")))

    said = run("retry", AMI, "--account", place, "--accept", ACCEPTED_AMI, exits=status).errors

    read = (DynamoRecords(table).read(addresses.delivery(ident)) for ident in (here, there))
    assert [one.inbox.get(ACCEPTED) for one in read] == [None, None if status else ACCEPTED_AMI]
    assert (f"Write `--account {DEV}/eu-west-1` or `--account {DEV}/us-east-1`." in said) is bool(status)


def test_no_ami_is_accepted_for_a_delivery_that_has_not_failed(table, run):
    """Exit status 1, and nothing is written: the command would say that the target has an AMI that it has not."""
    copying = a_delivery(DEV, "copying")
    promoted(table, copying)

    said = run("retry", AMI, "--account", DEV, "--accept", ACCEPTED_AMI, exits=1).errors
    assert f"its delivery to {DEV} is running, and has not failed, so there is nothing to accept." in said
    assert DynamoRecords(table).read(copying.key).inbox == {}


def test_a_value_that_is_examined_still_is_not_one_that_was_removed(table, run):
    """The tag was just written: nothing has started that could be retried."""
    record = {"ami": AMI, "value": None, "seen_value": "dev", "state": "comparing"}
    DynamoRecords(table).create(Write(addresses.promotion(AMI), "comparing", record, NINE), NINE)

    assert "the service still examines its value; nothing has started yet." in run("retry", AMI, exits=1).err


@pytest.mark.parametrize(
    ("state", "preexisting", "ours"), [("open", False, True), ("open", True, False), ("closed", False, False)]
)
def test_the_history_of_a_lost_entry_tells_whose_permission_it_was(table, state, preexisting, ours):
    """The item of a standing share is gone; its history says whether it was open, and opened by the service."""
    ledger, resource = DynamoLedger(table), addresses.snapshot_resource("snap-0a").pk
    ledger.hold(Share(resource, "222222222222", "222222222222"), sharing("0123"))
    (held,) = ledger.shares(resource)
    ledger.save([replace(held, state=ShareState(state), preexisting=preexisting)], "opening was tried", NINE)
    key = addresses.share(addresses.RecordKey(resource), "222222222222")
    assert table.delete(key, "version = :one", {":one": 1})

    assert Looking(Connection("us-east-1"))._was_open(Resource.of("snap-0a"), "222222222222") is ours
