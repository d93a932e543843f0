"""A target account, under its role: everything this service does outside the hub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from chalicelib.adapters.doors import region_in
from chalicelib.adapters.policy_door import policy_told
from chalicelib.adapters.session_policies import SNAPSHOTS_PER_SESSION
from chalicelib.adapters.target_images import WholeImages, described, tag_list, tags_of, unless_gone
from chalicelib.core import comparison, register
from chalicelib.core.delivery.events import SeenCopy, ShownImage, Why
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.errors import Refusal
from chalicelib.core.faults import Fault
from chalicelib.core.image import SourceImage, SourceSnapshot
from chalicelib.core.kms_keys import KeyFacts
from chalicelib.core.tagging import image_tags, snapshot_tags
from chalicelib.ports import SeenImage, TargetView

OUR_SOURCE_SNAPSHOT = "ami-promoter:source-snapshot"


class AwsTarget(WholeImages):
    """The port ``TargetAccount``. The role's name and external id are read live; all else is frozen on the delivery."""

    def check(self, delivery: Delivery) -> TargetView:
        key, key_trouble = self._key(delivery)
        named, copies = self.find_image(delivery), self.find_copies(delivery)
        return TargetView(key, key_trouble, named, copies, self._keys_seen(delivery))

    def key_policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """See the port. Under the function's own role."""
        read: dict[str, str | Fault] = {}
        for key in keys:
            try:
                with policy_told("GetKeyPolicy", f"account {delivery.hub} (hub), {key}"):
                    kms = self._sessions.own("kms", region=region_in(key))
                    read[key] = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
            except Refusal as refusal:
                if refusal.why is not Why.DENIED:
                    raise
                read[key] = refusal.fault
        return read

    def find_copies(self, delivery: Delivery) -> tuple[SeenCopy, ...]:
        with self._told("DescribeSnapshots", delivery.where):
            pages = self._client("ec2", "look", delivery).get_paginator("describe_snapshots")
            filters = [{"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]}]
            return tuple(
                _seen(raw) for page in pages.paginate(OwnerIds=["self"], Filters=filters) for raw in page["Snapshots"]
            )

    def look_at(self, delivery: Delivery, copies: Sequence[str]) -> tuple[SeenCopy, ...]:
        """See the port. By filter: by id, one that is gone would make EC2 refuse them all."""
        with self._told("DescribeSnapshots", delivery.where):
            pages = self._client("ec2", "register", delivery).get_paginator("describe_snapshots")
            filters = [
                {"Name": "snapshot-id", "Values": list(copies)},
                {"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]},
            ]
            return tuple(
                _seen(raw) for page in pages.paginate(OwnerIds=["self"], Filters=filters) for raw in page["Snapshots"]
            )

    def start_copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        ec2 = self._client("ec2", "copy", delivery, _session_snapshots(delivery, source.id), once=True)
        tags = snapshot_tags(delivery, source, self._trigger_tag, _nonce(delivery, source.id))
        with self._told("CopySnapshot", f"{delivery.where}, {source.id}"):
            answer = ec2.copy_snapshot(
                SourceRegion=delivery.target.region if delivery.via else self._hub_region,
                SourceSnapshotId=delivery.read_from(source.id),
                **described(source.description),
                Encrypted=True,
                KmsKeyId=delivery.key_arn,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tag_list(tags)}],
            )
        copy: str = answer["SnapshotId"]
        return copy

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        ec2 = self._client("ec2", "register", delivery, once=True)
        copies = {copy.source: copy.copy for copy in delivery.copies if copy.copy}
        tags = image_tags(delivery, image, self._trigger_tag, _nonce(delivery))
        request = register.request(image, copies, delivery.image_name, tags)
        with self._told("RegisterImage", delivery.where):
            answer = ec2.register_image(**request)
        registered: str = answer["ImageId"]
        return registered

    def find_image(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        """See the port. A deregistered AMI shows for a while, and keeps its name as long [aws-facts 5]."""
        return self._images(delivery, {"Name": "name", "Values": [delivery.image_name]})

    def find_images(self, delivery: Delivery) -> tuple[ShownImage, ...]:
        return self._images(delivery, {"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]})

    def _images(self, delivery: Delivery, by: Mapping[str, Any]) -> tuple[ShownImage, ...]:
        """Describe AMIs by a filter; a disabled one is not shown unless asked for [aws-facts, Added November 2026]."""
        with self._told("DescribeImages", delivery.where):
            found = self._client("ec2", "look", delivery).describe_images(
                Owners=["self"], Filters=[by], IncludeDisabled=True
            )["Images"]
        return tuple(_shown(raw) for raw in found)

    def see_image(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        ec2 = self._client("ec2", "register", delivery)
        with self._told("DescribeImages", delivery.where):
            found = ec2.describe_images(
                Owners=["self"],
                Filters=[{"Name": "image-id", "Values": [delivery.image or ""]}],
                IncludeDisabled=True,
            )["Images"]
        if not found or found[0]["State"] != "available":
            return SeenImage(found[0] if found else None, {})
        with self._told("DescribeImageAttribute", delivery.where):
            attributes = {
                name: ec2.describe_image_attribute(ImageId=delivery.image, Attribute=name)
                for name in comparison.attributes_to_compare(image)
            }
        known = delivery.copies and all(copy.copy for copy in delivery.copies)
        return SeenImage(found[0], attributes, () if known else self.find_copies(delivery))

    def deprecate(self, delivery: Delivery, at: str) -> None:
        with self._told("EnableImageDeprecation", delivery.where):
            self._client("ec2", "register", delivery).enable_image_deprecation(ImageId=delivery.image, DeprecateAt=at)

    def remove(self, delivery: Delivery, images: Sequence[str], snapshots: Sequence[str]) -> Fault | None:
        """See the port. Deleting a copy that still runs takes effect when it ends [aws-facts, VERIFIED]."""
        if not images and not snapshots:
            return None
        ec2 = self._client("ec2", "tidy", delivery)
        trouble: Fault | None = None
        for image in images:
            refused = self._removal(
                "DeregisterImage", f"{delivery.where}, {image}", partial(ec2.deregister_image, ImageId=image)
            )
            trouble = refused or trouble
        for copy in snapshots:
            refused = self._removal(
                "DeleteSnapshot", f"{delivery.where}, {copy}", partial(ec2.delete_snapshot, SnapshotId=copy)
            )
            trouble = refused or trouble
        return trouble

    def delete_snapshots(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        ec2 = self._client("ec2", "tidy", delivery)
        for snapshot in snapshots:
            with self._told("DeleteSnapshot", f"{delivery.where}, {snapshot}"):
                unless_gone(partial(ec2.delete_snapshot, SnapshotId=snapshot))

    def _removal(self, step: str, where: str, call: Callable[[], object]) -> Fault | None:
        """Remove one thing; a refusal is told, and does not keep the others."""
        try:
            with self._told(step, where):
                unless_gone(call)
        except Refusal as refusal:
            return refusal.fault
        return None

    def _key(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return what DescribeKey says of the target's key, or its words where it refuses: the checks name those."""
        kms = self._client("kms", "look", delivery)
        try:
            with self._told("DescribeKey", delivery.where):
                return KeyFacts.from_describe(kms.describe_key(KeyId=delivery.target.key)["KeyMetadata"]), ""
        except Refusal as refusal:
            if refusal.why is not Why.DENIED:
                raise
            return None, refusal.fault.what

    def _keys_seen(self, delivery: Delivery) -> dict[str, str]:
        """Describe the source's keys under the role in the target, where nobody of us opens them."""
        if delivery.target.key_access != "none":
            return {}
        region = delivery.target.region if delivery.via else self._hub_region
        kms = self._client("kms", "look", delivery, region=region)
        seen: dict[str, str] = {}
        for key in delivery.source_keys:
            try:
                with self._told("DescribeKey", f"{delivery.where}, {key}"):
                    kms.describe_key(KeyId=key)
                seen[key] = ""
            except Refusal as refusal:
                if refusal.why is not Why.DENIED:
                    raise
                seen[key] = refusal.fault.what
        return seen


def _nonce(delivery: Delivery, source: str = "") -> str:
    """Return the nonce of the attempt that is being made; its intent is on the record."""
    attempt = delivery.attempt(source)
    return attempt.nonce if attempt is not None else ""


def _session_snapshots(delivery: Delivery, source: str) -> list[str]:
    """Return the snapshots that share a session with this one: always the same ones."""
    ids = [snapshot.id for snapshot in delivery.snapshots]
    start = ids.index(source) // SNAPSHOTS_PER_SESSION * SNAPSHOTS_PER_SESSION
    return [delivery.read_from(one) for one in ids[start : start + SNAPSHOTS_PER_SESSION]]


def _shown(raw: Mapping[str, Any]) -> ShownImage:
    tags = tags_of(raw)
    made = raw.get("CreationDate")
    return ShownImage(
        raw["ImageId"],
        raw["State"],
        delivery=tags.get(register.DELIVERY_TAG, ""),
        nonce=tags.get(register.ATTEMPT_TAG, ""),
        created_at=int(datetime.fromisoformat(made).timestamp()) if made else 0,
    )


def _seen(raw: Mapping[str, Any]) -> SeenCopy:
    progress, tags = str(raw.get("Progress") or "0%").rstrip("%"), tags_of(raw)
    return SeenCopy(
        copy=raw["SnapshotId"],
        source=tags.get(OUR_SOURCE_SNAPSHOT, ""),
        state=raw["State"],
        progress=int(progress) if progress.isdigit() else 0,
        message=raw.get("StateMessage", ""),
        started_at=int(raw["StartTime"].timestamp()) if "StartTime" in raw else 0,
        key_arn=raw.get("KmsKeyId", ""),
        nonce=tags.get(register.ATTEMPT_TAG, ""),
    )
