"""Copy slots are leases: no parked, damaged or late record keeps an account's AMIs from arriving (invariant 7)."""

import itertools
from typing import Any

import pytest

from chalicelib.delivery import machine, permissions
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.delivery.copy_quota import SlotLease
from chalicelib.delivery.worker.copy_quotas import NEEDS_SECONDS, CopyQuotas
from chalicelib.engine import addresses, schedule
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Write
from chalicelib.engine.stored import peek
from chalicelib.engine.waker import Waker
from chalicelib.entry.queue_consumer import WORKER_KINDS
from tests.service.cloud import REGION, START, CloudBehavior, Quiet
from tests.service.groups import MessageGroups
from tests.service.hub import Hub
from tests.stores import Stores, in_memory, on_dynamodb

ACCOUNT = "200000000001"
AT_ONCE = 20
HOUR = 3600
DAY = 24 * HOUR
FULL, NEXT, LAST = "ami-00", "ami-01", "ami-02"
"""The first AMI has as many snapshots as copies may run."""

MOST_REFUSED = 50
"""The most copies that EC2 may refuse: all that begin at once, and then one every five minutes."""
NEWER = 99
"""A schema number that this version cannot read."""


def a_hub(hours: float = 0.01, **how) -> Hub:
    """A hub with AMIs of twenty, twenty and one unencrypted snapshots, and one account whose copies take this long."""
    behavior = CloudBehavior(copying=(int(hours * HOUR),))
    hub = Hub((ACCOUNT,), behavior=behavior, watchful=False, **how)
    for ami, count in ((FULL, AT_ONCE), (NEXT, AT_ONCE), (LAST, 1)):
        hub.cloud.make_image(ami, {f"snap-{ami[-1]}{number:02d}": False for number in range(count)})
    return hub


def no_more_than_the_limit(hub: Hub) -> None:
    """Fail if the service starts a copy while twenty run, or deletes one."""
    watch = hub.gate.watch

    def watched(port, method, args):
        watch(port, method, args)
        if (port, method) == ("target.snapshots", "copy"):
            assert len(hub.cloud.pending(ACCOUNT)) < AT_ONCE, "a copy is begun while as many run as may"
        assert (port, method) != ("target.snapshots", "delete"), "a copy is stopped"

    hub.gate.watch = watched


def delivered(hub: Hub, *amis: str) -> None:
    """Assert that these were delivered."""
    for ami in amis:
        assert hub.outcomes().get((ami, ACCOUNT)) == "delivered", f"{ami} waits for ever: {hub.outcomes()}"


def _begun(hub: Hub, _key: RecordKey) -> bool:
    return len(hub.cloud.pending(ACCOUNT)) == AT_ONCE


def _may_begin(hub: Hub, key: RecordKey) -> bool:
    """All shares are open, and its next step is to copy."""
    record = peek(hub.stores.records, key, DELIVERIES)
    if record is None or not machine.waits_for_shares(record):
        return False
    found = hub.stores.ledger.find([(s.resource, s.share_name) for s in record.holdings.needed])
    return permissions.seen(record, found).open


def vanished(hub: Hub, key: RecordKey) -> None:
    """Delete the record, and with it the proof of what it made: the promotion begins the delivery again."""
    del hub.stores.records.records[key]
    hub.invariants.planted |= {copy.id for copy in hub.cloud.live_copies()}


def damaged(hub: Hub, key: RecordKey) -> None:
    """Replace the record's body with nonsense."""
    hub.stores.records.records[key].body = {"colour": "red"}


def unreadable(hub: Hub, key: RecordKey) -> None:
    hub.stores.records.records[key].damaged = True


def parked(hub: Hub, key: RecordKey) -> None:
    hub.stores.records.park(key, "for a person", hub.cloud.now)


@pytest.mark.parametrize("seconds", [2, 5, 40])
@pytest.mark.parametrize("damage", [vanished, damaged, unreadable, parked])
@pytest.mark.thorough_but("vanished-5")
def test_a_delivery_that_nobody_works_on_gives_its_slots_back(damage, seconds):
    """A delivery damaged while it waits, opens or copies: an hour later its slots go to the account's next AMIs."""
    hub = a_hub()
    hub.cloud.tag(FULL, "default")
    hub.run(until=START + seconds)
    key = hub.delivery_key(FULL, ACCOUNT)
    assert len(hub.stores.slots.leases(hub.quota_keys()[0])) == 1, "it has asked"
    hub.invariants.poisoned.add(key)
    damage(hub, key)
    for ami in (NEXT, LAST):
        hub.cloud.tag(ami, "default")
    hub.run(until=START + 6 * HOUR)
    delivered(hub, NEXT, LAST)
    assert not hub.stores.slots.leases(hub.quota_keys()[0]), "what is over is forgotten"


@pytest.mark.parametrize("state", ["opening", "copying"])
def test_a_delivery_that_is_let_go_on_asks_again_and_loses_nothing(state):
    """A delivery is parked for two hours while it holds all slots, which then go to another; both arrive.

    Before its first copy it asks again before it starts one. Its running copies continue meanwhile, and EC2 refuses
    the other delivery's until they end.
    """
    hub = a_hub(hours=3)
    if state == "opening":
        no_more_than_the_limit(hub)
    hub.cloud.tag(FULL, "default")
    key = hub.delivery_key(FULL, ACCOUNT)
    arrived = _may_begin if state == "opening" else _begun
    hub.until(lambda: arrived(hub, key))
    hub.stores.records.park(key, "for a person", hub.cloud.now)
    hub.invariants.poisoned.add(key)
    hub.wait(HOUR)
    hub.cloud.tag(NEXT, "default")
    hub.wait(HOUR)
    hub.invariants.poisoned.clear()
    hub.stores.records.unpark(key, hub.cloud.now)
    hub.run(until=START + 3 * DAY)
    delivered(hub, FULL, NEXT)
    tries = hub.gate.made["target.snapshots", "copy"]
    assert tries <= 2 * AT_ONCE + MOST_REFUSED, "EC2 is asked over and over for what it refuses"
    assert len([copy for copy in hub.cloud.copies.values() if copy.state == "completed"]) == 2 * AT_ONCE
    hub.invariants.rest()


def test_a_lease_that_runs_out_while_its_delivery_lives_loses_nothing():
    """Copies take five hours: the next AMIs wait, at most twenty copies run at once, and none is made twice."""
    hub = a_hub(hours=5)
    no_more_than_the_limit(hub)
    for ami in (FULL, NEXT, LAST):
        hub.cloud.tag(ami, "default")
    hub.run()
    delivered(hub, FULL, NEXT, LAST)
    assert len(hub.cloud.copies) == 2 * AT_ONCE + 1
    hub.invariants.rest()


@pytest.mark.thorough
@pytest.mark.parametrize("since", [3, 7, 60])
@pytest.mark.parametrize("hours", [2, 26])
def test_an_outage_of_hours_gives_no_slot_away(since, hours):
    """All leases have expired when ``worker`` is back: it reads the records, and their deliveries continue."""
    day = {"queue_deadline": 200 * HOUR, "copy_deadline": 200 * HOUR}
    hub = a_hub(hours=hours + 1.0, target=day)
    no_more_than_the_limit(hub)
    for ami in (FULL, NEXT, LAST):
        hub.cloud.tag(ami, "default")
    hub.run(until=START + since)
    with hub.off(*WORKER_KINDS):
        hub.run(until=START + hours * HOUR)
    hub.run()

    delivered(hub, FULL, NEXT, LAST)
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
    """Records that a newer version wrote wait for it; the quota does not, and its slots return."""
    with on_dynamodb() as stores:
        hub = a_hub(stores=stores)
        hub.gate.watch = lambda *_: None
        hub.cloud.tag(FULL, "default")
        hub.run(until=START + seconds)
        raise_forms(stores)
        hub.cloud.tag(LAST, "default")
        hub.run(until=START + 3 * HOUR // 2)

        assert stores.seen(hub.delivery_key(FULL, ACCOUNT)).state != "delivered"
        delivered(hub, LAST)


def test_a_copy_that_has_ended_makes_room_as_soon_as_somebody_comes_to_wait():
    """Nobody else looks at it before all have ended; a delivery that comes to wait need not await the next poll."""
    hub = a_hub()
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
