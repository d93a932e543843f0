"""Scenes about copy slots: stuck deliveries, outages, expired leases. Each asserts its own end."""

from collections.abc import Callable

from chalicelib.delivery import machine, permissions
from chalicelib.delivery.codecs import DELIVERIES
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.stored import peek
from tests.service.cloud import START, CloudBehavior
from tests.service.hub import Hub

ACCOUNT = "200000000001"
AT_ONCE = 20
HOUR = 3600
DAY = 24 * HOUR
FULL, NEXT, LAST = "ami-00", "ami-01", "ami-02"
"""The first AMI has as many snapshots as copies may run."""

MOST_REFUSED = 50
"""The most copies that EC2 may refuse: all that begin at once, and then one every five minutes."""


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


def nobody_works_on_it(damage: Callable[[Hub, RecordKey], None], seconds: int) -> Hub:
    """Damage a delivery that holds all slots, this many seconds after its tag. Later AMIs arrive in the hours after."""
    hub = a_hub(hours=0.01)
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
    return hub


def long_copies() -> Hub:
    """Copies take five hours: the next AMIs wait, at most twenty copies run at once, and none is made twice."""
    hub = a_hub(hours=5)
    no_more_than_the_limit(hub)
    for ami in (FULL, NEXT, LAST):
        hub.cloud.tag(ami, "default")
    hub.run()
    delivered(hub, FULL, NEXT, LAST)
    assert len(hub.cloud.copies) == 2 * AT_ONCE + 1
    hub.invariants.rest()
    return hub


def parked_and_freed(state: str) -> Hub:
    """A delivery is parked for two hours while it holds all slots, which then go to another; both arrive.

    ``state``: "opening", before its first copy; it asks again before it starts one. "copying": its copies continue
    meanwhile, and EC2 refuses the other delivery's until they end.
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
    return hub


def _begun(hub: Hub, _key: RecordKey) -> bool:
    return len(hub.cloud.pending(ACCOUNT)) == AT_ONCE


def _may_begin(hub: Hub, key: RecordKey) -> bool:
    """All shares are open, and its next step is to copy."""
    record = peek(hub.stores.records, key, DELIVERIES)
    if record is None or not machine.waits_for_shares(record):
        return False
    found = hub.stores.ledger.find([(s.resource, s.share_name) for s in record.shares.needed])
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


WAYS_OUT = (vanished, damaged, unreadable, parked)
