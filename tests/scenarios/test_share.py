"""Shares: recorded before they open, as few as possible, closed when not needed; others' permissions stay."""

from awsim.iam.ec2_needs import OLDER_FORM
from awsim.services.ec2.seeds import volume
from awsim.services.ec2.snapshot_sharing import changed
from tests.scenarios.scene import DEV, HUB, PROD, REGION, TABLE, TEST


def test_each_share_is_on_the_ledger_before_it_is_opened(scene):
    """At each opening call the ledger's item already says that this permission is being opened."""
    seen = []

    def look(call):
        adds = call.operation == "CreateGrant" or (call.operation == "ModifySnapshotAttribute" and changed(call)[0])
        if not adds or not (call.caller.function or "").endswith("-share-worker"):
            return
        resource = call.params.get("SnapshotId") or call.params["KeyId"]
        items = [i for i in scene.items() if i["sk"].startswith("share#") and resource in i["pk"]]
        seen.append({item["state"] for item in items})

    scene.world.gateway.before.append(look)
    scene.promote("dev")

    assert seen
    assert all("opening" in states for states in seen)
    scene.assert_invariants()


def test_each_share_names_its_accounts_to_iam(scene):
    """A policy that denies a call without ec2:Add/userId and ec2:Remove/userId denies none of the share worker's.

    So a policy can say to whom the share worker adds, also by the newer parameters alone.
    """
    unnamed = {"Null": {"ec2:Add/userId": "true", "ec2:Remove/userId": "true"}}
    deny = {"Effect": "Deny", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*", "Condition": unnamed}
    role = scene.world.iam.roles.named(HUB, f"{TABLE}-share-worker")
    role.policies["names-accounts"] = {"Version": "2012-10-17", "Statement": [deny]}

    with scene.world.rules.off(OLDER_FORM):
        assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}

    assert scene.shared_with(scene.snapshots[0]) == set()
    scene.assert_invariants()


def test_only_snapshots_and_one_grant_a_delivery_are_opened(scene):
    """While it copies: the snapshots for two accounts, a named grant for each role, and no launch permission."""
    scene.world.ec2.pace.copy = 300
    scene.tag("dev")
    scene.run_until_state("copying", DEV)
    scene.run_until_state("copying", TEST)

    assert [scene.shared_with(snapshot) for snapshot in scene.snapshots] == [{DEV, TEST}] * 2
    grants = scene.grants()
    assert sorted(grant["GranteePrincipal"] for grant in grants) == [
        f"arn:aws:iam::{account}:role/AmiCopyRole" for account in (DEV, TEST)
    ]
    assert all(grant["Name"].startswith(f"ami-promoter:{REGION}:") for grant in grants)
    launch = scene.client("ec2").describe_image_attribute(ImageId=scene.image, Attribute="launchPermission")
    assert launch["LaunchPermissions"] == []
    assert {share["state"] for share in scene.status()["open_shares"]} == {"open"}

    scene.run_until_over()

    assert [scene.shared_with(snapshot) for snapshot in scene.snapshots] == [set()] * 2
    assert scene.grants() == []
    scene.assert_invariants()


def test_a_share_is_not_open_a_minute_longer_than_its_copies_run(scene):
    """Revoked when the last copy is completed, before the AMI is registered."""
    scene.world.ec2.pace.register = 600
    scene.tag("")
    scene.run_until_state("verifying")
    assert scene.after(30).delivery_state(DEV) == "verifying"
    assert scene.world.shares_open() == []
    scene.run_until_over()
    scene.assert_invariants()


def test_a_preexisting_share_stays(scene):
    """One snapshot is shared with the target already, and a person's grant exists: both stay unchanged."""
    scene.share_before(DEV, scene.snapshots[0])
    scene.client("kms").create_grant(
        KeyId=scene.key, GranteePrincipal=f"arn:aws:iam::{DEV}:root", Operations=["Decrypt"], Name="a-persons"
    )
    scene.preexisting = set(scene.world.shares_open())
    scene.promote("dev")

    assert scene.shared_with(scene.snapshots[0]) == {DEV}
    assert scene.shared_with(scene.snapshots[1]) == set()
    assert [grant["Name"] for grant in scene.grants()] == ["a-persons"]
    scene.assert_invariants()


def test_two_amis_on_one_snapshot_share_it_until_the_last_is_done(scene):
    """The second AMI uses the first one's snapshot, and still copies when the first one is done."""
    pace = scene.world.ec2.pace
    other = scene.seed("second", volumes=[volume("/dev/xvda", 8, snapshot=scene.snapshots[0])])
    scene.tag("")
    scene.run_until(lambda: len(scene.live_copies()) == 2)
    pace.copy = 400
    scene.tag("", other)
    scene.run_until_over()

    assert scene.delivery_state(DEV, other) == "copying"
    assert scene.shared_with(scene.snapshots[0]) == {DEV}
    assert scene.shared_with(scene.snapshots[1]) == set()
    assert scene.outcome(other) == {DEV: "delivered"}
    assert scene.shared_with(scene.snapshots[0]) == set()
    scene.assert_invariants()


def test_one_closed_account_does_not_hinder_the_others(scene):
    """AWS refuses the whole batch for one closed account: it fails, and the other two are delivered."""
    scene.world.ec2.state.closed_accounts.add(TEST)
    assert scene.promoted(f"dev {PROD}") == {DEV: "delivered", TEST: "failed", PROD: "delivered"}
    scene.assert_invariants()


def test_a_share_that_a_person_adds_during_the_copy_stays(scene):
    """A person shares the snapshot with another account during the copy: that permission stays."""
    stranger = "555555555555"
    scene.world.ec2.pace.copy = 200
    scene.tag("")
    scene.run_until_state("copying")
    scene.client("ec2").modify_snapshot_attribute(
        SnapshotId=scene.snapshots[0], Attribute="createVolumePermission", OperationType="add", UserIds=[stranger]
    )
    scene.preexisting = {share for share in scene.world.shares_open() if stranger in share}
    scene.run_until_over()

    assert scene.shared_with(scene.snapshots[0]) == {stranger}
    scene.assert_invariants()
