"""A thousand accounts of an OU: each is asked about by a call of its own, of which Organizations takes 20 a second."""

import pytest

from chalicelib.delivery.worker.begun_deliveries import RecordedDeliveries
from chalicelib.engine import addresses
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Place
from chalicelib.sharing.share import ShareState
from chalicelib.sharing.worker.entitlements import LiveEntitlements
from chalicelib.targets.worker.live_members import LiveMembers
from tests.fakes import MemoryRecords
from tests.service.cloud import HUB, REGION, Cloud, CloudBehavior, FakeSource, FakeTargets, FakeWhereabouts
from tests.service.organization import of_an_ou
from tests.service.slow_aws import START, SlowResource

SNAPSHOT = addresses.snapshot_resource("snap-00")
ACCOUNTS = [f"{300_000_000_000 + number}" for number in range(1000)]
RATE, BURST = 20, 30
"""DescribeAccount, of one account's callers together [aws-facts 7]."""


class BusyOrganization(FakeWhereabouts):
    """Organizations, whose calls take a resource's time. ``others``: the share of its rate that others use."""

    def __init__(self, cloud, resource, others):
        super().__init__(cloud)
        self._resource, self._rate = resource, RATE * (1 - others)
        self._left, self._at = float(BURST), resource.now
        self.throttled = 0

    def whereabouts(self, account):
        self._resource.spend()
        self._left = min(BURST, self._left + (self._resource.now - self._at) * self._rate)
        self._at = self._resource.now
        if self._left < 1:
            self.throttled += 1
            fault = Fault("aws-throttled", "organization", "TooManyRequestsException.", "Wait.")
            raise Refusal(RefusalKind.THROTTLED, fault)
        self._left -= 1
        return super().whereabouts(account)


class SharedWithAnOu:
    """A snapshot whose AMI is tagged for an OU of a thousand accounts, and a share worker whose calls take time."""

    def __init__(self, seconds, others=0.0, accounts=ACCOUNTS):
        self.cloud = Cloud(of_an_ou(*accounts), CloudBehavior(), lambda _event: None)
        self.cloud.make_image("ami-0a", {"snap-00": True})
        self.cloud.tag("ami-0a", "default")
        self.snapshot = SlowResource(SNAPSHOT, seconds)
        self.organization = BusyOrganization(self.cloud, self.snapshot, others)
        self.start_again()
        self.snapshot.hold(accounts)

    def start_again(self):
        """Begin a new execution environment, which remembers nothing."""
        clock = self.snapshot.clock
        members = LiveMembers(lambda _named: self.organization, clock)
        records = MemoryRecords()
        ports = records, RecordedDeliveries(records), FakeSource(self.cloud), FakeTargets(self.cloud)
        self.snapshot.worker.entitlements = LiveEntitlements(*ports, members, clock, Place(HUB, REGION))


@pytest.mark.parametrize(("seconds", "others"), [(0.02, 0.0), (0.05, 0.3), (1.0, 0.0)])
@pytest.mark.thorough
def test_a_thousand_accounts_are_asked_about_and_opened_however_slow_aws_is(seconds, others):
    """Each run opens for those it has asked about, and the next goes on; also where others use a part of the rate."""
    it = SharedWithAnOu(seconds, others)
    it.snapshot.run_on()
    assert it.snapshot.states() == {ShareState.OPEN: 1000}
    assert it.snapshot.killed == 0
    assert len(it.organization.asked) == 1000
    assert it.snapshot.now - START < (600 if seconds < 1 else 3600)


def test_it_ends_if_each_run_has_time_for_one_slice_only_and_remembers_nothing():
    """Another environment each time, and no time left: one account a run, at least."""
    it = SharedWithAnOu(0.02)
    it.snapshot.one_slice = True
    for _ in range(5):
        before = it.snapshot.states().get(ShareState.OPEN, 0)
        it.snapshot.run()
        it.start_again()
        assert it.snapshot.states()[ShareState.OPEN] > before


def test_closing_asks_nobody():
    """Organizations refuses; what is open for many accounts is closed all the same."""
    accounts = ACCOUNTS[:60]
    it = SharedWithAnOu(0.02, accounts=accounts)
    it.snapshot.run_on()
    asked = len(it.organization.asked)
    it.organization.refuses = Refusal(RefusalKind.DENIED, Fault("organization-unreadable", "o", "Refused.", "Ask."))
    it.snapshot.now += 600
    it.snapshot.let_out(accounts)
    assert it.snapshot.permissions.there == set()
    assert len(it.organization.asked) == asked
