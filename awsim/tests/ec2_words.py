"""Helpers of the EC2 checks: accounts, clients, seeds, and the assertion of a refusal."""

import json
from collections.abc import Mapping
from typing import Any

from awsim.world import World
from platform_words import wait

OPS, DEV, PROD = "111111111111", "222222222222", "333333333333"
HERE, WEST = "us-east-1", "us-west-2"
HOURS = 4 * 3600


def ec2(world: World, account: str = OPS, region: str = HERE) -> Any:
    return world.client("ec2", account, region)


def new_key(world: World, account: str = OPS, users: tuple[str, ...] = (), readers: tuple[str, ...] = ()) -> str:
    """Make a key that its own account and the users may use, and the readers may describe; return its ARN."""
    statements = [_to((account, *users), "kms:*"), *([_to(readers, "kms:DescribeKey")] if readers else [])]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    made = world.client("kms", account, HERE).create_key(Policy=policy)
    return str(made["KeyMetadata"]["Arn"])


def _to(accounts: tuple[str, ...], action: str) -> dict[str, Any]:
    who = [f"arn:aws:iam::{name}:root" for name in accounts]
    return {"Effect": "Allow", "Principal": {"AWS": who}, "Action": action, "Resource": "*"}


def an_image(world: World, name: str = "base", **details: Any) -> str:
    """Make an image of OPS, by default with one plain 8 GiB volume."""
    return world.ec2.seed_image(OPS, HERE, name=name, **details)


def shown_image(world: World, image: str, account: str = OPS, **more: Any) -> dict[str, Any]:
    return ec2(world, account).describe_images(ImageIds=[image], **more)["Images"][0]


def snapshot_of(world: World, image: str, device: str = "/dev/xvda") -> str:
    """Return the snapshot behind a device of an image of OPS."""
    found = {m["DeviceName"]: m for m in shown_image(world, image)["BlockDeviceMappings"]}
    return str(found[device]["Ebs"]["SnapshotId"])


def a_snapshot(world: World, *, shared: bool = False, **details: Any) -> str:
    """Make a snapshot of OPS through an image; ``key`` encrypts it, ``shared`` lets DEV use it."""
    made = snapshot_of(world, an_image(world, f"for-a-snapshot-{len(world.ec2.state.images.all())}", **details))
    if shared:
        share(world, made)
    return made


def shown_snapshot(world: World, snapshot: str, account: str = OPS, region: str = HERE) -> dict[str, Any]:
    return ec2(world, account, region).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]


def share(world: World, snapshot: str, account: str = DEV) -> None:
    """Let an account use a snapshot of OPS."""
    ec2(world).modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": account}]})


def unshare(world: World, snapshot: str, account: str = DEV) -> None:
    ec2(world).modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Remove": [{"UserId": account}]})


def copy(world: World, snapshot: str, account: str = DEV, region: str = HERE, **details: Any) -> str:
    """Start a copy of a snapshot of OPS and return its id."""
    asked = {"SourceRegion": HERE, "SourceSnapshotId": snapshot} | details
    return str(ec2(world, account, region).copy_snapshot(**asked)["SnapshotId"])


def register(
    world: World, snapshot: str, account: str = OPS, ebs: Mapping[str, Any] | None = None, **details: Any
) -> str:
    """Register an image with one snapshot as root; ``details`` replace or add parameters, None omits one."""
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, **(ebs or {})}}
    asked: dict[str, Any] = {
        "Name": f"registered-{len(world.ec2.state.images.all())}",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [root],
    }
    asked = {name: value for name, value in (asked | details).items() if value is not None}
    return str(ec2(world, account).register_image(**asked)["ImageId"])


def reported(world: World, account: str, detail_type: str) -> list[dict[str, Any]]:
    """Return the events of a type that have arrived on an account's default bus."""
    wait(world, 120)
    bus = f"arn:aws:events:{HERE}:{account}:event-bus/default"
    return [dict(event) for arn, event in world.events.seen if arn == bus and event["detail-type"] == detail_type]


def copies_reported(world: World, account: str) -> list[dict[str, Any]]:
    """Return the details of the copySnapshot events that an account has received."""
    events = reported(world, account, "EBS Snapshot Notification")
    return [event["detail"] for event in events if event["detail"]["event"] == "copySnapshot"]
