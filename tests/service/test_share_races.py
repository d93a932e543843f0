"""Two runs of one message group: a call has taken effect, although its result came too late to be written."""

from collections.abc import Callable

import pytest

from chalicelib.delivery.worker.share_waiters import WaitingDeliveries
from chalicelib.engine import addresses
from chalicelib.engine.addresses import RecordKey
from chalicelib.engine.ports import Write
from chalicelib.engine.waker import Waker
from chalicelib.sharing import share_events
from chalicelib.sharing.share import Share, ShareState
from chalicelib.sharing.worker.share_worker import ShareWorker
from tests.fakes import copying
from tests.service.cloud import Quiet
from tests.service.entitled import ListedOnly
from tests.stores import in_memory

ACCOUNT = "222222222222"
RESOURCE = addresses.snapshot_resource("snap-0a")
NOW = 1_800_000_000


class SlowPermissions:
    """A ``PermissionAdapter`` of one snapshot; ``between`` runs after the decision for a call and before its effect."""

    batch = 500

    def __init__(self) -> None:
        self.permissions: set[str] = set()
        self.between: Callable[[], object] = lambda: None

    def showing(self, _resource, shares):
        return frozenset(s.share_name for s in shares if s.account in self.permissions)

    def open(self, _resource, shares):
        self._pause()
        self.permissions |= {s.account for s in shares}
        return {}

    def close(self, _resource, shares):
        self._pause()
        self.permissions -= {s.account for s in shares}
        return False

    def _pause(self) -> None:
        happens, self.between = self.between, lambda: None
        happens()


class RacedSnapshot:
    """One snapshot's message group, and the deliveries that hold its share."""

    def __init__(self) -> None:
        self.now = NOW
        self.adapter, self.stores = SlowPermissions(), in_memory()
        self.stores.records.create(Write(RESOURCE, "open", {"resource": RESOURCE.pk}, NOW), NOW)
        waker = Waker(self.stores.records, self, lambda: self.now)
        self.worker = ShareWorker(
            self.stores.records,
            self.stores.ledger,
            {"snapshot": self.adapter},
            ListedOnly(frozenset),
            WaitingDeliveries(self.stores.records, self.stores.ledger, waker),
            waker,
            Quiet(),
        )

    def wake(self, _key: RecordKey, _cause: str) -> None:
        """The port ``WakeQueues``: not needed, as the sweep wakes."""

    def wake_all(self, _wakes) -> tuple[()]:
        return ()

    def hold(self) -> None:
        wanted = Share(RESOURCE.pk, ACCOUNT, ACCOUNT, last_closing_at=NOW + 90_000)
        self.stores.ledger.hold(RESOURCE.pk, wanted, copying("d1"))
        self.stores.records.make_due(RESOURCE, self.now)

    def release(self) -> None:
        self.stores.ledger.release(RESOURCE.pk, ACCOUNT, copying("d1"))
        self.stores.records.make_due(RESOURCE, self.now)

    def run(self) -> None:
        """Run the share worker once, some time later."""
        self.now += 60
        self.worker.run(RESOURCE, time_left=lambda: 30)

    def settled(self) -> ShareState:
        """Run until nothing changes; return the share's state in the ledger, or closed if it has left it."""
        for _ in range(10):
            self.run()
        found = self.stores.ledger.shares(RESOURCE.pk)
        return found[0].state if found else ShareState.ARCHIVED


def test_what_a_late_call_opened_is_closed_again():
    """One run opens slowly; meanwhile another has opened it, the holding has ended, and the share was closed."""
    snapshot = RacedSnapshot()
    snapshot.hold()

    def meanwhile() -> None:
        snapshot.run()
        snapshot.release()
        assert snapshot.settled() is ShareState.ARCHIVED

    snapshot.adapter.between = meanwhile
    snapshot.run()
    assert snapshot.settled() is ShareState.ARCHIVED
    assert snapshot.adapter.permissions == set()


def test_what_a_late_call_closed_is_opened_again():
    """One run closes slowly; meanwhile another has closed it, and the next holding has opened it."""
    snapshot = RacedSnapshot()
    snapshot.hold()
    assert snapshot.settled() is ShareState.OPEN
    snapshot.release()

    def meanwhile() -> None:
        assert snapshot.settled() is ShareState.ARCHIVED
        snapshot.hold()
        assert snapshot.settled() is ShareState.OPEN

    snapshot.adapter.between = meanwhile
    snapshot.run()
    assert snapshot.settled() is ShareState.OPEN
    assert snapshot.adapter.permissions == {ACCOUNT}


@pytest.mark.parametrize("state", list(ShareState))
@pytest.mark.parametrize("tried", [ShareState.OPEN, ShareState.CLOSED, ShareState.CLOSING])
def test_a_preexisting_permission_stays_in_every_race(tried, state):
    """Invariant 2 holds in every race."""
    found = Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=state, preexisting=True)
    assert share_events.raced(Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=tried), found, NOW) is None
