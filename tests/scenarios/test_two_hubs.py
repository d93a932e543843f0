"""Two hubs serve one target: each finds, opens, makes and removes only its own."""

import pytest

from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, GATHERING, HUB, HUB_TAG, REGION

OTHER = "555555555555"
ROLE, SECRET = "OtherCopyRole", "only-the-other-hub-knows"
TARGETS = f"""\
defaults:
  external_id: {SECRET}
  role_name: {ROLE}
groups:
  default: ["{DEV}"]
"""


@pytest.fixture
def other(scene, monkeypatch, tmp_path):
    """Deploy a second hub; the target trusts it with another role, and has one key for both. Return its AMI."""
    world = scene.world
    world.deploy(
        ROOT / stage.HUB_TEMPLATE, OTHER, REGION, "ami-promoter", {"TargetAccounts": DEV, "TargetRoleName": ROLE}
    )
    given = {"HubAccountId": OTHER, "HubRegion": REGION, "ExternalId": SECRET, "RoleName": ROLE, "CreateKey": "false"}
    world.deploy(ROOT / stage.TARGET_TEMPLATE, DEV, REGION, "ami-promoter-target-of-the-other", given)
    key = world.client("kms", OTHER, REGION).create_key(Description="golden images")["KeyMetadata"]["Arn"]
    file = tmp_path / "targets-of-the-other.yaml"
    file.write_text(TARGETS, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", world.accounts.root(OTHER).access_key)
        status, out, err = scene.cli("targets", "apply", "--yes", str(file))
    assert status == 0, out + err
    return world.ec2.seed_image(OTHER, REGION, name="golden-2026-01", volumes=(8,), key=key)


def tag(scene, image: str) -> None:
    """Tag an AMI of the other hub."""
    scene.client("ec2", OTHER).create_tags(Resources=[image], Tags=[{"Key": "promote", "Value": ""}])


def hubs_of(scene) -> dict[str, str]:
    """AMIs in the target, by the hub in their tag."""
    return {
        next(tag["Value"] for tag in image["Tags"] if tag["Key"] == HUB_TAG): image["ImageId"]
        for image in scene.images_in(DEV)
    }


def test_both_deliver_to_one_target_at_once(scene, other):
    """An AMI of each, with the same name in both hubs; each hub reports its own, and nothing stays open in either.

    One hub's role does not let the other in: with the first one's role name and external id the second waits, with a
    notice, and opens nothing.
    """
    scene.tag("")
    tag(scene, other)
    scene.run_until(lambda: scene.notices("promotion.over", scene.image) and scene.notices("promotion.over", other))
    assert set(hubs_of(scene.after(GATHERING))) == {HUB, OTHER}
    expected = {(HUB, scene.image), (OTHER, other)}
    assert {(notice["hub"], notice["source_image"]) for notice in scene.notices("delivery.delivered")} == expected
    assert scene.world.shares_open() == []
    scene.assert_invariants()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", scene.world.accounts.root(OTHER).access_key)
        scene.apply(TARGETS.replace(ROLE, "AmiCopyRole").replace(SECRET, stage.EXTERNAL_ID))
    before, second = scene.snapshots_in(DEV), scene.world.ec2.seed_image(OTHER, REGION, name="second", volumes=(8,))
    tag(scene, second)
    scene.run_until(lambda: scene.notices("delivery.waiting-for-role", second))
    assert scene.snapshots_in(DEV) == before
    assert scene.world.shares_open() == []


@pytest.mark.thorough
def test_one_hubs_cancelled_delivery_leaves_the_others_alone(scene, other):
    """Its copies are removed, and the other hub's, which run beside them, stay."""
    scene.world.ec2.pace.copy = 240
    scene.tag("")
    tag(scene, other)
    scene.run_until(lambda: len(scene.snapshots_in(DEV)) == 3)
    scene.client("ec2", OTHER).delete_tags(Resources=[other], Tags=[{"Key": "promote"}])
    scene.run_until(lambda: scene.notices("promotion.over", scene.image) and scene.notices("promotion.over", other))
    assert set(hubs_of(scene.after(GATHERING))) == {HUB}
    assert len(scene.snapshots_in(DEV)) == 2
    assert {notice["event"] for notice in scene.notices(image=other)} == {"delivery.cancelled", "promotion.over"}
    assert scene.world.shares_open() == []
    scene.assert_invariants()
