"""Share mode: the AMI stays the hub's, and the target may launch it for as long as the tag and the file say so."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST
from tests.scenarios.sharing import shared, sharing_file


@pytest.mark.parametrize("scene", [datetime(2026, 1, 5, 23, 0, tzinfo=UTC)], indirect=True)
def test_a_date_in_the_targets_file_withdraws(sharing):
    """At the beginning of that day, by the sweep alone; a new tag then fails with the date's fault."""
    until = (sharing.world.now + timedelta(days=1)).date().isoformat()
    sharing.apply(sharing_file(until=until))
    sharing.tag("")
    assert shared(sharing) == {DEV: "shared"}
    assert sharing.after(1.2 * HOUR).states() == {DEV: "withdrawn"}
    assert sharing.world.shares_open() == []
    sharing.tag("true")
    sharing.run_until(lambda: sharing.reported()["delivery.failed"] == 1, HOUR)
    (failed,) = sharing.notices("delivery.failed")
    assert [fault["code"] for fault in failed["faults"]] == ["share-until-passed"]
    sharing.assert_invariants()


@pytest.mark.thorough
def test_what_comes_back_is_the_services_also_if_ec2_refused_to_remove_it_while_it_was_away(sharing):
    """The recycle bin restores permissions, too: the service made them, and takes them for its own afterwards.

    A policy of the organization denies the call, and EC2 says so before it says that the resource is gone.
    """
    ec2 = sharing.client("ec2")
    sharing.world.ec2.state.recycle_bins.add((HUB, REGION))
    sharing.tag("dev")
    sharing.run_until_over()
    assert sharing.launchable_by() == {DEV, TEST}
    ec2.deregister_image(ImageId=sharing.image)
    for snapshot in sharing.snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot)
        sharing.world.injections.refuse("ModifySnapshotAttribute", "UnauthorizedOperation", account=HUB)
    sharing.world.injections.refuse("ModifyImageAttribute", "UnauthorizedOperation", account=HUB)
    assert sharing.after(HOUR).states() == {DEV: "withdrawn", TEST: "withdrawn"}
    refused = [call.operation for call in sharing.world.calls if call.error == "UnauthorizedOperation"]
    assert sorted(refused) == ["ModifyImageAttribute", *["ModifySnapshotAttribute"] * 2]

    for snapshot in sharing.snapshots:
        ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot)
    ec2.restore_image_from_recycle_bin(ImageId=sharing.image)
    sharing.run_until_state("shared", DEV)
    sharing.untag()
    assert sharing.after(20 * 60).states() == {DEV: "withdrawn", TEST: "withdrawn"}
    assert sharing.world.shares_open() == []
    sharing.assert_invariants()
