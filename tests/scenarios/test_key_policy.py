"""Key access by policy, and none: the service's statements come and go; the rest of the policy is unchanged."""

import json
from typing import Any

from awsim.services.ec2.seeds import volume
from tests.scenarios.key_policy import put, put_now
from tests.scenarios.scene import DEV, HUB, TEST, Scene, lets, targets_file

ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
OWNER = lets(HUB, "kms:*", Sid="Enable IAM User Permissions")


def sids(text: str) -> list[str]:
    return [statement["Sid"] for statement in json.loads(text)["Statement"]]


def faults_of(scene: Scene) -> list[dict[str, str]]:
    """The faults in the notice of a failed delivery."""
    (body,) = [b for b in scene.notices("delivery.failed", scene.image) if b["account"] == DEV]
    return body["faults"]


def test_two_promotions_at_once_and_a_persons_edit_leave_the_policy_as_its_owner_wants_it(scene: Scene) -> None:
    """Statements for two accounts while two AMIs copy, none afterwards; an edit between read and put stays.

    No grant is made. In the end the text is the owner's to the last byte.
    """
    scene.apply(targets_file(key_access="policy"))
    put(scene, OWNER)
    theirs = {**OWNER, "Sid": "Auditors", "Action": ["kms:DescribeKey"]}
    edited: list[str] = []
    shown: list[list[str]] = []

    def edit(call: Any) -> None:
        """A person writes the policy right after the service has read it."""
        if call.operation == "GetKeyPolicy" and (call.caller.function or "").endswith("-share-worker") and not edited:
            edited.append("")
            edited[0] = put_now(scene, OWNER, theirs)
        if call.operation == "PutKeyPolicy" and call.caller.function:
            shown.append(sids(call.params["Policy"]))

    scene.world.gateway.after.append(edit)
    scene.world.ec2.pace.copy = 300
    other = scene.seed("second", volumes=[volume("/dev/xvda", 8)])
    scene.tag("dev")
    scene.tag("", other)
    scene.run_until_state("copying", DEV)
    scene.run_until_state("copying", DEV, other)
    scene.run_until_state("copying", TEST)
    during = scene.key_policy()
    scene.run_until_over()
    scene.run_until_over(other)
    scene.wait(20)

    assert set(sids(during)) == {"Enable IAM User Permissions", "Auditors"} | {
        f"AmiPromoter{HUB}useast1To{account}Copies{look}" for account in (DEV, TEST) for look in ("", "Look")
    }
    (use,) = [s for s in json.loads(during)["Statement"] if s["Sid"] == f"AmiPromoter{HUB}useast1To{DEV}Copies"]
    assert use["Condition"]["ArnEquals"] == {"aws:PrincipalArn": ROLE}
    assert all(found[:2] == ["Enable IAM User Permissions", "Auditors"] for found in shown), shown
    assert scene.key_policy() == edited[0]
    assert scene.calls("CreateGrant") == [call for call in scene.calls("CreateGrant") if not call.caller.function]
    assert scene.states() == {DEV: "delivered", TEST: "delivered"}
    assert scene.states(other) == {DEV: "delivered"}
    scene.assert_invariants()


def test_with_key_access_none_the_key_is_never_touched(scene: Scene) -> None:
    """With `none` the owner's statement admits the role; the record shows that the key can be described."""
    scene.apply(targets_file(key_access="none"))
    use = ["kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
    text = put(scene, OWNER, {**OWNER, "Sid": "Theirs", "Principal": {"AWS": DEV}, "Action": use})
    scene.preexisting = set(scene.world.shares_open())
    assert scene.promoted() == {DEV: "delivered"}
    assert scene.key_policy() == text
    touched = {"CreateGrant", "PutKeyPolicy", "RevokeGrant", "GetKeyPolicy", "ListGrants"}
    assert not [
        c for c in scene.world.calls if c.operation in touched and (c.caller.function or "").endswith("share-worker")
    ]
    assert "the role may describe it" in str(scene.ask("history", scene.image))
    scene.assert_invariants()


def test_a_hub_that_may_not_change_key_policies_says_so(scene: Scene) -> None:
    """PolicyKeyArns is empty by default: a hub that does not need it is not allowed to."""
    scene.deploy_hub(TargetAccounts=",".join(scene.listed))
    scene.apply(targets_file(key_access="policy"))
    scene.promote()

    (denied,) = faults_of(scene)
    assert denied["code"] == "key-policy-denied"
    assert "PolicyKeyArns" in denied["cure"]
    assert scene.calls("ModifySnapshotAttribute") == []
    scene.assert_invariants()
