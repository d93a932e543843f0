"""Somebody tags an AMI, changes the tag, or takes it away."""

import pytest

from tests.stories.driver import DEV, HOUR, PROD, TEST


def test_an_ami_comes_to_every_account_that_its_tag_names(hub):
    """Each has an AMI of its own and a notice; one more sums up, and nothing stays open."""
    hub.tag("dev prod")
    hub.until_over()

    assert hub.states() == {DEV: "delivered", TEST: "delivered", PROD: "delivered"}
    for account in (DEV, TEST, PROD):
        assert hub.owned_by(account) == [hub.ami]
        assert hub.snapshots_in(account) == 2
    assert hub.notices() == {"delivery.delivered": 3, "promotion.over": 1}
    assert hub.let_in() == set()


@pytest.mark.parametrize("method", ["snapshots", "image"])
def test_a_tag_that_is_removed_while_it_copies_ends_that(hub, method):
    """Nothing is left in the target, and nothing open to it."""
    hub.apply(copy_method=method)
    hub.copies_take(600)
    hub.tag("")
    hub.until(DEV, "copying" if method == "snapshots" else "verifying")
    hub.wait(5)
    hub.untag()
    hub.until_over()

    assert hub.states() == {DEV: "cancelled"}
    assert hub.notices() == {"delivery.cancelled": 1, "promotion.over": 1}
    assert hub.owned_by(DEV) == []
    assert hub.let_in() == set()
    hub.wait(1800)
    assert hub.snapshots_in(DEV) == 0


@pytest.mark.thorough_but("memory")
def test_what_is_cancelled_closes_although_its_copies_run_for_hours(hub):
    """EC2 takes the order to delete a running copy, and carries it out when the copy ends; no share waits for that."""
    hub.copies_take(2 * HOUR)
    hub.tag("")
    hub.until(DEV, "copying")
    hub.wait(5)
    hub.untag()
    hub.until(DEV, "stopping")
    hub.wait(120)
    assert (hub.states(), hub.let_in()) == ({DEV: "stopping"}, set())

    hub.until_over()
    assert hub.states() == {DEV: "cancelled"}
    assert hub.snapshots_in(DEV) == 0


@pytest.mark.thorough_but("memory")
def test_a_tag_that_is_put_back_at_once_had_not_gone(hub):
    """Two looks half a minute apart must agree before anything is taken back."""
    hub.copies_take(120)
    hub.tag("")
    hub.until(DEV, "copying")
    hub.untag()
    hub.wait(5)
    hub.tag("")
    hub.until_over()

    assert hub.states() == {DEV: "delivered"}
    assert hub.notices() == {"delivery.delivered": 1, "promotion.over": 1}


@pytest.mark.thorough_but("memory")
def test_a_tag_that_is_put_back_after_a_cancel_begins_again(hub):
    """The first copies are gone by the time; the second ones stay."""
    hub.copies_take(200)
    hub.tag("")
    hub.until(DEV, "copying")
    hub.untag()
    hub.until_over()
    assert hub.states() == {DEV: "cancelled"}

    hub.tag("")
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered"}
    assert hub.notices() == {"delivery.cancelled": 1, "delivery.delivered": 1, "promotion.over": 2}
    hub.wait(600)
    assert hub.snapshots_in(DEV) == 2


@pytest.mark.thorough_but("memory")
def test_a_tag_that_is_put_back_while_it_is_being_cancelled_is_served_after_that(hub):
    """The cancel ends, and then it is delivered once."""
    hub.copies_take(400)
    hub.tag("")
    hub.until(DEV, "copying")
    hub.untag()
    hub.until(DEV, "stopping")
    hub.tag("")
    hub.until(DEV, "delivered")
    hub.until_over()

    assert hub.states() == {DEV: "delivered"}
    assert hub.owned_by(DEV) == [hub.ami]


@pytest.mark.thorough_but("memory")
def test_a_tag_that_is_removed_takes_back_nothing_that_is_delivered(hub):
    """The AMI is its owner's, and nobody is notified."""
    hub.tag("")
    hub.until_over()
    before = hub.notices()
    hub.untag()
    hub.wait(300)

    assert hub.owned_by(DEV) == [hub.ami]
    assert hub.notices() == before


def test_another_name_in_the_tag_is_another_account_that_gets_it(hub):
    """Who has it already keeps it, and gets no second one; while copies run it joins them."""
    hub.tag(DEV)
    hub.until(DEV, "copying")
    hub.tag(f"{DEV} {TEST}")
    hub.until_over()
    assert hub.notices() == {"delivery.delivered": 2, "promotion.over": 1}

    hub.tag(f"{DEV} {TEST} {PROD}")
    hub.until_over(times=2)
    assert hub.states() == {DEV: "delivered", TEST: "delivered", PROD: "delivered"}
    assert hub.notices() == {"delivery.delivered": 3, "promotion.over": 2}
    assert [hub.owned_by(account) for account in (DEV, TEST, PROD)] == [[hub.ami]] * 3


@pytest.mark.parametrize("leaves", ["the tag", "the targets file"])
@pytest.mark.thorough_but("memory-the tag", "memory-the targets file")
def test_an_account_that_leaves_the_tag_or_the_targets_file_does_not_get_it(hub, leaves):
    """Its copies end, also where the tag still names it; those of the other go on."""
    hub.copies_take(900)
    hub.tag("dev")
    hub.until(TEST, "copying")
    if leaves == "the tag":
        hub.tag(DEV)
    else:
        hub.apply(groups={"dev": [DEV]})
    hub.until_over()

    assert hub.states() == {DEV: "delivered", TEST: "cancelled"}
    assert hub.owned_by(TEST) == []


@pytest.mark.thorough_but("memory")
def test_a_value_that_is_not_understood_changes_nothing(hub):
    """One notice says what is wrong with it; what runs is delivered."""
    hub.tag(DEV)
    hub.until(DEV, "copying")
    hub.tag(f"{DEV} nobody")
    hub.until_over()

    assert hub.states() == {DEV: "delivered"}
    assert hub.notices() == {"promotion.refused": 1, "delivery.delivered": 1, "promotion.over": 1}


@pytest.mark.thorough_but("memory")
def test_an_ami_that_is_tagged_while_it_is_built_waits_until_it_is_available(hub):
    """Until then nothing is opened and nothing copied; the event that says so may be lost."""
    ami = hub.build(pending=200)
    hub.tag("", ami)
    hub.wait(10)
    hub.lose_events()
    hub.wait(180)
    assert hub.let_in() == set()
    assert hub.states(ami) == {}

    hub.until_over(ami)
    assert hub.states(ami) == {DEV: "delivered"}


@pytest.mark.thorough_but("memory")
def test_two_amis_at_once_come_both(hub):
    """Neither waits for the other, and what they share of the key stays open for the slower one."""
    other = hub.build()
    hub.tag("dev")
    hub.until(DEV, "copying")
    hub.until(TEST, "copying")
    hub.wait(5)
    hub.copies_take(600)
    hub.tag("dev", other)
    hub.until_over()
    assert hub.states(other) == {DEV: "copying", TEST: "copying"}
    assert hub.let_in() == {DEV, TEST}

    hub.until_over(other)
    assert hub.states() == hub.states(other) == {DEV: "delivered", TEST: "delivered"}
    assert hub.owned_by(DEV) == sorted([hub.ami, other])
    assert hub.let_in() == set()


def test_what_is_tagged_changed_or_removed_is_found_although_every_event_is_lost(hub):
    """Within minutes: discovery finds a new value, and what runs looks at its tag from time to time."""
    hub.wait(330)
    hub.lose_events()
    hub.tag(DEV)
    hub.wait(600)
    assert hub.states() == {DEV: "delivered"}
    hub.tag(f"{DEV} {TEST}")
    hub.wait(900)
    assert hub.states() == {DEV: "delivered", TEST: "delivered"}

    hub.copies_take(HOUR)
    hub.tag(f"{DEV} {TEST} {PROD}")
    hub.until(PROD, "copying")
    hub.untag()
    hub.until_over(times=3)
    assert hub.states() == {DEV: "delivered", TEST: "delivered", PROD: "cancelled"}
    assert hub.owned_by(PROD) == []
