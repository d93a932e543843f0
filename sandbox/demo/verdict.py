"""Whether it is all so: looked up afterwards, through the API as each account's own administrator sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox import stage

if TYPE_CHECKING:
    from sandbox.demo.scene import Scene

TABLE = f"ami-promoter-{stage.REGION}"
OF_THE_COPY = frozenset({"SnapshotId", "KmsKeyId", "Encrypted"})
"""Members of a mapping in which a copy differs from its source."""
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was found in one target."""

    account: str
    images: tuple[Mapping[str, Any], ...]
    snapshots: tuple[Mapping[str, Any], ...]

    @property
    def image(self) -> str:
        """Ids of the AMIs there; one if all is well."""
        return ", ".join(image["ImageId"] for image in self.images)

    @property
    def keys(self) -> tuple[str, ...]:
        """ARNs of the keys of all snapshots there."""
        return tuple(dict.fromkeys(snapshot.get("KmsKeyId", "none") for snapshot in self.snapshots))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so. ``faults`` says what is not so; it is so if there are none."""

    claim: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was looked up."""

    arrivals: tuple[Arrival, ...]
    checks: tuple[Check, ...]
    shares: tuple[str, ...] = field(default=())
    """What is still open."""

    @property
    def good(self) -> bool:
        """Whether all of it is so."""
        return not any(check.faults for check in self.checks)


def judge(scene: Scene) -> Verdict:
    """Look everything up."""
    arrivals = tuple(_arrival(scene, account) for account in scene.targets.values())
    items = _records(scene)
    shares = (*scene.world.shares_open(), *_shares_by_api(scene))
    count = len(arrivals)
    many = WORDS[count] if count < len(WORDS) else str(count)
    all_of_them = "the target" if count == 1 else f"all {many} targets"

    def each(look: Callable[[Scene, Arrival], Iterator[str]]) -> tuple[str, ...]:
        return tuple(
            f"{scene.names[one.account]} ({one.account}): {fault}" for one in arrivals for fault in look(scene, one)
        )

    checks = [
        Check(f"delivered to {all_of_them}", tuple(_undelivered(scene, items))),
        Check("one AMI in each, available, and owned by it", each(_images)),
        Check("every snapshot encrypted under the target's own key", each(_keys)),
        Check("devices and sizes as in the source", each(_mappings)),
        Check("no snapshot left over", each(_leftovers)),
        Check("shares still open: none", shares),
        Check("no record is parked", tuple(f"{i['pk']}: {i['parked']}" for i in items if i.get("parked"))),
        Check("no dead letter", tuple(_dead_letters(scene))),
    ]
    if scene.crashes:
        missed = tuple(
            f"{c.function} never came {c.when} {c.operation} number {c.nth}; it was called {c.seen} times"
            for c in scene.crashes
            if not c.happened
        )
        checks.append(Check("every crash that was asked for has struck", missed))
    return Verdict(arrivals, tuple(checks), shares)


def _arrival(scene: Scene, account: str) -> Arrival:
    ec2 = scene.world.client("ec2", account, stage.REGION)
    images = ec2.describe_images(Owners=["self"])["Images"]
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return Arrival(account, tuple(images), tuple(snapshots))


def _records(scene: Scene) -> list[dict[str, Any]]:
    pages = scene.world.client("dynamodb", stage.HUB, stage.REGION).get_paginator("scan")
    items = (item for page in pages.paginate(TableName=TABLE, ConsistentRead=True) for item in page["Items"])
    return [{name: next(iter(value.values())) for name, value in item.items()} for item in items]


def _undelivered(scene: Scene, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    told = {
        notice.attributes["account"]: notice.attributes["event"]
        for notice in scene.world.sns.published
        if "account" in notice.attributes
    }
    for account in scene.targets.values():
        mine = [i for i in items if i.get("kind") == "delivery" and f'"account":"{account}"' in i["body"]]
        state = mine[0]["state"] if mine else "never begun"
        who = f"{scene.names[account]} ({account})"
        if state != "delivered":
            yield f"{who}: its delivery is {state}"
        elif told.get(account) != "delivery.delivered":
            yield f"{who}: no notice says that it was delivered, but {told.get(account, 'nothing')}"


def _images(scene: Scene, arrival: Arrival) -> Iterator[str]:
    if len(arrival.images) != 1:
        yield f"it has {len(arrival.images)} AMIs: {arrival.image or 'none'}"
    for image in arrival.images:
        if (image["OwnerId"], image["State"]) != (arrival.account, "available"):
            yield f"{image['ImageId']} is {image['State']} and owned by {image['OwnerId']}"
        tags = {tag["Key"]: tag["Value"] for tag in image.get("Tags", ())}
        if tags.get("ami-promoter:source-image") != scene.stage.image:
            yield f"{image['ImageId']} does not say by its tags that it comes from {scene.stage.image}"


def _keys(scene: Scene, arrival: Arrival) -> Iterator[str]:
    key = scene.stage.targets[arrival.account].outputs["KeyArn"]
    for snapshot in arrival.snapshots:
        if snapshot["OwnerId"] != arrival.account or not snapshot["Encrypted"] or snapshot.get("KmsKeyId") != key:
            found = snapshot.get("KmsKeyId", "no key")
            yield f"{snapshot['SnapshotId']} is owned by {snapshot['OwnerId']} and under {found}, not {key}"


def _mappings(scene: Scene, arrival: Arrival) -> Iterator[str]:
    source = scene.world.client("ec2", stage.HUB, stage.REGION).describe_images(ImageIds=[scene.stage.image])
    wanted = _devices(source["Images"][0])
    sizes = {snapshot["SnapshotId"]: snapshot["VolumeSize"] for snapshot in arrival.snapshots}
    for image in arrival.images:
        found = _devices(image)
        if found != wanted:
            yield f"{image['ImageId']} has {found}, and its source {wanted}"
        for mapping in image["BlockDeviceMappings"]:
            snapshot = mapping.get("Ebs", {}).get("SnapshotId")
            if snapshot and sizes.get(snapshot) is None:
                yield f"{image['ImageId']} stands on {snapshot}, which the account does not own"


def _devices(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        mapping["DeviceName"]: {k: v for k, v in mapping.get("Ebs", {}).items() if k not in OF_THE_COPY}
        for mapping in image["BlockDeviceMappings"]
    }


def _leftovers(scene: Scene, arrival: Arrival) -> Iterator[str]:
    used = {m.get("Ebs", {}).get("SnapshotId") for image in arrival.images for m in image["BlockDeviceMappings"]}
    for snapshot in arrival.snapshots:
        if snapshot["SnapshotId"] not in used:
            yield f"{snapshot['SnapshotId']} ({snapshot['State']}) belongs to no AMI"


def _shares_by_api(scene: Scene) -> Iterator[str]:
    """Ask as an auditor of the hub would; ``World.shares_open`` has looked at the state itself."""
    ec2, kms = (scene.world.client(name, stage.HUB, stage.REGION) for name in ("ec2", "kms"))
    for snapshot in scene.stage.snapshots:
        asked = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        for permission in asked["CreateVolumePermissions"]:
            yield f"describe-snapshot-attribute: {snapshot} to {', '.join(permission.values())}"
    asked = ec2.describe_image_attribute(ImageId=scene.stage.image, Attribute="launchPermission")
    for permission in asked["LaunchPermissions"]:
        yield f"describe-image-attribute: {scene.stage.image} to {', '.join(permission.values())}"
    for page in kms.get_paginator("list_grants").paginate(KeyId=scene.stage.key):
        for grant in page["Grants"]:
            yield f"list-grants: {grant.get('Name', grant['GrantId'])} to {grant['GranteePrincipal']}"


def _dead_letters(scene: Scene) -> Iterator[str]:
    sqs = scene.world.client("sqs", stage.HUB, stage.REGION)
    for queue in scene.world.sqs.queues.values():
        if "-dead" in queue.name:
            asked = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"])
            count = int(asked["Attributes"]["ApproximateNumberOfMessages"])
            if count:
                yield f"{count} in {queue.name}; the first is {queue.messages[0].body[:200]}"
