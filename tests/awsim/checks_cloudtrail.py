"""Checks of CloudTrail: its event history, and the events that a trail sends to EventBridge."""

import json
from datetime import timedelta
from typing import Any

from awsim.services import cloudtrail
from awsim.world import World
from tests.awsim.platform_words import DEV, HERE, HUB, refused, wait


def history(world: World, account: str = HUB, region: str = HERE) -> list[dict[str, Any]]:
    """Look up who changed the sharing of snapshots."""
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "ModifySnapshotAttribute"}]
    found = world.client("cloudtrail", account, region).lookup_events(LookupAttributes=wanted)["Events"]
    return [json.loads(event["CloudTrailEvent"]) for event in found]


def share(world: World) -> str:
    """Share a snapshot of the hub with another account."""
    image = world.ec2.seed_image(HUB, HERE, name="golden", volumes=[1])
    (shown,) = world.client("ec2", HUB).describe_images(ImageIds=[image])["Images"]
    snapshot: str = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    world.client("ec2", HUB).modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[DEV]
    )
    return snapshot


def late(world: World) -> None:
    """A call appears in the history minutes later, with its caller and its parameters."""
    snapshot = share(world)

    assert history(world) == []
    wait(world, 310)
    (record,) = history(world)
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{HUB}:root"
    assert record["requestParameters"] == {
        "snapshotId": snapshot,
        "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {"add": {"items": [{"userId": DEV}]}},
    }


def words_of_tags(world: World) -> None:
    """CreateTags appears with resources, keys and values; calls outside of the requested time do not appear."""
    image = world.ec2.seed_image(HUB, HERE, name="golden", volumes=[1])
    world.client("ec2", HUB).create_tags(Resources=[image], Tags=[{"Key": "promote", "Value": "dev"}])
    wait(world, 310)
    cloud = world.client("cloudtrail", HUB, HERE)
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "CreateTags"}]

    (event,) = cloud.lookup_events(LookupAttributes=wanted)["Events"]
    before = cloud.lookup_events(LookupAttributes=wanted, EndTime=event["EventTime"] - timedelta(seconds=1))["Events"]

    record = json.loads(event["CloudTrailEvent"])
    assert record["requestParameters"] == {
        "resourcesSet": {"items": [{"resourceId": image}]},
        "tagSet": {"items": [{"key": "promote", "value": "dev"}]},
    }
    assert record["eventID"] == event["EventId"] != record["requestID"]
    assert before == []


def one_attribute(world: World) -> None:
    """Two lookup attributes are refused."""
    wanted = [{"AttributeKey": "EventName", "AttributeValue": name} for name in ("CreateTags", "CopySnapshot")]
    refused(
        "InvalidLookupAttributesException",
        lambda: world.client("cloudtrail", HUB).lookup_events(LookupAttributes=wanted),
    )


def own(world: World) -> None:
    """Another account or Region does not see the call."""
    share(world)
    wait(world, 310)

    assert history(world, DEV) == []
    assert history(world, HUB, "eu-west-1") == []


def reported(world: World, account: str = HUB) -> list[dict[str, Any]]:
    """The CloudTrail records that have arrived on an account's default bus."""
    seen = [event for arn, event in world.events.seen if f":{account}:" in arn]
    return [event["detail"] for event in seen if event["detail-type"].endswith("via CloudTrail")]


def needs_trail(world: World) -> None:
    """Without a trail no event arrives; with one, each call that changes something arrives once."""
    share(world)
    wait(world, 310)
    assert reported(world) == []

    world.cloudtrail.start_logging(HUB)
    share(world)
    wait(world, 310)
    assert [record["eventName"] for record in reported(world)] == ["ModifySnapshotAttribute"]


def used_for(world: World) -> None:
    """A copy under a key shows that EBS has used it for the caller, with the snapshot in the encryption context."""
    key: str = world.client("kms", HUB).create_key()["KeyMetadata"]["Arn"]
    image = world.ec2.seed_image(HUB, HERE, name="golden", volumes=[1], key=key)
    (shown,) = world.client("ec2", HUB).describe_images(ImageIds=[image])["Images"]
    source: str = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    world.cloudtrail.start_logging(HUB)
    world.client("ec2", HUB).copy_snapshot(SourceSnapshotId=source, SourceRegion=HERE, Encrypted=True, KmsKeyId=key)
    wait(world, 600)

    uses = [record for record in reported(world) if record["eventName"] == "Decrypt"]
    assert {record["requestParameters"]["encryptionContext"]["aws:ebs:id"] for record in uses} > {source}
    assert {record["userIdentity"]["invokedBy"] for record in uses} == {"ec2.amazonaws.com"}
    assert all(record["readOnly"] and record["resources"][0]["ARN"] == key for record in uses)


def notified_later(world: World) -> None:
    """The event does not arrive at once."""
    world.cloudtrail.start_logging(HUB)
    share(world)

    wait(world, 15)
    assert reported(world) == []
    wait(world, 310)
    assert len(reported(world)) == 1


def foreign_grant(world: World) -> str:
    """Let an account create a grant on a hub key whose policy admits it; return the key's ARN."""
    both = {"AWS": [f"arn:aws:iam::{account}:root" for account in (HUB, DEV)]}
    policy = {"Statement": [{"Effect": "Allow", "Principal": both, "Action": "kms:*", "Resource": "*"}]}
    key: str = world.client("kms", HUB).create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    for account in (HUB, DEV):
        world.cloudtrail.start_logging(account)
    root = f"arn:aws:iam::{DEV}:root"
    world.client("kms", DEV).create_grant(KeyId=key, GranteePrincipal=root, Operations=["Decrypt"])
    return key


def owner_sees(world: World) -> None:
    """The owner's event has the caller without an ARN, and the grant; the caller's account gets one, too."""
    key = foreign_grant(world)
    wait(world, 310)

    assert [len(reported(world, account)) for account in (HUB, DEV)] == [1, 1]
    (record,), (own,) = reported(world), reported(world, DEV)
    assert (record["userIdentity"]["type"], record["userIdentity"]["accountId"]) == ("AWSAccount", DEV)
    assert "arn" not in record["userIdentity"]
    assert record["resources"][0]["ARN"] == key
    assert record["responseElements"]["grantId"]
    assert record["eventID"] != own["eventID"]


def denied_elsewhere(world: World) -> None:
    """A denied call appears in the caller's account only."""
    key: str = world.client("kms", HUB).create_key()["KeyMetadata"]["Arn"]
    for account in (HUB, DEV):
        world.cloudtrail.start_logging(account)
    refused(
        "AccessDeniedException",
        lambda: world.client("kms", DEV).create_grant(KeyId=key, GranteePrincipal=DEV, Operations=["Decrypt"]),
    )
    wait(world, 310)

    assert [record["errorCode"] for record in reported(world, DEV)] == ["AccessDeniedException"]
    assert reported(world) == []


def shared_use(world: World) -> None:
    """Another account copies a shared snapshot: the owner's event has the snapshot and that account."""
    snapshot = share(world)
    world.cloudtrail.start_logging(HUB)
    world.client("ec2", DEV).copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=HERE)
    wait(world, 310)

    assert [(record["eventName"], record["serviceEventDetails"]) for record in reported(world)] == [
        ("SharedSnapshotCopyInitiated", {"snapshotId": snapshot, "accountId": DEV})
    ]


CHECKS = {
    cloudtrail.LATE.name: late,
    cloudtrail.ONE_ATTRIBUTE.name: one_attribute,
    cloudtrail.OWN.name: own,
    cloudtrail.TAGS.name: words_of_tags,
    cloudtrail.NEEDS_TRAIL.name: needs_trail,
    cloudtrail.NOTIFIED_LATER.name: notified_later,
    cloudtrail.OWNER_SEES.name: owner_sees,
    cloudtrail.DENIED_ELSEWHERE.name: denied_elsewhere,
    cloudtrail.SHARED_USE.name: shared_use,
    cloudtrail.USED_FOR.name: used_for,
}
