"""Shares forged with the credentials of ``worker``, which writes the table of records [invariants 8 and 11].

The share worker is woken, and finds a share, its holding, and a matching head. It asks EC2 and the applied file, so it
opens nothing, and the share says why.
"""

import pytest

from chalicelib.sharing.share import Purpose, Share, ShareState
from tests.scenarios.forgeries import REFUSED, TAGGED, UNTAGGED, WAITS, Forger, Forgery, role_of
from tests.scenarios.platform import new_version
from tests.scenarios.scene import DEV, PROD, STRANGER, targets_file

ORGANIZATION = "arn:aws:organizations::900000000000:organization/o-a1b2c3d4e5"
UNIT = "arn:aws:organizations::900000000000:ou/o-a1b2c3d4e5/ou-ab12-11111111"

NO_PART, ANOTHER, NOT_NOW = "no part of", "another receiver", "does not name it now"
NOT_SHOWN = "does not show it as a part"
NOT_LISTED = f"does not contain account {STRANGER}"
FORGERIES = {
    "an untagged snapshot, to a stranger": Forgery("snapshot:untagged", STRANGER, (UNTAGGED, STRANGER), NOT_LISTED),
    "a tagged AMI's snapshot, to a stranger": Forgery("snapshot:tagged", STRANGER, (TAGGED, STRANGER), NOT_LISTED),
    "a stranger in the name of a target": Forgery("snapshot:tagged", STRANGER, (TAGGED, DEV), ANOTHER),
    "an untagged snapshot, to a target": Forgery("snapshot:untagged", DEV, (UNTAGGED, DEV), NOT_NOW, WAITS),
    "an untagged snapshot in the name of a tagged AMI": Forgery("snapshot:untagged", DEV, (TAGGED, DEV), NO_PART),
    "a listed account that the tag does not name": Forgery("snapshot:tagged", PROD, (TAGGED, PROD), NOT_NOW, WAITS),
    "another key": Forgery("key:other", DEV, (TAGGED, DEV), NOT_SHOWN, WAITS, grantee=role_of(DEV)),
    "another key by its policy": Forgery("policy:other", DEV, (TAGGED, DEV), NOT_SHOWN, WAITS, grantee=role_of(DEV)),
    "the key, to a stranger's role": Forgery(
        "key:own", DEV, (TAGGED, DEV), "is not of that account", grantee=role_of(STRANGER)
    ),
    "the key, to everybody": Forgery("policy:own", DEV, (TAGGED, DEV), "is not of that account", grantee="*"),
    "launching, by a stranger": Forgery("image:tagged", STRANGER, (TAGGED, DEV), ANOTHER),
    "launching, by an organization": Forgery("image:tagged", ORGANIZATION, (TAGGED, DEV), ANOTHER),
    "launching, by a unit": Forgery("image:tagged", UNIT, (TAGGED, DEV), ANOTHER),
    "launching an untagged AMI": Forgery("image:untagged", DEV, (UNTAGGED, DEV), NOT_NOW, WAITS),
    "launching another AMI than the tagged one": Forgery("image:untagged", DEV, (TAGGED, DEV), NO_PART),
}


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("mode", ["copy", "share"])
@pytest.mark.thorough_but("copy-copy")
def test_a_forged_share_is_not_opened_and_says_why(scene, mode, purpose):
    """Whatever it opens to whom: no permission, grant or statement of it appears."""
    if mode == "share":
        scene.apply(targets_file(mode="share"))
    scene.promote("")
    before, policy = set(scene.world.shares_open()), scene.key_policy()
    forger, begun = Forger(scene), scene.world.now
    for forgery in FORGERIES.values():
        forger.write(forgery, purpose)
        scene.wait(15)
        assert_not_opened(forgery, forger.look(forgery), purpose)
    assert set(scene.after(600).world.shares_open()) == before
    assert scene.key_policy() == policy
    assert scene.watch.problems == []
    made = {"ModifySnapshotAttribute", "ModifyImageAttribute", "CreateGrant", "PutKeyPolicy"}
    since = [c for c in scene.world.calls if c.operation in made and c.at > begun]
    assert since == [], "nothing was opened for a moment, either"


CARELESS = """
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.worker.entitlements import LiveEntitlements
LiveEntitlements.judge = lambda *_: Judgement()
"""


def test_where_nobody_asks_a_forged_share_opens(scene, tmp_path):
    """The scenario can fail: a stranger may read an untagged snapshot where neither the package nor IAM asks for whom.

    IAM asks by ``TargetAccounts``, which this hub does not have.
    """
    scene.deploy_hub(new_version(tmp_path, "careless", CARELESS))
    forger = Forger(scene)
    forger.write(FORGERIES["an untagged snapshot, to a stranger"], Purpose.COPY)
    assert scene.after(90).shared_with(forger.snapshots[UNTAGGED]) == {STRANGER}
    assert any(STRANGER in problem for problem in scene.watch.problems)


def assert_not_opened(forgery: Forgery, share: Share, purpose: Purpose) -> None:
    """It is refused for good, or waits for a condition that may change, and it names the reason.

    A standing share also waits if the target's settings do not have it now.
    """
    reason = share.fault or share.waits_for
    assert reason is not None, f"{forgery}: {share}"
    codes = ("not-entitled", "not-entitled-now", "not-shown-as-its-part", "settings-changed", "grantee-elsewhere")
    assert reason.code in codes, f"{forgery}: {reason}"
    assert share.state in (ShareState.REFUSED, ShareState.WANTED), f"{forgery}: {share}"
    if purpose is Purpose.COPY:
        assert forgery.says in reason.what, f"{forgery}: {reason}"
        assert share.state is (ShareState.REFUSED if forgery.ends == REFUSED else ShareState.WANTED), (
            f"{forgery}: {share}"
        )
