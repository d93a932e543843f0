"""AMIs in a target: registers, copies, finds, reads, deprecates, protects and deregisters them [aws-facts 5]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.ports import SeenImage
from chalicelib.delivery.proof import ShownImage
from chalicelib.delivery.tags import image_tags, service_tags
from chalicelib.engine.aws.refusals import GONE, NOT_AVAILABLE, code_of, gone
from chalicelib.engine.budget import Budget
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images import comparison, register
from chalicelib.images.aws.shapes import by_id, described, tag_list, within_time
from chalicelib.images.image import SourceImage, tags_of


class AwsTargetImages:
    """The port ``TargetImages``."""

    def __init__(self, sessions: TargetSessions, trigger_tag: str, hub_region: str) -> None:
        self._sessions = sessions
        self._trigger_tag = trigger_tag
        self._hub_region = hub_region

    def register(self, delivery: Delivery, image: SourceImage) -> str:
        ec2 = self._sessions.client("ec2", "register", delivery, once=True)
        copies = {copy.source: copy.id for copy in delivery.copies if copy.id}
        tags = image_tags(delivery, image, self._trigger_tag, delivery.nonce())
        request = register.request(image, copies, delivery.image_name, tags)
        with self._sessions.as_refusal("RegisterImage", delivery.where):
            answer = ec2.register_image(**request)
        return str(answer["ImageId"])

    def copy(self, delivery: Delivery, image: SourceImage) -> str:
        """Tags do not cross accounts, so the call has all; each snapshot gets its own when the AMI is there.

        The SDK may repeat the call: the same client token makes no second AMI [VERIFIED]. The token is the try's nonce.
        """
        nonce = delivery.nonce()
        tags = image_tags(delivery, image, self._trigger_tag, nonce)
        with self._sessions.as_refusal("CopyImage", f"{delivery.where}, {image.id}"):
            copy = partial(
                self._sessions.client("ec2", "image", delivery, [s.id for s in delivery.snapshots]).copy_image,
                ClientToken=nonce,
                SourceImageId=image.id,
                SourceRegion=self._hub_region,
                Name=delivery.image_name,
                **described(image.description),
                Encrypted=True,
                KmsKeyId=delivery.key_arn,
                TagSpecifications=[
                    {"ResourceType": "image", "Tags": tag_list(tags)},
                    {"ResourceType": "snapshot", "Tags": tag_list(service_tags(delivery, nonce))},
                ],
            )
            answer = within_time(copy, "SnapshotCopyCompletionDurationMinutes", delivery.target.complete_within)
        return str(answer["ImageId"])

    def named(self, delivery: Delivery, budget: Budget) -> tuple[ShownImage, ...]:
        """A deregistered AMI still shows for a while, and has its name for as long [aws-facts 5]."""
        by_name = {"Name": "name", "Values": [delivery.image_name]}
        return tuple(map(_shown, self._listed(delivery, by_name, budget)))

    def of_delivery(self, delivery: Delivery, budget: Budget) -> tuple[ShownImage, ...]:
        by_tag = {"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery.id]}
        return tuple(map(_shown, self._listed(delivery, by_tag, budget)))

    def _listed(self, delivery: Delivery, by: Mapping[str, Any], budget: Budget) -> Sequence[Mapping[str, Any]]:
        """List AMIs by a filter; a disabled one is not shown unless asked for [aws-facts, Added November 2026]."""
        ec2 = self._sessions.client("ec2", "look", delivery)
        asked = {"Owners": ["self"], "Filters": [by], "IncludeDisabled": True}
        return self._sessions.listed(ec2, "images", delivery, budget, **asked)

    def _its_own(self, ec2: Any, delivery: Delivery) -> Mapping[str, Any] | None:
        wanted = [delivery.image.id] if delivery.image.id else []
        with self._sessions.as_refusal("DescribeImages", delivery.where):
            return next(iter(by_id(ec2, "images", wanted, Owners=["self"], IncludeDisabled=True)), None)

    def see(self, delivery: Delivery, image: SourceImage) -> SeenImage:
        ec2 = self._sessions.client("ec2", "register", delivery, looks=True)
        found = self._its_own(ec2, delivery)
        if found is None or found["State"] != "available":
            return SeenImage(found, {})
        with self._sessions.as_refusal("DescribeImageAttribute", delivery.where):
            attributes = {
                name: ec2.describe_image_attribute(ImageId=delivery.image.id, Attribute=name)
                for name in comparison.attributes_to_compare(image)
            }
        return SeenImage(found, attributes)

    def deprecate(self, delivery: Delivery, at: str) -> None:
        with self._sessions.as_refusal("EnableImageDeprecation", delivery.where):
            self._sessions.client("ec2", "register", delivery).enable_image_deprecation(
                ImageId=delivery.image.id, DeprecateAt=at
            )

    def shown(self, delivery: Delivery) -> Mapping[str, Any] | None:
        return self._its_own(self._sessions.client("ec2", "recall", delivery), delivery)

    def recall(self, delivery: Delivery, at: str, *, disable: bool) -> None:
        ec2, image = self._sessions.client("ec2", "recall", delivery), delivery.image.id
        if at:
            with self._sessions.as_refusal("EnableImageDeprecation", delivery.where), gone(*GONE):
                ec2.enable_image_deprecation(ImageId=image, DeprecateAt=at)
        if disable:
            with self._sessions.as_refusal("DisableImage", delivery.where), gone(*GONE):
                ec2.disable_image(ImageId=image)

    def restore(self, delivery: Delivery) -> None:
        """EC2 may call an AMI unavailable that it has just enabled: then it is tried again."""
        enables = delivery.recall.may_disable
        if enables:
            self._enable(delivery)
        try:
            self._give_date_back(delivery)
        except Refusal as refusal:
            late = enables and code_of(refusal) == NOT_AVAILABLE and self.shown(delivery) is not None
            if late or code_of(refusal) not in GONE:
                raise

    def _give_date_back(self, delivery: Delivery) -> None:
        """A date that has come meanwhile cannot be set again: then the AMI stays deprecated as of the recall."""
        ec2, image = self._sessions.client("ec2", "recall", delivery), delivery.image.id
        before = delivery.recall.deprecated_before
        if not before:
            with self._sessions.as_refusal("DisableImageDeprecation", delivery.where):
                ec2.disable_image_deprecation(ImageId=image)
        elif datetime.fromisoformat(before).timestamp() > self._sessions.now():
            with self._sessions.as_refusal("EnableImageDeprecation", delivery.where):
                ec2.enable_image_deprecation(ImageId=image, DeprecateAt=before)

    def _enable(self, delivery: Delivery) -> None:
        """Enable the AMI. If EC2 refuses for good, and has never said that the AMI is disabled, a look decides.

        A refusal that passes is tried again: a DisableImage without an answer may have taken effect, and not show yet.
        """
        ec2 = self._sessions.client("ec2", "recall", delivery)
        try:
            with self._sessions.as_refusal("EnableImage", delivery.where), gone(*GONE):
                ec2.enable_image(ImageId=delivery.image.id)
        except Refusal as refusal:
            if delivery.recall.disabled or refusal.kind is RefusalKind.THROTTLED:
                raise
            shown = self.shown(delivery)
            if shown is None or shown["State"] != "available":
                raise

    def protect(self, delivery: Delivery) -> None:
        with self._sessions.as_refusal("EnableImageDeregistrationProtection", delivery.where):
            self._sessions.client("ec2", "register", delivery).enable_image_deregistration_protection(
                ImageId=delivery.image.id, WithCooldown=False
            )

    def deregister(self, delivery: Delivery, image: str) -> None:
        with self._sessions.as_refusal("DeregisterImage", f"{delivery.where}, {image}"), gone(*GONE):
            ec2 = self._sessions.client("ec2", "tidy", delivery)
            ec2.deregister_image(ImageId=image)


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
