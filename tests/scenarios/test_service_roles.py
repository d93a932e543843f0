"""Service-linked roles: Auto Scaling launches a promoted AMI, with a grant on the key that the AMI needs."""

import json
import re

import pytest

from tests.scenarios.platform import backup, codes, reconcile, restore
from tests.scenarios.scene import AUTO_SCALING, DEV, HUB, PROD, REGION, ROLE, SERVICE, TEST, targets_file

SHARE = {"mode": "share"}
COPY = {"service_linked_roles": [AUTO_SCALING]}
NAMED = SHARE | COPY
THESE = {"default": [DEV], "dev": [DEV, TEST]}


@pytest.fixture
def begin(scene):
    """Apply a targets file by which DEV and TEST get AMIs in one way; Auto Scaling has its role in both accounts."""

    def begin(how, roles=(DEV, TEST)):
        scene.apply(targets_file(THESE, **how))
        for account in roles:
            scene.world.iam.put_service_linked_role(account, SERVICE)
        return scene

    return begin


def scale_out(scene, account=DEV, image="") -> str:
    """Let Auto Scaling launch an AMI there; "" if the instance runs, else EC2's reason."""
    return scene.launch(account, image, by=ROLE)


def for_roles(scene, key, account=HUB):
    """(grantee, issuer) of the grants for service-linked roles on a key, as its owner lists them."""
    grants = scene.client("kms", account).list_grants(KeyId=key)["Grants"]
    found = [(g["GranteePrincipal"], g["IssuingAccount"].split(":")[4]) for g in grants]
    return [(grantee, issuer) for grantee, issuer in found if "/aws-service-role/" in grantee]


def without(scene, account, *sids):
    """Remove statements from the target roles' policies, like those of an older deploy/target.yaml."""
    for name in ("AmiCopyRole", "AmiCopyRole-grants"):
        for document in scene.world.iam.roles.named(account, name).policies.values():
            document["Statement"] = [one for one in document["Statement"] if one["Sid"] not in sids]


def test_auto_scaling_launches_the_hubs_ami_for_as_long_as_it_is_shared(begin):
    """The target's account creates the grant when the key admits it, and the hub revokes it."""
    scene = begin(SHARE)
    scene.tag("dev")
    assert scene.outcome() == {DEV: "shared", TEST: "shared"}
    assert [scale_out(scene, account) for account in (DEV, TEST)] == ["", ""]
    assert sorted(for_roles(scene, scene.key)) == [(f"arn:aws:iam::{it}:role/{ROLE}", it) for it in (DEV, TEST)]
    shown = [it for it in scene.status()["open_shares"] if it["resource"] == f"role#{scene.key}#{DEV}"]
    assert [(it["account"], it["state"], it["stays"]) for it in shown] == [(DEV, "open", True)]
    assert "until they are withdrawn" in scene.cli("status", scene.image)[1]

    scene.tag(TEST)  # the file no longer lists DEV
    scene.run_until_state("withdrawn")
    assert scale_out(scene.after(15 * 60)) != ""
    assert scale_out(scene, TEST) == ""
    assert [issuer for _, issuer in for_roles(scene, scene.key)] == [TEST]
    scene.untag()
    scene.run_until_state("withdrawn", TEST)
    assert for_roles(scene.after(15 * 60), scene.key) == []
    assert {call.caller.account for call in scene.calls("RevokeGrant")} == {HUB}
    assert scene.world.shares_open() == []
    scene.assert_invariants()


def test_auto_scaling_launches_the_targets_own_copy(begin):
    """The grant is on the target's own key, and stays with the AMI, also after a drain of the hub."""
    scene = begin(COPY, roles=(DEV,))
    scene.promote()

    mine = scene.image_in(DEV)
    key = scene.delivery(DEV)["key"]
    assert scale_out(scene, image=mine["ImageId"]) == ""
    assert for_roles(scene, key, DEV) == [(f"arn:aws:iam::{DEV}:role/{ROLE}", DEV)]
    scene.untag()
    assert scale_out(scene.after(30 * 60), image=mine["ImageId"]) == ""
    drained = scene.ask("admin", "drain", "--yes")
    assert (drained["drained"], drained["open_shares"]) == (True, [])
    assert [kept["resource"] for kept in drained["kept"]] == [f"role#{key}#{DEV}"]
    scene.assert_invariants()


def test_a_role_that_was_made_again_gets_a_grant_with_the_next_ami(begin):
    """The grant on the target's own key is to the deleted role; the new one serves the AMIs of before, too."""
    scene = begin(COPY, roles=(DEV,))
    scene.promote()
    before, key = scene.image_in(DEV)["ImageId"], scene.delivery(DEV)["key"]
    scene.world.iam.roles.drop(f"arn:aws:iam::{DEV}:role/{ROLE}")
    scene.world.iam.put_service_linked_role(DEV, SERVICE)
    assert scale_out(scene.after(10 * 60), image=before) != ""

    scene.image = scene.seed("golden-2")
    scene.promote()

    after = scene.copy_of(scene.image)["ImageId"]
    assert [scale_out(scene, image=one) for one in (before, after)] == ["", ""]
    assert for_roles(scene, key, DEV) == [(f"arn:aws:iam::{DEV}:role/{ROLE}", DEV)]
    scene.assert_invariants()


def test_a_default_role_that_is_missing_is_a_warning(begin):
    """An account that never used Auto Scaling gets the AMI; a person learns what it goes without, and what to do."""
    scene = begin(SHARE, roles=(DEV,))
    _, plan = scene.said("plan", "dev")
    scene.promote("dev")

    assert "goes on there without that grant." in plan
    assert scene.states() == {DEV: "shared", TEST: "shared"}
    assert scene.launch(TEST) == ""
    assert [grantee.split(":")[4] for grantee, _ in for_roles(scene, scene.key)] == [DEV]
    said = scene.said("status")[1]
    assert f"{TEST} {REGION}: There is no grant for {AUTO_SCALING}, which the account does not have." in said
    assert f"`aws iam create-service-linked-role --aws-service-name {SERVICE}`" in said
    _, shown = scene.prints("doctor")
    assert f"warning {TEST} {REGION}: service-roles There is no grant for {AUTO_SCALING}" in shown
    assert (scene.cli("admin", "reconcile")[0], scene.said("verify")[0]) == (0, 0)

    scene.world.iam.put_service_linked_role(TEST, SERVICE)
    for words in ((), ("--lift",)):
        assert scene.cli("withdraw", "--yes", scene.image, "--account", TEST, *words)[0] == 0
        scene.run_until_state("shared" if words else "withdrawn", TEST)
    assert scale_out(scene, TEST) == ""
    scene.untag()
    scene.run_until_state("withdrawn", TEST)
    scene.assert_invariants()


@pytest.mark.thorough
def test_on_a_third_accounts_key_no_grant_is_made_that_the_hub_could_not_end(begin):
    """The AMI is shared without it, and a person learns that; where the file names the role, the delivery fails."""
    scene = begin(SHARE | {"key_access": "none"}, roles=(DEV,))
    owner = scene.client("kms", PROD)
    key = owner.create_key()["KeyMetadata"]["Arn"]
    statement = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    admits = [statement | {"Principal": {"AWS": f"arn:aws:iam::{one}:root"}} for one in (PROD, HUB, DEV)]
    text = json.dumps({"Version": "2012-10-17", "Statement": admits})
    owner.put_key_policy(KeyId=key, PolicyName="default", Policy=text)
    grants = scene.world.iam.roles.named(DEV, "AmiCopyRole-grants").policies["ami-promoter-grants"]["Statement"]
    next(one for one in grants if one["Sid"] == "LetServiceRolesUseHubKeys")["Resource"] = key  # SourceKeyArns
    scene.image = scene.seed("golden-under-a-third-key", key=key)
    scene.wait(400)
    scene.promote("default")

    assert scene.states() == {DEV: "shared"}
    assert for_roles(scene, key, PROD) == []
    said = scene.said("status")[1]
    assert f"There is no grant for {AUTO_SCALING} on {key}: the hub could not end it" in said
    scene.untag()
    scene.run_until_state("withdrawn")
    assert scene.after(10 * 60).launchable_by() == set()

    scene.apply(targets_file(THESE, **NAMED, key_access="none"))
    scene.promote("default")
    (fault,) = scene.delivery(DEV)["faults"]
    assert fault["code"] == "service-linked-role-foreign-key"
    assert "`service_linked_roles: []`" in fault["cure"]
    assert scene.launchable_by() == set()


def test_what_is_missing_is_named_and_nothing_stays_open(begin):
    """TEST has no such role, as its checks report; DEV has an older deploy/target.yaml, as KMS's refusal shows.

    The plan says what the role is needed for, as the file names it.
    """
    scene = begin(NAMED, roles=(DEV,))
    gets = f"{AUTO_SCALING} gets a grant on the key. Without such a role the delivery fails there."
    assert gets in scene.said("plan", "dev")[1]
    without(scene, DEV, "LetServiceRolesUseHubKeys", "LookForServiceRoles")
    scene.promote("dev")

    (missing,) = scene.delivery(TEST)["faults"]
    assert missing == {
        "code": "service-linked-role-missing",
        "where": f"account {TEST}, {REGION}",
        "what": f"The account has no service-linked role {AUTO_SCALING}, to which the key is to be granted.",
        "cure": f"Make it there (aws iam create-service-linked-role --aws-service-name {SERVICE}), or take it out of "
        "`service_linked_roles` in the targets file; then tag the AMI again.",
    }
    assert not any(TEST in json.dumps(call.params) for call in scene.calls("PutKeyPolicy"))
    (denied,) = scene.delivery(DEV)["faults"]
    assert (denied["code"], denied["where"]) == ("service-linked-role-not-granted", f"account {DEV}, {REGION}")
    assert re.sub(r" \(request [0-9a-f-]+\)", "", denied["what"]) == (
        f"{AUTO_SCALING} gets no grant on {scene.key}, because the grant role there lacks kms:CreateGrant on it. "
        f"CreateGrant was refused: AccessDeniedException: User: arn:aws:sts::{DEV}:assumed-role/AmiCopyRole-grants/"
        f"ami-promoter-service-roles is not authorized to perform: kms:CreateGrant on resource: {scene.key} because no "
        "identity-based policy allows the kms:CreateGrant action."
    )
    assert denied["cure"].startswith("Deploy this version's deploy/target.yaml there ")
    assert scene.after(15 * 60).launchable_by() == set()
    assert for_roles(scene, scene.key) == []
    assert scene.world.shares_open() == []
    scene.assert_invariants()


@pytest.mark.parametrize("how", [SHARE, COPY], ids=["share", "copy"])
def test_without_the_grant_role_it_says_beforehand_what_would_not_launch(begin, how):
    """CreateGrantRole=false: nothing is opened, until the targets file says that no service launches it."""
    scene = begin(how, roles=(DEV,))
    scene.world.iam.roles.drop(f"arn:aws:iam::{DEV}:role/AmiCopyRole-grants")
    scene.promote("")

    (missing,) = scene.delivery(DEV)["faults"]
    assert (missing["code"], missing["where"]) == ("grant-role-missing", f"account {DEV}, {REGION}")
    assert missing["what"] == (
        "The account has no role AmiCopyRole-grants, with which the hub grants the key; so "
        f"{AUTO_SCALING} could not launch the AMI."
    )
    assert "`service_linked_roles: []`" in missing["cure"]
    assert scene.world.shares_open() == []

    scene.apply(targets_file(**SHARE, service_linked_roles=[]) if how == SHARE else targets_file())
    scene.tag("default")
    scene.run_until_state("shared" if how == SHARE else "delivered")
    scene.assert_invariants()


def test_a_table_put_back_to_before_it_was_shared_knows_its_shares_again(begin):
    """`admin reconcile` shows that the service opened them: launch permission and grant end with the tag."""
    scene = begin(SHARE)
    scene.wait(400)
    then = backup(scene)
    scene.promote()
    scene.wait(900)  # until CloudTrail shows who shared
    restore(scene, then)
    scene.run_until_over(times=2)  # discovery finds the tag, and takes the open permissions for preexisting ones

    _, report = reconcile(scene, "--apply", "--hub-only")
    scene.wait(60)

    assert "open-unknown" in codes(report)
    assert scene.states() == {DEV: "shared"}
    assert scale_out(scene) == ""
    scene.untag()
    scene.run_until_state("withdrawn", seconds=75 * 60)  # what `admin reconcile` has added waits an hour for a delivery
    scene.wait(75 * 60)
    assert scene.launchable_by() == set()
    assert for_roles(scene, scene.key) == []
    scene.assert_invariants()
