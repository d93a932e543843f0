"""Every item with a body has the number of its form: a version reads older ones, and guesses at no newer one."""

import json
from dataclasses import replace

import pytest

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.store.copy_quota import DynamoSlotLeases
from chalicelib.delivery.store.tracked_deliveries import DynamoTrackedDeliveries
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses, codec
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import LostRace, NewerSchema, ParkRecord, Unreadable
from chalicelib.engine.ports import Write
from chalicelib.engine.schema import FIRST, Forms
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.engine.store.table import EXPIRES
from chalicelib.promotion.worker.tag_pass import DAMAGED, read_heads
from chalicelib.sharing.head import Head
from chalicelib.sharing.holders import refusal
from chalicelib.sharing.outstanding import NEWER_LOOKS, due_at, to_archive, to_close, to_open
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.store.ledger import MOST_RECENT, DynamoLedger, steps_in
from tests.fakes import copying, sharing
from tests.service.cloud import Quiet
from tests.stores import on_dynamodb

NOW = 1_800_000_000
DELIVERY = RecordKey("delivery#0123")
RESOURCE = "resource#snapshot#snap-0a"
QUOTA = addresses.copy_quota("222222222222", "us-east-1")
AMI = "ami-0a"


def goes_on(body):
    """The step to a form in which a record says for how long it copies."""
    return {**body, "hours": 1}


NEWER = Forms(dict.fromkeys(("delivery", "image", "head", "share"), (goes_on,)))


@pytest.fixture
def table():
    with on_dynamodb() as stores:
        yield stores.table


def body_of(table, key):
    return json.loads(table.get(key)["body"])


def a_share(**changes):
    """Build a share of the snapshot for one account."""
    return Share(RESOURCE, "222222222222", "222222222222", last_closing_at=NOW + 9000, **changes)


@pytest.mark.parametrize(("schema", "why"), [(FIRST + 1, NewerSchema), (FIRST - 1, Unreadable), (None, Unreadable)])
def test_a_record_of_an_unknown_form_and_a_damaged_one_are_not_guessed_at(table, schema, why):
    """It raises the error by which it is left alone or parked; it takes inbox entries, and its body is unchanged."""
    records = DynamoRecords(table)
    records.create(Write(DELIVERY, "copying", {"ami": AMI}, NOW), NOW)
    table.update(DELIVERY, "SET #schema = :schema", {":schema": schema}, names={"#schema": "schema"})

    with pytest.raises(why, match=r"schema (\d|None)"):
        records.read(DELIVERY)
    records.leave(DELIVERY, {"cancel": "1:x"}, NOW)
    assert table.get(DELIVERY)["in:cancel"] == "1:x"
    assert body_of(table, DELIVERY) == {"ami": AMI}
    table.update(DELIVERY, "SET body = :body", {":body": "{"})
    with pytest.raises(ParkRecord):
        records.read(DELIVERY)


def test_an_older_form_is_read_as_the_newest_and_written_so(table):
    """By the steps of its kind, one after the other; a kind without a step, and a damaged body, are as before."""
    DynamoRecords(table).create(Write(DELIVERY, "copying", {"ami": AMI}, NOW), NOW)
    DynamoRecords(table).put(addresses.head(AMI), {"kind": "head", "body": "{}"})
    twice = Forms({"delivery": (goes_on, lambda body: {"ami": body["ami"], "seconds": body["hours"] * 3600})})
    records = DynamoRecords(table, twice)

    read = records.read(DELIVERY)
    assert read.body == {"ami": AMI, "seconds": 3600}
    assert records.get(addresses.head(AMI))["body"] == "{}"
    assert records.save(read, Write(DELIVERY, "copying", read.body, NOW), (), NOW)
    assert (table.get(DELIVERY)["schema"], body_of(table, DELIVERY)) == (FIRST + 2, read.body)
    assert records.read(DELIVERY).body == read.body
    table.update(
        DELIVERY, "SET body = :body, #schema = :first", {":body": "[]", ":first": FIRST}, names={"#schema": "schema"}
    )
    with pytest.raises(Unreadable):
        records.read(DELIVERY)


@pytest.mark.parametrize("body", ["[]", '{"accounts": []}', '{"accounts": [1]}'])
def test_a_step_that_fails_keeps_no_share_open(table, body):
    """Whatever it raises: it was written for bodies that are whole, and one may be damaged, or forged."""
    ledger = DynamoLedger(table)
    ledger.hold(a_share(), copying("0123"))
    ledger.save([replace(ledger.shares(RESOURCE)[0], state=ShareState.OPEN, intended_at=NOW)], "opened", NOW)
    ledger.release(RESOURCE, "222222222222", copying("0123"))
    table.update(SHARE_KEY, "SET body = :body", {":body": body})
    first = Forms({"share": (lambda body: {"account": body.get("accounts")[0].strip()},)})

    assert to_close(DynamoLedger(table, first).shares(RESOURCE), NOW)


def test_what_lies_beside_a_record_bears_its_form(table):
    """The source image has one; an item without a body has none."""
    key = addresses.source_image(AMI, "d1")
    DynamoRecords(table, NEWER).put(key, {"kind": "image", "body": "{}"})
    DynamoRecords(table, NEWER).put(RecordKey("lookup#1", "delivery#0123"), {"kind": "lookup", "delivery": "0123"})

    with pytest.raises(NewerSchema):
        DynamoRecords(table).get(key)
    assert "schema" not in DynamoRecords(table).get(RecordKey("lookup#1", "delivery#0123"))


def test_a_head_of_another_form_hides_no_other(table):
    """After a rollback discovery uses the heads that it can read, and wakes the promotions of the others."""
    for ami, records in ((AMI, DynamoRecords(table)), ("ami-0b", DynamoRecords(table, NEWER))):
        body = json.dumps(codec.encode(Head("dev", ("dev",))))
        records.put(addresses.head(ami), {"kind": "head", "body": body})

    assert read_heads(DynamoRecords(table)) == {AMI: Head("dev", ("dev",)), "ami-0b": DAMAGED}


@pytest.mark.parametrize(
    ("state", "read", "closes"),
    [
        (ShareState.WANTED, ShareState.WANTED, False),
        (ShareState.OPENING, ShareState.OPENING, True),
        (ShareState.OPEN, ShareState.OPEN, True),
        (ShareState.CLOSING, ShareState.CLOSING, True),
        (ShareState.CLOSED, ShareState.WANTED, False),
    ],
)
def test_a_share_of_a_newer_version_is_not_opened_and_closes_all_the_same(table, state, read, closes):
    """What closing needs is stored beside the body: an unreadable body must not keep a share open (invariant 1).

    Nor is it refused or archived: its holders wait, and the share worker looks again within minutes.
    """
    newer = DynamoLedger(table, NEWER)
    newer.hold(a_share(), copying("0123"))
    (share,) = newer.shares(RESOURCE)
    newer.save([Share(**{n: getattr(share, n) for n in share.__slots__} | {"state": state})], "x", NOW)

    shares = DynamoLedger(table).shares(RESOURCE)

    assert [one.state for one in shares] == [read]
    assert (bool(to_close(shares, NOW + 9000)), to_open(shares, NOW), refusal(shares[0])) == (closes, [], None)
    assert to_archive([replace(one, holdings=frozenset()) for one in shares], NOW) == []
    if state is ShareState.CLOSING:
        assert to_close(shares, NOW) == shares, "held again, it is closed first"
    elif state is not ShareState.OPEN:
        assert NOW < due_at(shares, NOW) <= NOW + NEWER_LOOKS


@pytest.mark.parametrize("name", ["wanted", "done", "granted", "lease_until"])
def test_a_damaged_slot_stops_nobody_and_is_mended_or_dropped(table, name):
    """A damaged number counts as 0; the delivery's next write repairs it, or the quota's worker drops the lease."""
    slots = DynamoSlotLeases(table)
    request = SlotLease("0123", 1, NOW, 2, 0, until=NOW + 60)
    slots.ask(QUOTA, request)
    table.update(addresses.slot(QUOTA, "0123"), f"SET {name} = :text", {":text": "many"})

    (damaged,) = slots.leases(QUOTA)

    assert damaged == replace(request, **{name.removeprefix("lease_"): 0})
    slots.ask(QUOTA, request)
    slots.grant(QUOTA, replace(request, granted=2))
    assert slots.leases(QUOTA) == [replace(request, granted=2)]
    table.update(addresses.slot(QUOTA, "0123"), f"SET {name} = :text", {":text": "many"})
    slots.drop(QUOTA, slots.leases(QUOTA)[0])
    assert slots.leases(QUOTA) == []


@pytest.mark.parametrize("state", ["running", "delivered"])
@pytest.mark.parametrize(("attribute", "value"), [("schema", FIRST + 1), ("body", "{"), ("body", '{"colour": "red"}')])
def test_a_tracked_delivery_whose_body_cannot_be_read_is_what_stands_beside_it(table, attribute, value, state):
    """It does not hold up the others of its promotion, and each look at it is in the log."""
    telemetry = Quiet()
    tracked = DynamoTrackedDeliveries(table, telemetry=telemetry)
    begun = TrackedDelivery("0123", "222222222222", "us-east-1", 2, "running", generation=7, ssm_parameter="/golden")
    tracked.add(AMI, begun)
    if state == "delivered":
        begun = replace(begun, state=state, image="ami-0b", ended_at=NOW)
        tracked.end(AMI, begun)
    key = addresses.tracked_delivery(AMI, "0123")
    table.update(key, "SET #it = :value", {":value": value}, names={"#it": attribute})

    assert tracked.all(AMI) == [begun]
    assert [(what, args[0]) for what, args in telemetry.reported] == [("unreadable", key)]


def test_a_promotion_parks_on_a_tracked_delivery_of_which_nothing_can_be_read(table):
    """Not even what stands beside its body: then a person must look."""
    DynamoTrackedDeliveries(table).add(AMI, TrackedDelivery("0123", "222222222222", "us-east-1", 1, "running"))
    key = addresses.tracked_delivery(AMI, "0123")
    table.update(key, "SET body = :value, episode = :value", {":value": "{"})

    with pytest.raises(Unreadable):
        DynamoTrackedDeliveries(table).all(AMI)


def test_everything_that_is_decoded_bears_its_form(table):
    """Without a schema number a later version would read the item as its own."""
    records, record = DynamoRecords(table), Write(DELIVERY, "copying", {}, NOW)
    records.create(record, NOW)
    beside = addresses.head(AMI), {"kind": "head", "body": "{}"}
    for happened in ((), ["moved"]):
        assert records.save(records.read(DELIVERY), record, happened, NOW, [beside])
    records.put(addresses.source_image(AMI, "d1"), {"kind": "image", "body": "{}"})
    DynamoLedger(table).hold(a_share(), copying("0123"))
    DynamoTrackedDeliveries(table).add(AMI, TrackedDelivery("0123", "222222222222", "us-east-1", 1, "running"))

    keys = (
        DELIVERY,
        addresses.head(AMI),
        addresses.source_image(AMI, "d1"),
        addresses.share(RecordKey(RESOURCE), "222222222222"),
        addresses.tracked_delivery(AMI, "0123"),
    )
    assert {table.get(key)["schema"] for key in keys} == {FIRST}


# --- what stands in the ledger's items -------------------------------------------------------------------------------

SHARE_KEY = addresses.share(RecordKey(RESOURCE), "222222222222")
HOLDING = addresses.holding(RESOURCE, "222222222222", "0123")


def test_what_is_over_expires_and_what_is_open_does_not(table):
    """DynamoDB's TTL deletes history and archive, and nothing else."""
    ledger = DynamoLedger(table, keep_days=7)
    ledger.hold(a_share(), sharing("0123"))
    (share,) = ledger.shares(RESOURCE)
    ledger.save([replace(share, state=ShareState.OPEN)], "opening was tried", NOW)
    assert EXPIRES not in table.get(SHARE_KEY)
    ledger.release(RESOURCE, "222222222222", sharing("0123"))
    (share,) = ledger.shares(RESOURCE)
    ledger.archive([replace(share, state=ShareState.CLOSED)], NOW, "closing was tried")

    left = [*table.query(RESOURCE, "history#"), *table.query(RESOURCE, "closed#")]
    assert [item[EXPIRES] for item in left] == [NOW + 7 * 86_400] * 2
    assert [(one.state, one.what) for item in left for one in steps_in(item)] == [
        ("open", ("opening was tried",)),
        ("open", ("opening was tried",)),
        ("closed", ("closing was tried",)),
    ]
    assert table.get(SHARE_KEY) is None


def test_what_is_open_keeps_the_history_of_its_opening(table):
    """Also when the items beside it have expired, however often it was written: invariant 10."""
    ledger = DynamoLedger(table)
    ledger.hold(a_share(), sharing("0123"))
    (share,) = ledger.shares(RESOURCE)
    for number in range(2 * MOST_RECENT):
        state = ShareState.OPEN if number else ShareState.OPENING
        (share,) = ledger.save([replace(ledger.shares(RESOURCE)[0], state=state)], f"step {number}", NOW + number)

    (read,) = ledger.shares(RESOURCE)
    assert read == share
    assert [one.what for one in read.recent[:2]] == [("step 0",), ("step 1",)]
    assert len(read.recent) <= MOST_RECENT


def test_what_may_come_back_from_the_recycle_bin_is_known_for_as_long_as_that_keeps_it(table):
    """Otherwise a permission that comes back with its AMI after KeepHistoryDays would count as somebody else's."""
    ledger = DynamoLedger(table, keep_days=7)
    ledger.hold(a_share(), copying("0123"))
    ledger.release(RESOURCE, "222222222222", copying("0123"))
    (share,) = ledger.shares(RESOURCE)
    ledger.archive([replace(share, state=ShareState.CLOSED, gone_with_resource=True)], NOW)

    (left,) = table.query(RESOURCE, "closed#")
    assert left[EXPIRES] > NOW + 365 * 86_400


def test_what_has_closed_since_is_known_for_as_long_as_what_may_come_back(table):
    """Otherwise the older mark would be the last one again, and a person's permission would count as the service's."""
    ledger, days = DynamoLedger(table, keep_days=7), (0, 10)
    for day, gone in zip(days, (True, False), strict=True):
        ledger.hold(a_share(), copying("0123"))
        ledger.release(RESOURCE, "222222222222", copying("0123"))
        (share,) = ledger.shares(RESOURCE)
        ledger.archive([replace(share, state=ShareState.CLOSED, gone_with_resource=gone)], NOW + day * 86_400)

    older, later = (item[EXPIRES] for item in table.query(RESOURCE, "closed#"))
    assert later > older


def test_the_history_of_a_share_is_whole_however_often_it_is_written(table):
    """Its item has the last steps; those before, and the calls of a write that lost a race, are items of their own."""
    ledger, numbers, name = DynamoLedger(table), range(2 * MOST_RECENT + 3), "222222222222"
    ledger.hold(a_share(), copying("0123"))
    (share,) = ledger.shares(RESOURCE)
    for number in numbers:
        (share,) = ledger.save([share], f"step {number}", NOW + number)
        with pytest.raises(LostRace):
            ledger.save([replace(share, version=0)], "lost", NOW + number, calls={name: [f"call {number}"]})

    assert ledger.shares(RESOURCE) == [share]
    assert len(share.recent) <= MOST_RECENT
    moved = [one for item in table.query(RESOURCE, "history#share#") for one in steps_in(item)]
    expected = {step for number in numbers for step in ((f"step {number}",), ("lost", f"call {number}"))}
    assert {one.what for one in (*moved, *share.recent)} == expected


@pytest.mark.parametrize(
    "damage", [{"episode": "x"}, {"account": 5}, {"region": None}, {"until": None}, {"episode": None, "until": "x"}]
)
def test_a_holding_that_cannot_be_read_holds_nothing_and_can_be_released_or_held_again(table, damage):
    """Its key has resource, share and delivery, the index its AMI; the other holdings count."""
    ledger = DynamoLedger(table)
    ledger.hold(a_share(), sharing("0123", episode=3))
    ledger.hold(a_share(), sharing("4567"))
    for name, value in damage.items():
        table.update(HOLDING, "SET #name = :value", {":value": value}, names={"#name": name})

    assert [share.holdings for share in ledger.shares(RESOURCE)] == [{sharing("4567")}]
    found = next(one for one in ledger.standing(AMI) if one.holding.delivery == "0123")
    assert (found.resource, found.share_name, found.holding.ami) == (RESOURCE, "222222222222", AMI)
    assert found.holding.episode == 0
    ledger.hold(a_share(), sharing("0123", episode=3))
    assert [share.holdings for share in ledger.shares(RESOURCE)] == [{sharing("0123", episode=3), sharing("4567")}]
    ledger.release(found.resource, found.share_name, found.holding)

    assert [one.holding.delivery for one in ledger.standing(AMI)] == ["4567"]
    assert [share.holdings for share in ledger.shares(RESOURCE)] == [{sharing("4567")}]


def test_a_standing_holding_whose_ami_was_taken_away_holds_nothing(table):
    """The pass could not find it: it must not keep a share open."""
    ledger = DynamoLedger(table)
    ledger.hold(a_share(), sharing("0123"))
    table.update(HOLDING, "REMOVE standing_of", {})

    assert ledger.standing(AMI) == []
    assert [share.holdings for share in ledger.shares(RESOURCE)] == [frozenset()]


def test_a_share_that_comes_back_from_the_archive_keeps_its_history(table):
    """The share's versions start over; the history has both times."""
    ledger = DynamoLedger(table)
    for at in (NOW, NOW + 600):
        ledger.hold(a_share(), copying("0123"))
        ledger.release(RESOURCE, "222222222222", copying("0123"))
        (share,) = ledger.shares(RESOURCE)
        ledger.save([replace(share, state=ShareState.CLOSED)], f"closed at {at}", at)
        ledger.archive(ledger.shares(RESOURCE), at)

    steps = [one for item in table.query(RESOURCE, "closed#") for one in steps_in(item)]
    assert [(one.at, one.what) for one in steps] == [(at, (f"closed at {at}",)) for at in (NOW, NOW + 600)]
