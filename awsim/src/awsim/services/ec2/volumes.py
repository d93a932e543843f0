"""Volumes, as far as snapshots and instances need them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters, keys, pages, tags
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, missing, not_found, wrong_combination
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Snapshot, Volume
from awsim.services.ec2.state import Ec2State

VOLUME_KEY = rule(
    "ec2-volume-key-checked-late",
    "CreateVolume accepts any KmsKeyId; a key that cannot be used shows later, as a volume in state error "
    "[botocore ec2 model, CreateVolume KmsKeyId, VERIFIED]",
)


def _create_volume(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    params, account = call.params, call.caller.account
    if twin := _twin(ec2, call):
        return _shown(ec2, twin, account)
    zone = params.get("AvailabilityZone")
    if not zone:
        raise missing("AvailabilityZone")
    if zone[:-1] != call.region:
        raise AwsError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    source = _source(ec2, call)
    size = params.get("Size") or (source.size if source else None)
    if size is None:
        raise missing("Size/SnapshotId")
    if source and size < source.size:
        why = f"The size of a volume can't be smaller than the size of snapshot '{source.id}' ({source.size} GiB)"
        raise AwsError("InvalidParameterValue", why)
    if params.get("KmsKeyId") and not params.get("Encrypted"):
        raise wrong_combination("The parameter KmsKeyId requires the parameter Encrypted to be set.")
    wanted = tags.at_creation(ec2, call, "volume")
    key, state = _key(ec2, call, source)
    volume = ec2.volumes.put(
        Volume(
            id=ec2.new_id("vol"),
            owner=account,
            region=call.region,
            zone=zone,
            size=size,
            created=ec2.now,
            type=params.get("VolumeType", "gp2"),
            iops=params.get("Iops"),
            throughput=params.get("Throughput"),
            key=key,
            snapshot=source.id if source else "",
            state=state,
            token=params.get("ClientToken", ""),
        )
    )
    tags.put_tags(ec2, account, call.region, volume.id, add=wanted)
    return _shown(ec2, volume, account) | {"State": "creating"}


def _twin(ec2: Ec2State, call: Call) -> Volume | None:
    """Return the volume that was made with this client token."""
    token = call.params.get("ClientToken")
    mine = (v for v in ec2.volumes.of(call.caller.account) if v.region == call.region)
    return next((volume for volume in mine if token and volume.token == token), None)


def _source(ec2: Ec2State, call: Call) -> Ec2Snapshot | None:
    wanted = call.params.get("SnapshotId")
    if not wanted:
        return None
    check_id(wanted, "snap")
    found = ec2.snapshots.get(wanted)
    if found is None or found.region != call.region or not may_see(ec2, call.caller.account, found):
        raise not_found(wanted)
    if found.state != "completed":
        raise AwsError("IncorrectState", f"Snapshot '{wanted}' is not 'completed'.")
    return found


def _key(ec2: Ec2State, call: Call, source: Ec2Snapshot | None) -> tuple[str | None, str]:
    """Return the key and the first state of a new volume; another account's key must also be readable."""
    params, account, region = call.params, call.caller.account, call.region
    always = (account, region) in ec2.encrypted_by_default
    if not (params.get("Encrypted") or always or (source and source.key)):
        return None, "available"
    wanted = params.get("KmsKeyId") or (
        source.key if source and source.key and source.owner == account else keys.default(ec2, account, region)
    )
    arn = keys.resolve(ec2, account, region, wanted)
    if arn is None and ec2.on(VOLUME_KEY):
        return wanted, "error"
    readable = source is None or keys.may_read(ec2, call.caller, source.key, region, source.id)
    return arn or wanted, "available" if readable else "error"


def _describe_volumes(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    pages.no_pages_with(call, "VolumeIds")
    at, account = ec2.moment(call), call.caller.account
    found = {v.id: v for v in ec2.volumes.of(account, at) if v.region == call.region}
    wanted = call.params.get("VolumeIds") or list(found)
    for volume_id in wanted:
        check_id(volume_id, "vol")
        if volume_id not in found:
            raise not_found(volume_id)
    shown = [_shown(ec2, found[volume_id], account) for volume_id in wanted]
    part, token = pages.filtered(ec2, call, shown, lambda volume: str(volume["VolumeId"]), FIELDS)
    return pages.answer("Volumes", part, token)


def _delete_volume(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    volume_id = call.params["VolumeId"]
    check_id(volume_id, "vol")
    found = ec2.volumes.get(volume_id)
    if found is None or found.owner != call.caller.account or found.region != call.region:
        raise not_found(volume_id)
    if found.instance:
        raise AwsError("VolumeInUse", f"Volume {volume_id} is currently attached to {found.instance}")
    ec2.volumes.drop(volume_id)
    tags.forget(ec2, volume_id)
    return {}


def _shown(ec2: Ec2State, volume: Volume, account: str) -> dict[str, Any]:
    attached = {
        "InstanceId": volume.instance,
        "VolumeId": volume.id,
        "Device": volume.device,
        "State": "attached",
        "DeleteOnTermination": volume.ends_with_instance,
    }
    optional = {"Iops": volume.iops, "Throughput": volume.throughput, "KmsKeyId": volume.key}
    return {
        "VolumeId": volume.id,
        "Size": volume.size,
        "SnapshotId": volume.snapshot,
        "AvailabilityZone": volume.zone,
        "State": volume.state,
        "CreateTime": volume.created,
        "VolumeType": volume.type,
        "Encrypted": volume.key is not None,
        "MultiAttachEnabled": False,
        "Attachments": [attached] if volume.instance else [],
        **{name: value for name, value in optional.items() if value is not None},
        **tags.shown(ec2, ec2.tags_on(account, volume.id)),
    }


FIELDS: filters.Fields = {
    "volume-id": filters.member("VolumeId"),
    "attachment.instance-id": lambda volume: [one["InstanceId"] for one in volume["Attachments"]],
    "status": filters.member("State"),
    "encrypted": filters.member("Encrypted"),
    "snapshot-id": filters.member("SnapshotId"),
    "size": filters.member("Size"),
    "volume-type": filters.member("VolumeType"),
    "availability-zone": filters.member("AvailabilityZone"),
}
OPERATIONS = {
    "CreateVolume": Operation(
        _create_volume,
        "AvailabilityZone Encrypted KmsKeyId Iops Size SnapshotId VolumeType Throughput TagSpecifications ClientToken",
    ),
    "DescribeVolumes": Operation(_describe_volumes, "VolumeIds Filters MaxResults NextToken"),
    "DeleteVolume": Operation(_delete_volume, "VolumeId"),
}
