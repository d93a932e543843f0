"""CopyImage: an identical image with its own snapshots, in the caller's account and the call's Region.

The copy checks keys, the share of each snapshot and the launch permission when it starts and again when it ends. It is
not proven that AWS needs them to the end; the simulator takes the stricter reading, as for CopySnapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import copies, images, notices, settings, tags
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, not_found, wrong_combination
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import NOTHING, Ec2Image, Ec2Snapshot, ImageOrigin, Remembered
from awsim.services.ec2.register import become_available, check_name
from awsim.services.ec2.state import Ec2State

LAUNCH_PERMISSION = rule(
    "ec2-copy-image-needs-launch-permission",
    "CopyImage of a foreign image needs a launch permission for the caller's account, else InvalidAMIID.NotFound "
    "[aws-facts 5, VERIFIED; code UNVERIFIED]",
)
STORAGE = rule(
    "ec2-copy-image-needs-snapshot-shares",
    "CopyImage needs createVolumePermission on each snapshot of the image: InvalidRequest, 'You do not have permission "
    "to access the storage of this ami' [aws-facts 5, VERIFIED; words: awslabs/amazon-eks-ami#52]",
)
SHARED_TO_THE_END = rule(
    "ec2-copy-image-needs-launch-permission-to-the-end",
    "A copy fails if the launch permission goes, or the source is deregistered or disabled, before it ends "
    "[UNVERIFIED: the strict reading]",
)
FAILS_LATE = rule(
    "ec2-copy-image-fails-late",
    "CopyImage accepts any key; if a snapshot of the copy ends in error the image comes to state failed, with a "
    "StateReason [botocore ec2 model, CopyImage KmsKeyId, VERIFIED; words: aws-samples/aws-backup-automation#2, "
    "code UNVERIFIED]",
)
TOKEN = rule(
    "ec2-copy-image-client-token",
    "CopyImage with the same ClientToken and parameters returns the same image, with other parameters it is refused: "
    "IdempotentParameterMismatch. A failed image's too [aws-facts 5, VERIFIED; for how long UNVERIFIED]",
)
IDENTICAL = rule(
    "ec2-copy-image-identical",
    "The copy has all attributes of the source: boot mode, TPM also beside uefi-preferred, UEFI data, IMDS, product "
    "codes, billing; and SourceImageId with SourceImageRegion [aws-facts 5, VERIFIED; for billing UNVERIFIED]",
)
NOT_CARRIED = rule(
    "ec2-copy-image-leaves-shares",
    "Launch permissions are not copied, nor deprecation and deregistration protection, nor an unnamed Description "
    "[aws-facts 5, VERIFIED for launch permissions; the others UNVERIFIED]",
)
TAGS_STAY = rule(
    "ec2-copy-image-tags-of-others-stay",
    "CopyImageTags copies the caller's own tags on the source, and of another account's those whose key begins with "
    "`ec2:SharedTag/`; without it none [aws-facts 5; botocore ec2 model, CopyImage, VERIFIED]",
)
AT_ONCE = rule(
    "ec2-image-copies-at-once",
    "300 CopyImages at once per destination Region, then ResourceLimitExceeded; they do not take part in the 20 "
    "CopySnapshots [aws-facts 5, VERIFIED; per account, the code and the second half UNVERIFIED]",
)
NO_MARKETPLACE = rule(
    "ec2-copy-image-no-foreign-marketplace",
    "A Marketplace image, or one made from it, is not copied out of another account; within an account it is "
    "[aws-facts 5, VERIFIED in 2023; awsdocs/amazon-ec2-user-guide#133; words UNVERIFIED]",
)
EBS_ONLY = rule(
    "ec2-copy-image-instance-store",
    "An image with an instance-store root is copied by way of S3, with further rights: refused here "
    "[EC2 user guide, copy-ami-permissions; the refusal is the simulator's own]",
)
MAPPINGS_LATE = rule(
    "ec2-copy-image-mappings-late",
    "A copy shows its snapshots only when it is available [UNVERIFIED: the strict reading]",
)
SLOTS = 300
TIME = "SnapshotCopyCompletionDurationMinutes"
INTERNAL = "Copy image failed with an internal error"
SNAPSHOT_FAILED = "AMI snapshot copy failed with error: {}"
LEFT = ("Name", "ImageLocation", "Description", "DeregistrationProtection", "SourceInstanceId", "LastLaunchedTime")
"""Members that a copy does not take from its source."""


def _copy_image(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    if twin := _twin(ec2, call):
        return {"ImageId": twin}
    source = _source(ec2, call)
    check_name(ec2, call.caller.account, call.region, call.params.get("Name", ""))
    if call.params.get("KmsKeyId") and not call.params.get("Encrypted") and ec2.on(copies.KEY_MEANS_ENCRYPTED):
        raise wrong_combination("The parameter KmsKeyId requires the parameter Encrypted to be set.")
    for_image = tags.at_creation(ec2, call, "image", "snapshot")
    for_snapshots = tags.at_creation(ec2, call, "snapshot", "image")
    if _pending(ec2, call.caller.account, call.region) >= SLOTS and ec2.on(AT_ONCE):
        why = f"Too many AMI copies in progress. The limit is {SLOTS} for this destination region."
        raise AwsError("ResourceLimitExceeded", why)
    copies.check_time(ec2, call, call.params.get(TIME), source.region)
    image = _begin(ec2, call, source, _tags(ec2, call, source) | for_image, for_snapshots)
    _remember(ec2, call, image)
    return {"ImageId": image}


def _twin(ec2: Ec2State, call: Call) -> str | None:
    """Return the image that was made with this client token."""
    token = call.params.get("ClientToken")
    known = ec2.copy_tokens.get((call.caller.account, call.region, token)) if token else None
    if known is None or known.until <= ec2.now or not ec2.on(TOKEN):
        return None
    if known.parameters != _parameters(call):
        why = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
        raise AwsError("IdempotentParameterMismatch", why)
    return known.image


def _remember(ec2: Ec2State, call: Call, image: str) -> None:
    if token := call.params.get("ClientToken"):
        until = ec2.now + timedelta(seconds=ec2.pace.token)
        ec2.copy_tokens[call.caller.account, call.region, token] = Remembered(_parameters(call), image, until)


def _parameters(call: Call) -> str:
    return repr(sorted((k, v) for k, v in call.params.items() if k not in {"ClientToken", "DryRun"}))


def _source(ec2: Ec2State, call: Call) -> Ec2Image:
    """Return the image to copy, if the caller may copy it."""
    wanted, account = call.params["SourceImageId"], call.caller.account
    check_id(wanted, "ami")
    copies.check_region(call.params["SourceRegion"])
    found = ec2.images.get(wanted)
    if found is None or found.region != call.params["SourceRegion"] or found.state == "deregistered":
        raise not_found(wanted)
    if not may_see(ec2, account, found) and ec2.on(LAUNCH_PERMISSION):
        raise not_found(wanted)
    if not settings.may_use(ec2, account, call.region, found):
        raise not_found(wanted)
    if found.state != "available":
        raise AwsError("InvalidAMIID.Unavailable", f"The image id '[{wanted}]' is not available")
    if found.members["RootDeviceType"] == "instance-store" and ec2.on(EBS_ONLY):
        raise AwsError("UnsupportedOperation", f"The simulator copies no image with an instance-store root: {wanted}")
    if found.owner != account and found.members.get("ProductCodes") and ec2.on(NO_MARKETPLACE):
        raise AwsError("InvalidRequest", "Images from AWS Marketplace cannot be copied to another AWS account")
    closed = [s.id for s in _snapshots(ec2, found).values() if not may_see(ec2, account, s)]
    if closed and ec2.on(STORAGE):
        raise AwsError("InvalidRequest", "You do not have permission to access the storage of this ami")
    return found


def _snapshots(ec2: Ec2State, image: Ec2Image) -> dict[str, Ec2Snapshot]:
    """Return device -> snapshot."""
    named = {mapping["DeviceName"]: mapping.get("Ebs", NOTHING).get("SnapshotId", "") for mapping in image.mappings}
    found = {device: ec2.snapshots.get(snapshot) for device, snapshot in named.items()}
    return {device: snapshot for device, snapshot in found.items() if snapshot is not None}


def _pending(ec2: Ec2State, account: str, region: str) -> int:
    mine = (image for image in ec2.images.of(account) if image.region == region)
    return sum(image.origin is not None and image.state == "pending" for image in mine)


def _tags(ec2: Ec2State, call: Call, source: Ec2Image) -> dict[str, str]:
    """Return the source's tags that the copy gets."""
    if not call.params.get("CopyImageTags"):
        return {}
    owner = call.caller.account if ec2.on(TAGS_STAY) else source.owner
    return {k: v for k, v in images.seen_tags(ec2, source, owner).items() if not k.lower().startswith("aws:")}


def _begin(
    ec2: Ec2State, call: Call, source: Ec2Image, for_image: Mapping[str, str], for_snapshots: Mapping[str, str]
) -> str:
    """Make the pending image and start the copies of its snapshots; return its id."""
    image_id, account, region = ec2.new_id("ami"), call.caller.account, call.region
    begun = {
        device: replace(
            copies.begun(ec2, call, snapshot, image_id, minutes=call.params.get(TIME, 0)),
            description=f"Copied for DestinationAmi {image_id} from SourceAmi {source.id} for SourceSnapshot "
            f"{snapshot.id}. Task created on {int(ec2.now.timestamp() * 1000):,}.",
        )
        for device, snapshot in _snapshots(ec2, source).items()
    }
    made = {device: copy.id for device, copy in begun.items()}
    image = Ec2Image(
        id=image_id,
        owner=account,
        region=region,
        created=ec2.now,
        state="pending",
        members=_members(ec2, call, source),
        mappings=() if ec2.on(MAPPINGS_LATE) else _mappings(source, made),
        uefi_data=source.uefi_data if ec2.on(IDENTICAL) else None,
        launch=frozenset() if ec2.on(NOT_CARRIED) else source.launch,
        origin=ImageOrigin(source.id, made),
    )
    ec2.images.put(image)
    tags.put_tags(ec2, account, region, image_id, add=for_image)
    for copy in begun.values():
        ec2.snapshots.put(copy)
        tags.put_tags(ec2, account, region, copy.id, add=for_snapshots)
    for copy in begun.values():
        copies.start(ec2, copy, lambda: _finish(ec2, image_id, call.request_id))
    if not begun:
        _finish(ec2, image_id, call.request_id)
    return image_id


def _members(ec2: Ec2State, call: Call, source: Ec2Image) -> dict[str, Any]:
    account, params = call.caller.account, call.params
    left = LEFT if ec2.on(NOT_CARRIED) else ("Name", "ImageLocation")
    plain = ("ImageType", "Hypervisor", "Architecture", "VirtualizationType", "RootDeviceName", "RootDeviceType")
    kept = source.members.keys() - set(left) if ec2.on(IDENTICAL) else set(plain)
    lineage = {"SourceImageId": source.id, "SourceImageRegion": source.region} if ec2.on(IDENTICAL) else {}
    return {
        **{name: value for name, value in source.members.items() if name in kept},
        "Name": params["Name"],
        "ImageLocation": f"{account}/{params['Name']}",
        **lineage,
        **({"Description": params["Description"]} if params.get("Description") else {}),
    }


def _mappings(source: Ec2Image, made: Mapping[str, str]) -> tuple[Mapping[str, Any], ...]:
    def own(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        copy = made.get(mapping["DeviceName"])
        return {**mapping, "Ebs": {**mapping["Ebs"], "SnapshotId": copy}} if copy else mapping

    return tuple(own(mapping) for mapping in source.mappings)


def _finish(ec2: Ec2State, image_id: str, request_id: str) -> None:
    """End a copy when all its snapshots have ended or one of them has failed."""
    image = ec2.images.get(image_id)
    if image is None or image.state != "pending" or image.origin is None:
        return
    ends = [ec2.snapshots.get(snapshot) for snapshot in image.origin.snapshots.values()]
    if (why_not := _trouble(ends)) and ec2.on(FAILS_LATE):
        _fail(ec2, image, why_not, request_id)
    elif all(copy is None or copy.state != "pending" for copy in ends):
        ec2.after(ec2.pace.register, lambda: _complete(ec2, image_id, request_id), f"copy {image_id} ends")


def _trouble(ends: Iterable[Ec2Snapshot | None]) -> str:
    for copy in ends:
        if copy is None:
            return INTERNAL
        if copy.state == "error":
            return SNAPSHOT_FAILED.format(copy.state_message)
    return ""


def _complete(ec2: Ec2State, image_id: str, request_id: str) -> None:
    image = ec2.images.get(image_id)
    if image is None or image.state != "pending" or image.origin is None:
        return
    source = ec2.images.get(image.origin.image)
    there = source is not None and source.state == "available" and may_see(ec2, image.owner, source)
    if not there and ec2.on(SHARED_TO_THE_END):
        _fail(ec2, image, INTERNAL, request_id)
        return
    if source is not None:
        ec2.images.put(replace(image, mappings=_mappings(source, image.origin.snapshots)))
    become_available(ec2, image_id, request_id)


def _fail(ec2: Ec2State, image: Ec2Image, why: str, request_id: str) -> None:
    reason = {"Code": "Client.InternalError", "Message": why}
    failed = ec2.images.put(replace(image, state="failed", members={**image.members, "StateReason": reason}))
    notices.image_state(ec2, failed, "failed", request_id, why)


OPERATIONS = {
    "CopyImage": Operation(
        _copy_image,
        "SourceImageId SourceRegion Name Description ClientToken Encrypted KmsKeyId TagSpecifications CopyImageTags "
        "SnapshotCopyCompletionDurationMinutes",
    )
}
