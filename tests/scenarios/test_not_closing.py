"""AWS does not let the service close shares: each command that a person asks says which, why, and what to do."""

from tests.scenarios.failures import calm_pace, refuse
from tests.scenarios.scene import DEV, HOUR, HUB, REGION

CLOSES = ("ModifySnapshotAttribute", "RevokeGrant", "RetireGrant")


def test_a_share_that_does_not_close_is_shown_with_its_cause_wherever_a_person_looks(scene):
    """By account, call and AWS's answer, with the command that closes it by hand; nothing says so before and after."""
    calm_pace(scene)
    scene.begin_copies(DEV)
    checks = "doctor --hub-only", "admin reconcile --hub-only", f"verify {scene.image}"
    looks = ("status", "status --failed", f"status {scene.image}", *checks)
    before = [scene.prints(*look.split())[1] for look in looks]
    for operation in CLOSES:
        refuse(scene, operation, HUB, "UnauthorizedOperation", status=403, seconds=HOUR)
    scene.run_until_over()

    scene.wait(HOUR / 2)
    during = [scene.prints(*look.split())[1] for look in (*looks, "admin drain --yes")]
    report = scene.ask("status", scene.image)["promotion"]["open_shares"]
    scene.wait(HOUR)
    after = [scene.prints(*look.split())[1] for look in looks]

    why = "ModifySnapshotAttribute was refused: UnauthorizedOperation (request "
    grant = f"aws kms revoke-grant --region {REGION} --key-id {scene.key} --grant-id "
    for said in during:
        by_hand = any(f"--region {REGION} --snapshot-id {one} " in said for one in scene.snapshots)
        assert (why in said, by_hand, f"--user-ids {DEV}" in said, grant in said) == (True,) * 4, said
    assert sorted(why in one["not_closing"]["what"] for one in report) == [False, True, True]
    assert [why in said for said in (*before, *after)] == [False] * 12
