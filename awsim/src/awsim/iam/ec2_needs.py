"""The permissions that EC2's calls need. ARNs of snapshots and images have no account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from awsim.api import Call
from awsim.iam.match import Values
from awsim.iam.need import Facts, NeededPermission, Needs, parameter_arn
from awsim.rules import rule

TAG_ON_CREATE = rule(
    "ec2-tag-on-create-needs-create-tags",
    "Tags in a creating call need ec2:CreateTags on the new resource, with ec2:CreateAction naming the call. "
    "[EC2 user guide: grant permission to tag on creation; for CopySnapshot aws-facts 2, VERIFIED]",
)
SOURCE_TOO = rule(
    "ec2-copy-snapshot-authorised-on-source",
    "CopySnapshot is authorised on the source snapshot and on the new one, both ARNs without an account. "
    "[aws-facts 2, VERIFIED]",
)
COPY_IMAGE_ON_ALL = rule(
    "ec2-copy-image-authorised-on-all",
    "CopyImage is authorised on the source image and its snapshots, on the new image and on the new snapshots; it "
    "needs no ec2:CopySnapshot. [aws-facts 5; Service authorization reference, EC2: CopyImage, VERIFIED]",
)
OWN_NEW_IMAGE = rule(
    "ec2-new-image-has-its-makers-account",
    "For the new image RegisterImage has the caller's account in ec2:Owner. [aws-facts 5, VERIFIED]",
)
REGISTER_SNAPSHOTS = rule(
    "ec2-register-image-authorised-on-snapshots",
    "RegisterImage is authorised on the new image and on each snapshot of its mappings. "
    "[Service authorization reference, EC2: RegisterImage]",
)
RESOURCE_TAGS = rule(
    "ec2-resource-tag-conditions",
    "aws:ResourceTag and ec2:ResourceTag are the tags that are on the resource when the call is made. "
    "[Service authorization reference, EC2: condition keys]",
)

ATTRIBUTE = rule(
    "ec2-modify-image-attribute-names-attribute",
    "ModifyImageAttribute has ec2:Attribute, the member that is changed. ModifySnapshotAttribute has none, though it "
    "is listed there, too. [EC2 user guide: condition keys, ec2:Attribute; for snapshots aws-facts 4, VERIFIED; the "
    "letters' case UNVERIFIED]",
)

OLDER_FORM = rule(
    "ec2-older-sharing-parameters-fill-keys",
    "ModifySnapshotAttribute has the accounts and groups in ec2:Add/userId, ec2:Remove/userId, ec2:Add/group and "
    "ec2:Remove/group also where the request names them by OperationType, UserIds and GroupNames, not by "
    "CreateVolumePermission. [aws-facts 4, VERIFIED for accounts, UNVERIFIED for groups]",
)

RESOLVING = rule(
    "ec2-resolve-needs-get-parameters",
    "Who launches by resolve:ssm, makes a launch template with it, or lets DescribeLaunchTemplateVersions resolve it, "
    "needs ssm:GetParameters on the parameter, which is asked before the right on the image. [Auto Scaling guide, "
    "https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html; a denial in "
    "hotosm/tasking-manager#6514, VERIFIED; the order, and EC2's own words for the refusal UNVERIFIED]",
)
ON_TEMPLATE = rule(
    "ec2-launch-authorised-on-template",
    "RunInstances with a launch template is authorised on the template, too, and on all that it names. [Service "
    "authorization reference, EC2: RunInstances; EC2 user guide, "
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/permissions-for-launch-templates.html, VERIFIED]",
)
ON_NETWORK = rule(
    "ec2-launch-authorised-on-network",
    "RunInstances is authorised on the subnet, the new network interface and the security groups, too, also on the "
    "default ones where the call names none, and on no snapshot. [aws-facts, CopyImage and launches, VERIFIED; for the "
    "default ones UNVERIFIED]",
)
LAUNCH_KEYS = rule(
    "ec2-launch-condition-keys",
    "RunInstances has ec2:InstanceType and ec2:MetadataHttpTokens for the instance, ec2:AssociatePublicIpAddress for "
    "the network interface, the second and third only if the call says them. [Service authorization reference, EC2: "
    "RunInstances; absent where not said: hashicorp/packer-plugin-amazon#280, VERIFIED for the address]",
)
VOLUME_KEYS = rule(
    "ec2-launch-authorised-on-each-volume",
    "RunInstances is authorised on each new volume with its own ec2:Encrypted, which is true only if the call says so, "
    "although the snapshot may be encrypted. [Service authorization reference, EC2: RunInstances; UNVERIFIED: policies "
    "are reported that refuse launches which do not say it, awslabs/engineering-development-hub#132]",
)
REFERRING = rule(
    "ec2-image-references-need-rights-on-each-kind",
    "DescribeImageReferences needs, besides its own right, those to list each kind of resource that it is asked for. "
    "[EC2 user guide, https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html, VERIFIED; that "
    "without one the call is refused, and that kinds that it is not asked for need none: UNVERIFIED]",
)
CALLED_VIA = rule(
    "ec2-image-references-called-via",
    "These rights are asked for with aws:CalledVia ec2-images.amazonaws.com, which the managed policy "
    "AmazonEC2ImageReferencesAccessPolicy tests. [AWS managed policy reference, "
    "https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEC2ImageReferencesAccessPolicy.html, "
    "VERIFIED]",
)
REFERENCES = {
    "ec2:Instance": ("ec2:DescribeInstances",),
    "ec2:LaunchTemplate": ("ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"),
    "ssm:Parameter": ("ssm:DescribeParameters", "ssm:GetParameters"),
    "imagebuilder:ImageRecipe": ("imagebuilder:ListImageRecipes",),
    "imagebuilder:ContainerRecipe": ("imagebuilder:ListContainerRecipes", "imagebuilder:GetContainerRecipe"),
}
"""Kinds of resources that DescribeImageReferences looks at, and what each needs."""

PLAIN = {
    "snap": "snapshot",
    "ami": "image",
    "vol": "volume",
    "i": "instance",
    "lt": "launch-template",
    "subnet": "subnet",
    "sg": "security-group",
    "eni": "network-interface",
}


def arn(call: Call, resource_id: str, region: str | None = None) -> str:
    """Return a resource's ARN as IAM uses it; only those of snapshots and images have no account."""
    kind = PLAIN.get(resource_id.split("-", 1)[0], "*")
    account = "" if kind in {"snapshot", "image"} else call.caller.account
    return f"arn:aws:ec2:{region or call.region}:{account}:{kind}/{resource_id}"


def _on(
    facts: Facts, call: Call, action: str, resource_id: str, extra: Mapping[str, Values] | None = None
) -> NeededPermission:
    context = {**_about(facts, call, resource_id, call.region), **(extra or {})}
    return NeededPermission(f"ec2:{action}", arn(call, resource_id), context)


def _about(facts: Facts, call: Call, resource_id: str, region: str) -> dict[str, Values]:
    """Return the condition keys of a resource; its tags count for their own account only."""
    known = facts.ec2.iam_facts(resource_id, region)
    if known is None:
        return {}
    context: dict[str, Values] = {key.lower(): value for key, value in known.conditions.items()}
    if known.owner == call.caller.account and facts.rules.on(RESOURCE_TAGS):
        for key, value in known.tags.items():
            context[f"aws:resourcetag/{key.lower()}"] = context[f"ec2:resourcetag/{key.lower()}"] = value
    return context


def _tags(call: Call, kind: str) -> dict[str, str]:
    return {
        tag["Key"]: tag.get("Value", "")
        for given in call.params.get("TagSpecifications", [])
        if given.get("ResourceType") == kind
        for tag in given.get("Tags", [])
    }


def asked_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    """Return the condition keys of the tags in a request."""
    context: dict[str, Values] = {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
    return {**context, "aws:tagkeys": list(tags)} if tags else context


def _created(facts: Facts, call: Call, kind: str, *members: Mapping[str, Values]) -> Iterator[NeededPermission]:
    """Return the permissions for new resources of a kind, by default one; ``members`` are their condition keys.

    Their ARNs end in ``*``, as their ids are not known yet.
    """
    tags = _tags(call, kind)
    account = "" if kind in {"snapshot", "image"} else call.caller.account
    new = f"arn:aws:ec2:{call.region}:{account}:{kind}/*"
    for context in members or ({},):
        yield NeededPermission(f"ec2:{call.operation}", new, {**context, **asked_tags(tags)})
    if tags and facts.rules.on(TAG_ON_CREATE):
        yield NeededPermission("ec2:CreateTags", new, {**asked_tags(tags), "ec2:createaction": call.operation})


def _copy_snapshot(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    source, region = call.params["SourceSnapshotId"], call.params["SourceRegion"]
    if facts.rules.on(SOURCE_TOO):
        yield NeededPermission("ec2:CopySnapshot", arn(call, source, region), _about(facts, call, source, region))
    yield from _created(facts, call, "snapshot")


def _copy_image(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    source, region = call.params["SourceImageId"], call.params["SourceRegion"]
    if facts.rules.on(COPY_IMAGE_ON_ALL):
        for part in (source, *facts.ec2.snapshots_of(source, region)):
            yield NeededPermission("ec2:CopyImage", arn(call, part, region), _about(facts, call, part, region))
        yield from _created(facts, call, "snapshot")
    yield from _created(facts, call, "image")


def _run_instances(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    launch = facts.ec2.launch_facts(call)
    if launch.template and facts.rules.on(ON_TEMPLATE):
        yield _on(facts, call, "RunInstances", launch.template)
    yield from _resolving(facts, call, launch.parameter)
    if launch.image:
        yield _on(facts, call, "RunInstances", launch.image)
    keys = facts.rules.on(LAUNCH_KEYS)
    yield from _created(facts, call, "instance", launch.instance if keys else {})
    yield from _created(facts, call, "volume", *(launch.volumes if facts.rules.on(VOLUME_KEYS) else ()))
    if facts.rules.on(ON_NETWORK):
        for named in (launch.subnet, *launch.groups) if launch.subnet else ():
            yield _on(facts, call, "RunInstances", named)
        yield from _created(facts, call, "network-interface", launch.interface if keys else {})


def _resolving(facts: Facts, call: Call, parameter: str) -> Iterator[NeededPermission]:
    """Return the permission to read the parameter that names an AMI, if one does."""
    if parameter and facts.rules.on(RESOLVING):
        yield NeededPermission("ssm:GetParameters", parameter_arn(call, parameter))


def _create_template(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    yield from _created(facts, call, "launch-template")
    yield from _resolving(facts, call, facts.ec2.launch_facts(call).parameter)


def _create_template_version(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    launch = facts.ec2.launch_facts(call)
    yield _on(facts, call, call.operation, launch.template or "lt-*")
    yield from _resolving(facts, call, launch.parameter)


def _describe_template_versions(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    yield from _any(facts, call)
    yield from _resolving(facts, call, facts.ec2.launch_facts(call).parameter)


def _describe_references(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    yield from _any(facts, call)
    everything = call.params.get("IncludeAllResourceTypes")
    kinds = REFERENCES if everything else [one["ResourceType"] for one in call.params.get("ResourceTypes", ())]
    context = {"aws:calledvia": ["ec2-images.amazonaws.com"]} if facts.rules.on(CALLED_VIA) else {}
    if facts.rules.on(REFERRING):
        for action in (action for kind in kinds for action in REFERENCES.get(kind, ())):
            yield NeededPermission(action, "*", context)


def _register_image(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    own: dict[str, Values] = {"ec2:owner": call.caller.account}
    yield from _created(facts, call, "image", own if facts.rules.on(OWN_NEW_IMAGE) else {})
    if facts.rules.on(REGISTER_SNAPSHOTS):
        for mapping in call.params.get("BlockDeviceMappings", []):
            snapshot = mapping.get("Ebs", {}).get("SnapshotId")
            if snapshot:
                yield _on(facts, call, "RegisterImage", snapshot)


def _create_snapshot(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    yield _on(facts, call, "CreateSnapshot", call.params["VolumeId"])
    yield from _created(facts, call, "snapshot")


def _create_volume(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    yield from _created(facts, call, "volume")


def _retag(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    tags = {tag["Key"]: tag.get("Value", "") for tag in call.params.get("Tags", [])}
    for resource_id in call.params["Resources"]:
        yield _on(facts, call, call.operation, resource_id, asked_tags(tags))


def _share(facts: Facts, call: Call) -> Iterator[NeededPermission]:
    """Return the permission for adding or removing accounts and groups, in either form of the parameters.

    AWS lists these condition keys for snapshots only, so for AMIs they are absent [service authorization reference,
    EC2].
    """
    given = call.params.get("CreateVolumePermission") or {}
    context: dict[str, Values] = {}
    for verb in ("Add", "Remove") if "SnapshotId" in call.params else ():
        users = [entry["UserId"] for entry in given.get(verb, []) if "UserId" in entry]
        groups = [entry["Group"] for entry in given.get(verb, []) if "Group" in entry]
        older = str(call.params.get("OperationType", "")).lower() == verb.lower()
        if older and facts.rules.on(OLDER_FORM):
            users += call.params.get("UserIds", [])
            groups += call.params.get("GroupNames", [])
        if users:
            context[f"ec2:{verb.lower()}/userid"] = users
        if groups:
            context[f"ec2:{verb.lower()}/group"] = groups
    kind = "SnapshotId" if "SnapshotId" in call.params else "ImageId"
    if kind == "ImageId" and facts.rules.on(ATTRIBUTE):
        written = (name for name in ("LaunchPermission", "Description", "ImdsSupport") if name in call.params)
        context["ec2:attribute"] = str(call.params.get("Attribute") or next(written, ""))
    yield _on(facts, call, call.operation, call.params[kind], context)


def _one(member: str) -> Needs:
    def needs(facts: Facts, call: Call) -> list[NeededPermission]:
        return [_on(facts, call, call.operation, call.params[member])]

    return needs


def _each_instance(facts: Facts, call: Call) -> list[NeededPermission]:
    return [_on(facts, call, call.operation, instance) for instance in call.params["InstanceIds"]]


def _any(_facts: Facts, call: Call) -> list[NeededPermission]:
    return [NeededPermission(f"ec2:{call.operation}", "*")]


def _each(names: str, needs: Any) -> dict[str, Needs]:
    return {f"ec2:{name}": needs for name in names.split()}


TABLE: dict[str, Needs] = {
    **_each(
        "DescribeImages DescribeSnapshots DescribeVolumes DescribeTags DescribeRegions DescribeSnapshotTierStatus "
        "DescribeInstances DescribeInstanceStatus DescribeInstanceTypes DescribeSubnets DescribeSecurityGroups "
        "DescribeLaunchTemplates",
        _any,
    ),
    **_each("GetEbsEncryptionByDefault GetEbsDefaultKmsKeyId GetAllowedImagesSettings", _any),
    **_each("GetSnapshotBlockPublicAccessState GetImageBlockPublicAccessState", _any),
    **_each("EnableSnapshotBlockPublicAccess DisableSnapshotBlockPublicAccess", _any),
    **_each("EnableImageBlockPublicAccess DisableImageBlockPublicAccess", _any),
    **_each("DescribeImageAttribute DeregisterImage EnableImageDeprecation DisableImageDeprecation", _one("ImageId")),
    **_each("DisableImage EnableImage ResetImageAttribute", _one("ImageId")),
    **_each("EnableImageDeregistrationProtection DisableImageDeregistrationProtection", _one("ImageId")),
    **_each("DescribeSnapshotAttribute DeleteSnapshot ResetSnapshotAttribute", _one("SnapshotId")),
    **_each("RestoreSnapshotFromRecycleBin", _one("SnapshotId")),
    **_each("RestoreImageFromRecycleBin", _one("ImageId")),
    **_each("DeleteVolume", _one("VolumeId")),
    **_each("GetConsoleOutput", _one("InstanceId")),
    "ec2:TerminateInstances": _each_instance,
    **_each("ModifySnapshotAttribute ModifyImageAttribute", _share),
    **_each("CreateTags DeleteTags", _retag),
    "ec2:CopySnapshot": _copy_snapshot,
    "ec2:CopyImage": _copy_image,
    "ec2:RunInstances": _run_instances,
    "ec2:CreateLaunchTemplate": _create_template,
    "ec2:CreateLaunchTemplateVersion": _create_template_version,
    "ec2:DescribeLaunchTemplateVersions": _describe_template_versions,
    "ec2:DescribeImageReferences": _describe_references,
    "ec2:RegisterImage": _register_image,
    "ec2:CreateSnapshot": _create_snapshot,
    "ec2:CreateVolume": _create_volume,
}
