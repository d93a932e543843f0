"""Block device mappings of RegisterImage: what is refused, and what AWS fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, missing, wrong_combination, wrong_value
from awsim.services.ec2.records import Ec2Snapshot
from awsim.services.ec2.state import Ec2State

NO_ENCRYPTED = rule(
    "ec2-register-no-encrypted-with-snapshot",
    "A mapping with a SnapshotId must leave out Encrypted and KmsKeyId: any value fails, Encrypted with "
    "InvalidParameter [aws-facts 5, VERIFIED; KmsKeyId's code UNVERIFIED]",
)
SNAPSHOT_READY = rule(
    "ec2-register-needs-completed-snapshot",
    "RegisterImage needs snapshots that exist (else InvalidSnapshotID.NotFound, not the code of other calls), that are "
    "the caller's own (InvalidParameterValue, also of one that is shared with it), and that are completed "
    "[aws-facts 5, VERIFIED]",
)
BIG_ENOUGH = rule(
    "ec2-register-volume-not-smaller",
    "VolumeSize is at least the snapshot's size, which is its default [aws-facts 5, VERIFIED]",
)
IOPS_THROUGHPUT = rule(
    "ec2-register-iops-and-throughput",
    "Iops is required for io1 and io2, Throughput is for gp3 only [aws-facts 5, VERIFIED]",
)
DEFAULTS = rule(
    "ec2-register-volume-defaults",
    "A mapping that says no more than its snapshot gives a gp2 volume that goes with the instance "
    "[aws-facts 5, VERIFIED]",
)
KNOWN_DEVICES = rule(
    "ec2-register-mapping-shape",
    "A device is named once, and is an EBS volume, an ephemeral one, or none; an EBS one has a snapshot or a size "
    "[botocore ec2 model, BlockDeviceMapping; EbsBlockDevice, VERIFIED; refusals UNVERIFIED]",
)
NOT_MODELLED = ("OutpostArn", "AvailabilityZone", "AvailabilityZoneId")
TYPES = {"standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"}
PROVISIONED = {"io1", "io2", "gp3"}


def checked(ec2: Ec2State, call: Call, wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the mappings as the image will have them; refuse what AWS refuses."""
    names = [mapping.get("DeviceName", "") for mapping in wanted]
    if len(set(names)) < len(names) and ec2.on(KNOWN_DEVICES):
        raise _wrong(f"A device name is used more than once: {', '.join(names)}")
    return [_checked_one(ec2, call, mapping) for mapping in wanted]


def _checked_one(ec2: Ec2State, call: Call, mapping: Mapping[str, Any]) -> dict[str, Any]:
    device = mapping.get("DeviceName")
    if not device:
        raise missing("BlockDeviceMapping.DeviceName")
    if "NoDevice" in mapping:
        return {"DeviceName": device, "NoDevice": ""}
    ebs, ephemeral = mapping.get("Ebs"), mapping.get("VirtualName")
    if ec2.on(KNOWN_DEVICES):
        if (ebs is None) == (ephemeral is None):
            raise _wrong(f"Device {device} must have one of Ebs, VirtualName and NoDevice")
        if ephemeral is not None and not re.fullmatch(r"ephemeral\d{1,2}", ephemeral):
            raise _wrong(f"Invalid device name for ephemeral: {ephemeral}")
    if ebs is None:
        return {"DeviceName": device, "VirtualName": ephemeral}
    return {"DeviceName": device, "Ebs": _volume(ec2, call, device, ebs)}


def _volume(ec2: Ec2State, call: Call, device: str, ebs: Mapping[str, Any]) -> dict[str, Any]:
    if not_modelled := sorted(set(NOT_MODELLED) & ebs.keys()):
        raise wrong_combination(f"The parameter {not_modelled[0]} is not supported when registering an image")
    snapshot = usable(ec2, call, ebs["SnapshotId"]) if ebs.get("SnapshotId") else None
    if snapshot is None and not ebs.get("VolumeSize") and ec2.on(KNOWN_DEVICES):
        raise _wrong(f"Either snapshot ID or volume size must be provided for: {device}")
    _check_encryption(ec2, device, ebs, snapshot)
    size = ebs.get("VolumeSize") or (snapshot.size if snapshot else 0)
    if snapshot and size < snapshot.size and ec2.on(BIG_ENOUGH):
        why = f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size >= {snapshot.size}GB"
        raise _wrong(why)
    usual = ec2.on(DEFAULTS)
    kind = ebs.get("VolumeType", "gp2" if usual else "standard")
    _check_performance(ec2, kind, ebs)
    found = {"DeleteOnTermination": ebs.get("DeleteOnTermination", usual), "VolumeSize": size, "VolumeType": kind}
    if kind == "gp3":
        found |= {"Iops": 3000, "Throughput": 125}
    kept = ("SnapshotId", "Iops", "Throughput", "Encrypted", "VolumeInitializationRate", "EbsCardIndex")
    return found | {name: ebs[name] for name in kept if ebs.get(name) is not None}


def usable(ec2: Ec2State, call: Call, snapshot_id: str) -> Ec2Snapshot:
    """Return a snapshot that an image may be registered with."""
    check_id(snapshot_id, "snap")
    found = ec2.snapshots.get(snapshot_id)
    if found is None or found.region != call.region:
        raise _no_snapshot(snapshot_id)
    if ec2.on(SNAPSHOT_READY):
        if not may_see(ec2, call.caller.account, found):
            raise _no_snapshot(snapshot_id)
        if found.owner != call.caller.account:
            why = f"Snapshot does not belong to {call.caller.account}"
            raise AwsError("InvalidParameterValue", f"Invalid value '{snapshot_id}' for snapshotId. {why}")
        if found.state != "completed":
            raise AwsError("IncorrectState", f"Snapshot '{snapshot_id}' is not 'completed'.")
    return found


def _check_encryption(ec2: Ec2State, device: str, ebs: Mapping[str, Any], snapshot: Ec2Snapshot | None) -> None:
    if snapshot and ec2.on(NO_ENCRYPTED) and ebs.get("Encrypted") is not None:
        why = "You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping."
        raise AwsError("InvalidParameter", f"Parameter encrypted is invalid. {why}")
    if ec2.on(NO_ENCRYPTED) and ebs.get("KmsKeyId"):
        raise wrong_combination(f"The parameter KmsKeyId is not supported when registering an image (device {device})")


def _check_performance(ec2: Ec2State, kind: str, ebs: Mapping[str, Any]) -> None:
    if kind not in TYPES:
        raise wrong_value("volumeType", kind)
    if not ec2.on(IOPS_THROUGHPUT):
        return
    if kind in {"io1", "io2"} and ebs.get("Iops") is None:
        raise AwsError("MissingParameter", f"The parameter iops must be specified for {kind} volumes.")
    if ebs.get("Iops") is not None and kind not in PROVISIONED:
        raise wrong_combination(f"The parameter iops is not supported for {kind} volumes.")
    if ebs.get("Throughput") is not None and kind != "gp3":
        raise wrong_combination(f"The parameter throughput is not supported for {kind} volumes.")


def _no_snapshot(snapshot_id: str) -> AwsError:
    return AwsError("InvalidSnapshotID.NotFound", f"The snapshot ID '{snapshot_id}' does not exist")


def _wrong(why: str) -> AwsError:
    return AwsError("InvalidBlockDeviceMapping", why)
