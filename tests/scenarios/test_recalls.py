"""An operator takes a delivered AMI back everywhere, or holds parameters at an earlier one; and lifts that."""

import pytest

from tests.scenarios.pointers import deploy, notice, shows, successor, with_pointers
from tests.scenarios.regions import FAR
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST

BOTH = (DEV, TEST)
WHY = "It does not boot."
LATER = "2026-09-01T00:00:00.000Z"
"""A deprecation date of the source."""


@pytest.fixture
def released(scene):
    """DEV and TEST have two AMIs of a family; the newer one has a deprecation date, and the parameters name it."""
    with_pointers(scene, accounts=BOTH)
    deploy(scene, account=TEST)
    scene.newer = successor(scene)
    scene.client("ec2").enable_image_deprecation(ImageId=scene.newer, DeprecateAt=LATER)
    for image in (scene.image, scene.newer):
        assert scene.promoted("dev", image) == dict.fromkeys(BOTH, "delivered")
    return scene


def until(scene, state, *accounts, image):
    """Run until the deliveries of an AMI have a state."""
    scene.run_until(lambda: {scene.delivery_state(one, image) for one in accounts} == {state}, HOUR)
    scene.come_to_rest(image)


def test_where_the_stack_allows_it_a_recalled_ami_is_disabled_and_comes_back(released):
    """DEV's stack has AllowDisable; in TEST the AMI can still be launched by its id."""
    scene, newer = released, released.newer
    deploy(scene, AllowDisable="true")
    scene.ask("recall", newer, "--yes", "--why", WHY)
    until(scene, "recalled", *BOTH, image=newer)
    ours = {account: scene.copy_of(newer, account) for account in BOTH}
    assert {account: one["State"] for account, one in ours.items()} == {DEV: "disabled", TEST: "available"}
    assert {account: notice(scene, newer, account)["recall"]["disabled"] for account in BOTH} == {
        DEV: True,
        TEST: False,
    }
    assert [scene.launch(account, one["ImageId"]) == "" for account, one in ours.items()] == [False, True]
    scene.run_until(lambda: shows(scene) == scene.copy_of(scene.image)["ImageId"], 120)
    assert scene.cli("admin", "reconcile")[0] == 0

    scene.ask("recall", newer, "--yes", "--lift")
    until(scene, "delivered", *BOTH, image=newer)
    shown = scene.copy_of(newer)
    assert (shown["State"], shown["DeprecationTime"]) == ("available", LATER)
    assert scene.launch(DEV, shown["ImageId"]) == ""
    assert shows(scene) == shown["ImageId"]
    scene.assert_invariants()


@pytest.mark.parametrize("image", ["kept", "deregistered"])
@pytest.mark.thorough_but("kept")
def test_a_copy_that_ec2_calls_unavailable_right_after_it_was_enabled_gets_its_former_date_all_the_same(scene, image):
    """EnableImage takes effect late. EC2 says the same of a copy that its owner has deregistered: nothing is left."""
    scene.deploy_target(AllowDisable="true")
    scene.promote("")
    scene.ask("recall", scene.image, "--yes", "--why", WHY)
    until(scene, "recalled", DEV, image=scene.image)
    assert "DeprecationTime" in scene.copy_of(scene.image)
    ours = scene.copy_of(scene.image)["ImageId"]
    if image == "deregistered":
        owner = scene.world.client("ec2", DEV, REGION)
        owner.disable_image_deregistration_protection(ImageId=ours)
        owner.deregister_image(ImageId=ours)

    scene.world.injections.refuse("DisableImageDeprecation", "InvalidAMIID.Unavailable", n=2)
    scene.ask("recall", scene.image, "--yes", "--lift")
    until(scene, "delivered", DEV, image=scene.image)
    asked = [call.error for call in scene.world.calls if call.operation == "DisableImageDeprecation"]
    assert asked == ["InvalidAMIID.Unavailable"] * (2 if image == "kept" else 1) + [None] * (image == "kept")
    if image == "kept":
        assert "DeprecationTime" not in scene.copy_of(scene.image)


@pytest.mark.thorough
def test_the_hubs_own_copy_in_another_region_is_recalled_and_restored(by_way):
    """As a target's: it is the service's, with the hub's tag."""
    by_way.promote("")
    by_way.ask("recall", by_way.image, "--yes", "--why", WHY)
    places = [(DEV, REGION), (DEV, FAR), (TEST, REGION), (HUB, FAR)]
    by_way.run_until(lambda: by_way.delivery_states() == {"recalled": len(places)}, HOUR)
    assert all("DeprecationTime" in by_way.copy_of(by_way.image, *place) for place in places)
    by_way.ask("recall", by_way.image, "--yes", "--lift")
    by_way.run_until(lambda: by_way.delivery_states() == {"delivered": len(places)}, HOUR)
    assert not any("DeprecationTime" in by_way.copy_of(by_way.image, *place) for place in places)
    by_way.assert_invariants()
