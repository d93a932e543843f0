"""Instance types: their architectures and vCPUs, of the general families that most accounts use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2 import pages
from awsim.services.ec2.errors import wrong_combination, wrong_value
from awsim.services.ec2.operation import Operation
from awsim.services.ec2.records import Ec2Image
from awsim.services.ec2.state import Ec2State

KNOWN = rule(
    "ec2-instance-type-must-exist",
    "An instance type that does not exist is refused: InvalidInstanceType by DescribeInstanceTypes, "
    "InvalidParameterValue by RunInstances. [EC2 API reference, error codes; the texts UNVERIFIED]",
)
FITS = rule(
    "ec2-launch-architecture-fits-type",
    "An AMI is launched only on an instance type of its architecture: InvalidParameterValue, 'The architecture ... of "
    "the specified instance type does not match'. [skypilot-org/skypilot#6315, VERIFIED]",
)
ROOM = rule(
    "ec2-launch-volumes-fit-type",
    "An instance type takes so many volumes (`MaximumEbsAttachments` of DescribeInstanceTypes); where it shares that "
    "limit with network interfaces, one less. A launch of more is refused: AttachmentLimitExceeded. [botocore 1.44.8, "
    "ec2 model, EbsInfo; kubernetes-sigs/aws-ebs-csi-driver#1258, VERIFIED; the code by RunInstances UNVERIFIED]",
)
TPM = rule(
    "ec2-launch-tpm-fits-type",
    "An AMI with TpmSupport is launched only on a type whose NitroTpmSupport is `supported`: "
    "InvalidParameterCombination. [EC2 user guide, enable-nitrotpm-prerequisites; botocore 1.44.8, ec2 model, "
    "InstanceTypeInfo; the code, and that no Graviton type has it, UNVERIFIED]",
)
USUAL = "m1.small"
"""The type of a launch that names none. [botocore ec2 model, RunInstancesRequest]"""


@dataclass(frozen=True, slots=True)
class InstanceType:
    """An instance type."""

    name: str
    architectures: tuple[str, ...]
    vcpus: int
    hypervisor: str = "nitro"

    @property
    def attachments(self) -> int:
        """Return how many volumes and network interfaces it takes; 0: that is not known, as of Xen."""
        return 28 if self.hypervisor == "nitro" else 0

    @property
    def tpm(self) -> bool:
        """Whether it has NitroTPM."""
        return self.hypervisor == "nitro" and "arm64" not in self.architectures

    @property
    def boot_modes(self) -> tuple[str, ...]:
        """Return how it boots. Graviton knows UEFI alone, Xen does not know it [aws-facts, VERIFIED]."""
        if "arm64" in self.architectures:
            return ("uefi",)
        return ("legacy-bios", "uefi") if self.hypervisor == "nitro" else ("legacy-bios",)


_SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}
_SMALL = {"nano": 2, "micro": 2, "small": 2, "medium": 2, **_SIZES}
TYPES = {
    USUAL: InstanceType(USUAL, ("i386", "x86_64"), 1, "xen"),
    "t2.micro": InstanceType("t2.micro", ("i386", "x86_64"), 1, "xen"),
    **{
        f"{family}.{size}": InstanceType(f"{family}.{size}", (architecture,), vcpus)
        for families, architecture, sizes in (
            ("t3 t3a", "x86_64", _SMALL),
            ("t4g", "arm64", _SMALL),
            ("m5 m6i m7i c5 c6i c7i r5 r6i r7i", "x86_64", _SIZES),
            ("m6g m7g m8g c6g c7g c8g r6g r7g r8g", "arm64", {"medium": 1, **_SIZES}),
        )
        for family in families.split()
        for size, vcpus in sizes.items()
    },
}


def vcpus(name: str) -> int:
    """Return how many vCPUs an instance type has; 1 for one that is not known."""
    return TYPES[name].vcpus if name in TYPES else 1


def check(ec2: Ec2State, name: str, image: Ec2Image) -> None:
    """Refuse a type that does not exist, or that this image cannot be launched on."""
    architecture = str(image.members["Architecture"])
    if name not in TYPES:
        if ec2.on(KNOWN):
            raise wrong_value("InstanceType", name)
        return
    fitting = TYPES[name].architectures
    if architecture not in fitting and ec2.on(FITS):
        why = f"The architecture '{','.join(fitting)}' of the specified instance type does not match the architecture"
        how = "Specify an instance type and an AMI that have matching architectures, and try again."
        raise AwsError("InvalidParameterValue", f"{why} '{architecture}' of the specified AMI ({image.id}). {how}")
    if image.members.get("TpmSupport") and not TYPES[name].tpm and ec2.on(TPM):
        raise wrong_combination(f"The {name} instance type does not support NitroTPM, and AMI {image.id} needs it.")


def check_room(ec2: Ec2State, name: str, volumes: int) -> None:
    """Refuse a launch with more volumes than fit beside one network interface."""
    most = TYPES[name].attachments if name in TYPES else 0
    if most and volumes > most - 1 and ec2.on(ROOM):
        why = f"Instance type {name} takes {most} attachments, and {volumes} volumes and 1 network interface are more."
        raise AwsError("AttachmentLimitExceeded", why)


def _describe(ec2: Ec2State, call: Call) -> Mapping[str, Any]:
    wanted: Sequence[str] = call.params.get("InstanceTypes") or list(TYPES)
    unknown = [name for name in wanted if name not in TYPES]
    if unknown and ec2.on(KNOWN):
        why = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        raise AwsError("InvalidInstanceType", why)
    found = [TYPES[name] for name in wanted if name in TYPES]
    part, token = pages.page(ec2, call, found, lambda one: one.name)
    return pages.answer("InstanceTypes", [_shown(one) for one in part], token)


def _shown(one: InstanceType) -> dict[str, Any]:
    room = {"MaximumEbsAttachments": one.attachments, "AttachmentLimitType": "shared"} if one.attachments else {}
    return {
        "InstanceType": one.name,
        "CurrentGeneration": one.hypervisor == "nitro",
        "Hypervisor": one.hypervisor,
        "SupportedVirtualizationTypes": ["hvm"],
        "NitroTpmSupport": "supported" if one.tpm else "unsupported",
        "SupportedBootModes": list(one.boot_modes),
        "ProcessorInfo": {"SupportedArchitectures": list(one.architectures)},
        "VCpuInfo": {"DefaultVCpus": one.vcpus},
        "EbsInfo": {"EncryptionSupport": "supported", **room},
        "NetworkInfo": {"EnaSupport": "required" if one.hypervisor == "nitro" else "unsupported"},
    }


OPERATIONS = {"DescribeInstanceTypes": Operation(_describe, "InstanceTypes MaxResults NextToken")}
