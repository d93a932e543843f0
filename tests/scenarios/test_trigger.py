"""The trigger: which tags start a promotion, which change it, and which do nothing."""

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


def test_a_tag_that_is_removed_while_shares_open_cancels_what_runs(scene):
    """KMS is away meanwhile. One notice, nothing open and nothing left."""
    scene.world.injections.throttle("CreateGrant", 100)
    scene.tag("")
    scene.run_until_state("opening")
    scene.untag()
    scene.wait(90)
    scene.world.injections.calm()
    assert scene.outcome() == {DEV: "cancelled"}
    assert scene.reported()["delivery.cancelled"] == 1
    assert scene.images_in(DEV) == []
    scene.wait(60)
    scene.assert_invariants()
