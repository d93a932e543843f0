"""Checks of instances: how they are launched once, where, with which rights, and how they come up and end."""

import base64
from collections.abc import Mapping
from typing import Any

from awsim.services.ec2.seeds import blank
from awsim.services.ec2.state import Boot
from awsim.world import World
from ec2_words import DEV, HERE, OPS, WEST, an_image, ec2, new_key
from iam_words import allow, allowed, put_role, session
from platform_words import refused, wait

TAGS = {"Key": "purpose", "Value": "test"}
HOUR = 3600


def _asked(image: str, **more: Any) -> dict[str, Any]:
    return {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **more}


def _run(client: Any, image: str, **more: Any) -> str:
    """Launch an image and return the instance's id."""
    return str(client.run_instances(**_asked(image, **more))["Instances"][0]["InstanceId"])


def _shown(client: Any, instance: str) -> dict[str, Any]:
    found = client.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert isinstance(found, dict)
    return found


def _state(client: Any, instance: str) -> str:
    return str(_shown(client, instance)["State"]["Name"])


def _checks(client: Any, instance: str, **more: Any) -> list[tuple[str, str]]:
    """Return the results of an instance's system check and instance check; nothing if none is shown."""
    shown = client.describe_instance_status(InstanceIds=[instance], **more)["InstanceStatuses"]
    return [(one["SystemStatus"]["Status"], one["InstanceStatus"]["Status"]) for one in shown]


def _tagged(*kinds: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": [TAGS]} for kind in kinds]}


def _interface(subnet: str, **more: Any) -> dict[str, Any]:
    return {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, **more}]}


def _by(name: str, value: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]


# --- launching ---


def ec2_launch_client_token(world: World) -> None:
    image, other, client = an_image(world), an_image(world, "other"), ec2(world)
    first = _run(client, image, ClientToken="token-1")

    assert _run(client, image, ClientToken="token-1") == first
    assert _shown(client, first)["ClientToken"] == "token-1"
    refused("IdempotentParameterMismatch", _run, client, other, ClientToken="token-1")
    found = client.describe_instances(Filters=_by("client-token", "token-1"))["Reservations"]
    assert [one["Instances"][0]["InstanceId"] for one in found] == [first]
    assert _run(client, image, ClientToken="token-2") != first
    there = ec2(world, OPS, WEST)
    refused("InvalidAMIID.NotFound", _run, there, image, ClientToken="token-1")


def ec2_launch_client_token_terminated(world: World) -> None:
    image, client = an_image(world), ec2(world)
    first = _run(client, image, ClientToken="token-1")
    client.terminate_instances(InstanceIds=[first])
    for seconds in (300, 3 * HOUR):
        wait(world, seconds)
        refused("IdempotentInstanceTerminated", _run, client, image, ClientToken="token-1")
    refused("InvalidInstanceID.NotFound", client.describe_instances, InstanceIds=[first])
    assert client.describe_instances()["Reservations"] == []


def ec2_instance_type_must_exist(world: World) -> None:
    image, client = an_image(world), ec2(world)

    shown = client.describe_instance_types(InstanceTypes=["t3.micro", "t4g.micro"])["InstanceTypes"]
    found = {one["InstanceType"]: one["ProcessorInfo"]["SupportedArchitectures"] for one in shown}
    assert found == {"t3.micro": ["x86_64"], "t4g.micro": ["arm64"]}
    refused("InvalidInstanceType", client.describe_instance_types, InstanceTypes=["t3.micro", "t9.micro"])
    refused("InvalidParameterValue", _run, client, image, InstanceType="t9.micro")


def ec2_launch_architecture_fits_type(world: World) -> None:
    intel, arm, client = an_image(world), an_image(world, "arm", Architecture="arm64"), ec2(world)

    allowed(_run, client, intel)
    allowed(_run, client, arm, InstanceType="t4g.micro")
    refused("InvalidParameterValue", _run, client, arm, saying="does not match the architecture 'arm64'")
    refused("InvalidParameterValue", _run, client, intel, InstanceType="t4g.micro")


def ec2_launch_tpm_fits_type(world: World) -> None:
    tpm = {"TpmSupport": "v2.0", "BootMode": "uefi"}
    intel, arm, client = an_image(world, **tpm), an_image(world, "arm", Architecture="arm64", **tpm), ec2(world)

    shown = client.describe_instance_types(InstanceTypes=["t3.micro", "t4g.micro"])["InstanceTypes"]
    found = {one["InstanceType"]: one["NitroTpmSupport"] for one in shown}
    assert found == {"t3.micro": "supported", "t4g.micro": "unsupported"}
    allowed(_run, client, intel)
    refused("InvalidParameterCombination", _run, client, arm, InstanceType="t4g.micro")


def ec2_launch_volumes_fit_type(world: World) -> None:
    fits, over = (an_image(world, f"of-{number}", volumes=(8,) * number) for number in (27, 28))
    client = ec2(world)

    (shown,) = client.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
    assert (shown["EbsInfo"]["MaximumEbsAttachments"], shown["EbsInfo"]["AttachmentLimitType"]) == (28, "shared")
    allowed(_run, client, fits)
    refused("AttachmentLimitExceeded", _run, client, over)


def ec2_launch_blank_needs_size(world: World) -> None:
    image, client = an_image(world, volumes=[8, blank("/dev/sdb", 50)]), ec2(world)

    allowed(_run, client, image)
    bare, sized = (
        [{"DeviceName": "/dev/sdb", "Ebs": {"DeleteOnTermination": True, **size}}] for size in ({}, {"VolumeSize": 50})
    )
    refused("MissingParameter", _run, client, image, BlockDeviceMappings=bare, saying="size or snapshotId")
    allowed(_run, client, image, BlockDeviceMappings=sized)


def ec2_launch_vcpu_quota(world: World) -> None:
    image, client = an_image(world), ec2(world)
    world.ec2.state.vcpus[OPS, HERE] = 4
    first = _run(client, image)

    allowed(_run, client, image)
    refused("VcpuLimitExceeded", _run, client, image)
    client.terminate_instances(InstanceIds=[first])
    allowed(_run, client, image)


def ec2_launch_needs_capacity(world: World) -> None:
    image, client = an_image(world), ec2(world)
    world.ec2.state.exhausted.add((HERE, "t3.micro"))

    refused("InsufficientInstanceCapacity", _run, client, image, ClientToken="token-1")
    allowed(_run, client, image, InstanceType="t3.small")
    world.ec2.state.exhausted.clear()
    allowed(_run, client, image, ClientToken="token-1")


# --- where ---


def ec2_launch_groups_of_one_network(world: World) -> None:
    image, client = an_image(world), ec2(world)
    subnet = world.ec2.seed_subnet(OPS, HERE, tags={"use": "tests"})
    other = world.ec2.seed_group(world.ec2.seed_subnet(OPS, HERE), name="closed")
    closed = world.ec2.seed_group(subnet, name="closed", tags={"use": "tests"})

    (shown,) = client.describe_subnets(Filters=_by("tag:use", "tests"))["Subnets"]
    assert (shown["SubnetId"], shown["MapPublicIpOnLaunch"]) == (subnet, False)
    (found,) = client.describe_security_groups(Filters=[*_by("tag:use", "tests"), *_by("vpc-id", shown["VpcId"])])[
        "SecurityGroups"
    ]
    assert found["GroupId"] == closed
    instance = _shown(client, _run(client, image, **_interface(subnet, Groups=[closed])))
    assert (instance["SubnetId"], instance["SecurityGroups"]) == (
        subnet,
        [{"GroupId": closed, "GroupName": "closed"}],
    )
    assert _shown(client, _run(client, image, SubnetId=subnet))["SecurityGroups"][0]["GroupName"] == "default"
    usual = _shown(client, _run(client, image))["SubnetId"]
    assert client.describe_subnets(SubnetIds=[usual])["Subnets"][0]["DefaultForAz"] is True
    asked = _interface(subnet, Groups=[other])
    refused("InvalidParameter", _run, client, image, **asked, saying="belong to different networks")


def ec2_launch_public_address(world: World) -> None:
    image, client = an_image(world), ec2(world)
    subnet = world.ec2.seed_subnet(OPS, HERE, public=True)

    def public(**more: Any) -> bool:
        return "PublicIpAddress" in _shown(client, _run(client, image, **more))

    assert public() is public(**_interface(subnet)) is True
    assert public(**_interface(subnet, AssociatePublicIpAddress=False)) is False
    assert public(**_interface(world.ec2.seed_subnet(OPS, HERE))) is False


def ec2_launch_needs_free_address(world: World) -> None:
    image, client = an_image(world), ec2(world)
    subnet = world.ec2.seed_subnet(OPS, HERE, addresses=1)
    first = _run(client, image, SubnetId=subnet)

    assert client.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] == 0
    refused("InsufficientFreeAddressesInSubnet", _run, client, image, SubnetId=subnet)
    client.terminate_instances(InstanceIds=[first])
    wait(world, 60)
    allowed(_run, client, image, SubnetId=subnet)


# --- rights ---


def _launcher(world: World, **statements: Mapping[str, Any]) -> Any:
    """Return a client of a role that may launch anything, but for each kind of resource only as its statement says."""
    kinds = ("instance", "volume", "network-interface", "subnet", "security-group")
    usual = {kind: allow("ec2:RunInstances", f"arn:aws:ec2:{HERE}:{OPS}:{kind}/*") for kind in kinds}
    more = {name.replace("_", "-"): statement for name, statement in statements.items()}
    image = allow("ec2:RunInstances", f"arn:aws:ec2:{HERE}::image/*")
    return session(world, "ec2", put_role(world, "launcher", image, *(usual | more).values()))


def ec2_launch_authorised_on_network(world: World) -> None:
    image, subnet, other = an_image(world), world.ec2.seed_subnet(OPS, HERE), world.ec2.seed_subnet(OPS, HERE)
    group = world.ec2.seed_group(subnet, name="closed")
    ec2(world).create_tags(Resources=[subnet, group], Tags=[TAGS])
    tagged = {"StringEquals": {"aws:ResourceTag/purpose": "test"}}

    def on(kind: str) -> dict[str, Any]:
        return allow("ec2:RunInstances", f"arn:aws:ec2:{HERE}:{OPS}:{kind}/*", Condition=tagged)

    client = _launcher(world, subnet=on("subnet"), security_group=on("security-group"))
    allowed(_run, client, image, **_interface(subnet, Groups=[group]))
    refused("UnauthorizedOperation", _run, client, image, **_interface(subnet), saying=":security-group/")
    refused("UnauthorizedOperation", _run, client, image, **_interface(other), saying=f":subnet/{other}")
    refused("UnauthorizedOperation", _run, client, image, saying=":subnet/")
    without = _launcher(world, network_interface=allow("ec2:RunInstances", subnet))
    refused("UnauthorizedOperation", _run, without, image, saying=":network-interface/*")


def ec2_launch_condition_keys(world: World) -> None:
    image, subnet = an_image(world), world.ec2.seed_subnet(OPS, HERE)
    where = f"arn:aws:ec2:{HERE}:{OPS}"
    small = {"StringEquals": {"ec2:InstanceType": ["t3.micro"], "ec2:MetadataHttpTokens": "required"}}
    private = {"Bool": {"ec2:AssociatePublicIpAddress": "false"}}
    client = _launcher(
        world,
        instance=allow("ec2:RunInstances", f"{where}:instance/*", Condition=small),
        network_interface=allow("ec2:RunInstances", f"{where}:network-interface/*", Condition=private),
    )
    asked = {"MetadataOptions": {"HttpTokens": "required"}, **_interface(subnet, AssociatePublicIpAddress=False)}
    allowed(_run, client, image, **asked)
    refused("UnauthorizedOperation", _run, client, image, **asked | {"InstanceType": "m5.large"}, saying=":instance/*")
    refused("UnauthorizedOperation", _run, client, image, **asked | {"MetadataOptions": {}}, saying=":instance/*")
    for public in ({}, {"AssociatePublicIpAddress": True}):
        changed = asked | _interface(subnet, **public)
        refused("UnauthorizedOperation", _run, client, image, **changed, saying=":network-interface/*")


def ec2_launch_authorised_on_each_volume(world: World) -> None:
    image = an_image(world, volumes=(8, 100), key=new_key(world))
    sealed = allow(
        "ec2:RunInstances", f"arn:aws:ec2:{HERE}:{OPS}:volume/*", Condition={"Bool": {"ec2:Encrypted": "true"}}
    )
    client = _launcher(world, volume=sealed)
    devices = [{"DeviceName": name, "Ebs": {"Encrypted": True}} for name in ("/dev/xvda", "/dev/sdb")]

    allowed(_run, client, image, BlockDeviceMappings=devices)
    refused("UnauthorizedOperation", _run, client, image, BlockDeviceMappings=devices[:1], saying=":volume/*")
    refused("UnauthorizedOperation", _run, client, image, saying=":volume/*")


# --- its life ---


def ec2_status_checks_late(world: World) -> None:
    image, client = an_image(world), ec2(world)
    copied = str(client.copy_image(SourceImageId=image, SourceRegion=HERE, Name="copy")["ImageId"])
    wait(world, 4 * HOUR)
    instance = _run(client, copied)
    wait(world, 20)

    assert _checks(client, instance) == [("initializing", "initializing")]
    wait(world, 200)
    assert _checks(client, instance) == [("ok", "ok")]
    world.ec2.boots[image] = Boot(impaired="instance", recovers=600)
    bad = _run(client, copied)
    wait(world, 60)
    assert _checks(client, bad) == [("initializing", "initializing")]
    wait(world, 240)
    assert _checks(client, bad) == [("ok", "impaired")]
    wait(world, 400)
    assert _checks(client, bad) == [("ok", "ok")]
    world.ec2.boots[OPS] = Boot(checks=None)
    assert _checks(client, bad) == [("initializing", "initializing")]


def ec2_status_of_running_instances_only(world: World) -> None:
    image, client = an_image(world), ec2(world)
    instance = _run(client, image)

    assert _checks(client, instance) == []
    assert _checks(client, instance, IncludeAllInstances=True) == [("not-applicable", "not-applicable")]
    wait(world, 20)
    assert len(_checks(client, instance)) == 1
    client.terminate_instances(InstanceIds=[instance])
    assert _checks(client, instance) == []


def ec2_instance_shuts_down_first(world: World) -> None:
    image, client = an_image(world), ec2(world)
    instance = _run(client, image)
    wait(world, 60)
    (change,) = client.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]

    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    (again,) = client.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]
    assert again["CurrentState"]["Name"] == "shutting-down"
    wait(world, 60)
    shown = _shown(client, instance)
    assert (shown["State"]["Name"], shown["StateReason"]["Code"]) == ("terminated", "Client.UserInitiatedShutdown")
    (over,) = client.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]
    assert over["PreviousState"] == over["CurrentState"] == {"Code": 48, "Name": "terminated"}
    early = _run(client, image)
    client.terminate_instances(InstanceIds=[early])
    wait(world, 120)
    assert _state(client, early) == "terminated"
    refused("InvalidInstanceID.NotFound", ec2(world, DEV).terminate_instances, InstanceIds=[early])


def ec2_terminated_instance_shown_an_hour(world: World) -> None:
    image, client = an_image(world), ec2(world)
    instance = _run(client, image, **_tagged("instance"))
    client.terminate_instances(InstanceIds=[instance])
    wait(world, HOUR)

    assert _shown(client, instance)["Tags"] == [TAGS]
    wait(world, 300)
    refused("InvalidInstanceID.NotFound", client.describe_instances, InstanceIds=[instance])
    assert client.describe_instances(Filters=_by("tag:purpose", "test"))["Reservations"] == []
    refused("InvalidInstanceID.NotFound", client.terminate_instances, InstanceIds=[instance])


def ec2_volumes_end_with_instance(world: World) -> None:
    image, client = an_image(world, volumes=(8, 100)), ec2(world)
    kept = [{"DeviceName": "/dev/sdb", "Ebs": {"DeleteOnTermination": False}}]
    instance = _run(client, image, BlockDeviceMappings=kept, **_tagged("volume", "network-interface"))

    def volumes() -> dict[int, str]:
        found = client.describe_volumes(Filters=_by("tag:purpose", "test"))["Volumes"]
        return {volume["Size"]: volume["State"] for volume in found}

    assert volumes() == {8: "in-use", 100: "in-use"}
    mappings = _shown(client, instance)["BlockDeviceMappings"]
    assert {one["DeviceName"]: one["Ebs"]["DeleteOnTermination"] for one in mappings} == {
        "/dev/xvda": True,
        "/dev/sdb": False,
    }
    refused("VolumeInUse", client.delete_volume, VolumeId=mappings[0]["Ebs"]["VolumeId"])
    client.terminate_instances(InstanceIds=[instance])
    wait(world, 60)
    assert volumes() == {100: "available"}


def ec2_instance_shutdown_behavior(world: World) -> None:
    image, client = an_image(world), ec2(world)
    world.ec2.boots[image] = Boot(ends=30)
    stops = _run(client, image)
    ends = _run(client, image, InstanceInitiatedShutdownBehavior="terminate")
    wait(world, 120)

    assert (_state(client, stops), _state(client, ends)) == ("stopped", "terminated")
    assert _shown(client, ends)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    client.terminate_instances(InstanceIds=[stops])
    wait(world, 60)
    assert _state(client, stops) == "terminated"


def ec2_console_output_late(world: World) -> None:
    image, client = an_image(world), ec2(world)
    world.ec2.boots[image] = Boot(console=b"\x1b[2J\x00\xff" + b"x" * 70_000)
    instance = _run(client, image)
    wait(world, 20)

    assert "Output" not in client.get_console_output(InstanceId=instance)
    wait(world, 120)
    client.get_console_output(InstanceId=instance)
    sent = base64.b64decode(world.calls[-1].result["Output"])
    assert sent == b"x" * 65_536
    world.ec2.boots[image] = Boot(console="\x1b[2J<b>hostile</b>")
    client.terminate_instances(InstanceIds=[instance])
    wait(world, 60)
    assert client.get_console_output(InstanceId=instance)["Output"] == "\x1b[2J<b>hostile</b>"


def ec2_latest_console_output_of_nitro_only(world: World) -> None:
    image, client = an_image(world), ec2(world)

    allowed(client.get_console_output, InstanceId=_run(client, image), Latest=True)
    old = _run(client, image, InstanceType="t2.micro")
    refused("UnsupportedOperation", client.get_console_output, InstanceId=old, Latest=True)
