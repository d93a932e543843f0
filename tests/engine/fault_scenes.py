"""A scene for every fault that the checks of source and target can find; golden_faults.txt has the texts.

``python -m tests.engine.fault_scenes`` writes that file again; read the difference as an on-call engineer would.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chalicelib.delivery.preflight import method_faults, source_faults, target_faults
from chalicelib.engine.faults import Fault
from chalicelib.targets.applied_file import Target
from tests.images.examples import (
    HUB,
    KEY,
    OUR_TAGS,
    TARGET,
    TARGET_KEY,
    a_key,
    an_image,
    describe_snapshot,
    describe_volume,
)

GOLDEN = Path(__file__).with_name("golden_faults.txt")
FOREIGN = "999999999999"
A_TARGET = Target(account=TARGET, region="us-east-1")


def of_image(**members) -> tuple[Fault, ...]:
    """Faults of the plain image with these members changed."""
    image = an_image(**members)
    return (*source_faults(image, HUB, {KEY: a_key()}), *method_faults(image, (A_TARGET,)))


def of_snapshot(**members) -> tuple[Fault, ...]:
    """Faults of the plain image whose snapshot has these members changed."""
    return source_faults(an_image([describe_snapshot("snap-0a", **members)]), HUB, {KEY: a_key()})


def of_device(**ebs) -> tuple[Fault, ...]:
    """Faults of the plain image with a second, blank volume."""
    root = describe_volume("/dev/xvda", "snap-0a")
    return of_image(BlockDeviceMappings=[root, describe_volume("/dev/xvdb", None, **ebs)])


def of_key(**facts) -> tuple[Fault, ...]:
    """Faults of the plain image under another key."""
    return source_faults(an_image(), HUB, {KEY: a_key(**facts)})


def of_target(key=None, tags=None, name_taken_by=None, **facts) -> tuple[Fault, ...]:
    """Faults of a target, by default with its own key."""
    key = key or replace(a_key(arn=TARGET_KEY, account=TARGET), **facts)
    return target_faults(
        A_TARGET, key, {"ami-0aaaaaaaaaaaaaaaa": tags or OUR_TAGS}, "golden-ami-0aaaaaaaaaaaaaaaa", name_taken_by
    )


TAGS_49 = [{"Key": f"tag-{number:02}", "Value": "x"} for number in range(49)]

SCENES: Mapping[str, tuple[Fault, ...]] = {
    "not owned": of_image(OwnerId=FOREIGN),
    "disabled": of_image(State="disabled"),
    "failed": of_image(State="failed", StateReason={"Code": "Client.Error", "Message": "Snapshot deleted"}),
    "instance store": of_image(RootDeviceType="instance-store", BlockDeviceMappings=None),
    "no root mapping": of_image(RootDeviceName="/dev/sda1"),
    "paravirtual": of_image(VirtualizationType="paravirtual", KernelId="aki-1", RamdiskId="ari-1"),
    "hvm with a kernel": of_image(KernelId="aki-1"),
    "kernel image": of_image(ImageType="kernel"),
    "ovm": of_image(Hypervisor="ovm"),
    "marketplace": of_image(ProductCodes=[{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]),
    "windows": of_image(Platform="windows", PlatformDetails="Windows", UsageOperation="RunInstances:0002"),
    "rhel": of_image(PlatformDetails="Red Hat Enterprise Linux", UsageOperation="RunInstances:0010"),
    "no billing code": of_image(PlatformDetails=None, UsageOperation=None),
    "tpm with uefi-preferred": of_image(TpmSupport="v2.0", BootMode="uefi-preferred"),
    "watermark": of_image(ImageWatermarks=[{"WatermarkKey": f"{HUB}:approved"}]),
    "instance types": of_image(
        InstanceTypeSpecification={
            "SupportedInstanceTypes": [{"InstanceType": f"m{number}.large"} for number in range(1, 8)]
        }
    ),
    "device in a zone": of_device(AvailabilityZone="us-east-1a"),
    "device with a rate": of_device(VolumeInitializationRate=200),
    "snapshot missing": source_faults(an_image([]), HUB, {}),
    "snapshot not owned": of_snapshot(OwnerId=FOREIGN),
    "snapshot pending": of_snapshot(State="pending"),
    "snapshot in error": of_snapshot(State="error", StateMessage="Given key ID is not accessible"),
    "snapshot recoverable": of_snapshot(State="recoverable"),
    "snapshot recovering": of_snapshot(State="recovering"),
    "snapshot archived": of_snapshot(StorageTier="archive"),
    "snapshot restored for a time": of_snapshot(RestoreExpiryTime="2026-02-01T00:00:00Z"),
    "snapshot on an outpost": of_snapshot(OutpostArn="arn:aws:outposts:us-east-1:111111111111:outpost/op-1"),
    "snapshot with too many tags": of_snapshot(Tags=TAGS_49),
    "too many tags": of_image(Tags=TAGS_49),
    "tags too long together": of_image(Tags=[{"Key": f"tag-{n:02}", "Value": "ä" * 1500} for n in range(45)]),
    "aws/ebs key": of_key(manager="AWS"),
    "key of another account": of_key(account=FOREIGN),
    "key not described": source_faults(an_image(), HUB, {}),
    "encrypted without a key": of_snapshot(KmsKeyId=None),
    "key disabled": of_key(enabled=False, state="Disabled"),
    "key to be deleted": of_key(enabled=False, state="PendingDeletion"),
    "key without material": of_key(enabled=False, state="PendingImport"),
    "key store away": of_key(enabled=False, state="Unavailable"),
    "key being made": of_key(enabled=False, state="Creating"),
    "key asymmetric": of_key(spec="RSA_2048"),
    "key for signatures": of_key(spec="HMAC_256", usage="GENERATE_VERIFY_MAC"),
    "unknown value": of_image(BootMode="novel"),
    "target: key missing": target_faults(A_TARGET, None, {}, "golden", None),
    "target: key not described": target_faults(A_TARGET, None, {}, "golden", None, "AccessDeniedException: no."),
    "target: key disabled": of_target(enabled=False, state="Disabled"),
    "target: key to be deleted": of_target(enabled=False, state="PendingDeletion"),
    "target: key AWS managed": of_target(manager="AWS"),
    "target: key asymmetric": of_target(spec="RSA_2048"),
    "target: too many tags": of_target(tags={f"tag-{number}": "x" for number in range(52)}),
    "target: name taken": of_target(name_taken_by="ami-0cccccccccccccccc"),
}


def golden() -> str:
    """All scenes with the texts of their faults."""
    return "\n".join(
        f"== {scene}\n" + "".join(f"[{fault.code}] {fault}\n" for fault in faults) for scene, faults in SCENES.items()
    )


if __name__ == "__main__":
    GOLDEN.write_text(golden(), "utf-8")
