"""The common invariants are compared with every kind of call that changes something."""

import pytest

from tests import invariants as at
from tests.scenarios.pointers import FAMILY, PARAMETER, deploy
from tests.scenarios.scene import DEV, REGION, targets_file

IN_BOTH_MODES = {at.Opening, at.Opened, at.Launching, at.Pointing, at.Telling}
IN_COPY_MODE = {*IN_BOTH_MODES, at.Closing, at.Copying, at.Registering, at.ImageMade}
SETTINGS = {
    "service_linked_roles": [],
    "ssm_parameter": PARAMETER,
    "launch_test": {"instance_type": "t3.micro", "within": "10m"},
}


@pytest.mark.parametrize(("mode", "checked"), [("copy", IN_COPY_MODE), ("share", IN_BOTH_MODES)])
def test_a_check_is_reached_by_each_call_that_it_is_for(scene, mode, checked):
    """One that no call reaches would find nothing wrong, whatever the service did."""
    scene.apply(targets_file({"default": [DEV]}, mode=mode, **SETTINGS))
    scene.world.ec2.seed_subnet(DEV, REGION, tags={"ami-promoter:launch-test": "true"})
    deploy(scene, LaunchTest="true")
    scene.tag(FAMILY, key="family")

    assert scene.promoted("") == {DEV: "delivered" if mode == "copy" else "shared"}
    assert scene.calls_checked == checked
