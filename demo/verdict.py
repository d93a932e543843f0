"""Whether every way did what it promises: looked up afterwards, as each account's own administrator sees it.

One :class:`Row` for each way, with what is wrong of each promise; what belongs to no account is looked up once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from demo import stage
from demo.observer import Observer
from demo.ways import Place, Way

Launches = dict[tuple[str, Place], str]
"""Moment, and account and Region -> why a launch failed; "" if the instance ran."""
MOMENTS = {"before": False, "while": True, "narrowed": True, "after": False}
"""When launches are tried -> whether a shared AMI must be launchable then. An AMI of one's own always is."""
TABLE = f"ami-promoter-{stage.REGION}"
OF_THE_COPY = frozenset({"SnapshotId", "KmsKeyId", "Encrypted"})
"""Members of a mapping in which a copy differs from its source."""
Shown = Mapping[str, Any]
"""What a Describe call returns of one thing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way: the state in which its delivery ended, what the account owns, and for each check what is wrong."""

    way: Way
    ended: str
    images: tuple[str, ...]
    """Ids of its own AMIs; one if all is well, none if it was only to share."""
    keys: tuple[str, ...]
    """ARNs of the keys of all snapshots there."""
    problems: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong: of each way in its row, of all else, by check, in ``whole``."""

    rows: tuple[Row, ...]
    whole: Mapping[str, tuple[str, ...]]

    @property
    def good(self) -> bool:
        """Whether all checks passed."""
        return not any(self.whole.values()) and not any(any(row.problems.values()) for row in self.rows)


def judge(observer: Observer, launches: Launches) -> Verdict:
    """Check each way, and what belongs to none; return what is wrong."""
    look = _Look(observer, launches)
    return Verdict(tuple(map(look.row, observer.setting.ways)), {what: tuple(found) for what, found in look.whole()})


def must_run(way: Way, moment: str) -> bool:
    """Whether a launch must succeed at a moment."""
    return not way.shares or MOMENTS[moment]


class _Look:
    """One look at everything."""

    def __init__(self, observer: Observer, launches: Launches) -> None:
        self._observer = observer
        self._setting = observer.setting
        self._launches = launches
        self._open = self._setting.open()

    def row(self, way: Way) -> Row:
        """Look at a way."""
        ec2 = self._setting.client("ec2", *way.place)
        images: list[Shown] = ec2.describe_images(Owners=["self"])["Images"]
        snapshots: list[Shown] = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        problems: dict[str, Iterator[str]] = {
            "way": self._way(way),
            "ended": self._ended(way),
            "launches": self._tried(way),
            "open": iter(self._setting.open_for(way, self._open)),
        }
        if way.shares:
            problems["image"] = _owns_nothing(images, snapshots)
        else:
            source = self._sources[self._setting.source(way)]
            problems |= {
                "image": _one_image(way, images),
                "key": _under_key(self._setting.keys[way.place], snapshots),
                "devices": _like_source(source, images, snapshots),
                "leftovers": _left_over(images, snapshots),
                "tags": _tagged(source, images),
            }
        keys = dict.fromkeys(str(snapshot.get("KmsKeyId", "none")) for snapshot in snapshots)
        return Row(
            way,
            self._observer.state(self._setting.source(way), way.place),
            tuple(image["ImageId"] for image in images),
            tuple(keys),
            {promise: tuple(found) for promise, found in problems.items()},
        )

    def whole(self) -> Iterator[tuple[str, Iterator[str]]]:
        """Look at what belongs to no account."""
        yield "shares", self._others_open()
        yield "policy", self._policy()
        yield "refused", self._refused()
        yield "parked", self._parked()
        yield "dead letters", self._dead_letters()
        yield "crashes", self._crashes()

    # --- of a way ---

    def _way(self, way: Way) -> Iterator[str]:
        """Compare what was done for the account with what its way is to do."""
        seen = self._observer.seen
        by_unit = {f"{what} of its OU" for arn in self._setting.holders(way) - {way.account} for what in seen[arn]}
        found = seen[way.account] | by_unit
        for what in sorted(set(way.seen) - found):
            yield f"of its way was not seen: {what}"
        for what in sorted(found - set(way.seen)):
            yield f"belongs to another way: {what}"

    def _ended(self, way: Way) -> Iterator[str]:
        image = self._setting.source(way)
        state = self._observer.state(image, way.place)
        if state != way.end:
            yield f"its delivery is {state}, not {way.end}"
        bodies = self._notices.get((image, way.place), [])
        yield from dict.fromkeys(fault["what"] for body in bodies for fault in body.get("faults", ()))
        reported = {body["event"] for body in bodies}
        wanted = {"delivery.shared", "delivery.withdrawn"} if way.shares else {"delivery.delivered"}
        if reported != wanted:
            yield f"the notices say {', '.join(sorted(reported)) or 'nothing'}"

    def _tried(self, way: Way) -> Iterator[str]:
        for moment in MOMENTS:
            why = self._launches.get((moment, way.place))
            if why is None and moment in ({"while", "after"} if way.shares else {"after"}):
                yield f"{moment}: was not tried"
            elif why and must_run(way, moment):
                yield f"{moment}: does not launch: {why}"
            elif why == "" and not must_run(way, moment):
                yield f"{moment}: launches, and must not"

    # --- of the whole ---

    def _others_open(self) -> Iterator[str]:
        """What is open for nobody of the ways, and what an auditor of the hub finds, who sees no state but the API."""
        theirs = {share for way in self._setting.ways for share in self._setting.open_for(way, self._open)}
        yield from sorted(set(self._open) - theirs)
        ec2, kms = self._setting.client("ec2"), self._setting.client("kms")
        for image in self._setting.images:
            asked = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
            for one in asked["LaunchPermissions"]:
                yield f"describe-image-attribute: {image} to {', '.join(one.values())}"
            for mapping in self._sources[image]["BlockDeviceMappings"]:
                snapshot = mapping["Ebs"]["SnapshotId"]
                asked = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
                for one in asked["CreateVolumePermissions"]:
                    yield f"describe-snapshot-attribute: {snapshot} to {', '.join(one.values())}"
        for page in kms.get_paginator("list_grants").paginate(KeyId=self._setting.staged.key):
            for grant in page["Grants"]:
                yield f"list-grants: {grant.get('Name', grant['GrantId'])} to {grant['GranteePrincipal']}"

    def _policy(self) -> Iterator[str]:
        now = self._setting.client("kms").get_key_policy(KeyId=self._setting.staged.key)["Policy"]
        if now != self._setting.policy:
            yield f"it is now {now}"

    def _refused(self) -> Iterator[str]:
        for notice in self._setting.world.sns.published:
            if notice.body["event"] == "promotion.refused":
                yield from (fault["what"] for fault in notice.body["faults"])

    def _parked(self) -> Iterator[str]:
        pages = self._setting.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=TABLE, ConsistentRead=True):
            for item in page["Items"]:
                if item.get("parked"):
                    yield f"{item['pk']['S']}: {next(iter(item['parked'].values()))}"

    def _dead_letters(self) -> Iterator[str]:
        for queue in self._setting.world.sqs.queues.values():
            if "-dead" in queue.name and queue.messages:
                yield f"{len(queue.messages)} in {queue.name}; the first is {queue.messages[0].body[:200]}"

    def _crashes(self) -> Iterator[str]:
        for crash in self._setting.crashes:
            if not crash.happened:
                yield f"{crash.function} never came {crash.when} {crash.operation} number {crash.nth}"

    # --- looked up once ---

    @cached_property
    def _sources(self) -> dict[str, Shown]:
        images = self._setting.client("ec2").describe_images(ImageIds=list(self._setting.images))["Images"]
        return {image["ImageId"]: image for image in images}

    @cached_property
    def _notices(self) -> dict[tuple[str, Place], list[Shown]]:
        """Bodies of the notices about each delivery."""
        found: dict[tuple[str, Place], list[Shown]] = {}
        for notice in self._setting.world.sns.published:
            body = notice.body
            if "account" in body:
                found.setdefault((body["source_image"], (body["account"], body["region"])), []).append(body)
        return found


def _owns_nothing(images: list[Shown], snapshots: list[Shown]) -> Iterator[str]:
    for thing in (*images, *snapshots):
        yield f"it owns {thing.get('ImageId') or thing['SnapshotId']}, though the AMI is only shared"


def _one_image(way: Way, images: list[Shown]) -> Iterator[str]:
    if len(images) != 1:
        yield f"it has {len(images)} AMIs: {', '.join(image['ImageId'] for image in images) or 'none'}"
    for image in images:
        if (image["OwnerId"], image["State"]) != (way.account, "available"):
            yield f"{image['ImageId']} is {image['State']} and owned by {image['OwnerId']}"


def _under_key(key: str, snapshots: list[Shown]) -> Iterator[str]:
    if not snapshots:
        yield "it has no snapshot"
    for snapshot in snapshots:
        if snapshot.get("KmsKeyId") != key:
            yield f"{snapshot['SnapshotId']} is under {snapshot.get('KmsKeyId', 'no key')}, not {key}"


def _like_source(source: Shown, images: list[Shown], snapshots: list[Shown]) -> Iterator[str]:
    owned = {snapshot["SnapshotId"] for snapshot in snapshots}
    for image in images:
        if _devices(image) != _devices(source):
            yield f"{image['ImageId']} has {_devices(image)}, and its source {_devices(source)}"
        for snapshot in _snapshots(image) - owned:
            yield f"{image['ImageId']} stands on {snapshot}, which the account does not own"


def _left_over(images: list[Shown], snapshots: list[Shown]) -> Iterator[str]:
    used = {snapshot for image in images for snapshot in _snapshots(image)}
    for snapshot in snapshots:
        if snapshot["SnapshotId"] not in used:
            yield f"{snapshot['SnapshotId']} ({snapshot['State']}) belongs to no AMI"


def _tagged(source: Shown, images: list[Shown]) -> Iterator[str]:
    """Compare with the tags of the source, the trigger tag left out."""
    wanted = {name: value for name, value in _tags(source).items() if name != "promote"}
    wanted["ami-promoter:source-image"] = source["ImageId"]
    if not images:
        yield "there is no AMI"
    for image in images:
        found = _tags(image)
        if lacking := {name: value for name, value in wanted.items() if found.get(name) != value}:
            yield f"{image['ImageId']} lacks {lacking}"
        if "promote" in found:
            yield f"{image['ImageId']} has the trigger tag"


def _devices(image: Shown) -> dict[str, Any]:
    return {
        mapping["DeviceName"]: {k: v for k, v in mapping.get("Ebs", {}).items() if k not in OF_THE_COPY}
        for mapping in image["BlockDeviceMappings"]
    }


def _snapshots(image: Shown) -> set[str]:
    return {m["Ebs"]["SnapshotId"] for m in image["BlockDeviceMappings"] if "SnapshotId" in m.get("Ebs", {})}


def _tags(image: Shown) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", ())}
