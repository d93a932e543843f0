"""Far more work than AWS's limits allow at once: a thousand copies in a queue, a thousand accounts on one snapshot."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.sharing.share import Share, ShareState
from tests.service.cloud import refusal
from tests.service.hub import Hub
from tests.service.scenes import accounts, queued
from tests.service.shared_ami import AMI, untagged
from tests.service.slow_aws import SlowResource

pytestmark = pytest.mark.thorough

ACCOUNT = "200000000001"
AT_ONCE = 20
HOUR = 3600


def open_now(hub: Hub) -> int:
    """How many AMIs have an open snapshot now."""
    return len({snapshot[:8] for snapshot, _ in hub.cloud.permissions})


def hold_out(hub: Hub, amis: int, hours: int) -> None:
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
    assert busiest["amis"] <= 3, "an AMI is open whose copies wait in the queue"
    begun = [copy.started for copy in hub.cloud.copies.values()]
    took, least = max(begun) - min(begun) + hours * HOUR, amis * hours * HOUR
    assert len(begun) == amis * AT_ONCE
    assert took <= 1.02 * least, f"{took} s where {least} s would do"


def test_a_queue_is_worked_off_one_ami_after_another():
    """Eight AMIs of twenty snapshots, an hour each: eight hours in all, with a copy deadline of three."""
    hold_out(queued(8, 1, copy_deadline=3 * HOUR), 8, 1)


def run(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Fifty AMIs of twenty snapshots, two hours each: a hundred hours, with the default copy deadline of a day."""
    hours = random.Random(seed).choice([1, 2])
    try:
        hold_out(queued(50, hours, queue_deadline=14 * 24 * HOUR), 50, hours)
    except AssertionError as failure:
        return 1, [f"seed {seed}: {failure}"]
    return 1, []


SNAPSHOT = addresses.snapshot_resource("snap-0a")


def test_a_thousand_accounts_on_one_snapshot():
    """A thousand deliveries hold it: two calls of 500 open it for all, and two close it after their releases."""
    snapshot, names = SlowResource(SNAPSHOT), accounts(1000)
    snapshot.let_in(names)
    assert (snapshot.permissions.there, snapshot.permissions.calls["open"]) == (set(names), 2)

    snapshot.let_out(names)
    assert (snapshot.permissions.there, snapshot.permissions.calls["close"]) == (set(), 2)
    assert not snapshot.shares


def test_an_account_too_many_on_one_snapshot_is_notified_and_hinders_no_other():
    """AWS allows a thousand, and 1,003 deliveries ask: three fail with AWS's words, and only they."""
    snapshot = SlowResource(SNAPSHOT)

    def narrow(what: str, shares: Sequence[Share]) -> Refusal | None:
        """The snapshot takes a thousand permissions and no more, with AWS's error text."""
        too_many = what == "open" and len(snapshot.permissions.there) + len(shares) > 1000
        return refusal(RefusalKind.LIMIT, "SnapshotPermissionLimitExceeded") if too_many else None

    snapshot.permissions.refuses = narrow
    snapshot.let_in(accounts(1003))

    assert len(snapshot.permissions.there) == 1000
    assert snapshot.states() == {ShareState.OPEN: 1000, ShareState.REFUSED: 3}
    refused = [one.fault for one in snapshot.shares if one.state is ShareState.REFUSED]
    assert {(fault.code, bool(fault.what), bool(fault.cure)) for fault in refused if fault} == {
        ("aws-SnapshotPermissionLimitExceeded", True, True)
    }


def test_a_share_that_many_hold_at_once_is_held_at_a_later_try():
    """DynamoDB takes one transaction on an item at a time: the delivery comes again, and nobody parks it."""
    hub = untagged((ACCOUNT,))
    hub.gate.refuse("ledger", "hold_all", why=RefusalKind.THROTTLED, code="share-busy", times=8)
    hub.cloud.tag(AMI, ACCOUNT)
    hub.wait(2 * HOUR)

    assert hub.gate.troubles[0].times == 0
    assert hub.outcomes() == {(AMI, ACCOUNT): "delivered"}
