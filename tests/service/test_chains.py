"""How often a function runs in one chain of wakes does not grow with the work; Lambda would end a chain after 16 runs.

docs/explanation/how-it-works.md has the same numbers.
"""

import pytest

from chalicelib.engine.errors import RefusalKind
from tests.service.cloud import CloudBehavior
from tests.service.hub import Hub
from tests.service.scenes import accounts, queued
from tools import extras

pytestmark = pytest.mark.thorough

ALARM = extras.read()["Resources"]["RunawayAlarm"]["Properties"]["Threshold"]
A_THOUSAND = 1000


@pytest.mark.parametrize("amis", [12, 50])
def test_an_account_that_refuses_every_copy(amis):
    """AMIs of twenty snapshots fail one after another; the last waits for 240 or 1,000 slots before its own."""
    hub = queued(amis, hours=1)
    hub.gate.refuse("target.snapshots", "copy", why=RefusalKind.DENIED)
    hub.run()

    assert set(hub.outcomes().values()) == {"failed"}
    assert hub.groups.longest == {"worker": 5, "share-worker": 2}


def test_a_queue_for_slots():
    """Each copy that ends passes its slot on by a wake, at once."""
    hub = queued(12, hours=1)
    hub.run()

    assert set(hub.outcomes().values()) == {"delivered"}
    assert hub.groups.longest == {"worker": 5, "share-worker": 1}


@pytest.mark.parametrize(("targets", "snapshots"), [(1, 2), (100, 2), (20, 20)])
def test_many_targets(targets, snapshots):
    """Nor does a chain grow with targets. A thousand of them do not reach the alarm on runaway invocations."""
    hub = Hub(accounts(targets), behavior=CloudBehavior(copying=(600,)), watchful=False)
    hub.cloud.make_image("ami-0a", {f"snap-{number:02}": True for number in range(snapshots)})
    hub.cloud.tag("ami-0a", "default")
    hub.run()

    assert set(hub.outcomes().values()) == {"delivered"}
    assert hub.groups.longest == {"worker": 5, "share-worker": 1}
    woken = [name for name in hub.invocations if not name.startswith(("event ", "sweep", "discover"))]
    assert targets == 1 or len(woken) / targets * A_THOUSAND < ALARM
