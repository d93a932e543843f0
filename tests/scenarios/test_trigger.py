"""The trigger: which tags start a promotion, which change it, and which do nothing."""

from __future__ import annotations

import pytest

from tests.scenarios.platform import schedule
from tests.scenarios.scene import DELIVERY_TAG, DEV, PROD, STRANGER, TEST


def test_one_tag_and_the_ami_is_in_three_accounts(scene):
    """A tag that names a group and an account: each of the three owns the AMI, encrypted under its own key."""
    scene.promote(f"dev {PROD}")

    for account in (DEV, TEST, PROD):
        image = scene.image_in(account)
        own_key = scene.stage.targets[account].outputs["KeyArn"]
        assert (image["OwnerId"], image["State"], image["Public"]) == (account, "available", False)
        assert {snapshot["KmsKeyId"] for snapshot in scene.snapshots_in(account)} == {own_key}
        assert {snapshot["OwnerId"] for snapshot in scene.snapshots_in(account)} == {account}
    assert scene.reported() == {"delivery.delivered": 3, "promotion.over": 1}
    assert scene.states() == dict.fromkeys((DEV, TEST, PROD), "delivered")
    scene.wait(300)  # until two looks have missed what was closed
    assert scene.status()["open_shares"] == []
    scene.assert_invariants()


def test_what_starts_nothing(scene):
    """Another key, another kind of resource, a forged envelope, an AMI without the tag."""
    scene.tag("dev", key="team")
    scene.tag("dev", image=scene.snapshots[0])
    tags = {"promote": "dev"}
    scene.emit_tag_change(scene.image, tags, version=7, account=STRANGER)
    scene.emit_tag_change(scene.image, tags, version=7, region="eu-west-1")
    scene.emit_tag_change(scene.image, tags, version=8)
    scene.emit_tag_change("ami-0123456789abcdef0", tags, version=1)

    scene.wait(3 * 60)

    assert scene.nothing_happened()
    assert scene.reported() == {}
    scene.assert_invariants()


def test_what_the_service_made_is_not_promoted_and_says_so(scene):
    """One notice with the reason; nothing is opened."""
    made_by_us = scene.seed("copied-here", tags={DELIVERY_TAG: "0123456789abcdef0123"})
    scene.tag("dev", image=made_by_us)
    scene.wait(10 * 60)

    (notice,) = scene.notices("promotion.refused")
    assert [fault["code"] for fault in notice["faults"]] == ["source-made-by-service"]
    assert scene.states(made_by_us) == {}
    scene.assert_invariants()


def test_an_event_that_says_more_than_the_tag_is_not_believed(scene):
    """The service reads the value from EC2: an event's own value, here one for more accounts, changes nothing."""
    scene.tag(DEV)
    scene.emit_tag_change(scene.image, {"promote": f"dev {PROD}"}, version=99)
    scene.run_until_over()

    assert scene.states() == {DEV: "delivered"}
    scene.assert_invariants()


def test_a_tag_event_starts_it_without_discovery(scene):
    """In the form of captured events, whose ``version`` is ``3.0``."""
    schedule(scene, "discover", on=False)
    with scene.world.injections.silence():
        scene.tag("")
        scene.wait(30)
    assert scene.nothing_happened()

    scene.emit_tag_change(scene.image, {"promote": ""}, version=3.0)
    scene.run_until_over()

    assert scene.states() == {DEV: "delivered"}
    scene.assert_invariants()


def test_an_ami_tagged_while_pending_waits_for_it(scene):
    """Tagged before it is available: nothing opens until it is, then it is delivered."""
    image = scene.seed("still-building", available_after=200)
    scene.tag("", image)
    scene.wait(190)
    assert scene.nothing_happened()

    scene.run_until_over(image)

    assert scene.states(image) == {DEV: "delivered"}
    scene.assert_invariants()


def test_a_value_shortened_cancels_who_is_left_out(scene):
    """A name is removed from the value while it runs: that delivery is cancelled, the other one delivered."""
    scene.world.ec2.pace.copy = 300
    scene.tag(f"{DEV} {PROD}")
    scene.run_until_state("copying", PROD)
    scene.tag(DEV)
    scene.run_until_over()

    assert scene.states() == {DEV: "delivered", PROD: "cancelled"}
    assert scene.images_in(PROD) == []
    scene.assert_invariants()


def hold_checking(scene):
    """The role is missing."""
    scene.world.iam.roles.drop(f"arn:aws:iam::{DEV}:role/AmiCopyRole")


def hold_waiting(scene):
    """Another AMI has all twenty copy slots."""
    scene.world.ec2.pace.copy = 600
    scene.tag("", scene.seed("big", volumes=[1] * 20))
    scene.run_until(lambda: len(scene.live_copies()) == 20)


def hold_opening(scene):
    """KMS is away."""
    scene.world.injections.throttle("CreateGrant", 100)


def hold_copying(scene):
    """Copies take ten minutes."""
    scene.world.ec2.pace.copy = 600


def hold_registering(scene):
    """EC2 refuses RegisterImage."""
    scene.world.injections.throttle("RegisterImage", 100)


def hold_verifying(scene):
    """The new AMI stays pending for a while."""
    scene.world.ec2.pace.register = 200


@pytest.mark.parametrize(
    ("state", "hold", "expected"),
    [
        ("checking", hold_checking, "cancelled"),
        ("waiting", hold_waiting, "cancelled"),
        ("opening", hold_opening, "cancelled"),
        ("copying", hold_copying, "cancelled"),
        ("registering", hold_registering, "cancelled"),
        ("verifying", hold_verifying, "delivered"),
    ],
)
def test_a_tag_removed_cancels_what_runs(scene, state, hold, expected):
    """In any state: one notice, nothing open and nothing left; only an AMI that is already registered stays."""
    hold(scene)
    scene.tag("")
    scene.run_until_state(state)
    scene.untag()
    scene.wait(90)
    if state == "opening":
        scene.world.injections.calm()
    scene.run_until_over()

    assert scene.states() == {DEV: expected}
    assert scene.reported()[f"delivery.{expected}"] == 1
    named = [image["Name"] for image in scene.images_in(DEV)]
    assert len([name for name in named if name.startswith("golden")]) == (expected == "delivered")
    if state == "waiting":
        scene.run_until(lambda: len(scene.notices("promotion.over")) == 2)
    scene.wait(30 * 60 if state in ("copying", "waiting") else 60)
    scene.assert_invariants()
