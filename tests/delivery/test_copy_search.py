"""From where a search for a delivery's snapshots continues: only a place from which the pages show all of them."""

from dataclasses import replace

import pytest

from chalicelib.delivery.model import Attempt, DeliveryState
from chalicelib.delivery.proof import SeenCopy
from chalicelib.delivery.worker.copy_search import CopySearch
from chalicelib.engine import addresses
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal
from tests.delivery.examples import NOW, a_delivery

FIRST, LAST = SeenCopy("snap-1", "snap-0a", "pending", started_at=NOW), SeenCopy("snap-2", "snap-0b", "completed")
LATE = SeenCopy("snap-3", "snap-0a", "pending")
HOUR = 3600
DELIVERY = replace(a_delivery(DeliveryState.COPYING), attempts=())


class ItemsInMemory(dict):
    """ItemsInMemory beside the records."""

    put = dict.__setitem__

    def forget(self, key, _attributes):
        """Delete one."""
        self.pop(key, None)


class TwoPages:
    """A target's snapshots on two pages; what is made later is on the first."""

    def __init__(self):
        self.made = []

    def find(self, _delivery, *, token):
        """List one."""
        return ((LAST,), "") if token else ((FIRST, *self.made), "second")


class SearchSetup:
    """A search that has stopped behind the first page."""

    def __init__(self):
        self.items, self.target, self.now = ItemsInMemory(), TwoPages(), NOW
        self.search = CopySearch(self.items, self.target, lambda: self.now)
        with pytest.raises(Refusal):
            self.search.find(DELIVERY, Budget(lambda: 0), tries=0)
        self.target.made.append(LATE)

    def find(self, delivery=DELIVERY, tries=1):
        """Go on with time for both pages."""
        return self.search.find(delivery, Budget(lambda: 30), tries)


@pytest.fixture
def stopped():
    """The scene."""
    return SearchSetup()


def test_it_continues_with_all_that_the_pages_before_have_shown(stopped):
    """Once: the place is gone with the end of the search."""
    assert stopped.find() == (FIRST, LAST)
    assert stopped.find() == (FIRST, LATE, LAST)


def test_an_attempt_after_its_begin_needs_the_first_page_again(stopped):
    """What it has made may be on that page."""
    again = replace(DELIVERY, attempts=(Attempt("nonce", "snap-0a", NOW),))
    assert LATE in stopped.find(again)


def test_after_an_hour_it_begins_again(stopped):
    """What a deadline or a deletion depends on must not be older."""
    stopped.now += HOUR
    assert LATE in stopped.find()


def test_a_first_try_begins_at_the_first_page(stopped):
    """The place is of another state of the delivery."""
    assert LATE in stopped.find(tries=0)


@pytest.mark.parametrize("place", ["no JSON", '{"since": 1}', "7"])
def test_a_place_that_cannot_be_read_counts_as_none(stopped, place):
    """Another version may have written it."""
    stopped.items[addresses.copy_search(DELIVERY.id)] = {"kind": "search", "place": place}
    assert LATE in stopped.find()
