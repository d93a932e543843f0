"""Launching: as much of RunInstances as shows whether an image can be launched, and why not.

The image is named by its id or by a parameter, in the call or in a launch template. One instance a call, pending for a
moment and then running or terminated; it has no volumes, no network and no end. The client token that the SDK adds to
each call is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from awsim.api import AwsError, Call, Caller
from awsim.rules import rule
from awsim.services.ec2 import filters, image_aliases, keys, launch_templates, pages, settings
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, missing, not_found, wrong_combination
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import NOTHING, Ec2Image, Ec2Snapshot, Instance
from awsim.services.ec2.state import Ec2State

PERMITTED = rule(
    "ec2-launch-needs-permission",
    "Only its owner and those with a launch permission may launch an image: AuthFailure, 'Not authorized for images'; "
    "its snapshots need not be shared [aws-facts 4, VERIFIED; words: hashicorp/otto#68]",
)
AVAILABLE = rule(
    "ec2-launch-needs-available-image",
    "A pending, failed or disabled image is not launched: InvalidAMIID.Unavailable "
    "[aws-facts 8, VERIFIED for disabled; code UNVERIFIED]",
)
SOURCE_KEY = rule(
    "ec2-launch-needs-source-key",
    "Who launches an image with encrypted snapshots needs DescribeKey, CreateGrant, Decrypt, "
    "GenerateDataKeyWithoutPlaintext and ReEncrypt on their keys; without, the instance goes from pending to "
    "terminated: Client.InternalError [EBS user guide, ebs-encryption-requirements; re:Post kms-launch-ec2-instance]",
)
VOLUME_KEY = rule(
    "ec2-launch-needs-volume-key",
    "A new volume is encrypted under the key that the launch names, else under the snapshot's key if that is the "
    "account's own, else under the account's default EBS key; the launcher needs the same rights on it "
    "[EBS user guide, encryption outcomes; the split into ReEncryptFrom and ReEncryptTo UNVERIFIED]",
)
KEY_STATE = rule(
    "ec2-launch-key-state",
    "A launch with a key that is disabled or to be deleted ends as Client.InvalidKMSKey.InvalidState "
    "[EC2 user guide, StateReason, UNVERIFIED]",
)
NO_RIGHT = ("Client.InternalError", "Client.InternalError: Client error on launch")
BAD_KEY = (
    "Client.InvalidKMSKey.InvalidState",
    "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
)
COMMON = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext")
Reason = tuple[str, str]
GOOD: Reason = ("", "")
STATES = {"pending": 0, "running": 16, "terminated": 48}


def _run_instances(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    params = launch_templates.merged(ec2, call)
    if (params.get("MinCount"), params.get("MaxCount")) != (1, 1):
        raise AwsError("UnsupportedOperation", "The simulator launches one instance per call")
    image, changes = _wanted(ec2, call, params)
    instance = ec2.instances.put(
        Instance(
            id=ec2.new_id("i"),
            owner=call.caller.account,
            region=call.region,
            image=image.id,
            started=ec2.now,
            type=params.get("InstanceType", "m1.small"),
        )
    )
    ec2.after(
        ec2.pace.launch,
        lambda: _start(ec2, instance, _trouble(ec2, call.caller, image, changes)),
        f"{instance.id} starts",
    )
    return {
        "ReservationId": f"r-{instance.id[2:]}",
        "OwnerId": instance.owner,
        "Groups": [],
        "Instances": [_shown(instance)],
    }


Changes = Mapping[str, Mapping[str, Any]]
"""What a launch changes in an image's mappings: members of Ebs, by device."""


def _wanted(ec2: Ec2State, call: Call, params: Mapping[str, Any]) -> tuple[Ec2Image, Changes]:
    """Return the image to launch and its changes, if the caller may launch it so. Raises AwsError."""
    if not params.get("ImageId"):
        raise missing("ImageId")
    image = _image(ec2, call, image_aliases.resolve(ec2, call, params["ImageId"]))
    changes = {mapping["DeviceName"]: mapping.get("Ebs", {}) for mapping in params.get("BlockDeviceMappings", ())}
    _check_changes(image, changes)
    return image, changes


def _image(ec2: Ec2State, call: Call, wanted: str) -> Ec2Image:
    """Return the image of an id, if the caller may launch it."""
    check_id(wanted, "ami")
    image = ec2.images.get(wanted)
    if image is None or image.region != call.region or image.state == "deregistered":
        raise not_found(wanted)
    if not may_see(ec2, call.caller.account, image) and ec2.on(PERMITTED):
        raise AwsError("AuthFailure", f"Not authorized for images: [{wanted}]")
    if not settings.may_use(ec2, call.caller.account, image):
        raise not_found(wanted)
    if image.state != "available" and ec2.on(AVAILABLE):
        raise AwsError("InvalidAMIID.Unavailable", f"The image ID '{wanted}' is not available")
    return image


def _check_changes(image: Ec2Image, changes: Changes) -> None:
    """Refuse what a launch cannot change in an image's mappings."""
    devices = {mapping["DeviceName"] for mapping in image.mappings}
    for device, ebs in changes.items():
        if device not in devices or ebs.keys() - {"Encrypted", "KmsKeyId"}:
            why = f"The simulator models Encrypted and KmsKeyId of the image's devices at launch, not this of {device}"
            raise AwsError("UnsupportedOperation", why)
        if ebs.get("KmsKeyId") and not ebs.get("Encrypted"):
            raise wrong_combination("The parameter KmsKeyId requires the parameter Encrypted to be set.")


def _start(ec2: Ec2State, instance: Instance, reason: Reason) -> None:
    state = "running" if reason == GOOD else "terminated"
    ec2.instances.put(replace(instance, state=state, reason=reason))


def _trouble(ec2: Ec2State, caller: Caller, image: Ec2Image, changes: Changes) -> Reason:
    """Return why the image's volumes cannot be made for a caller now."""
    for mapping in image.mappings:
        snapshot = ec2.snapshots.get(mapping.get("Ebs", NOTHING).get("SnapshotId", ""))
        change = changes.get(mapping["DeviceName"], NOTHING)
        found = _volume_trouble(ec2, caller, image.region, snapshot, change)
        if found != GOOD:
            return found
    return GOOD


def _volume_trouble(
    ec2: Ec2State, caller: Caller, region: str, snapshot: Ec2Snapshot | None, change: Mapping[str, Any]
) -> Reason:
    source = snapshot.key if snapshot else None
    if source is not None and snapshot is not None:
        found = _key_trouble(ec2, caller, (*COMMON, "kms:ReEncryptFrom"), source, region, snapshot.id)
        if found != GOOD and ec2.on(SOURCE_KEY):
            return found
    target = _volume_key(ec2, caller.account, region, snapshot, change)
    if target is None or not ec2.on(VOLUME_KEY):
        return GOOD
    arn = target if target.startswith("arn:") else _arn(ec2, caller.account, region, target)
    return _key_trouble(ec2, caller, (*COMMON, "kms:ReEncryptTo"), arn, region, "vol-new") if arn else NO_RIGHT


def _volume_key(
    ec2: Ec2State, account: str, region: str, snapshot: Ec2Snapshot | None, change: Mapping[str, Any]
) -> str | None:
    """Return the key that a new volume's mapping names; None if the volume is not encrypted."""
    source = snapshot.key if snapshot else None
    always = (account, region) in ec2.encrypted_by_default
    if not (change.get("Encrypted") or source or always):
        return None
    own = source if source and source.split(":")[4] == account else None
    named: str | None = change.get("KmsKeyId")
    return named or own or keys.default(ec2, account, region)


def _arn(ec2: Ec2State, account: str, region: str, named: str) -> str | None:
    try:
        return str(ec2.kms.describe(account, region, named).arn)
    except AwsError:
        return None


def _key_trouble(ec2: Ec2State, caller: Caller, actions: Sequence[str], arn: str, region: str, what: str) -> Reason:
    try:
        enabled = ec2.kms.describe(caller.account, region, arn).enabled
    except AwsError:
        return NO_RIGHT
    if not enabled and ec2.on(KEY_STATE):
        return BAD_KEY
    return GOOD if keys.may(ec2, caller, tuple(actions), arn, region, what) else NO_RIGHT


def _describe_instances(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    pages.no_pages_with(call, "InstanceIds")
    at = ec2.moment(call)
    found = {i.id: i for i in ec2.instances.of(call.caller.account, at) if i.region == call.region}
    wanted = call.params.get("InstanceIds") or list(found)
    for instance_id in wanted:
        check_id(instance_id, "i")
        if instance_id not in found:
            raise not_found(instance_id)
    kept = filters.keep([_shown(found[i]) for i in wanted], call.params.get("Filters", ()), FIELDS)
    part, token = pages.page(ec2, call, kept, lambda instance: str(instance["InstanceId"]))
    listed = [
        {
            "ReservationId": f"r-{instance['InstanceId'][2:]}",
            "OwnerId": call.caller.account,
            "Groups": [],
            "Instances": [instance],
        }
        for instance in part
    ]
    return pages.answer("Reservations", listed, token)


def _shown(instance: Instance) -> dict[str, Any]:
    code, text = instance.reason
    shown: dict[str, Any] = {
        "InstanceId": instance.id,
        "ImageId": instance.image,
        "InstanceType": instance.type,
        "LaunchTime": instance.started,
        "State": {"Code": STATES[instance.state], "Name": instance.state},
    }
    return {**shown, "StateReason": {"Code": code, "Message": text}} if code else shown


def launch_trouble(ec2: Ec2State, call: Call) -> str:
    """Return why the instance of a RunInstances call would not run now; "" if it would. Raises AwsError."""
    found, changes = _wanted(ec2, call, launch_templates.merged(ec2, call))
    _, text = _trouble(ec2, call.caller, found, changes)
    return text


FIELDS: filters.Fields = {
    "instance-id": filters.member("InstanceId"),
    "image-id": filters.member("ImageId"),
    "instance-state-name": lambda instance: (instance["State"]["Name"],),
    "state-reason-code": lambda instance: (instance.get("StateReason", {}).get("Code", ""),),
}
OPERATIONS = {
    "RunInstances": Operation(
        _run_instances, "ImageId LaunchTemplate MinCount MaxCount InstanceType BlockDeviceMappings ClientToken"
    ),
    "DescribeInstances": Operation(_describe_instances, "InstanceIds Filters MaxResults NextToken"),
}
