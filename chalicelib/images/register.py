"""The copy's tags, and the request that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.images.image import PROVISIONED_IOPS, BlockDevice, SourceImage, SourceSnapshot

OUR_PREFIX = "ami-promoter:"
HUB_TAG = f"{OUR_PREFIX}hub"
DELIVERY_TAG = f"{OUR_PREFIX}delivery"
ATTEMPT_TAG = f"{OUR_PREFIX}attempt"
SOURCE_IMAGE_TAG = f"{OUR_PREFIX}source-image"
FAMILY_TAG = f"{OUR_PREFIX}family"
SOURCE_CREATED_TAG = f"{OUR_PREFIX}source-created"
"""The source's creation date, as EC2 writes it. With the family's it lets a target's administrator see what is old."""


def copied_tags(tags: Mapping[str, str], trigger_tag: str) -> dict[str, str]:
    """Return the source's tags that a copy gets.

    Not the trigger tag (it would promote the copy), ``aws:`` tags (AWS reserves them), and the service's of an earlier
    promotion. In any letters: IAM's conditions do not tell them apart [aws-facts, Added November 2026, VERIFIED].
    """
    return {
        key: value
        for key, value in tags.items()
        if key != trigger_tag and not key.lower().startswith(("aws:", OUR_PREFIX))
    }


def result_tags(
    image: SourceImage | SourceSnapshot,
    delivery_tags: Mapping[str, str],
    extra: Mapping[str, str],
    trigger_tag: str,
    carried: Sequence[str] = ("*",),
) -> dict[str, str]:
    """Return all tags of the copy of an image or a snapshot: the source's, the target's ``extra``, and the service's.

    ``carried``: the keys of the source's tags that the target accepts; one that ends in ``*`` means all that begin so.
    """
    theirs = copied_tags(image.tags, trigger_tag)
    let_in = {key: value for key, value in theirs.items() if any(_means(one, key) for one in carried)}
    return {**let_in, **extra, **delivery_tags}


def _means(written: str, key: str) -> bool:
    return key.startswith(written[:-1]) if written.endswith("*") else key == written


def request(image: SourceImage, copies: Mapping[str, str], name: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of RegisterImage for an image without ``preflight.source_faults``.

    ``copies`` maps the id of each of ``image.snapshots_to_copy`` to its copy's; KeyError if one is missing. What the
    source lacks is left out, so that EC2 decides as it did for the source.
    """
    pairs = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    wanted: dict[str, Any] = {
        "Name": name,
        "Description": image.description,
        "Architecture": image.architecture,
        "VirtualizationType": image.virtualization_type,
        "RootDeviceName": image.root_device_name,
        "BootMode": image.boot_mode,
        "TpmSupport": image.tpm_support,
        "ImdsSupport": image.imds_support,
        "SriovNetSupport": image.sriov_net_support,
        "EnaSupport": image.ena_support or None,
        "UefiData": image.uefi_data,
        "BlockDeviceMappings": [device_request(device, copies) for device in image.devices],
        "TagSpecifications": [{"ResourceType": "image", "Tags": pairs}] if pairs else [],
    }
    return {key: value for key, value in wanted.items() if value not in (None, "", [])}


def device_request(device: BlockDevice, copies: Mapping[str, str]) -> dict[str, Any]:
    """Return the mapping that asks EC2 for such a device; ``copies``: source snapshot -> its copy."""
    match device.kind:
        case "no-device":
            return {"DeviceName": device.name, "NoDevice": ""}
        case "ephemeral":
            return {"DeviceName": device.name, "VirtualName": device.virtual_name}
        case "snapshot" | "blank":
            pass
    ebs = {
        "SnapshotId": None if device.snapshot_id is None else copies[device.snapshot_id],
        "VolumeSize": device.volume_size,
        "VolumeType": device.volume_type,
        "DeleteOnTermination": device.delete_on_termination,
        "Iops": device.iops if device.volume_type in PROVISIONED_IOPS else None,
        "Throughput": device.throughput if device.volume_type == "gp3" else None,
        "EbsCardIndex": device.card_index or None,
        # Refused beside a snapshot id whatever its value, and false by default [aws-facts 5, VERIFIED].
        "Encrypted": True if device.kind == "blank" and device.encrypted else None,
    }
    return {"DeviceName": device.name, "Ebs": {key: value for key, value in ebs.items() if value is not None}}
