"""Whether each way did what it promises: looked up as the account's own administrator sees it, and as the hub's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox import stage

if TYPE_CHECKING:
    from sandbox.demo.ways.cast import Way
    from sandbox.demo.ways.setting import Setting
    from sandbox.demo.ways.telling import Teller

Launches = dict[tuple[str, tuple[str, str]], str]
"""Moment (before, while, narrowed, after), and account and Region -> why a launch failed; "" if the instance ran."""
PROMISES = ("way", "ended", "launches", "key", "open", "tags")
MOMENTS = {"before": False, "while": True, "narrowed": True, "after": False}
"""When launches are tried -> whether a shared AMI must be launchable then. An AMI of one's own always is."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way, what was found, and per promise (``PROMISES``) what is not so."""

    way: Way
    ended: str
    faults: Mapping[str, tuple[str, ...]]

    @property
    def good(self) -> bool:
        """Whether all of it is so."""
        return not any(self.faults.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was looked up. ``faults`` are of the whole: what belongs to no row."""

    rows: tuple[Row, ...]
    faults: tuple[str, ...]
    calls: int
    invocations: int

    @property
    def good(self) -> bool:
        """Whether all of it is so."""
        return not self.faults and all(row.good for row in self.rows)


def judge(setting: Setting, teller: Teller, launches: Launches) -> Verdict:
    """Look everything up."""
    looks: dict[str, Callable[[Way], Iterator[str]]] = {
        "way": lambda way: _seen(way, teller),
        "ended": lambda way: _ended(setting, way, teller),
        "launches": lambda way: _launches(way, launches),
        "key": lambda way: _owns_nothing(setting, way) if way.shares else _keys(setting, way),
        "open": lambda way: iter(setting.open_for(way)),
        "tags": lambda way: iter(()) if way.shares else _tags(setting, way),
    }
    rows = tuple(
        Row(
            way,
            teller.state(setting.source(way), way.place),
            {promise: tuple(looks[promise](way)) for promise in PROMISES},
        )
        for way in setting.ways
    )
    calls = [call for call in setting.world.calls if call.caller.function and call.at >= setting.began]
    invocations = [one for one in setting.world.lambda_.invocations if one.began >= setting.began]
    return Verdict(rows, tuple(_whole(setting)), len(calls), len(invocations))


def must_run(way: Way, moment: str) -> bool:
    """Whether a launch must succeed at a moment."""
    return not way.shares or MOMENTS[moment]


def _seen(way: Way, teller: Teller) -> Iterator[str]:
    """Compare what was done for the account with what its way is to do."""
    found = teller.seen[way.account]
    for what in sorted(set(way.seen) - found):
        yield f"of its way was not seen: {what}"
    for what in sorted(found - set(way.seen)):
        yield f"belongs to another way: {what}"


def _ended(setting: Setting, way: Way, teller: Teller) -> Iterator[str]:
    image = setting.source(way)
    state = teller.state(image, way.place)
    if state != way.end:
        yield f"its delivery is {state}, not {way.end}"
    bodies = [
        notice.body
        for notice in setting.world.sns.published
        if (notice.body["source_image"], notice.body.get("account"), notice.body.get("region")) == (image, *way.place)
    ]
    yield from dict.fromkeys(fault["what"] for body in bodies for fault in body.get("faults", ()))
    told = {body["event"] for body in bodies}
    wanted = {"delivery.shared", "delivery.withdrawn"} if way.shares else {"delivery.delivered"}
    if told != wanted:
        yield f"the notices say {', '.join(sorted(told)) or 'nothing'}"


def _launches(way: Way, launches: Launches) -> Iterator[str]:
    for moment in MOMENTS:
        why = launches.get((moment, way.place))
        if why is None and moment in {"while", "after"}:
            yield f"{moment}: was not tried"
        elif why and must_run(way, moment):
            yield f"{moment}: does not launch: {why}"
        elif why == "" and not must_run(way, moment):
            yield f"{moment}: launches, and must not"


def _images(setting: Setting, way: Way) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = setting.client("ec2", *way.place).describe_images(Owners=["self"])["Images"]
    return found


def _snapshots(setting: Setting, way: Way) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = setting.client("ec2", *way.place).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return found


def _owns_nothing(setting: Setting, way: Way) -> Iterator[str]:
    for thing in (*_images(setting, way), *_snapshots(setting, way)):
        yield f"it owns {thing.get('ImageId') or thing['SnapshotId']}, though the AMI is only shared"


def _keys(setting: Setting, way: Way) -> Iterator[str]:
    key = setting.keys[way.place]
    images = _images(setting, way)
    if [image["State"] for image in images] != ["available"]:
        yield f"it has {len(images)} AMIs, not one that is available"
    used = {m["Ebs"]["SnapshotId"] for image in images for m in image["BlockDeviceMappings"] if "Ebs" in m}
    snapshots = _snapshots(setting, way)
    for snapshot in snapshots:
        if snapshot.get("KmsKeyId") != key:
            yield f"{snapshot['SnapshotId']} is under {snapshot.get('KmsKeyId', 'no key')}, not {key}"
    if used != {snapshot["SnapshotId"] for snapshot in snapshots}:
        yield "its snapshots are not those of its AMI"


def _tags(setting: Setting, way: Way) -> Iterator[str]:
    """Compare with the tags of the source, which has no trigger tag any more."""
    source = setting.source(way)
    (shown,) = setting.client("ec2").describe_images(ImageIds=[source])["Images"]
    wanted = {**_as_mapping(shown), "ami-promoter:source-image": source}
    images = _images(setting, way)
    if not images:
        yield "there is no AMI"
    for image in images:
        found = _as_mapping(image)
        if lacking := {name: value for name, value in wanted.items() if found.get(name) != value}:
            yield f"{image['ImageId']} lacks {lacking}"
        if "promote" in found:
            yield f"{image['ImageId']} bears the trigger tag"


def _as_mapping(image: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", ())}


def _whole(setting: Setting) -> Iterator[str]:
    """Look at what belongs to no account: refusals, what is open at all, the key's policy, records, dead letters."""
    for notice in setting.world.sns.published:
        if notice.body["event"] == "promotion.refused":
            yield from (f"refused: {fault['what']}" for fault in notice.body["faults"])
    rest = set(setting.world.shares_open()) - setting.before
    for share in sorted(rest - {share for way in setting.ways for share in setting.open_for(way)}):
        yield f"still open: {share}"
    yield from _by_api(setting)
    now = setting.client("kms").get_key_policy(KeyId=setting.staged.key)["Policy"]
    if now != setting.policy:
        yield f"the key's policy is not as its owner wrote it: {now}"
    for item in _records(setting):
        if item.get("parked"):
            yield f"parked: {item['pk']}: {item['parked']}"
    for queue in setting.world.sqs.queues.values():
        if "-dead" in queue.name and queue.messages:
            yield f"{len(queue.messages)} in {queue.name}; the first is {queue.messages[0].body[:200]}"


def _by_api(setting: Setting) -> Iterator[str]:
    """Ask as an auditor of the hub would; ``World.shares_open`` has looked at the state itself."""
    ec2, kms = setting.client("ec2"), setting.client("kms")
    for image in setting.images:
        asked = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
        yield from (f"describe-image-attribute: {image} to {list(one.values())}" for one in asked["LaunchPermissions"])
        (shown,) = ec2.describe_images(ImageIds=[image])["Images"]
        for mapping in shown["BlockDeviceMappings"]:
            snapshot = mapping["Ebs"]["SnapshotId"]
            asked = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
            for one in asked["CreateVolumePermissions"]:
                yield f"describe-snapshot-attribute: {snapshot} to {list(one.values())}"
    for grant in kms.list_grants(KeyId=setting.staged.key)["Grants"]:
        yield f"list-grants: {grant['GrantId']} to {grant['GranteePrincipal']}"


def _records(setting: Setting) -> Iterator[dict[str, Any]]:
    pages = setting.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=f"ami-promoter-{stage.REGION}", ConsistentRead=True):
        yield from ({name: next(iter(value.values())) for name, value in item.items()} for item in page["Items"])
