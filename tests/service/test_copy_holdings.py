"""What a delivery that cannot act holds for its copies is released, however often the run is killed."""

from types import SimpleNamespace

import pytest

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.waker import Waker
from chalicelib.images.source_images import write_source
from chalicelib.promotion.worker import copy_holdings
from chalicelib.sharing.share import Share, ShareState
from tests.delivery.examples import NOW, REGION, TARGET
from tests.fakes import SentWakes, copying
from tests.images.examples import an_image
from tests.service.gate import ProcessKilled
from tests.stores import in_memory

IMAGE = an_image()
ONE = TrackedDelivery("d1", TARGET, REGION, 1, "running")


class CopyHoldings(SentWakes):
    """The open shares of an AMI, its snapshot and its key, held by one delivery."""

    def __init__(self):
        super().__init__()
        self.stores, self.dies = in_memory(), False
        write_source(self.stores.records, IMAGE)
        (snapshot,) = IMAGE.snapshots
        self.places = [
            (addresses.image_resource(IMAGE.id).pk, TARGET),
            (addresses.snapshot_resource(snapshot.id).pk, TARGET),
            (addresses.key_resource(snapshot.key, TARGET).pk, f"{ONE.delivery}-AmiCopyRole"),
        ]
        for resource, name in self.places:
            share = Share(resource, name, TARGET, state=ShareState.OPEN, last_closing_at=NOW + 90_000)
            self.stores.ledger.hold(share, copying("d1"))

    def release(self, seconds=30):
        records = self.stores.records
        make_due = records.make_due if not self.dies else killed
        port = SimpleNamespace(make_due=make_due, unpark=records.unpark)
        waker = Waker(port, self, lambda: NOW)
        budget = Budget(lambda: seconds)
        return copy_holdings.release(records, self.stores.ledger, waker, IMAGE.id, ONE, budget)

    def held(self):
        return [share for share in self.stores.ledger.find(self.places) if share.holdings]


def killed(*_args, **_options):
    raise ProcessKilled


def test_a_share_whose_wake_a_killed_run_never_sent_is_woken_by_the_next():
    """Its holding is gone by then; without a wake it would stay open for another hour."""
    it = CopyHoldings()
    it.dies = True
    with pytest.raises(ProcessKilled):
        it.release()
    it.dies = False

    assert it.release()
    assert (it.held(), {*it.woken}) == ([], {resource for resource, _ in it.places})


def test_without_time_for_all_each_run_releases_some_and_says_that_others_are_left():
    """A run that is out of time ends by itself, so that it is not killed again and again."""
    it = CopyHoldings()
    said = [it.release(seconds=0) for _ in it.places]

    assert (it.held(), said[0]) == ([], False)
    assert {*it.woken} == {resource for resource, _ in it.places}
