"""Every item says in which form it is: this version's and the last are read, a newer or an older one is not guessed at.

The versions here are made up: an old service of form 1 writes, a new one of form 2 reads, and the other way round.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chalicelib.adapters.dynamo.children import DynamoChildren
from chalicelib.adapters.dynamo.copy_quota import DynamoSlotLeases
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.adapters.dynamo.records import DynamoRecords
from chalicelib.adapters.dynamo.table import EXPIRES
from chalicelib.core import addresses
from chalicelib.core.addresses import Key
from chalicelib.core.copy_quota import SlotLease
from chalicelib.core.errors import NewerSchema, ParkRecord, Unreadable
from chalicelib.core.promotion.model import Child
from chalicelib.core.schema import CURRENT, Forms
from chalicelib.core.share import Share, State, to_close, to_open
from chalicelib.ports import Write
from tests.fakes import copying, sharing
from tests.stores import on_dynamodb

NOW = 1_800_000_000
DELIVERY = Key("delivery#0123")
RESOURCE = "resource#snapshot#snap-0a"
QUOTA = addresses.copy_quota("222222222222", "us-east-1")
AMI = "ami-0a"


def renamed(old, new):
    """Make a step of the kind that a version brings: a member gets another name."""

    def step(body):
        return {**{name: value for name, value in body.items() if name != old}, new: body[old]}

    return step


OLD = Forms(1)
NEW = Forms(
    2,
    {
        "delivery": renamed("ami_id", "ami"),
        "image": renamed("named", "name"),
        "share": renamed("closes", "fault"),
        "slot": renamed("asked", "wanted"),
        "child": renamed("ended_as", "state"),
    },
)
LATER = Forms(3)


@pytest.fixture
def table(monkeypatch):
    """A table on DynamoDB."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with on_dynamodb() as stores:
        yield stores.table


def body_of(table, key):
    """What an item holds."""
    return json.loads(table.get(key)["body"])


def a_share(**changes):
    """Build a share of the snapshot for one account."""
    return Share(RESOURCE, "222222222222", "222222222222", hard_close_at=NOW + 9000, **changes)


def test_a_record_of_the_last_version_is_read_and_written_anew(table):
    """The body arrives in the new form; the item keeps the old one until the record is written."""
    DynamoRecords(table, OLD).create(Write(DELIVERY, "copying", {"ami_id": AMI}, NOW), NOW)
    records = DynamoRecords(table, NEW)

    stored = records.begin(DELIVERY)

    assert stored.body == {"ami": AMI}
    assert table.get(DELIVERY)["schema"] == 1
    assert records.save(stored, Write(DELIVERY, "copying", stored.body, NOW), ["moved"], NOW)
    assert (table.get(DELIVERY)["schema"], body_of(table, DELIVERY)) == (2, {"ami": AMI})
    assert records.read(DELIVERY).body == {"ami": AMI}


@pytest.mark.parametrize(("written", "read", "why"), [(NEW, OLD, NewerSchema), (OLD, LATER, Unreadable)])
def test_a_record_of_a_newer_version_or_one_long_past_is_not_guessed_at(table, written, read, why):
    """It raises what makes its lane park it; a note on it is taken all the same, and nothing of it is lost."""
    DynamoRecords(table, written).create(Write(DELIVERY, "copying", {"ami": AMI}, NOW), NOW)
    records = DynamoRecords(table, read)

    with pytest.raises(why, match=r"schema \d"):
        records.begin(DELIVERY)
    assert issubclass(why, ParkRecord)
    assert records.note(DELIVERY, {"cancel": "1:x"}, NOW)
    assert body_of(table, DELIVERY) == {"ami": AMI}


def test_what_lies_beside_a_record_is_read_in_the_last_form_as_well(table):
    """The source image and the plan bear their form, too; what has no body has no form."""
    key = addresses.source_image(AMI)
    DynamoRecords(table, OLD).put(key, {"kind": "image", "body": json.dumps({"named": "golden"})})
    DynamoRecords(table, OLD).put(Key("lookup#1", "delivery#0123"), {"kind": "lookup", "delivery": "0123"})

    records = DynamoRecords(table, NEW)
    assert json.loads(records.get(key)["body"]) == {"name": "golden"}
    assert [json.loads(item["body"]) for _, item in records.list(key.pk, "image")] == [{"name": "golden"}]
    assert "schema" not in records.get(Key("lookup#1", "delivery#0123"))
    DynamoRecords(table, LATER).put(key, {"kind": "image", "body": "{}"})
    with pytest.raises(NewerSchema):
        records.get(key)


def test_a_share_of_the_last_version_is_read(table):
    """With holders and end, which stand beside the body, and in the new form once it is written."""
    DynamoLedger(table, OLD).hold(RESOURCE, a_share(), copying("0123"))
    key = addresses.share(Key(RESOURCE), "222222222222")
    old = body_of(table, key)
    old["closes"] = old.pop("fault")
    table.update(key, "SET body = :body", {":body": json.dumps(old)})
    ledger = DynamoLedger(table, NEW)

    (share,) = ledger.shares(RESOURCE)

    assert (share.state, share.holdings, share.hard_close_at) == (State.WANTED, {copying("0123")}, NOW + 9000)
    ledger.save([share], "opening is intended", NOW)
    assert (table.get(key)["schema"], "closes" in body_of(table, key)) == (2, False)


@pytest.mark.parametrize(("state", "closes"), [(State.OPEN, True), (State.CLOSING, True), (State.CLOSED, False)])
def test_a_share_of_a_newer_version_is_not_opened_and_closes_all_the_same(table, state, closes):
    """What closing needs stands beside the body: a form that cannot be read must not keep a door open (law 1)."""
    newer = DynamoLedger(table, NEW)
    newer.hold(RESOURCE, a_share(), copying("0123"))
    (share,) = newer.shares(RESOURCE)
    newer.save([Share(**{n: getattr(share, n) for n in share.__slots__} | {"state": state})], "x", NOW)

    shares = DynamoLedger(table, OLD).shares(RESOURCE)

    assert bool(to_close(shares, NOW + 9000)) is closes
    assert to_open(shares, NOW) == [] or state is State.CLOSED
    assert state is not State.CLOSED or shares[0].state is State.REFUSED


def test_slots_of_the_last_version_are_read(table):
    """And those of a newer one as far as they can be: a quota that parked would hold up every AMI of that account."""
    DynamoSlotLeases(table, OLD).ask(QUOTA, SlotLease("0123", 1, NOW, 2, 0, until=NOW + 60))
    key = addresses.slot(QUOTA, "0123")
    table.update(key, "SET asked = wanted REMOVE wanted", {})

    assert [lease.wanted for lease in DynamoSlotLeases(table, NEW).leases(QUOTA)] == [2]

    newer = DynamoSlotLeases(table, LATER).ask(QUOTA, SlotLease("0123", 2, NOW, 3, 0, until=NOW + 60))
    assert DynamoSlotLeases(table, NEW).leases(QUOTA) == [newer]


@pytest.mark.parametrize("name", ["wanted", "done", "granted", "lease_until"])
def test_a_damaged_slot_stops_nobody_and_is_mended_or_dropped(table, name):
    """What is no number counts as nothing; its delivery's next word puts it right, or the quota's worker drops it."""
    slots = DynamoSlotLeases(table)
    wish = SlotLease("0123", 1, NOW, 2, 0, until=NOW + 60)
    slots.ask(QUOTA, wish)
    table.update(addresses.slot(QUOTA, "0123"), f"SET {name} = :text", {":text": "many"})

    (damaged,) = slots.leases(QUOTA)

    assert damaged == replace(wish, **{name.removeprefix("lease_"): 0})
    slots.ask(QUOTA, wish)
    slots.grant(QUOTA, replace(wish, granted=2))
    assert slots.leases(QUOTA) == [replace(wish, granted=2)]
    table.update(addresses.slot(QUOTA, "0123"), f"SET {name} = :text", {":text": "many"})
    slots.drop(QUOTA, slots.leases(QUOTA)[0])
    assert slots.leases(QUOTA) == []


def test_notes_of_deliveries_of_the_last_version_are_read(table):
    """And the promotion parks on a newer one."""
    DynamoChildren(table, OLD).add(AMI, Child("0123", "222222222222", "us-east-1", 1, "running"))
    key = addresses.child(AMI, "0123")
    old = body_of(table, key)
    old["ended_as"] = old.pop("state")
    table.update(key, "SET body = :body", {":body": json.dumps(old)})

    assert [child.state for child in DynamoChildren(table, NEW).all(AMI)] == ["running"]

    DynamoChildren(table, LATER).end(AMI, Child("0123", "222222222222", "us-east-1", 1, "delivered"))
    with pytest.raises(NewerSchema):
        DynamoChildren(table, NEW).all(AMI)


def test_a_step_that_cannot_take_a_body_makes_it_unreadable(table):
    """Not a crash of the function, ring after ring: the record is parked, and says so."""
    DynamoRecords(table, OLD).create(Write(DELIVERY, "copying", {"something": "else"}, NOW), NOW)

    with pytest.raises(Unreadable, match="from schema 1 to 2"):
        DynamoRecords(table, NEW).read(DELIVERY)


def test_everything_that_is_decoded_bears_its_form(table):
    """A new kind of item with a body and without a form would be read by any later version as if it were its own."""
    DynamoRecords(table).create(Write(DELIVERY, "copying", {}, NOW), NOW)
    DynamoRecords(table).put(addresses.source_image(AMI), {"kind": "image", "body": "{}"})
    DynamoLedger(table).hold(RESOURCE, a_share(), copying("0123"))
    DynamoSlotLeases(table).ask(QUOTA, SlotLease("0123", 1, NOW, 2, 0))
    DynamoChildren(table).add(AMI, Child("0123", "222222222222", "us-east-1", 1, "running"))

    keys = (
        DELIVERY,
        addresses.source_image(AMI),
        addresses.share(Key(RESOURCE), "222222222222"),
        addresses.slot(QUOTA, "0123"),
        addresses.child(AMI, "0123"),
    )
    assert {table.get(key)["schema"] for key in keys} == {CURRENT.version}


# --- what stands in the ledger's items -------------------------------------------------------------------------------

SHARE_KEY = addresses.share(Key(RESOURCE), "222222222222")
LINK = addresses.standing_link(AMI, RESOURCE, "222222222222", "0123")


def test_what_is_over_expires_and_what_is_open_does_not(table):
    """History and archive go by DynamoDB's TTL; nothing that somebody needs ever does."""
    ledger = DynamoLedger(table, keep_days=7)
    ledger.hold(RESOURCE, a_share(), copying("0123"))
    (share,) = ledger.shares(RESOURCE)
    ledger.save([replace(share, state=State.OPEN)], "opening was tried", NOW)
    assert EXPIRES not in table.get(SHARE_KEY)
    ledger.release(RESOURCE, "222222222222", copying("0123"))
    (share,) = ledger.shares(RESOURCE)
    ledger.save([replace(share, state=State.CLOSED)], "closing was tried", NOW)
    ledger.archive(ledger.shares(RESOURCE), NOW)

    left = [*table.query(RESOURCE, "history#"), *table.query(RESOURCE, "closed#")]
    assert [item[EXPIRES] for item in left] == [NOW + 7 * 86_400] * 3
    assert table.get(SHARE_KEY) is None


@pytest.mark.parametrize("holdings", [{"0123:1", str(copying("4567"))}, "nonsense", {5}])
def test_a_holding_that_cannot_be_read_is_shown_once_and_then_gone(table, holdings):
    """It holds nothing; those beside it do."""
    ledger = DynamoLedger(table)
    ledger.hold(RESOURCE, a_share(), copying("4567"))
    table.update(SHARE_KEY, "SET holdings = :holdings", {":holdings": holdings})

    (share,) = ledger.shares(RESOURCE)
    assert share.damaged
    ledger.save([share], "taken out", NOW)

    (share,) = ledger.shares(RESOURCE)
    assert share.damaged == ()
    assert share.holdings == ({copying("4567")} if str(copying("4567")) in holdings else set())


@pytest.mark.parametrize("damage", [{"episode": "x"}, {"account": 5}, {"until": None}])
def test_a_damaged_link_still_leads_to_its_share_and_can_be_released(table, damage):
    """Its key says of which AMI, resource, share and delivery it is; releasing it takes any episode's holding out."""
    ledger = DynamoLedger(table)
    ledger.hold(RESOURCE, a_share(), sharing("0123", episode=3))
    ledger.hold(RESOURCE, a_share(), sharing("4567"))
    for name, value in damage.items():
        table.update(LINK, "SET #name = :value", {":value": value}, names={"#name": name})

    link = next(one for one in ledger.standing(AMI) if one.holding.delivery == "0123")
    assert (link.resource, link.holder_key, link.holding.ami) == (RESOURCE, "222222222222", AMI)
    assert link.holding.episode == 0
    ledger.release(link.resource, link.holder_key, link.holding)

    assert [one.holding.delivery for one in ledger.standing(AMI)] == ["4567"]
    assert [share.holdings for share in ledger.shares(RESOURCE)] == [{sharing("4567")}]


def test_a_share_that_comes_back_from_the_archive_keeps_its_history(table):
    """Its versions begin anew; what happened to it the first time still stands there."""
    ledger = DynamoLedger(table)
    for at in (NOW, NOW + 600):
        ledger.hold(RESOURCE, a_share(), copying("0123"))
        ledger.release(RESOURCE, "222222222222", copying("0123"))
        (share,) = ledger.shares(RESOURCE)
        ledger.save([replace(share, state=State.CLOSED)], f"closed at {at}", at)
        ledger.archive(ledger.shares(RESOURCE), at)

    assert [item["at"] for item in table.query(RESOURCE, "history#share#")] == [NOW, NOW + 600]
    assert len(list(table.query(RESOURCE, "closed#"))) == 2
