"""The trigger: which tags start a promotion, which change it, and which do nothing."""

from collections import Counter

import pytest

from awsim.services.ec2.seeds import volume
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


@pytest.mark.parametrize("value", ["", "true"])
def test_a_value_that_names_nobody_means_the_default_group(scene, value):
    """An empty value, or ``true``, means the group ``default``."""
    assert scene.promoted(value) == {DEV: "delivered"}
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

    assert scene.after(3 * 60).nothing_happened()
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
    scene.assert_arrives(DEV)


@pytest.mark.parametrize("version", [3, 3.0])
def test_the_tag_events_version_may_be_a_float(scene, version):
    """AWS's documentation has ``3``, captured events have ``3.0``: both start it, without discovery."""
    schedule(scene, "discover", on=False)
    with scene.world.injections.silence():
        scene.tag("")
        scene.wait(30)
    assert scene.nothing_happened()

    scene.emit_tag_change(scene.image, {"promote": ""}, version=version)
    scene.assert_arrives(DEV)


def test_a_repeated_or_older_event_starts_nothing(scene):
    """Events that come twice, again, or late with a lower version: each AMI is delivered once, with one notice."""
    scene.world.injections.double_events()
    scene.promote(DEV)
    scene.world.injections.calm()
    for version in (1, 2, 0):
        scene.emit_tag_change(scene.image, {"promote": f"dev {PROD}"}, version=version)
    assert scene.after(2 * 60).states() == {DEV: "delivered"}
    assert scene.reported() == {"delivery.delivered": 1, "promotion.over": 1}
    assert len(scene.snapshots_in(DEV)) == 2
    scene.assert_invariants()


def test_a_refused_value_starts_nothing_and_all_its_faults_are_notified_once(scene):
    """An unlisted account, an unknown group and a malformed id beside good names: one notice, and none starts."""
    scene.tag(f"dev {STRANGER} nobody 12345")
    scene.run_until_refused()
    scene.wait(6 * 60)

    (notice,) = scene.notices()
    said = " ".join(fault["what"] + fault["where"] for fault in notice["faults"])
    assert all(word in said for word in (STRANGER, "nobody", "12345"))
    assert all(fault["cure"] for fault in notice["faults"])
    assert scene.states() == {}
    assert scene.reported() == {"promotion.refused": 1}
    scene.assert_invariants()


def test_a_refused_value_leaves_what_runs_alone(scene):
    """A value with a fault replaces one that runs: it is refused, and the running one is delivered."""
    scene.tag(DEV)
    scene.run_until_state("copying")
    scene.tag(f"{DEV} nobody")
    assert scene.outcome() == {DEV: "delivered"}
    assert scene.reported() == {"promotion.refused": 1, "delivery.delivered": 1, "promotion.over": 1}
    scene.assert_invariants()


def test_an_ami_tagged_while_pending_waits_for_it(scene):
    """Tagged before it is available: nothing opens until it is, then it is delivered."""
    image = scene.seed("still-building", available_after=200)
    scene.tag("", image)
    assert scene.after(190).nothing_happened()

    assert scene.outcome(image) == {DEV: "delivered"}
    scene.assert_invariants()


def test_a_value_extended_adds_targets_only(scene):
    """More names in the value: the new targets get the AMI, and delivered ones stay unchanged."""
    scene.promote(DEV)
    before = scene.image_in(DEV)
    scene.tag(f"{DEV} {PROD}")
    assert scene.outcome(times=2) == {DEV: "delivered", PROD: "delivered"}
    assert scene.image_in(DEV) == before
    assert scene.reported() == {"delivery.delivered": 2, "promotion.over": 2}
    scene.assert_invariants()


def test_a_value_extended_while_it_runs_adds_targets(scene):
    """The same during the copies: one summary at the end, for both."""
    scene.tag(DEV)
    scene.run_until_state("copying")
    scene.tag(f"{DEV} {PROD}")
    assert scene.outcome() == {DEV: "delivered", PROD: "delivered"}
    assert scene.reported()["delivery.delivered"] == 2
    scene.assert_invariants()


def test_a_value_shortened_cancels_who_is_left_out(scene):
    """A name is removed from the value while it runs: that delivery is cancelled, the other one delivered."""
    scene.world.ec2.pace.copy = 300
    scene.tag(f"{DEV} {PROD}")
    scene.run_until_state("copying", PROD)
    scene.tag(DEV)
    assert scene.outcome() == {DEV: "delivered", PROD: "cancelled"}
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
    assert scene.outcome() == {DEV: expected}
    assert scene.reported()[f"delivery.{expected}"] == 1
    named = [image["Name"] for image in scene.images_in(DEV)]
    assert len([name for name in named if name.startswith("golden")]) == (expected == "delivered")
    if state == "waiting":
        scene.run_until(lambda: len(scene.notices("promotion.over")) == 2)
    scene.wait(30 * 60 if state in ("copying", "waiting") else 60)
    scene.assert_invariants()


def test_a_tag_removed_leaves_what_is_delivered(scene):
    """The AMI stays with its owner, without a notice."""
    scene.promote(DEV)
    reported = scene.reported()
    scene.untag()
    assert scene.after(3 * 60).image_in(DEV)["State"] == "available"
    assert scene.reported() == reported
    assert scene.status()["value"] is None
    scene.assert_invariants()


def test_a_tag_put_back_at_once_is_as_if_it_had_not_gone(scene):
    """Removed and restored within the half minute between two looks: delivered, not cancelled."""
    scene.world.ec2.pace.copy = 120
    scene.tag("")
    scene.run_until_state("copying")
    scene.untag()
    scene.wait(5)
    scene.tag("")
    assert scene.outcome() == {DEV: "delivered"}
    assert scene.reported() == {"delivery.delivered": 1, "promotion.over": 1}
    scene.assert_invariants()


def test_a_tag_put_back_after_a_cancel_starts_again(scene):
    """Cancelled and tagged again: a new episode delivers it, and the first one's copies are gone."""
    scene.world.ec2.pace.copy = 200
    scene.tag("")
    scene.run_until_state("copying")
    scene.untag()
    assert scene.outcome() == {DEV: "cancelled"}
    scene.tag("")
    scene.run_until_over(times=2)
    assert scene.after(10 * 60).states() == {DEV: "delivered"}
    assert len(scene.snapshots_in(DEV)) == 2
    assert scene.reported() == {"delivery.cancelled": 1, "delivery.delivered": 1, "promotion.over": 2}
    scene.assert_invariants()


def test_a_tag_put_back_while_it_is_being_cancelled(scene):
    """Tagged again during the cleanup of copies: the cancel ends, and then it is delivered."""
    scene.world.ec2.pace.copy = 400
    scene.tag("")
    scene.run_until_state("copying")
    scene.untag()
    scene.run_until_state("stopping")
    scene.tag("")
    scene.run_until(lambda: scene.delivery_state(DEV) == "delivered")
    assert scene.outcome() == {DEV: "delivered"}
    assert len(scene.images_in(DEV)) == 1
    scene.assert_invariants()


def test_tagged_again_after_a_failure_only_the_failed_are_tried_again(scene):
    """The delivered one stays unchanged, even if its owner has deregistered the AMI since."""
    key = scene.stage.targets[TEST].outputs["KeyArn"]
    scene.client("kms", TEST).disable_key(KeyId=key)
    assert scene.promoted("dev") == {DEV: "delivered", TEST: "failed"}
    scene.deregister(DEV, scene.image_in(DEV)["ImageId"], DeleteAssociatedSnapshots=True)
    scene.client("kms", TEST).enable_key(KeyId=key)
    scene.untag()
    scene.wait(2 * 60)
    scene.tag("dev")
    assert scene.outcome(times=2) == {DEV: "delivered", TEST: "delivered"}
    assert scene.images_in(DEV) == []
    assert scene.image_in(TEST)["State"] == "available"
    assert scene.reported() == Counter({"delivery.delivered": 2, "delivery.failed": 1, "promotion.over": 2})
    scene.assert_invariants()


def test_two_amis_on_their_way_at_once_do_not_mind_each_other(scene):
    """One refused, one delivered, tagged in the same call."""
    other = scene.seed("other", volumes=[volume("/dev/xvda", 8, state="error")])
    scene.client("ec2").create_tags(Resources=[scene.image, other], Tags=[{"Key": "promote", "Value": DEV}])
    scene.run_until_over()
    scene.run_until_refused(other)

    assert scene.states() == {DEV: "delivered"}
    assert scene.states(other) == {}
    scene.assert_invariants()
