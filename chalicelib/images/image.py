"""The source image, as EC2 describes it: read once and kept on a record.

``preflight`` says whether it can be promoted, and ``register`` makes the request for the copy.
docs/reference/what-is-copied.md says what each member of EC2's answer means for the copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.engine.faults import Fault

PROVISIONED_IOPS = frozenset({"gp3", "io1", "io2"})
"""Volume types with settable Iops; for the others EC2 shows a value that it derives from the size."""


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One block device mapping. Sizes are GiB, throughput is MiB/s; None: EC2 shows no value.

    ``placement`` names the Outpost or Zone to which the mapping is bound.
    """

    name: str
    no_device: bool = False
    virtual_name: str | None = None
    snapshot_id: str | None = None
    volume_size: int | None = None
    volume_type: str | None = None
    iops: int | None = None
    throughput: int | None = None
    delete_on_termination: bool | None = None
    encrypted: bool | None = None
    card_index: int | None = None
    placement: str | None = None
    initialization_rate: int | None = None

    @property
    def kind(self) -> Literal["no-device", "ephemeral", "snapshot", "blank"]:
        """The kind of device: removed, instance store, volume from a snapshot, or empty volume."""
        if self.no_device:
            return "no-device"
        if self.virtual_name is not None:
            return "ephemeral"
        return "blank" if self.snapshot_id is None else "snapshot"


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """One snapshot of the image. ``key`` is the ARN of its KMS key, None if it is not encrypted; size in GiB."""

    id: str
    owner: str
    state: str
    volume_size: int
    state_message: str | None = None
    encrypted: bool = False
    key: str | None = None
    description: str | None = None
    storage_tier: str | None = None
    sse_type: str | None = None
    placement: str | None = None
    restored_for_a_time: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image as EC2 describes it, without the members that the copy deliberately does not get.

    Texts are EC2's own; None: EC2 shows none. ``uefi_data`` is base64. ``snapshots`` are those that DescribeSnapshots
    returned, which may be fewer than the mappings name.
    """

    id: str
    owner: str
    state: str
    name: str | None = None
    state_reason: str | None = None
    description: str | None = None
    architecture: str | None = None
    virtualization_type: str | None = None
    hypervisor: str | None = None
    image_type: str | None = None
    root_device_type: str | None = None
    root_device_name: str | None = None
    platform: str | None = None
    platform_details: str | None = None
    usage_operation: str | None = None
    boot_mode: str | None = None
    tpm_support: str | None = None
    imds_support: str | None = None
    sriov_net_support: str | None = None
    ena_support: bool = False
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    deprecation_time: str | None = None
    creation_date: str | None = None
    uefi_data: str | None = None
    product_codes: tuple[str, ...] = ()
    watermarks: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[BlockDevice, ...] = ()
    snapshots: tuple[SourceSnapshot, ...] = ()


def attributes_to_read(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attributes to read with DescribeImageAttribute, by DescribeImages' answer.

    DescribeImages lacks only the UEFI data, and only an image that can boot by UEFI has some: one that says so, one
    with a TPM, and one for Graviton that says nothing, as UEFI is the default there [aws-facts 5, VERIFIED].
    """
    boot_mode = image.get("BootMode") or ("uefi" if image.get("Architecture") == "arm64" else "legacy-bios")
    return () if boot_mode == "legacy-bios" and not image.get("TpmSupport") else ("uefiData",)


def read_image(
    image: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]], snapshots: Sequence[Mapping[str, Any]]
) -> SourceImage:
    """Build an image from EC2's answers in boto3's shape.

    ``image``: an item of ``Images``; ``snapshots``: items of ``Snapshots``. ``attributes`` maps a name from
    ``attributes_to_read`` to DescribeImageAttribute's answer. Raises ValueError if one is missing: an attribute that
    was not read must not look like one that the image lacks.
    """
    unread = [name for name in attributes_to_read(image) if name not in attributes]
    if unread:
        raise ValueError(f"{image['ImageId']}: attributes not read: {', '.join(unread)}")
    return SourceImage(
        **{attribute: image.get(member) for member, attribute in IMAGE_TEXTS.items()},
        id=image["ImageId"],
        owner=image["OwnerId"],
        state=image["State"],
        ena_support=bool(image.get("EnaSupport")),
        state_reason=image.get("StateReason", {}).get("Message"),
        uefi_data=attributes.get("uefiData", {}).get("UefiData", {}).get("Value") or None,
        product_codes=tuple(
            f"{code['ProductCodeId']} ({code.get('ProductCodeType', 'of unknown type')})"
            for code in image.get("ProductCodes", ())
        ),
        watermarks=tuple(sorted(mark["WatermarkKey"] for mark in image.get("ImageWatermarks", ()))),
        instance_types=_instance_types(image.get("InstanceTypeSpecification", {})),
        tags=tags_of(image),
        devices=tuple(sorted(map(_device, image.get("BlockDeviceMappings", ())), key=lambda device: device.name)),
        snapshots=tuple(sorted(map(_snapshot, snapshots), key=lambda snapshot: snapshot.id)),
    )


def snapshots_to_copy(image: SourceImage) -> tuple[str, ...]:
    """Return the ids of the snapshots that the mappings name, each once, in order of device name."""
    return tuple(dict.fromkeys(device.snapshot_id for device in image.devices if device.snapshot_id is not None))


def unknown_values(image: SourceImage) -> tuple[Fault, ...]:
    """Return a fault for each value that this version does not know, and so cannot copy safely."""
    return tuple(
        Fault(
            "source-value-unknown",
            where,
            f"{shape}.{member} is {value!r}; this version knows {', '.join(known)}.",
            "Upgrade ami-promoter and tag the image again. If it is the newest version, report the value as an issue.",
        )
        for where, shape, member, value in _values(image)
        if value is not None and (known := KNOWN_VALUES[shape].get(member)) and value not in known
    )


IMAGE_TEXTS: Mapping[str, str] = {
    "Name": "name",
    "Description": "description",
    "Architecture": "architecture",
    "VirtualizationType": "virtualization_type",
    "Hypervisor": "hypervisor",
    "ImageType": "image_type",
    "RootDeviceType": "root_device_type",
    "RootDeviceName": "root_device_name",
    "Platform": "platform",
    "PlatformDetails": "platform_details",
    "UsageOperation": "usage_operation",
    "BootMode": "boot_mode",
    "TpmSupport": "tpm_support",
    "ImdsSupport": "imds_support",
    "SriovNetSupport": "sriov_net_support",
    "KernelId": "kernel_id",
    "RamdiskId": "ramdisk_id",
    "DeprecationTime": "deprecation_time",
    "CreationDate": "creation_date",
}
"""Members of DescribeImages' answer that are plain texts, and the field that holds each."""

KNOWN_VALUES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Image": {
        "Architecture": ("i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"),
        "BootMode": ("legacy-bios", "uefi", "uefi-preferred"),
        "Hypervisor": ("ovm", "xen"),
        "ImageType": ("machine", "kernel", "ramdisk"),
        "ImdsSupport": ("v2.0",),
        "Platform": ("Windows", "windows"),
        "RootDeviceType": ("ebs", "instance-store"),
        "SriovNetSupport": ("simple",),
        "State": ("pending", "available", "invalid", "deregistered", "transient", "failed", "error", "disabled"),
        "TpmSupport": ("v2.0",),
        "VirtualizationType": ("hvm", "paravirtual"),
    },
    "EbsBlockDevice": {"VolumeType": ("standard", "io1", "io2", "gp2", "sc1", "st1", "gp3")},
    "Snapshot": {
        "SseType": ("sse-ebs", "sse-kms", "none"),
        "State": ("pending", "completed", "error", "recoverable", "recovering"),
        "StorageTier": ("archive", "standard"),
    },
}
"""Shape and member of EC2's API -> the values that this version knows. Another one stops the promotion."""


def _values(image: SourceImage) -> Iterator[tuple[str, str, str, str | None]]:
    """Every value with a place (where, shape, member, value) that ``KNOWN_VALUES`` might have."""
    yield image.id, "Image", "State", image.state
    for member, attribute in IMAGE_TEXTS.items():
        yield image.id, "Image", member, getattr(image, attribute)
    for device in image.devices:
        yield f"{image.id} {device.name}", "EbsBlockDevice", "VolumeType", device.volume_type
    for snapshot in image.snapshots:
        yield snapshot.id, "Snapshot", "State", snapshot.state
        yield snapshot.id, "Snapshot", "StorageTier", snapshot.storage_tier
        yield snapshot.id, "Snapshot", "SseType", snapshot.sse_type


def _device(value: Mapping[str, Any]) -> BlockDevice:
    ebs = value.get("Ebs", {})
    return BlockDevice(
        name=value["DeviceName"],
        no_device="NoDevice" in value,
        virtual_name=value.get("VirtualName"),
        snapshot_id=ebs.get("SnapshotId"),
        volume_size=ebs.get("VolumeSize"),
        volume_type=ebs.get("VolumeType"),
        iops=ebs.get("Iops"),
        throughput=ebs.get("Throughput"),
        delete_on_termination=ebs.get("DeleteOnTermination"),
        encrypted=ebs.get("Encrypted"),
        card_index=ebs.get("EbsCardIndex"),
        placement=ebs.get("OutpostArn") or ebs.get("AvailabilityZone") or ebs.get("AvailabilityZoneId"),
        initialization_rate=ebs.get("VolumeInitializationRate"),
    )


def _snapshot(value: Mapping[str, Any]) -> SourceSnapshot:
    return SourceSnapshot(
        id=value["SnapshotId"],
        owner=value["OwnerId"],
        state=value["State"],
        volume_size=value["VolumeSize"],
        state_message=value.get("StateMessage"),
        encrypted=bool(value.get("Encrypted")),
        key=value.get("KmsKeyId"),
        description=value.get("Description"),
        storage_tier=value.get("StorageTier"),
        sse_type=value.get("SseType"),
        placement=value.get("OutpostArn") or value.get("AvailabilityZone"),
        restored_for_a_time="RestoreExpiryTime" in value,
        tags=tags_of(value),
    )


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Turn AWS's list of tags into a mapping."""
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}


def _instance_types(specification: Mapping[str, Any]) -> tuple[str, ...]:
    supported = (item["InstanceType"] for item in specification.get("SupportedInstanceTypes", ()))
    unsupported = (f"not {item['InstanceType']}" for item in specification.get("UnsupportedInstanceTypes", ()))
    return (*sorted(supported), *sorted(unsupported))
