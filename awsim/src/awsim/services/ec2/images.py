"""DescribeImages: every member of a real answer, for the owner and for those with whom the image is shared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from awsim.api import Call
from awsim.rules import rule
from awsim.services.ec2 import filters, pages, tags
from awsim.services.ec2.access import REMEMBERED, accounts_named, may_see, visible
from awsim.services.ec2.errors import check_id, not_found
from awsim.services.ec2.filters import member, text
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import NOTHING, Ec2Image
from awsim.services.ec2.state import Ec2State

LINGERS = rule(
    "ec2-deregistered-image-lingers",
    "A deregistered image is still described for a while (state deregistered), then not, and later its id is refused. "
    "Meanwhile its owner's calls on it are refused with InvalidAMIID.Unavailable [aws-facts 1c; botocore ec2 model, "
    "DescribeImages, VERIFIED; the code aws-facts 5, VERIFIED for DeregisterImage]",
)
SCOPED = rule(
    "ec2-describe-images-scope",
    "Owners and ExecutableUsers narrow DescribeImages; without them it shows all that the caller may launch "
    "[botocore ec2 model, DescribeImages, VERIFIED]",
)
UNSHARED = rule(
    "ec2-describe-images-unshared-empty",
    "DescribeImages by the id of an image that is there and not shared with the caller is no refusal, and shows "
    "nothing [aws-facts 5, VERIFIED]",
)
OLD_HIDDEN = rule(
    "ec2-deprecated-image-hidden",
    "A deprecated image is hidden from all but its owner, unless named by id or IncludeDeprecated is set; "
    "a disabled one unless IncludeDisabled is set [aws-facts 8, VERIFIED]",
)
TAGS_PRIVATE = rule(
    "ec2-tags-of-others-invisible",
    "Tags on a shared image are invisible to other accounts, but those whose key begins with `ec2:SharedTag/` "
    "[aws-facts 4 and Added November 2026, VERIFIED]",
)
SHARED_TAG = "ec2:SharedTag/"
"""How the key of a tag begins that its owner shows to accounts with which the image is shared."""
SHOWS_ENCRYPTED = rule(
    "ec2-describe-images-shows-encrypted",
    "DescribeImages returns Ebs.Encrypted, which RegisterImage then refuses, and no key [aws-facts 5, VERIFIED]",
)


def stamp(moment: datetime) -> str:
    """Return a time in the format of images."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _describe_images(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    pages.no_pages_with(call, "ImageIds", "imageIdsSet")
    at, account = ec2.moment(call), call.caller.account
    owners = accounts_named(call, "Owners", {"amazon", "aws-marketplace", "aws-backup-vault"})
    users = accounts_named(call, "ExecutableUsers", {"all"})
    found = [image for image in _named(ec2, call, at) if not _hidden(ec2, call, image, at)]
    if ec2.on(SCOPED):
        found = [image for image in found if _in_scope(image, owners, users)]
    listed = [shown(ec2, image, account, at) for image in found]
    part, token = pages.filtered(ec2, call, listed, lambda image: str(image["ImageId"]), FIELDS)
    return pages.answer("Images", part, token)


def _named(ec2: Ec2State, call: Call, at: datetime) -> list[Ec2Image]:
    if not call.params.get("ImageIds"):
        return [image for image in visible(ec2, call, ec2.images, at) if not _ended(ec2, image, at)]
    found = []
    for image_id in dict.fromkeys(call.params["ImageIds"]):
        check_id(image_id, "ami")
        image = ec2.images.get(image_id, at)
        if image is None or image.region != call.region:
            raise not_found(image_id)
        if not may_see(ec2, call.caller.account, image):
            if ec2.on(UNSHARED):
                continue
            raise not_found(image_id)
        if _forgotten(ec2, image, at):
            raise not_found(image_id)
        if not _ended(ec2, image, at):
            found.append(image)
    return found


def _ended(ec2: Ec2State, image: Ec2Image, at: datetime) -> bool:
    linger = timedelta(seconds=ec2.pace.name_freed if ec2.on(LINGERS) else 0)
    return image.ended is not None and at >= image.ended + linger


def _forgotten(ec2: Ec2State, image: Ec2Image, at: datetime) -> bool:
    """Whether a call with a deregistered image's id is refused by now."""
    return image.ended is not None and (at >= image.ended + REMEMBERED or not ec2.on(LINGERS))


def _hidden(ec2: Ec2State, call: Call, image: Ec2Image, at: datetime) -> bool:
    """Whether an image is deprecated or disabled, so that it is listed only on request."""
    if not ec2.on(OLD_HIDDEN):
        return False
    if image.state == "disabled" and not call.params.get("IncludeDisabled"):
        return True
    asked_for = call.params.get("ImageIds") or call.params.get("IncludeDeprecated")
    deprecated = image.deprecated_at is not None and at >= image.deprecated_at
    return deprecated and image.owner != call.caller.account and not asked_for


def _in_scope(image: Ec2Image, owners: set[str], users: set[str]) -> bool:
    launchers = {value for _, value in image.launch}
    return (not owners or image.owner in owners) and (not users or not launchers.isdisjoint(users))


def seen_tags(ec2: Ec2State, image: Ec2Image, account: str, at: datetime | None = None) -> dict[str, str]:
    """Return the tags on an image that an account sees: its own, and those of the owner that are for all."""
    of_owner = ec2.tags_on(image.owner, image.id, at)
    return {**{k: v for k, v in of_owner.items() if k.startswith(SHARED_TAG)}, **ec2.tags_on(account, image.id, at)}


def shown(ec2: Ec2State, image: Ec2Image, account: str, at: datetime) -> dict[str, Any]:
    """Return an image as DescribeImages shows it to an account, as things were at a time."""
    devices = pages.shuffled(ec2, image.mappings, lambda mapping: f"{image.id}{mapping['DeviceName']}")
    found: dict[str, Any] = {
        "ImageId": image.id,
        "OwnerId": image.owner,
        "State": image.state,
        "CreationDate": stamp(image.created),
        "Public": ("Group", "all") in image.launch,
        **image.members,
        **({"DeregistrationProtection": image.protection(at)} if "DeregistrationProtection" in image.members else {}),
        **tags.shown(ec2, seen_tags(ec2, image, account if ec2.on(TAGS_PRIVATE) else image.owner, at)),
    }
    if devices:
        found["BlockDeviceMappings"] = [_mapping(ec2, device) for device in devices]
    if image.deprecated_at is not None:
        found["DeprecationTime"] = stamp(image.deprecated_at)
    return found


def _mapping(ec2: Ec2State, device: Mapping[str, Any]) -> dict[str, Any]:
    if "Ebs" not in device:
        return dict(device)
    snapshot = ec2.snapshots.get(device["Ebs"].get("SnapshotId", ""))
    encrypted = snapshot.key is not None if snapshot else bool(device["Ebs"].get("Encrypted"))
    shown_too = {"Encrypted": encrypted} if ec2.on(SHOWS_ENCRYPTED) else {}
    return {**device, "Ebs": {**device["Ebs"], **shown_too}}


def _ebs(name: str) -> Any:
    def values(image: Mapping[str, Any]) -> Iterable[str]:
        found = (device.get("Ebs", NOTHING).get(name) for device in image.get("BlockDeviceMappings", ()))
        return [text(value) for value in found if value is not None]

    return values


def _code(name: str) -> Any:
    return lambda image: [code[name] for code in image.get("ProductCodes", ())]


FIELDS: filters.Fields = {
    "architecture": member("Architecture"),
    "block-device-mapping.delete-on-termination": _ebs("DeleteOnTermination"),
    "block-device-mapping.device-name": lambda image: [d["DeviceName"] for d in image.get("BlockDeviceMappings", ())],
    "block-device-mapping.encrypted": _ebs("Encrypted"),
    "block-device-mapping.snapshot-id": _ebs("SnapshotId"),
    "block-device-mapping.volume-size": _ebs("VolumeSize"),
    "block-device-mapping.volume-type": _ebs("VolumeType"),
    "boot-mode": member("BootMode"),
    "creation-date": member("CreationDate"),
    "description": member("Description"),
    "ena-support": member("EnaSupport"),
    "hypervisor": member("Hypervisor"),
    "image-id": member("ImageId"),
    "image-type": member("ImageType"),
    "is-public": member("Public"),
    "kernel-id": member("KernelId"),
    "name": member("Name"),
    "owner-id": member("OwnerId"),
    "platform": member("Platform"),
    "product-code": _code("ProductCodeId"),
    "product-code.type": _code("ProductCodeType"),
    "ramdisk-id": member("RamdiskId"),
    "root-device-name": member("RootDeviceName"),
    "root-device-type": member("RootDeviceType"),
    "source-image-id": member("SourceImageId"),
    "source-instance-id": member("SourceInstanceId"),
    "sriov-net-support": member("SriovNetSupport"),
    "state": member("State"),
    "virtualization-type": member("VirtualizationType"),
}
OPERATIONS = {
    "DescribeImages": Operation(
        _describe_images,
        "ImageIds Owners ExecutableUsers Filters IncludeDeprecated IncludeDisabled MaxResults NextToken",
    )
}
