"""Settings of an account in a Region: EBS encryption by default, block public access, Allowed AMIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import keys
from awsim.services.ec2.access import may_see
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image
from awsim.services.ec2.state import Ec2State

ALLOWED = rule(
    "ec2-allowed-images-hide-foreign",
    "Where Allowed AMIs is enabled, an AMI of an account that its criteria do not name cannot be launched or copied: "
    "InvalidAMIID.NotFound; an account's own AMIs are never restricted "
    "[aws-facts 4, VERIFIED; that for a copy the setting of its own Region counts UNVERIFIED]",
)


def may_use(ec2: Ec2State, account: str, region: str, image: Ec2Image) -> bool:
    """Whether Allowed AMIs lets an account use an image in a Region."""
    allowed = ec2.allowed_images.get((account, region))
    return allowed is None or image.owner in {account, *allowed} or not ec2.on(ALLOWED)


def is_usable(ec2: Ec2State, account: str, region: str, image_id: str) -> bool:
    """Whether an id is that of an image that is available to an account in a Region now."""
    image = ec2.images.get(image_id)
    if image is None or (image.region, image.state) != (region, "available"):
        return False
    return may_see(ec2, account, image) and may_use(ec2, account, region, image)


def _place(call: Call) -> tuple[str, str]:
    return call.caller.account, call.region


def _encrypts(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    return {"EbsEncryptionByDefault": _place(call) in ec2.encrypted_by_default}


def _default_key(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    return {"KmsKeyId": keys.default(ec2, *_place(call))}


def _snapshots_public(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    return {"State": ec2.blocked_snapshots.get(_place(call), "unblocked")}


def _block_snapshots(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.blocked_snapshots[_place(call)] = call.params["State"]
    return _snapshots_public(ec2, call)


def _unblock_snapshots(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.blocked_snapshots.pop(_place(call), None)
    return _snapshots_public(ec2, call)


def _images_public(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    return {"ImageBlockPublicAccessState": "unblocked" if _place(call) in ec2.public_images else "block-new-sharing"}


def _block_images(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.public_images.discard(_place(call))
    return _images_public(ec2, call)


def _unblock_images(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.public_images.add(_place(call))
    return _images_public(ec2, call)


def _allowed(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    allowed = ec2.allowed_images.get(_place(call))
    by = "declarative-policy" if call.caller.account in ec2.allowed_by_policy else "account"
    criteria = [{"ImageProviders": sorted(allowed)}] if allowed else []
    return {"State": "disabled" if allowed is None else "enabled", "ImageCriteria": criteria, "ManagedBy": by}


def _enable_allowed(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    state = call.params["AllowedImagesSettingsState"]
    if state != "enabled":
        raise AwsError("UnsupportedOperation", f"The simulator models the state enabled, not {state}")
    ec2.allowed_images.setdefault(_place(call), frozenset())
    return {"AllowedImagesSettingsState": state}


def _disable_allowed(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    ec2.allowed_images.pop(_place(call), None)
    return {"AllowedImagesSettingsState": "disabled"}


def _criteria(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    given = call.params.get("ImageCriteria", ())
    if any(one.keys() - {"ImageProviders"} for one in given):
        raise AwsError("UnsupportedOperation", "The simulator models ImageProviders of ImageCriteria and nothing else")
    ec2.allowed_images[_place(call)] = frozenset(owner for one in given for owner in one["ImageProviders"])
    return {"ReturnValue": True}


OPERATIONS = {
    "GetEbsEncryptionByDefault": Operation(_encrypts, ""),
    "GetEbsDefaultKmsKeyId": Operation(_default_key, ""),
    "GetSnapshotBlockPublicAccessState": Operation(_snapshots_public, ""),
    "GetImageBlockPublicAccessState": Operation(_images_public, ""),
    "EnableSnapshotBlockPublicAccess": Operation(_block_snapshots, "State"),
    "DisableSnapshotBlockPublicAccess": Operation(_unblock_snapshots, ""),
    "EnableImageBlockPublicAccess": Operation(_block_images, "ImageBlockPublicAccessState"),
    "DisableImageBlockPublicAccess": Operation(_unblock_images, ""),
    "GetAllowedImagesSettings": Operation(_allowed, ""),
    "EnableAllowedImagesSettings": Operation(_enable_allowed, "AllowedImagesSettingsState"),
    "DisableAllowedImagesSettings": Operation(_disable_allowed, ""),
    "ReplaceImageCriteriaInAllowedImagesSettings": Operation(_criteria, "ImageCriteria"),
}
