"""Targets with so many snapshots of others that one invocation cannot list them: EC2 has a page for every thousand."""

import itertools

import pytest

from chalicelib.engine.errors import RefusalKind, StaleCursor
from chalicelib.engine.faults import Fault
from tests.service.cloud import CloudBehavior
from tests.service.gate import PortTrouble
from tests.service.scenes import all_delivered, killed_at_calls
from tests.service.slow import SlowGate, SlowHub
from tests.service.slow_cases import AMI, LONGEST, MODES, all_ended

A = "200000000001"
PAGES = 100
"""Of 100,000 snapshots, which EC2 allows in a Region."""
LOOKS = "target.snapshots"
LISTS = "find"


def large(mode="snapshots", pages=PAGES, **behavior):
    """One target with so many snapshots, to which an AMI is promoted; calls take up to a second."""
    hub = SlowHub([A], behavior=CloudBehavior(**behavior), gate=SlowGate(most=1.0), watchful=False, target=MODES[mode])
    hub.cloud.pages = pages
    hub.cloud.make_image(AMI, {"snap-00": True, "snap-01": True})
    hub.cloud.tag(AMI, "default")
    return hub


@pytest.mark.parametrize("mode", MODES)
def test_an_ami_arrives_however_many_snapshots_its_target_has(mode):
    """An invocation continues the list where the one before stopped. Running copies are looked at by their ids."""
    hub = large(mode, copying=(3 * 3600,))
    hub.wait(LONGEST)

    all_ended(hub, mode)
    assert hub.gate.made[LOOKS, LISTS] < 3 * PAGES


@pytest.mark.parametrize("call", ["copy", "register"])
def test_what_was_made_without_an_answer_is_found_among_all_others(call):
    """The search begins after the call: no place from before is used."""
    hub = large()
    port = LOOKS if call == "copy" else "target.images"
    hub.gate.refuse(port, call, why=RefusalKind.THROTTLED, times=1, after=True)
    hub.gate.troubles[-1].refusal.unknown = True
    hub.wait(LONGEST)
    all_delivered(hub, notified_once=False)


@pytest.mark.parametrize("mode", ["snapshots", "image"])
def test_what_was_made_is_removed_however_many_snapshots_the_target_has(mode):
    """The tag goes while copies run: nothing is left, and each share is closed."""
    hub = large(mode, copying=(3 * 3600,))
    hub.wait(3600)
    hub.cloud.tag(AMI, None)
    hub.wait(LONGEST)

    assert set(hub.outcomes().values()) == {"cancelled"}
    assert all(copy.deleted for copy in hub.cloud.copies.values())
    assert not hub.cloud.permissions


@pytest.mark.parametrize("page", [2, 60])
def test_a_place_that_ec2_no_longer_knows_begins_the_search_again(page):
    """Tokens hold for some minutes only."""
    hub = large()
    fault = Fault("aws-InvalidParameterValue", "there", "Value ( ... ) for parameter NextToken is invalid.", "")
    count = itertools.count(1)
    once = PortTrouble(LOOKS, LISTS, StaleCursor(RefusalKind.DENIED, fault), 1, only=lambda *_: next(count) == page)
    hub.gate.troubles.append(once)
    hub.wait(LONGEST)
    all_delivered(hub, notified_once=False)


def test_a_death_at_any_call_only_delays_the_search():
    """The next invocation continues at the last place on record, or begins again."""

    def begun():
        return large(pages=PAGES // 2)

    for number, hub in killed_at_calls(begun, 3600, every=9):
        hub.wait(LONGEST)
        assert set(hub.outcomes().values()) == {"delivered"}, number
        hub.groups.dead.clear()
        all_delivered(hub, notified_once=False)
