"""What happens to the platform: an update of the stack during a delivery."""

import pytest

from demo import stage
from tests.scenarios.platform import new_version
from tests.scenarios.scene import DEV


@pytest.mark.parametrize("state", ["opening", "copying"])
@pytest.mark.thorough
def test_the_stack_is_updated_in_mid_delivery(scene, tmp_path, state):
    """New code on a running hub: execution environments are replaced, and deliveries continue in new ones."""
    scene.tag("")
    scene.run_until_state(state)
    before = len(scene.world.lambda_.invocations)
    scene.deploy_hub(new_version(tmp_path, "next"), TargetAccounts=",".join(stage.TARGETS.values()))
    scene.run_until_over()

    later = scene.world.lambda_.invocations[before:]
    assert any(one.cold and one.function.endswith("-worker") for one in later)
    scene.assert_delivered(DEV)
