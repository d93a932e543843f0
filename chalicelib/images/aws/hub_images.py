"""The hub's own AMIs: which are tagged, and what the service must know of one before it promotes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images import image, register
from chalicelib.images.aws.shapes import by_id, every, snapshots_of
from chalicelib.images.image import SourceImage, tags_of
from chalicelib.images.keys import KeyFacts, source_keys
from chalicelib.images.ports import HubSnapshot, Tagged, TagRead

FRESH = 10
"""Seconds for which ``examine`` uses what ``tag`` has read: the two follow each other in one step."""


class HubSource:
    """The port ``Source``, under the function's own role. It calls ``check`` before it reads a trigger tag."""

    def __init__(
        self, sessions: Sessions, account: str, region: str, trigger_tag: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self._sessions = sessions
        self._account = account
        self._last: tuple[str, float, Mapping[str, Any] | None] = ("", 0.0, None)
        self._where = f"account {account} (hub), {region}"
        self._trigger_tag = trigger_tag
        self._check = check

    def tag(self, ami: str) -> TagRead:
        """EC2 also shows another account's AMI that the hub has tagged; ``examine`` then has its fault."""
        self._check()
        found = self._image(ami)
        self._last = (ami, self._sessions.now(), found)
        if found is None:
            return TagRead(None, None)
        tags = tags_of(found)
        return TagRead(
            value=tags.get(self._trigger_tag),
            image_state=found["State"],
            image_name=found.get("Name", ""),
            own=register.DELIVERY_TAG in tags,
            owned=found["OwnerId"] == self._account,
            snapshots=snapshots_of(found),
        )

    def keys(self, snapshots: Collection[str]) -> frozenset[str]:
        return frozenset(raw["KmsKeyId"] for raw in self._snapshots(snapshots) if raw.get("KmsKeyId"))

    def examine(self, ami: str) -> tuple[SourceImage, Mapping[str, KeyFacts]] | None:
        known, at, raw = self._last
        if known != ami or self._sessions.now() - at > FRESH:
            raw = self._image(ami)
        if raw is None or raw["OwnerId"] != self._account:
            return None
        ec2 = self._sessions.own("ec2")
        with as_refusal("DescribeImageAttribute", self._where):
            attributes = {
                name: ec2.describe_image_attribute(ImageId=ami, Attribute=name)
                for name in image.attributes_to_read(raw)
            }
        wanted = image.snapshots_to_copy(image.read_image(raw, attributes, ()))
        read = image.read_image(raw, attributes, self._snapshots(wanted))
        return read, {arn: facts for arn in source_keys(read) if (facts := self._key(arn))}

    def copies(self, ami: str, region: str, snapshots: Collection[str]) -> Mapping[str, HubSnapshot]:
        filters = [
            {"Name": "tag:ami-promoter:hub", "Values": [self._account]},
            {"Name": "tag:ami-promoter:promotion", "Values": [ami]},
        ]
        with as_refusal("DescribeSnapshots", f"account {self._account} (hub), {region}"):
            ec2 = self._sessions.own("ec2", region=region)
            found = by_id(ec2, "snapshots", snapshots, OwnerIds=["self"], Filters=filters)
            return {
                raw["SnapshotId"]: HubSnapshot(raw.get("KmsKeyId", ""), tags_of(raw).get("ami-promoter:attempt", ""))
                for raw in found
            }

    def snapshots_of(self, image: str, region: str) -> frozenset[str]:
        found = self._image(image, region)
        return snapshots_of(found) if found is not None and found["OwnerId"] == self._account else frozenset()

    def tagged(self) -> Sequence[Tagged]:
        self._check()
        filters = [{"Name": "tag-key", "Values": [self._trigger_tag]}]
        asked = {"Owners": ["self"], "Filters": filters, "IncludeDisabled": True}
        with as_refusal("DescribeImages", self._where):
            found = [(raw, tags_of(raw)) for raw in every(self._sessions.own("ec2"), "images", **asked)]
        tag = self._trigger_tag
        return [Tagged(raw["ImageId"], tags[tag], raw.get("State", "")) for raw, tags in found if tag in tags]

    def _image(self, ami: str, region: str = "") -> Mapping[str, Any] | None:
        """Describe an AMI in the hub's Region, or in another one."""
        where = f"account {self._account} (hub), {region}" if region else self._where
        with as_refusal("DescribeImages", where):
            found = by_id(self._sessions.own("ec2", region=region), "images", [ami], IncludeDisabled=True)
            return next(iter(found), None)

    def _snapshots(self, wanted: Collection[str]) -> Sequence[Mapping[str, Any]]:
        with as_refusal("DescribeSnapshots", self._where):
            return by_id(self._sessions.own("ec2"), "snapshots", wanted, OwnerIds=["self"])

    def _key(self, arn: str) -> KeyFacts | None:
        """DescribeKey's answer; None if it refuses, which the checks then report as a fault."""
        try:
            with as_refusal("DescribeKey", self._where):
                return KeyFacts.from_describe(self._sessions.own("kms").describe_key(KeyId=arn)["KeyMetadata"])
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.DENIED:
                raise
            return None
