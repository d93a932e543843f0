"""The Recycle Bin: what an account deletes where a retention rule keeps it comes back, and is shared as before.

A test says where such rules are (``Ec2State.recycle_bins``); they keep everything, for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import notices
from awsim.services.ec2.errors import check_id, not_found
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.state import Ec2State

SHARED_AGAIN = rule(
    "ec2-recycle-bin-restores-sharing",
    "A snapshot or image that goes to the Recycle Bin is shared with nobody; when it is restored, all accounts with "
    "which it was shared before have their permissions again [aws-facts 4, VERIFIED]",
)
SNAPSHOTS_FIRST = rule(
    "ec2-recycle-bin-snapshots-first",
    "An image is restored from the Recycle Bin only when its snapshots are there [aws-facts 4, VERIFIED; code "
    "UNVERIFIED]",
)


def _restore_snapshot(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    snapshot_id = call.params["SnapshotId"]
    check_id(snapshot_id, "snap")
    found = ec2.snapshots.last(snapshot_id)
    kept = found is not None and (found.owner, found.region) in ec2.recycle_bins
    if found is None or not kept or _elsewhere(found, call) or ec2.snapshots.get(snapshot_id) is not None:
        raise not_found(snapshot_id)
    ec2.snapshots.put(found if ec2.on(SHARED_AGAIN) else replace(found, shared_with=frozenset()))
    return {"SnapshotId": snapshot_id, "OwnerId": found.owner, "State": found.state, "VolumeSize": found.size}


def _restore_image(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image_id = call.params["ImageId"]
    check_id(image_id, "ami")
    found = ec2.images.get(image_id)
    kept = found is not None and (found.owner, found.region) in ec2.recycle_bins
    if found is None or not kept or _elsewhere(found, call) or found.state != "deregistered":
        raise not_found(image_id)
    missing = [one for one in found.snapshots if ec2.snapshots.get(one) is None]
    if missing and ec2.on(SNAPSHOTS_FIRST):
        raise AwsError("InvalidSnapshot.NotFound", f"The snapshot {missing[0]} of {image_id} is not there.")
    launch = found.launch if ec2.on(SHARED_AGAIN) else frozenset[tuple[str, str]]()
    notices.image_state(
        ec2,
        ec2.images.put(replace(found, state="available", ended=None, launch=launch)),
        "available",
        call.request_id,
    )
    return {"Return": True}


def _elsewhere(found: Any, call: Call) -> bool:
    return (found.owner, found.region) != (call.caller.account, call.region)


OPERATIONS = {
    "RestoreSnapshotFromRecycleBin": Operation(_restore_snapshot, "SnapshotId"),
    "RestoreImageFromRecycleBin": Operation(_restore_image, "ImageId"),
}
