"""The tags of resources that the service creates: the source's, the target's and the service's, which win."""

from __future__ import annotations

from chalicelib.delivery.model import Delivery
from chalicelib.images import register
from chalicelib.images.image import SourceImage, SourceSnapshot


def service_tags(delivery: Delivery, nonce: str = "") -> dict[str, str]:
    """Return the tags that name hub, promotion and delivery; the service finds its resources by them.

    ``nonce``: the attempt's; only the nonce proves that the service created a resource.
    """
    attempt = {register.ATTEMPT_TAG: nonce} if nonce else {}
    return attempt | {
        "ami-promoter:hub": delivery.hub,
        "ami-promoter:promotion": delivery.ami,
        "ami-promoter:delivery": delivery.id,
    }


def image_tags(delivery: Delivery, image: SourceImage, trigger_tag: str, nonce: str = "") -> dict[str, str]:
    """Return all tags of the new AMI.

    Without a nonce, those that it must have to be compared: an AMI that was begun before an upgrade has no family's.
    """
    own = {**service_tags(delivery, nonce), register.SOURCE_IMAGE_TAG: image.id}
    if nonce and delivery.naming.family and image.creation_date:
        own |= {register.FAMILY_TAG: delivery.naming.family, register.SOURCE_CREATED_TAG: image.creation_date}
    target = delivery.target
    return register.result_tags(image, own, target.tags, trigger_tag, target.source_tags)


def snapshot_tags(delivery: Delivery, snapshot: SourceSnapshot, trigger_tag: str, nonce: str = "") -> dict[str, str]:
    """Return all tags of a copy."""
    own = {**service_tags(delivery, nonce), "ami-promoter:source-snapshot": snapshot.id}
    target = delivery.target
    return register.result_tags(snapshot, own, target.tags, trigger_tag, target.source_tags)
