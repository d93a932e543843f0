"""deploy/guardrails.yaml: service control policies on who may promote, and who may write the service's own tags."""

from collections.abc import Callable
from typing import Any

import pytest

from awsim import wire
from demo import stage
from tests.scenarios.platform import ROOT
from tests.scenarios.scene import DEV, HUB, HUB_TAG, REGION, TRIGGER, Scene
from tests.scenarios.stolen import refused

MANAGEMENT = "900000000000"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}


def person(scene: Scene, name: str, account: str = HUB) -> Any:
    """EC2, for a role with full permissions in an account."""
    role = scene.world.iam.put_role(account, name, {"Version": "2012-10-17", "Statement": []}, {"all": EVERYTHING})
    _, key, _, token = scene.world.accounts.issue(role.arn, name)
    return wire.client("ec2", REGION, key, token)


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
        "GoldenTaggers": f"arn:aws:iam::{HUB}:role/image-builder",
        "ReserveIn": ours.root,
        "Exempt": "arn:aws:iam::*:role/backup",
    }
    scene.world.deploy(ROOT / "deploy" / "guardrails.yaml", MANAGEMENT, REGION, "ami-promoter-guardrails", given)
    return scene


def tags(kind: str, **given: str) -> list[dict[str, Any]]:
    """Tags within another call."""
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in given.items()]}]


def ways_to_promote(scene: Scene, ec2: Any) -> dict[str, Callable[[], Any]]:
    """Each call that adds the trigger tag to an AMI, or removes it."""
    image, (snapshot, *_) = scene.image, scene.snapshots
    volume = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
    bears = tags("image", **{TRIGGER: DEV})
    key = [{"Key": TRIGGER}]
    return {
        "tag": lambda: ec2.create_tags(Resources=[image], Tags=[{"Key": TRIGGER, "Value": DEV}]),
        "tag among others": lambda: ec2.create_tags(
            Resources=[image], Tags=[{"Key": "a", "Value": "b"}, {"Key": TRIGGER, "Value": DEV}]
        ),
        "untag": lambda: ec2.delete_tags(Resources=[image], Tags=key),
        "take all tags": lambda: ec2.delete_tags(Resources=[image]),
        "copy": lambda: ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name="evil", TagSpecifications=bears),
        "register": lambda: ec2.register_image(
            Name="evil", RootDeviceName="/dev/sda1", BlockDeviceMappings=volume, TagSpecifications=bears
        ),
    }


def test_only_the_listed_principals_promote_and_withdraw(guarded):
    """Neither the hub's administrators nor its root user can write or remove the tag, by any call."""
    for ec2 in (person(guarded, "administrator"), guarded.client("ec2")):
        for call in ways_to_promote(guarded, ec2).values():
            refused(call)
    assert guarded.after(600).states() == {}

    person(guarded, "image-builder").create_tags(Resources=[guarded.image], Tags=[{"Key": TRIGGER, "Value": DEV}])
    guarded.run_until_over()
    assert guarded.states() == {DEV: "delivered"}
    person(guarded, "release-2").delete_tags(Resources=[guarded.image], Tags=[{"Key": TRIGGER}])


def test_other_tags_and_other_resources_stay_everybodys(guarded):
    """The guardrail denies nothing else."""
    ec2 = person(guarded, "administrator")

    ec2.create_tags(Resources=[guarded.image], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.delete_tags(Resources=[guarded.image], Tags=[{"Key": "owner"}])
    ec2.create_tags(Resources=[guarded.snapshots[0]], Tags=[{"Key": TRIGGER, "Value": "of a snapshot"}])
    ec2.delete_tags(Resources=[guarded.snapshots[0]])


def test_nobody_else_says_which_snapshots_may_leave(guarded):
    """A person with full permissions exports no snapshot of the hub by tagging it, by any call that tags."""
    ec2, (snapshot, *_) = person(guarded, "administrator"), guarded.snapshots
    golden = {"Key": "golden", "Value": "yes"}
    bears = tags("snapshot", golden="yes")
    person(guarded, "image-builder").create_tags(Resources=[snapshot], Tags=[golden])
    for mine in (ec2, guarded.client("ec2")):
        refused(mine.create_tags, Resources=guarded.snapshots, Tags=[{"Key": "a", "Value": "b"}, golden])
        refused(mine.copy_snapshot, SourceSnapshotId=snapshot, SourceRegion=REGION, TagSpecifications=bears)
        refused(mine.delete_tags, Resources=[snapshot], Tags=[{"Key": "golden"}])
        refused(mine.delete_tags, Resources=[snapshot])
    ec2.create_tags(Resources=[snapshot, guarded.image], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.create_tags(Resources=[guarded.image], Tags=[golden])
    person(guarded, "image-builder").delete_tags(Resources=[snapshot], Tags=[{"Key": "golden"}])


def test_nobody_but_the_service_writes_its_tags(guarded):
    """Neither alone nor within a creating call; a target's administrator can make nothing with them."""
    own = guarded.world.ec2.seed_image(DEV, REGION, name="golden", volumes=(8,))
    admin, backup = person(guarded, "administrator", DEV), person(guarded, "backup", DEV)
    (shown,) = admin.describe_images(ImageIds=[own])["Images"]
    snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ours = [{"Key": HUB_TAG, "Value": HUB}]
    planted = tags("image", **{HUB_TAG: HUB, "ami-promoter:source-image": guarded.image})

    for ec2 in (admin, guarded.client("ec2", DEV)):
        for resource in (own, snapshot):
            refused(ec2.create_tags, Resources=[resource], Tags=ours)
        refused(ec2.copy_image, SourceImageId=own, SourceRegion=REGION, Name="planted", TagSpecifications=planted)
    backup.create_tags(Resources=[snapshot], Tags=ours)

    guarded.apply(f'defaults: {{external_id: {stage.EXTERNAL_ID}}}\ngroups: {{default: ["{DEV}"]}}\n')
    person(guarded, "image-builder").create_tags(Resources=[guarded.image], Tags=[{"Key": TRIGGER, "Value": ""}])
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
    guarded.assert_invariants()
