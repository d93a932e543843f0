"""An AMI that targets launch without owning it: for as long as tag and file say so."""

import pytest

from tests.stories.driver import DEV, HOUR, PROD, SHARE, TEST


@pytest.fixture
def shared(hub):
    """DEV and TEST have a share of the AMI."""
    hub.apply(**SHARE)
    hub.tag("dev")
    hub.until_over()
    assert hub.states() == {DEV: "shared", TEST: "shared"}
    return hub


def test_a_target_launches_the_hubs_ami_until_the_tag_is_removed(hub):
    """It owns nothing of it, and may copy only where the file says so. A target that copies keeps its AMI."""
    hub.apply(accounts={TEST: {"share_snapshots": True}, PROD: {"mode": "copy"}}, **SHARE)
    assert not hub.can_launch(DEV)
    hub.tag("dev prod")
    hub.until_over()
    assert hub.states() == {DEV: "shared", TEST: "shared", PROD: "delivered"}
    assert [hub.can_launch(account) for account in (DEV, TEST, PROD)] == [True, True, False]
    assert hub.can_copy() == {TEST}
    assert (hub.owned_by(DEV), hub.owned_by(PROD)) == ([], [hub.ami])
    assert hub.notice(DEV)["image"] == hub.ami
    hub.wait(1.5 * HOUR)
    assert hub.can_launch(DEV)

    hub.untag()
    hub.wait(600)
    assert hub.states() == {DEV: "withdrawn", TEST: "withdrawn", PROD: "delivered"}
    assert not hub.can_launch(DEV)
    assert hub.let_in() == set()
    assert hub.owned_by(PROD) == [hub.ami]
    ends = {"delivery.shared": 2, "delivery.delivered": 1, "delivery.withdrawn": 2}
    assert hub.notices() == {**ends, "promotion.over": 1}


@pytest.mark.thorough_but("memory")
def test_a_name_that_leaves_the_tag_loses_its_share_and_a_second_look_comes_first(shared):
    """A name that comes back within seconds had not gone."""
    shared.tag(DEV)
    shared.wait(3)
    shared.tag("dev")
    shared.wait(900)
    assert shared.states() == {DEV: "shared", TEST: "shared"}

    shared.tag(DEV)
    shared.wait(900)
    assert shared.let_in() == {DEV}
    assert shared.can_launch(DEV)
    assert not shared.can_launch(TEST)


@pytest.mark.thorough_but("memory")
def test_an_account_that_leaves_the_targets_file_loses_its_share(shared):
    """Within a few minutes, and without a tag event."""
    shared.apply(groups={"dev": [DEV]}, **SHARE)
    shared.wait(900)

    assert shared.states() == {DEV: "shared", TEST: "withdrawn"}
    assert shared.let_in() == {DEV}


@pytest.mark.parametrize("how", ["deregister", "disable", "untag"])
@pytest.mark.thorough_but("memory-deregister", "memory-disable", "memory-untag", "simulator-deregister")
def test_what_ends_a_share_is_found_although_every_event_is_lost(shared, how):
    """The AMI is deregistered, disabled or untagged."""
    shared.lose_events()
    getattr(shared, how)()
    shared.wait(900)

    assert shared.states() == {DEV: "withdrawn", TEST: "withdrawn"}
    assert shared.notices()["delivery.withdrawn"] == 2
    assert shared.let_in() == set()


def test_all_amis_that_an_account_shares_under_one_key_hold_one_grant(hub):
    """A key takes 50,000 grants: their number grows with accounts, not AMIs. The grant ends with the last AMI."""
    hub.apply(**SHARE, key_access="grant")
    other = hub.build()
    hub.tag(DEV)
    hub.tag(DEV, other)
    hub.until_over()
    hub.until_over(other)
    assert hub.grantees() == [DEV]
    hub.untag(other)
    hub.until(DEV, "withdrawn", other)
    hub.wait(900)
    assert hub.can_launch(DEV)
    assert not hub.can_launch(DEV, other)

    hub.untag()
    hub.until(DEV, "withdrawn")
    hub.wait(60)
    assert hub.let_in() == set()
