"""What happens to each member of an image: mapped, compared, refused or dropped, each with its reason.

``MEMBERS`` has every member that the pinned SDK knows of an image, its attributes and its snapshots. A test compares it
with the SDK's model, and fails if the SDK has another member or value. (At run time the service cannot see such a
member: the SDK silently drops what its model does not know.)

``chalicelib/images/image.py`` has the values that the service knows, and checks each image by them.

With CopyImage, EC2 itself copies what is ``MAPPED`` here, and some of what is ``REFUSED`` (``preflight.method``
decides); the comparison is the same.

``tools.docs`` writes ``docs/reference/what-is-copied.md`` from this table. Its sources are the EC2 API model 2016-11-15
in botocore 1.44.8, and sections 2, 3, 5 and 8 of ``awsim/docs/aws-facts.md``, cited as [aws-facts N].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from chalicelib.images.image import KNOWN_VALUES


class Treatment(StrEnum):
    """What the service does with a member of an image."""

    MAPPED = "mapped"
    """The service sets it on the copy, and then compares it with the source."""
    COMPARED = "compared"
    """The service cannot set it; EC2 must choose the same value, or the service discards the copy."""
    REFUSED = "refused"
    """It stops the promotion before anything is opened: if it is present, or has a value that is listed as refused."""
    DROPPED = "dropped"
    """The copy does not get it; if values are listed, an unknown one still stops the promotion."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of one shape of the EC2 API.

    ``values``: the known values; empty means any. A value that is not listed stops the promotion, and so do those in
    ``refused``, each by a check of its own in ``preflight``.
    """

    treatment: Treatment
    name: str
    why: str
    values: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


_mapped = partial(Member, Treatment.MAPPED)
_compared = partial(Member, Treatment.COMPARED)
_refused = partial(Member, Treatment.REFUSED)
_dropped = partial(Member, Treatment.DROPPED)

_SAME = "The copy gets the source's value."
_ATTRIBUTE = "The service reads it from DescribeImages, which returns the same value."
_LOCAL_ONLY = "An image on an Outpost, or tied to one Zone, cannot be made elsewhere by copying its snapshots."
_WATERMARK = "It is part of a watermark, which Image.ImageWatermarks describes."
_SCAN = "It is part of a scan of the source. Amazon Inspector scans the copy for its owner."
_INSTANCE_TYPES = "It is part of the instance type specification, and the service refuses an image that has one."
_PERMISSION = "It is part of the launch permissions of the source, and the copy is private to its owner."
_STATE_REASON = "The service quotes it if the source's state is a fault."
_OWN = "The copy has its own value."
_PRODUCT_CODE = "It is part of a product code, and the service refuses an image that has one."

_TABLE: Mapping[str, tuple[Member, ...]] = {
    "Image": (
        _mapped(
            "Architecture",
            "The service passes the source's value, because RegisterImage assumes i386 by default [aws-facts 5].",
        ),
        _mapped(
            "BlockDeviceMappings",
            "The copy has a mapping for each device name of the source, with the copy of its snapshot.",
        ),
        _mapped(
            "BootMode",
            "The service passes the source's value, because RegisterImage takes none from a snapshot. If the source "
            "has none, the service passes none, and the instance type decides [aws-facts 5].",
        ),
        _mapped(
            "DeprecationTime",
            "The service sets it by EnableImageDeprecation after registering. EC2 accepts no date in the past, so if "
            "the source is deprecated already, the copy is deprecated as soon as EC2 allows [aws-facts 8].",
        ),
        _mapped("Description", _SAME),
        _mapped(
            "EnaSupport",
            "The service passes the source's value: without it Nitro instance types refuse to launch the copy "
            "[aws-facts 5].",
        ),
        _mapped(
            "ImdsSupport",
            "The service passes the source's value, because RegisterImage takes none from a snapshot [aws-facts 5].",
        ),
        _mapped(
            "Name",
            "The target's name template gives the name. By default it ends in the source's id, because names are "
            "unique in an account and Region.",
        ),
        _mapped("RootDeviceName", f"{_SAME} The device must be an EBS volume made from a snapshot."),
        _mapped(
            "SriovNetSupport",
            "The service passes the source's value, because RegisterImage takes none from a snapshot. It cannot be "
            "disabled once it is enabled [aws-facts 5].",
        ),
        _mapped(
            "Tags",
            "The copy gets all tags but the trigger tag (it would promote the copy), aws: tags (AWS reserves them) and "
            "ami-promoter: tags of an earlier promotion, in any letters; so tags ec2:SharedTag/, too. The service "
            "adds its own, and refuses more than 50 together.",
        ),
        _mapped(
            "TpmSupport",
            "It can be set at registration only. RegisterImage cannot set it together with the boot mode "
            "uefi-preferred: the service uses CopyImage for such an image, or refuses it [aws-facts 5].",
        ),
        _mapped(
            "VirtualizationType",
            "The service passes the source's value, because RegisterImage assumes paravirtual by default. It refuses "
            "paravirtual images: they need kernel ids of their Region, and only retired instance types run them.",
            refused=("paravirtual",),
        ),
        _compared("Hypervisor", "EC2 sets it, and does not support ovm.", refused=("ovm",)),
        _compared(
            "ImageType",
            "The service promotes machine images only.",
            refused=("kernel", "ramdisk"),
        ),
        _compared(
            "PlatformDetails",
            "RegisterImage derives the licence from metadata of the snapshots, which a copy may have lost. So the "
            "service uses CopyImage for all platforms but Linux/UNIX, or refuses them, and the copy must show the "
            "same [aws-facts 5].",
        ),
        _compared(
            "RootDeviceType",
            "An instance-store root has no snapshot to copy.",
            refused=("instance-store",),
        ),
        _compared(
            "State",
            "The source must be available. The service compares the copy when that is available.",
            refused=("invalid", "deregistered", "transient", "failed", "error", "disabled"),
        ),
        _compared("UsageOperation", "This is the billing code. The service treats it like PlatformDetails."),
        _refused(
            "InstanceTypeSpecification",
            "RegisterImage cannot set which instance types an image is for, and a copy without the specification could "
            "be launched on types that the builder excluded.",
        ),
        _refused(
            "ImageWatermarks",
            "CreateImage and CopyImage pass a watermark on, and RegisterImage does not. The service uses CopyImage for "
            "such an image, or refuses it.",
        ),
        _refused("KernelId", "Only paravirtual images have a kernel, and its id is valid in its Region only."),
        _refused(
            "OwnerId",
            "The hub must own the source: only the owner can share the snapshots. The target owns the copy.",
        ),
        _refused(
            "Platform",
            "EC2 bills Windows by licence metadata that a copied snapshot may have lost [aws-facts 5]. The service "
            "uses CopyImage for such an image, or refuses it.",
            refused=("Windows", "windows"),
        ),
        _refused("ProductCodes", "Marketplace and DevPay codes bind the image to a seller's terms [aws-facts 5]."),
        _refused("RamdiskId", "Only paravirtual images have a RAM disk, and its id is valid in its Region only."),
        _dropped("CreationDate", _OWN),
        _dropped(
            "DeregistrationProtection",
            "The setting protect decides for the copy, and the service protects it when it is delivered: before "
            "that, it must be able to remove the copy after a failure. `ami-promoter verify` checks the protection.",
        ),
        _dropped("FreeTierEligible", "Amazon says this of one image in one account."),
        _dropped(
            "ImageAllowed", "This is no property of the image: the asking account's setting Allowed AMIs decides."
        ),
        _dropped("ImageId", f"{_OWN} The tag ami-promoter:source-image has the source's."),
        _dropped("ImageLocation", "For an EBS-backed image this is only owner and name."),
        _dropped("ImageOwnerAlias", "This is an alias of OwnerId, which the service checks."),
        _dropped("LastLaunchedTime", "It says when the source was launched."),
        _dropped("Public", "The service never copies launch permissions: the copy is private to its owner."),
        _dropped("PublicSsmParameterName", "It names Amazon's public parameter for the source."),
        _dropped("ScanResults", "They are about the source. Amazon Inspector scans the copy for its owner."),
        _dropped(
            "SourceImageId",
            "EC2 writes it for CreateImage and CopyImage only. The tag ami-promoter:source-image has the source.",
        ),
        _dropped("SourceImageRegion", "EC2 writes it for CreateImage and CopyImage only."),
        _dropped("SourceInstanceId", "It names an instance of the hub, which means nothing in the target."),
        _dropped("StateReason", _STATE_REASON),
    ),
    "BlockDeviceMapping": (
        _mapped("DeviceName", "The service compares mappings by device name, because EC2 returns them in any order."),
        _mapped("Ebs", "Each member of EbsBlockDevice has a treatment of its own."),
        _mapped("NoDevice", f"{_SAME} It removes a device that the instance type would add."),
        _mapped("VirtualName", f"{_SAME} It adds an instance-store volume (ephemeral0 and so on) to an EBS root."),
    ),
    "EbsBlockDevice": (
        _mapped("DeleteOnTermination", _SAME),
        _mapped("EbsCardIndex", f"{_SAME} The default is 0."),
        _mapped(
            "Encrypted",
            "For a volume from a snapshot the service may not pass it: the copy is encrypted, and the volume with it, "
            "also if the source was not. A blank volume keeps the source's value: the service passes true, and EC2 "
            "encrypts the volume under the target's default EBS key at launch; false is the default.",
        ),
        _mapped("Iops", f"{_SAME} Only gp3, io1 and io2 have it; gp3's default is 3000."),
        _mapped(
            "SnapshotId",
            "It is the id of the snapshot's copy. Two mappings of one snapshot share one copy, except with CopyImage.",
        ),
        _mapped("Throughput", f"{_SAME} Only gp3 has it, in MiB/s; the default is 125."),
        _mapped("VolumeSize", "The copy gets the source's value, in GiB, or else the snapshot's size."),
        _mapped("VolumeType", _SAME),
        _refused("AvailabilityZone", _LOCAL_ONLY),
        _refused("AvailabilityZoneId", _LOCAL_ONLY),
        _refused("OutpostArn", _LOCAL_ONLY),
        _refused(
            "VolumeInitializationRate",
            "AWS says that it does not return it for images, and not whether RegisterImage accepts it; a refusal would "
            "come only after the copies were made. With CopyImage the service compares it.",
        ),
        _dropped(
            "KmsKeyId",
            "RegisterImage accepts no key. A volume from a snapshot has the copy's key, a blank encrypted one the "
            "target's default EBS key, so the copy never needs the source's key.",
        ),
    ),
    "ProductCode": (
        _refused("ProductCodeId", _PRODUCT_CODE),
        _refused("ProductCodeType", _PRODUCT_CODE, ("devpay", "marketplace"), ("devpay", "marketplace")),
    ),
    "StateReason": (
        _dropped("Code", _STATE_REASON),
        _dropped("Message", _STATE_REASON),
    ),
    "Tag": (
        _mapped("Key", f"{_SAME} Image.Tags says which tags are copied."),
        _mapped("Value", _SAME),
    ),
    "ImageWatermark": (
        _refused("WatermarkKey", _WATERMARK),
        _refused("SourceImageCreationTime", _WATERMARK),
        _refused("SourceImageId", _WATERMARK),
        _refused("SourceImageRegion", _WATERMARK),
        _refused("WatermarkCreationTime", _WATERMARK),
    ),
    "ScanResults": (
        _dropped("CriticalFixAvailableSince", _SCAN),
        _dropped("FindingScanDate", _SCAN),
        _dropped("HighFixAvailableSince", _SCAN),
        _dropped("HighestFindingSeverityLabel", _SCAN),
        _dropped("InformationalFixAvailableSince", _SCAN),
        _dropped("LowFixAvailableSince", _SCAN),
        _dropped("MediumFixAvailableSince", _SCAN),
    ),
    "InstanceTypeSpecification": (
        _refused("SupportedInstanceTypes", _INSTANCE_TYPES),
        _refused("UnsupportedInstanceTypes", _INSTANCE_TYPES),
    ),
    "InstanceTypeItem": (_refused("InstanceType", _INSTANCE_TYPES),),
    "ImageAttribute": (
        _mapped(
            "UefiData",
            "This is the variable store (Secure Boot keys). DescribeImages does not return it, so the service asks for "
            "this attribute, and only of images that can boot by UEFI.",
        ),
        _mapped(
            "BlockDeviceMappings",
            "The service reads it from DescribeImages, because EC2 refuses to return the attribute (AuthFailure).",
        ),
        _mapped("BootMode", _ATTRIBUTE),
        _mapped("Description", _ATTRIBUTE),
        _mapped("ImdsSupport", _ATTRIBUTE),
        _mapped("SriovNetSupport", _ATTRIBUTE),
        _mapped("TpmSupport", _ATTRIBUTE),
        _refused("KernelId", _ATTRIBUTE),
        _refused("ProductCodes", _ATTRIBUTE),
        _refused("RamdiskId", _ATTRIBUTE),
        _dropped("DeregistrationProtection", "The setting protect decides for the copy."),
        _dropped("ImageId", "It names the image of the request."),
        _dropped("LastLaunchedTime", "It says when the source was launched."),
        _dropped("LaunchPermissions", "Who may launch the source does not matter for the copy, which is private."),
    ),
    "AttributeValue": (_mapped("Value", "The service treats it like its attribute."),),
    "LaunchPermission": (
        _dropped("Group", _PERMISSION),
        _dropped("OrganizationArn", _PERMISSION),
        _dropped("OrganizationalUnitArn", _PERMISSION),
        _dropped("UserId", _PERMISSION),
    ),
    "Snapshot": (
        _mapped("Description", f"{_SAME} With CopyImage EC2 writes one of its own, which nobody can change."),
        _mapped("Encrypted", "The copy is always encrypted, under the target's key, also if the source was not."),
        _mapped("SnapshotId", f"{_OWN} The tag ami-promoter:source-snapshot has the source's."),
        _mapped(
            "Tags", "The service gives the copy these tags like the image's: CopySnapshot copies none [aws-facts 2]."
        ),
        _mapped("VolumeSize", "A copy has its source's size, in GiB. A mapping without a size gets this one."),
        _refused("AvailabilityZone", _LOCAL_ONLY),
        _refused("OutpostArn", _LOCAL_ONLY),
        _refused("OwnerId", "The hub must own the snapshot: only the owner can share it."),
        _refused(
            "RestoreExpiryTime",
            "EC2 may move a snapshot that was restored for a time back to the archive in the middle of the copy.",
        ),
        _refused(
            "State",
            "Only a completed snapshot can be copied [aws-facts 2].",
            refused=("pending", "error", "recoverable", "recovering"),
        ),
        _refused(
            "StorageTier",
            "An archived snapshot must be restored before it can be used [aws-facts 2].",
            refused=("archive",),
        ),
        _dropped(
            "AssociatedKmsKeys", "These are further keys of the source. The copy is under the target's key alone."
        ),
        _dropped("CompletionDurationMinutes", "It says how the source was made."),
        _dropped("CompletionTime", _OWN),
        _dropped("DataEncryptionKeyId", "It names the source's lineage. A copy under another key has its own."),
        _dropped("FullSnapshotSizeInBytes", "EC2 computes it from the blocks, which the copy has, too."),
        _dropped(
            "KmsKeyId",
            "The copy is under the target's key. The service reads this one, because it must open it for the copy, and "
            "refuses a key that it cannot open (aws/ebs, another account's, disabled).",
        ),
        _dropped("OwnerAlias", "This is an alias of OwnerId, which the service checks."),
        _dropped("Progress", "It is about the source, which is completed."),
        _dropped(
            "SseType",
            "EC2 reserves it for future use. Encrypted and KmsKeyId say what the service needs.",
        ),
        _dropped("StartTime", _OWN),
        _dropped("StateMessage", _STATE_REASON),
        _dropped("TransferType", "It says how the source was made."),
        _dropped("VolumeId", "It names a volume of the hub. A copy's is arbitrary [aws-facts 2]."),
    ),
    "AssociatedKmsKey": (
        _dropped("KmsKeyId", "This is a further key of the source. The copy is under the target's key alone."),
    ),
}

MEMBERS: Mapping[str, Mapping[str, Member]] = {
    shape: {one.name: replace(one, values=KNOWN_VALUES.get(shape, {}).get(one.name, one.values)) for one in members}
    for shape, members in _TABLE.items()
}
