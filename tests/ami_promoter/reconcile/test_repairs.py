"""How ``reconcile --apply`` repairs what it found: the workers do the rest, and what has changed since is skipped."""

import json
import time
from dataclasses import replace

import pytest

from ami_promoter.hub.aws import Connection
from ami_promoter.reconcile.repair_data import EndTracked, MakeDue, RecordOpen, ReleaseHolding, Remove, Reopen, Withdraw
from ami_promoter.reconcile.repairs import MOVED_ON, SLICE, Repairs
from chalicelib.delivery.outcomes import EXPIRED
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Write
from chalicelib.engine.schedule import DAY
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.store.table import EXPIRES
from chalicelib.inventory.machine import REMOVE
from chalicelib.sharing import outstanding
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import DynamoLedger
from tests.ami_promoter.a_hub import REGION, apply_accounts
from tests.fakes import copying

DEV, AMI = "222222222222", "ami-0a"
ID = "0123456789abcdef0123"
RESOURCE = addresses.snapshot_resource("snap-0a").pk
KEY = "arn:aws:kms:us-east-1:123456789012:key/k"
KEY_RESOURCE = addresses.key_resource(KEY, DEV).pk
HELD = copying(ID)


@pytest.fixture
def repairs(table):
    """One run of the command, which does not wait for targets."""
    return Repairs(Connection(REGION), "run-1", 0)


@pytest.fixture
def ledger(table):
    return DynamoLedger(table)


def now():
    """The time that the command uses."""
    return int(time.time())


def a_delivery(table, state="copying", episode=1, account=DEV, **members):
    """Store a delivery's record."""
    body = {"id": ID, "episode": episode, "state": state, "target": {"account": account}, **members}
    DynamoRecords(table).create(Write(addresses.delivery(ID), state, body, None), now())


def due(table, pk):
    """Whether the sweep will wake a record within a minute."""
    item = table.get(RecordKey(pk))
    return item is not None and item["wake_at"] <= now() + 60


def test_an_unknown_permission_is_taken_up_and_then_closed_by_its_message_group(table, repairs, ledger):
    """It is the service's, open and without a holding, so the worker closes it. A repeat changes nothing."""
    repair = RecordOpen(RESOURCE, DEV, DEV, 0)

    assert repairs.repair(repair) == "done"
    (known,) = ledger.shares(RESOURCE)
    assert (known.state, known.preexisting, known.holdings) == (ShareState.OPEN, False, frozenset())
    assert outstanding.to_close([known], now()) == [known]
    assert due(table, RESOURCE)
    assert [step.what for step in known.recent] == [
        ("found open; the service opened it (ami-promoter admin reconcile)",)
    ]
    assert repairs.repair(repair) == MOVED_ON


def test_one_under_a_copy_waits_for_its_delivery_and_closes_when_that_lets_go(repairs, ledger):
    """It has no holding yet; when its delivery has held and released it, it closes at once."""
    repairs.repair(RecordOpen(RESOURCE, DEV, DEV, 3600))
    (known,) = ledger.shares(RESOURCE)
    assert outstanding.to_close([known], now()) == []
    assert outstanding.to_close([known], now() + 3600) == [known]
    assert outstanding.due_at([known], now()) >= now() + 3590

    end = now() + 9000
    ledger.hold(Share(RESOURCE, DEV, DEV, last_closing_at=end), HELD)
    (held,) = ledger.shares(RESOURCE)
    assert (held.state, held.holdings, held.last_closing_at) == (ShareState.OPEN, {HELD}, end)
    ledger.release(RESOURCE, DEV, HELD)
    (left,) = ledger.shares(RESOURCE)
    assert outstanding.to_close([left], now()) == [left]


def test_a_permission_wrongly_called_preexisting_is_the_services_again(repairs, ledger):
    """The entry says preexisting; there is evidence that the service opened it."""
    ledger.hold(Share(RESOURCE, DEV, DEV, state=ShareState.OPEN, preexisting=True), HELD)

    assert repairs.repair(RecordOpen(RESOURCE, DEV, DEV, 0)) == "done"

    (known,) = ledger.shares(RESOURCE)
    assert (known.preexisting, known.holdings) == (False, {HELD})


def test_a_grant_is_taken_up_with_its_id_and_grantee(repairs, ledger):
    """The worker revokes it by its id."""
    repairs.repair(RecordOpen(KEY_RESOURCE, ID, DEV, 0, f"arn:aws:iam::{DEV}:role/r", 3, "grant-id"))

    (known,) = ledger.shares(KEY_RESOURCE)
    assert (known.grant_id, known.intended_at, known.grantee) == ("grant-id", 3, f"arn:aws:iam::{DEV}:role/r")
    assert outstanding.to_close([known], now()) == [known]


def test_what_the_message_group_has_written_meanwhile_stands(repairs, ledger):
    """The view is older than the entry: the repair is skipped, and the next run looks again."""
    ledger.hold(Share(RESOURCE, DEV, DEV), HELD)
    ledger.save(ledger.shares(RESOURCE), "opening is intended", now())

    assert repairs.repair(RecordOpen(RESOURCE, DEV, DEV, 0, version=0)) == MOVED_ON
    assert ledger.shares(RESOURCE)[0].state is ShareState.WANTED


def test_a_share_that_shows_no_longer_is_opened_again_by_its_message_group(table, repairs, ledger):
    """Written as closed, with its holding: the worker opens it again. A repeat changes nothing."""
    ledger.hold(Share(RESOURCE, DEV, DEV, state=ShareState.OPEN, last_closing_at=now() + 9000), HELD)

    (seen,) = ledger.shares(RESOURCE)

    assert repairs.repair(Reopen(seen)) == "done"

    assert [s.share_name for s in outstanding.to_open(ledger.shares(RESOURCE), now())] == [DEV]
    assert due(table, RESOURCE)
    assert repairs.repair(Reopen(replace(seen, version=1))) == MOVED_ON


@pytest.mark.parametrize(
    ("state", "episode", "goes"), [("copying", 1, False), ("copying", 2, True), ("failed", 1, True)]
)
def test_a_holder_is_let_go_unless_it_is_alive_after_all(table, repairs, ledger, state, episode, goes):
    """The command reads the record again right before."""
    a_delivery(table, state, episode)
    ledger.hold(Share(RESOURCE, DEV, DEV, state=ShareState.OPEN), HELD)

    assert repairs.repair(ReleaseHolding(RESOURCE, DEV, HELD)) == ("done" if goes else MOVED_ON)

    assert bool(ledger.shares(RESOURCE)[0].holdings) is not goes
    assert due(table, RESOURCE) is goes


def withdraw(receiver=DEV, resource=RESOURCE):
    """The repair of a share that is open to a receiver that is not in the file."""
    return Withdraw(receiver, (Share(resource, receiver, receiver, holdings=frozenset({HELD})),))


def test_a_delivery_to_an_account_that_the_file_does_not_contain_is_cancelled(table, repairs, ledger):
    """Its cleanup releases its shares; the command does not close them under its copies."""
    apply_accounts("333333333333")
    a_delivery(table)
    ledger.hold(Share(RESOURCE, DEV, DEV, state=ShareState.OPEN), HELD)

    assert repairs.repair(withdraw()) == "done"

    assert DynamoRecords(table).read(addresses.delivery(ID)).inbox["cancel"].startswith("1:")
    assert ledger.shares(RESOURCE)[0].holdings == {HELD}
    assert due(table, RESOURCE)


@pytest.mark.parametrize(("state", "account"), [("shared", DEV), ("failed", "999999999999"), (None, "")])
def test_a_share_that_a_listed_or_ended_delivery_holds_for_a_stranger_is_release_holding(
    table, repairs, ledger, state, account
):
    """A delivery to a listed account holds an OU's launch permission: only the holding ends, the delivery continues."""
    unit = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111"
    image = addresses.image_resource(AMI).pk
    apply_accounts(DEV)
    if state is not None:
        a_delivery(table, state, account=account)
    ledger.hold(Share(image, unit, unit, state=ShareState.OPEN), HELD)

    assert repairs.repair(withdraw(unit, image)) == "done"

    assert ledger.shares(image)[0].holdings == frozenset()
    assert due(table, image)
    stored = DynamoRecords(table).read(addresses.delivery(ID))
    assert stored is None or "cancel" not in stored.inbox


@pytest.mark.parametrize("accounts", [(DEV,), ()])
def test_nobody_is_withdrawn_whom_the_file_contains_by_now_or_while_it_is_not_known(table, repairs, ledger, accounts):
    """The command reads the file again; without a file in force no account is a stranger."""
    if accounts:
        apply_accounts(*accounts)
    a_delivery(table)
    ledger.hold(Share(RESOURCE, DEV, DEV, state=ShareState.OPEN), HELD)

    assert repairs.repair(withdraw()) == MOVED_ON

    assert "cancel" not in DynamoRecords(table).read(addresses.delivery(ID)).inbox
    assert ledger.shares(RESOURCE)[0].holdings == {HELD}


@pytest.mark.parametrize(
    ("state", "ends"), [(None, "failed"), ("delivered", "delivered"), ("cancelled", "cancelled"), ("copying", None)]
)
def test_a_promotion_is_notified_how_a_delivery_ended(table, repairs, state, ends):
    """A lost delivery counts as failed, so that `retry` starts it again; a running one stays.

    Of a lost one nothing can be recalled: with an AMI, the promotion of a recalled AMI would never end.
    """
    tracked = DynamoTrackedDeliveries(table)
    DynamoRecords(table).create(Write(addresses.promotion(AMI), "running", {}, now() + 9000), now())
    tracked.add(AMI, TrackedDelivery(ID, DEV, REGION, 1, "running", "ami-0b"))
    if state is not None:
        a_delivery(table, state)

    result = repairs.repair(EndTracked(AMI, ID))

    [entry] = tracked.all(AMI)
    assert (entry.state, entry.image) == ((ends, "") if ends else ("running", "ami-0b"))
    assert (result, due(table, addresses.promotion(AMI).pk)) == (("done", True) if ends else (MOVED_ON, False))


@pytest.mark.parametrize(
    ("state", "members", "tracked_as"),
    [
        ("recalled", {"ending": "recalled", "image": {"id": "ami-0b"}}, ("recalled", "ami-0b")),
        ("failed", {"ending": "failed", "launch": {"kept": "ami-0b"}}, ("failed", "ami-0b")),
        ("failed", {"image": {"id": "ami-0b"}}, ("failed", "")),
        ("withdrawn", {"ending": "withdrawn", "share_mode": {"expired": True}}, (EXPIRED, "")),
    ],
    ids=["recalled", "untested", "damaged", "expired"],
)
def test_a_promotion_keeps_the_ami_that_stays_and_a_share_that_ended_at_its_date(
    table, repairs, state, members, tracked_as
):
    """A recall, or its lift, then reaches the AMI; and the share does not begin again by itself."""
    tracked = DynamoTrackedDeliveries(table)
    tracked.add(AMI, TrackedDelivery(ID, DEV, REGION, 1, "running"))
    a_delivery(table, state, **members, entered={state: 7, "publishing": 1})

    repairs.repair(EndTracked(AMI, ID))

    (entry,) = tracked.all(AMI)
    assert ((entry.state, entry.image), entry.ended_at) == (tracked_as, 7)


@pytest.mark.parametrize("there", [True, False])
def test_a_record_is_woken_and_a_resources_is_made_if_it_is_lost(table, repairs, there):
    """The sweep wakes it within a minute."""
    if there:
        DynamoRecords(table).create(Write(RecordKey(RESOURCE), "open", {"resource": RESOURCE}, None), now())

    repairs.repair(MakeDue(RESOURCE))

    assert due(table, RESOURCE)


@pytest.mark.parametrize(("removed", "asks"), [("run-2", "run-1"), ("run-0", "run-2")])
def test_an_order_that_another_commands_has_replaced_is_given_again(table, repairs, removed, asks):
    """Once that other one is carried out, and not before."""
    key = addresses.inventory(DEV, REGION)
    DynamoRecords(table).create(Write(key, "removing", {"removed": removed}, None), now())
    DynamoRecords(table).make_due(key, now(), {REMOVE: "run-2"})

    repairs._order_again([(DEV, REGION)])

    assert DynamoRecords(table).read(key).inbox[REMOVE] == asks


def test_copies_are_deleted_by_order_and_the_answer_is_read(table, repairs):
    """In slices beside the target's inventory, which becomes due; removals without an answer are reported as such."""
    key = addresses.inventory(DEV, REGION)
    DynamoRecords(table).create(Write(key, "open", {}, None), now())
    orders = [Remove(DEV, REGION, f"snap-{n:03d}", ID) for n in range(SLICE + 1)]

    assert all("not answered yet" in result for result in repairs.remove(orders).values())

    slices = [addresses.inventory_order(key, "run-1", number) for number in range(2)]
    placed = [json.loads(table.get(one)["body"]) for one in slices]
    assert [one["snapshot"] for part in placed for one in part] == [order.snapshot for order in orders]
    assert [table.get(one)["slices"] for one in slices] == [2, 2]
    assert all(now() < table.get(one)[EXPIRES] <= now() + 400 * DAY for one in slices), "DynamoDB deletes it"
    assert due(table, key.pk)
    placed[1][0]["result"] = "an AMI uses it"
    table.update(slices[1], "SET body = :body", {":body": json.dumps(placed[1])})
    assert repairs._answers((DEV, REGION), len(orders)) == {orders[-1].snapshot: "an AMI uses it"}
