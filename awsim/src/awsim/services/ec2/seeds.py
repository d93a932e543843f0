"""Images to begin with: complete, built long ago, with any attribute that an image can have.

``volumes`` is a list of sizes in GiB (the first is the root) or of what ``volume``, ``blank``, ``ephemeral`` and
``no_device`` return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

import botocore.session

from awsim.services.ec2 import keys, tags
from awsim.services.ec2.records import Billing, Ec2Image, Ec2Snapshot
from awsim.services.ec2.records import Volume as Disk
from awsim.services.ec2.register import become_available
from awsim.services.ec2.state import Ec2State

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DEVICES = ("/dev/xvda", *(f"/dev/sd{letter}" for letter in LETTERS[1:]), *(f"/dev/xvdb{letter}" for letter in LETTERS))
SAME = "the image's key"
AGE = timedelta(days=1)
"""How long ago a seeded image was built."""


@dataclass(frozen=True, slots=True)
class Device:
    """One mapping of an image to seed; ``snapshot``: whether a snapshot is made, or which one is used."""

    mapping: Mapping[str, Any]
    snapshot: bool | str = False
    key: str | None = SAME
    state: str = "completed"


Volumes = Sequence[int | Device]


def volume(
    device: str, size: int, *, key: str | None = SAME, snapshot: str = "", state: str = "completed", **ebs: Any
) -> Device:
    """Make an EBS volume with a snapshot: a new one of that state and key (None: not encrypted), or a given one."""
    default = {"VolumeSize": size, "VolumeType": "gp3", "DeleteOnTermination": True, "Iops": 3000, "Throughput": 125}
    if ebs.get("VolumeType", "gp3") != "gp3":
        default = {name: value for name, value in default.items() if name not in {"Iops", "Throughput"}}
    return Device({"DeviceName": device, "Ebs": default | ebs}, snapshot or True, key, state)


def blank(device: str, size: int, **ebs: Any) -> Device:
    """Make an EBS volume that starts empty: it has no snapshot."""
    default = {"VolumeSize": size, "VolumeType": "gp2", "DeleteOnTermination": True}
    return Device({"DeviceName": device, "Ebs": default | ebs})


def ephemeral(device: str, number: int = 0) -> Device:
    """Make an instance store volume."""
    return Device({"DeviceName": device, "VirtualName": f"ephemeral{number}"})


def no_device(device: str) -> Device:
    """Make a mapping that removes a device."""
    return Device({"DeviceName": device, "NoDevice": ""})


@dataclass(frozen=True, slots=True)
class _Plan:
    """An image to seed, without its devices."""

    key: str | None
    product_codes: tuple[str, ...] = ()
    billing: Billing = field(default_factory=Billing)


def seed_image(  # noqa: PLR0913 - a builder: all that matters is named
    ec2: Ec2State,
    account: str,
    region: str,
    *,
    name: str,
    volumes: Volumes = (8,),
    key: str | None = None,
    tags: Mapping[str, str] | None = None,
    available_after: float | None = 0,
    uefi_data: str | None = None,
    tell: bool = False,
    **attributes: Any,
) -> str:
    """Make an image with its volumes and snapshots, and return its id.

    ``key`` (id, alias or ARN; None: not encrypted) is for all volumes without one of their own. ``attributes`` are
    members of DescribeImages' Image as it will show them (``BootMode="uefi"``, ``ProductCodes=[...]``,
    ``RootDeviceType="instance-store"``); one that the SDK's model does not have is a TypeError. The snapshots also get
    product codes, platform details and usage operation.

    ``available_after``: 0, available at once; a number of seconds, pending so long and then available, with an event;
    None, always pending. ``tell`` sends the tag event.
    """
    if unknown := sorted(attributes.keys() - _known_members()):
        raise TypeError(f"an image has no member {', '.join(unknown)}")
    plan = _Plan(key, tuple(c["ProductCodeId"] for c in attributes.get("ProductCodes", ())), _billing(attributes))
    devices = [v if isinstance(v, Device) else volume(DEVICES[i], v) for i, v in enumerate(volumes)]
    image_id = ec2.new_id("ami")
    members = _defaults(account, name, devices) | attributes
    state = members.pop("State", "available" if available_after == 0 else "pending")
    with ec2.backdated(AGE):
        mappings = tuple(_mapping(ec2, account, region, device, plan) for device in devices)
        image = Ec2Image(image_id, account, region, ec2.now - AGE, state, members, mappings, uefi_data)
        ec2.images.put(image)
        if not tell:
            put_tags(ec2, image, tags or {}, tell=False)
    if tell:
        put_tags(ec2, image, tags or {}, tell=True)
    if available_after:
        ec2.after(available_after, lambda: become_available(ec2, image_id, "seeded"), f"{image_id} is available")
    return image_id


def put_tags(ec2: Ec2State, image: Ec2Image, wanted: Mapping[str, str], *, tell: bool) -> None:
    """Tag a seeded image; ``tell`` sends the event."""
    tags.put_tags(ec2, image.owner, image.region, image.id, add=wanted, tell=tell)


def _defaults(account: str, name: str, devices: Sequence[Device]) -> dict[str, Any]:
    """Return the members of an image as today's builders make them: HVM, ENA."""
    return {
        "Name": name,
        "ImageLocation": f"{account}/{name}",
        "ImageType": "machine",
        "Hypervisor": "xen",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": devices[0].mapping["DeviceName"] if devices else "/dev/sda1",
        "RootDeviceType": "ebs",
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
    }


def _billing(attributes: Mapping[str, Any]) -> Billing:
    plain = Billing()
    return Billing(
        attributes.get("PlatformDetails", plain.platform_details),
        attributes.get("UsageOperation", plain.usage_operation),
    )


def _mapping(ec2: Ec2State, account: str, region: str, device: Device, plan: _Plan) -> Mapping[str, Any]:
    if not device.snapshot:
        return device.mapping
    if isinstance(device.snapshot, str):
        snapshot_id = device.snapshot
    else:
        wanted = plan.key if device.key == SAME else device.key
        arn = _key(ec2, account, region, wanted)
        snapshot_id = _snapshot(ec2, account, region, device, arn, plan)
    return {**device.mapping, "Ebs": {**device.mapping["Ebs"], "SnapshotId": snapshot_id}}


def _key(ec2: Ec2State, account: str, region: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    arn = keys.resolve(ec2, account, region, wanted)
    if arn is None:
        raise ValueError(f"{account} has no usable key {wanted!r} in {region}: make it before the image")
    return arn


def _snapshot(ec2: Ec2State, account: str, region: str, device: Device, key: str | None, plan: _Plan) -> str:
    size = int(device.mapping["Ebs"]["VolumeSize"])
    built = ec2.now - AGE
    disk = Disk(ec2.new_id("vol"), account, region, f"{region}a", size, built, key=key)
    ec2.volumes.put(disk)
    made = Ec2Snapshot(
        id=ec2.new_id("snap"),
        owner=account,
        region=region,
        volume=disk.id,
        size=size,
        started=built,
        state=device.state,
        description=f"Created by CreateImage for {disk.id}",
        key=key,
        product_codes=plan.product_codes,
        billing=plan.billing,
    )
    done = replace(made, completed=built) if device.state == "completed" else made
    return ec2.snapshots.put(done).id


@cache
def _known_members() -> frozenset[str]:
    shape = botocore.session.get_session().get_service_model("ec2").shape_for("Image")
    computed = {"ImageId", "OwnerId", "CreationDate", "Public", "Tags", "BlockDeviceMappings", "DeprecationTime"}
    return frozenset(shape.members) - computed
