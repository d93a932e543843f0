"""Deregistration protection: set when no later step may remove the AMI; its failure never fails a delivery."""

from chalicelib.delivery import machine
from chalicelib.delivery.model import Delivery, DeliveryState, NewImage
from chalicelib.delivery.phase import CancelAsked, Refused
from chalicelib.delivery.phases.ending import NotifyOutcome, OutcomeNotified
from chalicelib.delivery.phases.publishing import PROTECT_TRIES, EndSeen, ImageProtected, LookAtEnd, ProtectImage
from chalicelib.engine.errors import RefusalKind
from tests.delivery.examples import FAULT, NOW, a_delivery

PROTECT, NOTIFY = ProtectImage(), NotifyOutcome()


def publishing(**settings: object) -> Delivery:
    """A delivery whose AMI was compared, and whose owner is not notified yet."""
    return a_delivery(DeliveryState.PUBLISHING, image=NewImage("ami-0b"), **settings)


def refused(delivery: Delivery, kind: RefusalKind, now: int = NOW) -> Delivery:
    """Let AWS refuse the protection."""
    return machine.evolve(delivery, Refused("ProtectImage", kind, FAULT), now)


def test_an_ami_is_protected_before_its_owner_hears_of_it():
    """First the protection, then the notice, which mentions it; nothing is protected before the comparison."""
    delivery = publishing()
    assert machine.outstanding(delivery, NOW) == (PROTECT,)

    protected = machine.evolve(delivery, ImageProtected(), NOW)
    assert machine.outstanding(protected, NOW) == (NOTIFY,)
    assert machine.evolve(protected, OutcomeNotified(protected.outcome), NOW).image.protected
    for state in set(DeliveryState) - {DeliveryState.PUBLISHING}:
        assert PROTECT not in machine.outstanding(
            a_delivery(state, image=NewImage("ami-0b")).with_image(available_at=NOW), NOW
        )


def test_what_can_still_be_removed_is_not_protected():
    """From `publishing` its AMI stays, delivered or recalled, so the service never has to lift a protection.

    A date or a removal ends only what is shared, which has none.
    """
    row = machine.TRANSITIONS[DeliveryState.PUBLISHING]
    after = {to for event, edge in row.items() if event not in (EndSeen, CancelAsked) for to in edge.leads_to}

    assert LookAtEnd() in machine.outstanding(publishing(mode="share", until=NOW - 1), NOW)
    assert LookAtEnd() not in machine.outstanding(publishing(until=NOW - 1), NOW)
    assert machine.evolve(publishing(), CancelAsked(), NOW).state is DeliveryState.RECALLING
    assert after == {DeliveryState.PUBLISHING, DeliveryState.DELIVERED, DeliveryState.SHARED}


def test_protect_false_and_a_shared_ami_ask_for_nothing():
    """The targets file turns it off; in share mode the AMI is the hub's."""
    assert machine.outstanding(publishing(protect=False), NOW) == (NOTIFY,)
    assert machine.outstanding(publishing(mode="share"), NOW) == (NOTIFY,)


def test_a_refusal_does_not_fail_a_good_delivery():
    """An old stack in the target: the AMI is delivered without it, with a fault that says why and what to do."""
    for kind in set(RefusalKind) - {RefusalKind.THROTTLED}:
        after = refused(publishing(), kind)
        assert machine.outstanding(after, NOW) == (NOTIFY,)
        over = machine.evolve(after, OutcomeNotified(after.outcome), NOW)
        assert (over.state, over.image.protected) == (DeliveryState.DELIVERED, False)
        (why,) = over.faults
        assert (why, ()) == (over.unprotected, over.failures)
        assert (why.code, FAULT.what in why.what) == ("image-not-protected", True)
        assert "enable-image-deregistration-protection --image-id ami-0b" in why.cure


def test_an_outage_is_waited_out_for_minutes_and_not_for_hours():
    """A throttle is retried; the notice waits for that some minutes at most."""
    delivery, now, tries = publishing(), NOW, 0
    while PROTECT in machine.outstanding(delivery, now):
        delivery, tries = refused(delivery, RefusalKind.THROTTLED, now), tries + 1
        assert machine.due_at(delivery) is not None
        now = max(now, machine.due_at(delivery))

    assert tries == PROTECT_TRIES + 1
    assert now - NOW <= 5 * 60
    assert machine.outstanding(delivery, now) == (NOTIFY,)
    assert delivery.last_refusal is None
