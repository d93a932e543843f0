"""RegisterImage: uses nothing but its own parameters and a few facts of the snapshots."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import mappings, notices, tags
from awsim.services.ec2.errors import missing, wrong_combination, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import NOTHING, Billing, Ec2Image, Ec2Snapshot
from awsim.services.ec2.state import Ec2State

INHERITS_NOTHING = rule(
    "ec2-register-inherits-nothing",
    "What RegisterImage is not told it does not know, whatever image the snapshots came from: no ENA, SR-IOV, boot "
    "mode, TPM, IMDS, description or tags [aws-facts 5, VERIFIED]",
)
BAD_DEFAULTS = rule(
    "ec2-register-bad-defaults",
    "Without Architecture an image is i386, without VirtualizationType paravirtual [aws-facts 5, VERIFIED]",
)
NAME_FORM = rule(
    "ec2-image-name-form", "A name has 3 to 128 letters, digits, spaces and ()[]./-'@_ [aws-facts 5, VERIFIED]"
)
NAME_UNIQUE = rule(
    "ec2-image-name-unique",
    "A name is used once per account and Region, else InvalidAMIName.Duplicate, and is free again some time after "
    "deregistering [aws-facts 5, VERIFIED; per account and Region UNVERIFIED]",
)
NO_TOKEN = rule(
    "ec2-register-has-no-client-token",
    "The same RegisterImage again is not answered with the first image: the name is taken, and under another name it "
    "makes a second image [aws-facts 5, VERIFIED]",
)
PENDING_FIRST = rule(
    "ec2-image-pending-first",
    "A registered image is pending for a moment, and is then told to be available [aws-facts 1c and 5, VERIFIED]",
)
TPM_NEEDS_UEFI = rule(
    "ec2-register-tpm-needs-uefi",
    "TpmSupport goes with BootMode uefi only: never with uefi-preferred [aws-facts 5, VERIFIED]",
)
HVM_ONLY = rule(
    "ec2-register-hvm-only",
    "ENA and SR-IOV are for HVM images only; kernel and RAM disk for paravirtual ones only "
    "[aws-facts 5, VERIFIED; the refusal UNVERIFIED]",
)
KNOWN_VALUES = rule(
    "ec2-register-known-values",
    "SriovNetSupport is simple, TpmSupport and ImdsSupport are v2.0, BootMode and Architecture are as the model lists; "
    "UefiData is base64 of up to 64,000 characters [aws-facts 5, VERIFIED]",
)
BILLING_REFUSED = rule(
    "ec2-register-billing-products-refused",
    "BillingProducts need an account that AWS has authorised [aws-facts 5, VERIFIED]",
)
FROM_SNAPSHOT = rule(
    "ec2-register-takes-codes-from-snapshot",
    "Product codes of the snapshots, and the billing metadata of the root snapshot, go onto the image "
    "[aws-facts 5, VERIFIED]",
)
HAS_ROOT = rule(
    "ec2-register-needs-root-snapshot",
    "The root device is among the mappings and has a snapshot, else InvalidBlockDeviceMapping [aws-facts 5, VERIFIED]",
)
NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
UEFI_DATA_LONGEST = 64_000
VALUES = {
    "Architecture": {"i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"},
    "VirtualizationType": {"hvm", "paravirtual"},
    "BootMode": {"legacy-bios", "uefi", "uefi-preferred"},
    "TpmSupport": {"v2.0"},
    "ImdsSupport": {"v2.0"},
    "SriovNetSupport": {"simple"},
}
SIMPLE = ("Description", "SriovNetSupport", "BootMode", "TpmSupport", "ImdsSupport", "KernelId", "RamdiskId")
"""Parameters that become the image's member of the same name."""


def _register_image(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    params, account = call.params, call.caller.account
    if not ec2.on(NO_TOKEN) and (twin := _named(ec2, account, call.region, params.get("Name", ""))):
        return {"ImageId": twin.id}
    check_name(ec2, account, call.region, params.get("Name", ""))
    _check_values(ec2, params)
    root = params.get("RootDeviceName", "/dev/sda1")
    devices = mappings.checked(ec2, call, params.get("BlockDeviceMappings", ()))
    snapshots = _snapshots(ec2, devices)
    _check_root(ec2, root, devices)
    wanted = tags.at_creation(ec2, call, "image")
    image = Ec2Image(
        id=ec2.new_id("ami"),
        owner=account,
        region=call.region,
        created=ec2.now,
        state="pending",
        members=_members(ec2, call, root, snapshots),
        mappings=tuple(devices),
        uefi_data=params.get("UefiData"),
    )
    ec2.images.put(image)
    tags.put_tags(ec2, account, call.region, image.id, add=wanted)
    if ec2.on(PENDING_FIRST):
        ec2.after(
            ec2.pace.register, lambda: become_available(ec2, image.id, call.request_id), f"{image.id} is available"
        )
    else:
        become_available(ec2, image.id, call.request_id)
    return {"ImageId": image.id}


def become_available(ec2: Ec2State, image_id: str, request_id: str) -> None:
    """Make a pending image available, and send its event."""
    found = ec2.images.get(image_id)
    if found is not None and found.state == "pending":
        notices.image_state(ec2, ec2.images.put(replace(found, state="available")), "available", request_id)


def check_name(ec2: Ec2State, account: str, region: str, name: str) -> None:
    """Refuse a name that is malformed or taken."""
    if not name:
        raise missing("Name")
    if not NAME.fullmatch(name) and ec2.on(NAME_FORM):
        why = (
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'"
        )
        raise AwsError("InvalidAMIName.Malformed", why)
    if (image := _named(ec2, account, region, name)) and ec2.on(NAME_UNIQUE):
        raise AwsError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")


def _named(ec2: Ec2State, account: str, region: str, name: str) -> Ec2Image | None:
    """Return the image with a name in an account and Region."""
    mine = (image for image in ec2.images.of(account) if image.region == region)
    return next((image for image in mine if image.name == name and _holds_name(ec2, image)), None)


def _holds_name(ec2: Ec2State, image: Ec2Image) -> bool:
    return image.ended is None or ec2.now < image.ended + timedelta(seconds=ec2.pace.name_freed)


def _check_values(ec2: Ec2State, params: Mapping[str, Any]) -> None:
    if params.get("BillingProducts") and ec2.on(BILLING_REFUSED):
        raise AwsError("AuthFailure", "The account is not authorized to specify billing product codes")
    if ec2.on(KNOWN_VALUES):
        for name, values in VALUES.items():
            if params.get(name) is not None and params[name] not in values:
                raise wrong_value(name[0].lower() + name[1:], params[name], f"Expecting {', '.join(sorted(values))}.")
        _check_uefi_data(params.get("UefiData"))
        if params.get("Architecture") == "arm64" and params.get("BootMode") not in {None, "uefi"}:
            raise wrong_combination("The architecture arm64 supports the boot mode uefi only")
    if params.get("TpmSupport") and params.get("BootMode") != "uefi" and ec2.on(TPM_NEEDS_UEFI):
        raise wrong_combination("The parameter TpmSupport requires the parameter BootMode to be uefi")
    if ec2.on(HVM_ONLY):
        hvm = params.get("VirtualizationType") == "hvm"
        wrong = ("KernelId", "RamdiskId") if hvm else ("EnaSupport", "SriovNetSupport")
        if found := next((name for name in wrong if params.get(name)), None):
            raise wrong_combination(
                f"The parameter {found} is not supported for {'hvm' if hvm else 'paravirtual'} images"
            )


def _check_uefi_data(data: str | None) -> None:
    if data is None:
        return
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        raise wrong_value("uefiData", data[:20] + "...", "Expecting base64.") from None
    if len(data) > UEFI_DATA_LONGEST:
        raise wrong_value("uefiData", data[:20] + "...", f"Expecting up to {UEFI_DATA_LONGEST} characters.")


def _check_root(ec2: Ec2State, root: str, devices: Sequence[Mapping[str, Any]]) -> None:
    ebs = next((mapping.get("Ebs", NOTHING) for mapping in devices if mapping["DeviceName"] == root), NOTHING)
    if not ebs.get("SnapshotId") and ec2.on(HAS_ROOT):
        raise AwsError("InvalidBlockDeviceMapping", "No root snapshot specified in device mapping.")


def _snapshots(ec2: Ec2State, devices: Sequence[Mapping[str, Any]]) -> dict[str, Ec2Snapshot]:
    """Return device name -> snapshot."""
    named = {mapping["DeviceName"]: mapping.get("Ebs", NOTHING).get("SnapshotId") for mapping in devices}
    found = {device: ec2.snapshots.get(snapshot) for device, snapshot in named.items() if snapshot}
    return {device: snapshot for device, snapshot in found.items() if snapshot is not None}


def _members(ec2: Ec2State, call: Call, root: str, snapshots: Mapping[str, Ec2Snapshot]) -> dict[str, Any]:
    params = call.params
    given = {name: params[name] for name in SIMPLE if params.get(name) is not None}
    named = {} if ec2.on(INHERITS_NOTHING) else _inherited(ec2, snapshots)
    bad = ec2.on(BAD_DEFAULTS)
    codes = sorted({code for snapshot in snapshots.values() for code in snapshot.product_codes})
    billing = snapshots[root].billing if root in snapshots else Billing()
    if not ec2.on(FROM_SNAPSHOT):
        codes, billing = [], Billing()
    if codes:
        named["ProductCodes"] = [{"ProductCodeId": code, "ProductCodeType": "marketplace"} for code in codes]
    if billing.platform_details.startswith("Windows"):
        named["Platform"] = "windows"
    return {
        "Name": params["Name"],
        "ImageLocation": f"{call.caller.account}/{params['Name']}",
        "ImageType": "machine",
        "Hypervisor": "xen",
        "Architecture": params.get("Architecture", "i386" if bad else "x86_64"),
        "VirtualizationType": params.get("VirtualizationType", "paravirtual" if bad else "hvm"),
        "RootDeviceName": root,
        "RootDeviceType": "ebs",
        **({"EnaSupport": True} if params.get("EnaSupport", named.pop("EnaSupport", False)) else {}),
        "PlatformDetails": billing.platform_details,
        "UsageOperation": billing.usage_operation,
        **named,
        **given,
    }


def _inherited(ec2: Ec2State, snapshots: Mapping[str, Ec2Snapshot]) -> dict[str, Any]:
    """Return what a more lenient AWS would take from the image that the snapshots were copied from."""
    sources = {snapshot.origin.snapshot for snapshot in snapshots.values() if snapshot.origin}
    sources |= {snapshot.id for snapshot in snapshots.values()}
    origin = next((image for image in ec2.images.all() if sources & set(image.snapshots)), None)
    names = (*SIMPLE, "EnaSupport")
    return {name: origin.members[name] for name in names if name in origin.members} if origin else {}


OPERATIONS = {
    "RegisterImage": Operation(
        _register_image,
        "Name Description Architecture VirtualizationType RootDeviceName BlockDeviceMappings EnaSupport "
        "SriovNetSupport BootMode TpmSupport UefiData ImdsSupport KernelId RamdiskId BillingProducts TagSpecifications",
    )
}
