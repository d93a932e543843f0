"""A delivery starts a copy only soon after it has listed all copies: the record may be older than EC2's state."""

from chalicelib.delivery import machine
from chalicelib.delivery.attempts import CopiesFound, FindCopies
from chalicelib.delivery.model import CopyState, DeliveryState, SlotRequest
from chalicelib.delivery.phases.copying import StartCopy
from chalicelib.engine import schedule
from tests.delivery.examples import NOW, a_delivery, seen


def at_work(now):
    """A delivery with a slot for each copy that has started none; its checks were at NOW."""
    slots = SlotRequest(granted=2, until=now + schedule.LEASE)
    return a_delivery(DeliveryState.COPYING, opened_at=now, next_try=now, slots=slots)


def test_the_list_that_the_checks_made_is_good_for_a_minute():
    """The usual case needs no further call."""
    assert [type(c) for c in machine.outstanding(at_work(NOW + 60), NOW + 60)] == [StartCopy] * 2


def test_after_that_they_are_listed_first():
    """No copy is started on an old list; existing copies are adopted, and only the others started."""
    later = NOW + 3600
    delivery = at_work(later)

    assert machine.outstanding(delivery, later) == (FindCopies(),)

    there = seen("snap-0a", "completed", copy="snap-9a")
    found = machine.evolve(delivery, CopiesFound((there,)), later)
    expected = [(CopyState.COMPLETED, "snap-9a"), (CopyState.WANTED, None)]
    assert [(copy.state, copy.copy) for copy in found.copies] == expected
    assert StartCopy("snap-0b") in machine.outstanding(found, later)
    assert StartCopy("snap-0a") not in machine.outstanding(found, later)
