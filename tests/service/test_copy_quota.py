"""Copy slots are leases: no parked, damaged or late record keeps an account's AMIs from arriving (invariant 7)."""

import itertools
from typing import Any

import pytest

from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.worker.copy_quotas import NEEDS_SECONDS, CopyQuotas
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Write
from chalicelib.engine.waker import Waker
from chalicelib.entry.queue_consumer import WORKER_KINDS
from tests.service import quota_scenes as scenes
from tests.service.cloud import REGION, START, CloudBehavior, Quiet
from tests.service.groups import MessageGroups
from tests.service.hub import Hub
from tests.service.quota_scenes import ACCOUNT, AT_ONCE, FULL, HOUR, LAST, NEXT
from tests.stores import Stores, in_memory, on_dynamodb

NEWER = 99
"""A schema number that this version cannot read."""


@pytest.mark.parametrize("seconds", [2, 5, 40])
@pytest.mark.parametrize("damage", scenes.WAYS_OUT)
@pytest.mark.thorough_but("vanished-5")
def test_a_delivery_that_nobody_works_on_gives_its_slots_back(damage, seconds):
    """A delivery damaged while it waits, opens or copies: an hour later its slots go to the account's next AMIs."""
    scenes.nobody_works_on_it(damage, seconds)


@pytest.mark.parametrize("state", ["opening", "copying"])
def test_a_delivery_that_is_let_go_on_asks_again_and_loses_nothing(state):
    """Its slots went to others meanwhile: it starts no copy without new slots, and its running copies continue."""
    scenes.parked_and_freed(state)


def test_a_lease_that_runs_out_while_its_delivery_lives_loses_nothing():
    """Copies take five hours: the next AMI waits, and gets no slot that is in use."""
    scenes.long_copies()


@pytest.mark.thorough
@pytest.mark.parametrize("since", [3, 7, 60])
@pytest.mark.parametrize("hours", [2, 26])
def test_an_outage_of_hours_gives_no_slot_away(since, hours):
    """All leases have expired when ``worker`` is back: it reads the records, and their deliveries continue."""
    day = {"queue_deadline": 200 * HOUR, "copy_deadline": 200 * HOUR}
    hub = scenes.a_hub(hours=hours + 1.0, target=day)
    scenes.no_more_than_the_limit(hub)
    for ami in (FULL, NEXT, LAST):
        hub.cloud.tag(ami, "default")
    hub.run(until=START + since)
    with hub.off(*WORKER_KINDS):
        hub.run(until=START + hours * HOUR)
    hub.run()

    scenes.delivered(hub, FULL, NEXT, LAST)
    assert len(hub.cloud.copies) == 2 * AT_ONCE + 1
    hub.groups.dead.clear()
    hub.invariants.rest()


def raise_forms(stores: Stores) -> None:
    """Give every stored item a schema number that this version cannot read, as after a rollback of the stack."""
    table: Any = stores.table
    for item in table._client.scan(TableName="state")["Items"]:
        if "schema" in item:
            key = RecordKey(item["pk"]["S"], item["sk"]["S"])
            table.update(key, "SET #schema = :newer", {":newer": NEWER}, names={"#schema": "schema"})


@pytest.mark.parametrize("seconds", [2, 40])
@pytest.mark.thorough
def test_a_rollback_holds_up_no_later_ami(seconds):
    """Records that a newer version wrote are parked; the quota is not, and its slots return."""
    with on_dynamodb() as stores:
        hub = scenes.a_hub(stores=stores)
        hub.gate.watch = lambda *_: None
        hub.cloud.tag(FULL, "default")
        hub.run(until=START + seconds)
        raise_forms(stores)
        hub.cloud.tag(LAST, "default")
        hub.run(until=START + 3 * HOUR // 2)

        assert stores.seen(hub.delivery_key(FULL, ACCOUNT)).parked
        scenes.delivered(hub, LAST)


def test_a_copy_that_has_ended_makes_room_as_soon_as_somebody_comes_to_wait():
    """Nobody else looks at it before all have ended; a delivery that comes to wait need not await the next poll."""
    hub = scenes.a_hub()
    hub.cloud.behavior = CloudBehavior(copying=(18 * schedule.MINUTE, 5 * HOUR))
    hub.cloud._copying = itertools.cycle(hub.cloud.behavior.copying)
    hub.cloud.tag(FULL, "default")
    assert len(hub.at(START + 20 * schedule.MINUTE).cloud.copies) == AT_ONCE
    hub.cloud.tag(LAST, "default")
    assert len(hub.at(START + 22 * schedule.MINUTE).cloud.copies) == AT_ONCE + 1, "its copy runs"


def test_a_long_queue_is_counted_in_slices():
    """Hundreds of stuck requests: each run ends in time, and the live request gets its slot in the end."""
    stores, now = in_memory(), START
    groups = MessageGroups(lambda: now, lambda _cause: (0,))
    quotas = CopyQuotas(stores.records, stores.slots, Waker(stores.records, groups, lambda: now), lambda: now, Quiet())
    hub = Hub((ACCOUNT,), watchful=False)
    hub.cloud.make_image(LAST, {"snap-0a": False})
    hub.cloud.tag(LAST, "default")
    hub.run(until=START + 3)
    living = hub.delivery_key(LAST, ACCOUNT)
    record = hub.stores.records.records[living]
    stores.records.create(Write(living, record.state, record.body, now), now)
    quota = addresses.copy_quota(ACCOUNT, REGION)
    for number in range(300):
        stores.slots.ask(quota, SlotLease(f"dead{number:04d}", 1, now - number - 1, 1, 0, until=now))
    ident = living.pk.removeprefix("delivery#")
    stores.slots.ask(quota, SlotLease(ident, 1, now, 1, 0, until=now + schedule.LEASE))
    body = {"account": ACCOUNT, "region": REGION}
    stores.records.create(Write(quota, "open", body, now), now)

    runs = 0
    while stores.seen(quota).state != "open" or runs == 0:
        left = iter(range(30, -100, -1))
        lowest = 30

        def time_left(left=left) -> int:
            nonlocal lowest
            lowest = next(left)
            return lowest

        quotas.run(quota, time_left=time_left)
        assert lowest >= NEEDS_SECONDS - 2, "it goes on although its time is over"
        now += 60
        runs += 1
        assert runs < 60

    assert runs > 10
    assert [lease.granted for lease in stores.slots.leases(quota)] == [1]
