"""``verify``: the checks that a careful operator makes by hand."""

from dataclasses import replace

import pytest

from tests.scenarios.platform import FAILED, FAULT, NOT_SEEN, PASSED, verify
from tests.scenarios.scene import DEV, PROD, TEST
from tests.scenarios.sharing import share_with


@pytest.fixture
def delivered(scene):
    """Two targets own the AMI, and nothing is open."""
    scene.promote("dev")
    scene.wait(300)
    return scene


def test_all_passes_until_somebody_deregisters_an_ami_or_a_target_cannot_be_looked_at(delivered):
    """Nine checks for each target, which change nothing. Each finding has its cure, and the other target passes.

    If no check failed, and some could not be made, there is an exit status of its own.
    """
    before = len(delivered.world.shares_open())
    status, bad, reported = verify(delivered)
    assert (status, bad, reported["passed"]) == (PASSED, {}, True)
    assert len(reported["checks"]) == 18
    assert len(delivered.world.shares_open()) == before
    assert "All checks passed." in delivered.cli("verify", delivered.image)[1]
    delivered.assert_invariants()

    restore = delivered.drop_role(TEST)
    status, bad, _ = verify(delivered)
    assert (status, bad.keys(), bad[TEST].keys()) == (NOT_SEEN, {TEST}, {"answers"})
    what, cure = bad[TEST]["answers"]["what"], bad[TEST]["answers"]["cure"]
    assert ("AmiCopyRole" in what, "deploy/target.yaml" in what) == (True, False)
    assert ("deploy/target.yaml" in cure, "The service tries again" in cure) == (True, False), "nothing tries again"
    restore()

    image = delivered.image_in(DEV)["ImageId"]
    delivered.deregister(DEV, image)
    status, bad, _ = verify(delivered)
    assert (status, bad.keys(), bad[DEV].keys()) == (FAILED, {DEV}, {"image"})
    assert image in bad[DEV]["image"]["what"]
    assert "CloudTrail" in bad[DEV]["image"]["cure"]
    assert verify(delivered, "--account", TEST)[0] == PASSED
    assert "FAILED" in delivered.cli("verify", delivered.image)[1]


def test_an_ami_that_its_account_has_changed(delivered):
    """The findings name each attribute that differs from the source, and a snapshot under another key with both keys.

    A permission that no delivery needs is one for its account only, and so is a protection that somebody lifted. The
    source's own later change is no finding.
    """
    image, ec2 = delivered.image_in(DEV)["ImageId"], delivered.client("ec2", DEV)
    ec2.modify_image_attribute(ImageId=image, Description={"Value": "patched by hand"})
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt="2027-01-01T00:00:00Z")
    ec2.disable_image_deregistration_protection(ImageId=image)
    delivered.share_before(DEV, delivered.snapshots[0])
    delivered.client("ec2").modify_image_attribute(ImageId=delivered.image, Description={"Value": "old"})
    state = delivered.world.ec2.state
    copy = next(one for one in state.snapshots.all() if one.owner == DEV)
    state.snapshots.put(replace(copy, key=delivered.key))

    status, bad, _ = verify(delivered)

    expected = {"attributes", "encryption", "protection", "snapshot-permissions"}
    assert (status, bad.keys(), bad[DEV].keys()) == (FAILED, {DEV}, expected)
    assert "CloudTrail" in bad[DEV]["protection"]["cure"]
    assert delivered.snapshots[0] in bad[DEV]["snapshot-permissions"]["what"]
    assert "Description is patched by hand and should be" in bad[DEV]["attributes"]["what"]
    assert "DeprecationTime is 2027-01-01 00:00:00+00:00 and should be" in bad[DEV]["attributes"]["what"]
    assert all(one in bad[DEV]["encryption"]["what"] for one in (copy.id, delivered.key, copy.key))


def test_what_is_shared_on_purpose(scene):
    """A launch permission and a key grant that stand for as long as the AMI is shared."""
    share_with(scene, DEV)

    status, bad, reported = verify(scene)

    assert (status, bad) == (PASSED, {})
    assert {one["check"]: one["what"] for one in reported["checks"]}["launch-permission"] == "Open on purpose."


def test_what_is_not_delivered_is_not_checked(scene):
    """It is counted; a target without a delivery, and an unknown AMI, are faults."""
    scene.copying(DEV, 600)

    status, _, reported = verify(scene)
    assert (status, reported["skipped"]) == (NOT_SEEN, {"copying": 1})
    assert verify(scene, "--account", PROD)[2]["faults"][0]["code"] == "no-delivery"
    assert f"no delivery to {PROD}." in verify(scene, "--account", DEV, "--account", PROD)[2]["faults"][0]["what"]
    assert scene.cli("verify", "ami-00000000000000000")[0] == FAULT
