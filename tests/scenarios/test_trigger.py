"""The trigger: which tags start a promotion, which change it, and which do nothing."""

import pytest

from tests.scenarios.scene import DEV, STRANGER


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


def hold_opening(scene):
    """KMS is away."""
    scene.world.injections.throttle("CreateGrant", 100)


def hold_verifying(scene):
    """The new AMI stays pending for a while."""
    scene.world.ec2.pace.register = 200


@pytest.mark.parametrize(
    ("state", "hold", "expected"),
    [("opening", hold_opening, "cancelled"), ("verifying", hold_verifying, "delivered")],
)
@pytest.mark.thorough_but("opening-hold_opening-cancelled")
def test_a_tag_removed_cancels_what_runs(scene, state, hold, expected):
    """One notice, nothing open and nothing left; only an AMI that is already registered stays."""
    hold(scene)
    scene.tag("")
    scene.run_until_state(state)
    scene.untag()
    scene.wait(90)
    scene.world.injections.calm()
    assert scene.outcome() == {DEV: expected}
    assert scene.reported()[f"delivery.{expected}"] == 1
    named = [image["Name"] for image in scene.images_in(DEV)]
    assert len([name for name in named if name.startswith("golden")]) == (expected == "delivered")
    scene.wait(60)
    scene.assert_invariants()
