"""A delivery that awaits its approval: what it waits for, and what ends it."""

from chalicelib.delivery.machine import evolve
from chalicelib.delivery.model import DeliveryState
from chalicelib.delivery.phases.waiting import ApprovalSeen
from chalicelib.engine.faults import Fault
from chalicelib.sharing.entitlement import source_gone
from tests.delivery.examples import NOW, a_delivery

GONE = source_gone("there", "ami-00", None)


def test_a_refused_look_is_none_of_the_two_that_do_not_show_the_ami():
    """Awaiting approval, only two looks in turn that come through and do not show the source end it."""
    refused = a_delivery(DeliveryState.AWAITING_APPROVAL, last_refusal=Fault("aws-Throttling", "", "", ""))
    once = evolve(refused, ApprovalSeen(gone=GONE), NOW)
    assert once.state is DeliveryState.AWAITING_APPROVAL

    shown = evolve(once, ApprovalSeen(), once.next_try)
    again = evolve(shown, ApprovalSeen(gone=GONE), shown.next_try)
    assert again.state is DeliveryState.AWAITING_APPROVAL
    assert evolve(again, ApprovalSeen(gone=GONE), again.next_try).faults[0].code == "source-gone"


def test_a_wake_between_two_looks_that_do_not_show_the_ami_does_not_put_off_its_end():
    """Otherwise a delivery that is woken more often than it looks would wait for its deadline, a month."""
    once = evolve(a_delivery(DeliveryState.AWAITING_APPROVAL), ApprovalSeen(gone=GONE), NOW)
    woken = evolve(once, ApprovalSeen(gone=GONE), NOW + 1)
    assert woken == once

    assert evolve(woken, ApprovalSeen(gone=GONE), woken.next_try).faults[0].code == "source-gone"
    shown = evolve(once, ApprovalSeen(), NOW + 1)
    assert evolve(shown, ApprovalSeen(gone=GONE), shown.next_try).state is DeliveryState.AWAITING_APPROVAL
