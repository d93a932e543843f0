"""Stories that once failed, in the order in which the model found them."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.service.world import DAY, HOUR, NOBODY, TAKEN, ModelWorld, WorldSetup


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_damaged_delivery_that_was_cancelled_and_is_wanted_again_is_not_asked_for_ever(unreadable):
    """It cannot start again, so it counts as failed."""
    world = ModelWorld()
    world.expect("copying", [HOUR])
    world.tag(0, "default")
    world.wait(60)
    world.tag(0, None)
    assert world.wait(2 * HOUR).outcomes() == {("ami-0a", world.account(0)): "cancelled"}
    world.poison(0, "delivery", unreadable=unreadable)
    world.tag(0, "default")
    world.wait(HOUR)

    assert Counter(world.cloud.notices[-1]["counts"]) == Counter(failed=1)
    world.end()


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_damaged_promotion_does_not_stop_discovery(unreadable):
    """Discovery finds the next AMI, whose event is lost."""
    world = ModelWorld(WorldSetup(amis=((0,), (1,), (2,))))
    world.tag(1, "default")
    world.wait(600)
    world.expect("events", [()])
    world.tag(2, "default")
    world.poison(0, "promotion", unreadable=unreadable)
    assert world.wait(1000).outcomes()["ami-0c", world.account(0)] == "delivered"
    world.end()


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_damaged_promotion_of_what_is_shared_does_not_keep_the_others_shared(unreadable):
    """Another AMI's tag is removed and the event lost: it is withdrawn, and the damaged promotion is parked."""
    world = ModelWorld(WorldSetup(amis=((0,), (1,)), mode="share"))
    for number in range(2):
        world.tag(number, "default")
    world.wait(600)
    world.poison(0, "promotion", unreadable=unreadable)
    world.expect("events", [()])
    world.tag(1, None)
    assert world.wait(1000).outcomes()["ami-0b", world.account(0)] == "withdrawn"
    assert world.outcomes()["ami-0a", world.account(0)] == "shared"
    world.end()


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_damaged_copy_quota_is_written_again(unreadable):
    """Running copies continue, later deliveries get their slots, and no record is parked."""
    world = ModelWorld(WorldSetup(amis=((0, 1), (2,))))
    world.expect("copying", [600, 900])
    world.tag(0, "default")
    world.wait(60)
    world.poison(0, "quota", unreadable=unreadable)
    world.tag(1, "default")
    world.wait(HOUR)

    assert world.outcomes() == dict.fromkeys([("ami-0a", world.account(0)), ("ami-0b", world.account(0))], "delivered")
    world.end()


@pytest.mark.parametrize("taken", sorted(TAKEN))
@pytest.mark.parametrize("mode", ["copy", "share"])
def test_writes_whose_answers_are_lost_lose_nothing_and_repeat_nothing(mode, taken):
    """DynamoDB takes them, and the SDK's repetition says that they were not made."""
    world = ModelWorld(WorldSetup(accounts=2, mode=mode))
    world.lose_answers(taken, 12)
    world.tag(0, "default")
    world.wait(HOUR)
    world.lose_answers(taken, 12)
    world.tag(0, world.account(0))
    world.withdraw_from(0)
    world.end()


@pytest.mark.parametrize("hours", [2, 26])
@pytest.mark.parametrize(
    "what", ["nothing can be published", "the source cannot be read", "permissions cannot be removed"]
)
def test_what_aws_refuses_for_hours_is_done_afterwards(what, hours):
    """While it lasts every invariant holds; afterwards all comes to rest, and what is tagged again is delivered."""
    world = ModelWorld(WorldSetup(accounts=2))
    world.tag(0, "default")
    world.wait(1)
    world.refuse_for(what, hours)
    world.wait(HOUR * (hours + 2))
    world.end()


def test_an_ami_that_stays_pending_for_days_rests_until_it_is_available():
    """The service refuses it once after a day, not daily; when it is available, discovery finds it."""
    world = ModelWorld(WorldSetup(pending=True))
    world.tag(0, "default")
    world.wait(75 * HOUR)

    assert [notice["event"] for notice in world.cloud.notices] == ["promotion.refused"]
    assert world._next() is None, "it rests"
    world.expect("events", [()])
    world.make_available()
    assert world.wait(HOUR).outcomes() == {("ami-0a", world.account(0)): "delivered"}
    world.end()


def test_an_errored_copy_that_an_earlier_try_could_not_remove_is_removed_by_the_next():
    """The copy was removed while the shares opened; that state had no edge for it, and the record was parked."""
    world = ModelWorld(WorldSetup(copy_deadline=8 * HOUR))
    world.expect("fails", ["An internal error occurred"])
    world.refuse("copies cannot be deleted", None, 1000)
    world.tag(0, "default")
    assert world.wait(12 * HOUR).outcomes() == {("ami-0a", world.account(0)): "failed"}
    world.end()


def test_what_was_cancelled_and_is_wanted_again_of_an_ami_that_is_gone_begins_no_more():
    """Paused, untagged, tagged again and deregistered: looks and restarts of the promotion put each other off."""
    world = ModelWorld(WorldSetup(accounts=3, approval="required"))
    world.tag(0, "default")
    world.wait(0)
    world.tag(0, None)
    world.wait(0)
    world.pause()
    world.wait(70)
    world.tag(0, None)
    world.wait(31)
    world.tag(0, "default")
    world.wait(0)
    world.deregister_source(0)
    world.wait(221)
    world.change_settings()
    world.wait(70)
    world.damage("head", 0)
    world.wait(200)
    world.change_settings()
    world.wait(70)
    world.end()


def test_what_became_of_a_share_for_others_is_not_notified_to_one_who_must_wait_for_it():
    """Refused at first, as the account was not listed; requested again just after another delivery had opened it."""
    world = ModelWorld(WorldSetup(encrypted=(False, False, False)))
    world.tag(0, "default")
    world.wait(4)
    world.switch_file(0)
    assert world.wait(600).outcomes() == {("ami-0a", world.account(0)): "failed"}
    world.switch_file(0)
    world.share(0)
    world.end()


def test_what_became_of_a_share_for_others_is_not_notified_to_one_for_whom_nobody_could_look():
    """Refused at first; requested again while the permissions cannot be read."""
    world = ModelWorld(WorldSetup(encrypted=(False, False, False)))
    world.refuse("permissions may not be added", None, 1)
    world.tag(0, "default")
    assert world.wait(600).outcomes() == {("ami-0a", world.account(0)): "failed"}
    world.refuse("permissions cannot be read", None, 1)
    world.tag(0, None)
    world.wait(60)
    world.tag(0, "default")
    assert world.wait(600).outcomes() == {("ami-0a", world.account(0)): "delivered"}
    world.end()


@pytest.mark.parametrize("mode", ["share", "copy"])
def test_whose_settings_conflicted_for_a_while_loses_nothing_when_the_file_is_mended(mode):
    """It kept its share while its settings conflicted; afterwards it was taken for a target of a new file."""
    world = ModelWorld(WorldSetup(accounts=2, mode=mode))
    world.expect("copying", [4 * HOUR] * 2)
    world.tag(0, "default")
    world.wait(600)
    before = world.outcomes()
    world.conflict(1)
    assert world.wait(HOUR).outcomes() == before
    world.conflict(1)
    assert world.wait(HOUR).outcomes() == before
    world.end()


def test_a_value_that_was_refused_is_not_resolved_again_and_again_while_something_runs():
    """Each look at a running promotion's tag resolved the value again, and restarted its polls."""
    world = ModelWorld()
    world.expect("copying", [20 * HOUR])
    world.tag(0, "default")
    world.wait(600)
    world.tag(0, NOBODY)
    world.wait(HOUR)
    before = len(world.invocations)
    world.wait(6 * HOUR)

    polls = [one for one in world.invocations[before:] if one.startswith("promotion#")]
    assert len(polls) <= 6 * 4 + 1
    world.end()


@pytest.mark.parametrize("call", range(60, 90, 3))
def test_a_file_that_loses_an_account_between_a_look_and_its_call_closes_what_was_opened(call):
    """The share worker has read the file, and opens. Nothing of it stays."""
    world = ModelWorld()
    world.tag(0, "default")
    world.meanwhile(call, "switch_file", 0, None)
    world.wait(300)

    assert world.cloud.permissions == set()
    assert world.cloud.grants == {}
    world.end()


@pytest.mark.parametrize("value", ["default", "200000000001"])
def test_an_approval_that_does_not_count_keeps_no_delivery_waiting_whose_source_is_gone(value):
    """It is approved for a month, and its source is deregistered before it has seen that."""
    world = ModelWorld(WorldSetup(approval="required"))
    world.tag(0, "default")
    world.wait(120)
    world.approve_some(0, 30 * 24 * HOUR)
    world.deregister_source(0)
    world.tag(0, value)

    assert world.wait(2 * HOUR).outcomes() == {("ami-0a", world.account(0)): "failed"}
    world.end()


def test_a_withdrawal_under_a_value_whose_end_no_look_has_seen_keeps_nobody_waiting_for_an_approval():
    """The tag goes and comes back with another value within a second, and both events are lost."""
    world = ModelWorld(WorldSetup(accounts=2, approval="required", mode="share"))
    world.tag(0, "200000000001+200000000002")
    world.wait(200)
    world.withdraw_from(0)
    world.wait(160)
    world.expect("events", [(), ()])
    world.tag(0, None)
    world.wait(1)
    world.tag(0, "default")
    world.end()

    assert set(world.outcomes().values()) == {"withdrawn"}, "every tag is removed in the end"


def test_a_share_closes_although_a_copy_runs_whose_deletion_ec2_has_accepted():
    """One of two copies of CopyImage failed, and the other ends long after the second try has succeeded."""
    shape = WorldSetup(2, ((0,), (0, 1)), (True, True, True), copy_method="image", waves=0, launch_test=True)
    world = ModelWorld(replace(shape, dates=[1, 2, 3]))
    world.tag(0, "default")
    world.tag(1, "default")
    world.tag(0, None)
    world.wait(70)
    world.expect("fails", ["An internal error occurred"])
    world.wait(230)
    world.expect("copying", [0, 600])
    world.wait(200)
    world.tag(0, "default")
    world.end()


def test_an_approval_counts_for_the_value_in_force_however_long_the_tag_has_a_refused_one():
    """Its accounts wait for a group that the new value does not name; so it is refused, for a day if need be."""
    world = ModelWorld(WorldSetup(2, mode="share", approval="required", waves=0))
    world.tag(0, "default")
    world.wait(200)
    world.tag(0, world.account(1))
    world.wait(HOUR)
    world.approve_some(0, 30 * DAY)
    world.wait(HOUR)

    assert world.outcomes()[world.ami(0), world.account(0)] == "shared"
    world.end()


def test_a_grant_on_a_targets_own_key_stays_where_holding_and_record_are_damaged():
    """Only its delivery releases it, so a person must repair the record."""
    world = ModelWorld(WorldSetup(service_roles=1))
    world.tag(0, "default")
    world.wait(6)
    world.damage("holding", 0)
    world.poison(0, "delivery")
    world.end()

    assert len(world.cloud.grants) == 1
