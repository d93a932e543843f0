"""Something in a target is not as it should be: that target alone is late or fails, and a retry heals it."""

import pytest

from tests.stories.driver import DEV, HOUR, TEST


@pytest.mark.thorough_but("memory")
def test_a_role_that_is_not_there_fails_one_target_and_a_retry_serves_it(hub):
    """The other target does not wait; one notice says at once what is missing, and one when the time is up."""
    hub.apply(queue_deadline="1h")
    hub.remove_role(TEST)
    hub.tag("dev")
    hub.until(DEV, "delivered")
    assert hub.states() == {DEV: "delivered", TEST: "awaiting-role"}
    began = hub.notice(DEV)["at"]
    hub.until_over()
    assert hub.states() == {DEV: "delivered", TEST: "failed"}
    assert hub.notices()["delivery.waiting-for-role"] == 1
    (fault,) = hub.notice(TEST)["faults"]
    assert fault["code"] == "deadline-awaiting-role"
    assert "AccessDenied" in fault["what"]
    assert "deploy/target.yaml" in fault["cure"]
    assert hub.notice(TEST)["at"] < began + 1.25 * HOUR
    assert hub.let_in() == set()

    hub.restore_role(TEST)
    hub.retry()
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered", TEST: "delivered"}
    assert hub.notices()["delivery.delivered"] == 2


@pytest.mark.thorough_but("memory")
def test_a_copy_that_fails_leaves_nothing_and_a_retry_makes_another(hub):
    """The target's other copy, which went well, is removed, too."""
    hub.copies_take(120)
    hub.tag("dev")
    hub.until(TEST, "copying")
    hub.until(DEV, "copying")
    hub.wait(10)
    hub.fail_copy(TEST)
    hub.until_over()
    assert hub.states() == {DEV: "delivered", TEST: "failed"}
    assert hub.faults(TEST) == ["copy-failed"]
    hub.wait(300)
    assert hub.snapshots_in(TEST) == 0
    assert hub.let_in() == set()

    hub.retry()
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered", TEST: "delivered"}
    assert hub.snapshots_in(TEST) == 2


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.thorough_but("memory-True", "memory-False", "simulator-False")
def test_a_tag_that_is_written_again_tries_again_what_failed_and_nothing_else(hub, kept):
    """The AMI that went well stays the only one in its target; one that its owner deregistered is not made again."""
    hub.disable_key(TEST)
    hub.tag("dev")
    hub.until_over()
    assert hub.states() == {DEV: "delivered", TEST: "failed"}
    assert hub.faults(TEST) == ["target-key-not-enabled"]
    if not kept:
        hub.deregister_in(DEV)

    hub.enable_key(TEST)
    hub.untag()
    hub.wait(120)
    hub.tag("dev")
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered", TEST: "delivered"}
    assert hub.notices() == {"delivery.delivered": 2, "delivery.failed": 1, "promotion.over": 2}
    assert (hub.owned_by(DEV), hub.owned_by(TEST)) == ([hub.ami] if kept else [], [hub.ami])
