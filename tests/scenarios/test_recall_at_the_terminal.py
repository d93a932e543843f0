"""What people see of a recall and of a rollback: before, while and after the service carries it out."""

import pytest

from tests.scenarios.pointers import FAMILY, NAME, PREFIX, deploy, shows, successor, with_pointers
from tests.scenarios.scene import DEV, HOUR, PROD, REGION, targets_file

UNFINISHED, CANCELLED = 4, 6
WHY = "It does not boot."


def copy_of(scene, source):
    """The AMI in DEV, as the account's owner sees it; None: nothing was delivered there."""
    found = scene.ask("where", source)["copies"]
    return next((one["image"] for one in found if one["account"] == DEV), None)


def two_releases(scene):
    """Promote the AMI and a newer one to DEV; return the newer one, its copy there, and the copy of the first."""
    with_pointers(scene)
    scene.promote("dev")
    newer = successor(scene)
    scene.promote("dev", newer)
    return newer, copy_of(scene, newer), copy_of(scene, scene.image)


def test_a_bad_ami_is_taken_back_and_everybody_can_see_it(scene):
    """Asked for, carried out, refused to all who would promote it, and shown with who and why."""
    newer, bad, good = two_releases(scene)
    assert shows(scene) == bad

    status, out = scene.prints("recall", newer, "--why", WHY)
    assert status == 1
    assert f"The parameter {NAME} moves to {good}." in out
    assert scene.prints("recall", bad, "--why", WHY, "--yes")[0] == 1
    assert scene.prints("recall", newer, "--why", WHY, "--yes")[0] == 0
    scene.wait(HOUR)

    assert shows(scene) == good
    (image,) = scene.client("ec2", DEV).describe_images(ImageIds=[bad])["Images"]
    assert image["DeprecationTime"]
    status, out = scene.prints("status", newer)
    assert f"{WHY[:-1]}. Nothing promotes it" in out
    assert "Its AMI is deprecated; it was not deregistered." in out
    status, out = scene.prints("wait", newer, "--timeout", "1")
    assert status == CANCELLED
    assert WHY in out
    for words in (("promote", newer, "dev"), ("approve", newer)):
        status, out = scene.prints(*words)
        assert (status, WHY in out) == (1, True), words
    status, out = scene.prints("plan", newer, "dev")
    assert "FAILED recalled" in out
    assert scene.prints("history", newer)[1].count("no answer is recorded") == 0
    assert "AMI deprecated" in scene.prints("history", newer)[1]
    assert copy_of(scene, newer) is None
    notice = next(one for one in scene.notices("delivery.recalled") if one["account"] == DEV)
    assert notice["recall"]["why"] == WHY
    assert notice["image"] == bad
    assert scene.prints("report", "-o", str(scene._directory / "page.html"))[0] == 0
    assert WHY in (scene._directory / "page.html").read_text(encoding="utf-8")

    assert scene.prints("recall", newer, "--lift", "--yes")[0] == 0
    scene.wait(HOUR)
    assert (shows(scene), copy_of(scene, newer)) == (bad, bad)
    assert "recalled" not in scene.prints("status", newer)[1]
    assert scene.prints("history", newer)[1].count("no answer is recorded") == 0
    scene.assert_invariants()


def test_a_rollback_moves_the_parameter_and_its_lift_moves_it_back(scene):
    """Without a reason; the group's or the account's parameters only. One without an earlier release keeps no other."""
    with_pointers(scene, accounts=(DEV, PROD))
    deploy(scene, account=PROD)
    scene.promote("dev")
    newer = successor(scene)
    scene.promote(f"dev {PROD}", newer)

    both = ("--account", f"{DEV}/{REGION}", "--account", PROD)
    assert scene.prints("rollback", FAMILY, *both, "--yes")[0] == UNFINISHED
    scene.wait(600)
    assert shows(scene) == copy_of(scene, scene.image)
    assert f"A rollback holds it at {scene.image}." in scene.prints("where", "--family", FAMILY)[1]

    assert scene.prints("rollback", FAMILY, "--account", DEV, "--lift", "--yes")[0] == 0
    scene.wait(600)
    assert shows(scene) == copy_of(scene, newer)


@pytest.mark.thorough
def test_a_rollback_holds_the_parameter_that_the_file_names_later(scene, tmp_path):
    """Otherwise that one would name the AMI from which somebody has rolled back."""
    newer, _, good = two_releases(scene)
    scene.ask("rollback", FAMILY, "--account", DEV, "--yes")
    scene.wait(600)
    file = tmp_path / "renamed.yaml"
    file.write_text(targets_file(accounts={DEV: {"ssm_parameter": f"{PREFIX}{{family}}"}}), encoding="utf-8")
    scene.ask("targets", "apply", "--yes", str(file))
    assert "A rollback holds it at" in scene.prints("plan", newer)[1]

    for ami in (newer, scene.image):
        scene.ask("retry", ami)
        scene.wait(600)
    assert scene.client("ssm", DEV).get_parameter(Name=f"{PREFIX}{FAMILY}")["Parameter"]["Value"] == good


@pytest.mark.thorough
def test_a_retry_completes_a_recall_that_an_account_refused_for_a_day(scene):
    """The recall stands all the time, and the tag was removed: only another try there is needed."""
    newer, bad, good = two_releases(scene)
    scene.world.injections.refuse("EnableImageDeprecation", "UnauthorizedOperation", n=1000, account=DEV)
    scene.ask("recall", newer, "--why", WHY, "--yes")
    scene.client("ec2").delete_tags(Resources=[newer], Tags=[{"Key": "promote"}])
    scene.wait(26 * HOUR)
    assert f"`ami-promoter retry {newer} --account {DEV}/{REGION}`" in scene.prints("status", newer)[1]

    scene.world.injections.calm()
    assert "refused the recall; it is tried again." in scene.prints("retry", newer)[1]
    scene.wait(HOUR)
    (image,) = scene.client("ec2", DEV).describe_images(ImageIds=[bad])["Images"]
    assert image["DeprecationTime"]
    assert shows(scene) == good
    said = [one["faults"] for one in scene.notices("delivery.recalled") if one["account"] == DEV]
    assert [len(faults) for faults in said] == [2, 0]
    scene.assert_invariants()
