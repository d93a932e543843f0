"""Instances of launch tests in a target, as its launch role: runs, reads and terminates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.delivery import instances, template_rights
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.instances import LAUNCH_TAG, InstanceSeen, LaunchSite, SeenInstance
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.tags import service_tags
from chalicelib.engine.aws.refusals import KEY_GONE, code_of, gone
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images import register
from chalicelib.images.aws.shapes import every, tag_list
from chalicelib.images.image import SourceImage
from chalicelib.targets.applied_file import launch_role

NO_INSTANCE = "InvalidInstanceID.NotFound"
NO_SUCH_TYPE = "InvalidInstanceType"
ALREADY_ENDED = "IdempotentInstanceTerminated"
"""The client token's instance is terminated [EC2 API reference, error codes]."""
MOST_OF_THE_CONSOLE = 1500
"""Characters of the console output's end that are kept."""


class AwsTargetInstances:
    """The port ``TargetInstances``."""

    def __init__(self, sessions: TargetSessions) -> None:
        self._sessions = sessions

    def place(self, delivery: Delivery) -> LaunchSite:
        ec2, chosen = self._client(delivery), {"Name": f"tag:{LAUNCH_TAG}", "Values": ["true"]}
        with self._sessions.as_refusal("DescribeSubnets", delivery.where):
            subnets = ec2.describe_subnets(Filters=[chosen])["Subnets"]
        groups = []
        if len(subnets) == 1:
            of_vpc = {"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}
            with self._sessions.as_refusal("DescribeSecurityGroups", delivery.where):
                groups = ec2.describe_security_groups(Filters=[chosen, of_vpc])["SecurityGroups"]
        kind, role = self._type(ec2, delivery), launch_role(self._sessions.role_name(delivery))
        read = self._sessions.role_policy_if_allowed(delivery, "instance", role, template_rights.LAUNCH_POLICY)
        policy = read or {}
        return LaunchSite(
            tuple(sorted(one["SubnetId"] for one in subnets)),
            tuple(sorted(one["GroupId"] for one in groups)),
            tuple(kind.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
            tuple(kind.get("SupportedBootModes", ())),
            template_rights.launch_types(policy),
            template_rights.closed_keys(policy, delivery.source_keys) if delivery.in_share_mode and policy else (),
            kind.get("NetworkInfo", {}).get("EnaSupport") == "required",
            kind.get("NitroTpmSupport") == "unsupported",
            kind.get("EbsInfo", {}).get("MaximumEbsAttachments", 0),
            key_refusal="" if delivery.in_share_mode else self._key_refusal(delivery),
        )

    def _key_refusal(self, delivery: Delivery) -> str:
        """EC2 asks for this right, too, when it makes encrypted volumes."""
        try:
            with self._sessions.as_refusal("DescribeKey", delivery.where), gone(KEY_GONE):
                self._sessions.client("kms", "instance", delivery).describe_key(KeyId=delivery.target.key)
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.DENIED:
                raise
            return refusal.fault.what
        return ""

    def _type(self, ec2: Any, delivery: Delivery) -> Mapping[str, Any]:
        """Return an instance type's description; an empty one where the Region does not have it."""
        wanted, found = [instances.test_of(delivery).instance_type], []
        with self._sessions.as_refusal("DescribeInstanceTypes", delivery.where), gone(NO_SUCH_TYPE):
            found = ec2.describe_instance_types(InstanceTypes=wanted)["InstanceTypes"]
        return next(iter(found), {})

    def run(self, delivery: Delivery, image: SourceImage) -> str:
        """Only the new AMI decides what starts: no user data, no key pair, no instance profile, no public address.

        A repeated call starts no second instance: EC2 answers with the first one, or that it is terminated [VERIFIED].
        """
        nonce = instances.RunInstance().nonce(delivery)
        try:
            return self._run(delivery, image, nonce)
        except Refusal as refusal:
            if code_of(refusal) != ALREADY_ENDED:
                raise
            ours = next((one.id for one in self.started(delivery) if one.token == nonce), None)
            if ours is None:
                raise
            return ours

    def _run(self, delivery: Delivery, image: SourceImage, nonce: str) -> str:
        tags = {**service_tags(delivery, nonce), register.SOURCE_IMAGE_TAG: delivery.ami}
        interface: dict[str, Any] = {
            "DeviceIndex": 0,
            "SubnetId": delivery.launch.subnet,
            "AssociatePublicIpAddress": False,
            "DeleteOnTermination": True,
            **({"Groups": [delivery.launch.group]} if delivery.launch.group else {}),
        }
        with self._sessions.as_refusal("RunInstances", f"{delivery.where}, {instances.image(delivery)}"):
            answer = self._sessions.client("ec2", "launch", delivery).run_instances(
                ClientToken=nonce,
                ImageId=instances.image(delivery),
                InstanceType=instances.test_of(delivery).instance_type,
                MinCount=1,
                MaxCount=1,
                InstanceInitiatedShutdownBehavior="terminate",
                MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
                NetworkInterfaces=[interface],
                BlockDeviceMappings=list(_mappings(image)),
                TagSpecifications=[
                    {"ResourceType": kind, "Tags": tag_list(tags)}
                    for kind in ("instance", "volume", "network-interface")
                ],
            )
        return str(answer["Instances"][0]["InstanceId"])

    def see(self, delivery: Delivery, instance: str) -> InstanceSeen:
        ec2 = self._client(delivery)
        found: list[Mapping[str, Any]] = []
        with self._sessions.as_refusal("DescribeInstances", delivery.where), gone(NO_INSTANCE):
            found = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        if not found:
            return InstanceSeen(instance)
        shown = found[0]["Instances"][0]
        status: list[Mapping[str, Any]] = []
        with self._sessions.as_refusal("DescribeInstanceStatus", delivery.where), gone(NO_INSTANCE):
            status = ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
        checks: Mapping[str, Any] = next(iter(status), {})
        why = shown.get("StateReason", {})
        return InstanceSeen(
            instance,
            state=shown["State"]["Name"],
            code=why.get("Code", ""),
            reason=why.get("Message", ""),
            launched_at=int(shown["LaunchTime"].timestamp()) if "LaunchTime" in shown else 0,
            system=checks.get("SystemStatus", {}).get("Status", ""),
            instance=checks.get("InstanceStatus", {}).get("Status", ""),
        )

    def console(self, delivery: Delivery, instance: str) -> str:
        with self._sessions.as_refusal("GetConsoleOutput", f"{delivery.where}, {instance}"):
            output = self._client(delivery).get_console_output(InstanceId=instance).get("Output", "")
        return escaped(output)

    def started(self, delivery: Delivery) -> tuple[SeenInstance, ...]:
        """By the client token, which nobody can change, whatever has become of the instance's tags."""
        by = [{"Name": "client-token", "Values": [one.nonce for one in delivery.launch.attempts]}]
        with self._sessions.as_refusal("DescribeInstances", delivery.where):
            shown = list(every(self._client(delivery), "instances", Filters=by))
        return tuple(SeenInstance(one["InstanceId"], one.get("ClientToken", ""), one["State"]["Name"]) for one in shown)

    def terminate(self, delivery: Delivery, instance: str) -> None:
        with self._sessions.as_refusal("TerminateInstances", f"{delivery.where}, {instance}"), gone(NO_INSTANCE):
            self._client(delivery).terminate_instances(InstanceIds=[instance])

    def _client(self, delivery: Delivery) -> Any:
        return self._sessions.client("ec2", "instance", delivery)


def escaped(output: str) -> str:
    """Return the end of a console output as text that no terminal, page or log can take for anything else."""
    lines = output[-MOST_OF_THE_CONSOLE:].splitlines()
    return "\n".join("".join(_plain(char) for char in line) for line in lines)[-MOST_OF_THE_CONSOLE:]


def _plain(char: str) -> str:
    return char if char.isascii() and char.isprintable() else char.encode("unicode_escape").decode()


def _mappings(image: SourceImage) -> Iterator[dict[str, Any]]:
    """Every volume goes with its instance, and is encrypted, as the launch role demands of the call itself.

    No key is named: EC2 keeps the snapshot's if that is the account's own, and takes the account's EBS key otherwise.
    A blank one has its size and settings: EC2 may refuse a mapping with neither size nor snapshot [getmoto/moto#2949].
    """
    for device in image.devices:
        if device.kind in ("snapshot", "blank"):
            own = register.device_request(device, {})["Ebs"] if device.kind == "blank" else {}
            yield {"DeviceName": device.name, "Ebs": {**own, "DeleteOnTermination": True, "Encrypted": True}}
