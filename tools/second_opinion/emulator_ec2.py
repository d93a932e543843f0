"""What ministack's EC2 lacks so that an AMI gets across accounts, and the events that EC2 would send.

As in ``emulator``: each patch has its reason beside it, and reaches into private names of one pinned release.
"""

# ruff: noqa: SLF001 - what the emulator lacks can only be patched in its private parts

from __future__ import annotations

import contextvars
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ministack.core.responses import get_account_id, get_region  # type: ignore[import-not-found]
from ministack.services import ec2, eventbridge  # type: ignore[import-not-found]

COPY_SECONDS = 1.5
"""How long a copy is pending: long enough to be seen so, and short enough for a test."""


def patch() -> None:
    """Apply all of them."""
    snapshots_name_their_key()
    shared_snapshots_are_seen()
    snapshots_are_copied_between_accounts()
    images_tell_what_they_are_billed_as()
    images_can_be_protected()
    images_are_events()
    tagging_an_image_is_an_event()


def emit(source: str, kind: str, resource: str, detail: Mapping[str, Any]) -> None:
    """Put an event of AWS itself on the default bus of the account and Region now spoken for."""
    entry = {"Source": source, "DetailType": kind, "Resources": [resource], "Detail": json.dumps(detail)}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def later(seconds: float, what: Callable[[], None]) -> None:
    """Do it after a while, for the same account and Region."""
    timer = threading.Timer(seconds, contextvars.copy_context().run, [what])
    timer.daemon = True
    timer.start()


# ---- Snapshots ------------------------------------------------------------------------------------------------------


def snapshots_name_their_key() -> None:
    """An encrypted snapshot does not say under which key: it gets its volume's, and shows it."""
    create, show = ec2._create_snapshot, ec2._snapshot_inner_xml

    def create_with_key(parameters: Any) -> Any:
        before = set(ec2._snapshots)
        answer = create(parameters)
        for ident in set(ec2._snapshots) - before:
            snapshot = ec2._snapshots[ident]
            snapshot["KmsKeyId"] = ec2._volumes[snapshot["VolumeId"]].get("KmsKeyId", "")
        return answer

    def show_with_key(snapshot: Mapping[str, Any]) -> str:
        key = snapshot.get("KmsKeyId")
        return str(show(snapshot)) + (f"<kmsKeyId>{key}</kmsKeyId>" if key else "")

    ec2._ACTION_MAP["CreateSnapshot"] = create_with_key
    ec2._snapshot_inner_xml = show_with_key
    keep_key = ec2._ACTION_MAP["CreateVolume"]

    def create_volume(parameters: Any) -> Any:
        before = set(ec2._volumes)
        answer = keep_key(parameters)
        for ident in set(ec2._volumes) - before:
            ec2._volumes[ident]["KmsKeyId"] = ec2._p(parameters, "KmsKeyId") or ""
        return answer

    ec2._ACTION_MAP["CreateVolume"] = create_volume


def readable(ident: str, region: str) -> Any:
    """The snapshot, if it is the caller's own or shared with the caller; None otherwise."""
    caller = get_account_id()
    for (owner, where, name), snapshot in ec2._snapshots.all_items():
        if name == ident and where == region:
            shared = [permission.get("UserId") for permission in snapshot.get("CreateVolumePermissions", ())]
            return snapshot if owner == caller or caller in shared else None
    return None


def shared_snapshots_are_seen() -> None:
    """DescribeSnapshots finds the caller's own only: one shared with the caller is shown as well, when asked for."""
    describe = ec2._ACTION_MAP["DescribeSnapshots"]

    def with_shared(parameters: Any) -> Any:
        asked = [
            *ec2._parse_member_list(parameters, "SnapshotId"),
            *ec2._parse_filters(parameters).get("snapshot-id", ()),
        ]
        owners = ec2._parse_member_list(parameters, "Owner")
        foreign = [ident for ident in asked if ident not in ec2._snapshots and readable(ident, get_region())]
        if not foreign or owners == ["self"]:
            return describe(parameters)
        items = "".join(
            f"<item>{ec2._snapshot_inner_xml(found)}</item>"
            for ident in asked
            if (found := readable(ident, get_region())) is not None
        )
        return ec2._xml(200, "DescribeSnapshotsResponse", f"<snapshotSet>{items}</snapshotSet>")

    ec2._ACTION_MAP["DescribeSnapshots"] = with_shared


def snapshots_are_copied_between_accounts() -> None:
    """CopySnapshot knows its own account's only, is done at once, and drops the key and the tags."""

    def copy(parameters: Any) -> Any:
        source_id = ec2._p(parameters, "SourceSnapshotId")
        source = readable(source_id, ec2._p(parameters, "SourceRegion") or get_region())
        if source is None:
            return ec2._error("InvalidSnapshot.NotFound", f"The snapshot '{source_id}' does not exist.", 400)
        ident, key = ec2._new_snapshot_id(), ec2._p(parameters, "KmsKeyId") or ""
        ec2._snapshots[ident] = {
            **{name: value for name, value in source.items() if name != "CreateVolumePermissions"},
            "SnapshotId": ident,
            "VolumeId": "vol-ffffffff",
            "OwnerId": get_account_id(),
            "Description": ec2._p(parameters, "Description") or "",
            "Encrypted": source["Encrypted"] or ec2._p(parameters, "Encrypted") == "true",
            "KmsKeyId": key,
            "State": "pending",
            "Progress": "0%",
            "StartTime": ec2._now_ts(),
        }
        ec2._parse_tag_specs(parameters, "snapshot", ident)
        later(COPY_SECONDS, lambda: complete(ident, source_id))
        return ec2._xml(200, "CopySnapshotResponse", f"<snapshotId>{ident}</snapshotId>{ec2._tag_set_xml(ident)}")

    def complete(ident: str, source: str) -> None:
        ec2._snapshots[ident] |= {"State": "completed", "Progress": "100%"}
        arn = f"arn:aws:ec2::{get_region()}:snapshot/"
        detail = {"event": "copySnapshot", "result": "succeeded", "cause": "", "request-id": ""}
        detail |= {"source": arn + source, "snapshot_id": arn + ident}
        emit("aws.ec2", "EBS Snapshot Notification", arn + ident, detail)

    ec2._ACTION_MAP["CopySnapshot"] = copy


# ---- Images ---------------------------------------------------------------------------------------------------------


def images_tell_what_they_are_billed_as() -> None:
    """DescribeImages says neither what an image is billed as nor what is encrypted: it is a plain Linux here."""
    describe = ec2._ACTION_MAP["DescribeImages"]

    def with_billing(parameters: Any) -> Any:
        status, headers, body = describe(parameters)
        text = body.decode("utf-8").replace(
            "<imageState>",
            "<platformDetails>Linux/UNIX</platformDetails><usageOperation>RunInstances</usageOperation><imageState>",
        )
        text = re.sub(
            r"<snapshotId>(snap-[0-9a-f]+)</snapshotId>",
            lambda found: found[0] + f"<encrypted>{encrypted(found[1])}</encrypted>",
            text,
        )
        return status, headers, text.encode("utf-8")

    def encrypted(ident: str) -> str:
        found = readable(ident, get_region())
        return "true" if found and found["Encrypted"] else "false"

    ec2._ACTION_MAP["DescribeImages"] = with_billing


def images_can_be_protected() -> None:
    """Deregistration protection is not known: it is stored, and shown."""
    describe = ec2._ACTION_MAP["DescribeImages"]

    def protect(parameters: Any) -> Any:
        ec2._images[ec2._p(parameters, "ImageId")]["DeregistrationProtection"] = "enabled-without-cooldown"
        shown = "<return>enabled-without-cooldown</return>"
        return ec2._xml(200, "EnableImageDeregistrationProtectionResponse", shown)

    def with_protection(parameters: Any) -> Any:
        status, headers, body = describe(parameters)

        def shown(found: re.Match[str]) -> str:
            set_to = (ec2._images.get(found[1]) or {}).get("DeregistrationProtection", "disabled")
            return f"{found[0]}<deregistrationProtection>{set_to}</deregistrationProtection>"

        text = re.sub("<imageId>(ami-[0-9a-f]+)</imageId>", shown, body.decode("utf-8"))
        return status, headers, text.encode("utf-8")

    ec2._ACTION_MAP["EnableImageDeregistrationProtection"] = protect
    ec2._ACTION_MAP["DescribeImages"] = with_protection


def images_are_events() -> None:
    """The emulator sends no events of EC2. The image is available at once, the event comes a little later."""
    register = ec2._ACTION_MAP["RegisterImage"]

    def with_event(parameters: Any) -> Any:
        before = set(ec2._images)
        answer = register(parameters)
        for ident in set(ec2._images) - before:
            later(COPY_SECONDS, partial(tell, ident))
        return answer

    def tell(ident: str) -> None:
        detail = {"RequestId": "", "ImageId": ident, "State": "available", "ErrorMessage": ""}
        emit("aws.ec2", "EC2 AMI State Change", f"arn:aws:ec2:{get_region()}::image/{ident}", detail)

    ec2._ACTION_MAP["RegisterImage"] = with_event


def tagging_an_image_is_an_event() -> None:
    """The emulator sends no events of tags, and refuses to let anybody else send them, as AWS does."""
    versions: dict[str, int] = {}

    def with_event(action: str) -> Callable[[Any], Any]:
        change = ec2._ACTION_MAP[action]

        def changed(parameters: Any) -> Any:
            answer = change(parameters)
            keys = [tag["Key"] for tag in ec2._parse_tags(parameters)]
            for ident in ec2._parse_member_list(parameters, "ResourceId"):
                if ident.startswith("ami-"):
                    versions[ident] = versions.get(ident, 0) + 1
                    tell(ident, keys, versions[ident])
            return answer

        return changed

    def tell(ident: str, keys: Sequence[str], version: int) -> None:
        tags = {tag["Key"]: tag.get("Value", "") for tag in ec2._tags.get(ident, [])}
        detail = {
            "changed-tag-keys": keys,
            "tags": tags,
            "service": "ec2",
            "resource-type": "image",
            "version": version,
        }
        emit("aws.tag", "Tag Change on Resource", f"arn:aws:ec2:{get_region()}::image/{ident}", detail)

    for action in ("CreateTags", "DeleteTags"):
        ec2._ACTION_MAP[action] = with_event(action)
