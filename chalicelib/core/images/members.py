"""What happens to each member of an image: mapped, compared, refused or dropped, each with its reason.

The copy is the image. So ``MEMBERS`` has every member that the pinned SDK knows of an image, its attributes and its
snapshots; a test compares the table with the SDK's model and fails when the SDK has a member or a value that is not
here. (The service cannot see that at run time: the SDK silently drops what its model does not know.)

With CopyImage, EC2 itself copies what is ``MAPPED`` here, and the comparison is the same. It can copy some of what is
``REFUSED``: ``preflight.method`` decides.

``docs/reference/what-is-copied.md`` is written from this table. Its sources are the EC2 API model 2016-11-15 in
botocore 1.44.8, and sections 2, 3, 5 and 8 of ``docs/reference/aws-facts.md``, cited as [aws-facts N].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    """What the service does with a member of an image."""

    MAPPED = "mapped"
    """Set on the copy, then compared with the source."""
    COMPARED = "compared"
    """Cannot be set; EC2 must choose the same value, or the copy is discarded."""
    REFUSED = "refused"
    """Stops the promotion before anything is opened: if present, or at the values listed as refused."""
    DROPPED = "dropped"
    """Deliberately not carried over; an unknown value still stops the promotion where values are listed."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of one shape of the EC2 API.

    ``values`` lists the values that are known; empty means any. A value of a member with a list that is not on it stops
    the promotion. ``refused`` are known values that stop it too, each by a check of its own in ``preflight``.
    """

    name: str
    treatment: Treatment
    why: str
    values: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def known_values(shape: str, name: str) -> tuple[str, ...]:
    """The values that a member may have; empty means any. KeyError if the table does not know the member."""
    return MEMBERS[shape][name].values


def _shape(*members: Member) -> dict[str, Member]:
    return {member.name: member for member in members}


def _mapped(name: str, why: str, *values: str, refused: tuple[str, ...] = ()) -> Member:
    return Member(name, Treatment.MAPPED, why, values, refused)


def _compared(name: str, why: str, *values: str, refused: tuple[str, ...] = ()) -> Member:
    return Member(name, Treatment.COMPARED, why, values, refused)


def _refused(name: str, why: str, *values: str, refused: tuple[str, ...] = ()) -> Member:
    return Member(name, Treatment.REFUSED, why, values, refused)


def _dropped(name: str, why: str, *values: str) -> Member:
    return Member(name, Treatment.DROPPED, why, values)


_BOOT_MODES = ("legacy-bios", "uefi", "uefi-preferred")
_ATTRIBUTE = "Read from DescribeImages, which returns the same."
_LOCAL_ONLY = "An image on an Outpost, or tied to one Zone, cannot be made elsewhere by copying its snapshots."
_WATERMARK = "Part of a watermark; see Image.ImageWatermarks."
_SCAN = "Part of a scan's result; Amazon Inspector scans the copy for its owner."
_INSTANCE_TYPES = "Part of the instance type specification; an image with one is refused."

MEMBERS: Mapping[str, Mapping[str, Member]] = {
    "Image": _shape(
        _mapped(
            "Architecture",
            "RegisterImage assumes i386 by default [aws-facts 5].",
            "i386",
            "x86_64",
            "arm64",
            "x86_64_mac",
            "arm64_mac",
        ),
        _mapped("BlockDeviceMappings", "By device name, each with its snapshot's copy; see BlockDeviceMapping."),
        _mapped(
            "BootMode",
            "Nothing is inherited from a snapshot; left out when the source has none, for then the "
            "instance type decides [aws-facts 5].",
            *_BOOT_MODES,
        ),
        _mapped(
            "DeprecationTime",
            "Set by EnableImageDeprecation after registering. EC2 takes no date in the past, so a "
            "source already deprecated gives a copy deprecated as soon as EC2 allows [aws-facts 8].",
        ),
        _mapped("Description", "As it is."),
        _mapped("EnaSupport", "Must be passed, or Nitro instance types refuse to launch the copy [aws-facts 5]."),
        _mapped("ImdsSupport", "Nothing is inherited from a snapshot [aws-facts 5].", "v2.0"),
        _mapped(
            "Name",
            "By the target's name template; the default ends in the source's id, as names are unique per "
            "account and Region.",
        ),
        _mapped("RootDeviceName", "As it is; its mapping must be an EBS volume made from a snapshot."),
        _mapped(
            "SriovNetSupport",
            "Nothing is inherited from a snapshot; cannot be switched off once on [aws-facts 5].",
            "simple",
        ),
        _mapped(
            "Tags",
            "All but the trigger tag (it would promote the copy), aws: tags (reserved) and ami-promoter: tags of an "
            "earlier promotion; the service's are added. More than 50 together are refused.",
        ),
        _mapped(
            "TpmSupport",
            "Can be set at registration only; together with uefi-preferred RegisterImage cannot make "
            "the image: it goes by CopyImage, or is refused [aws-facts 5].",
            "v2.0",
        ),
        _mapped(
            "VirtualizationType",
            "RegisterImage assumes paravirtual by default. Paravirtual images are refused: "
            "they need kernel ids of their Region, and only retired instance types run them.",
            "hvm",
            "paravirtual",
            refused=("paravirtual",),
        ),
        _compared("Hypervisor", "EC2 sets it; ovm is not supported by EC2.", "ovm", "xen", refused=("ovm",)),
        _compared(
            "ImageType",
            "Only machine images are promoted.",
            "machine",
            "kernel",
            "ramdisk",
            refused=("kernel", "ramdisk"),
        ),
        _compared(
            "PlatformDetails",
            "RegisterImage derives the licence from metadata on the snapshots, if it survived; "
            "so all but Linux/UNIX goes by CopyImage or is refused, and the copy must show the same [aws-facts 5].",
        ),
        _compared(
            "RootDeviceType",
            "An instance-store root has no snapshot to copy.",
            "ebs",
            "instance-store",
            refused=("instance-store",),
        ),
        _compared(
            "State",
            "The source must be available; the copy is compared when it is available.",
            "pending",
            "available",
            "invalid",
            "deregistered",
            "transient",
            "failed",
            "error",
            "disabled",
            refused=("invalid", "deregistered", "transient", "failed", "error", "disabled"),
        ),
        _compared("UsageOperation", "The billing code; treated as PlatformDetails."),
        _refused(
            "InstanceTypeSpecification",
            "RegisterImage cannot set which instance types an image is for, and a copy "
            "without it could be launched on types the builder excluded.",
        ),
        _refused(
            "ImageWatermarks",
            "A watermark passes to what CreateImage and CopyImage make, not to what RegisterImage "
            "makes: such an image goes by CopyImage, or is refused.",
        ),
        _refused("KernelId", "Belongs to paravirtual images; the id is bound to its Region."),
        _refused("OwnerId", "Must be the hub: only the owner can share the snapshots. The copy's owner is the target."),
        _refused(
            "Platform",
            "Windows is billed by licence metadata that a copied snapshot may have lost [aws-facts 5]: it goes by "
            "CopyImage, or is refused.",
            "Windows",
            "windows",
            refused=("Windows", "windows"),
        ),
        _refused("ProductCodes", "Marketplace and DevPay codes bind the image to a seller's terms [aws-facts 5]."),
        _refused("RamdiskId", "Belongs to paravirtual images; the id is bound to its Region."),
        _dropped("CreationDate", "The copy has its own."),
        _dropped(
            "DeregistrationProtection",
            "The setting protect decides for the copy, which is protected when it is delivered: before, the service "
            "must be able to remove it after a failure. `ami-promoter verify` compares it.",
        ),
        _dropped("FreeTierEligible", "Amazon's statement about one image in one account."),
        _dropped(
            "ImageAllowed", "The answer of the asking account's Allowed AMIs setting, not a property of the image."
        ),
        _dropped("ImageId", "The copy has its own; the source's id is in the tag ami-promoter:source-image."),
        _dropped("ImageLocation", "For EBS-backed images just owner and name."),
        _dropped("ImageOwnerAlias", "An alias of OwnerId, which is checked."),
        _dropped("LastLaunchedTime", "Of the source."),
        _dropped("Public", "Launch permissions are never copied: the copy is private to its owner."),
        _dropped("PublicSsmParameterName", "Amazon's public parameter for the source."),
        _dropped("ScanResults", "Of the source; Amazon Inspector scans the copy for its owner."),
        _dropped(
            "SourceImageId",
            "EC2 writes it for CreateImage and CopyImage only; the tag ami-promoter:source-image has the source.",
        ),
        _dropped("SourceImageRegion", "As SourceImageId."),
        _dropped("SourceInstanceId", "An instance of the hub; means nothing in the target."),
        _dropped("StateReason", "Quoted when the source's state is a fault."),
    ),
    "BlockDeviceMapping": _shape(
        _mapped("DeviceName", "The key by which mappings are compared; EC2 returns them in any order."),
        _mapped("Ebs", "See EbsBlockDevice."),
        _mapped("NoDevice", "As it is: it removes a device that the instance type would bring."),
        _mapped("VirtualName", "Kept: an instance-store volume (ephemeral0 and so on) beside an EBS root."),
    ),
    "EbsBlockDevice": _shape(
        _mapped("DeleteOnTermination", "As it is."),
        _mapped("EbsCardIndex", "As it is; 0 is the default."),
        _mapped(
            "Encrypted",
            "With a snapshot it may not be passed: the copy is encrypted, and the volume with it, also "
            "where the source was not. A blank volume keeps it: true is passed on (the volume comes under the "
            "target's default EBS key at launch), false is the default.",
        ),
        _mapped("Iops", "For gp3, io1 and io2; other types have none to set. gp3's default is 3000."),
        _mapped("SnapshotId", "The copy's id; two mappings of one snapshot share one copy, but for CopyImage's."),
        _mapped("Throughput", "For gp3, MiB/s; its default is 125."),
        _mapped("VolumeSize", "As it is, GiB; without one it is the snapshot's."),
        _mapped("VolumeType", "As it is.", "standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"),
        _refused("AvailabilityZone", _LOCAL_ONLY),
        _refused("AvailabilityZoneId", _LOCAL_ONLY),
        _refused("OutpostArn", _LOCAL_ONLY),
        _refused(
            "VolumeInitializationRate",
            "Documented as not returned for images; whether RegisterImage would take it "
            "is not documented, and it would fail only after the copies are made. By CopyImage it is compared.",
        ),
        _dropped(
            "KmsKeyId",
            "RegisterImage takes no key. A volume from a snapshot has the copy's key, a blank encrypted "
            "one the target's default EBS key: the source's key is never needed again.",
        ),
    ),
    "ProductCode": _shape(
        _refused("ProductCodeId", "See Image.ProductCodes."),
        _refused(
            "ProductCodeType", "See Image.ProductCodes.", "devpay", "marketplace", refused=("devpay", "marketplace")
        ),
    ),
    "StateReason": _shape(
        _dropped("Code", "Quoted when the source's state is a fault."),
        _dropped("Message", "Quoted when the source's state is a fault."),
    ),
    "Tag": _shape(
        _mapped("Key", "As it is; see Image.Tags."),
        _mapped("Value", "As it is."),
    ),
    "ImageWatermark": _shape(
        _refused("WatermarkKey", _WATERMARK),
        _refused("SourceImageCreationTime", _WATERMARK),
        _refused("SourceImageId", _WATERMARK),
        _refused("SourceImageRegion", _WATERMARK),
        _refused("WatermarkCreationTime", _WATERMARK),
    ),
    "ScanResults": _shape(
        _dropped("CriticalFixAvailableSince", _SCAN),
        _dropped("FindingScanDate", _SCAN),
        _dropped("HighFixAvailableSince", _SCAN),
        _dropped("HighestFindingSeverityLabel", _SCAN),
        _dropped("InformationalFixAvailableSince", _SCAN),
        _dropped("LowFixAvailableSince", _SCAN),
        _dropped("MediumFixAvailableSince", _SCAN),
    ),
    "InstanceTypeSpecification": _shape(
        _refused("SupportedInstanceTypes", _INSTANCE_TYPES),
        _refused("UnsupportedInstanceTypes", _INSTANCE_TYPES),
    ),
    "InstanceTypeItem": _shape(
        _refused("InstanceType", _INSTANCE_TYPES),
    ),
    "ImageAttribute": _shape(
        _mapped(
            "UefiData",
            "The variable store (Secure Boot keys). DescribeImages does not return it, so it is the one "
            "attribute that is asked for, and only of images that can boot by UEFI.",
        ),
        _mapped("BlockDeviceMappings", "Read from DescribeImages; asking for the attribute answers AuthFailure."),
        _mapped("BootMode", _ATTRIBUTE),
        _mapped("Description", _ATTRIBUTE),
        _mapped("ImdsSupport", _ATTRIBUTE),
        _mapped("SriovNetSupport", _ATTRIBUTE),
        _mapped("TpmSupport", _ATTRIBUTE),
        _refused("KernelId", _ATTRIBUTE),
        _refused("ProductCodes", _ATTRIBUTE),
        _refused("RamdiskId", _ATTRIBUTE),
        _dropped("DeregistrationProtection", "See Image.DeregistrationProtection."),
        _dropped("ImageId", "Names the image asked for."),
        _dropped("LastLaunchedTime", "Of the source."),
        _dropped(
            "LaunchPermissions", "Who may launch the source says nothing of the copy, which is private to its owner."
        ),
    ),
    "AttributeValue": _shape(
        _mapped("Value", "As its attribute."),
    ),
    "LaunchPermission": _shape(
        _dropped("Group", "See ImageAttribute.LaunchPermissions."),
        _dropped("OrganizationArn", "See ImageAttribute.LaunchPermissions."),
        _dropped("OrganizationalUnitArn", "See ImageAttribute.LaunchPermissions."),
        _dropped("UserId", "See ImageAttribute.LaunchPermissions."),
    ),
    "Snapshot": _shape(
        _mapped("Description", "As it is, on the copy."),
        _mapped("Encrypted", "The copy is always encrypted, under the target's key, also where the source was not."),
        _mapped("SnapshotId", "The copy has its own; the source's id is in the tag ami-promoter:source-snapshot."),
        _mapped("Tags", "As the image's, on the copy; CopySnapshot itself copies none [aws-facts 2]."),
        _mapped("VolumeSize", "GiB; a copy has its source's size, and a mapping without a size has this one."),
        _refused("AvailabilityZone", _LOCAL_ONLY),
        _refused("OutpostArn", _LOCAL_ONLY),
        _refused("OwnerId", "Must be the hub: only the owner can share a snapshot."),
        _refused(
            "RestoreExpiryTime",
            "A snapshot restored from the archive for a time may go back there in the middle of the copy.",
        ),
        _refused(
            "State",
            "Only a completed snapshot can be copied [aws-facts 2].",
            "pending",
            "completed",
            "error",
            "recoverable",
            "recovering",
            refused=("pending", "error", "recoverable", "recovering"),
        ),
        _refused(
            "StorageTier",
            "An archived snapshot must be restored before it can be used [aws-facts 2].",
            "archive",
            "standard",
            refused=("archive",),
        ),
        _dropped("AssociatedKmsKeys", "Further keys on the source; the copy is under the target's key alone."),
        _dropped("CompletionDurationMinutes", "How the source was made."),
        _dropped("CompletionTime", "The copy has its own."),
        _dropped("DataEncryptionKeyId", "Names the source's lineage; a copy under another key has its own."),
        _dropped("FullSnapshotSizeInBytes", "Of the source's blocks; a copy has the same."),
        _dropped(
            "KmsKeyId",
            "The copy is under the target's key. Read, for it is the key to be opened for the copy; a key "
            "that cannot be opened (aws/ebs, foreign, disabled) is refused.",
        ),
        _dropped("OwnerAlias", "An alias of OwnerId, which is checked."),
        _dropped("Progress", "Of the source, which is completed."),
        _dropped(
            "SseType",
            "Reserved by EC2 for future use; Encrypted and KmsKeyId say what is needed.",
            "sse-ebs",
            "sse-kms",
            "none",
        ),
        _dropped("StartTime", "The copy has its own."),
        _dropped("StateMessage", "Quoted when the source's state is a fault."),
        _dropped("TransferType", "How the source was made."),
        _dropped("VolumeId", "A volume of the hub; a copy's is arbitrary [aws-facts 2]."),
    ),
    "AssociatedKmsKey": _shape(
        _dropped("KmsKeyId", "See Snapshot.AssociatedKmsKeys."),
    ),
}
