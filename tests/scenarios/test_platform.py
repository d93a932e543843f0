"""The platform's failures: a consumer off for days, a purged queue, the sweep off, an update during a delivery."""

import pytest

from demo import stage
from tests.scenarios.platform import new_version, pace, schedule, switch
from tests.scenarios.scene import DEV, HUB, REGION, targets_file

DAY = 24 * 3600
COPYING = ("copying", "registering", "verifying", "publishing")


@pytest.mark.thorough
def test_the_consumer_of_the_worker_is_off_for_two_days_in_mid_copy(scene):
    """No worker reads the copies until the last closing time: the share worker revokes the permissions, and reports it.

    When the consumer is on again, a look shows completed copies, and the passed deadline destroys nothing. (Between the
    first hours and the last minutes the schedules are slower, which saves the test's time.)
    """
    scene.apply(targets_file())
    scene.watch.may_close_blind = True
    scene.begin_copies()
    switch(scene, "worker", on=False)
    assert scene.after(2 * 3600).world.shares_open() == []
    for function in ("sweep", "discover"):
        pace(scene, function, 240)
    assert scene.after(2 * DAY - 2 * 3600).delivery_state(DEV) == "copying"
    assert scene.world.shares_open() == []

    pace(scene, "sweep", 1)
    switch(scene, "worker", on=True)
    scene.assert_arrives(DEV)


def test_the_sweep_is_off_for_a_day_and_every_event_of_the_copies_is_lost(scene):
    """Nothing moves, and the shares stay open, because only the sweep watches the time (an alarm reports that).

    When it is on again, each delivery ends: what was copied meanwhile is delivered, past its deadline, and every share
    closes.
    """
    scene.apply(targets_file())
    scene.watch.may_close_blind = True
    scene.begin_copies()
    schedule(scene, "sweep", on=False)
    pace(scene, "discover", 240)
    with scene.world.injections.silence():
        scene.wait(DAY)
    assert scene.delivery_state(DEV) == "copying"

    schedule(scene, "sweep", on=True)
    scene.assert_arrives(DEV)


def test_the_sweep_is_off_and_events_and_wakes_go_on(scene):
    """Without losses the sweep is not needed: delivered in time, and nothing stays open."""
    schedule(scene, "sweep", on=False)
    scene.promote("")

    scene.assert_delivered(DEV)


@pytest.mark.parametrize("state", ["opening", "copying"])
@pytest.mark.thorough
def test_the_stack_is_updated_in_mid_delivery(scene, tmp_path, state):
    """New code on a running hub: execution environments are replaced, and deliveries continue in new ones."""
    scene.tag("")
    scene.run_until_state(state)
    template = new_version(tmp_path, "next")
    before = len(scene.world.lambda_.invocations)
    parameters = {"TargetAccounts": ",".join(stage.TARGETS.values())}
    scene.world.deploy(template, HUB, REGION, "ami-promoter", parameters)
    scene.run_until_over()

    later = scene.world.lambda_.invocations[before:]
    assert any(one.cold and one.function.endswith("-worker") for one in later)
    scene.assert_delivered(DEV)
