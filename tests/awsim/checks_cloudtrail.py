"""Checks of CloudTrail's event history."""

from __future__ import annotations

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
    """A call is not in the history at once, and is in it minutes later, with who made it and what was asked."""
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
    """Who tags is shown with things, keys and values; what is outside of the time asked for is not shown."""
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
    """Neither another account nor another Region sees it."""
    share(world)
    wait(world, 310)

    assert history(world, DEV) == []
    assert history(world, HUB, "eu-west-1") == []


CHECKS = {
    cloudtrail.LATE.name: late,
    cloudtrail.ONE_ATTRIBUTE.name: one_attribute,
    cloudtrail.OWN.name: own,
    cloudtrail.TAGS.name: words_of_tags,
}
