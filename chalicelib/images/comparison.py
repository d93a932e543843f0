"""Compares the copy with its source, member by member.

It reads EC2's answer for the copy as it reads the source's, and not the request that made the copy, so that it finds a
mistake in the request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Container, Iterator, Mapping
from typing import Any

from chalicelib.engine.faults import Fault
from chalicelib.images.image import (
    IMAGE_TEXTS,
    PROVISIONED_IOPS,
    BlockDevice,
    SourceImage,
    attributes_to_read,
    read_image,
)

GP3_DEFAULTS = {"Iops": 3000, "Throughput": 125}
CHANGEABLE = (
    *("Description", "ImdsSupport", "DeprecationTime", "InstanceTypeSpecification", "ImageWatermarks"),
    *("CreationDate", "Public"),
)
"""What DescribeImages shows of a copy that its account can change after it was made, and its age.

Tags, launch permissions and protection can change, too; EC2 changes no other attribute [aws-facts 4, VERIFIED].
"""


def attributes_to_compare(image: SourceImage) -> tuple[str, ...]:
    """Return the attributes of the copy to read with DescribeImageAttribute: none, unless the source has UEFI data."""
    return ("uefiData",) if image.uefi_data else ()


def copies_by_device(image: SourceImage, registered: Mapping[str, Any]) -> dict[str, str]:
    """Return device name -> copy, for CopyImage, whose copies only their devices tell apart."""
    found = {
        mapping["DeviceName"]: mapping.get("Ebs", {}).get("SnapshotId", "")
        for mapping in registered.get("BlockDeviceMappings", ())
    }
    return {device.name: found.get(device.name, "") for device in image.devices if device.snapshot_id}


def differences(
    image: SourceImage,
    registered: Mapping[str, Any],
    attributes: Mapping[str, Mapping[str, Any]],
    copies: Mapping[str, str],
    *,
    name: str,
    tags: Mapping[str, str],
) -> tuple[Fault, ...]:
    """Return how the copy differs from its source, one fault for each member but for the deprecation date, set later.

    ``registered`` is DescribeImages' answer for the copy, and ``attributes`` the answers for ``attributes_to_compare``.
    ``copies`` are by source snapshot, or by device name if CopyImage made them (``copies_by_device``); without one the
    image's own snapshot is a difference. ``name`` and ``tags`` are those that the copy must have; further tags do not
    matter.
    """
    needless: dict[str, Mapping[str, Any]] = {
        attribute: {} for attribute in attributes_to_read(registered) if not image.uefi_data
    }
    result = read_image(registered, {**needless, **attributes}, ())
    return tuple(
        Fault(
            "copy-differs",
            f"{result.id} {member}",
            f"It is {shown(found)} and should be {shown(wanted)}, for a copy of {image.id}.",
            "The copy is not the same image, and must not be used. Tag the source again for another try; if it differs "
            "again, report it as an issue.",
        )
        for member, wanted, found in (
            *_image_members(image, result, name),
            *((f"Tags[{key}]", value, result.tags.get(key)) for key, value in sorted(tags.items())),
            *_device_members(image, result, copies),
        )
        if wanted != found
    )


_Compared = Iterator[tuple[str, Any, Any]]
"""Member, wanted value, found value."""

_NOT_THE_SAME_TEXT = ("Name", "Description", "DeprecationTime", "CreationDate")
"""Texts of an image that are compared in another way, or are a copy's own."""


def _image_members(image: SourceImage, result: SourceImage, name: str) -> _Compared:
    yield "Name", name, result.name
    yield "State", "available", result.state
    yield "Description", image.description or None, result.description or None
    for member, attribute in IMAGE_TEXTS.items():
        if member not in _NOT_THE_SAME_TEXT:
            yield member, getattr(image, attribute), getattr(result, attribute)
    yield "EnaSupport", image.ena_support, result.ena_support
    yield "UefiData", _decoded(image.uefi_data), _decoded(result.uefi_data)
    yield "ProductCodes", image.product_codes, result.product_codes
    yield "ImageWatermarks", *watermarks(image, result.watermarks)
    yield "InstanceTypeSpecification", image.instance_types, result.instance_types


def _device_members(image: SourceImage, result: SourceImage, copies: Mapping[str, str]) -> _Compared:
    sizes = {snapshot.id: snapshot.volume_size for snapshot in image.snapshots}
    wanted = {device.name: device for device in image.devices}
    found = {device.name: device for device in result.devices}
    for name in sorted({*wanted, *found}):
        where = f"BlockDeviceMappings[{name}]"
        if name not in wanted or name not in found:
            yield where, "a mapping" if name in wanted else None, "a mapping" if name in found else None
            continue
        size = sizes.get(wanted[name].snapshot_id or "")
        here = _normal(found[name], size)
        there = _normal(wanted[name], size) | _of_the_copy(wanted[name], found[name], copies)
        for member in sorted({*there, *here}):
            yield f"{where}.{member}", there.get(member), here.get(member)


def watermarks(image: SourceImage, found: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the source's watermarks, and which of them the copy has; its own account may attach others."""
    return image.watermarks, tuple(mark for mark in image.watermarks if mark in found)


def _normal(device: BlockDevice, snapshot_size: int | None) -> dict[str, Any]:
    """Return a mapping's members with EC2's defaults filled in."""
    match device.kind:
        case "no-device":
            return {"NoDevice": True}
        case "ephemeral":
            return {"VirtualName": device.virtual_name}
        case "snapshot" | "blank":
            pass
    shown = {
        "SnapshotId": device.snapshot_id,
        "VolumeSize": device.volume_size or snapshot_size,
        "VolumeType": device.volume_type,
        "DeleteOnTermination": device.delete_on_termination,
        "EbsCardIndex": device.card_index or 0,
        "VolumeInitializationRate": device.initialization_rate,
        "Encrypted": bool(device.encrypted),
    }
    if device.volume_type in PROVISIONED_IOPS:
        shown["Iops"] = device.iops or (GP3_DEFAULTS["Iops"] if device.volume_type == "gp3" else None)
    if device.volume_type == "gp3":
        shown["Throughput"] = device.throughput or GP3_DEFAULTS["Throughput"]
    return {f"Ebs.{member}": value for member, value in shown.items()}


def _of_the_copy(source: BlockDevice, result: BlockDevice, copies: Mapping[str, str]) -> dict[str, Any]:
    """Return a mapping of the source as the copy must have it: with its own snapshot and encryption.

    A blank volume may be encrypted although the source's is not: the target account may encrypt everything.
    """
    match source.kind:
        case "snapshot":
            unknown = f"a copy of {source.snapshot_id} that this delivery has made"
            copy = copies.get(source.name, copies.get(source.snapshot_id or "", unknown))
            return {"Ebs.SnapshotId": copy, "Ebs.Encrypted": True}
        case "blank":
            return {"Ebs.Encrypted": bool(source.encrypted or result.encrypted)}
        case _:
            return {}


def _decoded(uefi_data: str | None) -> bytes | None:
    """Return the content of UEFI data, as base64 may break lines anywhere."""
    if uefi_data is None:
        return None
    try:
        return base64.b64decode(uefi_data)
    except binascii.Error:
        return uefi_data.encode()


def shown(value: Any) -> str:
    """Return the value of a member for a message."""
    if value is None or value == ():
        return "not there"
    if isinstance(value, bytes):
        return f"{len(value)} bytes beginning {value[:8].hex()}"
    return str(value)
