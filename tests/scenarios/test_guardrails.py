"""deploy/guardrails.yaml: service control policies on who may promote, and who may write the service's own tags."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from awsim.iam.policy import Ask
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, HUB, HUB_TAG, REGION, TRIGGER, Scene, document, targets_file
from tests.scenarios.stolen import COPIES, refused

MANAGEMENT = "900000000000"
FAMILY = "family"
EVERYTHING = document({"Effect": "Allow", "Action": "ec2:*", "Resource": "*"})


@pytest.fixture
def guarded(scene: Scene) -> Scene:
    """An organization of the hub and DEV, with both guardrails; ``image-builder`` may promote."""
    people = scene.world.organizations
    ours = people.create(MANAGEMENT)
    for account in (HUB, DEV):
        people.add_account(ours, account)
    given = {
        "HubAccountId": HUB,
        "Taggers": f"arn:aws:iam::{HUB}:role/image-builder,arn:aws:iam::{HUB}:role/release-*",
        "FamilyTagKey": FAMILY,
        "GoldenTaggers": f"arn:aws:iam::{HUB}:role/image-builder",
        "ReserveIn": ours.root,
        "Exempt": "arn:aws:iam::*:role/backup",
        "Deployers": "arn:aws:iam::*:role/deploy*",
    }
    scene.world.deploy(ROOT / "deploy" / "guardrails.yaml", MANAGEMENT, REGION, "ami-promoter-guardrails", given)
    return scene


def tags(kind: str, **given: str) -> list[dict[str, Any]]:
    """Tags within another call."""
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in given.items()]}]


def ways_to_tag(scene: Scene, ec2: Any, tag: str) -> dict[str, Callable[[], Any]]:
    """Each call that adds a tag to an AMI, or removes it."""
    image, (snapshot, *_) = scene.image, scene.snapshots
    volume = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
    bears = tags("image", **{tag: DEV})
    key = [{"Key": tag}]
    return {
        "tag": lambda: ec2.create_tags(Resources=[image], Tags=[{"Key": tag, "Value": DEV}]),
        "tag among others": lambda: ec2.create_tags(
            Resources=[image], Tags=[{"Key": "a", "Value": "b"}, {"Key": tag, "Value": DEV}]
        ),
        "untag": lambda: ec2.delete_tags(Resources=[image], Tags=key),
        "take all tags": lambda: ec2.delete_tags(Resources=[image]),
        "copy": lambda: ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name="evil", TagSpecifications=bears),
        "register": lambda: ec2.register_image(
            Name="evil", RootDeviceName="/dev/sda1", BlockDeviceMappings=volume, TagSpecifications=bears
        ),
    }


def test_only_the_listed_principals_promote_and_withdraw(guarded):
    """Neither the hub's administrators nor its root user can write or remove the tag, or a family's, by any call.

    Other tags, and tags of other resources, stay everybody's.
    """
    for ec2 in (guarded.person("administrator", "ec2"), guarded.client("ec2")):
        for tag in (TRIGGER, FAMILY):
            for call in ways_to_tag(guarded, ec2, tag).values():
                refused(call)
    assert guarded.after(600).states() == {}

    wanted = [{"Key": FAMILY, "Value": "base"}, {"Key": TRIGGER, "Value": DEV}]
    guarded.person("image-builder", "ec2").create_tags(Resources=[guarded.image], Tags=wanted)
    guarded.run_until_over()
    assert guarded.states() == {DEV: "delivered"}
    guarded.person("release-2", "ec2").delete_tags(Resources=[guarded.image], Tags=[{"Key": TRIGGER}])

    ec2 = guarded.person("administrator", "ec2")
    ec2.create_tags(Resources=[guarded.image], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.delete_tags(Resources=[guarded.image], Tags=[{"Key": "owner"}])
    ec2.create_tags(Resources=[guarded.snapshots[0]], Tags=[{"Key": TRIGGER, "Value": "of a snapshot"}])
    ec2.delete_tags(Resources=[guarded.snapshots[0]])
    guarded.person("image-builder", "ec2").delete_tags(Resources=[guarded.image])


def test_a_role_with_the_copy_roles_name_promotes_nothing(guarded):
    """In the hub it may write what the hub's own copies carry, a family's tag and the tag golden."""
    ec2 = guarded.person(COPIES, "ec2")
    for call in ways_to_tag(guarded, ec2, TRIGGER).values():
        refused(call)
    carried = [{"Key": FAMILY, "Value": "base"}, {"Key": "golden", "Value": "yes"}]
    ec2.create_tags(Resources=[guarded.image, *guarded.snapshots], Tags=carried)


def test_nobody_else_says_which_snapshots_may_leave(guarded):
    """A person with full permissions exports no snapshot of the hub by tagging it, by any call that tags.

    In whatever case: to EC2 ``Golden`` is another tag, to IAM's ``aws:ResourceTag/golden`` the same.
    """
    ec2, (snapshot, *_) = guarded.person("administrator", "ec2"), guarded.snapshots
    golden = {"Key": "golden", "Value": "yes"}
    bears = tags("snapshot", golden="yes")
    guarded.person("image-builder", "ec2").create_tags(Resources=[snapshot], Tags=[golden])
    for mine in (ec2, guarded.client("ec2")):
        refused(mine.create_tags, Resources=guarded.snapshots, Tags=[{"Key": "a", "Value": "b"}, golden])
        refused(mine.copy_snapshot, SourceSnapshotId=snapshot, SourceRegion=REGION, TagSpecifications=bears)
        refused(mine.delete_tags, Resources=[snapshot], Tags=[{"Key": "golden"}])
        refused(mine.delete_tags, Resources=[snapshot])
        refused(mine.create_tags, Resources=guarded.snapshots[1:], Tags=[{"Key": "Golden", "Value": "yes"}])
    ec2.create_tags(Resources=[snapshot, guarded.image], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.delete_tags(Resources=[snapshot], Tags=[{"Key": "owner"}])
    ec2.create_tags(Resources=[guarded.image], Tags=[golden])
    guarded.person("image-builder", "ec2").delete_tags(Resources=[snapshot])


def test_nobody_but_the_service_writes_its_tags(guarded):
    """Neither alone nor within a creating call; a target's administrator can make nothing with them."""
    own = guarded.world.ec2.seed_image(DEV, REGION, name="golden", volumes=(8,))
    admin, backup = guarded.person("administrator", "ec2", DEV), guarded.person("backup", "ec2", DEV)
    (snapshot,) = guarded.snapshots_of(own, DEV)
    ours = [{"Key": HUB_TAG, "Value": HUB}]
    planted = tags("image", **{HUB_TAG: HUB, "ami-promoter:source-image": guarded.image})

    for ec2 in (admin, guarded.client("ec2", DEV)):
        for resource in (own, snapshot):
            for key in (HUB_TAG, HUB_TAG.upper(), "ami-promoter:delivery"):
                refused(ec2.create_tags, Resources=[resource], Tags=[{"Key": key, "Value": HUB}])
        refused(ec2.copy_image, SourceImageId=own, SourceRegion=REGION, Name="planted", TagSpecifications=planted)
    backup.create_tags(Resources=[snapshot], Tags=ours)

    guarded.apply(targets_file({"default": [DEV]}))
    guarded.person("image-builder", "ec2").create_tags(Resources=[guarded.image], Tags=[{"Key": TRIGGER, "Value": ""}])
    guarded.run_until_over()
    assert guarded.states() == {DEV: "delivered"}, "the service itself is not in its own way"
    made = guarded.notices("delivery.delivered")[0]["image"]
    for call in (
        lambda: admin.delete_tags(Resources=[made], Tags=[{"Key": HUB_TAG}]),
        lambda: admin.delete_tags(Resources=[made]),
        lambda: admin.create_tags(Resources=[made], Tags=[{"Key": HUB_TAG, "Value": "999999999999"}]),
    ):
        refused(call)
    admin.delete_tags(Resources=[own])
    admin.delete_tags(Resources=[made], Tags=[{"Key": "owner"}])
    guarded.assert_invariants()
    backup.delete_tags(Resources=[made])


CHANGES = {
    "AWS::DynamoDB::Table": ("dynamodb:DeleteTable", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"),
    "AWS::Lambda::Function": (
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
        "lambda:AddPermission",
        "lambda:InvokeFunction",
    ),
    "AWS::IAM::Role": ("iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:DetachRolePolicy", "iam:PassRole"),
    "AWS::IAM::ManagedPolicy": ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
    "AWS::Events::Rule": ("events:DisableRule", "events:RemoveTargets", "events:PutTargets"),
    "AWS::Events::EventBus": ("events:DeleteEventBus", "events:PutPermission", "events:RemovePermission"),
    "AWS::SNS::Topic": (
        "sns:SetTopicAttributes",
        "sns:PutDataProtectionPolicy",
        "sns:DeleteTopic",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    ),
    "AWS::SQS::Queue": ("sqs:SetQueueAttributes", "sqs:DeleteQueue"),
    "AWS::CloudWatch::Alarm": (
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DisableAlarmActions",
        "cloudwatch:PutAlarmMuteRule",
    ),
    "AWS::Logs::LogGroup": ("logs:DeleteLogGroup", "logs:DeleteLogStream"),
}
"""Kind of part -> calls that take its protection away."""


def denied(scene: Scene, name: str, action: str, arn: str, account: str = HUB, **context: str) -> bool:
    """Whether the organization denies a role with full permissions this."""
    caller, *_ = scene.world.accounts.issue(scene.role(account, name, all=EVERYTHING), name)
    keys = {**scene.world.iam.context(caller, REGION), **{key.replace("_", ":"): one for key, one in context.items()}}
    return bool(scene.world.iam.guarded(caller, Ask(action, arn, keys)))


def only_deployers(scene: Scene, action: str, arn: str, account: str = HUB, deployer: str = "deployment") -> None:
    """Assert that an administrator is denied this, and a deployer is not."""
    assert denied(scene, "administrator", action, arn, account), (action, arn)
    assert not denied(scene, deployer, action, arn, account), (action, arn)


def test_only_deployers_change_the_hubs_parts(guarded: Scene) -> None:
    """Each part of the deployed stack, by its own name; other parts of the account stay everybody's."""
    parts = [made for made in guarded.stage.hub.resources.values() if made.type in CHANGES]
    assert {made.type for made in parts} == set(CHANGES)
    for made in parts:
        arn = made.attributes.get("Arn", made.ref).removesuffix(":*")
        for action in CHANGES[made.type]:
            only_deployers(guarded, action, arn)
        assert not denied(guarded, "administrator", CHANGES[made.type][0], arn.replace("ami-promoter", "another")), arn
    for action in ("events:PutPermission", "events:RemovePermission"):  # AWS's reference lists no resource for them
        only_deployers(guarded, action, "*")
    mapping = f"arn:aws:lambda:{REGION}:{HUB}:event-source-mapping:1"
    ours = f"arn:aws:lambda:{REGION}:{HUB}:function:ami-promoter-{REGION}-worker"
    change = "lambda:UpdateEventSourceMapping"
    assert denied(guarded, "administrator", change, mapping, lambda_functionarn=ours)
    assert not denied(guarded, "administrator", change, mapping, lambda_functionarn=ours.replace("ami-promoter", "x"))


def test_only_deployers_lift_the_blocks_of_public_snapshots_and_amis(guarded: Scene) -> None:
    """Everybody may set them: what the service shares is never public, whichever of the modes is on."""
    for what in ("Snapshot", "Image"):
        only_deployers(guarded, f"ec2:Disable{what}BlockPublicAccess", "*")
        assert not denied(guarded, "administrator", f"ec2:Enable{what}BlockPublicAccess", "*")


def test_a_targets_administrator_changes_neither_role_nor_its_trust(guarded: Scene) -> None:
    """All roles of the service there; the StackSet's role, which is a deployer here, may.

    Daily work needs no deployer: items, messages, events, notices and reads, as of operators, functions, EventBridge.
    """
    for role in ("AmiCopyRole", "AmiCopyRole-grants", "AmiCopyRole-launch"):
        arn = f"arn:aws:iam::{DEV}:role/{role}"
        for action in ("iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:DeleteRole", "iam:AttachRolePolicy"):
            only_deployers(guarded, action, arn, DEV, "deployer")
    assert not denied(guarded, "administrator", "iam:PutRolePolicy", f"arn:aws:iam::{DEV}:role/theirs", DEV)

    table = f"arn:aws:dynamodb:{REGION}:{HUB}:table/ami-promoter-{REGION}"
    queue = f"arn:aws:sqs:{REGION}:{HUB}:ami-promoter-{REGION}-worker.fifo"
    topic = f"arn:aws:sns:{REGION}:{HUB}:ami-promoter-{REGION}-notices"
    for action, arn in (
        *((f"dynamodb:{name}", table) for name in ("PutItem", "UpdateItem", "Query", "CreateBackup", "DescribeTable")),
        *((f"sqs:{name}", queue) for name in ("SendMessage", "ReceiveMessage", "DeleteMessage", "GetQueueUrl")),
        *((f"sns:{name}", topic) for name in ("Publish", "Subscribe", "ListSubscriptionsByTopic")),
        ("events:PutEvents", f"arn:aws:events:{REGION}:{HUB}:event-bus/ami-promoter-{REGION}-inbound"),
        ("sts:AssumeRole", f"arn:aws:iam::{HUB}:role/ami-promoter-{REGION}-worker"),
    ):
        assert not denied(guarded, "operator", action, arn), action


def test_an_administrator_does_not_become_a_deployer(guarded: Scene) -> None:
    """By a role of such a name, that exists or is new. Nor does it change the hub's stack, which has its own role.

    Another stack stays everybody's.
    """
    for account, role in itertools.product((HUB, DEV), ("deployment", "deploy-evil")):
        arn = f"arn:aws:iam::{account}:role/{role}"
        for action in ("iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy"):
            only_deployers(guarded, action, arn, account, "deployer")

    for stack in ("ami-promoter", "ami-promoter-monitor"):
        ours = f"arn:aws:cloudformation:{REGION}:{HUB}:stack/{stack}/1a2b"
        for call in ("UpdateStack", "CreateChangeSet", "ExecuteChangeSet", "ExecuteStackRefactor", "DeleteStack"):
            action = f"cloudformation:{call}"
            only_deployers(guarded, action, ours)
            assert not denied(guarded, "administrator", action, ours.replace("ami-promoter", "another")), action
        assert not denied(guarded, "administrator", "cloudformation:DescribeStacks", ours)


def test_an_administrator_takes_no_tables_policy_away(guarded: Scene) -> None:
    """By the calls themselves, the root user included; without the guardrail both would."""
    arn = f"arn:aws:dynamodb:{REGION}:{HUB}:table/ami-promoter-{REGION}-config"
    administrator, deployment = (guarded.person(role, "dynamodb") for role in ("administrator", "deployment"))
    policy = json.dumps(document())
    for client in (guarded.client("dynamodb"), administrator):
        refused(client.put_resource_policy, ResourceArn=arn, Policy=policy)
        refused(client.delete_table, TableName=f"ami-promoter-{REGION}-config")
    deployment.put_resource_policy(ResourceArn=arn, Policy=policy)


def test_the_family_reaches_the_hubs_own_copies_in_other_regions(by_way):
    """The copy role of the hub's account writes the family's tag there; guarded as it is."""
    scene = by_way
    ours = scene.world.organizations.create(MANAGEMENT)
    for account in (HUB, DEV):
        scene.world.organizations.add_account(ours, account)
    builder = f"arn:aws:iam::{HUB}:role/image-builder"
    given = {"HubAccountId": HUB, "Taggers": builder, "FamilyTagKey": FAMILY}
    scene.world.deploy(ROOT / "deploy" / "guardrails.yaml", MANAGEMENT, REGION, "ami-promoter-guardrails", given)
    bears = [{"Key": FAMILY, "Value": "base"}, {"Key": TRIGGER, "Value": ""}]
    scene.person("image-builder", "ec2").create_tags(Resources=[scene.image], Tags=bears)

    scene.run_until_over()
    assert set(scene.states().values()) == {"delivered"}, scene.states()
