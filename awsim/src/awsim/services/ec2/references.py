"""DescribeImageReferences: which of the caller's own resources name an AMI.

There is no Image Builder here, so recipes name none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from awsim.api import Call
from awsim.iam.ec2_needs import REFERENCES
from awsim.rules import rule
from awsim.services.ec2 import image_aliases, launch_templates, pages
from awsim.services.ec2.errors import check_id, missing, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import LaunchTemplate
from awsim.services.ec2.state import Ec2State

TEN = rule(
    "ec2-image-references-of-ten-images",
    "DescribeImageReferences takes ten AMIs a call, and must be told which kinds of resources to look at, or all. [EC2 "
    "API reference, DescribeImageReferences, VERIFIED; the codes UNVERIFIED]",
)
SCOPE = rule(
    "ec2-image-references-scope",
    "It looks at instances in every state, terminated ones too, and at the ten newest versions of each launch "
    "template, unless ResourceTypeOptions say otherwise: state-name, version-depth. [EC2 user guide, "
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html, VERIFIED]",
)
BY_ID = rule(
    "ec2-image-references-by-id-only",
    "A launch template that names a parameter is no reference to the AMI that the parameter names; the parameter is "
    "one, if its data type is aws:ec2:image and its current version names it. [aws-facts 8, UNVERIFIED]",
)
MOST = 10
DEPTH = 10
"""Versions of a launch template that it looks at."""
STATES = ("pending", "running", "shutting-down", "terminated", "stopping", "stopped")
Options = Mapping[str, Sequence[str]]
Named = tuple[str, str]
"""ARN of a resource, and an AMI that it names."""


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    wanted, asked, at = call.params["ImageIds"], _asked(call), ec2.moment(call)
    for image in wanted:
        check_id(image, "ami")
    if len(wanted) > MOST and ec2.on(TEN):
        raise wrong_value("imageIds", len(wanted), f"Expecting at most {MOST} images.")
    if not asked and ec2.on(TEN):
        raise missing("ResourceTypes or IncludeAllResourceTypes")
    found = [
        {"ImageId": image, "ResourceType": kind, "Arn": arn}
        for kind, options in asked.items()
        for arn, image in dict.fromkeys(_names(ec2, call, kind, options, at))
        if image in wanted
    ]
    part, token = pages.page(ec2, call, found, lambda one: f"{one['Arn']} {one['ImageId']}")
    return pages.answer("ImageReferences", part, token)


def _asked(call: Call) -> dict[str, Options]:
    """Return the kinds of resources to look at, each with its options."""
    asked: dict[str, Options] = {kind: {} for kind in REFERENCES if call.params.get("IncludeAllResourceTypes")}
    for one in call.params.get("ResourceTypes", ()):
        options = {option["OptionName"]: option["OptionValues"] for option in one.get("ResourceTypeOptions", ())}
        if one["ResourceType"] not in REFERENCES:
            raise wrong_value("resourceType", one["ResourceType"])
        asked[one["ResourceType"]] = options
    return asked


def _names(ec2: Ec2State, call: Call, kind: str, options: Options, at: datetime) -> Iterator[Named]:
    """Yield the resources of a kind, each with the AMIs that it named at a time; parameters as they are now."""
    account, region = call.caller.account, call.region
    prefix = f"arn:aws:ec2:{region}:{account}"
    if kind == "ec2:Instance":
        states = options.get("state-name", STATES) if ec2.on(SCOPE) else ("pending", "running")
        for instance in ec2.instances.of(account, at):
            if instance.region == region and instance.state in states:
                yield f"{prefix}:instance/{instance.id}", instance.image
    elif kind == "ec2:LaunchTemplate":
        depth = int(options.get("version-depth", [str(DEPTH)])[0])
        for template in launch_templates.of_account(ec2, call, at):
            for image in _in_template(ec2, call, template, depth if ec2.on(SCOPE) else 1):
                yield f"{prefix}:launch-template/{template.id}", image
    elif kind == "ssm:Parameter":
        yield from ec2.parameters.images_in(account, region)


def _in_template(ec2: Ec2State, call: Call, template: LaunchTemplate, depth: int) -> Iterator[str]:
    """Yield what the newest versions of a template name."""
    for version in template.versions[-depth:]:
        image = version.data.get("ImageId", "")
        yield image if ec2.on(BY_ID) else image_aliases.resolve(ec2, call, image)


OPERATIONS = {
    "DescribeImageReferences": Operation(
        _describe, "ImageIds IncludeAllResourceTypes ResourceTypes MaxResults NextToken"
    ),
}
