"""Checks of CloudTrail: its event history, and the events that a trail sends to EventBridge."""

import json
from datetime import timedelta
from typing import Any

from awsim.world import World
from platform_words import DEV, HERE, OPS, after, refused, wait


def _history(world: World, account: str = OPS, region: str = HERE) -> list[dict[str, Any]]:
    """Look up who changed the sharing of snapshots."""
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "ModifySnapshotAttribute"}]
    found = world.client("cloudtrail", account, region).lookup_events(LookupAttributes=wanted)["Events"]
    return [json.loads(event["CloudTrailEvent"]) for event in found]


def _share(world: World) -> str:
    """Share a snapshot of OPS with another account."""
    image = world.ec2.seed_image(OPS, HERE, name="base", volumes=[1])
    (shown,) = world.client("ec2", OPS).describe_images(ImageIds=[image])["Images"]
    snapshot: str = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    world.client("ec2", OPS).modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[DEV]
    )
    return snapshot


def cloudtrail_history_is_late(world: World) -> None:
    snapshot = _share(world)

    assert _history(world) == []
    wait(world, 310)
    (record,) = _history(world)
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{OPS}:root"
    assert record["requestParameters"] == {
        "snapshotId": snapshot,
        "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {"add": {"items": [{"userId": DEV}]}},
    }


def cloudtrail_shows_what_was_tagged(world: World) -> None:
    image = world.ec2.seed_image(OPS, HERE, name="base", volumes=[1])
    world.client("ec2", OPS).create_tags(Resources=[image], Tags=[{"Key": "stage", "Value": "dev"}])
    wait(world, 310)
    cloud = world.client("cloudtrail", OPS, HERE)
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "CreateTags"}]

    (event,) = cloud.lookup_events(LookupAttributes=wanted)["Events"]
    before = cloud.lookup_events(LookupAttributes=wanted, EndTime=event["EventTime"] - timedelta(seconds=1))["Events"]

    record = json.loads(event["CloudTrailEvent"])
    assert record["requestParameters"] == {
        "resourcesSet": {"items": [{"resourceId": image}]},
        "tagSet": {"items": [{"key": "stage", "value": "dev"}]},
    }
    assert record["eventID"] == event["EventId"] != record["requestID"]
    assert before == []


def cloudtrail_one_lookup_attribute(world: World) -> None:
    wanted = [{"AttributeKey": "EventName", "AttributeValue": name} for name in ("CreateTags", "CopySnapshot")]
    refused("InvalidLookupAttributesException", world.client("cloudtrail", OPS).lookup_events, LookupAttributes=wanted)


def cloudtrail_history_of_one_account_and_region(world: World) -> None:
    _share(world)
    assert _history(after(world, 310), DEV) == []
    assert _history(world, OPS, "eu-west-1") == []


def _reported(world: World, account: str = OPS) -> list[dict[str, Any]]:
    """The CloudTrail records that have arrived on an account's default bus."""
    seen = [event for arn, event in world.events.seen if f":{account}:" in arn]
    return [event["detail"] for event in seen if event["detail-type"].endswith("via CloudTrail")]


def cloudtrail_events_need_a_trail(world: World) -> None:
    _share(world)
    assert _reported(after(world, 310)) == []

    world.cloudtrail.start_logging(OPS)
    _share(world)
    wait(world, 310)
    assert [record["eventName"] for record in _reported(world)] == ["ModifySnapshotAttribute"]


def cloudtrail_shows_key_use_through_ec2(world: World) -> None:
    key: str = world.client("kms", OPS).create_key()["KeyMetadata"]["Arn"]
    image = world.ec2.seed_image(OPS, HERE, name="base", volumes=[1], key=key)
    (shown,) = world.client("ec2", OPS).describe_images(ImageIds=[image])["Images"]
    source: str = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    world.cloudtrail.start_logging(OPS)
    world.client("ec2", OPS).copy_snapshot(SourceSnapshotId=source, SourceRegion=HERE, Encrypted=True, KmsKeyId=key)
    wait(world, 600)

    uses = [record for record in _reported(world) if record["eventName"] == "Decrypt"]
    assert {record["requestParameters"]["encryptionContext"]["aws:ebs:id"] for record in uses} > {source}
    assert {record["userIdentity"]["invokedBy"] for record in uses} == {"ec2.amazonaws.com"}
    assert all(record["readOnly"] and record["resources"][0]["ARN"] == key for record in uses)


def cloudtrail_tells_eventbridge_later(world: World) -> None:
    world.cloudtrail.start_logging(OPS)
    _share(world)

    assert _reported(after(world, 15)) == []
    assert len(_reported(after(world, 310))) == 1


def _foreign_grant(world: World) -> str:
    """Let an account create a grant on a key of OPS whose policy admits it; return the key's ARN."""
    both = {"AWS": [f"arn:aws:iam::{account}:root" for account in (OPS, DEV)]}
    policy = {"Statement": [{"Effect": "Allow", "Principal": both, "Action": "kms:*", "Resource": "*"}]}
    key: str = world.client("kms", OPS).create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    for account in (OPS, DEV):
        world.cloudtrail.start_logging(account)
    root = f"arn:aws:iam::{DEV}:root"
    world.client("kms", DEV).create_grant(KeyId=key, GranteePrincipal=root, Operations=["Decrypt"])
    return key


def cloudtrail_key_owner_sees_use(world: World) -> None:
    key = _foreign_grant(world)
    wait(world, 310)

    assert [len(_reported(world, account)) for account in (OPS, DEV)] == [1, 1]
    (record,), (own,) = _reported(world), _reported(world, DEV)
    assert (record["userIdentity"]["type"], record["userIdentity"]["accountId"]) == ("AWSAccount", DEV)
    assert "arn" not in record["userIdentity"]
    assert record["resources"][0]["ARN"] == key
    assert record["responseElements"]["grantId"]
    assert record["eventID"] != own["eventID"]


def cloudtrail_denied_use_shows_with_the_caller_alone(world: World) -> None:
    key: str = world.client("kms", OPS).create_key()["KeyMetadata"]["Arn"]
    for account in (OPS, DEV):
        world.cloudtrail.start_logging(account)
    refused(
        "AccessDeniedException",
        world.client("kms", DEV).create_grant,
        KeyId=key,
        GranteePrincipal=DEV,
        Operations=["Decrypt"],
    )
    wait(world, 310)

    assert [record["errorCode"] for record in _reported(world, DEV)] == ["AccessDeniedException"]
    assert _reported(world) == []


def cloudtrail_tells_of_shared_snapshots(world: World) -> None:
    snapshot = _share(world)
    world.cloudtrail.start_logging(OPS)
    world.client("ec2", DEV).copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=HERE)
    wait(world, 310)

    records = [record for record in _reported(world) if record["eventName"] != "CopySnapshot"]
    assert [
        (record["eventName"], record["userIdentity"]["accountId"], record["serviceEventDetails"]) for record in records
    ] == [("SharedSnapshotCopyInitiated", DEV, {"snapshotId": snapshot})]


def cloudtrail_shows_copies_to_the_source_owner(world: World) -> None:
    snapshot = _share(world)
    world.cloudtrail.start_logging(OPS)
    copy = world.client("ec2", DEV).copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=HERE)["SnapshotId"]
    wait(world, 310)

    shown = [record for record in _reported(world) if record["eventName"] == "CopySnapshot"]
    assert [(record["userIdentity"]["accountId"], "arn" in record["userIdentity"]) for record in shown] == [
        (DEV, False)
    ]
    assert shown[0]["requestParameters"]["sourceSnapshotId"] == snapshot
    assert shown[0]["responseElements"]["snapshotId"] == copy
