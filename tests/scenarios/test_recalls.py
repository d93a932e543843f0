"""An operator takes a delivered AMI back everywhere, or holds parameters at an earlier one; and lifts that."""

import json
from datetime import UTC, datetime

import pytest

from demo import stage
from tests.scenarios.failures import deny
from tests.scenarios.platform import ROOT
from tests.scenarios.pointers import EACH, FAMILY, NAME, RESOLVED, deploy, notice, shows, successor, with_pointers
from tests.scenarios.regions import BETWEEN, FAR
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST

BOTH = (DEV, TEST)
WHY = "It does not boot."
LATER = "2026-09-01T00:00:00.000Z"
"""A deprecation date of the source."""


@pytest.fixture
def released(scene):
    """DEV and TEST have two AMIs of a family; the newer one has a deprecation date, and the parameters name it."""
    with_pointers(scene, file=EACH)
    deploy(scene, account=TEST)
    scene.newer = successor(scene)
    scene.client("ec2").enable_image_deprecation(ImageId=scene.newer, DeprecateAt=LATER)
    for image in (scene.image, scene.newer):
        assert scene.promoted("dev", image) == dict.fromkeys(BOTH, "delivered")
    return scene


def recall(scene, image, *words, status=0):
    """Run the verb; return its JSON output."""
    found, out, err = scene.cli("recall", image, "--yes", *words, "--json")
    assert found == status, out + err
    return json.loads(out)


def copy(scene, image, account=DEV, region=REGION):
    """The copy of an AMI in a target, as EC2 shows it to the account."""
    (delivery,) = (
        one for one in scene.status(image)["deliveries"] if (one["account"], one["region"]) == (account, region)
    )
    ec2 = scene.world.client("ec2", account, region)
    (shown,) = ec2.describe_images(ImageIds=[delivery["image"]], IncludeDisabled=True)["Images"]
    return shown


def is_deprecated(scene, image, account=DEV, region=REGION):
    """Whether the date has come, and is not long past."""
    date = copy(scene, image, account, region).get("DeprecationTime", LATER)
    return 0 <= scene.world.now.timestamp() - datetime.fromisoformat(date).astimezone(UTC).timestamp() < HOUR


def until(scene, state, *accounts, image):
    """Run until the deliveries of an AMI have a state."""
    scene.run_until(lambda: {scene.delivery_state(one, image) for one in accounts} == {state}, HOUR)
    scene.come_to_rest(image)


def launched(scene, account=DEV):
    """Launch by the parameter's name; return the AMI."""
    ec2 = scene.client("ec2", account)
    made = ec2.run_instances(ImageId=RESOLVED, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    return made["Instances"][0]["ImageId"]


def test_a_recall_deprecates_each_copy_and_what_resolves_the_parameter_launches_the_ami_before(released):
    """The command says what it will do; notice, `status` and the next lines say what it did."""
    scene, newer = released, released.newer
    assert launched(scene) == copy(scene, newer)["ImageId"]
    before = {account: copy(scene, scene.image, account)["ImageId"] for account in BOTH}
    found = recall(scene, newer, "--why", WHY)
    assert {one["account"]: (one["parameter"], one["moves_to"]) for one in found["deliveries"]} == {
        account: (NAME, before[account]) for account in BOTH
    }
    until(scene, "recalled", *BOTH, image=newer)

    for account in BOTH:
        scene.run_until(lambda account=account: is_deprecated(scene, newer, account), 120)
        shown, sent = copy(scene, newer, account), notice(scene, newer, account)
        assert (shown["State"], shows(scene, account)) == ("available", before[account])
        assert launched(scene, account) == before[account]
        assert (sent["event"], sent["image"]) == ("delivery.recalled", shown["ImageId"])
        assert sent["recall"] == {"by": found["by"], "why": WHY, "disabled": False}
        assert "DeprecationTime" not in copy(scene, scene.image, account)
    assert scene.states(scene.image) == dict.fromkeys(BOTH, "delivered")
    assert recall(scene, newer, "--why", WHY)["changed"] is False
    assert "2 recalled" in scene.cli("status", newer)[1]
    scene.assert_invariants()


def test_where_the_stack_allows_it_a_recalled_ami_is_disabled_and_comes_back(released):
    """DEV's stack has AllowDisable; in TEST the AMI can still be launched by its id."""
    scene, newer = released, released.newer
    deploy(scene, AllowDisable="true")
    recall(scene, newer, "--why", WHY)
    until(scene, "recalled", *BOTH, image=newer)
    ours = {account: copy(scene, newer, account) for account in BOTH}
    assert {account: one["State"] for account, one in ours.items()} == {DEV: "disabled", TEST: "available"}
    assert {account: notice(scene, newer, account)["recall"]["disabled"] for account in BOTH} == {
        DEV: True,
        TEST: False,
    }
    assert [scene.launch(account, one["ImageId"]) == "" for account, one in ours.items()] == [False, True]
    scene.run_until(lambda: shows(scene) == copy(scene, scene.image)["ImageId"], 120)
    assert scene.cli("admin", "reconcile")[0] == 0

    recall(scene, newer, "--lift")
    until(scene, "delivered", *BOTH, image=newer)
    shown = copy(scene, newer)
    assert (shown["State"], shown["DeprecationTime"]) == ("available", LATER)
    assert scene.launch(DEV, shown["ImageId"]) == ""
    assert shows(scene) == shown["ImageId"]
    scene.assert_invariants()


@pytest.mark.thorough
def test_an_ami_that_a_recall_could_not_disable_is_restored_where_it_may_not_be_enabled(released):
    """A policy there has refused the whole recall; when that is lifted, it denies EnableImage."""
    scene, newer = released, released.newer
    deploy(scene, AllowDisable="true")
    deny(scene, DEV, "ec2:EnableImageDeprecation")
    recall(scene, newer, "--why", WHY)
    scene.run_until(lambda: scene.delivery_state(DEV, newer) == "recalled", 26 * HOUR)
    assert (copy(scene, newer)["State"], notice(scene, newer)["recall"]["disabled"]) == ("available", False)

    deny(scene, DEV, "ec2:EnableImage")
    recall(scene, newer, "--lift")
    until(scene, "delivered", *BOTH, image=newer)
    assert (copy(scene, newer)["State"], copy(scene, newer)["DeprecationTime"]) == ("available", LATER)
    scene.assert_invariants(errors_allowed=True)


def test_an_ami_without_a_deprecation_date_has_none_when_its_recall_is_lifted(scene):
    """A stack without AllowDisable has the right that this needs; a target without a parameter has nothing to move."""
    scene.promote("")
    recall(scene, scene.image, "--why", WHY)
    until(scene, "recalled", DEV, image=scene.image)
    assert "DeprecationTime" in copy(scene, scene.image)

    recall(scene, scene.image, "--lift")
    until(scene, "delivered", DEV, image=scene.image)
    assert "DeprecationTime" not in copy(scene, scene.image)
    scene.assert_invariants()


@pytest.mark.thorough
def test_a_target_whose_role_is_gone_is_named_and_delays_nobody(released):
    """It is tried for a day; then its notice says what is left to do there."""
    scene, newer = released, released.newer
    scene.world.iam.roles.drop(f"arn:aws:iam::{DEV}:role/AmiCopyRole")
    recall(scene, newer, "--why", WHY)
    before = copy(scene, scene.image, TEST)["ImageId"]
    scene.run_until(lambda: scene.delivery_state(TEST, newer) == "recalled" and shows(scene, TEST) == before, 300)
    shown = scene.delivery(DEV, newer)
    assert (shown["state"], shown["waits_for"]["code"]) == ("recalling", "role-not-assumable")

    scene.run_until(lambda: scene.delivery_state(DEV, newer) == "recalled", 26 * HOUR)
    scene.wait(60)
    sent = notice(scene, newer)
    assert sent["faults"][0]["code"] == "recall-not-done"
    assert DEV in sent["faults"][0]["where"]
    assert "DeprecationTime" in copy(scene, newer)
    assert not is_deprecated(scene, newer)
    scene.assert_invariants(errors_allowed=True)


@pytest.mark.thorough
def test_the_hubs_own_copy_in_another_region_is_recalled_and_restored(abroad):
    """As a target's: it is the service's, with the hub's tag."""
    given = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": stage.EXTERNAL_ID}
    abroad.world.deploy(ROOT / stage.TARGET_TEMPLATE, HUB, FAR, "ami-promoter-target", given)
    abroad.apply(BETWEEN)
    abroad.promote("")
    recall(abroad, abroad.image, "--why", WHY)
    places = [(DEV, REGION), (DEV, FAR), (TEST, REGION), (HUB, FAR)]
    abroad.run_until(lambda: abroad.delivery_states() == {"recalled": len(places)}, HOUR)
    assert all("DeprecationTime" in copy(abroad, abroad.image, *place) for place in places)
    recall(abroad, abroad.image, "--lift")
    abroad.run_until(lambda: abroad.delivery_states() == {"delivered": len(places)}, HOUR)
    assert not any("DeprecationTime" in copy(abroad, abroad.image, *place) for place in places)
    abroad.assert_invariants()


def test_a_rollback_holds_the_parameter_at_the_ami_before_until_it_is_lifted(released, become):
    """In one target, by a person with the operator's policy; a newer delivery does not move it, and says so."""
    become(json.loads((ROOT / "deploy" / "cli-operator.json").read_text()))
    scene, newer = released, released.newer
    status, out, err = scene.cli("rollback", FAMILY, "--account", DEV, "--why", WHY, "--yes", "--json")
    assert status == 0, out + err
    assert [(one["account"], one["to"]) for one in json.loads(out)["pointers"]] == [(DEV, scene.image)]
    old = copy(scene, scene.image)["ImageId"]
    scene.run_until(lambda: shows(scene) == old, 600)
    assert (launched(scene), shows(scene, TEST)) == (old, copy(scene, newer, TEST)["ImageId"])

    newest = successor(scene, "golden-2026-03")
    assert scene.promoted("dev", newest) == dict.fromkeys(BOTH, "delivered")
    assert (shows(scene), shows(scene, TEST)) == (old, copy(scene, newest, TEST)["ImageId"])
    assert notice(scene, newest)["pointer"]["pinned"].startswith(f"pinned to {scene.image} by arn:aws:")
    assert f"a rollback holds it at {scene.image}" in " ".join(scene.cli("status", newest)[1].split())

    status, out, err = scene.cli("rollback", FAMILY, "--account", DEV, "--lift", "--yes", "--json")
    assert status == 0, out + err
    scene.run_until(lambda: shows(scene) == copy(scene, newest)["ImageId"], 600)
    assert launched(scene) == copy(scene, newest)["ImageId"]
    scene.assert_invariants()
