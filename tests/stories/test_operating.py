"""Operators and approvers: one withdraws an account, one approves, one lets a wave go on."""

import pytest

from tests.stories.driver import DEV, HOUR, PROD, SHARE, TEST

WAVES = {"dev": [DEV], "qa": {"members": [TEST], "after": "dev"}, "prod": {"members": [PROD], "after": "qa"}}

# --- withdrawals -----------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(hub):
    """DEV and TEST have a share of the AMI, and PROD a copy."""
    hub.apply(accounts={PROD: {"mode": "copy"}}, **SHARE)
    hub.tag("dev prod")
    hub.until_over()
    assert hub.states() == {DEV: "shared", TEST: "shared", PROD: "delivered"}
    return hub


@pytest.mark.thorough_but("memory")
def test_a_withdrawn_account_loses_its_share_and_no_other_does(shared):
    """The tag stays, and so does a copy: that is its owner's."""
    shared.withdraw(TEST)
    shared.withdraw(PROD)
    shared.until(TEST, "withdrawn")
    shared.wait(200)

    assert shared.states() == {DEV: "shared", TEST: "withdrawn", PROD: "delivered"}
    assert shared.let_in() == {DEV}
    assert (shared.can_launch(DEV), shared.can_launch(TEST)) == (True, False)
    assert shared.owned_by(PROD) == [shared.ami]


@pytest.mark.parametrize("how", ["lifted", "another value", "put back"])
@pytest.mark.thorough_but("memory-lifted", "memory-another value", "memory-put back", "simulator-lifted")
def test_a_withdrawal_stands_until_it_is_lifted_or_the_tag_says_something_new(shared, how):
    """A retry does not end it, and neither does time."""
    shared.withdraw(TEST)
    shared.until(TEST, "withdrawn")
    shared.retry()
    shared.wait(HOUR)
    assert shared.states()[TEST] == "withdrawn"

    match how:
        case "lifted":
            shared.lift(TEST)
        case "another value":
            shared.tag("prod dev")
        case "put back":
            shared.untag()
            shared.wait(90)
            shared.tag("dev prod")
    shared.until(TEST, "shared")
    shared.wait(120)
    assert shared.can_launch(TEST)


@pytest.mark.thorough_but("memory")
def test_an_account_that_is_withdrawn_while_it_copies_gets_nothing(hub):
    """Its copies are removed; the other account is delivered."""
    hub.copies_take(600)
    hub.tag("dev")
    hub.until(TEST, "copying")
    hub.withdraw(TEST)
    hub.until_over()

    assert hub.states() == {DEV: "delivered", TEST: "cancelled"}
    assert hub.owned_by(TEST) == []
    assert hub.let_in() == set()


# --- approvals -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough_but("memory")
def test_nothing_is_opened_before_it_is_approved(hub):
    """Who needs no approval does not wait; approvers are asked once."""
    hub.apply(groups={"dev": [DEV], "prod": {"members": [PROD], "approval": "required"}})
    hub.tag("dev prod")
    hub.until(DEV, "delivered")
    hub.wait(1200)
    assert hub.states() == {DEV: "delivered", PROD: "awaiting-approval"}
    assert hub.let_in() == set()
    assert hub.owned_by(PROD) == []
    assert hub.notices()["promotion.awaiting-approval"] == 1

    hub.approve()
    hub.until_over()
    assert hub.states() == {DEV: "delivered", PROD: "delivered"}
    assert hub.notices()["promotion.awaiting-approval"] == 1


def test_a_share_needs_an_approval_to_begin_and_none_to_stay(hub):
    """It stays when that has expired, and ends with the tag."""
    hub.apply(groups={"prod": {"members": [PROD], "approval": "required"}}, **SHARE)
    hub.tag("prod")
    hub.wait(1200)
    assert hub.let_in() == set()
    hub.approve(hours=1)
    hub.until(PROD, "shared")
    hub.wait(1.1 * HOUR)
    assert hub.can_launch(PROD)

    hub.untag()
    hub.until(PROD, "withdrawn")
    hub.wait(200)
    assert hub.let_in() == set()


# --- waves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["dev qa prod", "everybody"])
@pytest.mark.thorough_but("memory-dev qa prod", "memory-everybody", "simulator-dev qa prod")
def test_each_group_begins_when_the_one_before_it_has_the_ami(hub, value):
    """However the tag names them. Nothing is opened to those that wait; from wave to wave it takes seconds."""
    hub.apply(groups={**WAVES, "everybody": [DEV, TEST, PROD]})
    hub.tag(value)
    hub.until(DEV, "copying")
    assert hub.states() == {DEV: "copying", TEST: "awaiting-wave", PROD: "awaiting-wave"}
    assert hub.let_in() == {DEV}
    hub.until(TEST, "copying")
    assert hub.states() == {DEV: "delivered", TEST: "copying", PROD: "awaiting-wave"}
    assert hub.let_in() <= {DEV, TEST}

    hub.until_over()
    assert set(hub.states().values()) == {"delivered"}
    assert hub.notice(PROD)["at"] < hub.notice(DEV)["at"] + HOUR


@pytest.mark.thorough_but("memory")
def test_a_failure_stops_the_wave_until_a_retry_succeeds(hub):
    """One notice says what failed and what to do, however long it takes; a retry that fails is another stop."""
    hub.apply(groups=WAVES)
    hub.disable_key(DEV)
    hub.tag(f"{DEV} {TEST} {PROD}")
    hub.wait(6 * HOUR)
    assert hub.states() == {DEV: "failed", TEST: "awaiting-wave", PROD: "awaiting-wave"}
    assert hub.let_in() == set()
    (stop,) = (one for one in hub.sent() if one["event"] == "promotion.wave-stopped")
    assert (stop["after"], stop["groups"], [one["account"] for one in stop["targets"]]) == ("dev", ["qa"], [DEV])
    assert "1 target waits" in stop["why"]
    assert stop["retry"] == f"ami-promoter retry {hub.ami}"
    hub.retry()
    hub.wait(600)
    assert hub.notices()["promotion.wave-stopped"] == 2

    hub.enable_key(DEV)
    hub.retry()
    hub.until_over()
    assert set(hub.states().values()) == {"delivered"}
    assert hub.notices()["promotion.wave-stopped"] == 2


@pytest.mark.thorough_but("memory")
def test_an_ami_that_is_recalled_while_a_wave_soaks_reaches_nobody_else(hub):
    """Five hours are time to find out that it does not boot."""
    hub.apply(groups={"dev": [DEV], "prod": {"members": [PROD], "after": "dev", "soak": "5h"}})
    hub.tag("dev prod")
    hub.wait(2 * HOUR)
    assert hub.states() == {DEV: "delivered", PROD: "awaiting-wave"}
    hub.recall(hub.ami)
    hub.until_over()

    assert hub.states() == {DEV: "recalled", PROD: "cancelled"}
    assert hub.owned_by(PROD) == []
