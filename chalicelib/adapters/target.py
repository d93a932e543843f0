"""A target account, under its role: everything this service does outside the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters.refusals import THROTTLED, told
from chalicelib.adapters.session_policies import SNAPSHOTS_PER_SESSION, Work, policy
from chalicelib.adapters.sessions import Sessions
from chalicelib.core import comparison, register
from chalicelib.core.delivery.events import SeenCopy
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.image import SourceImage, SourceSnapshot
from chalicelib.core.kms_keys import KeyFacts
from chalicelib.core.tagging import image_tags, snapshot_tags
from chalicelib.ports import SeenImage, Targets, TargetView

OUR_SOURCE_SNAPSHOT = "ami-promoter:source-snapshot"


class AwsTarget:
    """The port ``TargetAccount``. The role's name and external id are read live; all else is frozen on the delivery."""

    def __init__(self, sessions: Sessions, targets: Targets, partition: str, trigger_tag: str) -> None:
        self._sessions = sessions
        self._targets = targets
        self._partition = partition
        self._trigger_tag = trigger_tag

    def check(self, delivery: Delivery) -> TargetView:
        """See the port."""
        key, key_trouble = self._key(delivery)
        ours, stranger = self.find_image(delivery)
        return TargetView(key, key_trouble, ours, stranger, self.find_copies(delivery))

    def find_copies(self, delivery: Delivery) -> tuple[SeenCopy, ...]:
        """See the port."""
        with told("DescribeSnapshots", delivery.where):
            pages = self._client("ec2", "look", delivery).get_paginator("describe_snapshots")
            filters = [{"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]}]
            return tuple(
                _seen(raw) for page in pages.paginate(OwnerIds=["self"], Filters=filters) for raw in page["Snapshots"]
            )

    def look_at(self, delivery: Delivery, copies: Sequence[str]) -> tuple[SeenCopy, ...]:
        """See the port. By filter: by id, one that is gone would make EC2 refuse them all."""
        with told("DescribeSnapshots", delivery.where):
            pages = self._client("ec2", "look", delivery).get_paginator("describe_snapshots")
            filters = [
                {"Name": "snapshot-id", "Values": list(copies)},
                {"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]},
            ]
            return tuple(
                _seen(raw) for page in pages.paginate(OwnerIds=["self"], Filters=filters) for raw in page["Snapshots"]
            )

    def start_copy(self, delivery: Delivery, source: SourceSnapshot) -> str:
        """See the port."""
        ec2 = self._client("ec2", "copy", delivery, _session_snapshots(delivery, source.id), once=True)
        tags = snapshot_tags(delivery, source, self._trigger_tag)
        with told("CopySnapshot", f"{delivery.where}, {source.id}"):
            answer = ec2.copy_snapshot(
                SourceRegion=delivery.target.region,
                SourceSnapshotId=source.id,
                Description=source.description or "",
                Encrypted=True,
                KmsKeyId=delivery.key_arn,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": _tag_list(tags)}],
            )
        copy: str = answer["SnapshotId"]
        return copy

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        """See the port."""
        ec2 = self._client("ec2", "register", delivery, once=True)
        copies = {copy.source: copy.copy for copy in delivery.copies if copy.copy}
        request = register.request(image, copies, delivery.image_name, image_tags(delivery, image, self._trigger_tag))
        with told("RegisterImage", delivery.where):
            answer = ec2.register_image(**request)
        registered: str = answer["ImageId"]
        return registered

    def find_image(self, delivery: Delivery) -> tuple[str | None, str | None]:
        """See the port."""
        with told("DescribeImages", delivery.where):
            found = self._client("ec2", "look", delivery).describe_images(
                Owners=["self"], Filters=[{"Name": "name", "Values": [delivery.image_name]}]
            )["Images"]
        ours = sorted(raw["ImageId"] for raw in found if _tags(raw).get(register.DELIVERY_TAG) == delivery.id)
        others = sorted(raw["ImageId"] for raw in found if _tags(raw).get(register.DELIVERY_TAG) != delivery.id)
        return (ours[0] if ours else None), (others[0] if others else None)

    def see_image(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        """See the port."""
        ec2 = self._client("ec2", "look", delivery)
        with told("DescribeImages", delivery.where):
            found = ec2.describe_images(
                Owners=["self"], Filters=[{"Name": "image-id", "Values": [delivery.image or ""]}]
            )["Images"]
        if not found or found[0]["State"] != "available":
            return SeenImage(found[0] if found else None, {}, {}, {})
        with told("DescribeImageAttribute", delivery.where):
            attributes = {
                name: ec2.describe_image_attribute(ImageId=delivery.image, Attribute=name)
                for name in comparison.attributes_to_compare(image)
            }
        known = delivery.copies and all(copy.copy for copy in delivery.copies)
        copies = () if known else self.find_copies(delivery)
        return SeenImage(
            found[0],
            attributes,
            {copy.source: copy.copy for copy in copies},
            {copy.copy: copy.key_arn for copy in copies},
        )

    def deprecate(self, delivery: Delivery, at: str) -> None:
        """See the port."""
        with told("EnableImageDeprecation", delivery.where):
            self._client("ec2", "register", delivery).enable_image_deprecation(ImageId=delivery.image, DeprecateAt=at)

    def remove(self, delivery: Delivery) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See the port. Deleting a copy that still runs takes effect when it ends [aws-facts, VERIFIED]."""
        ec2 = self._client("ec2", "tidy", delivery)
        with told("DescribeImages", delivery.where):
            by_tag = [{"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]}]
            images = [raw["ImageId"] for raw in ec2.describe_images(Owners=["self"], Filters=by_tag)["Images"]]
        with told("DeregisterImage", delivery.where):
            for image in images:
                _unless_gone(lambda image=image: ec2.deregister_image(ImageId=image))
        copies = self.find_copies(delivery)
        self.delete_snapshots(delivery, [copy.copy for copy in copies])
        unfinished = tuple(copy.copy for copy in copies if copy.state == "pending")
        return (*images, *(copy.copy for copy in copies)), unfinished

    def delete_snapshots(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        """See the port."""
        ec2 = self._client("ec2", "tidy", delivery)
        with told("DeleteSnapshot", delivery.where):
            for snapshot in snapshots:
                _unless_gone(lambda snapshot=snapshot: ec2.delete_snapshot(SnapshotId=snapshot))

    def _key(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        """Return what DescribeKey says of the target's key, or its words where it refuses: the checks name those."""
        kms = self._client("kms", "look", delivery)
        try:
            return KeyFacts.from_describe(kms.describe_key(KeyId=delivery.target.key)["KeyMetadata"]), ""
        except ClientError as error:
            if error.response["Error"]["Code"] in THROTTLED:
                with told("DescribeKey", delivery.where):
                    raise
            return None, f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"

    def _client(
        self, service: str, work: Work, delivery: Delivery, snapshots: Sequence[str] = (), *, once: bool = False
    ) -> Any:
        account = delivery.target.account
        role, external_id = self._targets.live(account) or (delivery.target.role_name, delivery.target.external_id)
        return self._sessions.assumed(
            service,
            delivery.target.region,
            f"arn:{self._partition}:iam::{account}:role/{role}",
            external_id,
            f"ami-promoter-{delivery.id}",
            policy(work, delivery, snapshots, self._partition),
            once=once,
        )


def _session_snapshots(delivery: Delivery, source: str) -> list[str]:
    """Return the snapshots that share a session with this one: at most ten, always the same ones."""
    ids = [snapshot.id for snapshot in delivery.snapshots]
    start = ids.index(source) // SNAPSHOTS_PER_SESSION * SNAPSHOTS_PER_SESSION
    return ids[start : start + SNAPSHOTS_PER_SESSION]


def _seen(raw: Mapping[str, Any]) -> SeenCopy:
    progress = str(raw.get("Progress") or "0%").rstrip("%")
    return SeenCopy(
        copy=raw["SnapshotId"],
        source=_tags(raw).get(OUR_SOURCE_SNAPSHOT, ""),
        state=raw["State"],
        progress=int(progress) if progress.isdigit() else 0,
        message=raw.get("StateMessage", ""),
        started_at=int(raw["StartTime"].timestamp()) if "StartTime" in raw else 0,
        key_arn=raw.get("KmsKeyId", ""),
    )


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


GONE = (
    "InvalidSnapshot.NotFound",
    "InvalidAMIID.NotFound",
    "InvalidAMIID.Unavailable",
)


def _unless_gone(call: Any) -> None:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            raise
