"""Images as EC2 describes them: a plain one, any one, and what EC2 shows of a registered copy."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from chalicelib.images.image import SourceImage, attributes_to_read, read_image
from chalicelib.images.keys import KeyFacts

HUB, TARGET = "111111111111", "222222222222"
KEY = f"arn:aws:kms:us-east-1:{HUB}:key/1a2b3c4d-0000-4000-8000-000000000001"
TARGET_KEY = f"arn:aws:kms:us-east-1:{TARGET}:key/1a2b3c4d-0000-4000-8000-000000000002"
OUR_TAGS = {
    "ami-promoter:hub": HUB,
    "ami-promoter:promotion": "ami-0aaaaaaaaaaaaaaaa",
    "ami-promoter:delivery": "d-1",
    "ami-promoter:source-image": "ami-0aaaaaaaaaaaaaaaa",
}


@dataclass(frozen=True)
class Described:
    """EC2's three answers about one image."""

    image: dict[str, Any]
    attributes: dict[str, dict[str, Any]]
    snapshots: list[dict[str, Any]]

    def read(self) -> SourceImage:
        """The image that the service reads from them."""
        return read_image(self.image, self.attributes, self.snapshots)


def describe_image(**members: Any) -> dict[str, Any]:
    """A promotable image with an encrypted root; a member given as None is left out."""
    image = {
        "ImageId": "ami-0aaaaaaaaaaaaaaaa",
        "ImageLocation": f"{HUB}/golden",
        "OwnerId": HUB,
        "State": "available",
        "Name": "golden",
        "CreationDate": "2026-01-05T08:00:00.000Z",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "ImageType": "machine",
        "RootDeviceType": "ebs",
        "RootDeviceName": "/dev/xvda",
        "EnaSupport": True,
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Public": False,
        "BlockDeviceMappings": [describe_volume("/dev/xvda", "snap-0a")],
        "Tags": [{"Key": "promote", "Value": "dev"}, {"Key": "Team", "Value": "blue"}],
        **members,
    }
    return {name: value for name, value in image.items() if value is not None}


def describe_volume(device: str, snapshot: str | None, **ebs: Any) -> dict[str, Any]:
    """An EBS mapping; without a snapshot, a blank one."""
    members = {
        "SnapshotId": snapshot,
        "VolumeSize": 8,
        "VolumeType": "gp3",
        "Iops": 3000,
        "Throughput": 125,
        "DeleteOnTermination": True,
        "Encrypted": snapshot is not None,
        **ebs,
    }
    return {"DeviceName": device, "Ebs": {name: value for name, value in members.items() if value is not None}}


def describe_snapshot(snapshot_id: str, **members: Any) -> dict[str, Any]:
    """A completed, encrypted snapshot; a member given as None is left out."""
    snapshot = {
        "SnapshotId": snapshot_id,
        "OwnerId": HUB,
        "State": "completed",
        "VolumeSize": 8,
        "Encrypted": True,
        "KmsKeyId": KEY,
        "StorageTier": "standard",
        **members,
    }
    return {name: value for name, value in snapshot.items() if value is not None}


def an_image(
    snapshots: list[dict[str, Any]] | None = None, uefi_data: str | None = None, **members: Any
) -> SourceImage:
    """A promotable image with these members changed."""
    described = describe_image(**members)
    answer = {"ImageId": described["ImageId"], "UefiData": {} if uefi_data is None else {"Value": uefi_data}}
    attributes = dict.fromkeys(attributes_to_read(described), answer)
    return read_image(described, attributes, [describe_snapshot("snap-0a")] if snapshots is None else snapshots)


def a_key(**facts: Any) -> KeyFacts:
    """A usable customer managed key."""
    return KeyFacts(
        **{
            "arn": KEY,
            "account": HUB,
            "enabled": True,
            "state": "Enabled",
            "manager": "CUSTOMER",
            "spec": "SYMMETRIC_DEFAULT",
            "usage": "ENCRYPT_DECRYPT",
            **facts,
        }
    )


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
_NAME = st.text("abcXYZ019()[] ./-'@_", min_size=3, max_size=128)
_TAG_KEYS = st.text("abcXYZ019 .:/=+-@_", min_size=1, max_size=20).filter(lambda k: not k.startswith("aws:"))
_SIZES = st.integers(1, 16384)
_BOOT_MODES = st.sampled_from([None, "legacy-bios", "uefi", "uefi-preferred"])


@st.composite
def promotable(draw: st.DrawFn) -> Described:
    """Any image of known values that the checks let through."""
    snapshots = [
        describe_snapshot(
            f"snap-{number:017x}",
            VolumeSize=draw(_SIZES),
            Description=draw(st.none() | _TEXT),
            **({} if draw(st.booleans()) else {"Encrypted": False, "KmsKeyId": None}),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    devices = draw(st.lists(st.from_regex(r"/dev/(xvd|sd)[a-z]", fullmatch=True), min_size=1, max_size=6, unique=True))
    mappings = [draw(_root(devices[0], snapshots)), *(draw(_mapping(device, snapshots)) for device in devices[1:])]
    boot_mode = draw(_BOOT_MODES)
    image = describe_image(
        Name=draw(_NAME),
        Description=draw(st.none() | _TEXT),
        Architecture=draw(st.sampled_from(["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"])),
        BootMode=boot_mode,
        TpmSupport=draw(st.sampled_from([None, "v2.0"])) if boot_mode == "uefi" else None,
        ImdsSupport=draw(st.sampled_from([None, "v2.0"])),
        SriovNetSupport=draw(st.sampled_from([None, "simple"])),
        EnaSupport=draw(st.sampled_from([None, True, False])),
        DeprecationTime=draw(st.sampled_from([None, "2027-03-04T05:06:00.000Z", "2020-01-01T00:00:00.000Z"])),
        RootDeviceName=devices[0],
        BlockDeviceMappings=draw(st.permutations(mappings)),
        Tags=[{"Key": k, "Value": v} for k, v in draw(st.dictionaries(_TAG_KEYS, _TEXT, max_size=5)).items()],
    )
    uefi_data = draw(st.none() | st.binary(min_size=1, max_size=64))
    answer: dict[str, Any] = {"ImageId": image["ImageId"]}
    if uefi_data is not None:
        answer["UefiData"] = {"Value": base64.b64encode(uefi_data).decode()}
    return Described(image, dict.fromkeys(attributes_to_read(image), answer), snapshots)


@st.composite
def _root(draw: st.DrawFn, device: str, snapshots: list[dict[str, Any]]) -> dict[str, Any]:
    snapshot = draw(st.sampled_from(snapshots))
    return describe_volume(
        device, snapshot["SnapshotId"], **draw(_volume(snapshot["VolumeSize"], snapshot["Encrypted"]))
    )


@st.composite
def _mapping(draw: st.DrawFn, device: str, snapshots: list[dict[str, Any]]) -> dict[str, Any]:
    match draw(st.sampled_from(["volume", "blank", "ephemeral", "none"])):
        case "volume":
            return draw(_root(device, snapshots))
        case "blank":
            return describe_volume(device, None, **draw(_volume(1, draw(st.booleans()))))
        case "ephemeral":
            return {"DeviceName": device, "VirtualName": f"ephemeral{draw(st.integers(0, 23))}"}
        case _:
            return {"DeviceName": device, "NoDevice": ""}


@st.composite
def _volume(draw: st.DrawFn, least: int, encrypted: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]))
    return {
        "VolumeSize": draw(st.integers(least, 16384)),
        "VolumeType": kind,
        "Iops": draw(st.integers(3000, 64000)) if kind in ("gp3", "io1", "io2") else None,
        "Throughput": draw(st.integers(125, 2000)) if kind == "gp3" else None,
        "DeleteOnTermination": draw(st.booleans()),
        "Encrypted": encrypted,
    }


def ec2_shows(request: Mapping[str, Any], deprecation: str | None = None) -> dict[str, Any]:
    """What DescribeImages shows after RegisterImage, with EC2's defaults for omitted members."""
    shown = {name: value for name, value in request.items() if name not in ("TagSpecifications", "UefiData")}
    image = {
        "ImageId": "ami-0bbbbbbbbbbbbbbbb",
        "OwnerId": TARGET,
        "State": "available",
        "CreationDate": "2026-01-05T12:00:00.000Z",
        "Architecture": "i386",
        "VirtualizationType": "paravirtual",
        "Hypervisor": "xen",
        "ImageType": "machine",
        "RootDeviceType": "ebs",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        **shown,
        "BlockDeviceMappings": [_ec2_shows_mapping(mapping) for mapping in reversed(request["BlockDeviceMappings"])],
        "Tags": [tag for spec in request.get("TagSpecifications", ()) for tag in spec["Tags"]],
    }
    return image | ({} if deprecation is None else {"DeprecationTime": deprecation})


def _ec2_shows_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    if "Ebs" not in mapping:
        return dict(mapping)
    ebs = {"VolumeType": "gp2", "DeleteOnTermination": True, "Encrypted": False, **mapping["Ebs"]}
    if "SnapshotId" in ebs:
        assert "Encrypted" not in mapping["Ebs"], "EC2 refuses Encrypted beside a snapshot id"
        ebs["Encrypted"] = True
    return {**mapping, "Ebs": ebs}
