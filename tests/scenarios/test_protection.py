"""Deregistration protection in the simulator: the hub's credentials cannot remove a delivered AMI."""

import pytest

from tests.scenarios.failures import deny
from tests.scenarios.platform import FAILED, PASSED, verify
from tests.scenarios.scene import DEV, TEST, targets_file
from tests.scenarios.stolen import COPIES, entered, refused


def protection(scene, account):
    """EC2's protection attribute of the only AMI there."""
    return scene.image_in(account).get("DeregistrationProtection", "disabled")


def test_a_delivered_ami_cannot_be_deregistered_until_its_owner_lifts_that(scene):
    """Not with all permissions of the role that copies, without a session policy.

    Without a cooldown: once the account's administrator has lifted it, the AMI can be deregistered right after.
    """
    scene.apply(targets_file(copy_method="image"))
    scene.promote("")

    assert protection(scene, DEV) == "enabled-without-cooldown"
    (notice,) = scene.notices("delivery.delivered")
    assert (notice["protected"], notice["unprotected"]) == (True, None)
    assert verify(scene)[0] == PASSED
    image, thief = scene.image_in(DEV)["ImageId"], entered(scene, "worker", COPIES, "ec2")
    refused(thief.disable_image_deregistration_protection, ImageId=image)
    with pytest.raises(thief.exceptions.ClientError, match="OperationNotPermitted"):
        thief.deregister_image(ImageId=image)
    assert scene.image_in(DEV)["State"] == "available"

    scene.client("ec2", DEV).disable_image_deregistration_protection(ImageId=image)
    thief.deregister_image(ImageId=image)
    assert scene.images_in(DEV) == []


def test_an_older_stack_in_the_target_delivers_without_and_says_so(scene):
    """The notice, `status` and `verify` say so, each with the cure; the other target is protected."""
    scene.apply(targets_file())
    deny(scene, DEV, "ec2:EnableImageDeregistrationProtection")
    assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}
    assert (protection(scene, DEV), protection(scene, TEST)) == ("disabled", "enabled-without-cooldown")
    (notice,) = (one for one in scene.notices("delivery.delivered") if one["account"] == DEV)
    assert notice["protected"] is False
    assert notice["unprotected"]["code"] == "image-not-protected"
    assert "deploy/target.yaml" in notice["unprotected"]["cure"]
    cure = "enable-image-deregistration-protection"
    assert cure in scene.cli("status", scene.image)[1].replace("\n", "").replace(" ", "")
    page = scene.ask("status", scene.image)["promotion"]
    (shown,) = (one for one in page["deliveries"] if one["account"] == DEV)
    assert (shown["state"], shown["protected"]) == ("delivered", False)
    status, bad, _ = verify(scene)
    assert (status, bad.keys(), bad[DEV].keys()) == (FAILED, {DEV}, {"protection"})
    assert cure in bad[DEV]["protection"]["cure"]

    scene.client("ec2", DEV).enable_image_deregistration_protection(ImageId=scene.image_in(DEV)["ImageId"])
    assert verify(scene)[0] == PASSED, "the cure helps"
