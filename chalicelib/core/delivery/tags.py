"""What the things we create are tagged with: the source's tags, the target's own, and ours above all."""

from __future__ import annotations

from chalicelib.core.delivery.model import Delivery
from chalicelib.core.images import register
from chalicelib.core.images.image import SourceImage, SourceSnapshot


def our_tags(delivery: Delivery, nonce: str = "") -> dict[str, str]:
    """Tags that name hub, promotion and delivery; by them everything of ours is found again.

    ``nonce`` is that of the attempt that makes what bears them: by it alone a thing is proven to be ours.
    """
    attempt = {register.ATTEMPT_TAG: nonce} if nonce else {}
    return attempt | {
        "ami-promoter:hub": delivery.hub,
        "ami-promoter:promotion": delivery.ami,
        "ami-promoter:delivery": delivery.id,
    }


def image_tags(delivery: Delivery, image: SourceImage, trigger_tag: str, nonce: str = "") -> dict[str, str]:
    """All tags of the new AMI."""
    ours = {**our_tags(delivery, nonce), "ami-promoter:source-image": image.id}
    return register.result_tags(image, ours, delivery.target.tags, trigger_tag)


def snapshot_tags(delivery: Delivery, snapshot: SourceSnapshot, trigger_tag: str, nonce: str = "") -> dict[str, str]:
    """All tags of a copy."""
    ours = {**our_tags(delivery, nonce), "ami-promoter:source-snapshot": snapshot.id}
    return register.result_tags(snapshot, ours, delivery.target.tags, trigger_tag)
