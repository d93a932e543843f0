"""An AMI's name in place of its id."""

import json

import pytest

from tests.scenarios.scene import DEV, HUB, REGION

NAME = "golden-2026-01"
FAULT = 1


def test_a_name_serves_wherever_an_id_does(scene):
    """From the first promotion to the last, also once the AMI is gone."""
    for words in (("plan", NAME, DEV), ("promote", NAME, DEV, "--wait"), ("wait", NAME), ("where", NAME)):
        status, out, err = scene.cli(*words)
        assert (status, scene.image in out) == (0, True), (words, out, err)
    _, out, _ = scene.cli("status", NAME, "--json")
    assert json.loads(out)["promotion"]["ami"] == scene.image
    scene.client("ec2").deregister_image(ImageId=scene.image)
    assert scene.image in scene.cli("history", NAME)[1]


def test_a_name_of_two_amis_lists_them_and_changes_nothing(scene):
    """A person chooses by the id."""
    other = scene.seed(NAME)

    status, _, err = scene.cli("promote", NAME, DEV)

    assert status == FAULT
    said = " ".join(err.split())
    assert f"{NAME}: 2 AMIs have this name: " in said
    assert scene.image in said
    assert other in said
    assert scene.nothing_happened()


@pytest.mark.parametrize("verb", ["status", "where", "history", "recall"])
def test_a_name_that_no_ami_has_says_so(scene, verb):
    """With the way to find it."""
    status, _, err = scene.cli(verb, "golden-2025")

    assert status == FAULT
    said = " ".join(err.split())
    assert f"golden-2025: account {HUB}, {REGION} has no AMI and no promotion of this name." in said
    assert "`ami-promoter status --image 'golden-*'`" in said
