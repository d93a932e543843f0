"""A hub that is newer than a target's template: the missing right is named before anything is opened."""

from tests.scenarios.platform import doctor
from tests.scenarios.scene import DEV, TEST
from tests.scenarios.stolen import COPIES


def older(scene, *sids):
    """Deploy to DEV a template that does not have these statements yet."""
    document = scene.world.iam.roles.named(DEV, COPIES).policies["ami-promoter"]
    document["Statement"] = [one for one in document["Statement"] if one["Sid"] not in sids]


def test_a_right_that_an_older_template_lacks_is_named_before_anything_is_opened(scene):
    """The delivery fails at its checks; with the stack updated, a retry delivers."""
    older(scene, "CopySnapshots")
    assert scene.promoted("dev") == {DEV: "failed", TEST: "delivered"}

    (fault,) = scene.delivery(DEV)["faults"]
    assert (fault["code"], "does not allow ec2:CopySnapshot:" in fault["what"]) == ("target-template-old", True)
    assert "deploy/target.yaml" in fault["cure"]
    assert scene.ever_opened() == {TEST}

    scene.deploy_target()
    assert scene.cli("retry", scene.image)[0] == 0
    scene.run_until_state("delivered", DEV)
    scene.assert_invariants()


def test_doctor_names_the_right(scene):
    """And the template that has it."""
    older(scene, "CopySnapshots", "ProtectOwnImages")

    finding = doctor(scene)[DEV, "template"]

    assert finding["passed"] is False
    assert "does not allow ec2:CopySnapshot, ec2:EnableImageDeregistrationProtection" in finding["what"]
    assert "deploy/target.yaml" in finding["cure"]
    scene.deploy_target()
    assert doctor(scene) == {}


def test_a_role_whose_policy_cannot_be_read_blocks_nothing(scene):
    """The role of a template from before that right: it delivers, and doctor says that it could not look."""
    older(scene, "LookAtOwnPolicy")

    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    finding = doctor(scene)[DEV, "template"]
    assert (finding["passed"], "deploy/target.yaml" in finding["cure"]) == (None, True)
    scene.assert_invariants()
