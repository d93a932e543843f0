"""The pitfalls in guides to sharing encrypted AMIs: each is reproduced, and reported with cause and cure.

`ami-promoter doctor` reports those that it can see before a copy, and the delivery's fault the others.
"""

import pytest

from demo import stage
from tests.scenarios.failures import assert_untouched
from tests.scenarios.platform import doctor
from tests.scenarios.scene import DEV, HOUR, HUB, REGION, TEST, document, lets, put_key_policy, targets_file
from tests.scenarios.sharing import sharing_file

ROLE = f"arn:aws:iam::{DEV}:role/AmiCopyRole"
USE = ["kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
NO_RIGHT = "Client.InternalError: Client error on launch"


def denied(action: str, *actions: str):
    return document({"Effect": "Deny", "Action": [action, *actions], "Resource": "*"})


def attach_control_policy(scene, account: str, policy, kind: str = "service"):
    """Attach a control policy to an account, in an organization of the hub and all targets."""
    people = scene.world.organizations
    made = people.create(stage.MANAGEMENT)
    for member in (HUB, *stage.TARGETS.values()):
        people.add_account(made, member)
    people.attach(made, "deny", policy, [account], kind)


def own_key_policy(scene, *statements):
    """Give DEV's key a policy that does not delegate to IAM; the account's root may still change it."""
    key = scene.stage.targets[DEV].outputs["KeyArn"]
    admin = lets(DEV, "kms:Put*", "kms:Get*", "kms:Describe*", Sid="Admin")
    put_key_policy(scene.client("kms", DEV), key, admin, *statements)
    scene.wait(60)  # until it takes effect
    return key


def fails(scene, account: str = DEV):
    """Run until a delivery has failed; return its fault. The healthy delivery beside it is unaffected."""
    scene.tag("dev")
    scene.run_until(lambda: [n for n in scene.notices("delivery.failed") if n["account"] == account], 3 * HOUR)
    scene.run_until_over()
    assert_untouched(scene, TEST)
    (reported,) = scene.notices("delivery.failed")
    fault, *others = reported["faults"]  # of the other copy, if both ended before a look
    assert {one["cure"] for one in others} <= {fault["cure"]}
    return fault


def test_the_target_cannot_see_the_snapshot(scene):
    """By hand: it was not shared. With the service: an SCP forbids the hub to share; the fault names that policy."""
    there = scene.client("ec2", DEV)
    by_hand = there.copy_snapshot(SourceRegion=REGION, SourceSnapshotId=scene.snapshots[0])["SnapshotId"]
    scene.wait(60)
    (copied,) = there.describe_snapshots(SnapshotIds=[by_hand])["Snapshots"]
    assert (copied["State"], copied["StateMessage"]) == ("error", "Source snapshot is not found")
    there.delete_snapshot(SnapshotId=by_hand)
    attach_control_policy(scene, HUB, denied("ec2:ModifySnapshotAttribute"))

    scene.tag(DEV)
    scene.run_until_over()

    (reported,) = scene.notices("delivery.failed")
    assert {fault["code"] for fault in reported["faults"]} == {"aws-UnauthorizedOperation"}
    for fault in reported["faults"]:
        assert "ModifySnapshotAttribute" in fault["what"]
        assert f"SERVICE_CONTROL_POLICY --target-id {HUB}" in fault["cure"]
    scene.assert_invariants()


def test_the_ami_is_shared_and_its_key_is_not(scene):
    """By hand the launch fails for the key; the service opens both, and doctor names what else needs access."""
    scene.apply(sharing_file())
    ec2 = scene.client("ec2")
    ec2.modify_image_attribute(ImageId=scene.image, LaunchPermission={"Add": [{"UserId": DEV}]})
    scene.preexisting = set(scene.world.shares_open())
    assert scene.launch(DEV) == NO_RIGHT

    scene.tag("dev")
    scene.run_until_over()
    assert scene.launch(DEV) == ""

    scene.apply(sharing_file(service_linked_roles=["AWSServiceRoleForAutoScaling"]))
    bad = doctor(scene, "--account", DEV)
    assert "create-service-linked-role --aws-service-name autoscaling" in bad[DEV, "service-roles"]["cure"]


def test_allowed_amis_hide_what_is_shared(scene):
    """The launch reports a missing AMI; doctor names the setting that hides it, and the command that admits it."""
    scene.apply(sharing_file())
    there = scene.client("ec2", DEV)
    there.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    there.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["amazon"]}])

    bad = doctor(scene)

    assert bad.keys() == {(DEV, "allowed-amis")}
    assert f'[{{"ImageProviders": ["amazon"]}}, {{"ImageProviders": ["{HUB}"]}}]' in bad[DEV, "allowed-amis"]["cure"]
    scene.world.ec2.state.allowed_by_policy.add(DEV)
    assert "declarative policy of the organization" in doctor(scene)[DEV, "allowed-amis"]["cure"]
    there.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["amazon", HUB]}])
    assert doctor(scene) == {}


def test_allowed_amis_hide_the_ami_from_copy_image(scene):
    """Doctor and the fault name the setting; a copy of snapshots beside it does not need the AMI."""
    scene.apply(targets_file(accounts={DEV: {"copy_method": "image"}}))
    there = scene.client("ec2", DEV)
    there.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")

    assert doctor(scene).keys() == {(DEV, "allowed-amis")}
    fault = fails(scene)
    assert fault["code"] == "aws-InvalidAMIID.NotFound"
    assert "Allowed AMIs" in fault["cure"]
    scene.assert_invariants()


def test_the_keys_policy_lacks_an_action(scene):
    """CreateGrant is missing: no launch and no copy works. Doctor names it before the copy, the fault after."""
    key = own_key_policy(scene, lets(DEV, "kms:DescribeKey", *USE))
    scene.role(DEV, "Builder", all=document({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    by_hand = scene.world.ec2.seed_image(DEV, REGION, name="by-hand", key=key)
    assert scene.launch(DEV, by_hand, by="Builder") == NO_RIGHT

    bad = doctor(scene)

    assert bad.keys() == {(DEV, "key-policy")}
    assert "kms:CreateGrant is missing" in bad[DEV, "key-policy"]["what"]
    assert "kms:Decrypt" not in bad[DEV, "key-policy"]["what"]
    assert f"ami-promoter admin key-policy target {key} --region {REGION}" in bad[DEV, "key-policy"]["cure"]
    fault = fails(scene)
    assert (fault["code"], "not accessible" in fault["what"]) == ("copy-failed", True)
    assert f"ami-promoter doctor --account {DEV}" in fault["cure"]
    scene.assert_invariants()


SCP_CASES = {
    "assume": ("service", HUB, "sts:AssumeRole", "target", f"SERVICE_CONTROL_POLICY --target-id {HUB}"),
    "enter": ("resource", DEV, "sts:AssumeRole", "target", f"RESOURCE_CONTROL_POLICY --target-id {DEV}"),
    "key": ("service", DEV, "kms:DescribeKey", "key", f"SERVICE_CONTROL_POLICY --target-id {DEV}"),
    "key of": ("resource", DEV, "kms:DescribeKey", "key", f"RESOURCE_CONTROL_POLICY --target-id {DEV}"),
}


@pytest.mark.parametrize(("kind", "account", "action", "check", "cure"), SCP_CASES.values(), ids=SCP_CASES)
@pytest.mark.thorough_but("enter", "key")
def test_a_policy_of_the_organization_denies(scene, kind, account, action, check, cure):
    """An SCP or RCP is distinguished from a missing permission, with the command that shows it."""
    attach_control_policy(scene, account, denied(action), kind)

    bad = doctor(scene, "--account", DEV)

    assert bad.keys() == {(DEV, check)}
    assert cure in bad[DEV, check]["cure"]
