"""Lists what has this hub's tag in a target, for `admin reconcile`, or what names an AMI there, for `where --use`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.delivery.aws.session_policies import Work
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.model import Delivery
from chalicelib.engine import denials
from chalicelib.engine.aws.refusals import IN_USE, NO_SNAPSHOT, as_refusal, code_of
from chalicelib.engine.budget import slices
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.images import comparison, register
from chalicelib.images.aws.shapes import FILTER_VALUES, as_page, by_id, every, snapshots_of
from chalicelib.images.image import tags_of
from chalicelib.inventory.machine import AmiUse, InventoryPage, OwnImage, OwnInstance, OwnSnapshot, Part
from chalicelib.targets.applied_file import Target

SOURCE_SNAPSHOT_TAG = f"{register.OUR_PREFIX}source-snapshot"
PROTECTED = "enabled"
"""How DeregistrationProtection then begins; `disabled after TIME` is a cooldown's rest [aws-facts 8, VERIFIED]."""
DENIED = "UnauthorizedOperation"
USE_CURE = (
    "Update the stack of deploy/target.yaml there (of OUs, that of deploy/target-stackset.yaml) with "
    "AllowUseReport=true."
)
NOT_GONE = ["pending", "running", "stopping", "stopped"]
"""States of an instance that runs, or can run again."""
KINDS = [
    {
        "ResourceType": "ec2:Instance",
        "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": NOT_GONE}],
    },
    {
        "ResourceType": "ec2:LaunchTemplate",
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}],
    },
    {"ResourceType": "ssm:Parameter"},
]
"""All versions of a launch template, not the ten newest [aws-facts 8]."""


class AwsInventory:
    """The port ``TargetInventory``. Its sessions can either look, or remove what has one delivery's tag."""

    def __init__(self, sessions: TargetSessions, hub: str) -> None:
        self._sessions = sessions
        self._hub = hub
        self._own = {"Name": f"tag:{register.HUB_TAG}", "Values": [hub]}

    def page(self, account: str, region: str, part: Part, cursor: str) -> InventoryPage:
        where = _where(account, region)
        ec2 = self._client("look", account, region, "inventory")
        asked: dict[str, Any] = {
            "Filters": [self._own],
            "MaxResults": FILTER_VALUES,
            **({"NextToken": cursor} if cursor else {}),
        }
        if part == "images":
            with as_page("DescribeImages", where, cursor):
                answer = ec2.describe_images(Owners=["self"], IncludeDisabled=True, **asked)
            return InventoryPage(tuple(map(_image, answer["Images"])), answer.get("NextToken") or "")
        with as_page("DescribeSnapshots", where, cursor):
            answer = ec2.describe_snapshots(OwnerIds=["self"], **asked)
        used = self._used(ec2, where, [raw["SnapshotId"] for raw in answer["Snapshots"]])
        snapshots = tuple(_snapshot(raw, used) for raw in answer["Snapshots"])
        return InventoryPage(snapshots, answer.get("NextToken") or "")

    def instances(self, target: Target) -> tuple[OwnInstance, ...]:
        where = _where(target.account, target.region)
        ec2 = self._client("instance", target.account, target.region, "inventory")
        running = {"Name": "instance-state-name", "Values": NOT_GONE}
        with as_refusal("DescribeInstances", where):
            shown = list(every(ec2, "instances", Filters=[self._own, running]))
        with as_refusal("DescribeVolumes", where):
            volumes = list(every(ec2, "volumes", Filters=[self._own]))
        attached = {one["InstanceId"] for one in shown}
        return (
            *(_instance(one["InstanceId"], one["State"]["Name"], one, one.get("ClientToken", "")) for one in shown),
            *(
                _instance(one["VolumeId"], one["State"], one)
                for one in volumes
                if not {by["InstanceId"] for by in one.get("Attachments", ())} & attached
            ),
        )

    def uses(self, account: str, region: str, image: str, cursor: str) -> InventoryPage:
        where = f"{_where(account, region)}, {image}"
        more = {"NextToken": cursor} if cursor else {}
        try:
            with as_page("DescribeImageReferences", where, cursor):
                answer = self._client("use", account, region, "inventory").describe_image_references(
                    ImageIds=[image], ResourceTypes=KINDS, **more
                )
        except Refusal as refusal:
            if code_of(refusal) == DENIED and denials.is_lack(refusal.fault.what):
                raise Refusal(refusal.kind, replace(refusal.fault, cure=USE_CURE)) from refusal
            raise
        uses = tuple(AmiUse(one["ResourceType"], one["Arn"]) for one in answer.get("ImageReferences", ()))
        return InventoryPage(uses, answer.get("NextToken") or "")

    def remove(self, account: str, region: str, delivery: str, snapshot: str) -> str:
        """EC2 itself refuses a snapshot that an AMI uses."""
        where = f"{_where(account, region)}, {snapshot}"
        ec2 = self._client("tidy", account, region, delivery)
        own = [self._own, {"Name": f"tag:{register.DELIVERY_TAG}", "Values": [delivery]}]
        with as_refusal("DescribeSnapshots", where):
            if not by_id(ec2, "snapshots", [snapshot], OwnerIds=["self"], Filters=own):
                return "it does not have this hub's tag and that delivery's, or is gone"
        if self._used(ec2, where, [snapshot]):
            return "an AMI uses it"
        with as_refusal("DeleteSnapshot", where):
            try:
                ec2.delete_snapshot(SnapshotId=snapshot)
            except ClientError as error:
                if error.response["Error"]["Code"] == IN_USE:
                    return "an AMI uses it"
                if error.response["Error"]["Code"] != NO_SNAPSHOT:
                    raise
        return ""

    def _used(self, ec2: Any, where: str, snapshots: list[str]) -> frozenset[str]:
        """Return those of the snapshots that an AMI of that account uses, the service's or another."""
        used: set[str] = set()
        for some in slices(snapshots, FILTER_VALUES):
            with as_refusal("DescribeImages", where):
                by = [{"Name": "block-device-mapping.snapshot-id", "Values": some}]
                images = every(ec2, "images", Owners=["self"], Filters=by, IncludeDisabled=True)
                used.update(*map(snapshots_of, images))
        return frozenset(used)

    def _client(self, work: Work, account: str, region: str, delivery: str) -> Any:
        live = self._sessions.role(account)
        if live is None:
            what = "The applied targets file no longer contains this account."
            dropped = Fault("target-dropped", _where(account, region), what, "Add it to the file to look there.")
            raise Refusal(RefusalKind.DENIED, dropped)
        carrier = Delivery(delivery, self._hub, "", Target(account, region, *live), 1, 0, "", ())
        return self._sessions.client("ec2", work, carrier)


def _instance(ident: str, state: str, raw: Mapping[str, Any], token: str = "") -> OwnInstance:
    return OwnInstance(ident, state, tags_of(raw).get(register.DELIVERY_TAG, ""), token)


def _where(account: str, region: str) -> str:
    return f"account {account}, {region}"


def _image(raw: Mapping[str, Any]) -> OwnImage:
    tags = tags_of(raw)
    return OwnImage(
        id=raw["ImageId"],
        name=raw.get("Name", ""),
        state=raw["State"],
        delivery=tags.get(register.DELIVERY_TAG, ""),
        source=tags.get(register.SOURCE_IMAGE_TAG, ""),
        protected=raw.get("DeregistrationProtection", "").startswith(PROTECTED),
        changeable={member: str(raw[member]) for member in comparison.CHANGEABLE if raw.get(member)},
    )


def _snapshot(raw: Mapping[str, Any], used: frozenset[str]) -> OwnSnapshot:
    tags = tags_of(raw)
    return OwnSnapshot(
        id=raw["SnapshotId"],
        state=raw["State"],
        delivery=tags.get(register.DELIVERY_TAG, ""),
        source=tags.get(SOURCE_SNAPSHOT_TAG, ""),
        started_at=int(raw["StartTime"].timestamp()) if "StartTime" in raw else 0,
        used=raw["SnapshotId"] in used,
        key_arn=raw.get("KmsKeyId", ""),
    )
