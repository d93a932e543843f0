"""DescribeImageAttribute, and the attributes that ModifyImageAttribute sets beside the launch permissions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2.access import own_image
from awsim.services.ec2.errors import missing, wrong_combination, wrong_value
from awsim.services.ec2.image_sharing import change_launch, launch_changes, launch_shown
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image
from awsim.services.ec2.state import Ec2State

NO_MAPPINGS = rule(
    "ec2-image-attribute-no-mappings",
    "DescribeImageAttribute answers AuthFailure for blockDeviceMapping: DescribeImages has them "
    "[aws-facts 5, VERIFIED]",
)
ONE_ATTRIBUTE = rule(
    "ec2-modify-image-one-attribute", "ModifyImageAttribute changes one attribute per call [aws-facts 4, VERIFIED]"
)
IMDS_STAYS = rule(
    "ec2-imds-support-irreversible", "ImdsSupport can be set to v2.0 and never taken back [aws-facts 5, VERIFIED]"
)
UEFI_APART = rule(
    "ec2-uefi-data-only-as-attribute",
    "UefiData is not in DescribeImages; DescribeImageAttribute has it, for the owner "
    "[aws-facts 5: the first VERIFIED, the second UNVERIFIED]",
)
PLAIN = {
    "description": "Description",
    "kernel": "KernelId",
    "ramdisk": "RamdiskId",
    "sriovNetSupport": "SriovNetSupport",
    "bootMode": "BootMode",
    "tpmSupport": "TpmSupport",
    "imdsSupport": "ImdsSupport",
    "lastLaunchedTime": "LastLaunchedTime",
}
"""Attribute -> member of the answer, which is a member of the image too."""


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image, at = own_image(ec2, call), ec2.moment(call)
    then = ec2.images.get(image.id, at) or image
    return {"ImageId": image.id, **_attribute(ec2, then, call.params["Attribute"], at)}


def _attribute(ec2: Ec2State, image: Ec2Image, attribute: str, at: datetime) -> dict[str, Any]:
    if attribute in PLAIN:
        name = PLAIN[attribute]
        return {name: {"Value": image.members[name]} if name in image.members else {}}
    match attribute:
        case "uefiData":
            there = image.uefi_data is not None and ec2.on(UEFI_APART)
            return {"UefiData": {"Value": image.uefi_data} if there else {}}
        case "deregistrationProtection":
            return {"DeregistrationProtection": {"Value": image.protection(at)}}
        case "launchPermission":
            return {"LaunchPermissions": launch_shown(image)}
        case "productCodes":
            return {"ProductCodes": list(image.members.get("ProductCodes", ()))}
        case "blockDeviceMapping":
            if ec2.on(NO_MAPPINGS):
                raise AwsError("AuthFailure", "Unauthorized attempt to access restricted resource")
            return {"BlockDeviceMappings": [dict(mapping) for mapping in image.mappings]}
        case _:
            raise wrong_value("attribute", attribute)


def _modify(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image, params = own_image(ec2, call), call.params
    launch = launch_changes(call)
    asked = [name for name in ("Description", "ImdsSupport") if params.get(name)] + (
        ["LaunchPermission"] if launch else []
    )
    attribute, value = params.get("Attribute"), params.get("Value")
    if attribute not in {None, "launchPermission", "description", "imdsSupport"}:
        raise wrong_value("attribute", attribute)
    if attribute == "description" and value is not None:
        asked.append("Description")
    if not asked:
        raise missing("LaunchPermission")
    if len(asked) > 1 and ec2.on(ONE_ATTRIBUTE):
        raise wrong_combination(f"Fields for multiple attribute types specified: {', '.join(asked)}")
    if "Description" in asked:
        image = _set(ec2, image, "Description", params.get("Description", {}).get("Value", value))
    if "ImdsSupport" in asked:
        if params["ImdsSupport"].get("Value") != "v2.0" and ec2.on(IMDS_STAYS):
            raise wrong_value("imdsSupport", params["ImdsSupport"].get("Value"), "It can only be set to v2.0.")
        image = _set(ec2, image, "ImdsSupport", params["ImdsSupport"].get("Value"))
    if launch:
        change_launch(ec2, image, *launch)
    return {}


def _set(ec2: Ec2State, image: Ec2Image, name: str, value: str | None) -> Ec2Image:
    return ec2.images.put(replace(image, members={**image.members, name: value}))


OPERATIONS = {
    "DescribeImageAttribute": Operation(_describe, "Attribute ImageId"),
    "ModifyImageAttribute": Operation(
        _modify,
        "Attribute ImageId Description Value ImdsSupport LaunchPermission OperationType UserIds UserGroups "
        "OrganizationArns OrganizationalUnitArns",
    ),
}
