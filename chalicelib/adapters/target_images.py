"""CopyImage in a target, and what its snapshots need afterwards [aws-facts 5]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters.refusals import code_of
from chalicelib.adapters.target_sessions import TargetSessions
from chalicelib.core.delivery.events import Why
from chalicelib.core.delivery.model import Delivery
from chalicelib.core.errors import Refusal
from chalicelib.core.image import SourceImage
from chalicelib.core.tagging import image_tags, our_tags, snapshot_tags

GONE = (
    "InvalidSnapshot.NotFound",
    "InvalidAMIID.NotFound",
    "InvalidAMIID.Unavailable",
)


class WholeImages(TargetSessions):
    """The part of ``TargetAccount`` that copies an AMI whole."""

    def copy_image(self, delivery: Delivery, image: SourceImage) -> str:
        """See the port. Tags do not cross accounts, so all are given here; the snapshots' own follow when it is there.

        The SDK's retry is harmless: the same client token makes no second AMI [VERIFIED]. The token is the try's nonce.
        """
        tags = image_tags(delivery, image, self._trigger_tag, delivery.request.token)
        with self._told("CopyImage", f"{delivery.where}, {image.id}"):
            answer = self._client("ec2", "image", delivery, [s.id for s in delivery.snapshots]).copy_image(
                ClientToken=delivery.request.token,
                SourceImageId=image.id,
                SourceRegion=self._hub_region,
                Name=delivery.image_name,
                **described(image.description),
                Encrypted=True,
                KmsKeyId=delivery.key_arn,
                TagSpecifications=[
                    {"ResourceType": "image", "Tags": tag_list(tags)},
                    {"ResourceType": "snapshot", "Tags": tag_list(our_tags(delivery, delivery.request.token))},
                ],
            )
        copied: str = answer["ImageId"]
        return copied

    def discard_image(self, delivery: Delivery, snapshots: Sequence[str]) -> None:
        ec2 = self._client("ec2", "tidy", delivery)
        with self._told("DeregisterImage", f"{delivery.where}, {delivery.image}"):
            unless_gone(partial(ec2.deregister_image, ImageId=delivery.image))
        for snapshot in snapshots:
            with self._told("DeleteSnapshot", f"{delivery.where}, {snapshot}"):
                unless_gone(partial(ec2.delete_snapshot, SnapshotId=snapshot))

    def tag_copies(self, delivery: Delivery, image: SourceImage) -> None:
        """See the port. Tagging again changes nothing."""
        sources = {snapshot.id: snapshot for snapshot in image.snapshots}
        ec2 = self._client("ec2", "retag", delivery)
        for copy in delivery.copies:
            tags = snapshot_tags(delivery, sources[copy.source], self._trigger_tag)
            with self._told("CreateTags", f"{delivery.where}, {copy.copy}"):
                ec2.create_tags(Resources=[copy.copy], Tags=tag_list(tags))

    def missing_roles(self, delivery: Delivery) -> Sequence[str]:
        """See the port. Where IAM may not be asked, KMS says it when the grant is made."""
        iam = self._client("iam", "roles", delivery)
        missing = []
        for role in delivery.target.service_linked_roles:
            try:
                with self._told("GetRole", f"{delivery.where}, {role}"):
                    iam.get_role(RoleName=role.rpartition("/")[2])
            except Refusal as refusal:
                if code_of(refusal) == "NoSuchEntity":
                    missing.append(role)
                elif refusal.why is not Why.DENIED:
                    raise
        return missing


def described(text: str | None) -> dict[str, str]:
    """Return the argument that carries a description; EC2 is sent none rather than an empty one."""
    return {"Description": text} if text else {}


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return what AWS lists as a mapping."""
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write a mapping as AWS wants it."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def unless_gone(call: Callable[[], object]) -> None:
    """Remove something; that it is gone is no error."""
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            raise
