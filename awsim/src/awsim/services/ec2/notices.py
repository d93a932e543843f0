"""The events that EC2 sends to an account's default bus, in the form of AWS's samples; best effort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from awsim.rules import rule
from awsim.services.ec2.errors import kind_of
from awsim.services.ec2.records import Ec2Image, Ec2Snapshot
from awsim.services.ec2.state import Ec2State

COPY_EVENT = rule(
    "ec2-copy-event",
    "The end of a copy is told to the account that made it, in its Region, as EBS Snapshot Notification with "
    "event copySnapshot; ARNs as the samples spell them "
    "[aws-facts 1b, VERIFIED; that only the copier gets it UNVERIFIED]",
)
IMAGE_EVENT = rule(
    "ec2-image-event",
    "An image that becomes available, fails, is disabled or is deregistered is told as EC2 AMI State Change "
    "[aws-facts 1c, VERIFIED]",
)
TAG_EVENT = rule(
    "ec2-tag-event",
    "A change of tags is told as Tag Change on Resource, with the changed keys, all tags, and a version that rises by "
    "one; tags given at creation too; nothing is told if nothing changed "
    "[aws-facts 1a, VERIFIED; for images, at creation and the last UNVERIFIED]",
)
SHARE_EVENT = rule(
    "ec2-share-event",
    "An account that a snapshot is shared with is told so, with the sharing account's number as source "
    "[aws-facts 1b, VERIFIED]",
)
SNAPSHOT_NOTICE = "EBS Snapshot Notification"


def sample_arn(region: str, snapshot: str) -> str:
    """Return a snapshot's ARN as the samples of create, copy and share events have it: account and Region swapped."""
    return f"arn:aws:ec2::{region}:snapshot/{snapshot}"


def arn(region: str, owner: str, resource: str) -> str:
    """Return the canonical ARN: without an account for snapshots and images [aws-facts 2, VERIFIED]."""
    kind = kind_of(resource)
    return f"arn:aws:ec2:{region}:{'' if kind in {'snapshot', 'image'} else owner}:{kind}/{resource}"


def stamp(moment: datetime) -> str:
    """Return a time in the format of events."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def snapshot_created(ec2: Ec2State, snapshot: Ec2Snapshot) -> None:
    """Send the event that a snapshot of a volume is complete."""
    source = f"arn:aws:ec2::{snapshot.region}:volume/{snapshot.volume}"
    _tell_snapshot(ec2, snapshot, {"event": "createSnapshot", "result": "succeeded", "cause": "", "source": source})


def snapshot_copied(ec2: Ec2State, snapshot: Ec2Snapshot, cause: str = "") -> None:
    """Send the event that a copy has ended; ``cause``: why it failed."""
    if not ec2.on(COPY_EVENT) or snapshot.origin is None:
        return
    source = sample_arn(snapshot.origin.region, snapshot.origin.snapshot)
    detail = {"event": "copySnapshot", "result": "failed" if cause else "succeeded", "cause": cause, "source": source}
    timed = {"transferType": "time-based", "completionDurationStartTime": stamp(snapshot.started)}
    how = timed if snapshot.origin.minutes else {"transferType": "standard"}
    _tell_snapshot(ec2, snapshot, detail | ({} if cause else {"incremental": "false", **how}))


def snapshot_shared(ec2: Ec2State, snapshot: Ec2Snapshot, account: str) -> None:
    """Send an account the event that a snapshot was shared with it."""
    if ec2.on(SHARE_EVENT):
        detail = {"event": "shareSnapshot", "result": "succeeded", "cause": "", "source": snapshot.owner}
        _tell_snapshot(ec2, snapshot, detail, account)


def _tell_snapshot(ec2: Ec2State, snapshot: Ec2Snapshot, detail: Mapping[str, str], account: str = "") -> None:
    what = sample_arn(snapshot.region, snapshot.id)
    times = {"startTime": stamp(snapshot.started), "endTime": stamp(ec2.now)}
    body = {**detail, **times, "request-id": "", "snapshot_id": what}
    ec2.events.emit(account or snapshot.owner, snapshot.region, "aws.ec2", SNAPSHOT_NOTICE, [what], body)


def image_state(ec2: Ec2State, image: Ec2Image, state: str, request_id: str, error: str = "") -> None:
    """Send the event that an image is available, failed, disabled or deregistered."""
    if ec2.on(IMAGE_EVENT):
        detail = {"RequestId": request_id, "ImageId": image.id, "State": state, "ErrorMessage": error}
        what = [arn(image.region, image.owner, image.id)]
        ec2.events.emit(image.owner, image.region, "aws.ec2", "EC2 AMI State Change", what, detail)


def tags_changed(
    ec2: Ec2State,
    account: str,
    region: str,
    resource: str,
    changed: Sequence[str],
    tags: Mapping[str, str],
    version: int,
) -> None:
    """Send the event that tags were added, changed or removed."""
    if not ec2.on(TAG_EVENT):
        return
    detail = {
        "changed-tag-keys": sorted(changed),
        "tags": dict(tags),
        "service": "ec2",
        "resource-type": kind_of(resource),
        "version": version,
    }
    what = [arn(region, account, resource)]
    ec2.events.emit(account, region, "aws.tag", "Tag Change on Resource", what, detail)
