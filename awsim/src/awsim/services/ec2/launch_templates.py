"""Launch templates: their image and instance type, and nothing else; the first version stays the default one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from awsim.api import AwsError, Call
from awsim.iam.need import LaunchFacts
from awsim.rules import rule
from awsim.services.ec2 import filters, image_aliases, pages
from awsim.services.ec2.errors import check_id, missing, not_found, wrong_combination
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import LaunchTemplate, TemplateVersion
from awsim.services.ec2.state import Ec2State

NAMES = rule(
    "ec2-launch-template-name",
    "A launch template's name has 3 to 128 letters, digits and ( ) . - / _, and is the only one in its account and "
    "Region: InvalidLaunchTemplateName.MalformedException, .AlreadyExistsException. [EC2 API reference, error codes]",
)
DEFAULT = rule(
    "ec2-launch-template-default-version",
    "A launch that names a template and no version takes its default version: the first, until somebody changes it. "
    "[botocore ec2 model, LaunchTemplateSpecification, VERIFIED]",
)
OVERWRITES = rule(
    "ec2-launch-overwrites-template",
    "What a launch says itself overwrites what its launch template says. [botocore ec2 model, RunInstancesRequest, "
    "VERIFIED]",
)
CHECKED = rule(
    "ec2-launch-template-parameter-checked",
    "A launch template with resolve:ssm is refused when it is made, as a launch would be, if the parameter does not "
    "exist or is none of data type aws:ec2:image; it keeps the parameter, not the AMI. [aws/aws-cdk#26712, "
    "kent8192/reinhardt-web#2023, VERIFIED]",
)
ONE_RESOLVED = rule(
    "ec2-resolve-alias-of-one-version",
    "DescribeLaunchTemplateVersions shows the parameter that a template names; with ResolveAlias, the AMI that it "
    "means now, for one version a call. [botocore ec2 model, DescribeLaunchTemplateVersionsRequest, VERIFIED; one "
    "version: wata727/packer-plugin-amazon-ami-management#431, UNVERIFIED, as is the code]",
)
NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
PLAYED = {"ImageId", "InstanceType"}
LATEST, FIRST = "$Latest", "$Default"


# --- making ---


def _create(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    name = call.params["LaunchTemplateName"]
    if ec2.on(NAMES):
        if NAME.fullmatch(name) is None:
            why = "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and"
            raise AwsError("InvalidLaunchTemplateName.MalformedException", f"{why} the following: - ( ) . / _.")
        if any(template.name == name for template in of_account(ec2, call)):
            why = "Launch template name already in use."
            raise AwsError("InvalidLaunchTemplateName.AlreadyExistsException", why)
    version = _version(ec2, call, 1)
    made = LaunchTemplate(ec2.new_id("lt"), call.caller.account, call.region, name, (version,))
    return {"LaunchTemplate": _shown(ec2.templates.put(made))}


def _create_version(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    template = _named(ec2, call, call.params)
    version = _version(ec2, call, template.latest.number + 1)
    changed = ec2.templates.put(replace(template, versions=(*template.versions, version)))
    return {"LaunchTemplateVersion": _shown_version(changed, version, version.data)}


def _version(ec2: Ec2State, call: Call, number: int) -> TemplateVersion:
    """Return the version that a call asks for, if it may be made. Raises AwsError."""
    data = {name: value for name, value in call.params.get("LaunchTemplateData", {}).items() if value}
    if not data:
        raise missing("LaunchTemplateData")
    if strange := sorted(data.keys() - PLAYED):
        why = f"The simulator models {' and '.join(sorted(PLAYED))} of a launch template, not {', '.join(strange)}"
        raise AwsError("UnsupportedOperation", why)
    if ec2.on(CHECKED):
        image_aliases.resolve(ec2, call, data.get("ImageId", ""))
    return TemplateVersion(number, data, call.params.get("VersionDescription", ""), ec2.now, call.caller.arn)


# --- using ---


def merged(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    """Return the parameters of a RunInstances call, with those of its launch template. Raises AwsError."""
    spec = call.params.get("LaunchTemplate")
    if not spec:
        return call.params
    usual = FIRST if ec2.on(DEFAULT) else LATEST
    data = _numbered(_named(ec2, call, spec), spec.get("Version") or usual).data
    given = {name: value for name, value in call.params.items() if value}
    return {**data, **given} if ec2.on(OVERWRITES) else {**given, **data}


def launch_facts(ec2: Ec2State, call: Call) -> LaunchFacts:
    """Return what a call that launches, or is about a launch template, names."""
    try:
        template = _named(ec2, call, call.params.get("LaunchTemplate") or call.params).id
    except AwsError:
        template = ""
    try:
        wanted = _image(ec2, call)
        parameter = image_aliases.parameter_of(ec2, wanted)
    except AwsError:
        return LaunchFacts("", "", template)
    try:
        return LaunchFacts(image_aliases.resolve(ec2, call, wanted), parameter, template)
    except AwsError:
        return LaunchFacts("", parameter, template)


def _image(ec2: Ec2State, call: Call) -> str:
    """Return the ImageId that a call is about, as it is written; "" if there is none. Raises AwsError."""
    if call.operation == "RunInstances":
        return str(merged(ec2, call).get("ImageId") or "")
    if call.operation == "DescribeLaunchTemplateVersions":
        resolved = _one_resolved(ec2, call)[1].data if call.params.get("ResolveAlias") else {}
        return resolved.get("ImageId", "")
    return str(call.params.get("LaunchTemplateData", {}).get("ImageId") or "")


def of_account(ec2: Ec2State, call: Call, at: datetime | None = None) -> list[LaunchTemplate]:
    """Return the templates of the caller's account in the call's Region, as they are or as they were at a time."""
    return [one for one in ec2.templates.of(call.caller.account, at) if one.region == call.region]


def _named(ec2: Ec2State, call: Call, spec: Mapping[str, Any], at: datetime | None = None) -> LaunchTemplate:
    """Return the template of an id or a name, of which exactly one must be given. Raises AwsError."""
    template_id, name = spec.get("LaunchTemplateId"), spec.get("LaunchTemplateName")
    if bool(template_id) == bool(name):
        why = "You must specify either the launch template ID or the launch template name, but not both"
        raise wrong_combination(why)
    if template_id:
        check_id(template_id, "lt")
    for template in of_account(ec2, call, at):
        if name == template.name or template_id == template.id:
            return template
    if template_id:
        raise not_found(template_id)
    why = "At least one of the launch templates specified in the request does not exist."
    raise AwsError("InvalidLaunchTemplateName.NotFoundException", why)


def _numbered(template: LaunchTemplate, wanted: str) -> TemplateVersion:
    """Return the version of a template that a number, $Latest or $Default means. Raises AwsError."""
    known = {str(one.number): one for one in template.versions} | {LATEST: template.latest, FIRST: template.default}
    if wanted not in known:
        why = f"Could not find the specified version {wanted} for the launch template with ID {template.id}."
        raise AwsError("InvalidLaunchTemplateId.VersionNotFound", why)
    return known[wanted]


# --- showing ---


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    at = ec2.moment(call)
    named = [{"LaunchTemplateId": one} for one in call.params.get("LaunchTemplateIds", ())]
    named += [{"LaunchTemplateName": one} for one in call.params.get("LaunchTemplateNames", ())]
    found = [_named(ec2, call, one, at) for one in named] if named else of_account(ec2, call, at)
    part, token = pages.filtered(
        ec2, call, [_shown(one) for one in found], lambda template: str(template["LaunchTemplateId"]), FIELDS, least=1
    )
    return pages.answer("LaunchTemplates", part, token)


def _describe_versions(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    at = ec2.moment(call)
    if call.params.get("ResolveAlias") and ec2.on(ONE_RESOLVED):
        template, version = _one_resolved(ec2, call, at)
        seen = {name: image_aliases.resolve(ec2, call, value) for name, value in version.data.items()}
        return pages.answer("LaunchTemplateVersions", [_shown_version(template, version, seen)], None)
    shown = [_shown_version(template, version, version.data) for template, version in _versions(ec2, call, at)]
    part, token = pages.page(ec2, call, shown, lambda one: f"{one['LaunchTemplateId']}/{one['VersionNumber']}", least=1)
    return pages.answer("LaunchTemplateVersions", part, token)


def _versions(ec2: Ec2State, call: Call, at: datetime) -> list[tuple[LaunchTemplate, TemplateVersion]]:
    """Return versions of one template, or the latest and default ones of all. Raises AwsError."""
    wanted = set(call.params.get("Versions", ()))
    if call.params.get("LaunchTemplateId") or call.params.get("LaunchTemplateName"):
        templates = [_named(ec2, call, call.params, at)]
    elif wanted and wanted <= {LATEST, FIRST}:
        templates = of_account(ec2, call, at)
    else:
        raise wrong_combination("Without a launch template, Versions must be $Latest or $Default")
    found = []
    for template in templates:
        numbers = {_numbered(template, one).number for one in wanted}
        found += [(template, version) for version in template.versions if not wanted or version.number in numbers]
    return found


def _one_resolved(ec2: Ec2State, call: Call, at: datetime | None = None) -> tuple[LaunchTemplate, TemplateVersion]:
    """Return the version whose parameter a call has resolved. Raises AwsError unless it names exactly one."""
    if len(call.params.get("Versions", ())) != 1:
        raise wrong_combination("With ResolveAlias, name one version of one launch template")
    template = _named(ec2, call, call.params, at)
    return template, _numbered(template, call.params["Versions"][0])


def _shown(template: LaunchTemplate) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": template.default.created,
        "CreatedBy": template.default.by,
        "DefaultVersionNumber": template.default.number,
        "LatestVersionNumber": template.latest.number,
    }


def _shown_version(template: LaunchTemplate, version: TemplateVersion, data: Mapping[str, str]) -> dict[str, Any]:
    described = {"VersionDescription": version.description} if version.description else {}
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        **described,
        "CreateTime": version.created,
        "CreatedBy": version.by,
        "DefaultVersion": version == template.default,
        "LaunchTemplateData": dict(data),
    }


FIELDS: filters.Fields = {"launch-template-name": filters.member("LaunchTemplateName")}
OPERATIONS = {
    "CreateLaunchTemplate": Operation(_create, "LaunchTemplateName LaunchTemplateData VersionDescription ClientToken"),
    "CreateLaunchTemplateVersion": Operation(
        _create_version, "LaunchTemplateId LaunchTemplateName LaunchTemplateData VersionDescription ClientToken"
    ),
    "DescribeLaunchTemplates": Operation(
        _describe, "LaunchTemplateIds LaunchTemplateNames Filters MaxResults NextToken"
    ),
    "DescribeLaunchTemplateVersions": Operation(
        _describe_versions, "LaunchTemplateId LaunchTemplateName Versions ResolveAlias MaxResults NextToken"
    ),
}
