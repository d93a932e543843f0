"""Launch permissions: who else may launch an image (``access`` checks organizations and OUs)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import keys
from awsim.services.ec2.access import own_image
from awsim.services.ec2.errors import ACCOUNT, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image
from awsim.services.ec2.state import Ec2State

BLOCKED = rule(
    "ec2-images-not-public",
    "Block public access for AMIs is on in new accounts, until it is disabled: Group=all is refused "
    "[aws-facts 4, VERIFIED; code UNVERIFIED]",
)
FULL_ARNS = rule(
    "ec2-launch-permission-full-arns",
    "A launch permission names a 12-digit account, or the complete ARN of an organization or OU: bare ids are an error "
    "[aws-facts 4, VERIFIED]",
)
NOT_UNDER_DEFAULT_KEY = rule(
    "ec2-aws-ebs-image-not-shared", "An image with a snapshot under aws/ebs cannot be shared [aws-facts 3, VERIFIED]"
)
NOT_DISABLED = rule(
    "ec2-disabled-image-not-shared",
    "A disabled image cannot be shared [botocore ec2 model, DisableImage, VERIFIED; code UNVERIFIED]",
)
ORGANISATION = r"arn:aws:organizations::\d{12}:organization/o-[a-z0-9]{10,32}"
UNIT = r"arn:aws:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}"
KINDS = {
    "UserId": ACCOUNT,
    "Group": re.compile("all"),
    "OrganizationArn": re.compile(ORGANISATION),
    "OrganizationalUnitArn": re.compile(UNIT),
}
Permission = tuple[str, str]
LISTS = {
    "UserIds": "UserId",
    "UserGroups": "Group",
    "OrganizationArns": "OrganizationArn",
    "OrganizationalUnitArns": "OrganizationalUnitArn",
}


def launch_changes(call: Call) -> tuple[frozenset[Permission], frozenset[Permission]] | None:
    """Return what a ModifyImageAttribute adds and removes, in either form; None if it changes something else."""
    params = call.params
    pairs = params.get("LaunchPermission", {})
    add, remove = _pairs(pairs.get("Add", ())), _pairs(pairs.get("Remove", ()))
    plain = {(kind, value) for name, kind in LISTS.items() for value in params.get(name, ())}
    match params.get("OperationType"):
        case "add":
            add |= plain
        case "remove":
            remove |= plain
        case None if not plain:
            pass
        case other:
            raise wrong_value("operationType", other, "Expecting add or remove.")
    return (frozenset(add), frozenset(remove)) if add or remove else None


def _pairs(entries: Sequence[Mapping[str, str]]) -> set[Permission]:
    return {(kind, value) for entry in entries for kind, value in entry.items()}


def change_launch(ec2: Ec2State, image: Ec2Image, add: Iterable[Permission], remove: Iterable[Permission]) -> None:
    """Change who may launch an image; refuses what AWS refuses."""
    for kind, value in (*add, *remove):
        if not KINDS[kind].fullmatch(value) and ec2.on(FULL_ARNS):
            why = f'Invalid attribute item value "{value} " for {kind[0].lower()}{kind[1:]} item type.'
            raise AwsError("InvalidAMIAttributeItemValue", why)
    if add:
        _check_shareable(ec2, image, set(add))
    ec2.images.put(replace(image, launch=(image.launch | frozenset(add)) - frozenset(remove)))


def _check_shareable(ec2: Ec2State, image: Ec2Image, add: set[Permission]) -> None:
    if image.state == "disabled" and ec2.on(NOT_DISABLED):
        raise AwsError("OperationNotPermitted", f"The image {image.id} is disabled and cannot be shared.")
    if ("Group", "all") in add and (image.owner, image.region) not in ec2.public_images and ec2.on(BLOCKED):
        why = "You can't publicly share images: block public access for AMIs is enabled for this Region."
        raise AwsError("OperationNotPermitted", why)
    snapshots = (ec2.snapshots.get(snapshot) for snapshot in image.snapshots)
    if ec2.on(NOT_UNDER_DEFAULT_KEY) and any(s and keys.is_aws_managed(ec2, s.key) for s in snapshots):
        why = "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot."
        raise AwsError("InvalidParameter", why)


def launch_shown(image: Ec2Image) -> list[dict[str, str]]:
    """Return the launch permissions as DescribeImageAttribute shows them."""
    return [{kind: value} for kind, value in sorted(image.launch)]


def _reset(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    image = own_image(ec2, call)
    if call.params["Attribute"] != "launchPermission":
        raise wrong_value("attribute", call.params["Attribute"])
    ec2.images.put(replace(image, launch=frozenset()))
    return {}


OPERATIONS = {"ResetImageAttribute": Operation(_reset, "Attribute ImageId")}
