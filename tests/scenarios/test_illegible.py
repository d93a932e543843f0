"""A tag with a control character, which no XML parser accepts: the AMI is refused by name, and disturbs no other."""

from tests.scenarios.scene import DEV, TEST
from tests.scenarios.sharing import shared

NOTE = "built by\x01 hand"


def note(scene, image: str, value: str) -> None:
    scene.client("ec2").create_tags(Resources=[image], Tags=[{"Key": "note", "Value": value}])


def test_one_ami_is_refused_and_every_other_arrives(scene):
    """Events are lost, so discovery must find both. The refusal says which tag, and what to do; then it arrives."""
    scene.wait(6 * 60)
    bad = scene.seed("hand-made", key=None)
    note(scene, bad, NOTE)
    scene.world.injections.drop_events()
    scene.tag(TEST, bad)
    scene.tag(DEV)
    scene.run_until_over()
    scene.run_until_refused(bad)

    assert scene.states() == {DEV: "delivered"}
    (fault,) = scene.notices("promotion.refused", bad)[0]["faults"]
    assert fault["code"] == "source-illegible"
    assert bad in fault["where"] + fault["what"]
    assert "note" in fault["what"]
    assert "write the tag" in fault["cure"].lower()
    assert scene.ask("status")["parked"] == []

    scene.world.injections.calm()
    note(scene, bad, "built by hand")
    scene.untag(bad)
    scene.wait(2 * 60)
    scene.tag(TEST, bad)
    scene.run_until_state("delivered", TEST, bad)
    scene.assert_invariants()


def test_it_withdraws_nothing_and_delays_no_removal(sharing):
    """What is shared stays while an AMI's tags are illegible, and ends with its own tag, of this AMI and another."""
    sharing.wait(6 * 60)
    other = sharing.seed("golden-next", key=sharing.key)
    sharing.tag("dev")
    sharing.tag(DEV, other)
    assert shared(sharing) == {DEV: "shared", TEST: "shared"}
    sharing.run_until_over(other)
    note(sharing, sharing.image, NOTE)
    sharing.world.injections.drop_events()
    sharing.wait(30 * 60)
    assert sharing.states() == {DEV: "shared", TEST: "shared"}

    sharing.untag(other)
    sharing.untag()
    sharing.run_until(lambda: sharing.world.shares_open() == [], 15 * 60)
    sharing.assert_invariants()
