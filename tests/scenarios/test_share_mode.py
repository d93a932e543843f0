"""Share mode: the AMI stays the hub's, and the target may launch it for as long as the tag and the file say so."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.scenarios.scene import DEV, HOUR, PROD, TEST
from tests.scenarios.sharing import SHARING, shared


def test_targets_launch_the_hubs_ami_and_own_nothing_of_it(sharing):
    """Launch permission and key stay open, snapshots only with the setting; a target that copies is delivered, too."""
    assert sharing.launch(DEV) != ""
    sharing.tag(f"dev {PROD}")

    assert shared(sharing) == {DEV: "shared", TEST: "shared", PROD: "delivered"}
    assert [sharing.launch(account) for account in (DEV, TEST)] == ["", ""]
    assert sharing.launch(PROD) != ""
    assert sharing.launchable_by() == {DEV, TEST}
    assert [sharing.shared_with(snapshot) for snapshot in sharing.snapshots] == [{TEST}, {TEST}]
    assert sharing.images_in(DEV) == []
    assert sharing.reported() == {"delivery.shared": 2, "delivery.delivered": 1, "promotion.over": 1}
    (reported,) = [n for n in sharing.notices("delivery.shared") if n["account"] == DEV]
    assert reported["image"] == sharing.image
    sharing.wait(1.5 * HOUR)  # past every deadline of a copy
    assert sharing.states() == {DEV: "shared", TEST: "shared", PROD: "delivered"}
    assert sharing.launch(DEV) == ""

    sharing.untag()
    sharing.run_until(lambda: sharing.reported()["delivery.withdrawn"] == 2, 10 * 60)
    assert sharing.after(60).states() == {DEV: "withdrawn", TEST: "withdrawn", PROD: "delivered"}
    assert sharing.world.shares_open() == []
    assert sharing.launch(DEV) != ""
    assert len(sharing.images_in(PROD)) == 1
    sharing.assert_invariants()


def test_all_amis_of_an_account_under_one_key_hold_one_grant(sharing):
    """A key takes 50,000 grants: the number grows with accounts, not AMIs; the grant ends with the last AMI."""
    sharing.apply(SHARING.replace("mode: share", "mode: share\n  key_access: grant"))
    other = sharing.seed("golden-next")
    sharing.tag(DEV)
    sharing.tag(DEV, other)
    assert shared(sharing) == {DEV: "shared"}
    sharing.run_until_over(other)
    assert sharing.states(other) == {DEV: "shared"}
    assert [grant["GranteePrincipal"] for grant in sharing.grants()] == [f"arn:aws:iam::{DEV}:root"]

    sharing.untag(other)
    sharing.run_until(lambda: sharing.reported(other)["delivery.withdrawn"] == 1, 10 * 60)
    assert sharing.after(15 * 60).launch(DEV) == ""
    assert sharing.launchable_by(other) == set()

    sharing.untag()
    sharing.run_until(lambda: sharing.reported()["delivery.withdrawn"] == 1, 10 * 60)
    assert sharing.after(60).grants() == []
    assert sharing.world.shares_open() == []
    sharing.assert_invariants()


@pytest.mark.parametrize("how", ["deregister", "disable", "untag"])
def test_without_events_discovery_finds_what_is_to_be_withdrawn(sharing, how):
    """The AMI is deregistered, disabled or untagged, and every event of it is lost."""
    sharing.wait(6 * 60)
    sharing.tag("dev")
    assert shared(sharing) == {DEV: "shared", TEST: "shared"}
    sharing.world.injections.drop_events()
    ec2 = sharing.client("ec2")
    {
        "deregister": lambda: ec2.deregister_image(ImageId=sharing.image),
        "disable": lambda: ec2.disable_image(ImageId=sharing.image),
        "untag": sharing.untag,
    }[how]()

    sharing.run_until(lambda: sharing.reported()["delivery.withdrawn"] == 2, 15 * 60)
    assert sharing.after(60).world.shares_open() == []
    sharing.assert_invariants()


def test_narrowing_and_a_file_without_the_account_withdraw_and_putting_back_shares_again(sharing):
    """The tag loses an account and names it again in seconds, then loses it; then the file loses the other one."""
    sharing.tag("dev")
    assert shared(sharing) == {DEV: "shared", TEST: "shared"}
    sharing.tag(DEV)
    sharing.wait(3)
    sharing.tag("dev")
    assert sharing.after(15 * 60).states() == {DEV: "shared", TEST: "shared"}
    assert sharing.launch(TEST) == ""

    sharing.tag(DEV)
    assert sharing.after(15 * 60).states() == {DEV: "shared", TEST: "withdrawn"}
    assert sharing.launchable_by() == {DEV}
    assert [sharing.shared_with(snapshot) for snapshot in sharing.snapshots] == [set(), set()]
    assert sharing.launch(DEV) == ""

    sharing.apply(SHARING.replace(f'  default: ["{DEV}"]\n  dev: ["{DEV}", "{TEST}"]\n', f'  dev: ["{TEST}"]\n'))
    assert sharing.after(15 * 60).states() == {DEV: "withdrawn", TEST: "withdrawn"}  # the file no longer has DEV
    assert sharing.world.shares_open() == []
    sharing.assert_invariants()


def test_a_preexisting_share_stays_and_the_last_holder_closes(sharing):
    """Two AMIs on one key, one shared by hand before: the first withdrawal takes nothing from the second."""
    other = sharing.seed("second", volumes=(8,))
    sharing.client("ec2").modify_image_attribute(ImageId=sharing.image, LaunchPermission={"Add": [{"UserId": DEV}]})
    sharing.preexisting = set(sharing.world.shares_open())
    sharing.tag("")
    sharing.tag("", other)
    sharing.run_until_over()
    sharing.run_until_over(other)
    sharing.untag()
    assert sharing.after(20 * 60).states() == {DEV: "withdrawn"}
    assert sharing.launchable_by() == {DEV}
    assert sharing.launch(DEV, other) == ""
    sharing.untag(other)
    assert set(sharing.after(20 * 60).world.shares_open()) == sharing.preexisting
    sharing.assert_invariants()


@pytest.mark.parametrize("scene", [datetime(2026, 1, 5, 23, 0, tzinfo=UTC)], indirect=True)
def test_a_date_in_the_targets_file_withdraws(sharing):
    """At the beginning of that day, by the sweep alone; a new tag then fails with the date's fault."""
    until = (sharing.world.now + timedelta(days=1)).date().isoformat()
    sharing.apply(SHARING.replace("  mode: share\n", f'  mode: share\n  until: "{until}"\n'))
    sharing.tag("")
    assert shared(sharing) == {DEV: "shared"}
    assert sharing.after(1.2 * HOUR).states() == {DEV: "withdrawn"}
    assert sharing.world.shares_open() == []
    sharing.tag("true")
    sharing.run_until(lambda: sharing.reported()["delivery.failed"] == 1, HOUR)
    (failed,) = sharing.notices("delivery.failed")
    assert [fault["code"] for fault in failed["faults"]] == ["share-until-passed"]
    sharing.assert_invariants()
