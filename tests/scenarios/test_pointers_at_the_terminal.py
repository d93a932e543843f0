"""What people see of a family's parameter: before the promotion, afterwards, with a fault, and when it is cured."""

import pytest

from tests.scenarios.pointers import FAMILY, NAME, shows, successor, with_pointers
from tests.scenarios.scene import DEV, HOUR, REGION, TEST


def pointer(scene, image=""):
    """DEV's pointer as ``status --json`` shows it."""
    return scene.delivery(DEV, image)["pointer"]


def test_plan_says_what_status_shows_afterwards(scene, tmp_path):
    """The parameter that moves, or that names a newer AMI; `where` prints what it names, for a person and a script.

    The report shows it for the family of the tag, in place of what was delivered last.
    """
    with_pointers(scene)
    newer = successor(scene)
    assert f"family {FAMILY}, parameter {NAME}: It will name this AMI." in scene.said("plan", "dev")[1]
    scene.promote("dev", newer)
    planned = {one["account"]: one["pointer"] for one in scene.ask("plan", scene.image, "dev")["targets"]}
    scene.promote("dev")

    made = shows(scene)
    assert planned == {
        DEV: {"parameter": NAME, "image": made, "why": planned[DEV]["why"], "counts": True},
        TEST: None,
    }
    assert planned[DEV]["why"] == f"It names {made} from {newer}, which is newer." == pointer(scene)["why"]
    assert (pointer(scene, newer)["image"], pointer(scene, newer)["why"]) == (made, "")
    assert scene.cli("where", "--family", FAMILY, "--ids")[1] == f"{DEV} {REGION} {made}\n"
    assert scene.cli("where", "--family", FAMILY, "--json")[0] == 0
    assert scene.cli("where", newer, "--json")[0] == 0
    assert [line.split()[-1] for line in scene.cli("where", newer)[1].splitlines()[1:]] == ["CURRENT", "yes", "-"]
    assert "no parameter" in scene.cli("where", "--family", "none")[2]

    scene.cli("report", "-o", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert f"{FAMILY}: current image by target" in page
    assert page.count(made) >= 1
    assert f"{NAME}</code> names it" in page


@pytest.mark.thorough
def test_retry_in_a_named_account_makes_a_deleted_parameter_again(scene):
    """The hub knows of no fault; the tag may be gone by then."""
    with_pointers(scene)
    scene.promote("dev")
    scene.client("ssm", DEV).delete_parameter(Name=NAME)
    scene.cli("cancel", "--yes", scene.image)
    scene.wait(HOUR)
    assert scene.cli("retry", scene.image)[0] == 1

    assert scene.cli("retry", scene.image, "--account", DEV)[0] == 0
    scene.wait(60)

    assert shows(scene) == pointer(scene)["image"]


def test_a_retry_names_what_was_delivered_before_the_file_set_the_parameter(scene):
    """Applying the file starts nothing. Nothing is copied again, and a second retry finds nothing to do."""
    scene.tag(FAMILY, key="family")
    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    calls = len([call for call in scene.world.calls if call.operation == "CopySnapshot"])
    with_pointers(scene)
    scene.wait(HOUR)
    assert shows(scene) == ""

    said = scene.said("retry")[1]
    assert f"{DEV} {REGION}: from now on the AMI counts for {NAME}." in said
    scene.wait(120)

    assert shows(scene) == pointer(scene)["image"] != ""
    assert "Nothing to do" in scene.said("retry")[1]
    assert len([call for call in scene.world.calls if call.operation == "CopySnapshot"]) == calls


def test_an_approver_sees_the_family(scene):
    """Though no tag of the source arrives there: the parameter would name the AMI all the same."""
    with_pointers(scene, approval="required")
    scene.tag("dev")
    scene.wait(120)
    (arrives,) = scene.ask("approve", scene.image, "--dry-run")["arrives"]
    assert (arrives["family"], arrives["tags"]) == (FAMILY, {})
    assert f"family: {FAMILY}" in scene.said("approve", "--dry-run")[1]
