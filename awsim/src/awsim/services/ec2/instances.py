"""Launching: RunInstances, and whether an image can be launched, and why not.

The image is named by its id or by a parameter, in the call or in a launch template. One instance a call, with one
network interface; it cannot be started again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from awsim.api import AwsError, Call, Caller
from awsim.iam.match import Values
from awsim.iam.need import LaunchFacts
from awsim.rules import rule
from awsim.services.ec2 import (
    image_aliases,
    instance_types,
    keys,
    launch_templates,
    lifecycle,
    networks,
    settings,
    tags,
)
from awsim.services.ec2.access import may_see
from awsim.services.ec2.errors import check_id, missing, not_found, wrong_combination
from awsim.services.ec2.facts import vpc_arn
from awsim.services.ec2.notices import arn
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import NOTHING, Ec2Image, Ec2Snapshot, Instance, Volume
from awsim.services.ec2.state import Ec2State

PERMITTED = rule(
    "ec2-launch-needs-permission",
    "Only its owner and those with a launch permission may launch an image: AuthFailure, 'Not authorized for images'; "
    "its snapshots need not be shared [aws-facts 4, VERIFIED; words: hashicorp/otto#68]",
)
AVAILABLE = rule(
    "ec2-launch-needs-available-image",
    "A pending, failed or disabled image is not launched: InvalidAMIID.Unavailable "
    "[aws-facts 8, VERIFIED for disabled; code UNVERIFIED]",
)
SOURCE_KEY = rule(
    "ec2-launch-needs-source-key",
    "Who launches an image with encrypted snapshots needs DescribeKey, CreateGrant, Decrypt, "
    "GenerateDataKeyWithoutPlaintext and ReEncrypt on their keys; without, the instance goes from pending to "
    "terminated: Client.InternalError [EBS user guide, ebs-encryption-requirements; re:Post kms-launch-ec2-instance]",
)
VOLUME_KEY = rule(
    "ec2-launch-needs-volume-key",
    "A new volume is encrypted under the key that the launch names, else under the snapshot's key if that is the "
    "account's own, else under the account's default EBS key; the launcher needs the same rights on it "
    "[EBS user guide, encryption outcomes; the split into ReEncryptFrom and ReEncryptTo UNVERIFIED]",
)
KEY_STATE = rule(
    "ec2-launch-key-state",
    "A launch with a key that is disabled or to be deleted ends as Client.InvalidKMSKey.InvalidState "
    "[EC2 user guide, StateReason, UNVERIFIED]",
)
TOKEN = rule(
    "ec2-launch-client-token",
    "RunInstances with a client token that was used answers with the same instance, as it is now, and launches none; "
    "with other parameters IdempotentParameterMismatch. A token is good for at least 24 hours after the end of its "
    "instance. [EC2 API reference, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html"
    ", VERIFIED; that a refused launch leaves its token free is not so for want of capacity, else UNVERIFIED]",
)
TOKEN_OVER = rule(
    "ec2-launch-client-token-terminated",
    "RunInstances with the client token of an instance that is terminated: IdempotentInstanceTerminated. [EC2 API "
    "reference, error codes; aws-facts 4, launches, VERIFIED]",
)
VCPUS = rule(
    "ec2-launch-vcpu-quota",
    "A launch beyond the account's vCPUs of a Region is refused: VcpuLimitExceeded. [EC2 API reference, error codes, "
    "VERIFIED; the instance families have a quota each, here it is one for all]",
)
CAPACITY = rule(
    "ec2-launch-needs-capacity",
    "Where AWS has no instance of a type left, a launch is refused: InsufficientInstanceCapacity, a server error, so "
    "that the SDK tries again. [EC2 API reference, error codes, VERIFIED; HTTP 500 UNVERIFIED]",
)
BLANK_SIZE = rule(
    "ec2-launch-blank-needs-size",
    "A launch that names a device without a snapshot must say its size: MissingParameter, 'The request must contain "
    "the parameter size or snapshotId' [getmoto/moto#2949, hashicorp/packer#7802; UNVERIFIED: that EC2 does not take "
    "the size of the image's mapping]",
)
NO_RIGHT = ("Client.InternalError", "Client.InternalError: Client error on launch")
BAD_KEY = (
    "Client.InvalidKMSKey.InvalidState",
    "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
)
COMMON = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext")
Reason = tuple[str, str]
GOOD: Reason = ("", "")
Changes = Mapping[str, Mapping[str, Any]]
"""What a launch changes in an image's mappings: members of Ebs, by device."""
CHANGED = {"Encrypted", "KmsKeyId", "DeleteOnTermination"}
OF_BLANK = {"VolumeSize", "VolumeType", "Iops", "Throughput"}
"""Modelled for devices without a snapshot alone."""
TAGGED = ("instance", "volume", "network-interface")


def _run_instances(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    if twin := _twin(ec2, call):
        return lifecycle.reservation(call, lifecycle.shown(ec2, twin))
    params = launch_templates.merged(ec2, call)
    if (params.get("MinCount"), params.get("MaxCount")) != (1, 1):
        raise AwsError("UnsupportedOperation", "The simulator launches one instance per call")
    image, changes = _wanted(ec2, call, params)
    kind = params.get("InstanceType", instance_types.USUAL)
    instance_types.check(ec2, kind, image)
    instance_types.check_room(ec2, kind, len(list(_volumes(ec2, image, changes))))
    place = networks.chosen(ec2, call, params)
    instance = Instance(
        id="",
        owner=call.caller.account,
        region=call.region,
        image=image.id,
        started=ec2.now,
        type=kind,
        subnet=place.subnet,
        groups=place.groups,
        public=place.public,
        tokens=_tokens(params, image),
        on_shutdown=params.get("InstanceInitiatedShutdownBehavior") or "stop",
        token=params.get("ClientToken", ""),
    )
    wanted = {one: tags.at_creation(ec2, call, one, *(other for other in TAGGED if other != one)) for one in TAGGED}
    _check_capacity(ec2, instance)
    made = ec2.instances.put(replace(instance, id=ec2.new_id("i"), interface=ec2.new_id("eni")))
    _attach(ec2, made, image, changes, wanted["volume"])
    for resource, given in ((made.id, wanted["instance"]), (made.interface, wanted["network-interface"])):
        tags.put_tags(ec2, made.owner, made.region, resource, add=given)
    if made.token:
        ec2.launch_tokens[made.owner, made.region, made.token] = (_parameters(call), made.id)
    ec2.after(ec2.pace.launch, lambda: _start(ec2, call.caller, made.id, image, changes), f"{made.id} starts")
    return lifecycle.reservation(call, lifecycle.shown(ec2, made))


def _twin(ec2: Ec2State, call: Call) -> Instance | None:
    """Return the instance that was launched with this client token; one that is no longer shown, as terminated."""
    known = ec2.launch_tokens.get((call.caller.account, call.region, call.params.get("ClientToken", "")))
    if known is None or not ec2.on(TOKEN):
        return None
    parameters, instance_id = known
    if parameters != _parameters(call):
        why = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
        raise AwsError("IdempotentParameterMismatch", why)
    twin = ec2.instances.last(instance_id)
    if twin is not None and twin.state == "terminated" and ec2.on(TOKEN_OVER):
        over = "The client token you have provided is associated with a terminated instance."
        why = f"{over} Please use a different client token."
        raise AwsError("IdempotentInstanceTerminated", why)
    return twin


def _parameters(call: Call) -> str:
    return repr(sorted((k, v) for k, v in call.params.items() if k not in {"ClientToken", "DryRun"}))


def _tokens(params: Mapping[str, Any], image: Ec2Image) -> str:
    """Return whether the metadata service will require session tokens."""
    options = params.get("MetadataOptions", NOTHING)
    if strange := sorted(options.keys() - {"HttpTokens", "HttpEndpoint", "HttpPutResponseHopLimit"}):
        raise AwsError("UnsupportedOperation", f"The simulator does not model {', '.join(strange)} of MetadataOptions")
    usual = "required" if image.members.get("ImdsSupport") == "v2.0" else "optional"
    return str(options.get("HttpTokens") or usual)


def _check_capacity(ec2: Ec2State, instance: Instance) -> None:
    """Refuse a launch for which the subnet has no address, the account no vCPUs left, or AWS no instance."""
    networks.check_room(ec2, instance.subnet)
    most = ec2.vcpus.get((instance.owner, instance.region))
    if most is not None and ec2.on(VCPUS):
        running = [one for one in ec2.instances.of(instance.owner) if one.region == instance.region]
        used = sum(instance_types.vcpus(one.type) for one in running if one.state in {"pending", "running"})
        if used + instance_types.vcpus(instance.type) > most:
            why = f"You have requested more vCPU capacity than your current vCPU limit of {most} allows"
            raise AwsError("VcpuLimitExceeded", f"{why} for the instance bucket that the specified instance type has.")
    if (instance.region, instance.type) in ec2.exhausted and ec2.on(CAPACITY):
        why = f"We currently do not have sufficient {instance.type} capacity in the Availability Zone you requested"
        raise AwsError("InsufficientInstanceCapacity", f"{why} ({instance.subnet.zone}).", 500)


def _attach(ec2: Ec2State, instance: Instance, image: Ec2Image, changes: Changes, wanted: Mapping[str, str]) -> None:
    """Make the volumes of a new instance."""
    for device, snapshot, ebs in _volumes(ec2, image, changes):
        named = _volume_key(ec2, instance.owner, instance.region, snapshot, ebs)
        volume = Volume(
            id=ec2.new_id("vol"),
            owner=instance.owner,
            region=instance.region,
            zone=instance.subnet.zone,
            size=ebs.get("VolumeSize") or (snapshot.size if snapshot else 0),
            created=ec2.now,
            type=ebs.get("VolumeType", "gp2"),
            iops=ebs.get("Iops"),
            throughput=ebs.get("Throughput"),
            key=_arn(ec2, instance.owner, instance.region, named) or named if named else None,
            snapshot=snapshot.id if snapshot else "",
            state="in-use",
            instance=instance.id,
            device=device,
            ends_with_instance=ebs.get("DeleteOnTermination", False),
        )
        ec2.volumes.put(volume)
        tags.put_tags(ec2, instance.owner, instance.region, volume.id, add=wanted)


def _start(ec2: Ec2State, caller: Caller, instance_id: str, image: Ec2Image, changes: Changes) -> None:
    """Let an instance run, or terminate it because its volumes cannot be made."""
    instance = ec2.instances.get(instance_id)
    if instance is None or instance.state != "pending":
        return
    reason = _trouble(ec2, caller, image, changes)
    if reason == GOOD:
        lifecycle.begin(ec2, instance_id)
    else:
        lifecycle.end(ec2, instance_id, reason=reason)


def _wanted(ec2: Ec2State, call: Call, params: Mapping[str, Any]) -> tuple[Ec2Image, Changes]:
    """Return the image to launch and its changes, if the caller may launch it so. Raises AwsError."""
    if not params.get("ImageId"):
        raise missing("ImageId")
    image = _image(ec2, call, image_aliases.resolve(ec2, call, params["ImageId"]))
    changes = _changes(params)
    _check_changes(ec2, image, changes)
    return image, changes


def _changes(params: Mapping[str, Any]) -> Changes:
    given = params.get("BlockDeviceMappings", ())
    return {mapping.get("DeviceName", ""): mapping.get("Ebs", NOTHING) for mapping in given}


def _image(ec2: Ec2State, call: Call, wanted: str) -> Ec2Image:
    """Return the image of an id, if the caller may launch it."""
    check_id(wanted, "ami")
    image = ec2.images.get(wanted)
    if image is None or image.region != call.region or image.state == "deregistered":
        raise not_found(wanted)
    if not may_see(ec2, call.caller.account, image) and ec2.on(PERMITTED):
        raise AwsError("AuthFailure", f"Not authorized for images: [{wanted}]")
    if not settings.may_use(ec2, call.caller.account, call.region, image):
        raise not_found(wanted)
    if image.state != "available" and ec2.on(AVAILABLE):
        raise AwsError("InvalidAMIID.Unavailable", f"The image ID '{wanted}' is not available")
    return image


def _check_changes(ec2: Ec2State, image: Ec2Image, changes: Changes) -> None:
    """Refuse what a launch cannot change in an image's mappings."""
    devices = {mapping["DeviceName"]: mapping.get("Ebs", NOTHING) for mapping in image.mappings}
    for device, ebs in changes.items():
        changed = CHANGED if "SnapshotId" in devices.get(device, NOTHING) else CHANGED | OF_BLANK
        if device not in devices or ebs.keys() - changed:
            why = f"The simulator models {', '.join(sorted(changed))} of the image's devices at launch"
            raise AwsError("UnsupportedOperation", f"{why}, not this of {device}")
        if ebs.get("KmsKeyId") and not ebs.get("Encrypted"):
            raise wrong_combination("The parameter KmsKeyId requires the parameter Encrypted to be set.")
        if not ("SnapshotId" in devices[device] or ebs.get("VolumeSize")) and ec2.on(BLANK_SIZE):
            raise AwsError("MissingParameter", "The request must contain the parameter size or snapshotId")


def _volumes(
    ec2: Ec2State, image: Ec2Image, changes: Changes
) -> Iterator[tuple[str, Ec2Snapshot | None, Mapping[str, Any]]]:
    """Yield each volume that a launch makes: its device, its snapshot, and the members of its Ebs."""
    for mapping in image.mappings:
        if "Ebs" in mapping:
            snapshot = ec2.snapshots.get(mapping["Ebs"].get("SnapshotId", ""))
            change = changes.get(mapping["DeviceName"], NOTHING)
            yield mapping["DeviceName"], snapshot, {**mapping["Ebs"], **change}


def _trouble(ec2: Ec2State, caller: Caller, image: Ec2Image, changes: Changes) -> Reason:
    """Return why the image's volumes cannot be made for a caller now."""
    for _, snapshot, ebs in _volumes(ec2, image, changes):
        found = _volume_trouble(ec2, caller, image.region, snapshot, ebs)
        if found != GOOD:
            return found
    return GOOD


def _volume_trouble(
    ec2: Ec2State, caller: Caller, region: str, snapshot: Ec2Snapshot | None, change: Mapping[str, Any]
) -> Reason:
    source = snapshot.key if snapshot else None
    if source is not None and snapshot is not None:
        found = _key_trouble(ec2, caller, (*COMMON, "kms:ReEncryptFrom"), source, region, snapshot.id)
        if found != GOOD and ec2.on(SOURCE_KEY):
            return found
    target = _volume_key(ec2, caller.account, region, snapshot, change)
    if target is None or not ec2.on(VOLUME_KEY):
        return GOOD
    arn = target if target.startswith("arn:") else _arn(ec2, caller.account, region, target)
    return _key_trouble(ec2, caller, (*COMMON, "kms:ReEncryptTo"), arn, region, "vol-new") if arn else NO_RIGHT


def _volume_key(
    ec2: Ec2State, account: str, region: str, snapshot: Ec2Snapshot | None, change: Mapping[str, Any]
) -> str | None:
    """Return the key that a new volume's mapping names; None if the volume is not encrypted."""
    source = snapshot.key if snapshot else None
    always = (account, region) in ec2.encrypted_by_default
    if not (change.get("Encrypted") or source or always):
        return None
    own = source if source and source.split(":")[4] == account else None
    named: str | None = change.get("KmsKeyId")
    return named or own or keys.default(ec2, account, region)


def _arn(ec2: Ec2State, account: str, region: str, named: str) -> str | None:
    try:
        return str(ec2.kms.describe(account, region, named).arn)
    except AwsError:
        return None


def _key_trouble(ec2: Ec2State, caller: Caller, actions: Sequence[str], arn: str, region: str, what: str) -> Reason:
    try:
        enabled = ec2.kms.describe(caller.account, region, arn).enabled
    except AwsError:
        return NO_RIGHT
    if not enabled and ec2.on(KEY_STATE):
        return BAD_KEY
    return GOOD if keys.may(ec2, caller, tuple(actions), arn, region, what) else NO_RIGHT


def launch_trouble(ec2: Ec2State, call: Call) -> str:
    """Return why the instance of a RunInstances call would not run now; "" if it would. Raises AwsError."""
    found, changes = _wanted(ec2, call, launch_templates.merged(ec2, call))
    _, text = _trouble(ec2, call.caller, found, changes)
    return text


def launch_facts(ec2: Ec2State, call: Call) -> LaunchFacts:
    """Return what a call that launches, or is about a launch template, names."""
    named = launch_templates.launch_facts(ec2, call)
    if call.operation != "RunInstances":
        return named
    try:
        params = launch_templates.merged(ec2, call)
        place = networks.chosen(ec2, call, params)
    except AwsError:
        return named
    subnet = place.subnet
    zone: dict[str, Values] = {"ec2:availabilityzone": subnet.zone}
    instance = {**zone, "ec2:instancetype": params.get("InstanceType", instance_types.USUAL), "ec2:tenancy": "default"}
    if tokens := params.get("MetadataOptions", NOTHING).get("HttpTokens"):
        instance["ec2:metadatahttptokens"] = tokens
    where = {"ec2:subnet": arn(subnet.region, subnet.owner, subnet.id), "ec2:vpc": vpc_arn(subnet)}
    interface: dict[str, Values] = {**zone, **where}
    for one in params.get("NetworkInterfaces", ()):
        if one.get("AssociatePublicIpAddress") is not None:
            interface["ec2:associatepublicipaddress"] = str(one["AssociatePublicIpAddress"]).lower()
    image = ec2.images.get(named.image)
    volumes = [
        {**zone, **_volume_facts(snapshot, ebs)}
        for _, snapshot, ebs in (_volumes(ec2, image, _changes(params)) if image else ())
    ]
    return replace(
        named, subnet=subnet.id, groups=place.groups, instance=instance, interface=interface, volumes=tuple(volumes)
    )


def _volume_facts(snapshot: Ec2Snapshot | None, ebs: Mapping[str, Any]) -> dict[str, Values]:
    size = ebs.get("VolumeSize") or (snapshot.size if snapshot else 0)
    facts: dict[str, Values] = {"ec2:volumesize": str(size), "ec2:volumetype": ebs.get("VolumeType", "gp2")}
    facts["ec2:encrypted"] = str(bool(ebs.get("Encrypted"))).lower()
    if ebs.get("KmsKeyId"):
        facts["ec2:kmskeyid"] = ebs["KmsKeyId"]
    if snapshot:
        facts["ec2:parentsnapshot"] = f"arn:aws:ec2:{snapshot.region}::snapshot/{snapshot.id}"
    return facts


OPERATIONS = {
    "RunInstances": Operation(
        _run_instances,
        "ImageId LaunchTemplate MinCount MaxCount InstanceType BlockDeviceMappings ClientToken TagSpecifications "
        "NetworkInterfaces SubnetId SecurityGroupIds MetadataOptions InstanceInitiatedShutdownBehavior",
    ),
}
