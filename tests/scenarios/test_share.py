"""Shares: recorded before they open, as few as possible, closed when not needed; others' permissions stay."""

import pytest

from awsim.iam.ec2_needs import OLDER_FORM
from tests.scenarios.scene import DEV, HUB, PROD, REGION, STRANGER, TABLE, TEST, document, permit, targets_file
from tests.scenarios.sharing import SHARE


def test_each_share_names_its_accounts_to_iam(scene):
    """A policy that denies a call without ec2:Add/userId and ec2:Remove/userId denies none of the share worker's.

    So a policy can say to whom the share worker adds, also by the newer parameters alone.
    """
    unnamed = {"Null": {"ec2:Add/userId": "true", "ec2:Remove/userId": "true"}}
    deny = {"Effect": "Deny", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*", "Condition": unnamed}
    role = scene.world.iam.roles.named(HUB, f"{TABLE}-share-worker")
    role.policies["names-accounts"] = document(deny)

    with scene.world.rules.off(OLDER_FORM):
        assert scene.promoted("dev") == {DEV: "delivered", TEST: "delivered"}

    assert scene.shared_with(scene.snapshots[0]) == set()
    scene.assert_invariants()


def test_only_snapshots_and_one_grant_a_delivery_are_opened(scene):
    """While it copies: the snapshots for two accounts, a named grant for each role, and no launch permission.

    What a person shares with another account meanwhile stays.
    """
    scene.copying("dev", 300, DEV, TEST)

    assert [scene.shared_with(snapshot) for snapshot in scene.snapshots] == [{DEV, TEST}] * 2
    grants = scene.grants()
    assert sorted(grant["GranteePrincipal"] for grant in grants) == [
        f"arn:aws:iam::{account}:role/AmiCopyRole" for account in (DEV, TEST)
    ]
    assert all(grant["Name"].startswith(f"ami-promoter:{REGION}:") for grant in grants)
    launch = scene.client("ec2").describe_image_attribute(ImageId=scene.image, Attribute="launchPermission")
    assert launch["LaunchPermissions"] == []
    assert {share["state"] for share in scene.status()["open_shares"]} == {"open"}

    permit(scene.client("ec2"), scene.snapshots[0], STRANGER)
    scene.preexisting = {share for share in scene.world.shares_open() if STRANGER in share}
    scene.run_until_over()

    assert [scene.shared_with(snapshot) for snapshot in scene.snapshots] == [{STRANGER}, set()]
    assert scene.grants() == []
    scene.assert_invariants()


@pytest.mark.parametrize(
    ("operation", "code", "settings"),
    [
        ("ModifySnapshotAttribute", "InvalidSnapshot.NotFound", {}),
        ("ModifyImageAttribute", "InvalidAMIID.Unavailable", SHARE),
        ("CreateGrant", "InvalidArnException", {}),
    ],
)
@pytest.mark.thorough_but("ModifySnapshotAttribute-InvalidSnapshot.NotFound-settings0")
def test_what_aws_does_not_show_yet_is_opened_half_a_minute_later(scene, operation, code, settings):
    """AWS may say so of a source, or a role, that was made or enabled moments ago: one answer fails no delivery."""
    scene.apply(targets_file(**settings))
    scene.world.injections.refuse(operation, code, n=2)

    assert scene.promoted() == {DEV: "shared" if settings else "delivered"}
    scene.assert_invariants()


def test_one_closed_account_does_not_hinder_the_others(scene):
    """AWS refuses the whole batch for one closed account: it fails, and the other two are delivered."""
    scene.world.ec2.state.closed_accounts.add(TEST)
    assert scene.promoted(f"dev {PROD}") == {DEV: "delivered", TEST: "failed", PROD: "delivered"}
    scene.assert_invariants()
