"""``ami-promoter admin reconcile``: after a restore of the table, or lost records, AWS and the records agree again."""

import pytest

from chalicelib.engine.addresses import delivery_id
from tests.scenarios.failures import copy_of_ours
from tests.scenarios.platform import HISTORY, backup, codes, reconcile, restore
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST, targets_file


def assert_one_image(scene, image=None):
    """The target owns one AMI, the named one if any, with its two copies; and nothing is open."""
    found = scene.image_in(DEV)["ImageId"]
    assert image in (None, found)
    assert len(scene.snapshots_in(DEV)) == 2
    scene.assert_invariants()


@pytest.mark.parametrize("moment", ["", "awaiting-slot"])
@pytest.mark.thorough
def test_the_table_is_put_back_to_before_it_was_delivered(scene, moment):
    """The restored table lacks the AMI's nonce: the AMI stays, unproven. After a person accepts it, it is delivered."""
    scene.wait(400)
    if moment:
        scene.tag("")
        scene.run_until_state(moment)
        then = backup(scene)
        scene.run_until_over()
    else:
        then = backup(scene)
        scene.promote("")
    image = scene.image_in(DEV)["ImageId"]
    scene.wait(900)
    restore(scene, then)

    reconcile(scene, "--apply")
    scene.run_until_state("failed")
    (fault,) = scene.delivery(DEV)["faults"]
    assert (fault["code"], image in fault["what"]) == ("image-unproven", True)
    assert scene.image_in(DEV)["ImageId"] == image
    scene.come_to_rest()
    assert len(scene.snapshots_in(DEV)) == 2, "what was copied since is removed, and nothing else"

    assert scene.cli("retry", scene.image, "--account", DEV, "--accept", image)[0] == 0
    scene.run_until_state("delivered")
    scene.come_to_rest()
    scene.watch.problems.clear()  # unknown copies were made again
    assert scene.delivery(DEV)["image"] == image
    assert scene.delivery(DEV)["leftovers"] == []
    assert_one_image(scene, image)


def test_the_table_is_put_back_while_copies_run_that_it_does_not_know(scene):
    """Permissions are open that the ledger does not have. They stay open under the copies, and close after."""
    open_unknown(scene)

    status, report = reconcile(scene, "--apply")

    assert (status, codes(report)) == (0, {"open-unknown"})
    assert len(scene.world.shares_open()) == 3
    scene.run_until_state("delivered", seconds=2 * HOUR)
    scene.come_to_rest()
    tidy_unknown(scene)
    assert_one_image(scene)


def tidy_unknown(scene):
    """Delete the copies that no record has, as a person does on reading of them: everything was copied again."""
    used = {mapping["Ebs"]["SnapshotId"] for mapping in scene.image_in(DEV)["BlockDeviceMappings"]}
    left = {snapshot["SnapshotId"] for snapshot in scene.snapshots_in(DEV)} - used
    assert len(left) == 2
    assert left == set(scene.delivery(DEV)["leftovers"])
    for snapshot in left:
        scene.client("ec2", DEV).delete_snapshot(SnapshotId=snapshot)
    scene.watch.problems.clear()


def open_unknown(scene):
    """Restore the table to before the tag while two copies run; CloudTrail shows by then who shared."""
    scene.world.ec2.pace.copy = 2400
    scene.wait(400)
    then = backup(scene)
    scene.begin_copies()
    scene.wait(HISTORY)
    restore(scene, then)


@pytest.mark.thorough
def test_records_are_lost_for_good_and_so_is_the_tag(scene):
    """No worker would look at those copies again: `admin reconcile` reports them first, and deletes them on demand."""
    scene.world.ec2.pace.copy = 900
    scene.wait(400)
    then = backup(scene)
    scene.begin_copies()
    with scene.world.injections.silence():
        scene.untag()
        scene.wait(3)
    restore(scene, then)
    scene.wait(1200)

    status, report = reconcile(scene)
    assert (status, codes(report)) == (4, {"open-unknown", "copy-orphaned"})
    assert len(scene.snapshots_in(DEV)) == 2
    assert len(scene.world.shares_open()) == 3

    status, report = reconcile(scene, "--apply")
    assert (status, report["in_order"]) == (0, True)
    assert scene.after(180).snapshots_in(DEV) == []
    assert scene.world.shares_open() == []
    scene.assert_invariants()


def test_what_others_have_shared_stays(scene):
    """A person's share, unknown to the service or on a snapshot that it had opened once: reported, and kept."""
    scene.promote(DEV)
    scene.wait(300)  # until two looks have missed the service's: what shows from then on is not its own
    root, data = scene.snapshots
    for snapshot, account in ((root, DEV), (data, TEST)):
        scene.share_before(account, snapshot)
    scene.wait(HISTORY)

    status, report = reconcile(scene, "--apply")

    assert status == 0
    assert {one["code"] for one in report["found"]} == {"open-not-own"}
    assert scene.after(180).shared_with(root) == {DEV}
    assert scene.shared_with(data) == {TEST}
    scene.assert_invariants()


def test_a_grant_is_the_services_by_its_name(scene):
    """A grant with the service's name that the ledger lacks is revoked; one with another name stays."""
    ours = f"ami-promoter:{REGION}:{delivery_id(HUB, scene.image, DEV, REGION)}:7"
    for name in (ours, "backup-of-dev"):
        scene.client("kms").create_grant(
            KeyId=scene.key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Operations=["Decrypt"], Name=name
        )
    status, report = reconcile(scene, "--apply", "--key", scene.key, "--hub-only")

    assert (status, codes(report)) == (0, {"open-unknown"})
    scene.run_until(lambda: {grant["Name"] for grant in scene.grants()} == {"backup-of-dev"}, seconds=3700)


def test_orphaned_copies_are_deleted_on_demand_and_none_that_is_in_use(scene):
    """An unused one is deleted. One in an AMI of the owner's own stays, and so does another hub's."""
    unused, used = (copy_of_ours(scene, f"{n:020x}") for n in range(2))
    scene.wait(300)
    ec2 = scene.client("ec2", DEV)
    device = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": used}}
    ec2.register_image(
        Name="the-owners-own", RootDeviceName="/dev/xvda", VirtualizationType="hvm", BlockDeviceMappings=[device]
    )
    theirs = copy_of_ours(scene, "0" * 20, hub="999999999999")
    scene.wait(900)

    status, report = reconcile(scene)
    assert (status, codes(report)) == (4, {"copy-orphaned"})
    assert [one["where"].split()[0] for one in report["found"]] == [unused]
    assert {snapshot["SnapshotId"] for snapshot in scene.snapshots_in(DEV)} == {unused, used, theirs}

    assert reconcile(scene, "--apply")[0] == 0
    assert {snapshot["SnapshotId"] for snapshot in scene.snapshots_in(DEV)} == {used, theirs}


def test_all_is_in_order_until_a_target_cannot_be_seen(scene):
    """Delivered, and nothing open: no finding, exit status 0. Where its role is gone: 4; the other targets are read.

    So is a key that a person named and KMS has not.
    """
    scene.promote("")
    status, report = reconcile(scene)
    assert (status, codes(report)) == (0, set())
    assert report["targets"] == {"seen": 3, "asked": 3}
    scene.assert_delivered(DEV)

    scene.drop_role(DEV)
    status, report = reconcile(scene)
    assert (status, codes(report)) == (4, {"not-seen"})
    assert report["targets"] == {"seen": 2, "asked": 3}
    (said,) = (one["what"] for one in report["found"])
    assert ": role/AmiCopyRole. The role is missing there" in said.replace(":role", ": role"), said
    assert "The service tries again" not in said

    missing = f"arn:aws:kms:{REGION}:{HUB}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    status, report = reconcile(scene, "--hub-only", "--key", missing)
    assert (status, {(one["code"], one["where"]) for one in report["found"]}) == (4, {("not-seen", missing)})


def test_what_was_shared_on_a_key_that_was_deleted_is_not_missing(scene):
    """Its grants went with it, and no repair could open one again: there is nothing to do."""
    scene.apply(targets_file(mode="share", key_access="grant"))
    scene.promote(DEV)
    scene.wait(HOUR)
    scene.world.kms.keys.keys[scene.key].deletion = scene.world.now

    status, report = reconcile(scene, "--hub-only", "--apply")

    assert (status, codes(report)) == (0, set())
