"""Attacks with stolen credentials of a function, each of which fails: see docs/explanation/security.md.

The attacker has everything that Lambda gives one function, writes calls and session policies, and knows every name, id
and external id.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from awsim.cfn import TemplateError
from chalicelib.sharing.share import Purpose
from tests.scenarios.forgeries import TAGGED, Forger, Forgery, role_of
from tests.scenarios.pointers import NAME, PREFIX, deploy
from tests.scenarios.scene import (
    AUTO_SCALING,
    DEV,
    HOUR,
    HUB,
    HUB_TAG,
    PROD,
    REGION,
    ROLE,
    SERVICE,
    STRANGER,
    TABLE,
    TEST,
    TRIGGER,
    Scene,
    document,
    lets,
    permit,
    targets_file,
)
from tests.scenarios.sharing import SHARE
from tests.scenarios.stolen import COPIES, GRANTS, LAUNCHES, client, entered, refused

SLR = f"arn:aws:iam::{DEV}:role/{ROLE}"
GRANT = ["Decrypt", "CreateGrant"]
NOTICES = f"arn:aws:events:{REGION}:{HUB}:event-bus/{TABLE}-notices"


@pytest.fixture
def delivered(scene: Scene) -> Scene:
    """An AMI was delivered to DEV, with Auto Scaling's grant on the key there."""
    scene.apply(targets_file(service_linked_roles=[AUTO_SCALING]))
    scene.world.iam.put_service_linked_role(DEV, SERVICE)
    assert scene.promoted("") == {DEV: "delivered"}
    return scene


def theirs(scene: Scene) -> tuple[str, str]:
    """A stranger's unencrypted AMI and its snapshot, shared with DEV."""
    image = scene.world.ec2.seed_image(STRANGER, REGION, name="golden", volumes=(8,))
    ec2 = scene.client("ec2", STRANGER)
    (snapshot,) = scene.snapshots_of(image, STRANGER)
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": DEV}]})
    permit(ec2, snapshot, DEV)
    return image, snapshot


def golden_on(snapshot: str) -> dict[str, Any]:
    """What registers an AMI on a snapshot."""
    volume = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    return {"Name": "golden", "RootDeviceName": "/dev/sda1", "BlockDeviceMappings": [volume]}


# --- the share worker can make nothing in a target ---


def test_the_share_worker_can_touch_no_image_and_no_snapshot_of_a_target(delivered):
    """It can copy, register, tag, share, delete and read nothing there, of any owner."""
    scene, ours = delivered, delivered.image_in(DEV)
    snapshot = scene.snapshots_of(ours["ImageId"], DEV)[0]
    ec2, (_, foreign) = entered(scene, "share-worker", GRANTS, "ec2"), theirs(scene)
    golden = {"ResourceType": "snapshot", "Tags": [{"Key": "Approved", "Value": "yes"}]}

    refused(ec2.copy_snapshot, SourceSnapshotId=foreign, SourceRegion=REGION, TagSpecifications=[golden])
    refused(ec2.copy_image, SourceImageId=scene.image, SourceRegion=REGION, Name="golden")
    refused(ec2.register_image, **golden_on(snapshot))
    refused(ec2.create_tags, Resources=[snapshot], Tags=golden["Tags"])
    refused(ec2.deregister_image, ImageId=ours["ImageId"])
    refused(ec2.delete_snapshot, SnapshotId=snapshot)
    refused(ec2.modify_image_attribute, ImageId=ours["ImageId"], LaunchPermission={"Add": [{"UserId": STRANGER}]})
    refused(ec2.describe_images, Owners=["self"])
    assert [image["ImageId"] for image in scene.images_in(DEV)] == [ours["ImageId"]]


def test_the_share_worker_can_let_nobody_but_service_linked_roles_use_a_key(delivered):
    """It can neither use a key nor change it, in the target or, through the target, in the hub.

    It may retire its own grants on the target's; it may revoke none, and retire none of another principal.
    """
    scene, kms = delivered, entered(delivered, "share-worker", GRANTS, "kms")
    own, admin = scene.delivery(DEV)["key"], scene.client("kms", DEV)
    [ours] = [grant["GrantId"] for grant in admin.list_grants(KeyId=own)["Grants"]]
    other = admin.create_grant(KeyId=own, GranteePrincipal=SLR, Operations=["Decrypt"], Name="another")["GrantId"]
    for grant in (other, ours):
        refused(kms.revoke_grant, KeyId=own, GrantId=grant)
    refused(kms.retire_grant, KeyId=own, GrantId=other)
    assert {grant["GrantId"] for grant in admin.list_grants(KeyId=own)["Grants"]} == {other, ours}

    for key in (own, scene.key):
        for grantee in (STRANGER, f"arn:aws:iam::{STRANGER}:root", f"arn:aws:iam::{DEV}:role/{GRANTS}", TEST):
            refused(kms.create_grant, KeyId=key, GranteePrincipal=grantee, Operations=GRANT)
        refused(kms.create_grant, KeyId=key, GranteePrincipal=SLR, Operations=["Sign"])
        refused(kms.describe_key, KeyId=key)
    refused(kms.put_key_policy, KeyId=own, PolicyName="default", Policy="{}")
    refused(kms.disable_key, KeyId=own)
    refused(kms.schedule_key_deletion, KeyId=own)


# --- the worker opens nothing, and copies from the hub only ---


def test_the_worker_copies_no_strangers_snapshot_into_a_target(scene):
    """A snapshot that a stranger shares with the target is no source: EC2 reports its owner, and the role denies it."""
    image, foreign = theirs(scene)
    ec2 = entered(scene, "worker", COPIES, "ec2")
    ours = {"ResourceType": "snapshot", "Tags": [{"Key": HUB_TAG, "Value": HUB}]}

    refused(ec2.copy_snapshot, SourceSnapshotId=foreign, SourceRegion=REGION, TagSpecifications=[ours])
    refused(ec2.copy_image, SourceImageId=image, SourceRegion=REGION, Name="golden")
    refused(ec2.register_image, **golden_on(foreign))
    assert scene.images_in(DEV) == scene.snapshots_in(DEV) == []

    policy = scene.world.iam.roles.named(DEV, COPIES).policies["ami-promoter"]
    policy["Statement"] = [it for it in policy["Statement"] if it["Sid"] != "FromTheHubOrHereOnly"]
    ec2.copy_snapshot(SourceSnapshotId=foreign, SourceRegion=REGION, TagSpecifications=[ours])
    assert scene.snapshots_in(DEV), "the attack works where nothing denies it"


def test_the_worker_removes_and_tags_nothing_of_a_targets_own(scene):
    """It cannot touch what lacks the hub's tag, nor add that tag."""
    own = scene.world.ec2.seed_image(DEV, REGION, name="theirs", volumes=(8,))
    (snapshot,) = scene.snapshots_of(own, DEV)
    ec2 = entered(scene, "worker", COPIES, "ec2")

    for resource in (own, snapshot):
        refused(ec2.create_tags, Resources=[resource], Tags=[{"Key": HUB_TAG, "Value": HUB}])
    refused(ec2.deregister_image, ImageId=own)
    refused(ec2.delete_snapshot, SnapshotId=snapshot)
    refused(ec2.enable_image_deprecation, ImageId=own, DeprecateAt=scene.world.now + timedelta(days=1))
    refused(ec2.enable_image_deregistration_protection, ImageId=own)
    refused(ec2.disable_image_deprecation, ImageId=own)


def test_the_worker_promotes_nothing_itself_where_the_hub_is_a_target(by_way):
    """In the hub's Region it makes no AMI and no tag with the copy role of the hub's account, which works elsewhere.

    CopySnapshot is not denied: the SDK signs a call of it to the source's Region, too, and AWS may ask the role there.
    """
    scene, (snapshot, *_) = by_way, by_way.snapshots
    ec2 = entered(scene, "worker", COPIES, "ec2", HUB)
    tag = {"Key": TRIGGER, "Value": DEV}
    evil = {**golden_on(snapshot), "Architecture": "x86_64", "VirtualizationType": "hvm"}
    by_tag = {"TagSpecifications": [{"ResourceType": "image", "Tags": [tag]}]}

    refused(ec2.register_image, **evil, **by_tag)
    refused(ec2.register_image, **evil)
    refused(ec2.copy_image, SourceImageId=scene.image, SourceRegion=REGION, Name="evil", CopyImageTags=True)
    refused(ec2.create_tags, Resources=[scene.image], Tags=[tag])
    golden = [{"ResourceType": "snapshot", "Tags": [{"Key": "golden", "Value": "true"}]}]
    refused(ec2.copy_snapshot, SourceSnapshotId=snapshot, SourceRegion=REGION, TagSpecifications=golden)
    bare = ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)["SnapshotId"]
    refused(ec2.create_tags, Resources=[bare], Tags=golden[0]["Tags"])
    scene.promote("")
    assert set(scene.states().values()) == {"delivered"}, "the hub's own copy in the other Region is made by that role"


def test_the_worker_disables_nothing_of_a_targets_own_and_what_is_ours_only_if_the_stack_allows_it(delivered):
    """Without AllowDisable it can neither disable nor enable an AMI.

    Without AllowUseReport it cannot ask what names an AMI; with it EC2 answers that one question, and it still lists
    nothing that runs there.
    """
    scene = delivered
    own = scene.world.ec2.seed_image(DEV, REGION, name="theirs", volumes=(8,))
    ours = scene.delivery_record(DEV)["image"]["id"]
    ec2, ssm = (entered(scene, "worker", COPIES, service) for service in ("ec2", "ssm"))
    asked = {"ImageIds": [ours], "ResourceTypes": [{"ResourceType": "ec2:Instance"}]}

    for call in (ec2.disable_image, ec2.enable_image):
        refused(call, ImageId=ours)
    refused(ec2.describe_image_references, **asked)
    deploy(scene, AllowDisable="true", AllowUseReport="true")
    for call in (ec2.disable_image, ec2.enable_image):
        refused(call, ImageId=own)
        call(ImageId=ours)
    refused(ec2.disable_image_deregistration_protection, ImageId=ours)

    assert ec2.describe_image_references(**asked)["ImageReferences"] == []
    for call in (ec2.describe_instances, ec2.describe_launch_templates):
        refused(call)
    refused(ec2.describe_launch_template_versions, Versions=["$Latest"])
    refused(ssm.describe_parameters)
    refused(ssm.get_parameters, Names=["/theirs"])


def test_the_worker_uses_keys_through_ec2_alone(scene):
    """While a copy runs it can neither read with the hub's key nor write with the target's; EC2 can for it.

    It grants neither; what it cannot open in the hub is in test_reach.py.
    """
    scene.copying("dev", 600)
    thief, *_ = scene.world.accounts.issue(f"arn:aws:iam::{DEV}:role/{COPIES}", "thief")
    own = scene.stage.targets[DEV].outputs["KeyArn"]
    kms, before = entered(scene, "worker", COPIES, "kms"), scene.world.shares_open()
    for key in (own, scene.key):
        refused(kms.create_grant, KeyId=key, GranteePrincipal=SLR, Operations=GRANT)
    refused(kms.list_grants, KeyId=own)
    assert scene.world.shares_open() == before

    for action, key in (("Decrypt", scene.key), ("ReEncryptFrom", scene.key), ("GenerateDataKey", own)):
        allowed = {
            via: scene.world.kms.may_use(thief, f"kms:{action}", key, via)[0]
            for via in (f"ec2.{REGION}.amazonaws.com", f"s3.{REGION}.amazonaws.com")
        }
        assert list(allowed.values()) == [True, False], (action, key)


def test_the_worker_reaches_no_parameter_outside_the_path_that_the_stack_names(scene):
    """Without ParameterPrefix it can read none; with it, none whose name only looks alike."""
    owner = scene.client("ssm", DEV)
    others = ("/goldens/secret", "/golden", "/other/golden/x", "golden")
    for name in (NAME, *others):
        owner.put_parameter(Name=name, Value="theirs", Type="String")
    ssm = entered(scene, "worker", COPIES, "ssm")
    tags = {"ResourceType": "Parameter", "Tags": [{"Key": "a", "Value": "b"}]}

    def refuses(name: str) -> None:
        refused(ssm.get_parameter, Name=name)
        refused(ssm.put_parameter, Name=name, Value="evil", Type="String", Overwrite=True)
        refused(ssm.add_tags_to_resource, ResourceId=name, **tags)
        refused(ssm.delete_parameter, Name=name)

    refuses(NAME)
    deploy(scene, PREFIX)
    for name in others:
        refuses(name)
    for call in (ssm.get_parameters_by_path, ssm.describe_parameters):
        refused(call, **({"Path": PREFIX} if call == ssm.get_parameters_by_path else {}))
    ssm.put_parameter(Name=NAME, Value="evil", Type="String", Overwrite=True)
    assert {name: owner.get_parameter(Name=name)["Parameter"]["Value"] for name in others} == dict.fromkeys(
        others, "theirs"
    )


# --- how far ``share-worker`` reaches in the hub ---


def test_the_share_worker_grants_to_nobody_but_the_roles_that_copy_and_accounts(scene):
    """Not to any other role or to a user, in a listed account or another; and no more than copying takes."""
    kms = client(scene, "share-worker", "kms")
    roles = scene.role(STRANGER, "thief"), scene.role(DEV, "evil"), f"arn:aws:iam::{HUB}:role/{TABLE}-share-worker"

    for to in (*roles, f"arn:aws:iam::{DEV}:user/somebody"):
        refused(kms.create_grant, KeyId=scene.key, GranteePrincipal=to, Operations=GRANT)
    copies = f"arn:aws:iam::{DEV}:role/{COPIES}"
    refused(kms.create_grant, KeyId=scene.key, GranteePrincipal=copies, Operations=["Decrypt", "RetireGrant"])
    made = kms.create_grant(KeyId=scene.key, GranteePrincipal=copies, Operations=GRANT)
    kms.revoke_grant(KeyId=scene.key, GrantId=made["GrantId"])


def test_no_path_of_a_role_or_user_passes_for_an_account_that_may_receive_grants(scene):
    """An IAM path may contain colons, so a stranger's ARN can end like the ARN of a listed account's copy role."""
    kms = client(scene, "share-worker", "kms")
    root, alike = {"AWS": f"arn:aws:iam::{STRANGER}:root"}, f"/x:iam::{DEV}:role/"
    trust = document({"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"})
    thief = scene.world.iam.put_role(STRANGER, COPIES, trust, path=alike).arn

    for to in (thief, f"arn:aws:iam::{STRANGER}:user{alike}{COPIES}"):
        refused(kms.create_grant, KeyId=scene.key, GranteePrincipal=to, Operations=GRANT)


def test_the_share_worker_can_lock_the_owner_out_of_a_key_whose_policy_it_may_write(scene):
    """KMS's own check only demands that the writer may write again; only keys that the stack names are at stake.

    The parameter takes no wildcard, and without it the statement does not exist.
    """
    kms, owner = client(scene, "share-worker", "kms"), scene.client("kms")
    payroll = owner.create_key()["KeyMetadata"]["Arn"]
    alone = document(lets(f"arn:aws:iam::{HUB}:role/{TABLE}-share-worker", "kms:*"))
    written = {"PolicyName": "default", "Policy": json.dumps(alone)}

    with pytest.raises(TemplateError, match="PolicyKeyArns"):
        redeploy(scene, PolicyKeyArns=f"arn:aws:kms:{REGION}:{HUB}:key/*")
    redeploy(scene, PolicyKeyArns="")
    refused(kms.put_key_policy, KeyId=scene.key, **written)
    redeploy(scene)
    refused(kms.put_key_policy, KeyId=payroll, **written)
    refused(kms.put_key_policy, KeyId=scene.key, **written, BypassPolicyLockoutSafetyCheck=True)
    kms.put_key_policy(KeyId=scene.key, **written)
    scene.wait(600)
    administrator = scene.person("KeyAdmin", "kms")
    refused(administrator.schedule_key_deletion, KeyId=scene.key)
    refused(administrator.put_key_policy, KeyId=scene.key, **written)


def test_the_share_worker_reaches_no_key_that_source_key_arns_does_not_name(scene):
    """With the parameter, the hub's other keys are out of reach; promotions continue."""
    payroll = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
    to = f"arn:aws:iam::{DEV}:role/{COPIES}"
    other = scene.client("kms").create_grant(KeyId=payroll, GranteePrincipal=to, Operations=["Decrypt"])["GrantId"]
    redeploy(scene, SourceKeyArns=scene.key)
    kms = client(scene, "share-worker", "kms")

    refused(kms.create_grant, KeyId=payroll, GranteePrincipal=to, Operations=GRANT)
    refused(kms.list_grants, KeyId=payroll)
    refused(kms.revoke_grant, KeyId=payroll, GrantId=other)
    assert scene.promoted("") == {DEV: "delivered"}


def test_the_share_worker_changes_nothing_of_an_image_but_who_may_use_it(scene):
    """IAM lets it make no snapshot public; for an AMI IAM has no such condition, so EC2's block refuses it."""
    ec2 = client(scene, "share-worker", "ec2")
    change = {"SnapshotId": scene.snapshots[0], "Attribute": "createVolumePermission", "OperationType": "add"}

    refused(ec2.modify_image_attribute, ImageId=scene.image, Description={"Value": "golden"})
    refused(ec2.modify_image_attribute, ImageId=scene.image, Attribute="description", Value="golden")
    with pytest.raises(ClientError, match="block public access"):
        ec2.modify_image_attribute(ImageId=scene.image, LaunchPermission={"Add": [{"Group": "all"}]})
    refused(ec2.modify_snapshot_attribute, **change, GroupNames=["all"])
    refused(ec2.reset_snapshot_attribute, SnapshotId=scene.snapshots[0], Attribute="createVolumePermission")
    refused(ec2.deregister_image, ImageId=scene.image)
    refused(ec2.create_tags, Resources=[scene.image], Tags=[{"Key": "promote", "Value": DEV}])
    assert scene.world.shares_open() == []


def test_with_a_golden_tag_the_share_worker_shares_no_other_snapshot_and_can_still_end_what_is_shared(scene):
    """Also if somebody removes the tag while the snapshot is shared."""
    redeploy(scene, GoldenTagValue="yes")
    scene.client("ec2").create_tags(Resources=scene.snapshots, Tags=[{"Key": "golden", "Value": "yes"}])
    thief = client(scene, "share-worker", "ec2")
    other = scene.client("ec2").create_snapshot(VolumeId=a_volume(scene))["SnapshotId"]
    share = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [DEV]}
    refused(thief.modify_snapshot_attribute, SnapshotId=other, **share)

    scene.copying("", 600)
    scene.client("ec2").delete_tags(Resources=scene.snapshots, Tags=[{"Key": "golden"}])
    refused(thief.modify_snapshot_attribute, SnapshotId=scene.snapshots[0], **share)
    assert scene.after(HOUR).states() == {DEV: "delivered"}
    assert scene.world.shares_open() == []


def a_volume(scene: Scene) -> str:
    """A volume of the hub, made from its golden snapshot."""
    made = scene.client("ec2").create_volume(SnapshotId=scene.snapshots[0], AvailabilityZone=f"{REGION}a")
    return str(made["VolumeId"])


# --- which accounts are entered ---


def redeploy(scene: Scene, **given: str) -> None:
    """Update the hub's stack with other parameters."""
    before = {"TargetAccounts": f"{DEV},{TEST}", "PolicyKeyArns": scene.key}
    scene.deploy_hub(**{name: value for name, value in {**before, **given}.items() if value})


def trusting(scene: Scene, account: str) -> None:
    """Roles with the expected names in an account, which admit any principal of the hub's account."""
    for name in (COPIES, GRANTS, LAUNCHES):
        scene.role(account, name, admits=HUB)


ENTERS = (("worker", COPIES), ("share-worker", GRANTS))


def test_no_account_is_entered_that_the_stack_does_not_name(scene):
    """A role with the expected name elsewhere cannot be assumed, whatever it trusts."""
    trusting(scene, STRANGER)
    for function, role in ENTERS:
        refused(entered, scene, function, role, "ec2", STRANGER)
        entered(scene, function, role, "ec2", TEST)


def test_of_an_organization_its_accounts_alone_are_entered(scene):
    """Those in it, those listed besides, and the hub's own; not those of another organization or of none."""
    people = scene.world.organizations
    ours, theirs = people.create("900000000000"), people.create("900000000001")
    for account in (HUB, DEV):
        people.add_account(ours, account)
    people.add_account(theirs, PROD)
    redeploy(scene, TargetAccounts=TEST, OrganizationId=ours.id)
    for account in (HUB, PROD, STRANGER):
        trusting(scene, account)

    for function, role in ENTERS:
        for account in (DEV, TEST, HUB):
            entered(scene, function, role, "ec2", account)
        for account in (PROD, STRANGER):
            refused(entered, scene, function, role, "ec2", account)


def test_the_share_worker_adds_nobody_whom_the_stack_does_not_name(scene):
    """Neither to a snapshot nor to a key; of several accounts one stranger is enough to refuse the call."""
    ec2, kms = client(scene, "share-worker", "ec2"), client(scene, "share-worker", "kms")
    alone, among = [{"UserId": STRANGER}], [{"UserId": DEV}, {"UserId": STRANGER}]
    snapshot = scene.snapshots[0]

    for added in (alone, among):
        refused(ec2.modify_snapshot_attribute, SnapshotId=snapshot, CreateVolumePermission={"Add": added})
    for to in (f"arn:aws:iam::{STRANGER}:root", f"arn:aws:iam::{STRANGER}:role/{COPIES}"):
        refused(kms.create_grant, KeyId=scene.key, GranteePrincipal=to, Operations=GRANT)
    assert scene.world.shares_open() == []

    redeploy(scene, TargetAccounts="")
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": among})
    assert scene.world.shares_open(), "the attack works where no account is named"


@pytest.mark.parametrize("access", ["grant", "policy"])
@pytest.mark.thorough_but("policy")
def test_an_account_that_has_left_the_list_loses_what_it_has_and_gets_nothing_again(scene, access):
    """Removals are never denied. For launch permissions and key policies IAM has no such condition: code refuses."""
    scene.apply(targets_file(share_snapshots=True, key_access=access, **SHARE))
    assert scene.promoted("") == {DEV: "shared"}
    redeploy(scene, TargetAccounts=TEST)
    scene.untag()
    scene.run_until(lambda: scene.world.shares_open() == [], HOUR)

    scene.tag("")
    forger = Forger(scene)
    for resource in ("snapshot:tagged", "image:tagged", "key:own", "policy:own"):
        forgery = Forgery(resource, DEV, (TAGGED, DEV), "", grantee=role_of(DEV))
        forger.write(forgery, Purpose.COPY)
        scene.wait(15)
        share = forger.look(forgery)
        assert share.fault is not None, share
        assert "TargetAccounts" in share.fault.what
    assert scene.world.shares_open() == []


# --- what a person with the right to tag brings into a target ---


@pytest.mark.parametrize("method", ["snapshots", "image"])
@pytest.mark.thorough_but("image")
def test_a_tag_that_the_target_does_not_let_in_does_not_arrive(scene, method):
    """Neither on the AMI nor on its snapshots; what the file names does."""
    tags = [{"Key": key, "Value": "yes"} for key in ("Approved", "access-project", "build:id", "os")]
    scene.client("ec2").create_tags(Resources=[scene.image, *scene.snapshots], Tags=tags)
    scene.apply(targets_file(copy_method=method, source_tags=["os", "build:*"]))
    assert scene.promoted("") == {DEV: "delivered"}, scene.describe()
    ec2 = scene.client("ec2", DEV)
    made = [*ec2.describe_images(Owners=["self"])["Images"], *ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    theirs = [{tag["Key"] for tag in one["Tags"] if not tag["Key"].startswith("ami-promoter:")} for one in made]
    assert len(theirs) == 3
    assert all({"build:id", "os"} <= keys and not keys & {"Approved", "access-project"} for keys in theirs)


# --- who publishes notices ---


def test_nobody_but_a_function_publishes_notices(scene):
    """Neither on the topic nor on the bus: not the hub's administrators, and no target."""
    forged = {"Source": "ami-promoter", "DetailType": "delivery.delivered", "Detail": "{}", "EventBusName": NOTICES}
    for account in (HUB, DEV):
        refused(scene.client("events", account).put_events, Entries=[forged])
        refused(scene.client("sns", account).publish, TopicArn=scene.stage.hub.outputs["TopicArn"], Message="{}")


def test_the_worker_tells_in_no_other_services_name(scene):
    """On its own bus it may say who it is, and nothing else."""
    said = {"DetailType": "EC2 AMI State Change", "Detail": "{}", "EventBusName": NOTICES}
    events = client(scene, "worker", "events")

    refused(events.put_events, Entries=[{**said, "Source": "aws.ec2"}])
    events.put_events(Entries=[{**said, "Source": "ami-promoter"}])
