"""Far more work than AWS's limits allow at once: a thousand copies in a queue, a thousand accounts on one snapshot."""

import random
from collections import Counter

import pytest

from chalicelib.delivery.worker.share_waiters import WaitingDeliveries
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.errors import RefusalKind
from chalicelib.engine.ports import Write
from chalicelib.engine.waker import Waker
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.worker.share_worker import ShareWorker
from chalicelib.targets.applied_file import Directory, Target
from tests.fakes import copying
from tests.service.cloud import REGION, Cloud, FakeSnapshotPermissions, Quiet, refusal
from tests.service.entitled import ListedOnly
from tests.service.gate import PortTrouble
from tests.service.groups import MessageGroups
from tests.service.hub import Hub
from tests.service.scenes import queued
from tests.stores import in_memory

pytestmark = pytest.mark.thorough

ACCOUNT = "200000000001"
AT_ONCE = 20
HOUR = 3600


def open_now(hub: Hub) -> int:
    """How many AMIs have an open snapshot now."""
    return len({snapshot[:8] for snapshot, _ in hub.cloud.permissions})


def hold_out(hub: Hub, amis: int, snapshots: int, hours: int) -> None:
    """Run: every AMI arrives, no deadline fires, and only as many AMIs are open as twenty copies keep busy.

    Checked at every CopySnapshot and opening (``Invariants``): nothing opens for a delivery that waits in the queue.
    """
    invariants, busiest = hub.gate.watch, Counter()

    def watch(port, method, args):
        invariants(port, method, args)
        if (port, method) == ("target.snapshots", "copy"):
            busiest["copies"] = max(busiest["copies"], len(hub.cloud.pending(ACCOUNT)) + 1)
            busiest["amis"] = max(busiest["amis"], open_now(hub))

    hub.gate.watch = watch
    hub.run()

    hub.invariants.rest()
    assert set(hub.outcomes().values()) == {"delivered"}, f"{Counter(hub.outcomes().values())}: {hub.faults()[:3]}"
    assert busiest["copies"] == AT_ONCE
    assert busiest["amis"] <= AT_ONCE // snapshots + 2, "an AMI is open whose copies wait in the queue"
    begun = [copy.started for copy in hub.cloud.copies.values()]
    took, least = max(begun) - min(begun) + hours * HOUR, -(-amis * snapshots // AT_ONCE) * hours * HOUR
    assert len(begun) == amis * snapshots
    assert took <= 1.02 * least, f"{took} s where {least} s would do"


def test_a_queue_is_worked_off_one_ami_after_another():
    """Eight AMIs of twenty snapshots, an hour each: eight hours in all, with a copy deadline of three."""
    hold_out(queued(8, 20, 1, copy_deadline=3 * HOUR), 8, 20, 1)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Fifty AMIs of twenty snapshots, two hours each: a hundred hours, with the default copy deadline of a day."""
    hours = random.Random(seed).choice([1, 2])
    try:
        hold_out(queued(50, 20, hours, queue_deadline=14 * 24 * HOUR), 50, 20, hours)
    except AssertionError as failure:
        return 1, [f"seed {seed}: {failure}"]
    return 1, []


class NarrowAdapter(FakeSnapshotPermissions):
    """A snapshot that takes this many permissions and no more, with AWS's error text."""

    def __init__(self, cloud: Cloud, most: int) -> None:
        super().__init__(cloud)
        self._cloud, self._most = cloud, most
        self.calls = 0

    def open(self, resource, shares):
        self.calls += 1
        after = self._cloud.permissions | {(resource.split("#")[2], s.account) for s in shares}
        if len(after) > self._most:
            raise refusal(RefusalKind.LIMIT, "SnapshotPermissionLimitExceeded")
        return super().open(resource, shares)


def shared_with(accounts: int, most: int):
    """Let this many deliveries hold one snapshot, and run its worker until nothing changes."""
    names = [f"{200_000_000_000 + n}" for n in range(accounts)]
    cloud = Cloud(Directory({}, {name: (Target(name, REGION),) for name in names}))
    stores, adapter, resource = in_memory(), NarrowAdapter(cloud, most), RecordKey("resource#snapshot#snap-0a")
    waker = Waker(stores.records, MessageGroups(lambda: cloud.now, lambda _cause: ()), lambda: cloud.now)
    entitlements = ListedOnly(set(names).intersection)
    waiters = WaitingDeliveries(stores.records, stores.ledger, waker)
    ports = stores.records, stores.ledger, {"snapshot": adapter}, entitlements, waiters
    share_worker = ShareWorker(*ports, waker, Quiet())
    stores.records.create(Write(resource, "open", {"resource": resource.pk}, cloud.now), cloud.now)
    for name in names:
        held = Share(resource.pk, name, name, last_closing_at=cloud.now + 9 * HOUR)
        stores.ledger.hold(resource.pk, held, copying(f"d{name}", name))
    return cloud, stores, adapter, share_worker, resource


def settled(cloud, share_worker, resource) -> None:
    """Run the share worker until nothing is due now."""
    for _ in range(12):
        share_worker.run(resource, time_left=lambda: 30)
        cloud.now += 60


def test_a_thousand_accounts_on_one_snapshot():
    """A thousand deliveries hold it: two calls of 500 open it for all, and two close it after their releases."""
    cloud, stores, adapter, share_worker, resource = shared_with(1000, 10**6)
    settled(cloud, share_worker, resource)

    assert len(cloud.permissions) == 1000
    assert adapter.calls == 2
    for held in stores.ledger.shares(resource.pk):
        stores.ledger.release(resource.pk, held.share_name, copying(f"d{held.share_name}", held.account))
    settled(cloud, share_worker, resource)
    assert cloud.permissions == set()
    assert not stores.ledger.shares(resource.pk)


def test_an_account_too_many_on_one_snapshot_is_notified_and_hinders_no_other():
    """AWS allows a thousand, and 1,003 deliveries ask: three fail with AWS's words, and only they."""
    cloud, stores, _, share_worker, resource = shared_with(1003, 1000)
    settled(cloud, share_worker, resource)

    states = Counter(s.state for s in stores.ledger.shares(resource.pk))
    assert len(cloud.permissions) == 1000
    assert states == {ShareState.OPEN: 1000, ShareState.REFUSED: 3}
    refused = [s.fault for s in stores.ledger.shares(resource.pk) if s.state is ShareState.REFUSED]
    assert {(f.code, bool(f.what), bool(f.cure)) for f in refused if f} == {
        ("aws-SnapshotPermissionLimitExceeded", True, True)
    }


def test_a_share_that_many_hold_at_once_is_held_at_a_later_try():
    """DynamoDB takes one transaction on an item at a time: the delivery comes again, and nobody parks it."""
    hub = Hub((ACCOUNT,))
    hub.cloud.make_image("ami-0a", {"snap-00": True})
    hub.gate.troubles.append(PortTrouble("ledger", "hold_all", refusal(RefusalKind.THROTTLED, "share-busy"), 8))
    hub.cloud.tag("ami-0a", ACCOUNT)
    hub.wait(2 * HOUR)

    assert hub.gate.troubles[0].times == 0
    assert hub.outcomes() == {("ami-0a", ACCOUNT): "delivered"}
