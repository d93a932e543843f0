"""A hub that is newer than a target's template: the missing right is named before anything is opened."""

from tests.scenarios.platform import doctor
from tests.scenarios.scene import DEV, TEST
from tests.scenarios.stolen import COPIES


def older(scene, *sids):
    """Deploy to DEV a template that does not have these statements yet."""
    document = scene.world.iam.roles.named(DEV, COPIES).policies["ami-promoter"]
    document["Statement"] = [one for one in document["Statement"] if one["Sid"] not in sids]


def test_a_right_that_an_older_template_lacks_is_named_before_anything_is_opened(scene):
    """By doctor, with the template that has it; the delivery fails at its checks. An updated stack cures both."""
    older(scene, "CopySnapshots", "ProtectOwnImages")
    finding = doctor(scene)[DEV, "template"]
    rights = "does not allow ec2:CopySnapshot, ec2:EnableImageDeregistrationProtection"
    assert (finding["passed"], rights in finding["what"]) == (False, True)
    assert "deploy/target.yaml" in finding["cure"]
    assert scene.promoted("dev") == {DEV: "failed", TEST: "delivered"}

    (fault,) = scene.delivery(DEV)["faults"]
    assert (fault["code"], rights in fault["what"]) == ("target-template-old", True)
    assert "deploy/target.yaml" in fault["cure"]
    assert scene.ever_opened() == {TEST}

    scene.deploy_target()
    assert doctor(scene) == {}
    assert scene.cli("retry", scene.image)[0] == 0
    scene.run_until_state("delivered", DEV)
    scene.assert_invariants()


def test_a_role_whose_policy_cannot_be_read_blocks_nothing(scene):
    """The role of a template from before that right: it delivers, and doctor says that it could not look."""
    older(scene, "LookAtOwnPolicy")

    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    finding = doctor(scene)[DEV, "template"]
    assert (finding["passed"], "deploy/target.yaml" in finding["cure"]) == (None, True)
    scene.assert_invariants()
