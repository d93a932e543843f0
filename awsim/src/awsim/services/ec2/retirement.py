"""The end of an image: deprecation, protection, disabling, deregistering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import notices, tags
from awsim.services.ec2.access import own_image
from awsim.services.ec2.errors import wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image
from awsim.services.ec2.snapshots import user_of
from awsim.services.ec2.state import Ec2State

IN_FUTURE = rule(
    "ec2-deprecation-in-future",
    "An image is deprecated now or at a future time, up to ten years ahead, rounded to the minute [aws-facts 8; "
    "botocore ec2 model, EnableImageDeprecationRequest, VERIFIED; that it must not be past before it is rounded: "
    "UNVERIFIED]",
)
PROTECTED = rule(
    "ec2-deregistration-protection", "A protected image cannot be deregistered [aws-facts 8, VERIFIED; code UNVERIFIED]"
)
COOLDOWN = rule(
    "ec2-deregistration-cooldown",
    "An image whose protection had a cooldown cannot be deregistered for 24 hours after the protection was lifted, and "
    "shows until when [aws-facts 8, VERIFIED; code, form of that time, and that lifting it again ends nothing: "
    "UNVERIFIED]",
)
DELETES_SNAPSHOTS = rule(
    "ec2-deregister-deletes-snapshots",
    "DeleteAssociatedSnapshots deletes an image's snapshots, but those that other images use [aws-facts 8, VERIFIED]",
)
UNSHARED = rule(
    "ec2-disable-image-removes-shares",
    "DisableImage removes every launch permission, and EnableImage does not restore them [aws-facts 4 and 8, VERIFIED]",
)
LONGEST = timedelta(days=3653)
COOLS = timedelta(hours=24)


def _enable_deprecation(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image, wanted = own_image(ec2, call), _moment(call.params["DeprecateAt"])
    at = (wanted + timedelta(seconds=30)).replace(second=0, microsecond=0)
    if ec2.on(IN_FUTURE) and not ec2.now <= wanted <= ec2.now + LONGEST:
        raise wrong_value("DeprecateAt", notices.stamp(wanted), "Expecting a time from now to ten years ahead.")
    ec2.images.put(replace(image, deprecated_at=at))
    return {"Return": True}


def _disable_deprecation(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.images.put(replace(own_image(ec2, call), deprecated_at=None))
    return {"Return": True}


def _moment(value: datetime | str) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _protect(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    value = "enabled-with-cooldown" if call.params.get("WithCooldown") else "enabled-without-cooldown"
    return _set_protection(ec2, own_image(ec2, call), value)


def _unprotect(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image = own_image(ec2, call)
    with_cooldown = image.members.get("DeregistrationProtection") == "enabled-with-cooldown" and ec2.on(COOLDOWN)
    until = ec2.now + COOLS if with_cooldown else image.cools_until
    return _set_protection(ec2, replace(image, cools_until=until), "disabled")


def _set_protection(ec2: Ec2State, image: Ec2Image, value: str) -> Mapping[str, Any]:
    ec2.images.put(replace(image, members={**image.members, "DeregistrationProtection": value}))
    return {"Return": value}


def _disable(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image = own_image(ec2, call)
    if image.state not in {"available", "disabled"}:
        raise AwsError("IncorrectState", f"The image {image.id} is {image.state}: only an available one is disabled.")
    launch = frozenset[tuple[str, str]]() if ec2.on(UNSHARED) else image.launch
    return _switch(ec2, call, replace(image, state="disabled", launch=launch))


def _enable(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image = own_image(ec2, call)
    if image.state not in {"available", "disabled"}:
        raise AwsError("IncorrectState", f"The image {image.id} is {image.state}: only a disabled one is enabled.")
    return _switch(ec2, call, replace(image, state="available"))


def _switch(ec2: Ec2State, call: Call, image: Ec2Image) -> Mapping[str, Any]:
    before = ec2.images.get(image.id)
    ec2.images.put(image)
    if before is not None and before.state != image.state:
        notices.image_state(ec2, image, image.state, call.request_id)
    return {"Return": True}


def _deregister(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image = own_image(ec2, call)
    if image.members.get("DeregistrationProtection", "disabled") != "disabled" and ec2.on(PROTECTED):
        raise AwsError("OperationNotPermitted", f"The image {image.id} is protected from deregistration.")
    if image.cools_until is not None and ec2.now < image.cools_until:
        raise AwsError("OperationNotPermitted", f"The image {image.id} is in the cooldown of its protection.")
    gone = ec2.images.put(replace(image, state="deregistered", ended=ec2.now))
    notices.image_state(ec2, gone, "deregistered", call.request_id)
    results = _delete_snapshots(ec2, image) if call.params.get("DeleteAssociatedSnapshots") else []
    return {"Return": True, **({"DeleteSnapshotResults": results} if results else {})}


def _delete_snapshots(ec2: Ec2State, image: Ec2Image) -> list[dict[str, str]]:
    if not ec2.on(DELETES_SNAPSHOTS):
        return []
    results = []
    for snapshot in dict.fromkeys(image.snapshots):
        used = user_of(ec2, snapshot, other_than=image.id)
        results.append({"SnapshotId": snapshot, "ReturnCode": "skipped" if used else "success"})
        if not used:
            ec2.snapshots.drop(snapshot)
            tags.forget(ec2, snapshot)
    return results


OPERATIONS = {
    "EnableImageDeprecation": Operation(_enable_deprecation, "ImageId DeprecateAt"),
    "DisableImageDeprecation": Operation(_disable_deprecation, "ImageId"),
    "EnableImageDeregistrationProtection": Operation(_protect, "ImageId WithCooldown"),
    "DisableImageDeregistrationProtection": Operation(_unprotect, "ImageId"),
    "DisableImage": Operation(_disable, "ImageId"),
    "EnableImage": Operation(_enable, "ImageId"),
    "DeregisterImage": Operation(_deregister, "ImageId DeleteAssociatedSnapshots"),
}
