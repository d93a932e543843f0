"""Copy method image: CopyImage in the target, with a launch permission only while it reads."""

import pytest

from tests.scenarios.scene import DEV, HOUR, REGION, SNAPSHOT_TAG, TEST, lets, put_key_policy, targets_file


@pytest.fixture
def image_scene(scene):
    """A scene with targets that copy whole AMIs."""
    scene.apply(targets_file(copy_method="image"))
    return scene


def tags_of(raw) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw["Tags"]}


def test_an_ami_is_copied_by_copy_image_and_nothing_stays_shared(image_scene):
    """Two accounts, two volumes each: all shares are open until EC2's event reports available, and closed seconds
    later.

    AMI and snapshots have their sources' tags and the service's, each snapshot is under the target's key, and the AMI
    launches.
    """
    sources = image_scene.client("ec2").describe_snapshots(SnapshotIds=list(image_scene.snapshots))["Snapshots"]
    image_scene.client("ec2").create_tags(
        Resources=[image_scene.snapshots[1]], Tags=[{"Key": "volume", "Value": "second"}]
    )
    image_scene.tag("dev")
    image_scene.run_until(lambda: len(image_scene.calls("CopyImage")) == 2)
    image_scene.run_until_state("verifying")
    assert image_scene.after(5).launchable_by() == {DEV, TEST}
    assert all(image_scene.shared_with(snapshot) == {DEV, TEST} for snapshot in image_scene.snapshots)
    assert len(image_scene.grants()) == 2
    began = image_scene.world.now
    image_scene.run_until_over()

    assert image_scene.states() == {DEV: "delivered", TEST: "delivered"}
    assert image_scene.launchable_by() == set()
    assert (image_scene.world.now - began).total_seconds() < 60  # by the event: a poll comes after a minute
    for account in (DEV, TEST):
        image, snapshots = image_scene.image_in(account), image_scene.snapshots_in(account)
        key = image_scene.world.client("kms", account, REGION).describe_key(KeyId="alias/ami-promoter")["KeyMetadata"][
            "Arn"
        ]
        assert image["Name"] == f"golden-2026-01-{image_scene.image}"
        assert image["SourceImageId"] == image_scene.image
        used = {mapping["DeviceName"]: mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]}
        assert set(used.values()) == {one["SnapshotId"] for one in snapshots}
        assert {one["KmsKeyId"] for one in snapshots} == {key}
        assert {tags_of(one)[SNAPSHOT_TAG] for one in snapshots} == {one["SnapshotId"] for one in sources}
        (second,) = [one for one in snapshots if tags_of(one)[SNAPSHOT_TAG] == image_scene.snapshots[1]]
        assert tags_of(second)["volume"] == "second"
        assert tags_of(image)["ami-promoter:source-image"] == image_scene.image
        assert not {"promote"} & tags_of(image).keys()
        assert image_scene.launch(account, image["ImageId"]) == ""
    (notice,) = [one for one in image_scene.notices("delivery.delivered") if one["account"] == DEV]
    assert sorted(copy["copy"] for copy in notice["copies"]) == sorted(
        s["SnapshotId"] for s in image_scene.snapshots_in(DEV)
    )
    assert image_scene.calls("CopySnapshot") == image_scene.calls("RegisterImage") == []
    image_scene.assert_invariants()


def test_auto_copies_by_copy_image_what_registering_cannot_make(scene):
    """TPM with uefi-preferred, and Windows, use CopyImage, which keeps them; a plain AMI uses its snapshots.

    ``ami-promoter status`` says why. If the file says `snapshots`, the same AMIs are refused with a cure.
    """
    tpm = scene.seed("tpm", BootMode="uefi-preferred", TpmSupport="v2.0", uefi_data="AAAA")
    billed = {"PlatformDetails": "Windows", "UsageOperation": "RunInstances:0002", "Platform": "windows"}
    windows = scene.seed("windows", **billed)
    scene.tag("", tpm)
    scene.run_until_refused(tpm)
    assert scene.faults(tpm) == {"source-tpm-uefi-preferred"}
    (fault,) = scene.notices("promotion.refused", tpm)[0]["faults"]
    _, planned = scene.prints("plan", windows, "default")
    for said in (fault["cure"], planned):
        assert "Write `copy_method: auto` in the targets file" in said
        assert "Until that copy is done the target can also launch the hub's own AMI." in said

    scene.apply(targets_file(copy_method="auto"))
    scene.untag(tpm)
    for image in (scene.image, tpm, windows):
        scene.tag("", image)
    for image in (scene.image, tpm, windows):
        scene.run_until_over(image)

    names = {"tpm": tpm, "windows": windows, "golden-2026-01": scene.image}
    made = {tags_of(image)["ami-promoter:source-image"]: image for image in scene.images_in(DEV)}
    assert made.keys() == set(names.values())
    assert (made[tpm]["BootMode"], made[tpm]["TpmSupport"]) == ("uefi-preferred", "v2.0")
    assert {name: made[windows][name] for name in billed} == billed
    assert {call.params["SourceImageId"] for call in scene.calls("CopyImage")} == {tpm, windows}
    assert len(scene.calls("RegisterImage")) == 1
    assert "uefi-preferred" in scene.delivery(DEV, tpm)["method_why"]
    _, said, _ = scene.cli("status", windows)
    assert "CopyImage: copy_method auto: The image is billed as Windows" in said
    assert scene.delivery(DEV)["method"] == "snapshots"
    scene.assert_invariants()


def test_a_key_that_is_true_late_fails_a_copy_and_not_the_delivery(image_scene):
    """The grant takes effect after the first CopyImage: its AMI failed and is removed; the next try has a new token."""
    image_scene.world.kms.grants.delay = (90.0, 90.0)
    image_scene.promote("")

    tokens = [call.params["ClientToken"] for call in image_scene.calls("CopyImage")]
    assert len(tokens) == len(set(tokens)) > 1
    assert image_scene.states() == {DEV: "delivered"}
    assert len(image_scene.snapshots_in(DEV)) == len(image_scene.snapshots)
    image_scene.assert_invariants()


@pytest.mark.thorough
def test_a_target_key_that_the_role_may_not_use_fails_with_what_to_do(image_scene):
    """CopyImage accepts any key, and fails late: retried for ten minutes, then EC2's error; nothing is left."""
    kms = image_scene.world.client("kms", DEV, REGION)
    key = kms.describe_key(KeyId="alias/ami-promoter")["KeyMetadata"]["KeyId"]
    put_key_policy(kms, key, lets(DEV, "kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"))
    image_scene.promote("", seconds=2 * HOUR)

    assert image_scene.states() == {DEV: "failed"}
    (fault,) = image_scene.delivery(DEV)["faults"]
    assert fault["code"] == "image-copy-failed"
    assert f"account {DEV}, {REGION}" in fault["where"]
    assert "Given key ID is not accessible" in fault["what"]
    assert f"`ami-promoter doctor --account {DEV}` checks the target's key" in fault["cure"]
    assert 3 <= len(image_scene.calls("CopyImage")) <= 6
    assert image_scene.images_in(DEV) == image_scene.snapshots_in(DEV) == []
    image_scene.assert_invariants()


@pytest.mark.thorough
def test_an_ami_of_many_volumes_is_tagged_by_several_runs(image_scene):
    """EC2 takes more than a second for each call that changes something, and a run has half a minute."""
    image_scene.image = image_scene.seed("many-volumes", volumes=(8,) * 40)
    image_scene.world.injections.early_events(1.2)
    image_scene.tag("")
    image_scene.wait(2 * 3600)
    assert image_scene.delivery_state(DEV) == "delivered"
