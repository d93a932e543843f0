"""Two runs of one message group: a call has taken effect, although its result came too late to be written."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.engine import addresses
from chalicelib.sharing import machine
from chalicelib.sharing.share import Share, ShareState
from tests.service.slow_aws import ACCOUNT, SlowResource

RESOURCE = addresses.snapshot_resource("snap-0a")
NOW = 1_800_000_000


def settled(snapshot: SlowResource) -> ShareState:
    """Run until nothing changes; return the share's state in the ledger, or that it has left it."""
    snapshot.run_on()
    return snapshot.shares[0].state if snapshot.shares else ShareState.ARCHIVED


def raced(snapshot: SlowResource, what: str, meanwhile: Callable[[], None]) -> ShareState:
    """Let another run happen after the decision for a call and before its effect; return what comes of both."""
    waiting = [meanwhile]

    def happens(called: str, _shares: object) -> None:
        if called == what and waiting:
            waiting.pop()()

    snapshot.permissions.refuses = happens
    snapshot.run()
    assert not waiting
    return settled(snapshot)


def test_what_a_late_call_opened_is_closed_again():
    """One run opens slowly; meanwhile another has opened it, the holding has ended, and the share was closed."""
    snapshot = SlowResource(RESOURCE)
    snapshot.hold([ACCOUNT])

    def meanwhile() -> None:
        snapshot.run()
        snapshot.release([ACCOUNT])
        assert settled(snapshot) is ShareState.ARCHIVED

    assert raced(snapshot, "open", meanwhile) is ShareState.ARCHIVED
    assert snapshot.permissions.there == set()


def test_what_a_late_call_closed_is_opened_again():
    """One run closes slowly; meanwhile another has closed it, and the next holding has opened it."""
    snapshot = SlowResource(RESOURCE)
    snapshot.hold([ACCOUNT])
    assert settled(snapshot) is ShareState.OPEN
    snapshot.release([ACCOUNT])

    def meanwhile() -> None:
        assert settled(snapshot) is ShareState.ARCHIVED
        snapshot.hold([ACCOUNT])
        assert settled(snapshot) is ShareState.OPEN

    assert raced(snapshot, "close", meanwhile) is ShareState.OPEN
    assert snapshot.permissions.there == {ACCOUNT}


@pytest.mark.parametrize("state", list(ShareState))
@pytest.mark.parametrize("tried", [ShareState.OPEN, ShareState.CLOSED, ShareState.CLOSING])
def test_a_preexisting_permission_stays_in_every_race(tried, state):
    """Invariant 2 holds in every race."""
    found = Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=state, preexisting=True)
    assert machine.raced(Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=tried), found, NOW) is None


def test_two_runs_that_have_opened_a_share_agree():
    """It is not opened once more."""
    opened = Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=ShareState.OPEN)
    assert machine.raced(opened, replace(opened, version=opened.version + 1), NOW) is None


@pytest.mark.parametrize("state", [ShareState.CLOSED, ShareState.REFUSED])
def test_what_a_late_call_opened_is_closed_again_before_its_share_leaves_the_ledger(state):
    """By the grant that the late call made, which nobody else knows."""
    opened = Share(RESOURCE.pk, ACCOUNT, ACCOUNT, state=ShareState.OPEN, grant_id="late")
    corrected = machine.raced(opened, replace(opened, state=state, grant_id="", version=5), NOW)
    assert (corrected.state, corrected.grant_id, corrected.version) == (ShareState.CLOSING, "late", 5)
