"""Other Regions: the target copies directly; an account with several Regions opens its share once."""

import itertools

import pytest

from awsim.services.ec2.snapshot_sharing import changed
from tests.scenarios.monitoring import LATE, findings, judged_events, monitored, verdicts
from tests.scenarios.platform import ROOT, doctor
from tests.scenarios.regions import FAR, between, everywhere, found, regions_of
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, STRANGER, TEST


def test_an_account_gets_its_ami_in_each_of_its_regions(abroad):
    """Each is encrypted under that Region's own key, and was copied directly from the hub's Region.

    The share is the account's: it opens once, and closes when the last of its Regions has its last copy. The other
    Region's events come from its own bus: no poll and no sweep is needed.
    """
    abroad.world.ec2.pace.copy_spread = 0.8
    abroad.promote("dev")

    assert regions_of(abroad.status()["deliveries"]) == {
        (account, region, "delivered") for account in (DEV, TEST) for region in (REGION, FAR)
    }
    for account in (DEV, TEST):
        (image,), snapshots = found(abroad, account, FAR)
        assert image["State"] == "available"
        assert image["Name"] == f"golden-2026-01-{abroad.image}"
        assert {snapshot["KmsKeyId"] for snapshot in snapshots} == {abroad.keys_abroad[account]}
        assert len(snapshots) == 2
    calls = [call for call in abroad.calls("ModifySnapshotAttribute") if call.caller.function]
    asked = [
        (call.params["SnapshotId"], side, account)
        for call in calls
        for side, accounts in enumerate(changed(call))
        for account in accounts
    ]
    assert sorted(asked) == sorted(itertools.product(abroad.snapshots, (0, 1), (DEV, TEST)))
    assert [line for i in abroad.world.lambda_.invocations for line in i.metrics if "FoundBySweep" in line] == []
    abroad.assert_invariants()


def test_a_region_that_was_not_prepared_fails_alone(scene):
    """Its key is missing: the message names account, Region and what to deploy. The other Region is delivered.

    Doctor says it before, until the Region is prepared.
    """
    scene.apply(everywhere())
    assert "CreateKey=true" in doctor(scene, "--account", DEV)[DEV, "key"]["cure"]
    scene.promote("")

    assert regions_of(scene.status()["deliveries"]) == {(DEV, REGION, "delivered"), (DEV, FAR, "failed")}
    (failed,) = [one for one in scene.status()["deliveries"] if one["state"] == "failed"]
    (fault,) = failed["faults"]
    assert f"account {DEV}, {FAR}" in fault["where"]
    assert "alias/ami-promoter" in fault["what"]
    assert found(scene, DEV, FAR) == ([], [])
    scene.assert_invariants()
    scene.deploy_target(DEV, FAR, CreateRole="false")
    assert doctor(scene, "--account", DEV) == {}


def test_by_way_of_the_hub_nobody_reads_across_regions(by_way):
    """The hub first makes its own copy there; the target copies from that, and nothing of it stays open.

    It also shares and grants there; those events are forwarded, and the access monitor finds nothing in them, but it
    pages for a stranger there.
    """
    monitored(by_way)
    by_way.world.deploy(ROOT / "deploy" / "hub-region.yaml", HUB, FAR, "ami-promoter-region", {"HubRegion": REGION})
    by_way.promote("")

    expected = {(DEV, REGION), (DEV, FAR), (TEST, REGION), (HUB, FAR)}
    assert regions_of(by_way.status()["deliveries"]) == {(*place, "delivered") for place in expected}
    copied = {(call.caller.account, call.region, call.params["SourceRegion"]) for call in by_way.calls("CopySnapshot")}
    assert copied == {(DEV, REGION, REGION), (TEST, REGION, REGION), (HUB, FAR, REGION), (DEV, FAR, FAR)}
    (image,), snapshots = found(by_way, DEV, FAR)
    assert (image["State"], image["Name"]) == ("available", f"golden-2026-01-{by_way.image}")
    assert {snapshot["KmsKeyId"] for snapshot in snapshots} == {by_way.keys_abroad[DEV]}
    assert HUB not in by_way.ever_opened()
    assert by_way.world.shares_open() == []
    by_way.assert_invariants()

    by_way.wait(LATE)
    judgements = [one for one in judged_events(by_way) if one["resource"].startswith(f"arn:aws:kms:{FAR}:")]
    assert {one["call"] for one in judgements} >= {"CreateGrant", "RevokeGrant"}
    assert verdicts(by_way) == []

    (own,), _ = found(by_way, HUB, FAR)
    stranger = {"Add": [{"UserId": STRANGER}]}
    by_way.world.client("ec2", HUB, FAR).modify_image_attribute(ImageId=own["ImageId"], LaunchPermission=stranger)
    assert verdicts(by_way.after(LATE)) == [("page", "foreign-stranger")]
    assert findings(by_way)[0]["region"] == FAR


@pytest.mark.thorough
def test_the_cure_works_after_the_hubs_own_copy_was_deleted(abroad):
    """A delivered AMI is not made again, however often the source is tagged: the cure is a copy of the source."""
    abroad.deploy_target(HUB, FAR)
    abroad.apply(between(**{TEST: {"regions": [FAR], "by_way_of_hub": True}}))
    abroad.promote(f"{DEV} {HUB}")
    abroad.wait(HOUR)
    (own,), snapshots = found(abroad, HUB, FAR)
    far = abroad.world.client("ec2", HUB, FAR)
    far.disable_image_deregistration_protection(ImageId=own["ImageId"])
    far.deregister_image(ImageId=own["ImageId"])
    for snapshot in snapshots:
        far.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    abroad.wait(HOUR)
    for _ in range(2):
        abroad.tag(f"{DEV} {HUB} {TEST}")
        abroad.wait(HOUR)
        assert abroad.states()[TEST] == "failed"
        (fault,) = abroad.delivery(TEST)["faults"]
        assert "copy the AMI in the hub (aws ec2 copy-image with --kms-key-id)" in fault["cure"]

    again = {"SourceImageId": abroad.image, "SourceRegion": REGION, "Name": "golden-again", "Encrypted": True}
    newer = abroad.client("ec2").copy_image(**again, KmsKeyId=abroad.key)["ImageId"]
    abroad.wait(HOUR)
    assert set(abroad.promoted(f"{DEV} {HUB} {TEST}", newer).values()) == {"delivered"}


@pytest.mark.thorough
def test_a_source_that_is_gone_before_the_hubs_own_copy_is_there_opens_nothing_of_that(by_way):
    """Deregistered while three copies run: those arrive; the target that was to copy from the hub's own fails."""
    by_way.world.ec2.pace.copy = 120
    by_way.tag("")
    by_way.run_until(lambda: len(by_way.calls("CopySnapshot")) == 3 * len(by_way.snapshots))
    by_way.client("ec2").deregister_image(ImageId=by_way.image)
    by_way.run_until_over()

    there = {(DEV, REGION, "delivered"), (TEST, REGION, "delivered"), (HUB, FAR, "delivered"), (DEV, FAR, "failed")}
    assert regions_of(by_way.status()["deliveries"]) == there
    (failed,) = by_way.notices("delivery.failed")
    assert [fault["code"] for fault in failed["faults"]] == ["source-gone"]
    by_way.assert_invariants()
