"""An AMI's name in place of its id."""

from dataclasses import replace

from ami_promoter.rights import READ, SWITCH
from tests.scenarios.scene import DEV, HUB, REGION
from tools.cli_policies import READ_ONLY, policy

NAME = "golden-2026-01"
FAULT, AWS = 1, 3


def test_a_name_serves_wherever_an_id_does(scene):
    """From the first promotion to the last, also once the AMI is gone."""
    for words in (("plan", NAME, DEV), ("promote", NAME, DEV, "--wait"), ("wait", NAME), ("where", NAME)):
        status, out, err = scene.cli(*words)
        assert (status, scene.image in out) == (0, True), (words, out, err)
    assert scene.ask("status", NAME)["promotion"]["ami"] == scene.image
    scene.client("ec2").deregister_image(ImageId=scene.image)
    assert scene.image in scene.cli("history", NAME)[1]


def test_a_name_of_two_amis_or_of_none_says_so_and_changes_nothing(scene):
    """A person chooses by the id, or finds the name."""
    other = scene.seed(NAME)
    status, said = scene.prints("promote", NAME, DEV)
    assert status == FAULT
    assert f"{NAME}: 2 AMIs have this name: " in said
    assert scene.image in said
    assert other in said

    for verb in ("status", "where", "history", "recall"):
        status, said = scene.prints(verb, "golden-2025")
        assert status == FAULT, verb
        assert f"golden-2025: account {HUB}, {REGION} has no AMI and no promotion of this name." in said
        assert "`ami-promoter status --image 'golden-*'`" in said
    assert scene.nothing_happened()


def test_an_ami_that_was_built_again_does_not_hide_the_promoted_one(scene, become):
    """A recall by name must not take the wrong one of the two.

    Without the right to scan it would not know of the deregistered one, and asks for the id; a verb that reads shows
    the one that exists.
    """
    scene.promote("dev")
    old = scene.image
    scene.client("ec2").deregister_image(ImageId=old)
    new = scene.seed(NAME)
    fault = scene.ask("recall", NAME, "--why", "bad", "--yes", status=FAULT)["faults"][0]
    assert fault["code"] == "ambiguous-ami"
    assert all(ami in fault["what"] for ami in (old, new)), fault
    assert "recalled" not in scene.states().values()

    become(policy([replace(READ_ONLY | SWITCH, records=READ.records)]))
    status, _, err = scene.cli("recall", NAME, "--why", "bad", "--yes")
    assert (status, "Name the AMI by its id." in err) == (AWS, True)
    _, out, _ = scene.cli("plan", NAME, DEV)
    assert (new in out, old in out) == (True, False)
