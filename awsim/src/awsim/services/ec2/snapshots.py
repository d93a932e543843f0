"""Snapshots: CreateSnapshot, DescribeSnapshots, DeleteSnapshot."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters, notices, pages, tags
from awsim.services.ec2.access import accounts_named, may_see, own_snapshot, visible
from awsim.services.ec2.errors import check_id, not_found
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Snapshot
from awsim.services.ec2.state import Ec2State

FEWER = rule(
    "ec2-inaccessible-snapshot-left-out",
    "DescribeSnapshots leaves out an id that the caller cannot access, but refuses one that does not exist "
    "[aws-facts 2, VERIFIED]",
)
SCOPED = rule(
    "ec2-describe-snapshots-scope",
    "OwnerIds and RestorableByUserIds narrow DescribeSnapshots; without them it shows all that the caller may restore "
    "[botocore ec2 model, DescribeSnapshots, VERIFIED]",
)
IN_USE = rule(
    "ec2-snapshot-in-use",
    "A snapshot of a registered image cannot be deleted: InvalidSnapshot.InUse [aws-facts 8, VERIFIED]",
)
DELETED_LATE = rule(
    "ec2-pending-snapshot-deleted-at-its-end",
    "Deleting a pending snapshot or copy takes effect only when it has finished [aws-facts, later reading, VERIFIED]",
)


def _create_snapshot(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    volume_id, account = call.params["VolumeId"], call.caller.account
    check_id(volume_id, "vol")
    volume = ec2.volumes.get(volume_id)
    if volume is None or volume.owner != account or volume.region != call.region:
        raise not_found(volume_id)
    if volume.state == "error":
        raise AwsError("IncorrectState", f"The volume '{volume_id}' is in state 'error'.")
    wanted = tags.at_creation(ec2, call, "snapshot")
    snapshot = ec2.snapshots.put(
        Ec2Snapshot(
            id=ec2.new_id("snap"),
            owner=account,
            region=call.region,
            volume=volume_id,
            size=volume.size,
            started=ec2.now,
            description=call.params.get("Description", ""),
            key=volume.key,
            ends=ec2.now + timedelta(seconds=ec2.pace.snapshot),
        )
    )
    tags.put_tags(ec2, account, call.region, snapshot.id, add=wanted)
    ec2.after(ec2.pace.snapshot, lambda: _created(ec2, snapshot.id), f"{snapshot.id} is complete")
    hidden = {"KmsKeyId", "DataEncryptionKeyId"}
    return {k: v for k, v in shown(ec2, snapshot, account, ec2.now).items() if k not in hidden} | {"Progress": ""}


def _created(ec2: Ec2State, snapshot_id: str) -> None:
    found = ec2.snapshots.get(snapshot_id)
    if found is not None:
        done = finish(ec2, found)
        notices.snapshot_created(ec2, done)


def finish(ec2: Ec2State, snapshot: Ec2Snapshot, why_not: str = "") -> Ec2Snapshot:
    """End a pending snapshot, as completed or in error; remove it if it was deleted meanwhile."""
    if why_not:
        ended = replace(snapshot, state="error", state_message=why_not)
    else:
        ended = replace(snapshot, state="completed", completed=ec2.now)
    ec2.snapshots.put(ended)
    if ended.doomed:
        _remove(ec2, ended)
    return ended


def _describe_snapshots(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    pages.no_pages_with(call, "SnapshotIds")
    at, account = ec2.moment(call), call.caller.account
    owners = accounts_named(call, "OwnerIds", {"amazon"})
    users = accounts_named(call, "RestorableByUserIds", {"all"})
    found = [s for s in _named(ec2, call, at) if _in_scope(s, owners, users) or not ec2.on(SCOPED)]
    listed = [shown(ec2, snapshot, account, at) for snapshot in found]
    part, token = pages.filtered(ec2, call, listed, lambda snapshot: str(snapshot["SnapshotId"]), FIELDS)
    return pages.answer("Snapshots", part, token)


def _named(ec2: Ec2State, call: Call, at: datetime) -> list[Ec2Snapshot]:
    """Return the snapshots that the call is about and its caller may see, as they were at a time."""
    if not call.params.get("SnapshotIds"):
        return visible(ec2, call, ec2.snapshots, at)
    found = []
    for snapshot_id in dict.fromkeys(call.params["SnapshotIds"]):
        check_id(snapshot_id, "snap")
        snapshot = ec2.snapshots.get(snapshot_id, at)
        if snapshot is None or snapshot.region != call.region:
            raise not_found(snapshot_id)
        if may_see(ec2, call.caller.account, snapshot):
            found.append(snapshot)
        elif not ec2.on(FEWER):
            raise not_found(snapshot_id)
    return found


def _in_scope(snapshot: Ec2Snapshot, owners: set[str], users: set[str]) -> bool:
    restorers = snapshot.shared_with | {snapshot.owner}
    owned = not owners or snapshot.owner in owners
    return owned and (not users or not restorers.isdisjoint(users))


def _delete_snapshot(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    snapshot = own_snapshot(ec2, call)
    if snapshot.doomed:
        return {}
    if (image := user_of(ec2, snapshot.id)) and ec2.on(IN_USE):
        raise AwsError("InvalidSnapshot.InUse", f"The snapshot {snapshot.id} is currently in use by {image}")
    if snapshot.state == "pending" and ec2.on(DELETED_LATE):
        ec2.snapshots.put(replace(snapshot, doomed=True))
    else:
        _remove(ec2, snapshot)
    return {}


def user_of(ec2: Ec2State, snapshot_id: str, other_than: str = "") -> str | None:
    """Return the id of a registered image that uses a snapshot, or None."""
    images = (image for image in ec2.images.all() if image.state != "deregistered" and image.id != other_than)
    return next((image.id for image in images if snapshot_id in image.snapshots), None)


def _remove(ec2: Ec2State, snapshot: Ec2Snapshot) -> None:
    ec2.snapshots.drop(snapshot.id)
    if (snapshot.owner, snapshot.region) not in ec2.recycle_bins:
        tags.forget(ec2, snapshot.id)


def shown(ec2: Ec2State, snapshot: Ec2Snapshot, account: str, at: datetime) -> dict[str, Any]:
    """Return a snapshot as DescribeSnapshots shows it to an account, as things were at a time."""
    found: dict[str, Any] = {
        "SnapshotId": snapshot.id,
        "OwnerId": snapshot.owner,
        "VolumeId": snapshot.volume,
        "VolumeSize": snapshot.size,
        "State": snapshot.state,
        "Progress": f"{snapshot.percent(at)}%",
        "StartTime": snapshot.started,
        "Description": snapshot.description,
        "Encrypted": snapshot.key is not None,
        "StorageTier": snapshot.tier,
        **tags.shown(ec2, ec2.tags_on(account, snapshot.id, at)),
    }
    if snapshot.key is not None:
        found["KmsKeyId"] = snapshot.key
        found["DataEncryptionKeyId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, snapshot.id))
    if snapshot.state_message:
        found["StateMessage"] = snapshot.state_message
    if snapshot.origin is not None:
        found["TransferType"] = "time-based" if snapshot.origin.minutes else "standard"
        if snapshot.origin.minutes:
            found["CompletionDurationMinutes"] = snapshot.origin.minutes
    if snapshot.completed is not None:
        found["CompletionTime"] = snapshot.completed
        found["FullSnapshotSizeInBytes"] = snapshot.size << 30
    return found


FIELDS: filters.Fields = {
    "description": filters.member("Description"),
    "encrypted": filters.member("Encrypted"),
    "owner-id": filters.member("OwnerId"),
    "progress": filters.member("Progress"),
    "snapshot-id": filters.member("SnapshotId"),
    "start-time": lambda snapshot: (snapshot["StartTime"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),),
    "status": filters.member("State"),
    "storage-tier": filters.member("StorageTier"),
    "transfer-type": filters.member("TransferType"),
    "volume-id": filters.member("VolumeId"),
    "volume-size": filters.member("VolumeSize"),
}
OPERATIONS = {
    "CreateSnapshot": Operation(_create_snapshot, "VolumeId Description TagSpecifications"),
    "DescribeSnapshots": Operation(
        _describe_snapshots, "SnapshotIds OwnerIds RestorableByUserIds Filters MaxResults NextToken"
    ),
    "DeleteSnapshot": Operation(_delete_snapshot, "SnapshotId"),
}
