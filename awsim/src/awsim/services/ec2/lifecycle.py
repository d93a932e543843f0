"""The life of an instance: its states, its status checks, its console, and its end.

It sends no events.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import filters, pages, tags
from awsim.services.ec2.errors import check_id, not_found
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image, Instance, Volume
from awsim.services.ec2.state import Boot, Ec2State

ENDS_LATE = rule(
    "ec2-instance-shuts-down-first",
    "TerminateInstances answers shutting-down; the instance is terminated a while later. To terminate one that is "
    "terminated succeeds. [EC2 user guide, instance lifecycle; EC2 API reference, TerminateInstances, VERIFIED]",
)
SHOWN = rule(
    "ec2-terminated-instance-shown-an-hour",
    "A terminated instance is shown for about an hour, with its reason and its tags; then it is InvalidInstanceID."
    "NotFound. [EC2 user guide, instance lifecycle; botocore ec2 model, DescribeInstances, VERIFIED]",
)
VOLUMES_END = rule(
    "ec2-volumes-end-with-instance",
    "When an instance is terminated, its volumes with DeleteOnTermination are deleted, the others stay. [EC2 user "
    "guide, instance termination, VERIFIED]",
)
OWN_SHUTDOWN = rule(
    "ec2-instance-shutdown-behavior",
    "An instance that shuts itself down is stopped, or terminated if InstanceInitiatedShutdownBehavior says so: "
    "StateReason Client.InstanceInitiatedShutdown. [botocore ec2 model, RunInstancesRequest and StateReason, VERIFIED]",
)
CHECKS = rule(
    "ec2-status-checks-late",
    "The two status checks of an instance that has begun to run are initializing for some minutes, then ok or "
    "impaired. [EC2 user guide, status checks, VERIFIED]",
)
RUNNING_ONLY = rule(
    "ec2-status-of-running-instances-only",
    "DescribeInstanceStatus shows running instances only, unless IncludeAllInstances says otherwise; the checks of one "
    "that does not run are not-applicable. [botocore ec2 model, DescribeInstanceStatus, VERIFIED; the word UNVERIFIED]",
)
CONSOLE = rule(
    "ec2-console-output-late",
    "GetConsoleOutput has no Output until some time after the boot; then the newest 64 KiB, in base64, also of an "
    "instance that is terminated and still shown. [EC2 user guide, instance console output; botocore ec2 model, "
    "GetConsoleOutput, VERIFIED]",
)
NITRO_CONSOLE = rule(
    "ec2-latest-console-output-of-nitro-only",
    "GetConsoleOutput with Latest is for Nitro instances: UnsupportedOperation. [botocore ec2 model, GetConsoleOutput, "
    "VERIFIED; the code UNVERIFIED]",
)
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
OVER = {"shutting-down", "terminated"}
MOST_CONSOLE = 64 * 1024
BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
Reason = tuple[str, str]


# --- states ---


def begin(ec2: Ec2State, instance_id: str) -> None:
    """Let a pending instance run, and end as its image makes it."""
    instance = ec2.instances.get(instance_id)
    if instance is None or instance.state != "pending":
        return
    running = ec2.instances.put(replace(instance, state="running", since=ec2.now))
    boot = boot_of(ec2, running)
    if boot.ends is not None:
        ec2.after(boot.ends, lambda: _end_itself(ec2, instance_id, boot.reason), f"{instance_id} shuts itself down")


def _end_itself(ec2: Ec2State, instance_id: str, reason: Reason) -> None:
    instance = ec2.instances.get(instance_id)
    if instance is None or instance.state != "running":
        return
    stays = instance.on_shutdown == "stop" and ec2.on(OWN_SHUTDOWN)
    changed = replace(instance, state="stopping" if stays else "shutting-down", reason=reason)
    ec2.instances.put(changed)
    last = "stopped" if stays else "terminated"
    ec2.after(ec2.pace.shutdown, lambda: end(ec2, instance_id, last), f"{instance_id} is {last}")


def end(ec2: Ec2State, instance_id: str, state: str = "terminated", reason: Reason | None = None) -> None:
    """Let an instance be terminated, with what ends with it, or stopped."""
    instance = ec2.instances.get(instance_id)
    if instance is None or instance.state == "terminated" or (state == "stopped" and instance.state != "stopping"):
        return
    ec2.instances.put(replace(instance, state=state, reason=reason or instance.reason, public=False))
    if state == "stopped":
        return
    for volume in volumes_of(ec2, instance):
        if volume.ends_with_instance or not ec2.on(VOLUMES_END):
            ec2.volumes.drop(volume.id)
            tags.forget(ec2, volume.id)
        else:
            ec2.volumes.put(replace(volume, instance="", device="", state="available"))
    tags.forget(ec2, instance.interface)
    if ec2.on(SHOWN):
        ec2.after(ec2.pace.terminated_shown, lambda: _forget(ec2, instance_id), f"{instance_id} is no longer shown")


def _forget(ec2: Ec2State, instance_id: str) -> None:
    ec2.instances.drop(instance_id)
    tags.forget(ec2, instance_id)


def volumes_of(ec2: Ec2State, instance: Instance, at: datetime | None = None) -> list[Volume]:
    """Return the volumes that are attached to an instance."""
    return [volume for volume in ec2.volumes.of(instance.owner, at) if volume.instance == instance.id]


def _terminate(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    changes = []
    for instance in [_own(ec2, call, one) for one in call.params["InstanceIds"]]:
        if instance.state not in OVER:
            _shut_down(ec2, instance)
        now = ec2.instances.get(instance.id) or instance
        changes.append({"InstanceId": instance.id, "CurrentState": _state(now), "PreviousState": _state(instance)})
    return {"TerminatingInstances": changes}


def _shut_down(ec2: Ec2State, instance: Instance) -> None:
    ec2.instances.put(replace(instance, state="shutting-down", reason=BY_USER))
    if ec2.on(ENDS_LATE):
        ec2.after(ec2.pace.shutdown, lambda: end(ec2, instance.id), f"{instance.id} is terminated")
    else:
        end(ec2, instance.id)


def _own(ec2: Ec2State, call: Call, instance_id: str, at: datetime | None = None) -> Instance:
    check_id(instance_id, "i")
    found = ec2.instances.get(instance_id, at)
    if found is None or (found.owner, found.region) != (call.caller.account, call.region):
        raise not_found(instance_id)
    return found


# --- what its image does ---


def boot_of(ec2: Ec2State, instance: Instance) -> Boot:
    """Return how an instance comes up: as its account, its image, or an image whose snapshots it has, says."""
    if instance.owner in ec2.boots:
        return ec2.boots[instance.owner]
    image = ec2.images.get(instance.image)
    content = set(_content(ec2, image)) if image else set()
    for name, boot in ec2.boots.items():
        meant = ec2.images.get(name)
        if name == instance.image or (meant and not content.isdisjoint(meant.snapshots)):
            return boot
    return Boot()


def _content(ec2: Ec2State, image: Ec2Image) -> Iterator[str]:
    """Yield the snapshots of an image, and those that they are copies of."""
    for snapshot_id in image.snapshots:
        snapshot = ec2.snapshots.get(snapshot_id)
        while snapshot is not None:
            yield snapshot.id
            snapshot = ec2.snapshots.get(snapshot.origin.snapshot) if snapshot.origin else None


# --- showing ---


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    found = [shown(ec2, one, at) for one, at in _asked(ec2, call)]
    part, token = pages.filtered(ec2, call, found, lambda instance: str(instance["InstanceId"]), FIELDS)
    return pages.answer("Reservations", [reservation(call, one) for one in part], token)


def _asked(ec2: Ec2State, call: Call) -> list[tuple[Instance, datetime]]:
    """Return the instances that a read names, else all, each with the time whose state the read shows."""
    pages.no_pages_with(call, "InstanceIds")
    at = ec2.moment(call)
    if wanted := call.params.get("InstanceIds"):
        return [(_own(ec2, call, one, at), at) for one in wanted]
    return [(one, at) for one in ec2.instances.of(call.caller.account, at) if one.region == call.region]


def reservation(call: Call, instance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reservation of one instance, as RunInstances and DescribeInstances show it."""
    return {
        "ReservationId": f"r-{instance['InstanceId'][2:]}",
        "OwnerId": call.caller.account,
        "Groups": [],
        "Instances": [instance],
    }


def shown(ec2: Ec2State, instance: Instance, at: datetime | None = None) -> dict[str, Any]:
    """Return an instance as it is shown."""
    code, text = instance.reason
    over = instance.state == "terminated"
    image = ec2.images.get(instance.image)
    volumes = [
        {
            "DeviceName": volume.device,
            "Ebs": {"VolumeId": volume.id, "Status": "attached", "DeleteOnTermination": volume.ends_with_instance},
        }
        for volume in volumes_of(ec2, instance, at)
    ]
    interface = {
        "NetworkInterfaceId": instance.interface,
        "SubnetId": instance.subnet.id,
        "VpcId": instance.subnet.vpc,
        "Status": "in-use",
    }
    groups = [
        {"GroupId": group.id, "GroupName": group.name}
        for group in (ec2.groups.get(one) for one in instance.groups)
        if group
    ]
    placed = {} if over else {"SubnetId": instance.subnet.id, "VpcId": instance.subnet.vpc}
    return {
        "InstanceId": instance.id,
        "ImageId": instance.image,
        "InstanceType": instance.type,
        "Architecture": str(image.members["Architecture"]) if image else "x86_64",
        "LaunchTime": instance.started,
        "State": _state(instance),
        "StateTransitionReason": "User initiated" if instance.reason == BY_USER else "",
        **({"StateReason": {"Code": code, "Message": text}} if code else {}),
        **({"ClientToken": instance.token} if instance.token else {}),
        "Placement": {"AvailabilityZone": instance.subnet.zone, "Tenancy": "default"},
        **placed,
        **({"PublicIpAddress": "203.0.113.7"} if instance.public else {}),
        "SecurityGroups": [] if over else groups,
        "NetworkInterfaces": [] if over else [interface],
        "BlockDeviceMappings": volumes,
        "MetadataOptions": {"State": "applied", "HttpTokens": instance.tokens, "HttpEndpoint": "enabled"},
        **tags.shown(ec2, ec2.tags_on(instance.owner, instance.id)),
    }


def _state(instance: Instance) -> dict[str, Any]:
    return {"Code": CODES[instance.state], "Name": instance.state}


def _describe_status(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    everything = call.params.get("IncludeAllInstances") or not ec2.on(RUNNING_ONLY)
    found = [_status(ec2, one, at) for one, at in _asked(ec2, call) if everything or one.state == "running"]
    part, token = pages.filtered(ec2, call, found, lambda one: str(one["InstanceId"]), STATUS_FIELDS)
    return pages.answer("InstanceStatuses", part, token)


def _status(ec2: Ec2State, instance: Instance, at: datetime) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.subnet.zone,
        "InstanceState": _state(instance),
        "SystemStatus": _check(ec2, instance, at, "system"),
        "InstanceStatus": _check(ec2, instance, at, "instance"),
    }


def _check(ec2: Ec2State, instance: Instance, at: datetime, name: str) -> dict[str, Any]:
    if instance.state != "running" or instance.since is None:
        return {"Status": "not-applicable"}
    boot, age = boot_of(ec2, instance), at - instance.since
    if (boot.checks is None or age < timedelta(seconds=boot.checks)) and ec2.on(CHECKS):
        return _result("initializing", "initializing")
    recovered = boot.recovers is not None and age >= timedelta(seconds=boot.recovers)
    fails = boot.impaired in {name, "both"} and not recovered
    return _result("impaired", "failed") if fails else _result("ok", "passed")


def _result(status: str, detail: str) -> dict[str, Any]:
    return {"Status": status, "Details": [{"Name": "reachability", "Status": detail}]}


def _console(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    instance = _own(ec2, call, call.params["InstanceId"], ec2.moment(call))
    if call.params.get("Latest") and instance.type.startswith(("m1.", "t2.")) and ec2.on(NITRO_CONSOLE):
        raise AwsError(
            "UnsupportedOperation", "This instance type does not support retrieving the latest console logs."
        )
    answer = {"InstanceId": instance.id, "Timestamp": ec2.now}
    ready = instance.since is not None and ec2.now >= instance.since + timedelta(seconds=ec2.pace.console)
    if not ready and ec2.on(CONSOLE):
        return answer
    written = boot_of(ec2, instance).console
    output = written.encode() if isinstance(written, str) else written
    return {**answer, "Output": base64.b64encode(output[-MOST_CONSOLE:]).decode()}


FIELDS: filters.Fields = {
    "instance-id": filters.member("InstanceId"),
    "instance-type": filters.member("InstanceType"),
    "image-id": filters.member("ImageId"),
    "client-token": filters.member("ClientToken"),
    "subnet-id": filters.member("SubnetId"),
    "vpc-id": filters.member("VpcId"),
    "instance-state-name": lambda instance: (instance["State"]["Name"],),
    "state-reason-code": lambda instance: (instance.get("StateReason", {}).get("Code", ""),),
}
STATUS_FIELDS: filters.Fields = {
    "instance-state-name": lambda one: (one["InstanceState"]["Name"],),
    "instance-status.status": lambda one: (one["InstanceStatus"]["Status"],),
    "system-status.status": lambda one: (one["SystemStatus"]["Status"],),
}
OPERATIONS = {
    "DescribeInstances": Operation(_describe, "InstanceIds Filters MaxResults NextToken"),
    "DescribeInstanceStatus": Operation(
        _describe_status, "InstanceIds Filters IncludeAllInstances MaxResults NextToken"
    ),
    "TerminateInstances": Operation(_terminate, "InstanceIds"),
    "GetConsoleOutput": Operation(_console, "InstanceId Latest"),
}
