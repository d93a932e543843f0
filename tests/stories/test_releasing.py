"""AMIs of one family: which one is current in a target, and what a recall or a rollback changes."""

import pytest

from tests.stories.driver import DEV, FAMILY, HOUR, PARAMETER, SHARE, TEST, WHY

PREFIX = {"ParameterPrefix": "/golden/"}


def in_family(hub, mode):
    """Two AMIs of the family, and a parameter that follows it; nothing is tagged."""
    hub.apply(ssm_parameter=PARAMETER, **({} if mode == "copy" else SHARE))
    for account in (DEV, TEST):
        hub.deploy(account, **PREFIX)
    return hub.build(family=FAMILY), hub.build(family=FAMILY)


def promote(hub, *amis):
    """Tag them one after the other."""
    for ami in amis:
        hub.tag("dev", ami)
        hub.until_over(ami)


# --- the parameter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.thorough_but("memory-copy", "memory-share")
def test_the_parameter_follows_the_newest_ami_and_the_notice_comes_after_it(hub, mode):
    """A person who is notified finds it in the parameter."""
    old, new = in_family(hub, mode)
    for ami in (old, new):
        promote(hub, ami)
        assert hub.current(DEV) == hub.current(TEST) == ami
        assert hub.notice(DEV, ami)["family"] == FAMILY
        assert hub.notice(DEV, ami)["pointer"]["image"] == hub.notice(DEV, ami)["image"]


@pytest.mark.thorough_but("memory")
def test_an_older_ami_that_comes_later_does_not_become_current(hub):
    """It is delivered, and its notice says which AMI the parameter names."""
    old, new = in_family(hub, "copy")
    promote(hub, new, old)

    assert hub.states(old)[DEV] == "delivered"
    assert hub.current(DEV) == new
    assert hub.notice(DEV, old)["pointer"]["image"] == hub.notice(DEV, new)["image"]


def test_a_share_that_ends_gives_way_to_the_one_before_and_the_last_takes_the_parameter_along(hub):
    """A parameter must not name what nobody there can launch."""
    old, new = in_family(hub, "share")
    promote(hub, old, new)
    hub.untag(new)
    hub.wait(HOUR)
    assert hub.current(DEV) == old

    hub.untag(old)
    hub.wait(HOUR)
    assert hub.current(DEV) == ""


# --- recalls ---------------------------------------------------------------------------------------------------------


@pytest.mark.thorough_but("memory")
def test_a_recalled_ami_is_deprecated_and_the_one_before_is_current_until_that_is_lifted(hub):
    """Nobody need launch what does not boot; no value of the tag brings it back meanwhile."""
    old, new = in_family(hub, "copy")
    promote(hub, old, new)
    hub.recall(new)
    hub.until(DEV, "recalled", new)
    hub.until(TEST, "recalled", new)
    hub.wait(120)
    assert (hub.current(DEV), hub.current(TEST)) == (old, old)
    assert (hub.is_deprecated(DEV, new), hub.is_deprecated(DEV, old)) == (True, False)
    assert hub.notice(DEV, new)["event"] == "delivery.recalled"
    assert hub.notice(DEV, new)["recall"]["why"] == WHY
    hub.untag(new)
    hub.wait(HOUR)
    hub.tag("dev", new)
    hub.wait(HOUR)
    assert hub.states(new) == {DEV: "recalled", TEST: "recalled"}

    hub.lift_recall(new)
    hub.until(DEV, "delivered", new)
    hub.until(TEST, "delivered", new)
    assert (hub.current(DEV), hub.is_deprecated(DEV, new)) == (new, False)
    assert hub.notice(DEV, new)["event"] == "delivery.delivered"


@pytest.mark.thorough_but("memory")
def test_an_ami_that_is_recalled_is_shared_no_more_until_that_is_lifted(hub):
    """The share of the one before stays."""
    old, new = in_family(hub, "share")
    promote(hub, old, new)
    hub.recall(new)
    hub.until(DEV, "withdrawn", new)
    hub.wait(HOUR)
    assert (hub.can_launch(DEV, new), hub.can_launch(DEV, old)) == (False, True)
    assert hub.current(DEV) == old

    hub.lift_recall(new)
    hub.until(DEV, "shared", new)
    hub.wait(HOUR)
    assert hub.can_launch(DEV, new)
    assert hub.current(DEV) == new


@pytest.mark.thorough_but("memory")
def test_a_recall_waits_for_no_target_and_one_without_a_role_takes_it_when_it_answers(hub):
    """What was lifted meanwhile ends as if nothing had been."""
    old, new = in_family(hub, "copy")
    promote(hub, old, new)
    hub.remove_role(DEV)
    hub.recall(new)
    hub.until(TEST, "recalled", new)
    assert hub.states(new)[DEV] == "recalling"
    hub.lift_recall(new)
    hub.until(TEST, "delivered", new)
    assert hub.states(new)[DEV] == "recalling"

    hub.restore_role(DEV)
    hub.until(DEV, "delivered", new)
    assert (hub.current(DEV), hub.is_deprecated(DEV, new)) == (new, False)


# --- rollbacks -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough_but("memory")
def test_a_rollback_holds_the_parameter_of_one_target_at_an_earlier_ami(hub):
    """A newer delivery does not move it, and says so."""
    old, new = in_family(hub, "copy")
    promote(hub, old, new)
    hub.roll_back(DEV, old)
    hub.wait(600)
    assert (hub.current(DEV), hub.current(TEST)) == (old, new)
    newest = hub.build(family=FAMILY)
    promote(hub, newest)
    assert (hub.current(DEV), hub.current(TEST)) == (old, newest)
    assert hub.notice(DEV, newest)["pointer"]["pinned"].startswith(f"{old} by arn:")

    hub.lift_rollback(DEV)
    hub.wait(600)
    assert hub.current(DEV) == newest


@pytest.mark.thorough_but("memory")
def test_a_rollback_to_what_is_recalled_then_names_the_one_before(hub):
    """A recall counts everywhere, whatever holds the parameter."""
    old, new = in_family(hub, "copy")
    newest = hub.build(family=FAMILY)
    promote(hub, old, new, newest)
    hub.roll_back(DEV, new)
    hub.wait(600)
    assert hub.current(DEV) == new
    hub.recall(new)
    hub.until(DEV, "recalled", new)
    hub.wait(600)
    assert (hub.current(DEV), hub.current(TEST)) == (old, newest)

    hub.lift_rollback(DEV)
    hub.wait(600)
    assert hub.current(DEV) == newest


# --- launch tests ----------------------------------------------------------------------------------------------------


def with_launch_test(hub, **mode):
    """DEV tests each new AMI: one instance must start before anybody is notified."""
    hub.deploy(DEV, LaunchTest="true")
    hub.apply(**mode, launch_test={"instance_type": "t3.micro", "within": "10m"})


@pytest.mark.parametrize(("mode", "end"), [({}, "delivered"), (SHARE, "shared")], ids=["copy", "share"])
@pytest.mark.thorough_but("memory-copy", "memory-share")
def test_an_ami_that_starts_an_instance_is_published(hub, mode, end):
    """The instance is gone by then."""
    with_launch_test(hub, **mode)
    hub.tag("")
    hub.until_over()

    assert hub.states() == {DEV: end}
    assert hub.running(DEV) == ["terminated"]


@pytest.mark.thorough_but("memory")
def test_an_ami_that_could_not_be_tested_stays_unpublished_until_a_retry_tests_it(hub):
    """Lack of capacity says nothing about the AMI, and hours of copying are not thrown away."""
    with_launch_test(hub)
    hub.instances("none")
    hub.tag("")
    hub.until_over()
    assert hub.states() == {DEV: "failed"}
    assert hub.faults(DEV)[0] == "launch-not-tested"
    assert hub.owned_by(DEV) == [hub.ami]
    left = hub.notice(DEV)["leftovers"]

    hub.instances("ok")
    hub.retry()
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered"}
    assert [hub.notice(DEV)["image"]] == left
